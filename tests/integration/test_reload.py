"""Reloads under load: no answer is lost or wrong, nothing is left open, a broken file changes nothing."""
import http.client
import os
import re
import signal
import threading

import pytest

import browser
from stack import Stack
from wait import eventually

WORKERS = 2
RELOADS = 50
RELOADS_BEFORE = 3  # until then tables of the master have grown to what they stay at
PATHS = ("/private/", "/api/crm/x")
TIMEOUT_S = 60
ROOT_LOOKS = "only root may look at the descriptors of a daemon, which is not dumpable; all the rest held"


@pytest.fixture(scope="module")
def bare():
    with Stack(edge=None, workers=WORKERS) as s:
        yield s


def question(stack, path, b):
    host = stack.url().split("/")[2]
    return {"Host": host, "X-Forwarded-Method": "GET", "X-Forwarded-Uri": path, "X-Forwarded-Host": host,
            "X-Forwarded-Proto": "http", "X-Forwarded-For": "127.0.0.1", "Accept": "application/json",
            "Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "same-origin", "Cookie": b.cookie_header(stack.url(path))}


class Load:
    """Asks all the while, each thread one path and one manner of connections; notes what was not right."""

    def __init__(self, stack, b):
        self.stack, self.b = stack, b
        self.ending = threading.Event()
        self.wrong, self.asked, self.reused = [], [0] * 4, 0
        self.threads = [threading.Thread(target=self._run, args=(n, PATHS[n % 2], n < 2)) for n in range(4)]

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *_):
        self.ending.set()
        for t in self.threads:
            t.join()

    def _run(self, n, path, keeps):
        while not self.ending.is_set() and not self.wrong:
            try:
                ask = self._kept if keeps else self._one
                ask(n, path)
            except (OSError, http.client.HTTPException) as e:
                self.wrong.append((path, keeps, repr(e)))

    def _judge(self, n, path, status, body):
        self.asked[n] += 1
        if status != 200:
            self.wrong.append((path, status, body))

    def _one(self, n, path):
        got = browser.raw(self.stack.ports["verify"], "GET", "/auth/verify",
                          list(question(self.stack, path, self.b).items()))
        self._judge(n, path, got.status, got.body)

    def _kept(self, n, path):
        """As long as the worker keeps the connection: it says Connection: close with its last answer."""
        c = http.client.HTTPConnection("127.0.0.1", self.stack.ports["verify"], timeout=TIMEOUT_S)
        try:
            c.connect()
            c.auto_open = 0  # no silent second connection: that none is lost is the point
            while not self.ending.is_set():
                c.request("GET", "/auth/verify", headers=question(self.stack, path, self.b))
                r = c.getresponse()
                self._judge(n, path, r.status, r.read())
                if r.will_close:
                    return
                self.reused += 1
        finally:
            c.close()


def reloads_done(stack):
    return [int(n) for n in re.findall(r"event=reload_done .*?generation=(\d+)", stack.log("bffd"))]


def gone(stack):
    return {int(n) for n in re.findall(r"event=generation_gone .*?generation=(\d+)", stack.log("bffd"))}


def reload(stack):
    """The number of the new generation, once it serves."""
    before = len(reloads_done(stack))
    stack.bffd.send(signal.SIGHUP)
    eventually(lambda: len(reloads_done(stack)) > before or not stack.bffd.running(), timeout_s=TIMEOUT_S, what="the reload")
    assert stack.bffd.running() and len(reloads_done(stack)) == before + 1, stack.tails()
    return reloads_done(stack)[-1]


def settled(stack, number):
    """Until nothing of an older generation is left."""
    eventually(lambda: number - 1 in gone(stack) and gone(stack) == set(range(1, number)), timeout_s=TIMEOUT_S,
               what="the end of the generations before %d" % number)


def descriptors(pid):
    """None if we may not look; then the test ends in a skip."""
    if os.geteuid() != 0:
        return None
    folder = "/proc/%d/fd" % pid
    found = []
    for n in os.listdir(folder):
        try:
            found.append(re.sub(r"\d+", "N", os.readlink(os.path.join(folder, n))))
        except FileNotFoundError:
            pass
    return sorted(found)


