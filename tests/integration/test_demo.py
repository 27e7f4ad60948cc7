"""`make demo`, as a person runs it: up, a page, Ctrl-C, nothing left."""
import os
import re
import select
import signal
import subprocess
import sys
import time

import pytest

import browser
from stack import ROOT, binaries

UP_S = 120
DOWN_S = 60


class Demo:
    def __init__(self):
        self.process = subprocess.Popen(
            ["/usr/bin/python3", "-u", os.path.join(ROOT, "tests", "demo", "run.py")], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
            env=dict(os.environ, EDGE="caddy", BFF_BIN=binaries(), ASAN_OPTIONS="detect_leaks=0"))
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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_demo_comes_up_and_goes_away(number):
    demo = Demo()
    try:
        url = demo.await_url()
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
    got = subprocess.run([sys.executable, os.path.join(ROOT, "tests", "demo", "run.py")], text=True,
                         capture_output=True, env=dict(os.environ, EDGE="apache"))
    assert got.returncode == 1 and "EDGE is one of" in got.stderr
