"""The bench itself, very short: it runs, its lines can be read, its JSON and plots are what others may rely on.

No figure is judged here; a sanitized build on a busy machine says nothing about speed. Left out are the parts that need
programs which the tests do not install (peers), or minutes (broker).
"""
import collections
import io
import json
import os
import socketserver
import subprocess
import sys
import threading
import xml.etree.ElementTree
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parents[1] / "bench"
sys.path.insert(0, str(BENCH))
import figures  # noqa: E402
import load  # noqa: E402

BIN = Path(os.environ.get("BFF_BIN", BENCH.parents[1] / "build" / "gcc"))
LIMIT_S = 120
SHORT = {"BENCH_SECONDS": "0.05", "BENCH_ROUNDS": "1", "BENCH_SESSIONS": "20", "BENCH_CONNECTIONS": "10",
         "BENCH_GRANTS": "20", "RELOADS": "2", "REVOCATIONS": "3", "GRANTS": "0", "BENCH_EDGES": "nginx",
         "BENCH_STREAMS": "10"}
# A measure each, to be had whatever else a part finds.
PARTS = {"verify": "verify_cached_token_cpu", "scale": "verify_connections_10", "memory": "grant_in_broker",
         "revocation": "revocation_refused_p99", "reload": "reload_failed_kept", "edges": "edge_nginx_added_cpu",
         "flood": "flood_garbage_cookies_p99", "events": "events_verify_cpu"}


