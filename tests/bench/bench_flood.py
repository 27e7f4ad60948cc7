#!/usr/bin/python3
"""Bad input costs no more than good: what a flood does to the latency of good requests.

    make bench BENCH=flood [FLOOD_RATE=2000]

Two loads go on side by side, each at FLOOD_RATE requests a second. The first is of good requests, and its latency is
what counts; the second is good in one round and bad in the next, in turn, so that the worker has as many requests in
either. What is measured is the first load's latency beside bad requests over the median of that beside good ones: 1 is
no difference. CPU: that of a bad request alone over that of a good one of its size alone. The log must not fill up
either: its lines in a round with bad requests, of which there are thousands.
"""
import os
import statistics

from figures import Figures
from load import BIN, CONNECTIONS, ROUNDS, us_per_request
from rig import HOST, Rig

RATE = int(os.environ.get("FLOOD_RATE", "2000"))
MOST = 1.2  # of the latency beside good requests
MOST_CPU = 1  # of a good request's
LINES = 160  # of a round: few in each of its seconds but the first two (common/log.h)
HEAD_BYTES = 8192


def floods(rig):
    """Name, how the second load is made; `size`: what makes a good request as long."""
    garbage = rig.garbage(1000)
    pad = "X-Pad: %s\r\n" % ("a" * (HEAD_BYTES - 1100))
    with open(rig.head(), encoding="ascii", newline="") as f:
        head = f.read()
    elsewhere = rig.private("elsewhere", head.replace("X-Forwarded-Host: " + HOST, "X-Forwarded-Host: unknown.example"))
    crooked = rig.private("crooked", head.replace("X-Forwarded-Uri: ", "X-Forwarded-Uri: /a/../"))
    malformed = rig.private("malformed", head.replace("Accept-Encoding", " folded"))
    yield "garbage_cookies", {"head": rig.head(), "cookies": garbage, "status": 401}
    yield "unknown_hosts", {"head": elsewhere, "cookies": garbage, "status": 403}
    yield "crooked_targets", {"head": crooked, "cookies": garbage, "status": 400}
    yield "long_heads", {"head": rig.head(more=pad), "cookies": garbage, "status": 401, "size": pad}
    yield "malformed_heads", {"head": malformed, "cookies": garbage, "status": 400, "once": True}


def side_by_side(first, second):
    """One round of both: the first's result."""
    second.start()
    first.start()
    got = first.result()
    second.result()
    return got


def lines(server):
    return server.process.log_text().count("\n")


def main():
    figures = Figures("flood")
    with Rig() as rig:
        rig.sessions(1000)
        cookies = rig.cookies(1000)
        server = rig.ours("flooded", rig.first(cookies))
        first = rig.load(server.port, rig.head(), cookies=cookies, rate=RATE)
        for name, how in floods(rig):
            size = how.pop("size", "")
            once = {"once": True} if how.get("once") else {}  # a connection for each request costs its own
            head = rig.head(more="Connection: close\r\n" if once else "")
            good = rig.load(server.port, head, cookies=cookies, rate=RATE, connections=CONNECTIONS, **once)
            sized = rig.load(server.port, rig.head(more=size), cookies=cookies, rate=RATE) if size else good
            bad = rig.load(server.port, rate=RATE, connections=CONNECTIONS, **how)
            latency, ratios, logged = {"p50": [], "p99": []}, {"p50": [], "p99": [], "cpu": []}, []
            for _ in range(ROUNDS):
                beside_good = side_by_side(first, good)
                before = lines(server)
                beside_bad = side_by_side(first, bad)
                logged.append(lines(server) - before)
                for which in ("p50", "p99"):
                    latency[which].append(beside_good[which + "_us"])
                    ratios[which].append(beside_bad[which + "_us"])
                ratios["cpu"].append(us_per_request(server, bad) / us_per_request(server, sized))
            for which, found in latency.items():
                ratios[which] = [us / statistics.median(found) for us in ratios[which]]
            for which, found in ratios.items():
                most = MOST_CPU if which == "cpu" else MOST
                figures.measure("flood_%s_%s" % (name, which), found, "ratio", most=most)
            figures.measure("flood_%s_log" % name, logged, "lines", most=LINES)
            rig.loads.remove(first)
            rig.close_loads()
            rig.loads.append(first)
    figures.write(program=BIN)


if __name__ == "__main__":
    main()
