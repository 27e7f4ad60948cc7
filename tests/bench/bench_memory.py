#!/usr/bin/python3
"""Private memory (USS) of worker and broker, and what a connection, a cached session and a grant add.

    make bench BENCH=memory [BENCH_SESSIONS=50000] [BENCH_CONNECTIONS=5000] [BENCH_GRANTS=20000]

What is added is measured over as many as given and divided by them; the kernel's own memory is not counted, nor, of a
session with a token, the token's bytes.
"""
import os

from figures import Figures
from load import BIN, Load, private_bytes
from rig import TOKEN_BYTES, Rig

SESSIONS = int(os.environ.get("BENCH_SESSIONS", "50000"))
CONNECTIONS = int(os.environ.get("BENCH_CONNECTIONS", "5000"))
GRANTS = int(os.environ.get("BENCH_GRANTS", "20000"))
MIB, KIB = 2 ** 20, 2 ** 10


def ask_each(rig, server, head, cookies, count):
    """Each of the cookies once or more; PostgreSQL's CPU for a request, in µs."""
    before, done = rig.database_cpu_ns(), 0
    with Load(server.port, head, cookies=cookies, connections=64) as load:
        while done < count:
            done += load.run(0.25)["requests"]
    return (rig.database_cpu_ns() - before) / 1000 / done


def worker(figures, rig):
    few, many, head = rig.cookies(min(100, SESSIONS)), rig.cookies(SESSIONS), rig.head()
    server = rig.ours("worker", rig.first(few))
    pid = server.pids()[0]
    ask_each(rig, server, head, few, 2000)
    base = private_bytes(pid)
    figures.measure("worker_base", base / MIB, "MiB", most=8)
    ask_each(rig, server, head, many, SESSIONS)
    full = private_bytes(pid)
    again = ask_each(rig, server, head, many, SESSIONS)
    figures.measure("database_cpu_once_cached", again, "us", most=2)  # else the next figure is of no cache
    figures.measure("cached_session", (full - base) / SESSIONS, "bytes", most=KIB)
    with Load(server.port, head, cookies=few, connections=CONNECTIONS):  # each has asked once, and now waits
        figures.measure("idle_connection", (private_bytes(pid) - full) / CONNECTIONS, "bytes", most=4 * KIB)


def broker(figures, rig):
    rig.start_broker()
    base = private_bytes(rig.broker.pid)
    figures.measure("broker_base", base / MIB, "MiB", most=16)
    cookies, head = rig.grants(GRANTS), rig.head(uri="/own/x")
    server = rig.ours("worker-tokens", rig.first(cookies))
    pid = server.pids()[0]
    before = private_bytes(pid)
    ask_each(rig, server, head, cookies, GRANTS)
    for name, grown, most in (("grant_in_broker", private_bytes(rig.broker.pid) - base, 2 * KIB),
                              ("session_with_token_in_worker", private_bytes(pid) - before, KIB)):
        figures.measure(name, grown / GRANTS - TOKEN_BYTES, "bytes", most=most)


def main():
    figures = Figures("memory")
    with Rig() as rig:
        rig.sessions(SESSIONS)
        worker(figures, rig)
        broker(figures, rig)
    figures.write(program=BIN)


if __name__ == "__main__":
    main()
