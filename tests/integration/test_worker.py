"""bff-worker on a real PostgreSQL; its master and broker are played by tests/lib/lone_worker.py.

BFF_BIN names the directory of the binaries (default build/gcc).
"""
import base64
import hashlib
import hmac
import json
import os
import select
import socket
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
from lone_worker import FakeBroker, LoneWorker  # noqa: E402
from postgres import Postgres  # noqa: E402

KEY = bytes(range(32))
STATE = b"S" * 32  # of a logout
HOST = "app.localhost:8080"
ORIGIN = "http://" + HOST
IDENTITY = ["x-user-id", "x-user-email", "x-user-name", "x-user-groups", "x-session-id",
            "x-auth-time", "x-auth-acr", "x-correlation-id", "authorization", "cookie"]

CONFIG = """
database { conninfo = "host=%(sockets)s port=%(pgport)s dbname=bff" connections = 2 query_timeout = "2s" }
web { workers = 1 cookie_keys = "%(dir)s/cookie-keys" token_wait = "1s" max_head = "8KiB" max_headers = 40
      head_timeout = "1s" idle_timeout = "30s" max_connections = 200 }
broker { socket = "%(dir)s/broker.sock" peer_user = "0" key_ring = "%(dir)s/key-ring" }
listen "public"  { kind = public  address = "127.0.0.1:1"  trusted_peers = {"127.0.0.1"} }
listen "verify"  { kind = verify  address = "127.0.0.1:2"  edge = traefik trusted_peers = {"127.0.0.1"} }
listen "nginx"   { kind = verify  address = "127.0.0.1:3"  edge = nginx trusted_peers = {"127.0.0.1"} }
listen "strange" { kind = verify  address = "127.0.0.1:4"  edge = traefik trusted_peers = {"192.0.2.1"} }
listen "metrics" { kind = metrics address = "127.0.0.1:5" }
provider "idp" { preset = oidc-provider issuer = "http://127.0.0.1:3000" client_id = "bff"
    client_secret_file = "%(dir)s/client-secret" scopes = {openid, offline_access} keep_claims = {name, email, groups}
    insecure_loopback = yes }
app "demo" { provider = "idp" origins = {"http://app.localhost:8080"} page_claims = {name, email}
    cors_origins = {"https://friend.example"} insecure_loopback = yes }
app "other" { provider = "idp" origins = {"http://other.localhost:8080"} insecure_loopback = yes
    cookie_name = "other_session" pages = "%(dir)s/pages" }
app "twin" { provider = "idp" origins = {"http://twin.localhost:8080"} insecure_loopback = yes }
identity "default" {
    header "X-User-ID"     { claim = "subject" }
    header "X-User-Email"  { claim = "email" }
    header "X-User-Name"   { claim = "name" }
    header "X-User-Groups" { claim = "groups" }
}
service "orders"  { provider = "idp" grant = resource resource = "urn:example:orders" }
route "page"    { app = "demo" path = "/" methods = {GET, HEAD} }
route "data"    { app = "demo" path = "/api/data/" }
route "orders"  { app = "demo" path = "/api/orders/" service = "orders" }
route "live"    { app = "demo" path = "/api/live" exact = yes methods = {GET} upgrade = websocket }
route "open"    { app = "demo" path = "/api/open" exact = yes upgrade = websocket csrf = off }
route "hooks"   { app = "demo" path = "/api/hooks/" methods = {POST} session = none authorization = pass csrf = off }
route "files"   { app = "demo" path = "/api/files/" session = optional authorization = pass encoded_slash = allow }
route "pre"     { app = "demo" path = "/api/pre/" methods = {GET, PUT} preflight = pass }
route "strong"  { app = "demo" path = "/api/strong/" acr = {"c1"} }
route "sales"   { app = "demo" path = "/api/sales/" require "only sales" { claim = "groups" contains = "nobody" } }
route "twin"    { app = "twin" path = "/" }
route "other"   { app = "other" path = "/" }
"""


