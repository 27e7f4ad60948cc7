#!/usr/bin/python3
"""End to end through an edge, with its question to us and without: what that adds.

    make bench BENCH=edges [BENCH_EDGES="traefik caddy nginx"]

Each edge runs its sample of etc/edge/ with our worker on the same core, and beside it a plain proxy of the same program
to the same service (nginx's `return 200`, on the other core). CPU is that of the edge and the worker together, with 64
connections; latency is the median with one. The route injects a service's token; the rounds take turns.
"""
import os
import shutil

from figures import Figures
from load import BIN, LOAD_CORE, SERVER_CORE, WARM, Server, children, interleaved, us_per_request
from rig import HOST, Rig, answer  # which says where the modules below are

import cache
from edge import Edge, missing
from port import free_port
from wait import eventually

KINDS = os.environ.get("BENCH_EDGES", "traefik caddy nginx").split()
NAME = HOST.split(":", 1)[0]
SESSIONS = 1000
REQUEST = """GET /own/things?page=2 HTTP/1.1\r
Host: {host}\r
User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r
Accept: application/json\r
Accept-Language: en-US,en;q=0.5\r
Cookie: @COOKIE@\r
Sec-Fetch-Dest: empty\r
Sec-Fetch-Mode: cors\r
Sec-Fetch-Site: same-origin\r
\r
"""
TRAEFIK = """
http:
  routers: {{ all: {{ rule: "Host(`{name}`)", service: all }} }}
  services: {{ all: {{ loadBalancer: {{ servers: [ {{ url: "http://127.0.0.1:{service}" }} ] }} }} }}
"""


def program(kind):
    return cache.traefik() if kind == "traefik" else shutil.which(kind, path=os.environ["PATH"] + ":/usr/sbin")


def pids_of(process, kind):
    return children(process.pid) if kind == "nginx" else [process.pid]


def plain(rig, kind, service):
    """The edge as nothing but a proxy."""
    if kind == "nginx":
        return rig.nginx("plain-nginx", "location / { proxy_pass http://127.0.0.1:%d; proxy_http_version 1.1; "
                         "proxy_set_header Connection ''; proxy_set_header Host $http_host; }" % service)
    port, home = free_port(), rig.path("plain-" + kind)
    os.mkdir(home)
    if kind == "caddy":
        config = rig.private("Caddyfile", "{\n\tadmin off\n\tdefault_bind 127.0.0.1\n}\nhttp://%s:%d {\n"
                             "\treverse_proxy 127.0.0.1:%d\n}\n" % (NAME, port, service))
        command = [program(kind), "run", "--adapter", "caddyfile", "--config", config]
    else:
        dynamic = rig.private("plain.yml", TRAEFIK.format(name=NAME, service=service))
        command = [program(kind), "--entryPoints.web.address=127.0.0.1:%d" % port, "--log.level=WARN",
                   "--providers.file.filename=" + dynamic]
    process = rig.start("plain-" + kind, command, env={"HOME": home, "XDG_DATA_HOME": home, "XDG_CONFIG_HOME": home})
    process.await_connection(("127.0.0.1", port))
    return Server(process, port, lambda: pids_of(process, kind))


def guarded(rig, kind, worker, service):
    """The sample, as the tests run it, on the servers' core."""
    before, port = os.sched_getaffinity(0), free_port()
    os.sched_setaffinity(0, {SERVER_CORE})
    try:
        edge = Edge(kind, rig.path("edge-" + kind), port, [NAME], worker.port, service, [service] * 3).start()
    finally:
        os.sched_setaffinity(0, before)
    rig.started.append(edge.process)
    return (Server(edge.process, port, lambda: pids_of(edge.process, kind)),
            Server(edge.process, port, lambda: pids_of(edge.process, kind) + worker.pids()))


def measure(figures, rig, kind, cookies, request, service):
    worker = rig.ours("worker-" + kind, rig.first(cookies), edge=kind)
    without = plain(rig, kind, service)
    with open(request, encoding="ascii", newline="") as f:
        head = f.read().replace("@COOKIE@", rig.first(cookies))
    eventually(lambda: answer(without.port, head).status == 200, what="its route")  # Traefik listens before it has one
    alone, both = guarded(rig, kind, worker, service)
    ports = {"plain": without.port, "auth": both.port}
    loads = {name: rig.load(port, request, cookies=cookies) for name, port in ports.items()}
    single = {name: rig.load(port, request, cookies=cookies, connections=1) for name, port in ports.items()}
    for name, server in (("plain", without), ("auth", both)):
        us_per_request(server, loads[name], WARM)
    samples = interleaved({"plain": (without, loads["plain"]), "auth": (both, loads["auth"])})
    latency = {"plain": [], "auth": []}
    for _ in samples["plain"]:
        for name, load in single.items():
            latency[name].append(load.run()["p50_us"])
    of_edge = us_per_request(alone, loads["auth"])
    figures.measure("edge_%s_plain_cpu" % kind, samples["plain"], "us")
    figures.measure("edge_%s_auth_cpu" % kind, samples["auth"], "us")
    figures.measure("edge_%s_auth_cpu_of_edge" % kind, of_edge, "us")
    figures.measure("edge_%s_added_cpu" % kind, [b - a for a, b in zip(samples["plain"], samples["auth"])], "us")
    figures.measure("edge_%s_plain_p50" % kind, latency["plain"], "us")
    figures.measure("edge_%s_auth_p50" % kind, latency["auth"], "us")
    figures.measure("edge_%s_added_p50" % kind, [b - a for a, b in zip(latency["plain"], latency["auth"])], "us")
    rig.close_loads()


def main():
    figures = Figures("edges")
    with Rig() as rig:
        rig.start_broker()
        cookies = rig.grants(SESSIONS)
        request = rig.private("request", REQUEST.format(host=HOST))
        service = rig.nginx("service", "location / { return 200; }", core=LOAD_CORE).port
        for kind in KINDS:
            why = missing(kind) if kind != "traefik" or cache.traefik_at_hand() else "the tests have not built it yet"
            if why:
                print("# edge %s left out: %s" % (kind, why))
                continue
            measure(figures, rig, kind, cookies, request, service)
    figures.write(program=BIN)


if __name__ == "__main__":
    main()
