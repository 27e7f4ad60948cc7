"""`make demo`, as a person runs it: up, a page, Ctrl-C, nothing left."""
import importlib.util
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time

import pytest

import browser
import cache
from stack import ROOT, binaries

RUN = os.path.join(ROOT, "tests", "demo", "run.py")
UP_S = 120
DOWN_S = 60


class Demo:
    def __init__(self, edge):
        self.process = subprocess.Popen(
            ["/usr/bin/python3", "-u", RUN], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
            env=dict(os.environ, EDGE=edge, BFF_BIN=binaries(), ASAN_OPTIONS="detect_leaks=0"))
        self.said = b""

    def await_url(self):
        deadline = time.monotonic() + UP_S
        while b"Stop with Ctrl-C" not in self.said:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, deadline - time.monotonic()))
            part = os.read(self.process.stdout.fileno(), 65536) if ready else b""
            assert part, "no URL:\n" + self.said.decode()
            self.said += part
        return re.search(rb"http://app\.localhost:\d+/", self.said).group().decode()

    def members(self):
        """Processes of the demo that still run: it leads a session, and its daemons name its files."""
        folder = re.search(rb"files +(\S+)", self.said).group(1)
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open("/proc/%s/cmdline" % pid, "rb") as f:
                    if folder in f.read():
                        found.append(int(pid))
            except OSError:
                continue
        return found

    def kill(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(DOWN_S)
        self.process.stdout.close()


@pytest.mark.parametrize("edge, number", [("caddy", signal.SIGINT), ("nginx", signal.SIGTERM)])
def test_demo_comes_up_and_goes_away(edge, number):
    demo = Demo(edge)
    try:
        url = demo.await_url()
        assert b"behind %s." % edge.encode() in demo.said
        b = browser.Browser()
        page = b.get(url)
        assert page.status == 200 and b"<script" in page.body
        assert b.fetch(url + "api/crm/").status == 401
        assert b.open(url + "auth/login?login_hint=alice").status == 200
        assert b.fetch(url + "api/crm/").json()["service"] == "crm"
        folder = re.search(r"files +(\S+)", demo.said.decode()).group(1)
        assert os.path.isdir(folder) and demo.members()
        demo.process.send_signal(number)
        assert demo.process.wait(DOWN_S) == 0
        assert not os.path.exists(folder) and demo.members() == []
    finally:
        demo.kill()


def test_an_edge_that_is_none_is_refused():
    got = subprocess.run([sys.executable, RUN], text=True, capture_output=True, env=dict(os.environ, EDGE="apache"))
    assert got.returncode == 1 and "EDGE is one of" in got.stderr


# ---- the edge without EDGE ----------------------------------------------------------------------

# A Go of a version, whose downloads come from a folder or fail; its build makes a file, or goes on until it is
# killed, if there is a pipe that wants its child's process id.
GO = """#!/bin/sh
case $1 in
env) echo go1.{minor}.0 ;;
mod) test -d {lego} && echo '{{"Dir": "{lego}"}}' ;;
build)
    if test -p {pipe}; then /bin/sleep infinity & echo $! > {pipe}; wait; fi
    : > "$5" ;;
esac
"""


class Machine:
    """A PATH and a cache with nothing there."""

    def __init__(self, folder, monkeypatch):
        self.bin, self.lego, self.pipe = folder / "bin", folder / "lego", folder / "pipe"
        self.bin.mkdir()
        (self.bin / "nice").symlink_to(shutil.which("nice"))
        monkeypatch.setenv("PATH", str(self.bin))
        monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
        monkeypatch.delenv("EDGE", raising=False)

    def has(self, name, text=""):
        (self.bin / name).write_text(text)
        (self.bin / name).chmod(0o755)

    def has_go(self, minor):
        self.has("go", GO.format(minor=minor, lego=self.lego, pipe=self.pipe))

    def has_modules(self):
        (self.lego / "providers" / "dns").mkdir(parents=True)

    def choice(self):
        spec = importlib.util.spec_from_file_location("demo", RUN)
        demo = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(demo)
        return demo.choose_edge()


@pytest.fixture(name="machine")
def fixture_machine(tmp_path, monkeypatch):
    return Machine(tmp_path, monkeypatch)


def test_traefik_on_path_is_the_edge(machine, capfd):
    machine.has("traefik")
    assert machine.choice() == "traefik"
    assert capfd.readouterr() == ("", "")


def test_a_recent_go_builds_traefik_once(machine, capfd):
    machine.has_go(cache.GO_MINOR)
    machine.has_modules()
    assert machine.choice() == "traefik"
    said = capfd.readouterr()
    assert "EDGE=caddy` starts at once" in said.out and "about ten minutes" in said.err
    (machine.bin / "go").unlink()
    assert machine.choice() == "traefik"
    assert capfd.readouterr() == ("", "")


def test_an_old_go_leaves_it_to_caddy(machine, capfd):
    machine.has_go(cache.GO_MINOR - 1)
    assert machine.choice() == "caddy"
    assert "go1.%d.0 is older" % (cache.GO_MINOR - 1) in capfd.readouterr().out


def test_a_build_that_fails_leaves_it_to_caddy(machine, capfd):
    machine.has_go(cache.GO_MINOR)
    assert machine.choice() == "caddy"
    said = capfd.readouterr().out
    assert "mod download failed" in said and "cannot be built here" in said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_build_leaves_nothing_running(machine, number):
    machine.has_go(cache.GO_MINOR)
    machine.has_modules()
    os.mkfifo(machine.pipe)
    pipe = os.open(machine.pipe, os.O_RDONLY | os.O_NONBLOCK)
    with subprocess.Popen([sys.executable, RUN], stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as demo:
        assert select.select([pipe], [], [], UP_S)[0]
        compiler = os.pidfd_open(int(os.read(pipe, 32)))
        demo.send_signal(number)
        assert demo.wait(DOWN_S) == 0
        assert select.select([compiler], [], [], DOWN_S)[0]
    os.close(pipe)
    os.close(compiler)
