#!/usr/bin/python3
"""The broker's token path: from memory, refreshes, memory, and 100,000 grants renewed in the background.

    make bench BENCH=broker [GRANTS=100000] [SECONDS=5]

A real bff-broker on one core, a real PostgreSQL, a provider that plays a script in another process (over http, and over
https for cpu_per_refresh_tls), one client process (token_load) on the other core. CPU is what the kernel's scheduler booked to the broker. Grants are put into the tables by
COPY, sealed by the broker's own code. How many requests waited for a provider is what the broker counted. One line a measure: name, value, unit, budget, ok or over; JSON in build/bench/broker.json.
"""
import base64
import json
import os
import re
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "lib"))
os.environ.setdefault("BFF_BIN", os.path.join(ROOT, "build", "gcc"))

from broker import Broker  # noqa: E402
from ca import Authority  # noqa: E402
from port import free_port  # noqa: E402
from postgres import Postgres, client_environment  # noqa: E402

BIN = os.environ["BFF_BIN"]
GRANTS = int(os.environ.get("GRANTS", "100000"))
SECONDS = int(os.environ.get("SECONDS", "5"))
ON_DEMAND = 3000       # grants without a token: each request waits for its refresh
HOT = 1000             # sessions that the memory path is asked about
TOKEN_BYTES = 1200
TTL_S = 600            # renewed 60 to 75 s before the end
LATENCY_MS = 100
RATE = 500             # requests a second while the background works
RENEW_PER_S = 500      # for which the first tokens' ends are spread
COLUMNS = {
    "session": "id_hash, ref, app, provider, issuer, sub, sid, subject, email, name, claims, acr, auth_time, created_at,"
               " absolute_expires_at, idle, grant_id, client, user_agent",
    "session_activity": "id_hash, last_seen, check_at",
    "grants": "grant_id, provider, issuer, sub, session_hash, refresh_sealed",
    "token": "grant_id, service, sealed, generation, expires_at",
}

results = {}


def plain(value):
    """Three digits that say something, and no exponent."""
    return "%.3g" % value if abs(value) < 999.5 else "%d" % float("%.3g" % value)


def report(name, value, unit, budget, over):
    results[name] = {"value": value, "unit": unit, "budget": budget, "ok": not over}
    print("%s %s %s budget %s - %s" % (name, plain(value) if isinstance(value, float) else value, unit, budget,
                                        "over" if over else "ok"), flush=True)


