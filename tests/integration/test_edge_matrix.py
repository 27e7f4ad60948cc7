"""Every edge, with its sample from etc/edge, asked the same: edge_matrix.golden says what the client and the
services must see of it.

    EDGE_MATRIX=write pytest tests/integration/test_edge_matrix.py     writes it anew, to be read before it is kept

A cell is what one edge made of one request. Edges that agree share one. What differs from run to run is written
as a word: EDGE (the edge's origin), HERE (its host and port), ID, TIME. A header without a value counts as none.
"""
import contextlib
import os

import pytest

import browser
import edge as edges
import http2
from edge import Edge
from edge_cell import ALICE, UPLOAD, Asker, Case, echo, events, head, refused_upload
from port import free_port
from side_by_side import SideBySide
from stack import IDENTITY

GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "edge_matrix.golden")
PARTNER = "http://partner.localhost:9000"
STRANGER = "http://stranger.localhost:9000"
ROUTES = """
route "socket" { app = "demo" path = "/api/crm/socket" exact = yes methods = {GET} upgrade = websocket
                 service = "crm" }
route "shared" { app = "demo" path = "/api/crm/shared/" service = "crm" preflight = pass }
route "admins" { app = "demo" path = "/api/crm/admin/" service = "crm"
                 require "admins" { claim = "groups" any = {"admins"} } }
route "sales"  { app = "demo" path = "/api/crm/sales/" service = "crm"
                 require "sales" { claim = "groups" any = {"sales"} } }
route "gold"   { app = "demo" path = "/api/crm/gold/" service = "crm" acr = {"gold", "platinum"} max_age = "30m" }
"""

# ---- the cases --------------------------------------------------------------------------------

NAVIGATION, FETCH = list(browser.NAVIGATION.items()), list(browser.FETCH.items())
OWN = ("Origin", "EDGE")
EXACT = [(name, "mallory") for name in IDENTITY if name != "Authorization"] + [("Authorization", "Bearer mallory")]
SOCKET = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13"),
          ("Sec-WebSocket-Key", "AAECAwQFBgcICQoLDA0ODw=="), ("Sec-Fetch-Mode", "websocket")]


def folded(separator):
    """Names that services may take for ours."""
    return [(name.replace("-", separator), "mallory") for name in IDENTITY if name != "Authorization"]


def preflight(method, origin=PARTNER):
    return [("Origin", origin), ("Access-Control-Request-Method", method), ("Access-Control-Request-Headers", "x-a"),
            ("Sec-Fetch-Mode", "cors")]


CSRF = ("X-CSRF-Token", "CSRF")