@pytest.fixture(name="folder")
def _folder(tmp_path, monkeypatch):
    monkeypatch.setattr(figures, "FOLDER", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("value, budget, line", [
    (9.34567, {"most": 9}, "a_cpu 9.35 us budget 9 over"),
    (9, {"most": 9}, "a_cpu 9 us budget 9 ok"),
    (123456.7, {"least": 100000}, "a_cpu 123000 us budget 100000 ok"),
    (99999, {"least": 100000}, "a_cpu 99999 us budget 100000 over"),
    ([3.0, 1.0, 2.0], {}, "a_cpu 2 us budget - ok (1 to 3)"),
    (0.00123, {}, "a_cpu 0.0012 us budget - ok"),
])
def test_a_line_says_it_all(folder, capsys, value, budget, line):
    f = figures.Figures("x")
    f.measure("a_cpu", value, "us", **budget)
    said = capsys.readouterr().out.rstrip("\n")
    assert " ".join(said.split()) == line
    assert figures.LINE.match(said)
    assert f.measures["a_cpu"]["ok"] == (" over" not in line)


def test_the_median_counts_and_every_sample_is_kept(folder, capsys):
    f = figures.Figures("x")
    assert f.measure("a", [5.0, 1.0, 2.0], "us", most=2) == 2
    path = f.write(program=figures.ROOT + "/build/x", more=1)
    got = json.loads(Path(path).read_text(encoding="ascii"))
    assert got["measures"]["a"] == {"value": 2.0, "unit": "us", "budget": 2, "ok": True, "samples": [5.0, 1.0, 2.0]}
    assert got["more"] == 1 and got["machine"]["cores"] > 0
    assert got["program"] == "build/x"  # wherever the checkout was


def test_a_plot_is_a_picture_of_its_points(folder):
    path = figures.plot("p", "a < b & c", "x", "µs", {
        "one": [(1, 10), (10, 20), (100, 40)], "two": [(1, 5), (100, 5)]})
    root = xml.etree.ElementTree.parse(path).getroot()
    space = "{http://www.w3.org/2000/svg}"
    one, two = (line.get("points") for line in root.iter(space + "polyline"))
    points = [tuple(map(float, p.split(","))) for p in one.split()]
    assert [x for x, _ in points] == sorted(x for x, _ in points) and len(points) == 3
    assert abs((points[1][0] - points[0][0]) - (points[2][0] - points[1][0])) < 0.2  # logarithmic
    bottom = figures.HEIGHT - figures.BOTTOM
    assert abs((bottom - points[2][1]) / (bottom - points[0][1]) - 4) < 0.05           # and linear, from zero
    assert len(set(p.split(",")[1] for p in two.split())) == 1
    assert any(t.text == "a < b & c" for t in root.iter(space + "text"))


class Moody(socketserver.ThreadingTCPServer):
    """Each fifth answer ends the connection and says so, each seventh is a 503; each eleventh request gets none."""
    daemon_threads, request_queue_size, block_on_close = True, 64, False

    def __init__(self):
        super().__init__(("127.0.0.1", 0), None)
        self.lock, self.requests, self.seen = threading.Lock(), 0, collections.Counter()

    def finish_request(self, request, client_address):
        while request.recv(4096):  # one request, since the load sends no second before the answer
            with self.lock:
                self.requests += 1
                kinds = ((11, "none"), (7, "503"), (5, "close"), (1, "200"))
                kind = next(word for n, word in kinds if self.requests % n == 0)
                self.seen[kind] += 1
            if kind == "none":
                return
            request.sendall(b"HTTP/1.1 %s X\r\n%sContent-Length: 2\r\n\r\nok" % (
                b"503" if kind == "503" else b"200", b"Connection: close\r\n" if kind == "close" else b""))
            if kind == "close":
                return


@pytest.mark.parametrize("once", [False, True])
def test_the_load_counts_what_the_server_did(tmp_path, once):
    (tmp_path / "head").write_bytes(b"GET / HTTP/1.1\r\nHost: x\r\nCookie: @COOKIE@\r\n\r\n")
    (tmp_path / "cookies").write_text("a=1\nb=2\n", encoding="ascii")
    with Moody() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with load.Load(server.server_address[1], str(tmp_path / "head"), str(tmp_path / "cookies"), connections=4,
                       once=once) as running:
            server.seen.clear()
            got = running.run(0.3, clean=False)
        server.shutdown()
    seen = server.seen
    assert min(seen.values()) > 0 and len(seen) == 4
    assert got["errors"] == seen["none"] and got["requests"] == seen["200"] + seen["503"] + seen["close"]
    assert got["good"] == seen["200"] + seen["close"] and got["other_status"] == 503


def test_what_is_not_clean_is_no_figure():
    for errors, good, requests in ((1, 9, 9), (0, 8, 9), (0, 0, 0)):
        got = {"errors": errors, "good": good, "requests": requests}
        fake = load.Load.__new__(load.Load)
        fake.process = type("Process", (), {"stdout": io.StringIO(json.dumps(got)), "args": ["load"]})
        with pytest.raises(SystemExit):
            fake.result()


@pytest.mark.skipif(os.geteuid() != 0, reason="the bench reads what only root may")
def test_the_parts_run(tmp_path):
    """All at once, since it is not their figures that count."""
    environment = {**os.environ, **SHORT, "BENCH_DIR": str(tmp_path), "BFF_BIN": str(BIN)}
    running = {part: subprocess.Popen([sys.executable, str(BENCH / ("bench_%s.py" % part))], env=environment, text=True,
                                      stdout=subprocess.PIPE, stderr=subprocess.STDOUT) for part in PARTS}
    try:
        said = {part: process.communicate(timeout=LIMIT_S)[0] for part, process in running.items()}
    finally:
        for process in running.values():
            process.kill()
    for part, text in said.items():
        assert running[part].returncode == 0, "%s:\n%s" % (part, text)
        lines = [line for line in text.splitlines() if not line.startswith("#")]
        names = [figures.LINE.match(line) and figures.LINE.match(line)["name"] for line in lines]
        assert None not in names, "%s:\n%s" % (part, text)
        got = json.loads((tmp_path / (part + ".json")).read_text(encoding="ascii"))
        assert list(got["measures"]) == names and PARTS[part] in names and len(set(names)) == len(names)
    for plot in ("sessions", "connections"):
        assert xml.etree.ElementTree.parse(tmp_path / (plot + ".svg")).getroot().tag.endswith("svg")