def b64(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def cookie_value(secret, key=KEY, day=None):
    head = "v1.%d.%s" % (day if day is not None else int(time.time()) // 86400, b64(secret))
    return head + "." + b64(hmac.new(key, head.encode(), hashlib.sha256).digest()[:16])


def csrf_of(secret):
    return b64(hmac.new(secret, b"bff csrf v1", hashlib.sha256).digest())


class Reply:
    def __init__(self, status, fields, body, version=""):
        self.status, self.fields, self.body, self.version = status, fields, body, version

    def all(self, name):
        return [v for k, v in self.fields if k.lower() == name.lower()]

    def __getitem__(self, name):
        found = self.all(name)
        assert len(found) == 1, (name, self.fields)
        return found[0]

    def json(self):
        return json.loads(self.body)


class Client:
    def __init__(self, port):
        self.s = socket.create_connection(("127.0.0.1", port), 10)
        self.data = b""

    def send(self, data):
        self.s.sendall(data)
        return self

    def _more(self):
        got = self.s.recv(65536)
        self.data += got
        return got != b""

    def reply(self, head=False):
        while b"\r\n\r\n" not in self.data:
            if not self._more():
                assert self.data == b"", self.data
                return None
        top, self.data = self.data.split(b"\r\n\r\n", 1)
        lines = top.decode().split("\r\n")
        fields = [tuple(line.split(": ", 1)) for line in lines[1:]]
        length = int(dict((k.lower(), v) for k, v in fields)["content-length"])
        while not head and len(self.data) < length:
            assert self._more()
        body = b"" if head else self.data[:length]
        self.data = self.data[len(body):]
        version, status = lines[0].split(" ")[:2]
        return Reply(int(status), fields, body.decode(), version)

    def at_end(self):
        """Nothing more comes, and the connection is closed."""
        if self.data:
            return False
        try:
            return self.s.recv(1) == b""
        except ConnectionResetError:
            return True

    def close(self):
        self.s.close()


def verify_head(uri="/", method="GET", cookie=None, host=HOST, proto="http", line="GET /auth/verify HTTP/1.1",
                client="203.0.113.9", more=()):
    lines = [line, "Host: 127.0.0.1"]
    for name, value in (("Method", method), ("Uri", uri), ("Host", host), ("Proto", proto), ("For", client)):
        if value is not None:
            lines.append("X-Forwarded-%s: %s" % (name, value))
    if cookie is not None:
        lines.append("Cookie: " + cookie)
    lines.extend(more)
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


class World:
    listeners = ("public", "verify", "nginx", "strange", "metrics")

    def __init__(self, directory):
        self.dir = str(directory)
        os.chmod(self.dir, 0o755)
        for name, content in (("cookie-keys", b64(KEY)), ("client-secret", "secret"),
                              ("key-ring", "1 " + b64(KEY))):
            path = os.path.join(self.dir, name)
            with open(path, "w", encoding="ascii") as f:
                f.write(content + "\n")
            os.chmod(path, 0o600)
        os.mkdir(os.path.join(self.dir, "pages"))
        with open(os.path.join(self.dir, "pages", "send-on.html"), "w", encoding="ascii") as f:
            f.write("<style>i { color: red }</style><i>Bye &amp; thanks</i>\n{{form}}")
        self.pg = Postgres()
        self.pg.init()
        self.pg.start()
        self.pg.migrate()
        self.answers = {}
        self.broker = FakeBroker(os.path.join(self.dir, "broker.sock"), self.script)
        self.worker = self.start()

    def config(self):
        return CONFIG % {"sockets": self.pg.sockets, "pgport": self.pg.port, "dir": self.dir}

    def start(self, change=None, **more):
        """Another worker; change: (old, new) of the configuration's text."""
        directory = os.path.join(self.dir, "w%d" % time.monotonic_ns())
        os.mkdir(directory)
        config = self.config()
        if change:
            assert config.count(change[0]) == 1, change
            config = config.replace(*change)
        return LoneWorker(config, self.listeners, directory, **more).ready()

    def script(self, number, fields):
        answer = self.answers.get(number)
        return answer(fields) if callable(answer) else answer

    def close(self):
        assert self.worker.stop() == 0, self.worker.log_text()
        self.broker.close()
        self.pg.remove()

    def session(self, app="demo", sub="alice", idle_ms=3600000, absolute_ms=36000000, claims=None):
        secret = os.urandom(32)
        claims = claims or {"email": "alice@example.com", "name": "Alice", "groups": ["a", "b"]}
        created = self.pg.psql(
            "select created, ref from bff_private.session_create('\\x%s','%s','idp','http://127.0.0.1:3000','%s','',"
            "'%s','alice@example.com','%s','',%d,%d,%d,(extract(epoch from now())*1000)::int8,null,0,'\\x%s',null,null,"
            "null,null,'203.0.113.0/24','test')" % (hashlib.sha256(secret).hexdigest(), app, sub, sub,
                                                    json.dumps(claims), int(time.time()), idle_ms, absolute_ms,
                                                    os.urandom(16).hex()))
        assert created[0][0] == "t"
        return secret, created[0][1]

    def ask(self, data, listen="verify", head=False):
        c = Client(self.worker.ports[listen])
        got = c.send(data).reply(head)
        c.close()
        return got

    def verify(self, uri="/", secret=None, listen="verify", **more):
        if secret is not None:
            more["cookie"] = "bff_session=" + cookie_value(secret)
        return self.ask(verify_head(uri, **more), listen)

    def public(self, line, host=HOST, more=(), cookie=None, body=b"", listen="public"):
        fields = ["Host: " + host, "X-Forwarded-For: 203.0.113.9", "X-Forwarded-Proto: http"]
        if cookie:
            fields.append("Cookie: " + cookie)
        if body:
            fields.append("Content-Length: %d" % len(body))
        head = "\r\n".join([line + " HTTP/1.1"] + fields + list(more)) + "\r\n\r\n"
        return self.ask(head.encode() + body, listen, head=line.startswith("HEAD "))

    def logged(self):
        return self.worker.log_text()


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    w = World(tmp_path_factory.mktemp("world"))
    yield w
    w.close()


@pytest.fixture
def alice(world):
    secret, ref = world.session()
    yield secret
    world.answers.clear()


# ---- allowed -----------------------------------------------------------------------------------


def test_allowed_has_every_header_and_no_body(world, alice):
    got = world.verify("/x?y=1", alice, more=["Authorization: Bearer own"])
    assert (got.status, got.body, got["content-length"]) == (200, "", "0")
    for name in IDENTITY:
        assert len(got.all(name)) == 1, name
    assert got["x-user-id"] == "alice" and got["x-user-email"] == "alice@example.com"
    assert got["x-user-groups"] == "a,b"
    assert got["authorization"] == "" and got["cookie"] == ""
    assert not got.all("set-cookie")
    assert len(got["x-correlation-id"]) == 22


def test_allowed_keeps_foreign_cookies(world, alice):
    got = world.verify("/", cookie="a=1; bff_session=%s; bff_csrf=x; b=2" % cookie_value(alice))
    assert got.status == 200
    assert got["cookie"] == "a=1; b=2"


def test_nothing_is_logged_of_a_200(world, alice):
    before = world.logged()
    assert world.verify("/", alice).status == 200
    assert world.logged() == before


# ---- denied ------------------------------------------------------------------------------------


def test_no_cookie_is_401_with_a_login_url_for_a_script(world):
    got = world.verify("/api/data/1")
    assert got.status == 401
    assert got.json() == {"error": "unauthenticated",
                          "login_url": ORIGIN + "/auth/login?return_to=http%3A%2F%2Fapp.localhost%3A8080%2F"}
    assert got["cache-control"] == "no-store" and len(got["x-correlation-id"]) == 22
    assert "reason=no_cookie" in world.logged()


def test_a_navigation_is_sent_to_the_login_and_back_to_itself(world):
    got = world.verify("/a?b=c", more=["Accept: text/html"])
    assert got.status == 302
    assert got["location"] == ORIGIN + "/auth/login?return_to=http%3A%2F%2Fapp.localhost%3A8080%2Fa%3Fb%3Dc"
    assert got.body == ""


def bad_cookies():
    secret = bytes(32)
    good = cookie_value(secret)
    yield "garbage", "bff_session=xyz", "tag"
    yield "tag", "bff_session=" + good[:-1] + ("A" if good[-1] != "A" else "Q"), "tag"
    yield "other-key", "bff_session=" + cookie_value(secret, b"k" * 32), "tag"
    yield "unknown", "bff_session=" + good, "unknown"
    yield "empty", "bff_session=", "tag"
    yield "odd", ";; =; a; bff_session", "no_cookie"
    yield "future", "bff_session=" + cookie_value(secret, day=99999), "tag"
    yield "two", "bff_session=%s; bff_session=%s" % (good, cookie_value(b"2" * 32)), "ambiguous"


@pytest.mark.parametrize("cookie, reason", [c[1:] for c in bad_cookies()], ids=[c[0] for c in bad_cookies()])
def test_bad_cookies_are_401(world, cookie, reason):
    got = world.verify("/api/data/1", cookie=cookie)
    assert got.status == 401
    assert "reason=" + reason in world.logged().splitlines()[-1]
    assert bool(got.all("set-cookie")) == (reason == "ambiguous")


def test_revoked_is_refused_at_once(world):
    secret, ref = world.session()
    c = Client(world.worker.ports["verify"])
    head = verify_head("/", cookie="bff_session=" + cookie_value(secret))
    assert c.send(head).reply().status == 200
    world.pg.psql("select bff.revoke_session('%s', 'test')" % ref)
    assert c.send(head).reply().status == 401
    assert "reason=revoked" in world.logged().splitlines()[-1]


def test_a_session_is_nothing_at_another_app(world, alice):
    value = cookie_value(alice)
    got = world.verify("/", host="twin.localhost:8080", cookie="bff_session=" + value)
    assert got.status == 401
    assert "reason=other_app" in world.logged().splitlines()[-1]
    got = world.verify("/", host="other.localhost:8080", cookie="other_session=" + value)
    assert got.status == 401


def test_idle_and_expired(world):
    idle, _ = world.session(idle_ms=1)
    expired, _ = world.session(absolute_ms=1)
    world.pg.psql("select pg_sleep(0.01)")
    assert world.verify("/", idle).status == 401
    assert "reason=idle" in world.logged().splitlines()[-1]
    assert world.verify("/", expired).status == 401
    assert "reason=expired" in world.logged().splitlines()[-1]


@pytest.mark.parametrize("uri, method, status, reason", [
    ("/api/orders", "DELETE", 403, "method"),
    ("/", "POST", 403, "method"),
    ("/api/live", "POST", 403, "method"),
    ("/api/hooks/x", "GET", 403, "method"),
    ("/a/../b", "GET", 400, "forwarded"),
    ("/a//b", "GET", 400, "forwarded"),
    ("/a%2e%2e/b", "GET", 400, "forwarded"),
    ("/%zz", "GET", 400, "forwarded"),
    ("/a%00", "GET", 400, "forwarded"),
    ("/a#/b", "GET", 400, "forwarded"),
    ("/a%23/b", "GET", 400, "forwarded"),
    ("/a;x", "GET", 400, "forwarded"),
    ("/a\\b", "GET", 400, "forwarded"),
    ("http://app.localhost/", "GET", 400, "forwarded"),
    ("/api/data/a%2Fb", "GET", 403, "encoded_slash"),
    ("/", "CONNECT", 403, "method"),
    ("/", "TRACE", 403, "method"),
])
def test_routes_and_paths(world, alice, uri, method, status, reason):
    got = world.verify(uri, alice, method=method)
    assert got.status == status
    assert got.json()["error"] == ("forbidden" if status == 403 else "bad_request")
    assert "reason=%s " % reason in world.logged().splitlines()[-1] + " "


def test_encoded_slash_where_the_route_allows_it(world, alice):
    assert world.verify("/api/files/a%2Fb", alice).status == 200


@pytest.mark.parametrize("more", [
    ["X-Forwarded-Uri: /public"], ["X-Forwarded-Host: evil.example"], ["X-Forwarded-Method: POST"],
    ["X_Forwarded_Uri: /public"], ["X.User.ID: admin"], ["X_User_ID: admin"], ["X-Original-URL: /other"],
], ids=lambda m: m[0].split(":")[0])
def test_doubled_and_aliased_headers_are_refused(world, alice, more):
    got = world.verify("/", alice, more=more)
    assert got.status == 400
    assert "reason=forwarded" in world.logged().splitlines()[-1]


@pytest.mark.parametrize("missing", ["uri", "method", "host", "proto"])
def test_a_missing_source_is_refused(world, alice, missing):
    assert world.verify(**{"uri": "/", "secret": alice, missing: None}).status == 400


def test_forged_identity_headers_change_nothing(world, alice):
    got = world.verify("/", alice, more=["X-User-ID: admin", "x-user-groups: root", "X-Session-ID: 1"])
    assert got.status == 200
    assert got["x-user-id"] == "alice" and got["x-user-groups"] == "a,b"


def test_unknown_host(world, alice):
    assert world.verify("/", alice, host="evil.example").status == 403
    assert world.verify("/", alice, host="APP.localhost:8080").status == 200
    assert world.verify("/", alice, host="app.localhost").status == 403


def test_a_peer_that_is_not_trusted(world, alice):
    assert world.verify("/", alice, listen="strange").status == 403
    assert "reason=peer" in world.logged().splitlines()[-1]


def test_csrf_and_origin(world, alice):
    token = "X-CSRF-Token: " + csrf_of(alice)
    cases = [
        (["X-CSRF-Token: wrong"], 403, "csrf"), ([], 403, "csrf"), ([token], 200, None),
        ([token, "Origin: https://evil.example"], 403, "origin"), ([token, "Origin: " + ORIGIN], 200, None),
        ([token, "Sec-Fetch-Site: cross-site"], 403, "origin"), ([token, "Origin: null"], 403, "origin"),
        ([token, token], 400, "bad_request"),
    ]
    for more, status, error in cases:
        got = world.verify("/api/data/1", alice, method="POST", more=more)
        assert got.status == status, more
        if error:
            assert got.json() == {"error": error}


def test_cors_on_denials_for_listed_origins_alone(world):
    got = world.verify("/api/data/1", more=["Origin: https://friend.example"])
    assert got["access-control-allow-origin"] == "https://friend.example"
    got = world.verify("/api/data/1", more=["Origin: https://evil.example"])
    assert not got.all("access-control-allow-origin")


def test_a_handshake_from_elsewhere_is_refused_even_without_csrf(world, alice):
    key = "Sec-WebSocket-Key: AAAA"
    own = world.verify("/api/open", alice, more=[key, "Origin: http://" + HOST])
    assert own.status == 200
    for more in ([key, "Origin: http://evil.localhost:8080"], [key]):
        assert world.verify("/api/open", alice, more=more).status == 403


def test_websocket(world, alice):
    key = "Sec-WebSocket-Key: AAAA"
    assert world.verify("/api/live", alice, more=[key, "Origin: " + ORIGIN]).status == 200
    assert world.verify("/api/live", alice, more=[key, "Origin: https://evil.example"]).status == 403
    assert world.verify("/api/live", alice, more=[key]).status == 403
    assert world.verify("/", alice, more=[key, "Origin: " + ORIGIN]).status == 403
    got = world.verify("/api/live", more=[key, "Origin: " + ORIGIN, "Accept: text/html"])
    assert got.status == 401
    assert world.verify("/api/live", alice, proto="ws", more=["Origin: " + ORIGIN]).status == 200


def test_session_none_and_optional_pass_the_clients_authorization(world, alice):
    own = "Authorization: Bearer own"
    got = world.verify("/api/hooks/a", method="POST", more=[own])
    assert (got.status, got["authorization"], got["x-user-id"]) == (200, "Bearer own", "")
    got = world.verify("/api/files/a", more=[own])
    assert (got.status, got["authorization"], got["x-user-id"]) == (200, "Bearer own", "")
    got = world.verify("/api/files/a", alice, more=[own])
    assert (got.status, got["authorization"], got["x-user-id"]) == (200, "", "alice")


def test_preflight(world):
    ask = ["Origin: " + ORIGIN, "Access-Control-Request-Method: PUT"]
    got = world.verify("/api/pre/a", method="OPTIONS", more=ask)
    assert (got.status, got["x-user-id"], got["authorization"]) == (200, "", "")
    forged = world.verify("/api/pre/a", method="OPTIONS", more=ask + ["X-User-ID: mallory", "Authorization: Bearer x"])
    assert (forged.status, forged["x-user-id"], forged["authorization"]) == (200, "", "")
    assert world.verify("/api/data/a", method="OPTIONS", more=ask).status == 401
    assert world.verify("/api/pre/a", method="OPTIONS").status == 403


def test_a_denied_rule_is_named_in_the_log_alone(world, alice):
    got = world.verify("/api/strong/a", alice)
    assert got.status == 401 and "insufficient_user_authentication" in got.body
    assert " reason=acr " in world.logged() and " route=strong rule=acr " in world.logged()
    got = world.verify("/api/sales/a", alice)
    assert got.status == 403 and got.body == '{"error":"forbidden"}'
    assert ' reason=require ' in world.logged() and ' route=sales rule="only sales" ' in world.logged()


def test_a_health_checker_is_nobody_special(world):
    assert world.verify("/api/data/", more=["User-Agent: GoogleHC/1.0"]).status == 401


def test_logout_leads_nowhere_else(world, alice):
    world.answers[FakeBroker.LOGOUT] = (FakeBroker.LOGGED_OUT, [b"https://idp.example/end", 1, b"", b"", STATE])
    for wish in ("rd=//evil.example", "return_to=//evil.example", "redirect_uri=https://evil.example/"):
        cookie = "bff_session=" + cookie_value(alice)
        got = world.public("POST /auth/logout?" + wish, cookie=cookie, more=["X-CSRF-Token: " + csrf_of(alice)])
        assert (got.status, got["location"]) == (303, "https://idp.example/end")
        got = world.public("POST /auth/logout?" + wish)
        assert got.status == 303 and "evil" not in got["location"]


# ---- the nginx dialect ----------------------------------------------------------------------------


def test_nginx(world, alice):
    assert world.verify("/", alice, listen="nginx").status == 200
    got = world.verify("/a", listen="nginx", more=["Accept: text/html"])
    assert got.status == 401
    assert got["location"].startswith(ORIGIN + "/auth/login?return_to=") and not got.all("x-login-url")
    got = world.verify("/api/data/", listen="nginx")
    assert got.status == 401 and not got.all("location")
    assert got["x-login-url"] == got.json()["login_url"]
    assert not world.verify("/api/data/").all("x-login-url")
    assert world.verify("/a//b", alice, listen="nginx").status == 403


# ---- tokens ------------------------------------------------------------------------------------


def test_a_service_token_is_injected(world, alice):
    world.answers[FakeBroker.TOKEN_GET] = (FakeBroker.TOKEN, [b"access-token", 60000])
    got = world.verify("/api/orders/1", alice, more=["Authorization: Bearer own"])
    assert (got.status, got["authorization"]) == (200, "Bearer access-token")
    number, fields = world.broker.seen[-1]
    assert (number, fields[0], fields[1], fields[2]) == (20, alice, b"demo", b"orders")


@pytest.mark.parametrize("code, status, error", [
    (1, 503, "unavailable"), (2, 503, "unavailable"), (3, 503, "unavailable"), (5, 401, "unauthenticated"),
    (6, 403, "forbidden"), (10, 503, "unavailable"), (11, 401, "unauthenticated"),
    (12, 502, "upstream_auth_failed"),
])
def test_broker_failures(world, alice, code, status, error):
    world.answers[FakeBroker.TOKEN_GET] = (FakeBroker.FAILURE, [code, 7, b"", b"word"])
    got = world.verify("/api/orders/1", alice)
    assert (got.status, got.json()["error"]) == (status, error)
    assert not got.all("set-cookie")
    if status == 503:
        assert got["retry-after"] == "7"


def test_a_silent_broker_is_503_after_token_wait(world, alice):
    got = world.verify("/api/orders/1", alice)
    assert got.status == 503
    assert "reason=token_wait" in world.logged().splitlines()[-1]


def test_a_broker_that_goes_away_and_comes_back(world, alice):
    world.broker.close()
    world.worker.await_log("broker_down")
    assert world.verify("/api/orders/1", alice).status == 503
    assert world.verify("/", alice).status == 200
    ups = world.logged().count("broker_up")
    world.broker = FakeBroker(world.broker.path, world.script)
    world.answers[FakeBroker.TOKEN_GET] = (FakeBroker.TOKEN, [b"t", 60000])
    deadline = time.monotonic() + 15
    while world.logged().count("broker_up") == ups and time.monotonic() < deadline:
        select.select([], [], [], 0.02)
    assert world.verify("/api/orders/1", alice).status == 200


# ---- the store -----------------------------------------------------------------------------------


def test_database_stopped_is_503_and_recovers_without_restart(world, alice):
    world.pg.stop()
    got = world.verify("/", alice)
    assert got.status == 503
    assert got["retry-after"] and not got.all("set-cookie")
    assert world.public("GET /auth/session", cookie="bff_session=" + cookie_value(alice)).status == 503
    assert world.verify("/", more=["Accept: text/html"]).status == 302  # no cookie: nothing to look up
    assert world.ask(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n", "metrics").status == 503
    world.pg.start()
    deadline = time.monotonic() + 20
    while world.verify("/", alice).status != 200:
        assert time.monotonic() < deadline
        select.select([], [], [], 0.05)
    assert world.ask(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n", "metrics").status == 200


def test_activity_is_noted(world):
    secret, ref = world.session()
    hash_hex = hashlib.sha256(secret).hexdigest()
    world.pg.psql("update bff_private.session_activity set last_seen = now() - interval '5 min' "
                  "where id_hash = '\\x%s'" % hash_hex)
    assert world.verify("/", secret).status == 200
    deadline = time.monotonic() + 10
    while True:
        age = world.pg.value("select extract(epoch from now() - last_seen)::int from bff_private.session_activity "
                             "where id_hash = '\\x%s'" % hash_hex)
        if int(age) < 60:
            break
        assert time.monotonic() < deadline
        select.select([], [], [], 0.05)


# ---- HTTP --------------------------------------------------------------------------------------


def test_only_two_paths_and_any_query(world, alice):
    cookie = "bff_session=" + cookie_value(alice)
    for line, status in (("GET /auth/verify?x=/../ HTTP/1.1", 200), ("POST /auth/forward HTTP/1.1", 200),
                         ("GET /auth/login HTTP/1.1", 404), ("GET /auth/verify/ HTTP/1.1", 404),
                         ("GET / HTTP/1.1", 404), ("GET /auth/session HTTP/1.1", 404)):
        assert world.ask(verify_head(cookie=cookie, line=line)).status == status, line


def test_head_http10_and_keep_alive(world, alice):
    cookie = "bff_session=" + cookie_value(alice)
    got = world.ask(verify_head("/api/data/", line="HEAD /auth/verify HTTP/1.1"), head=True)
    assert got.status == 401 and int(got["content-length"]) > 0
    c = Client(world.worker.ports["verify"])
    got = c.send(verify_head(cookie=cookie, line="GET /auth/verify HTTP/1.0")).reply()
    assert got.status == 200 and got["connection"] == "close" and c.at_end()
    c = Client(world.worker.ports["verify"])
    head = verify_head(cookie=cookie, line="GET /auth/verify HTTP/1.0", more=["Connection: keep-alive"])
    for _ in range(2):
        got = c.send(head).reply()
        assert got.status == 200 and got["connection"] == "keep-alive"


@pytest.mark.parametrize("more", [
    ["Range: bytes=0-0", "If-Range: x"], ["If-None-Match: *", "If-Modified-Since: Thu, 01 Jan 1970 00:00:00 GMT"],
    ["Expect: 100-continue"], ["Upgrade: websocket", "Connection: Upgrade"], ["Accept-Encoding: gzip", "TE: trailers"],
    ["Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAMAAABkAAQAAP__"],
    ["Content-Type: application/json", "Content-Encoding: gzip"]], ids=lambda m: m[0].split(":")[0])
def test_what_a_client_asks_of_the_service_is_not_ours(world, alice, more):
    c = Client(world.worker.ports["verify"])
    for _ in range(2):  # and the connection stays in step
        got = c.send(verify_head(cookie="bff_session=" + cookie_value(alice), more=more)).reply()
        assert (got.status, got["content-length"], got["x-user-id"]) == (200, "0", "alice")
        for name in ("content-encoding", "content-range", "upgrade", "etag"):
            assert not got.all(name)
    c.close()


def test_pipelined_requests_are_answered_in_order(world, alice):
    good = verify_head("/", cookie="bff_session=" + cookie_value(alice))
    bad = verify_head("/api/data/")
    c = Client(world.worker.ports["verify"]).send((good + bad) * 50)
    got = [c.reply().status for _ in range(100)]
    assert got == [200, 401] * 50


def test_a_request_in_single_bytes(world, alice):
    c = Client(world.worker.ports["verify"])
    for byte in b"\r\n" + verify_head("/", cookie="bff_session=" + cookie_value(alice)):
        c.send(bytes([byte]))
    assert c.reply().status == 200


@pytest.mark.parametrize("more, status", [
    (["X-Long: " + "a" * 9000], 431), (["X-%d: 1" % i for i in range(50)], 431),
    ([" folded: x"], 400), (["Bad Name: x"], 400), (["No-Colon"], 400), (["X: a\x00b"], 400),
    (["Host: second"], 400), (["Transfer-Encoding: chunked", "Content-Length: 3"], 400),
    (["Content-Length: 3", "Content-Length: 3"], 400), (["Content-Length: +3"], 400), (["X: a\nb: c"], 400),
    (["Content-Length: 99999999999999999999999"], 400),
])
def test_heads_that_are_refused(world, more, status):
    c = Client(world.worker.ports["verify"]).send(verify_head(more=more))
    assert c.reply().status == status
    assert c.at_end()


@pytest.mark.parametrize("line, status", [
    ("GET /auth/verify HTTP/2.0", 505), ("GET /auth/verify", 505), ("get /auth/verify HTTP/1.1", 400),
    ("GET  /auth/verify HTTP/1.1", 400), ("GET /auth/verify HTTP/1.1 ", 505), ("SOURCE /auth/verify ICE/1.0", 505),
    ("GET /auth/ver ify HTTP/1.1", 400), ("", 400), ("CONNECT app.localhost:8080 HTTP/1.1", 400),
    ("CONNECT /auth/verify HTTP/1.1", 400),
])
def test_request_lines_that_are_refused(world, line, status):
    c = Client(world.worker.ports["verify"]).send(verify_head(line=line))
    assert c.reply().status == status
    assert c.at_end()


def test_slow_heads_are_closed(world):
    for data in (b"", b"GET /auth/ver"):
        c = Client(world.worker.ports["verify"])
        began = time.monotonic()
        c.send(data)
        got = c.reply()
        assert (got is None) if data == b"" else got.status == 408
        assert c.at_end()
        assert 0.5 < time.monotonic() - began < 8


def test_a_body_on_verify_is_never_read_as_the_next_head(world, alice):
    cookie = "bff_session=" + cookie_value(alice)
    inner = verify_head("/", cookie=cookie)
    head = verify_head("/", cookie=cookie, more=["Content-Length: %d" % len(inner)])
    c = Client(world.worker.ports["verify"]).send(head + inner)
    got = c.reply()
    assert got.status == 200 and got["connection"] == "close"
    c.s.shutdown(socket.SHUT_WR)
    assert c.at_end()
    # nginx: Content-Length, and no body at all
    c = Client(world.worker.ports["verify"]).send(head)
    assert c.reply().status == 200
    c = Client(world.worker.ports["verify"]).send(
        verify_head("/", cookie=cookie, more=["Transfer-Encoding: chunked"]) + b"5\r\nhello\r\n0\r\n\r\n")
    assert c.reply().status == 200


def test_a_large_body_does_not_turn_the_answer_into_a_reset(world, alice):
    head = verify_head("/", cookie="bff_session=" + cookie_value(alice), more=["Content-Length: 200000"])
    c = Client(world.worker.ports["verify"]).send(head + b"x" * 200000)
    assert c.reply().status == 200


# ---- the browser-facing listener --------------------------------------------------------------------


def test_verify_is_not_public(world, alice):
    for path in ("/auth/verify", "/auth/forward"):
        assert world.public("GET " + path, cookie="bff_session=" + cookie_value(alice)).status == 404


def test_unknown_hosts_and_methods(world):
    assert world.public("GET /auth/session", host="evil.example").status == 421
    got = world.public("DELETE /auth/session")
    assert got.status == 405 and got["allow"] == "GET, HEAD"
    got = world.public("PUT /auth/callback")
    assert got.status == 405 and got["allow"] == "GET, POST"
    assert world.public("GET /elsewhere").status == 404


def test_session_endpoint(world, alice):
    for path in ("/auth/session", "/api/auth/session"):
        got = world.public("GET " + path, cookie="bff_session=" + cookie_value(alice))
        assert got.status == 200
        body = got.json()
        assert body["authenticated"] is True and body["subject"] == "alice"
        assert body["claims"] == {"name": "Alice", "email": "alice@example.com"}
        assert body["csrf_token"] == csrf_of(alice)
        assert body["services"] == ["orders"] and body["logout_url"] == "/auth/logout"
        assert 3500 < body["idle_expires_at"] - time.time() < 3700
    got = world.public("GET /auth/session", more=["Referer: " + ORIGIN + "/page?x=1"])
    assert got.status == 401
    assert got.json() == {"authenticated": False, "login_url": ORIGIN +
                          "/auth/login?return_to=http%3A%2F%2Fapp.localhost%3A8080%2Fpage%3Fx%3D1"}


def test_health(world):
    got = world.public("GET /auth/health")
    assert (got.status, got.json()) == (200, {"status": "ok"})
    for path, status in (("/livez", 200), ("/readyz", 200), ("/metrics", 200), ("/auth/verify", 404)):
        assert world.ask(("GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % path).encode(), "metrics").status == status


def begun(fields):
    return FakeBroker.LOGIN_BEGUN, [b"https://idp.example/authorize?x=1", fields[3] or b"B" * 32]


def test_login_begins(world, alice):
    world.answers[FakeBroker.LOGIN_BEGIN] = begun
    got = world.public("GET /auth/login?return_to=%2Fdeep%3Fa%3Db&x=1&&")
    assert (got.status, got["location"]) == (302, "https://idp.example/authorize?x=1")
    cookie = got["set-cookie"]
    assert cookie.startswith("bff_login=" + b64(b"B" * 32) + ";") and "HttpOnly" in cookie
    fields = world.broker.seen[-1][1]
    assert fields[:5] == [b"demo", ORIGIN.encode(), (ORIGIN + "/deep?a=b").encode(), b"", b"203.0.113.0/24"]
    got = world.public("GET /auth/login?prompt=none", cookie=cookie.split(";")[0])
    fields = world.broker.seen[-1][1]
    assert fields[3] == b"B" * 32 and fields[6] == b"none" and fields[2] == (ORIGIN + "/").encode()


@pytest.mark.parametrize("wish", ["https://evil.example/", "//evil.example", "/%5Cevil.example", "/%09/evil.example",
                                  "http://app.localhost:8080@evil.example/", "javascript:alert(1)"])
def test_open_redirects(world, alice, wish):
    world.answers[FakeBroker.LOGIN_BEGIN] = begun
    got = world.public("GET /auth/login?return_to=" + wish)
    if got.status == 302:
        assert world.broker.seen[-1][1][2] == (ORIGIN + "/").encode()
    else:
        assert got.status == 400


@pytest.mark.parametrize("query", ["return_to=/a&return_to=/b", "prompt=login", "return_to=%zz", "prompt=none&pr%6Fmpt=none"])
def test_bad_login_parameters(world, query):
    got = world.public("GET /auth/login?" + query)
    assert got.status == 400 and "evil" not in got.body


@pytest.mark.parametrize("code, status", [(4, 429), (10, 503), (2, 503), (3, 503), (9, 400)])
def test_login_failures(world, alice, code, status):
    world.answers[FakeBroker.LOGIN_BEGIN] = (FakeBroker.FAILURE, [code, 30, b"", b""])
    got = world.public("GET /auth/login")
    assert got.status == status
    assert "default-src 'none'" in got["content-security-policy"]
    if status in (429, 503):
        assert got["retry-after"] == "30"


def test_callback_makes_a_session(world, alice):
    new = os.urandom(32)
    world.answers[FakeBroker.LOGIN_FINISH] = (
        FakeBroker.LOGIN_FINISHED, [new, int(time.time()) // 86400, (ORIGIN + "/deep").encode(), b"ref"])
    got = world.public("GET /auth/callback?state=s&code=c&iss=i",
                       cookie="bff_login=%s; bff_session=%s" % (b64(b"B" * 32), cookie_value(alice)))
    assert (got.status, got["location"]) == (303, ORIGIN + "/deep")
    cookies = got.all("set-cookie")
    assert any(c.startswith("bff_session=" + cookie_value(new)) and "HttpOnly" in c for c in cookies)
    assert any(c.startswith("bff_csrf=" + csrf_of(new)) and "HttpOnly" not in c for c in cookies)
    fields = world.broker.seen[-1][1]
    assert fields[2:8] == [b"B" * 32, b"s", b"c", b"i", b"", alice]


@pytest.mark.parametrize("query", ["?&", "", "code=c", "state=s", "state=s&code=c&code=d", "state=s&state=s&code=c",
                                   "state=s&code=c&error=e", "state=s&code=c&iss=a&iss=b"])
def test_bad_callbacks(world, query):
    got = world.public("GET /auth/callback?" + query, cookie="bff_login=" + b64(b"B" * 32))
    assert got.status == 400 and not got.all("set-cookie")


def test_callback_of_another_browser(world):
    assert world.public("GET /auth/callback?state=s&code=c").status == 400


def test_callback_failures(world, alice):
    binding = "bff_login=" + b64(b"B" * 32)

    def answer(code, return_to=b"", cookie=binding):
        world.answers[FakeBroker.LOGIN_FINISH] = (FakeBroker.FAILURE, [code, 0, return_to, b""])
        return world.public("GET /auth/callback?state=s&code=c", cookie=cookie)

    assert answer(7).status == 400
    assert answer(8).status == 400
    assert answer(9).status == 400
    assert answer(14).status == 403
    assert answer(10).status == 503
    got = answer(7, (ORIGIN + "/here").encode(), binding + "; bff_session=" + cookie_value(alice))
    assert (got.status, got["location"]) == (303, ORIGIN + "/here")
    got = answer(13, (ORIGIN + "/here?a=b").encode())
    assert (got.status, got["location"]) == (303, ORIGIN + "/here?a=b&login=required")
    got = answer(13, b"https://evil.example/")
    assert (got.status, got["location"]) == (303, ORIGIN + "/?login=required")


def test_logout(world, alice):
    cookie = "bff_session=" + cookie_value(alice)
    world.answers[FakeBroker.LOGOUT] = (FakeBroker.LOGGED_OUT, [b"https://idp.example/end", 1, b"", b"", STATE])
    assert world.public("POST /auth/logout", cookie=cookie).status == 403
    got = world.public("GET /auth/logout", cookie=cookie)
    assert got.status == 200 and csrf_of(alice) in got.body and got["cache-control"] == "no-store"
    form = ("csrf=%s&everywhere=true" % csrf_of(alice)).encode()
    got = world.public("POST /auth/logout", cookie=cookie, body=form)
    assert (got.status, got["location"]) == (303, "https://idp.example/end")
    assert world.broker.seen[-1][1][3] == 1
    assert any(c.startswith("bff_session=;") for c in got.all("set-cookie"))
    got = world.public("POST /auth/logout", cookie=cookie,
                       more=["X-CSRF-Token: " + csrf_of(alice), "Accept: application/json"])
    assert (got.status, got.json()) == (200, {"redirect_url": "https://idp.example/end"})
    got = world.public("GET /auth/logout?csrf=" + csrf_of(alice), cookie=cookie)
    assert got.status == 303
    got = world.public("POST /auth/logout", cookie=cookie,
                       more=["X-CSRF-Token: " + csrf_of(alice), "Origin: https://evil.example"])
    assert got.status == 403
    assert world.public("POST /auth/logout").status == 303


def test_the_return_of_a_logout(world, alice):
    world.answers[FakeBroker.LOGOUT] = (FakeBroker.LOGGED_OUT, [b"https://idp.example/end", 1, b"", b"", STATE])
    got = world.public("GET /auth/logout?csrf=" + csrf_of(alice), cookie="bff_session=" + cookie_value(alice))
    away = next(c for c in got.all("set-cookie") if c.startswith("bff_logout="))
    cookie, state = away.split(";")[0], base64.urlsafe_b64encode(STATE).decode().rstrip("=")
    assert cookie == "bff_logout=%s.0" % state
    got = world.public("GET /auth/logout?state=" + state, cookie=cookie)
    assert (got.status, got["location"]) == (303, ORIGIN + "/")
    for query, with_cookie, why in (("?state=" + state, None, "no_cookie"), ("?state=x", cookie, "other_state"),
                                    ("", cookie, "no_state")):
        got = world.public("GET /auth/logout" + query, cookie=with_cookie)
        assert got.status == 200 and "<h1>Logged out</h1>" in got.body and not got.all("location")
        assert "reason=logout_state detail=" + why in world.logged().splitlines()[-1]


def test_logout_by_a_form_for_the_provider(world, alice):
    cookie = "bff_session=" + cookie_value(alice)
    form = b"client_id=a%26%22%3Cb&post_logout_redirect_uri=https%3A%2F%2Fa%2F&state=s&id_token_hint=a.b.c&other=x"
    world.answers[FakeBroker.LOGOUT] = (FakeBroker.LOGGED_OUT, [b"https://idp.example/end?x", 1, b"https://idp.example/end?a=1&b='2'", form, STATE])
    got = world.public("GET /auth/logout?csrf=" + csrf_of(alice), cookie=cookie)
    assert got.status == 200 and not got.all("location")
    assert 'action="https://idp.example/end?a=1&#38;b=&#39;2&#39;"' in got.body
    assert 'name="client_id" value="a&#38;&#34;&#60;b"' in got.body
    assert 'name="id_token_hint" value="a.b.c"' in got.body and "other" not in got.body
    names = sorted(c.partition("=")[0] for c in got.all("set-cookie"))
    assert names == ["bff_csrf", "bff_logout", "bff_loop", "bff_session"] and got["cache-control"] == "no-store"
    more = ["X-CSRF-Token: " + csrf_of(alice), "Accept: application/json"]
    got = world.public("POST /auth/logout", cookie=cookie, more=more)
    assert got.json() == {"redirect_url": "https://idp.example/end?x"}
    long = b"state=s&id_token_hint=" + b"x" * 16000  # as long as a token may be
    world.answers[FakeBroker.LOGOUT] = (FakeBroker.LOGGED_OUT, [b"https://idp.example/end", 1, b"https://idp.example/end", long, STATE])
    assert "x" * 16000 in world.public("GET /auth/logout?csrf=" + csrf_of(alice), cookie=cookie).body


def test_an_apps_own_page_sends_on_by_the_one_script(world, alice):
    form = b"client_id=%22%3E&state=s"
    world.answers[FakeBroker.LOGOUT] = (FakeBroker.LOGGED_OUT, [b"https://idp.example/end?x", 1, b"https://idp.example/end", form, STATE])
    got = world.public("GET /auth/logout?csrf=" + csrf_of(alice), host="other.localhost:8080",
                       cookie="other_session=" + cookie_value(alice))
    script = "document.forms[0].submit()"
    assert got.status == 200 and got.body == (
        '<style>i { color: red }</style><i>Bye &amp; thanks</i>\n<form method="post" action="https://idp.example/end">\n'
        '<input type="hidden" name="client_id" value="&#34;&#62;">\n<input type="hidden" name="state" value="s">\n'
        '<button type="submit">Continue</button></form>\n<script>%s</script>\n' % script)
    sha256 = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert got["content-security-policy"] == (
        "default-src 'none'; script-src 'sha256-%s'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "base-uri 'none'; frame-ancestors 'none'" % sha256)


# ---- logout by the provider ----------------------------------------------------------------------

BACKCHANNEL = "POST /auth/backchannel-logout"


def test_a_logout_token_goes_to_the_broker_as_it_came(world):
    world.answers[FakeBroker.BACKCHANNEL] = (FakeBroker.BACKCHANNEL_DONE, [1, 3, b""])
    got = world.public(BACKCHANNEL, body=b"x=1&logout_token=a.b%2Ec&y=2", more=["Origin: https://evil.example"])
    assert (got.status, got.body, got["cache-control"], got["content-length"]) == (200, "", "no-store", "0")
    number, fields = world.broker.seen[-1]
    assert (number, fields[:2]) == (FakeBroker.BACKCHANNEL, [b"demo", b"a.b.c"]) and len(fields[2]) == 22
    world.public(BACKCHANNEL, body=b"logout_token=" + b"x" * 8000)
    assert world.broker.seen[-1][1][1] == b"x" * 8000
    world.answers.clear()


@pytest.mark.parametrize("body", [
    b"", b"x=1", b"logout_token=", b"logout_token=a&logout_token=a", b"logout_token=%zz", b"logout_token=%0a",
    b"logout_token=" + b"x" * 8192, b"logout_token=" + b"x" * 100000])
def test_what_is_no_logout_token_does_not_get_to_the_broker(world, body):
    seen = len(world.broker.seen)
    got = world.public(BACKCHANNEL + "?logout_token=a.b.c", body=body)
    assert (got.status, got.body) == (400, '{"error":"invalid_request"}')
    assert got["cache-control"] == "no-store" and not got.all("set-cookie")
    assert len(world.broker.seen) == seen


@pytest.mark.parametrize("answer,status", [
    ((FakeBroker.BACKCHANNEL_DONE, [0, 0, b"nonce"]), 400),
    *[((FakeBroker.FAILURE, [code, 7, b"", b""]), 503) for code in range(1, 15)]])
def test_the_brokers_word_on_a_logout_token(world, answer, status):
    """Whatever it is that failed, it is worth another try, unless it was the token."""
    world.answers[FakeBroker.BACKCHANNEL] = answer
    got = world.public(BACKCHANNEL, body=b"logout_token=canary.token.text")
    world.answers.clear()
    assert got.status == status and got["cache-control"] == "no-store"
    assert got.json() == {"error": "invalid_request" if status == 400 else "unavailable"}
    if status == 503:
        assert got["retry-after"] == "7"
    assert "nonce" not in got.body and "canary" not in world.logged()


def test_a_logout_token_at_the_other_listeners_is_nothing(world):
    for listen in ("verify", "metrics"):
        got = world.public(BACKCHANNEL, body=b"logout_token=a.b.c", listen=listen)
        assert got is None or got.status == 404


def test_a_body_that_comes_after_its_head(world, alice):
    """The first read ends within the body, and the buffer moves at the next: the head's views move along."""
    world.answers[FakeBroker.LOGOUT] = (FakeBroker.LOGGED_OUT, [b"https://idp.example/end", 1, b"", b"", STATE])
    form = ("csrf=%s&everywhere=true" % csrf_of(alice)).encode()
    head = ("POST /auth/logout HTTP/1.1\r\nHost: %s\r\nX-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: http\r\n"
            "Cookie: bff_session=%s\r\nContent-Length: %d\r\nX-Pad: %%s\r\n\r\n" % (HOST, cookie_value(alice), len(form)))
    for first_read in (4092, 4096, 8190):  # bytes of the head; a connection reads 4096 at a time
        got = world.ask((head % ("x" * (first_read - len(head) + 2))).encode() + form, "public")
        assert (got.status, got["location"]) == (303, "https://idp.example/end")


def test_logout_with_two_sessions_ends_neither_and_says_so(world, alice):
    twice = "bff_session=%s; bff_session=%s" % (cookie_value(alice), cookie_value(world.session()[0]))
    got = world.public("POST /auth/logout", cookie=twice, more=["X-CSRF-Token: " + csrf_of(alice)])
    assert got.status == 401


def test_logout_without_the_broker_ends_the_session(world):
    secret, _ = world.session()
    world.answers[FakeBroker.LOGOUT] = (FakeBroker.FAILURE, [2, 0, b"", b""])
    got = world.public("POST /auth/logout", cookie="bff_session=" + cookie_value(secret),
                       more=["X-CSRF-Token: " + csrf_of(secret)])
    assert (got.status, got["location"]) == (303, ORIGIN + "/")
    assert world.verify("/", secret).status == 401
    world.answers.clear()


# ---- life --------------------------------------------------------------------------------------


def test_drain_answers_what_is_under_way_and_ends_with_0(world, alice):
    worker = world.start()
    c = Client(worker.ports["verify"])
    head = verify_head("/", cookie="bff_session=" + cookie_value(alice))
    assert c.send(head).reply().status == 200
    os.kill(worker.pid, 15)
    worker.await_status(b"D")
    got = c.send(head).reply()
    assert got.status == 200 and got["connection"] == "close"
    assert worker.wait() == 0


def test_a_lost_master_drains(world):
    worker = world.start()
    worker.status.shutdown(socket.SHUT_RDWR)
    assert worker.wait() == 0


def test_out_of_descriptors_it_waits_and_goes_on(world, alice):
    worker = world.start(nofile=40)
    clients = []
    for _ in range(60):
        clients.append(socket.create_connection(("127.0.0.1", worker.ports["verify"]), 5))
    worker.await_log("accept_paused")
    for c in clients:
        c.close()
    c = Client(worker.ports["verify"])
    assert c.send(verify_head("/", cookie="bff_session=" + cookie_value(alice))).reply().status == 200
    assert worker.stop() == 0


def test_no_more_than_max_connections_at_a_time(world, alice):
    worker = world.start(("max_connections = 200", "max_connections = 3"))
    head = verify_head("/", cookie="bff_session=" + cookie_value(alice))
    taken = [Client(worker.ports["verify"]) for _ in range(3)]
    for c in taken:
        assert c.send(head).reply().status == 200
    worker.await_log("event=accept_paused reason=max_connections")
    waiting = Client(worker.ports["verify"]).send(head)
    end = time.monotonic() + 1  # several of the acceptor's own attempts
    while time.monotonic() < end:
        for c in taken:
            assert c.send(head).reply().status == 200
        assert not select.select([waiting.s], [], [], 0)[0], "a fourth connection was taken"
    taken.pop().close()
    assert waiting.reply().status == 200
    for c in taken:
        assert c.send(head).reply().status == 200
    assert worker.stop() == 0


def test_idle_timeout_between_two_requests(world, alice):
    worker = world.start(('idle_timeout = "30s"', 'idle_timeout = "300ms"'))
    head = verify_head("/", cookie="bff_session=" + cookie_value(alice))
    c = Client(worker.ports["verify"])
    began = time.monotonic()
    while time.monotonic() < began + 1:  # each request begins it anew
        sent = time.monotonic()
        got = c.send(head).reply()
        assert got is not None and got.status == 200
    assert c.reply() is None and c.at_end()
    assert 0.25 < time.monotonic() - sent < 8
    c = Client(worker.ports["verify"])
    assert c.send(head).reply().status == 200
    assert worker.stop() == 0


def test_nothing_secret_is_in_the_log(world, alice):
    text = world.logged()
    for word in (cookie_value(alice), b64(alice), csrf_of(alice), "access-token", b64(KEY)):
        assert word not in text