def cases():
    """In the golden file's order."""
    return [
        Case("allowed", "GET /api/crm/list?q=1", "alice", FETCH),
        Case("allowed, another service", "GET /api/orders/list", "alice", FETCH),
        Case("allowed, a page without a token", "GET /private/report", "alice", NAVIGATION),
        Case("allowed, with what is meant for the service alone", "GET /api/crm/list", "alice", FETCH + [
            ("Range", "bytes=0-1"), ("If-None-Match", '"x"'), ("Accept-Encoding", "gzip")]),
        Case("no session needed", "GET /public", None, NAVIGATION),
        Case("no session, navigation", "GET /private/report?year=2026", None, NAVIGATION),
        Case("no session, fetch", "GET /api/crm/list", None, FETCH),
        Case("no session, fetch of another origin that may read", "GET /api/crm/list", None, FETCH + [
            ("Origin", PARTNER)]),
        Case("no session, fetch of a stranger's origin", "GET /api/crm/list", None, FETCH + [("Origin", STRANGER)]),
        Case("no session, a cookie that is none of ours", "GET /api/crm/list", None, FETCH + [
            ("Cookie", "bff_session=v1.1.AAAA.AAAA; theme=dark")]),
        Case("forbidden by method", "PUT /read/x", "alice", FETCH + [OWN, CSRF], b""),
        Case("allowed by a rule", "GET /api/crm/sales/list", "alice", FETCH),
        Case("forbidden by a rule", "GET /api/crm/admin/list", "alice", FETCH),
        Case("forbidden, fetch of another origin that may read", "PUT /read/x", "alice", FETCH + [
            ("Origin", PARTNER)], b""),
        Case("a stronger login, fetch", "GET /api/crm/gold/list", "alice", FETCH),
        Case("a stronger login, navigation", "GET /api/crm/gold/list", "alice", NAVIGATION),
        Case("a stronger login, fetch of another origin that may read", "GET /api/crm/gold/list", "alice", FETCH + [
            ("Origin", PARTNER)]),
        Case("a stronger login, no session, fetch", "GET /api/crm/gold/list", None, FETCH),
        Case("CSRF: no token", "POST /api/crm/items", "alice", FETCH + [OWN], b"{}"),
        Case("CSRF: a page of somebody else", "POST /api/crm/items", "alice", FETCH + [
            ("Origin", STRANGER), CSRF], b"{}"),
        Case("CSRF: as it should be", "POST /api/crm/items", "alice", FETCH + [OWN, CSRF], b'{"n": 1}'),
        Case("WebSocket", "GET /api/crm/socket", "alice", SOCKET + [OWN], by=echo),
        Case("WebSocket, a page of somebody else", "GET /api/crm/socket", "alice", SOCKET + [
            ("Origin", STRANGER)], by=echo),
        Case("WebSocket, no session", "GET /api/crm/socket", None, SOCKET + [OWN], by=echo),
        Case("WebSocket where none is taken", "GET /api/crm/list/socket", "alice", SOCKET + [OWN], by=echo),
        Case("server-sent events", "GET /api/crm/events", "alice", FETCH, by=events),
        Case("server-sent events, no session", "GET /api/crm/events", None, FETCH, by=events),
        Case("preflight", "OPTIONS /api/crm/shared/x", None, preflight("PUT")),
        Case("preflight where none is taken", "OPTIONS /api/crm/list", None, preflight("PUT")),
        Case("HEAD", "HEAD /api/crm/list", "alice", FETCH, by=head),
        Case("HEAD, no session, navigation", "HEAD /private/report", None, NAVIGATION, by=head),
        Case("HEAD, no session, fetch", "HEAD /api/crm/list", None, FETCH, by=head),
        Case("POST of 10 MB", "POST /api/crm/upload", "alice", FETCH + [OWN, CSRF], b"x" * UPLOAD),
        Case("POST of 10 MB, no session", "POST /api/crm/upload", None, FETCH + [OWN], by=refused_upload),
        Case("POST of 10 MB without the token", "POST /api/crm/upload", "alice", FETCH + [OWN], by=refused_upload),
        Case("forged identity", "GET /api/crm/list", "alice", FETCH + EXACT),
        Case("forged identity, in small letters", "GET /api/crm/list", "alice", FETCH + [
            (n.lower(), v) for n, v in EXACT]),
        Case("forged identity, X_User_ID", "GET /api/crm/list", "alice", FETCH + folded("_")),
        Case("forged identity, X.User.ID", "GET /api/crm/list", "alice", FETCH + folded(".")),
        Case("forged identity, no session", "GET /api/crm/list", None, FETCH + EXACT),
        Case("forged identity, no session needed", "GET /public", None, NAVIGATION + EXACT),
        Case("forged identity, no session needed, X_User_ID", "GET /public", None,
             NAVIGATION + folded("_")),
        Case("forged identity, no session needed, X.User.ID", "GET /public", None,
             NAVIGATION + folded(".")),
        Case("forged forwarding", "GET /api/crm/list", "alice", FETCH + [
            ("X-Forwarded-For", "192.0.2.1"), ("X-Forwarded-Host", "evil.localhost"), ("X-Forwarded-Proto", "https"),
            ("X-Forwarded-Prefix", "/evil"), ("X-Forwarded-Port", "99"), ("X-Real-IP", "192.0.2.1"),
            ("Forwarded", "for=192.0.2.1;host=evil.localhost")]),
        Case("forged target, no session", "GET /api/crm/list", None, FETCH + [
            ("X-Forwarded-Uri", "/public"), ("X-Forwarded-Method", "OPTIONS")]),
        Case("forged target of other edges, no session", "GET /api/crm/list", None, FETCH + [
            ("X-Original-URL", "/public"), ("X-Original-URI", "/public"), ("X-Rewrite-URL", "/public")]),
        Case("Connection names the identity", "GET /api/crm/list", "alice", FETCH + [
            ("Connection", "X-User-ID, Authorization, X-User-Groups")]),
        Case("Connection names the identity, in a second line", "GET /api/crm/list", "alice", FETCH + [
            ("Connection", "close"), ("Connection", "X-User-ID, Authorization")]),
        Case("Connection names the identity, with a WebSocket", "GET /api/crm/socket", "alice", SOCKET + [
            OWN, ("Connection", "X-User-ID, Authorization")], by=echo),
        Case("Connection names the cookie", "GET /api/crm/list", "alice", FETCH + [("Connection", "close, cookie")]),
        Case("Connection names what bff is told by", "GET /api/crm/list", None, FETCH + [
            ("Connection", "close, x-forwarded-uri, X-Forwarded-Method, X-Forwarded-Host, X-Forwarded-For")]),
        Case("Connection: Upgrade to h2c, no session", "GET /api/crm/list", None, FETCH + [
            ("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c"), ("HTTP2-Settings", "AAMAAABkAAQAAP__")]),
        Case("Connection: Upgrade to h2c", "GET /api/crm/list", "alice", FETCH + [
            ("Connection", "Upgrade"), ("Upgrade", "h2c"), ("HTTP2-Settings", "AAMAAABkAAQAAP__")]),
        Case("Connection: Upgrade to h2c and WebSocket", "GET /api/crm/list", "alice", FETCH + [
            ("Connection", "Upgrade"), ("Upgrade", "h2c"), ("Upgrade", "websocket")]),
        Case("TE and keep-alive", "GET /api/crm/list", "alice", FETCH + [
            ("Connection", "keep-alive, TE"), ("TE", "trailers"), ("Keep-Alive", "timeout=5")]),
        Case("a path that is another to somebody", "GET /api/crm/%2e%2e/orders/list", "alice", FETCH),
        Case("a path with dot segments", "GET /api/crm/../orders/list", "alice", FETCH),
        Case("a path with an escaped slash", "GET /api/crm/..%2forders/list", "alice", FETCH),
        Case("verify is not to be had", "GET /auth/verify", "alice", FETCH),
        Case("the page's own session", "GET /auth/session", None, FETCH),
        Case("database down", "GET /api/crm/list", "alice", FETCH, outage="database"),
        Case("database down, navigation", "GET /private/report", "alice", NAVIGATION, outage="database"),
        Case("database down, no session needed", "GET /public", None, NAVIGATION, outage="database"),
        Case("bff down", "GET /api/crm/list", "alice", FETCH, outage="bff"),
        Case("bff down, no session needed", "GET /public", None, NAVIGATION, outage="bff"),
    ]


