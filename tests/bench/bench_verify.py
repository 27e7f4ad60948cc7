#!/usr/bin/python3
"""CPU of one verify, next to nginx's empty answer, in one run.

    make bench BENCH=verify [BENCH_SECONDS=2] [BENCH_ROUNDS=3]

A real bffd with one worker, a real broker and PostgreSQL; nginx with one worker answers `return 200` with the same
response headers. One C client (load.c) on another core keeps 64 connections busy with the cookies of 1,000 sessions;
the rounds take turns. pgbench runs the lookup in a pipeline, as many statements in one as the worker, on average, has
lookups in one statement.
What a lookup costs the worker is all that an uncached verify costs more than a cached one: the headers made of what was
read are in it, which memory spares, too. "bare" is the same on a route that tells its service nothing about the user.
"few" are as many sessions as connections: they stay in the processor's cache, as nginx's constant answer does.
"""
import collections
import os
import re
import shutil
import subprocess
import time

from figures import Figures
from load import BIN, CONNECTIONS, LOAD_CORE, ROOT, ROUNDS, SECONDS, WARM, interleaved, on_core, us_per_request
from rig import Rig, client_environment  # which says where the next two are
from postgres import bindir
from wait import eventually

SESSIONS = int(os.environ.get("BENCH_SESSIONS", "1000"))
SLICES = 4  # of a round, so that what is compared is near in time
NOISE = 1.02  # of a count of system calls: what is not the requests' is not quite even


# The worker's, for one session.
STATEMENT = "select bff_private.session_get(:hash)"


def lookups_a_transaction(rig, cookie, head, cookies):
    """How many the worker asks for at a time, under this load."""
    def connections():
        return int(rig.pg.value("select count(*) from pg_stat_activity where usename = 'bff_web'"))

    def commits():
        return int(rig.pg.value("select pg_stat_get_db_xact_commit(oid) from pg_database where datname = 'bff'"))

    others = connections()
    server = rig.ours("counted", cookie, session_cache="off")
    before, got = commits(), rig.load(server.port, head, cookies=cookies).run()
    server.stop()
    eventually(lambda: connections() == others, what="the end of its connections, and of their counting")
    return got["requests"] / (commits() - before)


def pgbench(rig, script, hash_hex, pipeline):
    """CPU that pgbench spends on a lookup: the program itself, not Debian's wrapper. On PostgreSQL's core, where
    it costs least and is steady."""
    process = subprocess.Popen(on_core(LOAD_CORE, [os.path.join(bindir(), "pgbench"), "-n", "-M", "prepared",
                                                   "-f", script, "-c", "2", "-T", "%d" % max(1, round(SECONDS)),
                                                   "-D", "hash=\\x" + hash_hex, rig.pg.conninfo(user="bff_web")]),
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=client_environment())
    said = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = status
    done = re.search(r"transactions actually processed: (\d+)", said)
    if status != 0 or done is None:
        raise SystemExit("pgbench failed:\n" + said)
    return (used.ru_utime + used.ru_stime) * 1e6 / (int(done.group(1)) * pipeline)


def traced(server, work):
    """What `work` returns, and {name: calls} of the server meanwhile, counted by strace."""
    pids = [word for pid in server.pids() for word in ("-p", str(pid))]
    tracer = subprocess.Popen(["strace", "-c", "-f", *pids], stderr=subprocess.PIPE, text=True)
    try:
        for pid in server.pids():
            while "TracerPid:\t0\n" in open("/proc/%d/status" % pid, encoding="ascii").read():
                if tracer.poll() is not None:
                    raise SystemExit("strace: " + tracer.stderr.read())
        done = work()
    finally:
        tracer.send_signal(2)
    table = re.findall(r"^ *[\d.]+ +[\d.]+ +\d+ +(\d+) +(?:\d+ +)?(\w+)$", tracer.communicate()[1], re.M)
    return done, collections.Counter({name: int(n) for n, name in table if name != "total"})


def system_calls(server, load):
    """{name: calls a request}, less what the server does in as long without one (the lease, timers)."""
    load.run()  # what memory let go of meanwhile is read again before the count
    got, calls = traced(server, load.run)
    _, idle = traced(server, lambda: time.sleep(got["seconds"]))
    calls.subtract({name: n for name, n in idle.items() if "epoll" not in name})
    return {name: n / got["requests"] for name, n in calls.items()}


def tls_pair(rig, cookie):
    """Ours and nginx on listeners with TLS, or None where this version has none."""
    from ca import Authority
    certificate, key = Authority(rig.directory).server
    with open(os.path.join(ROOT, "common", "config.def"), encoding="ascii") as f:
        if "OPT(listen, tls_certificate" not in f.read():
            return None
    ours = rig.ours("tls", cookie, tls=True, listen='tls_certificate = "%s" tls_key = "%s"' % (certificate, key))
    return ours, rig.nginx("nginx-tls", rig.same_headers(ours, rig.head(), cookie), (certificate, key))