def modulus():
    key = subprocess.run(["openssl", "genrsa", "2048"], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    text = subprocess.run(["openssl", "rsa", "-noout", "-modulus"], input=key, check=True, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL).stdout.decode()
    return base64.urlsafe_b64encode(bytes.fromhex(text.strip().split("=")[1])).rstrip(b"=").decode()


def cpu_s(pid):
    with open("/proc/%d/schedstat" % pid, encoding="ascii") as f:
        return int(f.read().split()[0]) / 1e9


def private_bytes(pid):
    with open("/proc/%d/smaps_rollup" % pid, encoding="ascii") as f:
        return 1024 * sum(int(line.split()[1]) for line in f if line.startswith("Private_"))


class Bench:
    """With an authority the provider is asked over https. `first` is the number of the first grant."""

    def __init__(self, directory, pg, first=0, authority=None):
        self.directory, self.pg, self.first = directory, pg, first
        self.issuer = "%s://127.0.0.1:%d" % ("https" if authority else "http", free_port())
        self.tls = authority and ssl.create_default_context(cafile=authority.path)
        self.provider = subprocess.Popen(
            [sys.executable, os.path.join(ROOT, "tests/bench/provider.py"), self.issuer, str(LATENCY_MS), str(TTL_S),
             str(TOKEN_BYTES), modulus(), *(authority.server if authority else ())], stdout=subprocess.PIPE, text=True)
        self.provider.stdout.readline()
        self.broker = Broker(pg, self.issuer, provider='ca_file = "%s"' % authority.path if authority else "")
        with open(self.broker.config, encoding="utf-8") as f:
            text = f.read()
        with open(self.broker.config, "w", encoding="utf-8") as f:  # the machine is full: late is not lost
            f.write(text.replace("database {", "database { query_timeout = 10s", 1))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.broker.__exit__()
        self.provider.kill()
        self.provider.wait()

    def stats(self):
        handlers = [urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=self.tls)]
        with urllib.request.build_opener(*handlers).open(self.issuer + "/stats") as f:
            return json.load(f)

    def grants(self, name, count, left_min_s, left_max_s):
        """Puts them into the tables; the path of their sessions' secrets."""
        made = os.path.join(self.directory, name)
        os.mkdir(made)
        subprocess.run([BIN + "/bench/grants", self.broker.directory + "/key-ring", made, str(self.first), str(count),
                        self.issuer, str(TOKEN_BYTES), str(TTL_S * 1000), str(left_min_s * 1000), str(left_max_s * 1000)],
                       check=True)
        self.first += count
        for table, columns in COLUMNS.items():
            copy = "\\copy bff_private.%s (%s) from '%s'" % (table, columns, os.path.join(made, table))
            subprocess.run(["psql", "-Xq", "-v", "ON_ERROR_STOP=1", "-c", copy, self.pg.conninfo(user="postgres")],
                           check=True, env=client_environment())
        self.pg.psql("analyze")
        return os.path.join(made, "secrets")

    def load(self, secrets, *arguments, wait=True):
        command = [BIN + "/bench/token_load", self.broker.socket, self.broker.digest().hex(), secrets, "demo", "own",
                   *(str(a) for a in arguments)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ, SLOW_MS=str(LATENCY_MS)),
                                   preexec_fn=lambda: os.sched_setaffinity(0, {os.cpu_count() - 1}))
        return self.result(process) if wait else process

    @staticmethod
    def result(process):
        out = process.communicate()[0]
        if process.returncode != 0:
            raise SystemExit("token_load failed")
        got = json.loads(out)
        if got["tokens"] != got["answers"]:
            raise SystemExit("not every answer was a token: %s" % out)
        return got

    def start(self):
        self.broker.start()
        self.broker.wait_log("event=sealing_key .*state=primary")
        self.broker.wait_log("event=provider_keys")
        os.sched_setaffinity(self.broker.process.pid, {0})
        return self.broker.process.pid

    def run_tls(self):
        self.on_demand(self.start(), "cpu_per_refresh_tls", 1)  # each has a connection and a handshake of its own
        self.broker.stop()

    def run(self):
        pid = self.start()
        base = private_bytes(pid)
        report("private_memory_base", base / 2 ** 20, "MiB", 16, base > 16 * 2 ** 20)
        secrets = self.on_demand(pid, "cpu_per_refresh", 1)
        with open(secrets, "rb") as f, open(self.directory + "/hot", "wb") as hot:
            hot.write(f.read(32 * HOT))
        self.from_memory(pid)
        if GRANTS > 0:
            self.background(pid)
        self.broker.stop()
        said = re.findall(r"event=token_requests from_memory=(\d+) read=(\d+) waited=(\d+) renewed_ahead=(\d+)",
                          self.broker.log_text())[-1]
        results["requests"] = dict(zip(("from_memory", "read", "waited", "renewed_ahead"), map(int, said)))
        waited = int(said[2]) - ON_DEMAND
        report("requests_that_waited", waited, "requests", 0, waited > 0)
        print("requests", results["requests"])

    def on_demand(self, pid, name, budget_ms):
        secrets = self.grants(name, ON_DEMAND, 0, 0)
        before, cpu = self.stats()["refreshes"], cpu_s(pid)
        self.load(secrets, "once", 64)
        cpu = (cpu_s(pid) - cpu) / ON_DEMAND
        if self.stats()["refreshes"] - before != ON_DEMAND:
            raise SystemExit("not one refresh a grant")
        report(name, cpu * 1000, "ms", budget_ms, cpu * 1000 > budget_ms)
        return secrets

    def from_memory(self, pid):
        self.load(self.directory + "/hot", "once", 64)
        cpu = cpu_s(pid)
        got = self.load(self.directory + "/hot", "burst", 512, SECONDS)
        cpu = (cpu_s(pid) - cpu) / got["answers"]
        rate = got["answers"] / got["seconds"]
        report("token_requests_from_memory", rate, "requests/s", 100000, rate < 100000)
        report("cpu_per_request_from_memory", cpu * 1e6, "us", 10, cpu > 10e-6)

    def background(self, pid):
        spread = max(GRANTS // RENEW_PER_S, 30)
        secrets = self.grants("background", GRANTS, 120, 120 + spread)
        private = private_bytes(pid)
        self.load(secrets, "once", 256)
        each = (private_bytes(pid) - private) / GRANTS - TOKEN_BYTES
        report("memory_per_live_grant", each, "bytes", 2048, each > 2048)
        before, begun, cpu = self.stats(), time.monotonic(), cpu_s(pid)
        seconds = spread + 90
        process = self.load(secrets, "paced", RATE, seconds, wait=False)
        while process.poll() is None and self.stats()["refreshes"] - before["refreshes"] < GRANTS:
            time.sleep(1)
        took = time.monotonic() - begun
        got = self.result(process)
        after = self.stats()
        renewed = after["refreshes"] - before["refreshes"]
        report("grants_renewed_in_background", renewed, "grants", GRANTS, renewed < GRANTS)
        report("refresh_tokens_sent_twice", after["repeated"], "refreshes", 0, after["repeated"] > 0)
        results["background"] = {"seconds": took, "p99_ms": got["p99_ms"], "max_ms": got["max_ms"],
                                 "broker_cpu_s": cpu_s(pid) - cpu}
        print("background_p99 %.2f ms, max %.2f ms, broker CPU %.0f s of %.0f s" % (
            got["p99_ms"], got["max_ms"], cpu_s(pid) - cpu, time.monotonic() - begun))


def main():
    with tempfile.TemporaryDirectory(prefix="bff-bench-") as directory:
        os.chmod(directory, 0o755)
        with Postgres(settings={"shared_buffers": "512MB", "max_wal_size": "4GB"}) as pg:
            pg.migrate()
            with Bench(directory, pg) as bench:
                bench.run()
            with Bench(directory, pg, bench.first, Authority(directory)) as bench:
                bench.run_tls()
    os.makedirs(os.path.join(ROOT, "build", "bench"), exist_ok=True)
    with open(os.path.join(ROOT, "build", "bench", "broker.json"), "w", encoding="ascii") as f:
        json.dump(results, f, indent=1)


if __name__ == "__main__":
    main()
