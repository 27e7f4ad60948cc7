#!/usr/bin/python3
"""From a revocation by psql's own statement to its refusal on every worker, next to a bare LISTEN client, under load.

    make bench BENCH=revocation [REVOCATIONS=300]

Two workers on one core carry 70 % of the requests they were seen to carry at most. revocation.c revokes one session
after the other; both times run from the sending of the statement, in one process: until the last of its connections was
refused, and until its own LISTEN connection heard. Each worker has one of these connections at least. After its refusal
no connection may be let in again.
"""
import hashlib
import os
import subprocess

from figures import Figures
from load import BIN, LOAD_CORE, WARM, descriptors, on_core
from rig import Rig, client_environment

REVOCATIONS = int(os.environ.get("REVOCATIONS", "300"))
OTHERS = 1000  # sessions of the load, which stay
WORKERS, ASKERS, SHARE = 2, 4, 0.7
TRIES = 50


def quantile(values, q):
    return sorted(values)[min(len(values) - 1, int(len(values) * q))]


def asker(rig, server, head):
    """revocation.c, waiting for its line, with connections to every worker: which of them accepts is chance."""
    lines = []
    for n in range(OTHERS + 1, OTHERS + REVOCATIONS + 1):
        lines.append("bench-%d\t%s\n" % (n, rig.cookie(hashlib.sha256(b"bench%d" % n).digest())))
    command = [BIN + "/bench/revocation", rig.pg.conninfo(user="postgres"), str(server.port), head,
               rig.private("revoked", "".join(lines)), str(ASKERS)]
    for _ in range(TRIES):  # connections that are still being closed can but hide new ones
        before = {pid: descriptors(pid) for pid in server.pids()}
        process = subprocess.Popen(on_core(LOAD_CORE, command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                   env=client_environment())
        if process.stdout.readline() != "ready\n":
            raise SystemExit("revocation ended with %d" % process.wait())
        if all(descriptors(pid) > n for pid, n in before.items()):
            return process
        process.communicate()
    raise SystemExit("no connection to each of %d workers" % WORKERS)


def revoked(process):
    said = process.communicate("go\n")[0]
    if process.returncode != 0:
        raise SystemExit("revocation ended with %d" % process.returncode)
    return [tuple(int(n) / 1000 for n in line.split()) for line in said.splitlines()]


def under_load(figures, rig, cache):
    cookies, head = rig.cookies(OTHERS), rig.head()
    server = rig.ours("revoked-" + cache, rig.first(cookies), workers=WORKERS, session_cache=cache)
    load = rig.load(server.port, head, cookies=cookies)
    load.run(WARM)
    got = load.run()
    rate = SHARE * got["requests"] / got["seconds"]
    rig.close_loads()
    load = rig.load(server.port, head, cookies=cookies, rate=rate)
    process = asker(rig, server, head)
    load.start(REVOCATIONS * 0.02 + 1)
    pairs = revoked(process)
    load.result()
    figures.measure("revocation_load_rate", rate, "requests/s")
    listener = [heard for _, heard in pairs]
    refused = [last for last, _ in pairs]
    for name, values in (("listen_client", listener), ("refused", refused)):
        for label, q in (("p50", 0.5), ("p99", 0.99)):
            most = 2 * quantile(listener, q) if (name, label) == ("refused", "p99") else None
            figures.measure("revocation_%s_%s" % (name, label), quantile(values, q), "ms", most=most)


def main():
    figures = Figures("revocation")
    with Rig() as rig:
        rig.sessions(OTHERS + REVOCATIONS)
        under_load(figures, rig, "on")
    figures.write(program=BIN)


if __name__ == "__main__":
    main()
