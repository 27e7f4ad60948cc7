"""The edges, each started from its sample in etc/edge/ as it stands.

    Edge("caddy", directory, port=8080, hosts=["app.localhost"], verify=7080, public=7081,
         services=(crm.port, orders.port, page.port)).start()

What is replaced in a sample is the short list of _pairs() and nothing else: the names and addresses
of the example. A string that the sample no longer holds is an error.
"""
import os
import re
import shutil
import time

import browser
import cache
from process import Process, READY_TIMEOUT_S

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SAMPLES = os.path.join(ROOT, "etc", "edge")
KINDS = ("traefik", "caddy", "nginx", "haproxy", "envoy")
DEV = "dev"  # dev.Caddyfile: localhost, the first service, and the last one as the bundler's dev server
FETCHED = ("traefik", "envoy")  # Debian has the others


def substitute(text, pairs):
    """Each key replaced by its value, in one pass, the longest key first."""
    for key in pairs:
        if key not in text:
            raise AssertionError("the sample no longer holds %r" % key)
    keys = sorted(pairs, key=len, reverse=True)
    if not keys:
        return text
    return re.sub("|".join(re.escape(k) for k in keys), lambda m: pairs[m.group()], text)


def missing(kind):
    """Why this edge cannot be had here, or None."""
    try:
        _program(kind)
    except cache.Missing as why:
        return str(why)
    return None


def _program(kind):
    if kind in FETCHED:
        return {"traefik": cache.traefik, "envoy": cache.envoy}[kind]()
    name = "caddy" if kind == DEV else kind
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise cache.Missing("no %s on this machine" % name)
    return found


class Edge:
    def __init__(self, kind, directory, port, hosts, verify, public, services, more=()):
        self.kind, self.directory, self.port, self.hosts = kind, directory, port, list(hosts)
        self.more = dict(more)  # further replacements in the sample
        self.addresses = {"127.0.0.1:7080": verify, "127.0.0.1:7081": public}
        if kind == DEV:
            self.addresses.update({"127.0.0.1:3000": services[0], "127.0.0.1:5173": services[-1]})
        else:
            self.addresses.update({"127.0.0.1:%d" % (8080 + n): port for n, port in enumerate(services)})
        self.log = os.path.join(directory, kind + ".log")
        self.process = None

    def _addresses(self):
        return {k: "127.0.0.1:%d" % v for k, v in self.addresses.items()}

    def _pairs(self):
        """What each sample has of the example, and what we put there."""
        if self.kind == "nginx":
            return {"bff.conf": {"listen 80;": "listen 127.0.0.1:%d;" % self.port,
                                 "server_name app.example.com;": "server_name %s;" % " ".join(self.hosts),
                                 **self._addresses()}}
        if self.kind == DEV:
            return {"dev.Caddyfile": {"http://localhost:8080 {": "http://localhost:%d {" % self.port, **self._addresses()}}
        if self.kind == "caddy":
            sites = ", ".join("http://%s:%d" % (h, self.port) for h in self.hosts)
            return {"Caddyfile": {"\nhttp://app.example.com:80": "\n" + sites, **self._addresses()}}
        if self.kind == "haproxy":
            return {"bff.lua": {},
                    "haproxy.cfg": {"bind :80": "bind 127.0.0.1:%d" % self.port, **self._addresses(),
                                    "/etc/haproxy/bff.lua": os.path.join(self.directory, "bff.lua")}}
        if self.kind == "envoy":
            addresses = {"address: 127.0.0.1, port_value: " + k.split(":")[1]: "address: 127.0.0.1, port_value: %d" % v
                         for k, v in self.addresses.items()}
            verify = "127.0.0.1:7080"
            return {"envoy.yaml": {"0.0.0.0, port_value: 80 ": "127.0.0.1, port_value: %d " % self.port,
                                   "http://" + verify: "http://127.0.0.1:%d" % self.addresses[verify], **addresses}}
        hosts = " || ".join("Host(`%s`)" % h for h in self.hosts)
        return {"traefik.yml": {'":80"': '"127.0.0.1:%d"' % self.port,
                                '"/etc/traefik/bff.yml"': '"%s"' % os.path.join(self.directory, "bff.yml")},
                "bff.yml": {"Host(`app.example.com`)": "(%s)" % hosts, **self._addresses()}}

    def _write(self):
        unused = set(self.more)
        for name, pairs in self._pairs().items():
            with open(os.path.join(SAMPLES, "" if self.kind == DEV else self.kind, name), encoding="utf-8") as f:
                text = f.read()
            here = {k: v for k, v in self.more.items() if k in text}
            unused -= set(here)
            with open(os.path.join(self.directory, name), "w", encoding="utf-8") as f:
                f.write(substitute(text, {**pairs, **here}))
        if unused:
            raise AssertionError("the sample no longer holds %r" % unused)

    def _own(self, name, text):
        path = os.path.join(self.directory, name)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return path

    def _command(self):
        at = self.directory
        if self.kind == "traefik":
            return [_program("traefik"), "--configfile=" + os.path.join(at, "traefik.yml")]
        if self.kind == DEV:
            return [_program(DEV), "run", "--adapter", "caddyfile", "--config", os.path.join(at, "dev.Caddyfile")]
        if self.kind == "caddy":
            own = self._own("main.caddy", "{\n\tadmin off\n\tdefault_bind 127.0.0.1\n}\nimport %s\n"
                            % os.path.join(at, "Caddyfile"))
            return [_program("caddy"), "run", "--adapter", "caddyfile", "--config", own]
        if self.kind == "haproxy":
            return [_program("haproxy"), "-db", "-f", os.path.join(at, "haproxy.cfg")]
        if self.kind == "envoy":
            return [_program("envoy"), "--config-path", os.path.join(at, "envoy.yaml"), "--disable-hot-restart",
                    "--concurrency", "1", "--log-level", "warning"]
        temporary = "".join("%s_temp_path %s/%s;\n" % (t, at, t) for t in
                            ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        user = "user www-data;\n" if os.geteuid() == 0 else ""  # else "nobody", who could be anybody
        own = self._own("nginx.conf", user + "daemon off;\nworker_processes 1;\npid %s/nginx.pid;\n"
                        "error_log %s warn;\nevents { worker_connections 1024; }\nhttp {\n"
                        "access_log off;\n%sinclude %s/bff.conf;\n}\n" % (at, self.log, temporary, at))
        return [_program("nginx"), "-c", own, "-p", at, "-e", self.log]

    def start(self):
        os.makedirs(self.directory, exist_ok=True)
        os.chmod(self.directory, 0o711)
        self._write()
        environment = {"XDG_DATA_HOME": self.directory, "XDG_CONFIG_HOME": self.directory,
                       "HOME": self.directory}
        self.process = Process(self.kind, self._command(), log=self.log, env=environment, cwd=self.directory)
        self.process.await_connection(("127.0.0.1", self.port))
        if self.kind == "traefik":
            self._await_routes()
        return self

    def _await_routes(self):
        """Traefik listens before it has read the file provider: asks until a route answers."""
        deadline = time.monotonic() + READY_TIMEOUT_S
        while time.monotonic() < deadline:
            answer = browser.raw(self.port, "GET", "/auth/health", [("Host", self.hosts[0])],
                                 timeout=READY_TIMEOUT_S)
            if answer.status != 404 or answer.header("Content-Type") != "text/plain; charset=utf-8":
                return
        raise self.process.fail("has no routes")

    def stop(self):
        if self.process is not None:
            self.process.stop()
            self.process = None
