"""Several edges in front of one bff: a Stack whose app has an origin behind each.

    with SideBySide(("caddy", "nginx")) as s:
        s.login(host=s.host("caddy"))
        s.url("/api/crm/", s.host("nginx"))

Each edge has a verify listener with its own profile; all share the browser-facing listener and the services.
"""
import os

from edge import Edge
from port import free_port
from stack import App, Stack

_LISTEN = """
listen "verify-{kind}" {{ kind = verify address = "127.0.0.1:{port}" edge = {kind} trusted_peers = {{"127.0.0.1/32"}} }}
"""


class SideBySide(Stack):
    def __init__(self, kinds, more="", extra="", **rest):
        self.at = {kind: free_port() for kind in kinds}
        self.asks = {kind: free_port() for kind in kinds}
        self.edges = []
        listens = "".join(_LISTEN.format(kind=kind, port=port) for kind, port in self.asks.items())
        super().__init__(edge=None, apps=[App("demo", [self.host(kind) for kind in kinds], more=more)],
                         extra=listens + extra, **rest)

    def host(self, kind):
        """The edge's host and port: of its own, so that its cookies are as well."""
        return "%s.localhost:%d" % (kind, self.at[kind])

    def origin(self, host=None):
        return "http://" + (host or self.hosts()[0])

    def start(self):
        super().start()
        for kind, port in self.at.items():
            self.edges.append(Edge(kind, os.path.join(self.directory, kind), port, [kind + ".localhost"],
                                   self.asks[kind], self.ports["public"],
                                   [self.services[n].port for n in ("crm", "orders", "page")]))
            self.edge = self.edges[-1].start()
        return self

    def stop(self):
        for edge in self.edges:
            edge.stop()
        super().stop()

    def remove(self):
        for edge in self.edges:
            if edge.process:
                edge.process.kill()
        super().remove()