# ---- the golden file --------------------------------------------------------------------------

HEAD = """\
# What each edge makes of each request: see test_edge_matrix.py, which compares and writes it.
# "= case: request", "- edges", then what the client got, and what came to a service.
# ALICE is %s.
""" % ALICE


def title(case):
    return "= %s: %s %s%s" % (case.name, case.method, case.path, ", alice" if case.who else "")


def render(cells):
    """{(case name, edge): lines} as text; edges that agree share a block."""
    text = HEAD
    for case in cases():
        text += "\n%s\n" % title(case)
        left = [k for k in edges.KINDS if (case.name, k) in cells]
        while left:
            lines = cells[case.name, left[0]]
            same = [k for k in left if cells[case.name, k] == lines]
            text += "- %s\n%s" % (" ".join(same), "".join("  %s\n" % line for line in lines))
            left = [k for k in left if k not in same]
    return text


def parse(text):
    names = {title(case): case.name for case in cases()}
    cells, name, kinds = {}, None, []
    for line in text.splitlines():
        if line.startswith("= "):
            name = names.get(line, line)
        elif line.startswith("- "):
            kinds = line[2:].split()
            cells.update({(name, k): [] for k in kinds})
        elif line.startswith("  "):
            for k in kinds:
                cells[name, k].append(line[2:])
    return cells


