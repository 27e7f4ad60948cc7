#!/usr/bin/python3
"""The broker's token path: from memory, refreshes, memory, and 100,000 grants renewed in the background.

    make bench BENCH=broker [GRANTS=100000] [BENCH_SECONDS=2]

A real bff-broker on one core, a real PostgreSQL, a provider that plays a script in another process (over http, and over
https for cpu_per_refresh_tls), one client process (token_load) on the other core. Grants are put into the tables by
COPY, sealed by the broker's own code. How many requests waited for a provider is what the broker counted.
"""
import json
import os
import re
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request

from figures import Figures
from load import BIN, ROOT, cpu_ns, private_bytes
from rig import copy_grants, modulus  # which says where the modules below are

from broker import Broker
from ca import Authority
from port import free_port
from postgres import Postgres

GRANTS = int(os.environ.get("GRANTS", "100000"))
SECONDS = max(1, round(float(os.environ.get("BENCH_SECONDS", "2"))))
ON_DEMAND = 3000       # grants without a token: each request waits for its refresh
HOT = 1000             # sessions that the memory path is asked about
TOKEN_BYTES = 1200
TTL_S = 600            # renewed 60 to 75 s before the end
LATENCY_MS = 100
RATE = 500             # requests a second while the background works
RENEW_PER_S = 500      # for which the first tokens' ends are spread


def cpu_s(pid):
    return cpu_ns(pid) / 1e9


class Bench:
    """With an authority the provider is asked over https. `first` is the number of the first grant."""

    def __init__(self, figures, directory, pg, first=0, authority=None):
        self.figures, self.directory, self.pg, self.first = figures, directory, pg, first
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
                        self.issuer, str(TOKEN_BYTES),
                        *(str(s * 1000) for s in (TTL_S, left_min_s, left_max_s))],
                       check=True)
        self.first += count
        copy_grants(self.pg, made)
        return os.path.join(made, "secrets")

    def load(self, secrets, *arguments, wait=True):
        command = [BIN + "/bench/token_load", self.broker.socket, self.broker.digest().hex(), secrets, "demo", "own",
                   *(str(a) for a in arguments)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True,
                                   env=dict(os.environ, SLOW_MS=str(LATENCY_MS)),
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
        self.figures.measure("private_memory_base", base / 2 ** 20, "MiB", most=16)
        secrets = self.on_demand(pid, "cpu_per_refresh", 1)
        with open(secrets, "rb") as f, open(self.directory + "/hot", "wb") as hot:
            hot.write(f.read(32 * HOT))
        self.from_memory(pid)
        if GRANTS > 0:
            self.background(pid)
        self.broker.stop()
        said = re.findall(r"event=token_requests from_memory=(\d+) read=(\d+) waited=(\d+) renewed_ahead=(\d+)",
                          self.broker.log_text())[-1]
        requests = dict(zip(("from_memory", "read", "waited", "renewed_ahead"), map(int, said)))
        self.figures.measure("requests_that_waited", int(said[2]) - ON_DEMAND, "requests", most=0)
        return requests

    def on_demand(self, pid, name, budget_ms):
        secrets = self.grants(name, ON_DEMAND, 0, 0)
        before, cpu = self.stats()["refreshes"], cpu_s(pid)
        self.load(secrets, "once", 64)
        cpu = (cpu_s(pid) - cpu) / ON_DEMAND
        if self.stats()["refreshes"] - before != ON_DEMAND:
            raise SystemExit("not one refresh a grant")
        self.figures.measure(name, cpu * 1000, "ms", most=budget_ms)
        return secrets

    def from_memory(self, pid):
        self.load(self.directory + "/hot", "once", 64)
        cpu = cpu_s(pid)
        got = self.load(self.directory + "/hot", "burst", 512, SECONDS)
        cpu = (cpu_s(pid) - cpu) / got["answers"]
        self.figures.measure("token_requests_from_memory", got["answers"] / got["seconds"], "requests/s", least=100000)
        self.figures.measure("cpu_per_request_from_memory", cpu * 1e6, "us", most=10)

    def background(self, pid):
        spread = max(GRANTS // RENEW_PER_S, 30)
        secrets = self.grants("background", GRANTS, 120, 120 + spread)
        private = private_bytes(pid)
        self.load(secrets, "once", 256)
        each = (private_bytes(pid) - private) / GRANTS - TOKEN_BYTES
        self.figures.measure("memory_per_live_grant", each, "bytes", most=2048)
        before, begun, cpu = self.stats(), time.monotonic(), cpu_s(pid)
        seconds = spread + 90
        process = self.load(secrets, "paced", RATE, seconds, wait=False)
        while process.poll() is None and self.stats()["refreshes"] - before["refreshes"] < GRANTS:
            time.sleep(1)
        got = self.result(process)
        after = self.stats()
        renewed = after["refreshes"] - before["refreshes"]
        self.figures.measure("grants_renewed_in_background", renewed, "grants", least=GRANTS)
        self.figures.measure("refresh_tokens_sent_twice", after["repeated"], "refreshes", most=0)
        self.figures.measure("background_p99", got["p99_ms"], "ms")
        self.figures.measure("background_broker_busy", (cpu_s(pid) - cpu) / (time.monotonic() - begun), "cores")


def main():
    figures = Figures("broker")
    with tempfile.TemporaryDirectory(prefix="bff-bench-") as directory:
        os.chmod(directory, 0o755)
        with Postgres(settings={"shared_buffers": "512MB", "max_wal_size": "4GB"}) as pg:
            pg.migrate()
            with Bench(figures, directory, pg) as bench:
                requests = bench.run()
            with Bench(figures, directory, pg, bench.first, Authority(directory)) as bench:
                bench.run_tls()
    figures.write(requests=requests, program=BIN)


if __name__ == "__main__":
    main()
