#!/usr/bin/python3
"""SIGHUP again and again under load: no failed request, no growth.

    make bench BENCH=reload [RELOADS=1000]

Two loads at a rate go on meanwhile: connections that stay, and one a request. A request that was sent and has no
whole answer of 200 failed. Descriptors and memory of the master and the broker are taken after WARM_RELOADS and at the
end, each time when the old workers are gone.
"""
import os
import signal
import threading
import time

from figures import Figures
from load import BIN, Tail, anonymous_bytes, children, descriptors
from rig import Rig, eventually

RELOADS = int(os.environ.get("RELOADS", "1000"))
KEPT_RATE, FRESH_RATE = 2000, 200
WORKERS = 2
LOOKS, LOOK_S = 5, 0.2
NOISE_BYTES = 256 * 1024  # what an allocator keeps, now more, now less
WARM_RELOADS = 50


class Steady:
    """A load that goes on, in rounds, until it is stopped."""

    def __init__(self, load):
        self.load, self.stopping = load, threading.Event()
        self.requests = self.failed = self.worst_us = 0
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        while not self.stopping.is_set():
            got = self.load.run(clean=False)
            self.requests += got["requests"] + got["errors"]
            self.failed += got["errors"] + got["requests"] - got["good"]
            self.worst_us = max(self.worst_us, got["max_us"])

    def stop(self):
        self.stopping.set()
        self.thread.join()


def held(rig, server):
    """Once the old workers are gone: {name: (descriptors, bytes)}."""
    eventually(lambda: len(children(server.process.pid)) == WORKERS, timeout_s=60, what="the end of the old workers")
    looks = {"master": [], "broker": []}
    for _ in range(LOOKS):  # the least: what is under way just now is not what stays
        for name, pid in (("master", server.process.pid), ("broker", rig.broker.pid)):
            looks[name].append((descriptors(pid), anonymous_bytes(pid)))
        time.sleep(LOOK_S)
    return {name: tuple(map(min, zip(*seen))) for name, seen in looks.items()}


def reload(server, log, count):
    for _ in range(count):
        os.kill(server.process.pid, signal.SIGHUP)
        log.wait("event=reload_done")


def main():
    figures = Figures("reload")
    with Rig() as rig:
        rig.start_broker()
        rig.sessions(1000)
        cookies = rig.cookies(1000)
        server = rig.ours("reloaded", rig.first(cookies), workers=WORKERS)
        log = Tail(rig.path("reloaded.log"))
        kept = Steady(rig.load(server.port, rig.head(), cookies=cookies, rate=KEPT_RATE))
        fresh = Steady(rig.load(server.port, rig.head(more="Connection: close\r\n"), cookies=cookies, rate=FRESH_RATE,
                                once=True, connections=16))
        warm = min(WARM_RELOADS, (RELOADS + 1) // 2)
        try:
            reload(server, log, warm)
            before = held(rig, server)
            reload(server, log, RELOADS - warm)
            after = held(rig, server)
        finally:
            log.close()
            kept.stop()
            fresh.stop()
    figures.measure("reloads", RELOADS, "reloads")
    figures.measure("reload_requests", kept.requests + fresh.requests, "requests")
    figures.measure("reload_failed_kept", kept.failed, "requests", most=0)
    figures.measure("reload_failed_fresh", fresh.failed, "requests", most=0)
    figures.measure("reload_slowest", max(kept.worst_us, fresh.worst_us) / 1000, "ms")
    for name in before:
        figures.measure("reload_descriptors_%s" % name, after[name][0] - before[name][0], "more", most=0)
        figures.measure("reload_memory_%s" % name, after[name][1] - before[name][1], "bytes", most=NOISE_BYTES)
    figures.write(program=BIN)


if __name__ == "__main__":
    main()