def read_golden():
    with open(GOLDEN, encoding="utf-8") as f:
        return f.read()


# ---- the tests --------------------------------------------------------------------------------

class Matrix:
    """All cells, each made when it is asked for; those of an outage together, as the outage takes longest."""

    def __init__(self, stack, askers):
        self.stack, self.askers, self.made = stack, askers, {}

    def cell(self, kind, case):
        if case.outage is None:
            return self.askers[kind].cell(case)
        if case.outage not in self.made:
            with {"database": self.no_database, "bff": self.no_bff}[case.outage]():
                self.made[case.outage] = {(k, c.name): asker.cell(c) for k, asker in self.askers.items()
                                          for c in cases() if c.outage == case.outage}
        return self.made[case.outage][kind, case.name]

    @contextlib.contextmanager
    def no_database(self):
        """Once each worker knows: until then it may answer from what it had read."""
        self.stack.pg.stop("immediate")
        self.stack.await_health(503)
        yield
        self.stack.pg.start()
        self.stack.await_health()

    @contextlib.contextmanager
    def no_bff(self):
        self.stack.stop_bffd()
        yield
        self.stack.start_bffd()
        self.stack.await_health()


@pytest.fixture(scope="module", name="matrix")
def fixture_matrix():
    here = [k for k in edges.KINDS if not edges.missing(k)]
    with SideBySide(here, more='cors_origins = {"%s"}' % PARTNER, extra=ROUTES) as stack:
        yield Matrix(stack, {k: Asker(stack, k, stack.login("alice", stack.host(k))) for k in here})


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
@pytest.mark.parametrize("kind", edges.KINDS)
def test_cell(request, kind, case):
    why = edges.missing(kind)
    assert not why or kind in edges.FETCHED, why
    if why:
        pytest.skip(why.splitlines()[0])
    got = request.getfixturevalue("matrix").cell(kind, case)
    if os.environ.get("EDGE_MATRIX") == "write":
        cells = parse(read_golden()) if os.path.exists(GOLDEN) else {}
        cells[case.name, kind] = got
        with open(GOLDEN, "w", encoding="utf-8") as f:
            f.write(render(cells))
        return
    assert got == parse(read_golden()).get((case.name, kind))


@pytest.mark.parametrize("more, status, came", [
    ({"local url =": "error('broken')\n\tlocal url ="}, 503, 0), ({}, 200, 1)], ids=["broken", "whole"])
def test_haproxy_refuses_where_its_script_fails(matrix, tmp_path, more, status, came):
    """HAProxy itself goes on."""
    stack = matrix.stack
    edge = Edge("haproxy", str(tmp_path), free_port(), [], stack.asks["haproxy"], stack.ports["public"],
                [stack.services[n].port for n in ("crm", "orders", "page")], more)
    stack.services["page"].forget()
    try:
        edge.start()
        got = browser.raw(edge.port, "GET", "/public", [("Host", stack.host("haproxy"))])
    finally:
        edge.stop()
    assert (got.status, len(stack.services["page"].requests)) == (status, came)


@pytest.mark.parametrize("path, origin, status, came", [
    ("/api/crm/socket", None, 200, 1), ("/api/crm/socket", STRANGER, 403, 0), ("/api/crm/list", None, 403, 0)],
    ids=["own", "a page of somebody else", "where none is taken"])
def test_a_websocket_over_http2_is_one(matrix, path, origin, status, came):
    """It has no Sec-WebSocket-Key (RFC 8441 5). HAProxy alone offers it by itself."""
    asker = matrix.askers["haproxy"]
    service = asker.stack.services["crm"]
    service.forget()
    own = "http://" + asker.host
    got = http2.open_websocket(asker.port, asker.host, path, [
        ("Origin", origin or own), ("Cookie", asker.alice.cookie_header(own + path))])
    assert (got, len(service.requests)) == (status, came)


def test_golden_file_has_each_cell_once():
    text = read_golden()
    cells = parse(text)
    assert set(cells) == {(case.name, kind) for case in cases() for kind in edges.KINDS}
    assert render(cells) == text
