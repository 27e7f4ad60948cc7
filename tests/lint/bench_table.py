#!/usr/bin/python3
"""bench_table - README.md's figures are those of tests/bench/results, which a run of `make bench` made

    tests/lint/bench_table.py --take        takes the last run's JSON and plots from build/bench, and writes README.md
    tests/lint/bench_table.py --write       writes README.md
"""
import json
import os
import re
import shutil
import sys
import xml.etree.ElementTree

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
README = os.path.join(ROOT, "README.md")
RUN = os.path.join(ROOT, "build", "bench")
RESULTS = os.path.join(ROOT, "tests", "bench", "results")
BETWEEN = re.compile(r"(?<=<!-- bench -->\n).*?(?=<!-- /bench -->)", re.S)
PLOTS = ("sessions", "connections")
# Title of a table, and its rows: part and measure, what it says. A measure that no run has is left out.
TABLES = (
    ("CPU of one request, 64 connections, the same response headers from nginx", (
        ("verify", "verify_cached_cpu", "verify, session in memory"),
        ("verify", "verify_cached_token_cpu", "verify, session in memory, a service's token injected"),
        ("verify", "verify_cached_token_few_cpu", "the same with 64 sessions, which stay in the processor's cache"),
        ("verify", "nginx_return_200_token_cpu", "nginx `return 200` with the headers of that answer"),
        ("verify", "nginx_return_200_cpu", "nginx `return 200` with the headers of an answer without a token"),
        ("verify", "verify_cached_token_over_nginx", "ratio of verify with a token to nginx's"),
        ("verify", "verify_cached_token_few_over_nginx", "ratio of the same with 64 sessions to nginx's"),
        ("verify", "verify_cached_over_nginx", "ratio of verify without a token to nginx's"),
        ("verify", "verify_uncached_cpu", "verify, session read from PostgreSQL each time"),
        ("verify", "lookup_worker_cpu", "of that, the worker's share for the lookup; budget: pgbench's, pipelined"),
        ("verify", "verify_garbage_cookie_cpu", "a cookie that is not ours, refused"),
        ("verify", "verify_cached_tls_cpu", "verify over TLS, session in memory"),
        ("verify", "nginx_return_200_tls_cpu", "nginx `return 200` over TLS"),
        ("scale", "verify_connection_a_request", "verify, a connection for each request"),
        ("scale", "nginx_connection_a_request", "nginx `return 200`, a connection for each request"),
        ("peers", "mod_auth_openidc_cpu", "mod_auth_openidc 2.4.12, sessions in its shared memory"),
        ("peers", "oauth2_proxy_cookie_cpu", "oauth2-proxy 7.15, sessions in the cookie"),
        ("peers", "oauth2_proxy_redis_cpu", "oauth2-proxy 7.15, sessions in Redis (without Redis's own)"),
        ("verify", "syscalls_cached_token_no_wait", "system calls of a verify, but for epoll_wait"))),
    ("What asking us adds to a request through the edge, edge and worker together", (
        ("edges", "edge_traefik_added_cpu", "Traefik, CPU"),
        ("edges", "edge_traefik_added_p50", "Traefik, median latency"),
        ("edges", "edge_caddy_added_cpu", "Caddy, CPU"), ("edges", "edge_caddy_added_p50", "Caddy, median latency"),
        ("edges", "edge_nginx_added_cpu", "nginx, CPU"), ("edges", "edge_nginx_added_p50", "nginx, median latency"))),
    ("Memory, private", (
        ("memory", "worker_base", "a worker"), ("memory", "cached_session", "a session in a worker's memory"),
        ("memory", "idle_connection", "an idle connection"), ("memory", "broker_base", "the broker"),
        ("memory", "grant_in_broker", "a live grant in the broker, tokens aside"))),
    ("Growth, and what goes on under load", (
        ("scale", "sessions_growth_1000000", "verify and PostgreSQL with 1,000,000 sessions in the table, over 1,000"),
        ("revocation", "revocation_refused_p99", "revoked by SQL until refused on every worker, 70 % load, p99; "
         "budget: twice a bare LISTEN client's"),
        ("reload", "reloads", "reloads under load"),
        ("reload", "reload_failed_kept", "requests that failed meanwhile, kept connections"),
        ("reload", "reload_failed_fresh", "requests that failed meanwhile, new connections"),
        ("flood", "flood_garbage_cookies_p99",
         "p99 of good requests beside as many garbage cookies, over that without"))),
    ("The broker, a provider that plays a script over loopback", (
        ("broker", "token_requests_from_memory", "tokens answered from memory"),
        ("broker", "cpu_per_refresh", "CPU of a refresh"),
        ("broker", "cpu_per_refresh_tls", "CPU of a refresh over TLS"),
        ("broker", "grants_renewed_in_background", "grants renewed while 500 requests a second came"),
        ("broker", "requests_that_waited", "requests that waited for one of them"))),
)


