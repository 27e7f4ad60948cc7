#!/usr/bin/python3
"""edge_headers - the samples in etc/edge name exactly the headers that a 200 of verify carries

The list is the default identity of etc/bff.conf and the fixed names in worker/identity.c. An edge that misses
one lets a client's own header of that name through to the services.
"""
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
OTHERS = ("Forwarded", "X-Forwarded-Uri", "X-Forwarded-Method", "X-Forwarded-Prefix", "X-Forwarded-Port",
          "X-Rewrite-URL", "X-Real-IP")  # samples that can strip these as well


def whole(*path):
    with open(os.path.join(ROOT, *path), encoding="utf-8") as f:
        return f.read()


def read(*path):
    return re.sub(r"^\s*#.*$", "", whole(*path), flags=re.M)


def contract():
    identity = re.search(r'identity "default" \{(.*?)^\}', read("etc", "bff.conf"), re.S | re.M).group(1)
    configured = re.findall(r'header "([^"]+)"', identity)
    fixed = re.findall(r'^#define [A-Z_]+ "(X-[A-Za-z-]+|Authorization|Cookie)"$', whole("worker", "identity.c"), re.M)
    if not configured or len(set(fixed)) < 6:
        raise SystemExit("edge_headers: cannot find the header list: %r %r" % (configured, fixed))
    return set(configured) | set(fixed)


def samples():
    """(where, the names there, what is theirs by another way)."""
    traefik = read("etc", "edge", "traefik", "bff.yml")
    listed = re.search(r"authResponseHeaders:\n((?:\s+- \S+\n)+)", traefik).group(1)
    yield "traefik/bff.yml: authResponseHeaders", re.findall(r"- (\S+)", listed), ()
    for sample in ("caddy/Caddyfile", "dev.Caddyfile"):
        caddy = read("etc", "edge", sample)
        yield sample + ": copy_headers", re.search(r"copy_headers (.*)", caddy).group(1).split(), ()
        stripped = [n for n in re.findall(r"request_header -(\S+)", caddy) if "*" not in n]
        # bff reads these two; copy_headers replaces them, and bff always answers both.
        yield sample + ": request_header -", [n for n in stripped if n not in OTHERS], ("Authorization", "Cookie")
    nginx = read("etc", "edge", "nginx", "bff.conf")
    server = re.split(r"^\s+location ", nginx, maxsplit=1, flags=re.M)[0]
    taken = dict(re.findall(r"auth_request_set \$(\w+)\s+\$upstream_http_(\w+);", server))
    names = re.findall(r"proxy_set_header (\S+)\s+\$(bff_\w+);", server)
    yield "nginx/bff.conf: proxy_set_header", [n for n, v in names
                                               if taken.get(v) == n.lower().replace("-", "_")], ()
    haproxy = read("etc", "edge", "haproxy", "haproxy.cfg")
    yield "haproxy/haproxy.cfg: lua.bff", re.search(r"lua\.bff \S+ (\S+)", haproxy).group(1).split(","), ()
    envoy = read("etc", "edge", "envoy", "envoy.yaml")
    written = {n.lower(): n for n in contract()}
    listed = re.search(r"allowed_upstream_headers:\s+patterns:\n((?:\s+- exact: \S+\n)+)", envoy).group(1)
    names = [written.get(n, n) for n in re.findall(r"exact: (\S+)", listed)]
    yield "envoy/envoy.yaml: allowed_upstream_headers", names, ()
    yield "envoy/envoy.yaml: remove", [n for n in re.findall(r"- remove: (\S+)", envoy)
                                       if n not in OTHERS], ("Authorization", "Cookie")
    readme = read("README.md")
    paragraph = re.search(r"On a 200 these headers(.*?)A service must", readme, re.S)
    if paragraph:
        yield "README.md", re.findall(r"`([A-Z][\w-]+)`", paragraph.group(1)), ()


def main():
    want, bad = contract(), 0
    for where, names, elsewhere in samples():
        got = set(names) | set(elsewhere)
        for name in sorted(want - got):
            print("edge_headers: %s: %s is missing" % (where, name))
            bad = 1
        for name in sorted(got - want):
            print("edge_headers: %s: %s is none of ours" % (where, name))
            bad = 1
        if len(names) != len(set(names)):
            print("edge_headers: %s: a name comes twice" % where)
            bad = 1
    return bad


if __name__ == "__main__":
    sys.exit(main())
