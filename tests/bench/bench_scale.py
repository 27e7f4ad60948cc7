#!/usr/bin/python3
"""How the cost of a verify grows: with sessions in the table, and with connections.

    make bench BENCH=scale [BENCH_SESSIONS=1000000] [BENCH_CONNECTIONS=10000]

Sessions: databases of one cluster, with 1,000 sessions to BENCH_SESSIONS, and a bffd on each; 1,000 of them are asked
about, spread over the whole table. Without the cache, what is counted is the worker, and the worker and its
connections in PostgreSQL together, since the lookup is PostgreSQL's. What grows there are misses of cache and TLB in
the four pages of a lookup: nothing is read from disk. With huge pages most of that goes away, which is measured as well
where the machine has as many free as PostgreSQL wants (vm.nr_hugepages).
Connections: 1 to BENCH_CONNECTIONS that all ask, and one connection for each request, as an edge that keeps none makes
them. Rounds take turns; plots sessions.svg and connections.svg.
"""
import os
import re

from figures import Figures, plot
from load import BIN, WARM, interleaved, us_per_request
from rig import Rig

SESSIONS = int(os.environ.get("BENCH_SESSIONS", "1000000"))
CONNECTIONS = int(os.environ.get("BENCH_CONNECTIONS", "10000"))
ASKED = 1000  # sessions of a table that are asked about
CONNECTIONS_ASK = 64  # sessions, where it is about connections


def steps(first, last):
    """first, first * 10, … last."""
    found = [first]
    while found[-1] * 10 <= last:
        found.append(found[-1] * 10)
    return found


class WithDatabase:
    """A server whose share of PostgreSQL's CPU counts as its own."""

    def __init__(self, rig, server):
        self.rig, self.server = rig, server

    def cpu_ns(self):
        return self.server.cpu_ns() + self.rig.database_cpu_ns()


def free_huge_pages():
    with open("/proc/meminfo", encoding="ascii") as f:
        return int(re.search(r"HugePages_Free: +(\d+)", f.read()).group(1))


def sessions(figures, sizes, huge_pages="off"):
    """What a verify costs; returns how many huge pages PostgreSQL would take. `huge_pages` is in the figures' names."""
    of = "" if huge_pages == "off" else "huge_pages_"
    with Rig(shared_buffers="1GB", huge_pages=huge_pages) as rig:
        rig.pg.psql("alter database bff rename to bench_template", dbname="postgres")
        both, uncached, cached = {}, {}, {}
        for size in sizes:
            database = "bench_%d" % size
            rig.pg.psql("create database %s template bench_template" % database, dbname="postgres")
            rig.sessions(size, database)
            cookies = rig.cookies(min(size, ASKED), size)
            off = rig.ours("off-%d" % size, rig.first(cookies), database=database, session_cache="off")
            on = rig.ours("on-%d" % size, rig.first(cookies), database=database)
            both[size] = (WithDatabase(rig, off), rig.load(off.port, rig.head(), cookies=cookies))
            uncached[size] = (off, both[size][1])
            cached[size] = (on, rig.load(on.port, rig.head(), cookies=cookies))
            for server, load in (both[size], cached[size]):
                us_per_request(server, load, WARM)
        both, uncached, cached = interleaved(both), interleaved(uncached), interleaved(cached)
        for size in sizes:
            figures.measure("verify_uncached_and_db_%s%d" % (of, size), both[size], "us")
            figures.measure("verify_uncached_%s%d" % (of, size), uncached[size], "us")
            figures.measure("verify_cached_%s%d" % (of, size), cached[size], "us")
        for name, samples in (("sessions_growth", both), ("sessions_growth_uncached", uncached),
                              ("sessions_growth_cached", cached)):
            growth = [b / a for a, b in zip(samples[sizes[0]], samples[sizes[-1]])]
            figures.measure("%s_%s%d" % (name, of, sizes[-1]), growth, "ratio", most=1.1)
        return int(rig.pg.value("show shared_memory_size_in_huge_pages", dbname="postgres"))


def all_sessions(figures):
    sizes = steps(min(1000, SESSIONS), SESSIONS)
    wanted = sessions(figures, sizes)
    free = free_huge_pages()
    if free >= wanted:
        sessions(figures, [sizes[0], sizes[-1]], "on")
    else:
        print("# huge pages: %d free, %d wanted: not measured" % (free, wanted))
    plot("sessions", "CPU of a verify over sessions in the table", "sessions", "µs", {
        "read: worker + PostgreSQL": [(s, figures.value("verify_uncached_and_db_%d" % s)) for s in sizes],
        "read: worker": [(s, figures.value("verify_uncached_%d" % s)) for s in sizes],
        "cached: worker": [(s, figures.value("verify_cached_%d" % s)) for s in sizes]})


def connections(figures):
    counts = steps(1, CONNECTIONS)
    with Rig() as rig:
        rig.sessions(1000)
        # So few that memory has them all before what counts, however few connections ask.
        cookies, head = rig.cookies(CONNECTIONS_ASK, 1000), rig.head()
        ours = rig.ours("ours", rig.first(cookies))
        nginx = rig.nginx("nginx", rig.same_headers(ours, head, rig.first(cookies)))
        samples = {}
        for count in counts:  # one set of connections after the other: the ports of one machine are few
            pairs = {(who, count): (server, rig.load(server.port, head, cookies=cookies, connections=count))
                     for who, server in (("verify", ours), ("nginx", nginx))}
            for server, load in pairs.values():
                us_per_request(server, load, WARM)
            samples.update(interleaved(pairs))
            rig.close_loads()
        once = rig.head(more="Connection: close\r\n")
        closing = {who: (server, rig.load(server.port, once, cookies=cookies, once=True, connections=16))
                   for who, server in (("verify", ours), ("nginx", nginx))}
        for server, load in closing.values():  # closing all the others costs either server some 15 µs each, and now
            us_per_request(server, load, WARM)
        closing = interleaved(closing)
    for who in ("verify", "nginx"):
        for count in counts:
            figures.measure("%s_connections_%d" % (who, count), samples[who, count], "us")
    figures.measure("nginx_connection_a_request", closing["nginx"], "us")
    figures.measure("verify_connection_a_request", closing["verify"], "us")
    plot("connections", "CPU of a request over connections", "connections, all of which ask", "µs", {
        label: [(c, figures.value("%s_connections_%d" % (who, c))) for c in counts]
        for label, who in (("verify, cached", "verify"), ("nginx return 200", "nginx"))})


def main():
    figures = Figures("scale")
    all_sessions(figures)
    connections(figures)
    figures.write(program=BIN)


if __name__ == "__main__":
    main()
