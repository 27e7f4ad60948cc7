"""What one edge made of one request: a cell of the edge matrix (tests/integration/test_edge_matrix.py).

    Asker(stack, "caddy", alice).cell(Case("allowed", "GET /api/crm/", "alice"))     lines of text

stack is a SideBySide, alice a browser with a session behind that edge.
"""
import contextlib
import http.client
import json
import re
import socket

import browser
import websocket
from idp import CRM, ORDERS
from stack import IDENTITY

STREAM_TIMEOUT_S = 20
UPLOAD = 10 << 20
UPLOAD_FIRST = 64 << 10  # sent of one that is to be refused before it has come


class Case:
    """One request. who: alice, who is logged in, or None. CSRF in a value stands for her token."""

    def __init__(self, name, request, who, headers=(), body=None, by=None, outage=None):
        self.name, self.who, self.headers, self.body, self.outage = name, who, list(headers), body, outage
        self.method, self.path = request.split()
        self.by = by or plain


class Asker:
    """Asks through one edge."""

    def __init__(self, stack, kind, alice):
        self.stack, self.alice = stack, alice
        self.port, self.host = stack.at[kind], stack.host(kind)

    def headers(self, case):
        sent = [("Host", self.host)]
        url = self.stack.url(case.path, self.host)
        if case.who:
            sent.append(("Cookie", "theme=dark; " + self.alice.cookie_header(url)))
        for name, value in case.headers:
            value = self.alice.cookies(url)["bff_csrf"] if value == "CSRF" else value
            sent.append((name, "http://" + self.host if value == "EDGE" else value))
        return sent

    def cell(self, case):
        for service in self.stack.services.values():
            service.forget()
            service.go_on.clear()
        lines = ["client   " + self.words(line) for line in case.by(self, case)]
        for name, service in self.stack.services.items():
            lines += ["%-8s %s" % (name, self.words(line)) for seen in service.requests for line in at_service(seen)]
        return lines

    def words(self, line):
        url = "http://" + self.host
        for value, word in ((url, "EDGE"), (url.replace(":", "%3A").replace("/", "%2F"), "EDGE"), (self.host, "HERE"),
                            ("X-Forwarded-Port=%d" % self.port, "")):
            line = line.replace(value, word)
        return line.rstrip()


def plain(asker, case):
    yield from at_client(browser.raw(asker.port, case.method, case.path, asker.headers(case), case.body))


def head(asker, case):
    """To the connection's end, where a body would stand that must not."""
    with contextlib.closing(open_socket(asker, case, [("Connection", "close")])) as s, s.makefile("rb") as stream:
        status, headers = raw_head(stream)
        yield from at_client(browser.Answer("", status, headers, b""))
        rest = stream.read()
        if rest:
            yield "         a body of %d bytes" % len(rest)


def open_socket(asker, case, extra=()):
    s = socket.create_connection(("127.0.0.1", asker.port), STREAM_TIMEOUT_S)
    head = ["%s %s HTTP/1.1" % (case.method, case.path)]
    head += ["%s: %s" % h for h in asker.headers(case) + list(extra)]
    s.sendall("\r\n".join(head + ["", ""]).encode())
    return s


def read_answer(s, method):
    r = http.client.HTTPResponse(s, method=method)
    r.begin()
    return browser.Answer("", r.status, r.getheaders(), b"" if r.status == 101 else r.read())


def echo(asker, case):
    with contextlib.closing(open_socket(asker, case)) as s:
        with s.makefile("rwb") as stream:
            status, headers = raw_head(stream)
            if status != 101:
                length = int(dict((k.lower(), v) for k, v in headers).get("content-length", 0))
                yield from at_client(browser.Answer("", status, headers, stream.read(length)))
                return
            websocket.write_frame(stream, websocket.TEXT, b"one", masked=True)
            first = websocket.read_frame(stream)[1]
            websocket.write_frame(stream, websocket.TEXT, b"two", masked=True)
            second = websocket.read_frame(stream)[1]
            websocket.write_frame(stream, websocket.CLOSE, b"", masked=True)
            yield "%d echo: %s %s" % (status, first.decode(), second.decode())


def raw_head(stream):
    status = int(stream.readline().split()[1])
    headers = []
    while True:
        line = stream.readline().decode("latin-1").rstrip("\r\n")
        if not line:
            return status, headers
        headers.append(tuple(line.split(": ", 1)) if ": " in line else (line.rstrip(":"), ""))