def results():
    """{part: what its JSON says}; every measure of the right shape, and all of one commit."""
    found = {}
    for name in sorted(os.listdir(RESULTS)) if os.path.isdir(RESULTS) else ():
        if name.endswith(".json"):
            with open(os.path.join(RESULTS, name), encoding="ascii") as f:
                part = json.load(f)
            for measure in part["measures"].values():
                if set(measure) != {"value", "unit", "budget", "ok", "samples"}:
                    raise ValueError("%s: not the JSON of a run" % name)
            found[name[:-5]] = part
    if len({part["machine"]["commit"] for part in found.values()}) > 1:
        raise ValueError("results of more than one commit")
    return found


def number(value, unit):
    from figures import plain  # pylint: disable=import-outside-toplevel
    text = plain(value)
    return "{:,}".format(int(text)) if re.fullmatch(r"\d{4,}", text) else text + (" µs" if unit == "us" else "")


def row(measure, text):
    unit = "" if measure["unit"] in ("us", "ratio", "more", "requests", "reloads", "grants") else " " + measure["unit"]
    value, samples = number(measure["value"], measure["unit"]) + unit, measure["samples"]
    if len(samples) > 1:
        value += " (%s to %s)" % tuple(number(s, "") for s in (min(samples), max(samples)))
    budget = "" if measure["budget"] is None else number(measure["budget"], measure["unit"]) + unit
    return "| %s | %s | %s%s |" % (text, value, budget, "" if measure["ok"] else ", **over**")


def table(found):
    lines = []
    if found:
        loads = [part["machine"]["load"] for part in found.values()]
        machine = {**next(iter(found.values()))["machine"], "least": min(loads), "most": max(loads)}
        lines += ["`make bench` at %(commit)s on %(cores)d cores of %(cpu)s, servers on one and load on the other; the "
                  "load average before a part was %(least).1f to %(most).1f. Medians of the rounds, with the least and "
                  "the most." % machine, ""]
    for title, rows in TABLES:
        rows = [row(found[part]["measures"][name], text) for part, name, text in rows
                if name in found.get(part, {"measures": {}})["measures"]]
        if rows:
            lines += ["| %s | value | budget |" % title, "|---|---|---|", *rows, ""]
    lines += ["![%s](tests/bench/results/%s.svg)" % (p, p) for p in PLOTS
              if os.path.exists(os.path.join(RESULTS, p + ".svg"))]
    return "\n".join(lines).rstrip("\n") + "\n"


def take():
    os.makedirs(RESULTS, exist_ok=True)
    for name in os.listdir(RUN):
        if name.endswith((".json", ".svg")):
            shutil.copy(os.path.join(RUN, name), RESULTS)


def main(arguments):
    sys.dont_write_bytecode = True
    sys.path[:0] = [os.path.join(ROOT, "tests", "bench")]
    if arguments == ["--take"]:
        take()
    with open(README, encoding="utf-8") as f:
        text = f.read()
    if len(BETWEEN.findall(text)) != 1:
        raise SystemExit("bench_table: README.md has no place for the figures")
    for plot in PLOTS:
        if "results/%s.svg" % plot in text:
            xml.etree.ElementTree.parse(os.path.join(RESULTS, plot + ".svg"))
    want = BETWEEN.sub(lambda _: table(results()), text)
    if arguments in (["--write"], ["--take"]):
        with open(README, "w", encoding="utf-8") as f:
            f.write(want)
    elif want != text:
        print("bench_table: README.md differs; run tests/lint/bench_table.py --write")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
