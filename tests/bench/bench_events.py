#!/usr/bin/python3
"""Session events: what open streams cost a worker, and whether verify notices.

    make bench BENCH=events [BENCH_STREAMS=1000]

Two workers answer verify in turn, each with a load of its own; one of them has that many streams open, one for each
session that is asked about. The ratio is of CPU for a request, round by round: 1 is no difference. Then nobody asks:
CPU of a stream for a second, the worker's less that of the one without any. Memory is what as many streams more add.
"""
import os
import resource
import time

from figures import Figures
from load import BIN, FILES, ROUNDS, SECONDS, interleaved, private_bytes
from rig import HOST, Rig
from port import free_port
from sse import Stream

STREAMS = int(os.environ.get("BENCH_STREAMS", "1000"))
KIB = 2 ** 10


def open_streams(cookies, port):
    with open(cookies, encoding="ascii") as f:
        return [Stream(port, HOST, line.strip()).live() for line in f]


def idle_us(server):
    before, begun = server.cpu_ns(), time.monotonic()
    time.sleep(2 * SECONDS)
    return (server.cpu_ns() - before) / 1000 / (time.monotonic() - begun)


def main():
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES))
    figures = Figures("events")
    with Rig() as rig:
        rig.sessions(STREAMS)
        cookies, head, public = rig.cookies(STREAMS), rig.head(), free_port()
        without = rig.ours("without", rig.first(cookies))
        with_them = rig.ours("with", rig.first(cookies), public=public)
        pairs = {"without": (without, rig.load(without.port, head, cookies=cookies)),
                 "with": (with_them, rig.load(with_them.port, head, cookies=cookies))}
        interleaved(pairs, rounds=1)  # memory is full
        streams = open_streams(cookies, public)
        before = private_bytes(with_them.pids()[0])  # the first have what was free of the heap
        more = open_streams(cookies, public)
        figures.measure("events_stream", (private_bytes(with_them.pids()[0]) - before) / STREAMS, "bytes", most=4 * KIB)
        for s in more:
            s.close()
        cpu = interleaved(pairs)
        figures.measure("events_verify_cpu", [a / b for a, b in zip(cpu["with"], cpu["without"])], "ratio", most=1.05)
        idle = [(idle_us(with_them) - idle_us(without)) / STREAMS for _ in range(ROUNDS)]
        figures.measure("events_idle_cpu", idle, "us/s")
        for s in streams:
            s.close()
    figures.write(program=BIN)


if __name__ == "__main__":
    main()
