#!/usr/bin/python3
"""CPU of one verify, next to nginx's empty answer, in one run.

    make bench [BENCH=verify] [SECONDS=5] [ROUNDS=3]

A real bffd with one worker and a real PostgreSQL on Unix sockets; nginx with one worker answers `return 200` with the
same response headers. wrk loads them in turn (interleaved, ROUNDS times); the CPU is what the kernel's
scheduler booked to the process (/proc/PID/schedstat), so the load generator and the database do not
count. One line a measure: name, value, unit, budget, ok or over.
"""
import base64
import hashlib
import hmac
import http.client
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "lib"))

from port import free_port  # noqa: E402
from postgres import Postgres  # noqa: E402

SECONDS = int(os.environ.get("SECONDS", "5"))
ROUNDS = int(os.environ.get("ROUNDS", "3"))
CONNECTIONS = 64
BIN = os.environ.get("BFF_BIN", os.path.join(ROOT, "build", "gcc"))

CONFIG = """
database {{ conninfo = "{conninfo}" web_password_file = "{d}/pw" broker_password_file = "{d}/pw" connections = 2 }}
web {{ workers = 1 cookie_keys = "{d}/cookie" }}
broker {{ socket = "{d}/broker.sock" peer_user = "{uid}" key_ring = "{d}/ring" }}
listen "verify" {{ kind = verify address = "127.0.0.1:{port}" edge = traefik trusted_peers = {{"127.0.0.1/32"}} }}
provider "idp" {{ issuer = "http://127.0.0.1:1" insecure_loopback = yes client_id = "bff" client_auth = client_secret_basic
	client_secret_file = "{d}/pw" signing_alg = RS256 scopes = {{openid}} keep_claims = {{email, name, groups}} }}
app "bench" {{ provider = "idp" origins = {{"http://app.localhost:8000"}} insecure_loopback = yes }}
identity "default" {{ header "X-User-ID" {{ claim = "subject" }} header "X-User-Email" {{ claim = "email" }}
	header "X-User-Name" {{ claim = "name" }} header "X-User-Groups" {{ claim = "groups" }} }}
route "all" {{ app = "bench" path = "/" }}
"""

NGINX = """
daemon off; worker_processes 1; pid {d}/nginx.pid; error_log {d}/nginx.log;
events {{ worker_connections 1024; }}
http {{ access_log off; keepalive_requests 100000000; client_body_temp_path {d}; proxy_temp_path {d}; fastcgi_temp_path {d};
	uwsgi_temp_path {d}; scgi_temp_path {d};
	server {{ listen 127.0.0.1:{port}; location / {{ {headers} return 200; }} }} }}
"""


def b64(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def private_file(path, text):
    with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="ascii") as f:
        f.write(text)


def cpu_ns(pid):
    with open("/proc/%d/schedstat" % pid, encoding="ascii") as f:
        return int(f.read().split()[0])


def child_of(pid):
    with open("/proc/%d/task/%d/children" % (pid, pid), encoding="ascii") as f:
        return int(f.read().split()[0])


def answer(port, headers):
    c = http.client.HTTPConnection("127.0.0.1", port)
    c.request("GET", "/auth/verify", headers=headers)
    r = c.getresponse()
    r.read()
    c.close()
    return r