def events(asker, case):
    """The service holds the second event back until we have the first."""
    service = asker.stack.services["crm"]
    c = http.client.HTTPConnection("127.0.0.1", asker.port, timeout=STREAM_TIMEOUT_S)
    try:
        c.putrequest(case.method, case.path, skip_host=True, skip_accept_encoding=True)
        for name, value in asker.headers(case):
            c.putheader(name, value)
        c.endheaders()
        r = c.getresponse()
        if r.status != 200:
            yield from at_client(browser.Answer("", r.status, r.getheaders(), r.read()))
            return
        try:
            first = r.readline()
        except TimeoutError:
            first = b"nothing while the stream was open"
        service.go_on.set()
        rest = r.read()
        events_seen = first.decode().strip(), rest.decode().split("\n")[1]
        yield "%d %s, %s then %s" % (r.status, r.getheader("Content-Type"), *events_seen)
    finally:
        service.go_on.set()
        c.close()


def refused_upload(asker, case):
    """The head and a first part: the answer must not wait for the rest."""
    with contextlib.closing(open_socket(asker, case, [("Content-Length", str(UPLOAD))])) as s:
        s.sendall(b"x" * UPLOAD_FIRST)
        yield from at_client(read_answer(s, case.method))


# ---- what was seen ----------------------------------------------------------------------------

SHOWN = ("Location", "WWW-Authenticate", "Retry-After", "Allow", "Access-Control-Allow-Origin",
         "Access-Control-Allow-Credentials", "Set-Cookie", "X-Login-URL", "X-Error")
ALICE = ("X-User-ID=alice  X-User-Email=alice@example.com  X-User-Name=Alice Adams  X-User-Groups=sales,support  "
         "X-Session-ID=ID  X-Auth-Time=TIME  X-Correlation-ID=ID")
FORWARDED = ("X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto")


def at_client(answer):
    shown = [str(answer.status)]
    for name in SHOWN:
        shown += ["%s=%s" % (name, v.split("=")[0] if name == "Set-Cookie" else v) for v in answer.all(name)]
    shown += [name for name in IDENTITY if answer.all(name)]
    yield "  ".join(shown)
    if answer.status >= 300 and answer.body:
        kind = (answer.header("Content-Type") or "no type").split(";")[0]
        yield "         " + (json.dumps(answer.json()) if kind == "application/json" else "%s of the edge" % kind)


def fold(name):
    return re.sub("[^a-z0-9]", "-", name.lower())


def at_service(seen):
    """Two lines: the request and whose it is; what else of it counts."""
    token, authorization = seen.token, seen.one("Authorization")
    who = "  ".join("%s=%s" % (n, a_word(n, seen.one(n))) for n in IDENTITY if n != "Authorization" and seen.one(n))
    yield "%s %s  %s" % (seen.method, seen.path, who.replace(ALICE, "ALICE"))
    client, host, proto = (seen.one(n) for n in FORWARDED)
    rest = [] if (client, proto) == ("127.0.0.1", "http") else ["for %s by %s" % (client, proto)]
    if token:
        rest.append("Authorization=%s's for %s" % (token["sub"], {CRM: "crm", ORDERS: "orders"}[token["aud"]]))
    elif authorization:
        rest.append("Authorization=" + authorization)
    if seen.one("Cookie"):
        rest.append("Cookie=" + re.sub(r"(bff_\w+)=[^;]*", r"\1", seen.one("Cookie")))
    if seen.body_bytes:
        rest.append("body=%d" % seen.body_bytes)
    for name, value in seen.headers:
        known = [n for n in IDENTITY + FORWARDED + ("Cookie",) if fold(n) == fold(name)]
        if known and name.lower() != known[0].lower():
            rest.append("%s=%s" % (name, value))
        elif (name.lower(), value) == ("x-real-ip", client):
            continue
        elif re.match("(?i)X-Forwarded-(Uri|Method|Prefix|Port)$|Forwarded$|X-Original-|X-Rewrite-|X-Real-IP$", name):
            rest.append("%s=%s" % (name, value))
        elif name.lower() == "upgrade" and (value.lower() != "websocket" or not seen.path.endswith("/socket")):
            rest.append("%s=%s" % (name, value))
        elif name.lower() == "connection" and not re.fullmatch(r"(?i)(keep-alive|close|upgrade)", value):
            rest.append("%s=%s" % (name, value))
    yield "  to %s  %s" % (host, "  ".join(rest))


def a_word(name, value):
    return {"X-Session-ID": "ID", "X-Correlation-ID": "ID", "X-Auth-Time": "TIME"}.get(name, value)
