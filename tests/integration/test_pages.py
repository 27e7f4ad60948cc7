"""An app's own pages, from files. Real daemons; neither database nor broker are there, so no login succeeds."""
import base64
import contextlib
import hashlib
import hmac
import http.client
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import bffd as lib  # noqa: E402
from bffd import Bffd, write_config  # noqa: E402
from port import free_port  # noqa: E402

OWN = "<style>p { color: red }</style>\n<p title='&'>Ours, \u00e4nderbar</p><code>{{correlation_id}}</code>\n"
CSP = ("default-src 'none'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; base-uri 'none'; "
       "frame-ancestors 'none'")
BUILT_IN_CSP = "default-src 'none'; base-uri 'none'; frame-ancestors 'none'"
SECRET = b"s" * 32


def b64(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


class World:
    def __init__(self, directory):
        self.pages, self.port = directory / "pages", free_port()
        self.pages.mkdir()
        self.config = write_config(directory, self.port, workers=2)
        text = self.config.read_text()
        assert text.count('app "shop" {') == 1
        self.config.write_text(text.replace('app "shop" {', 'app "shop" {\n    pages = "%s"' % self.pages))

    @contextlib.contextmanager
    def serving(self):
        with Bffd(lib.BIN, self.config) as master:
            master.serving()
            yield master
            assert master.stop() == 0
        assert not [line for line in master.lines if "Sanitizer" in line or "runtime error" in line], master.lines

    def write(self, text, name="login-failed.html"):
        (self.pages / name).write_bytes(text if isinstance(text, bytes) else text.encode())

    def get(self, path, **fields):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=lib.DEADLINE_S)
        c.request("GET", path, headers={"Host": "localhost:9", "X-Forwarded-Proto": "http",
                                        "X-Forwarded-For": "192.0.2.7", **fields})
        answer = c.getresponse()
        answer.text = answer.read().decode()
        c.close()
        return answer

    def failed_login(self):
        """Back from a provider that nobody here was sent to."""
        return self.get("/auth/callback?state=%3Cscript%3EMARK&code=MARK", Referer="http://localhost:9/MARK")


@pytest.fixture(name="world")
def fixture_world(tmp_path):
    return World(tmp_path)


def own(answer):
    return OWN.replace("{{correlation_id}}", answer.getheader("X-Correlation-ID"))


def test_a_failed_login_shows_the_apps_own_page(world):
    world.write(OWN)
    world.write("<p>{{form}}</p>", "logout.html")
    with world.serving():
        got = world.failed_login()
        assert (got.status, got.text, got.getheader("Content-Security-Policy")) == (400, own(got), CSP)
        assert got.getheader("Content-Type") == "text/html; charset=utf-8"
        assert got.getheader("Cache-Control") == "no-store" and len(got.getheader("X-Correlation-ID")) == 22
        away = world.get("/auth/login")  # it has no file for this one
        assert away.status == 503 and "<h1>Not available right now</h1>" in away.text
        assert away.getheader("Content-Security-Policy") == BUILT_IN_CSP
        head = "v1.%d.%s" % (time.time() // 86400, b64(SECRET))
        cookie = head + "." + b64(hmac.new(bytes(32), head.encode(), hashlib.sha256).digest()[:16])
        button = world.get("/auth/logout", Cookie="bff_session=" + cookie)
        csrf = b64(hmac.new(SECRET, b"bff csrf v1", hashlib.sha256).digest())
        assert button.text == ('<p><form method="post" action="/auth/logout"><input type="hidden" name="csrf" value="%s">'
                               '<button type="submit">Log out</button></form>\n</p>' % csrf)
        assert button.getheader("Content-Security-Policy") == CSP


@pytest.mark.parametrize("name,text,why", [
    ("login-failed.html", "\n{{cause}}", "line 2: {{: expected {{correlation_id}} alone"),
    ("login-failed.html", b"caf\xe9 ", "line 1: expected UTF-8 without NUL"),
    (None, None, "No such file or directory")],
    ids=["placeholder", "bytes", "directory"])
def test_a_bad_page_leaves_the_old_workers_serving(world, name, text, why):
    world.write(OWN)
    with world.serving() as master:
        got = world.failed_login()
        assert got.text == own(got)
        if name:
            world.write(text, name)
        else:
            world.pages.rename(world.pages.with_name("elsewhere"))
        master.hup()
        master.wait("reload_failed", serving_generation=1)
        said = master.wait("start_failed", gen=2)["error"]
        path = "%s/%s" % (world.pages, name) if name else str(world.pages)
        assert re.fullmatch(r"\S+:\d+: app shop: pages: %s: %s" % (re.escape(path), re.escape(why)), said), said
        got = world.failed_login()
        assert (got.status, got.text) == (400, own(got))
        world.pages.mkdir(exist_ok=True)
        for file in world.pages.iterdir():
            file.unlink()
        world.write("mended")
        master.hup()
        master.wait("generation_gone", generation=1)
        assert world.failed_login().text == "mended"


def test_a_bad_page_at_the_start_is_the_end(world):
    world.write("{{")
    assert subprocess.run([lib.BIN / "bffd", "-t", "-c", world.config], capture_output=True, text=True,
                          check=True).stdout == "configuration ok\n"  # the workers read the files
    with Bffd(lib.BIN, world.config) as master:
        assert master.process.wait(lib.DEADLINE_S) == 78
        assert "login-failed.html: line 1: {{: expected" in master.wait("start_failed")["error"]