def wait_for(port, headers, status):
    """The daemons say when they are ready; until the port answers the connection is simply refused."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            if answer(port, headers).status == status:
                return
        except OSError:
            pass
        time.sleep(0.05)
    raise SystemExit("port %d never answered %d" % (port, status))


def load(port, headers):
    command = ["wrk", "-t1", "-c%d" % CONNECTIONS, "-d%ds" % SECONDS]
    for item in headers.items():
        command += ["-H", "%s: %s" % item]
    out = subprocess.run(command + ["http://127.0.0.1:%d/auth/verify" % port], check=True, text=True,
                         stdout=subprocess.PIPE).stdout
    if "Non-2xx" in out or "Socket errors" in out:
        raise SystemExit("wrk saw failures:\n" + out)
    return int(re.search(r"(\d+) requests in", out).group(1))


def measure(name, port, pid, headers, samples):
    before = cpu_ns(pid)
    requests = load(port, headers)
    samples.setdefault(name, []).append((cpu_ns(pid) - before) / requests / 1000)


def main():
    d = tempfile.mkdtemp(prefix="bff-bench-")
    os.chmod(d, 0o755)
    started = []
    try:
        with Postgres() as pg:
            run(d, pg, started)
    finally:
        for p in started:
            p.terminate()
            p.wait(40)
        shutil.rmtree(d, ignore_errors=True)


def run(d, pg, started):
    pg.migrate()
    key, secret = os.urandom(32), os.urandom(32)
    private_file(d + "/cookie", b64(key) + "\n")
    private_file(d + "/pw", "unused\n")
    private_file(d + "/ring", "1 %s\n" % b64(os.urandom(32)))
    ours, theirs = free_port(), free_port()
    with open(d + "/bff.conf", "w", encoding="ascii") as f:
        f.write(CONFIG.format(d=d, conninfo=pg.conninfo(), uid=os.getuid(), port=ours))
    pg.psql("select created from bff_private.session_create('\\x%s','bench','idp','http://127.0.0.1:1','u1','','u1',"
            "'u1@example.com','{\"email\":\"u1@example.com\",\"name\":\"U One\"}','',0,3600000,7200000,"
            "(extract(epoch from now())*1000)::int8,null,0,'\\x%s',null,null,null,null,'127.0.0.0/24','bench')"
            % (hashlib.sha256(secret).hexdigest(), os.urandom(16).hex()))
    head = "v1.%d.%s" % (time.time() // 86400, b64(secret))
    cookie = "bff_session=%s.%s" % (head, b64(hmac.digest(key, head.encode(), "sha256")[:16]))
    headers = {"X-Forwarded-Method": "GET", "X-Forwarded-Proto": "http", "X-Forwarded-Host": "app.localhost:8000",
               "X-Forwarded-Uri": "/index.html", "X-Forwarded-For": "127.0.0.1", "Cookie": cookie}
    log = open(d + "/bff.log", "wb")
    bffd = subprocess.Popen([BIN + "/bffd", "-c", d + "/bff.conf"], stderr=log)
    started.append(bffd)
    try:
        wait_for(ours, headers, 200)
    except SystemExit:
        print(open(d + "/bff.log", encoding="utf-8").read()[-2000:], file=sys.stderr)
        raise
    same = "".join('add_header %s "%s"; ' % (k, v.replace("$", "")) for k, v in answer(ours, headers).getheaders()
                   if k.lower() not in ("content-length", "connection", "date"))
    with open(d + "/nginx.conf", "w", encoding="ascii") as f:
        f.write(NGINX.format(d=d, port=theirs, headers=same))
    nginx = subprocess.Popen(["nginx", "-p", d, "-c", d + "/nginx.conf"], stderr=log)
    started.append(nginx)
    wait_for(theirs, headers, 200)
    worker, other = child_of(bffd.pid), child_of(nginx.pid)
    garbage = dict(headers, Cookie=cookie[:-4] + "AAAA", Accept="application/json")
    if answer(ours, garbage).status != 401:
        raise SystemExit("a forged cookie was not refused")
    samples = {}
    for _ in range(ROUNDS):
        measure("verify_uncached_cpu", ours, worker, headers, samples)
        measure("nginx_return_200_cpu", theirs, other, headers, samples)
    report(samples)


def report(samples):
    results = {}
    for name, values in samples.items():
        results[name] = {"median": statistics.median(values), "min": min(values), "max": max(values)}
        print("%s %.1f us/request (spread %.1f to %.1f) - ok" % (name, results[name]["median"], min(values), max(values)))
    ratio = results["verify_uncached_cpu"]["median"] / results["nginx_return_200_cpu"]["median"]
    print("verify_uncached_over_nginx %.2f ratio - ok" % ratio)
    os.makedirs(os.path.join(ROOT, "build", "bench"), exist_ok=True)
    with open(os.path.join(ROOT, "build", "bench", "verify.json"), "w", encoding="ascii") as f:
        json.dump(results, f, indent=1)


if __name__ == "__main__":
    main()