def main():
    figures = Figures("verify")
    with Rig() as rig:
        rig.start_broker()
        rig.sessions(SESSIONS)
        plain, own = rig.cookies(SESSIONS), rig.grants(SESSIONS)
        head, head_own, cookie = rig.head(), rig.head(uri="/own/things?page=2"), rig.first(plain)
        head_bare = rig.head(uri="/bare/things?page=2")
        cached = rig.ours("cached", cookie, session_cache="on")
        uncached = rig.ours("uncached", cookie, session_cache="off")
        nginx = rig.nginx("nginx", rig.same_headers(cached, head, cookie))
        nginx_own = rig.nginx("nginx-own", rig.same_headers(cached, head_own, rig.first(own)))

        def pair(server, head_path, cookies, **more):
            return server, rig.load(server.port, head_path, cookies=cookies, tls=server.tls, **more)

        pairs = {"nginx_return_200": pair(nginx, head, plain), "verify_cached": pair(cached, head, plain),
                 "verify_cached_token": pair(cached, head_own, own),
                 "nginx_return_200_token": pair(nginx_own, head_own, own),
                 "verify_cached_token_few": pair(cached, head_own, rig.few(own, CONNECTIONS)),
                 "verify_uncached": pair(uncached, head, plain), "verify_uncached_token": pair(uncached, head_own, own),
                 "verify_cached_bare": pair(cached, head_bare, plain),
                 "verify_uncached_bare": pair(uncached, head_bare, plain),
                 "verify_garbage_cookie": pair(cached, head, rig.garbage(SESSIONS), status=401)}
        encrypted = tls_pair(rig, cookie)
        if encrypted:
            pairs["verify_cached_tls"] = pair(encrypted[0], head, plain)
            pairs["nginx_return_200_tls"] = pair(encrypted[1], head, plain)
        for server, load in pairs.values():
            us_per_request(server, load, WARM)
        together = lookups_a_transaction(rig, cookie, head_bare, plain)
        figures.measure("lookups_a_transaction", together, "lookups")
        pipeline = max(1, round(together))
        script = rig.private("lookup.sql", "\\startpipeline\n" + (STATEMENT + ";\n") * pipeline + "\\endpipeline\n")
        os.chmod(script, 0o644)
        one = rig.pg.value("select encode(id_hash, 'hex') from bff_private.session where ref = 'bench-1'")
        samples, lookups = {name: [] for name in pairs}, []
        for _ in range(ROUNDS):
            for name, values in interleaved(pairs, SLICES, SECONDS / SLICES).items():
                samples[name] += values
            lookups.append(pgbench(rig, script, one, pipeline))
        report(figures, samples, lookups)
        calls = {}
        if shutil.which("strace"):
            calls = system_calls(*pairs["verify_cached_token"])
            waits = sum(n for name, n in calls.items() if name.startswith("epoll_") and "wait" in name)
            figures.measure("syscalls_cached_token", sum(calls.values()), "calls")
            figures.measure("syscalls_cached_token_no_wait", sum(calls.values()) - waits, "calls", most=2 * NOISE)
    figures.write(program=BIN, calls=calls)


def report(figures, samples, lookups):
    for name, values in samples.items():
        if name.startswith("nginx"):
            figures.measure(name + "_cpu", values, "us")
    for name, values in samples.items():
        if not name.startswith("nginx"):
            most = {"verify_cached_token": figures.value("nginx_return_200_token_cpu"),
                    "verify_cached": figures.value("nginx_return_200_cpu")}.get(name)
            figures.measure(name + "_cpu", values, "us", most=most)
    for name, other in (("verify_cached", ""), ("verify_cached_token", "_token"),
                        ("verify_cached_token_few", "_token"), ("verify_uncached", ""),
                        ("verify_cached_tls", "_tls")):
        if name in samples:
            ratios = [a / b for a, b in zip(samples[name], samples["nginx_return_200" + other])]
            figures.measure(name + "_over_nginx", ratios, "ratio", most=1 if name == "verify_cached_token" else None)
    client = figures.measure("pgbench_lookup_client_cpu", lookups, "us")
    for kind, most in (("", client), ("_bare", None)):
        lookup = [a - b for a, b in zip(samples["verify_uncached" + kind], samples["verify_cached" + kind])]
        figures.measure("lookup_worker_cpu" + kind, lookup, "us", most=most)


if __name__ == "__main__":
    main()