def children(pid):
    with open("/proc/%d/task/%d/children" % (pid, pid), encoding="ascii") as f:
        return sorted(map(int, f.read().split()))


def test_fifty_reloads_under_load_lose_nothing(bare):
    b = bare.login("alice")
    assert bare.verify("/api/crm/x", b).status == 200
    with Load(bare, b) as load:
        for _ in range(RELOADS_BEFORE):
            number = reload(bare)
        settled(bare, number)
        before = descriptors(bare.bffd.pid)
        for _ in range(RELOADS):
            asked = list(load.asked)
            assert reload(bare) == number + 1
            number += 1
            # Every thread has asked in this generation before the next one comes.
            eventually(lambda a=asked: load.wrong or all(n > o for n, o in zip(load.asked, a)), timeout_s=TIMEOUT_S,
                       what="an answer to each thread")
            assert not load.wrong, (load.wrong, bare.tails())
        settled(bare, number)
    assert not load.wrong, (load.wrong, bare.tails())
    assert load.reused > RELOADS, "connections were kept"
    assert descriptors(bare.bffd.pid) == before
    assert len(children(bare.bffd.pid)) == WORKERS
    if before is None:
        pytest.skip(ROOT_LOOKS)


def test_a_broken_file_changes_nothing(bare):
    b = bare.login("alice")
    with open(bare.config, encoding="utf-8") as f:
        good = f.read()
    at = good.count("\n") + 1
    workers, done = children(bare.bffd.pid), reloads_done(bare)
    before = descriptors(bare.bffd.pid)
    failed = bare.log("bffd").count("event=reload_failed")
    try:
        with open(bare.config, "a", encoding="utf-8") as f:
            f.write('no_such_section "x" { }\n')
        with Load(bare, b) as load:
            bare.bffd.send(signal.SIGHUP)
            eventually(lambda: bare.log("bffd").count("event=reload_failed") > failed, what="the refusal")
        assert not load.wrong, load.wrong
        line = next(x for x in reversed(bare.log("bffd").splitlines()) if "event=reload_failed" in x)
        assert "%s:%d" % (bare.config, at) in line and "no_such_section" in line, line
        assert "serving_generation=%d" % (done[-1] if done else 1) in line
        assert children(bare.bffd.pid) == workers
        assert reloads_done(bare) == done
        eventually(lambda: descriptors(bare.bffd.pid) == before, what="as many descriptors as before")
        assert bare.verify("/private/", b).status == 200
    finally:
        with open(bare.config, "w", encoding="utf-8") as f:
            f.write(good)
    reload(bare)  # the repaired file is taken
    assert bare.verify("/api/crm/x", b).status == 200
    if before is None:
        pytest.skip(ROOT_LOOKS)


def test_workers_of_another_file_than_the_brokers(bare):
    """What needs no broker goes on, also with a service's token that a worker has; the rest is 503 config_skew, logged
    on both sides, until the master reads the file."""
    b = bare.login("alice")  # had no token yet
    skewed = [bare.log(name).count("config_skew") for name in ("broker", "bffd")]
    with open(bare.config, encoding="utf-8") as f:
        good = f.read()
    try:
        with open(bare.config, "a", encoding="utf-8") as f:
            f.write('service "later" { provider = "idp" grant = session }\n'
                    'route "later" { app = "demo" path = "/api/later/" service = "later" }\n')
        bare.stop_broker()
        bare.start_broker()
        eventually(lambda: bare.log("broker").count("event=config_skew") > skewed[0], what="the broker's complaint")

        def complains():
            """503 at once: until a worker has met the broker it misses it."""
            got = bare.verify("/api/crm/x", b)
            assert (got.status, got.header("Retry-After") is not None) == (503, True), got
            assert not got.all("Set-Cookie")
            return bare.log("bffd").count("reason=config_skew") > skewed[1]

        eventually(complains, what="the worker's complaint")
        assert bare.verify("/private/", b).status == 200
        reload(bare)
        assert bare.verify("/api/later/x", b).status == 200
        assert bare.verify("/api/crm/x", b).status == 200
    finally:
        with open(bare.config, "w", encoding="utf-8") as f:
            f.write(good)
    reload(bare)
    assert bare.verify("/api/crm/x", b).status == 200
