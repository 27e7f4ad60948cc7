"""Every published bypass of a peer or an edge, tried here: the test's name has the advisory's id.

Against a worker on a real PostgreSQL, over raw sockets, behind each edge profile where the edge makes a difference.
ELSEWHERE lists the vectors that other tests have; tests/lint/vectors.py holds it against the tree.

Rule Zero: over 400 lines, because the table is one.
"""
import socket
import time

import pytest

from lone_worker import FakeBroker
from test_worker import HOST, IDENTITY, ORIGIN, Client, World, b64, begun, cookie_value

EDGES = ("traefik", "caddy", "nginx", "haproxy", "envoy")
MORE = """
listen "caddy"   { kind = verify address = "127.0.0.1:6" edge = caddy trusted_peers = {"127.0.0.1"} }
listen "haproxy" { kind = verify address = "127.0.0.1:7" edge = haproxy trusted_peers = {"127.0.0.1"} }
listen "envoy"   { kind = verify address = "127.0.0.1:8" edge = envoy trusted_peers = {"127.0.0.1"} }
service "crm" { provider = "idp" grant = resource resource = "urn:example:crm" }
route "crm"   { app = "demo" path = "/api/crm/" service = "crm" }
route "mail"  { app = "demo" path = "/mail/" require "company" { claim = "email" domain = {"company.com"} } }
app "idn" { provider = "idp" origins = {"http://xn--bcher-kva.localhost:8080"} insecure_loopback = yes }
route "idn" { app = "idn" path = "/" session = none csrf = off }
"""


class Vectors(World):
    listeners = World.listeners + ("caddy", "haproxy", "envoy")

    def config(self):
        kept = "keep_claims = {name, email, groups}"
        return super().config().replace(kept, kept[:-1] + ", email_verified}") + MORE


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    w = Vectors(tmp_path_factory.mktemp("vectors"))
    yield w
    w.close()


@pytest.fixture(scope="module", name="alice")
def fixture_alice(world):
    return world.session()[0]


def asked(edge, uri="/", method="GET", host=HOST, proto="http", client="203.0.113.9", cookie=None, more=(), drop=()):
    """What that edge sends when a browser asks for uri."""
    said = {"Method": method, "Uri": uri, "Host": host, "Proto": proto, "For": client}
    lines = ["GET /auth/verify HTTP/1.1", "Host: 127.0.0.1"]
    if edge == "envoy":
        lines = ["%s /auth/verify%s HTTP/1.1" % (method, uri)] + ["Host: " + host] * ("Host" not in drop)
        lines += ["X-Real-IP: " + client] * ("For" not in drop)
        said = {"Proto": proto}
    lines += ["X-Forwarded-%s: %s" % item for item in said.items() if item[0] not in drop]
    lines += ["Cookie: " + cookie] if cookie is not None else []
    return ("\r\n".join(lines + list(more)) + "\r\n\r\n").encode("latin-1")


def ask(world, edge, secret=None, **more):
    if secret is not None:
        more["cookie"] = "bff_session=" + cookie_value(secret)
    return world.ask(asked(edge, **more), "verify" if edge == "traefik" else edge)


def vectors(rows):
    """Each row is (id, ...), behind each edge."""
    return pytest.mark.parametrize("edge, row", [(e, row[1:]) for row in rows for e in EDGES],
                                   ids=["%s-%s" % (row[0], e) for row in rows for e in EDGES])


def assert_refused(got, edge, status=400):
    """nginx takes 401 and 403 alone; what never became a request is 400 everywhere."""
    want = {403 if edge == "nginx" and status == 400 else status}
    want |= {400, 404} if edge == "envoy" else set()  # its vector is in the request line itself
    assert got.status in want or (got.status == 400 and got.body == ""), (got.status, got.fields)
    assert not got.all("x-user-id") and not got.all("location") and not got.all("set-cookie")


@pytest.mark.parametrize("edge", EDGES)
def test_honest(world, alice, edge):
    """What each of the others differs from by the vector alone."""
    got = ask(world, edge, alice)
    assert (got.status, got["x-user-id"]) == (200, "alice")
    assert ask(world, edge, alice, uri="/api/data/a%40b/%c3%a4?x=%2F..//#"[:-1]).status == 200


# ---- targets -----------------------------------------------------------------------------------------

TARGETS = [
    ("CVE-2019-9901", "/public//../admin"), ("CVE-2021-29492", "/public/..%2f..%5cadmin"),
    ("CVE-2021-32637-escape", "/%zz"), ("CVE-2021-32637-percent", "/%"), ("CVE-2021-32637-nul", "/a%00"),
    ("CVE-2021-32779", "/admin#foo"), ("CVE-2023-47106", "/a#/../b"), ("CVE-2025-32431", "/public/../../api/data/"),
    ("CVE-2025-47952", "/public/%252e%252e/admin"), ("CVE-2025-66490-semicolon", "/public%3b/admin"),
    ("CVE-2025-66490-question", "/public%3f/admin"), ("CVE-2026-27587", "/%61pi/data/"),
    ("CVE-2026-27588", "//api/data/"),
    ("CVE-2026-33494", "/public/../admin"), ("CVE-2026-40912", "/api%2e/admin"),
    ("CVE-2026-41059-escaped", "/private%23/public"),
    ("CVE-2026-41059-plain", "/private#/public"), ("CVE-2026-48020", "/public/%2e%2e/admin"),
    ("CVE-2026-65600", "/public/..%2Fadmin"), ("CVE-2026-67309", "/public%5c..%5cadmin"),
    ("CVE-2026-73511", "/public;x/../admin"), ("CVE-2026-73551", "/public/..;/admin"),
    ("absolute-form", "http://app.localhost:8080/"), ("overlong", "/%c0%ae%c0%ae/admin"), ("raw-utf8", "/\xc3\xa4"),
    ("backslash", "/public\\..\\admin"), ("cr-lf", "/a%0d%0aX-User-ID:%20admin"), ("c1-control", "/a%c2%85b"),
    ("surrogate", "/%ed%a0%80"), ("dot", "/./admin"),
]


@vectors(TARGETS)
def test_target(world, alice, edge, row):
    assert_refused(ask(world, edge, alice, uri=row[0]), edge)


@vectors([("encoded-slash", "/api/data/a%2Fb"), ("encoded-slash-lower", "/api/data/a%2fb")])
def test_target_that_no_route_takes(world, alice, edge, row):
    assert_refused(ask(world, edge, alice, uri=row[0]), edge, 403)


@vectors([("CVE-2025-54576", "/api/data/private?path=/api/hooks/"), ("CVE-2025-54576-open", "/api/data/?/api/open")])
def test_query_decides_nothing(world, edge, row):
    assert ask(world, edge, uri=row[0]).status == 401


@vectors([("CVE-2026-71324", "CONNECT"), ("TRACE", "TRACE"), ("trace", "trace")])
def test_method(world, alice, edge, row):
    assert_refused(ask(world, edge, alice, method=row[0]), edge, 403)


# ---- hosts -------------------------------------------------------------------------------------------


@vectors([("CVE-2026-48794", "App.localhost:8080"), ("CVE-2026-48794-second", "app.LOCALHOST:8080"),
          ("CVE-2026-48794-all", "APP.LOCALHOST:8080")])
def test_host_case_is_one(world, alice, edge, row):
    got = ask(world, edge, alice, host=row[0])
    assert (got.status, got["x-user-id"]) == (200, "alice")
    assert_refused(ask(world, edge, alice, host=row[0], uri="/", method="POST"), edge, 403)  # the same routes


@vectors([("trailing-dot", "app.localhost.:8080"), ("userinfo", "app.localhost:8080@evil.example"),
          ("idn-raw", "b\xc3\xbccher.localhost:8080"), ("port-zeros", "app.localhost:08080"),
          ("two-hosts", "app.localhost:8080, evil"),
          ("CVE-2024-52003-host", "evil.example/app.localhost:8080"), ("escaped-host", "app%2elocalhost:8080")])
def test_host_syntax(world, alice, edge, row):
    assert_refused(ask(world, edge, alice, host=row[0]), edge)


@vectors([("other-port", "app.localhost:8081"), ("default-port", "app.localhost"),
          ("caddy-security-269", "evil.example"),
          ("CVE-2021-21291-host", "evilapp.localhost:8080"), ("idn-not-configured", "xn--mgba.localhost:8080")])
def test_host_that_is_no_apps(world, alice, edge, row):
    assert_refused(ask(world, edge, alice, host=row[0]), edge, 403)


@vectors([("idn-configured", "xn--bcher-kva.localhost:8080"), ("idn-configured-upper", "XN--BCHER-KVA.localhost:8080")])
def test_host_that_is_configured(world, edge, row):
    assert ask(world, edge, host=row[0]).status == 200


# ---- fields ------------------------------------------------------------------------------------------

FIELDS = [
    ("CVE-2021-32813", "Connection: X-Forwarded-Uri"), ("CVE-2024-45410", "Connection: close, X-Forwarded-Host"),
    ("CVE-2026-29054", "connection: close, x-forwarded-host"), ("CVE-2024-45410-identity", "Connection: X-User-ID"),
    ("GHSA-w9mr", "Connection: cookie"), ("CVE-2025-64484", "X_User_ID: admin"),
    ("CVE-2026-39858", "X_User_Groups: admin"),
    ("CVE-2026-54763", "x_user_email: admin"), ("CVE-2026-88011", "X.User.ID: admin"),
    ("CVE-2026-88011-uri", "X.Forwarded.Proto: https"), ("GHSA-f59h-q822-g45g", "X-User_Name: admin"),
    ("CVE-2021-32777", "X-Forwarded-Proto: https"), ("CVE-2021-32777-identity", "X-User-ID: a\r\nX-User-ID: b"),
    ("CVE-2026-40575-uri", "X-Forwarded-Uri: /api/hooks/"), ("CVE-2026-33495", "X-Forwarded-Proto: http"),
    ("original-url", "X-Original-URL: /api/hooks/"), ("rewrite-url", "X-Rewrite-URL: /api/hooks/"),
    ("two-authorizations", "Authorization: Bearer a\r\nAuthorization: Bearer b"),
    ("joined-credentials", "Authorization: Bearer a, Bearer b"),
    ("joined-origin", "Origin: %s, https://evil.example" % ORIGIN),
    ("two-csrf-tokens", "X-CSRF-Token: a\r\nX-CSRF-Token: b"),
    ("content-length-alias", "Content_Length: 5"), ("two-content-lengths", "Content-Length: 3\r\nContent-Length: 3"),
]


@vectors(FIELDS)
def test_field(world, alice, edge, row):
    assert_refused(ask(world, edge, alice, more=[row[0]]), edge)


HARMLESS = [
    ("CVE-2024-52003", "X-Forwarded-Prefix: //evil.example"), ("CVE-2026-35051", "X-Forwarded-Prefix: /admin"),
    ("CVE-2026-54764", "X-Forwarded-Port: 1"),
    ("CVE-2023-36456-forwarded", "Forwarded: for=127.0.0.1;host=evil.example"),
    ("GHSA-7r4p-vjf4-gxv4", "X-User-ID: admin"), ("CVE-2020-14359", "x-user-id: admin"),
    ("CVE-2020-14359-mixed", "x-USER-id: admin"),
    ("CVE-2026-88008", "Upgrade: h2c"), ("CVE-2026-88004", "Trailer: X-User-ID"),
    ("CVE-2026-34457-in", "User-Agent: GoogleHC/1.0"),
    ("range", "Range: bytes=0-0"), ("expect", "Expect: 100-continue"),
]


@vectors(HARMLESS)
def test_field_that_changes_nothing(world, alice, edge, row):
    got = ask(world, edge, alice, more=[row[0]])
    assert (got.status, got["x-user-id"], got["content-length"]) == (200, "alice", "0")
    plain, with_it = (ask(world, edge, uri="/a?b", more=["Accept: text/html"] + more) for more in ([], [row[0]]))
    assert (plain.status, plain["location"]) == (with_it.status, with_it["location"])


@pytest.mark.parametrize("edge, name", [(e, n) for e in EDGES for n in ("Host", "Proto", "Uri", "Method", "For")
                                        if e != "envoy" or n not in ("Uri", "Method")])  # these are its request line's
def test_source_that_is_missing_CVE_2024_45410(world, alice, edge, name):
    assert_refused(ask(world, edge, alice, drop=[name]), edge)


def counted(world, series):
    got = world.ask(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "metrics")
    assert got.status == 200
    return sum(int(line.rsplit(" ", 1)[1]) for line in got.body.splitlines() if line.startswith(series))


def test_direct_request_of_a_stranger_CVE_2026_40575(world, alice):
    series = ('bff_denials_total{reason="peer"}', 'bff_untrusted_peers_total{listen="strange"}')
    before = [counted(world, one) for one in series]
    head = asked("traefik", uri="/api/hooks/", method="POST", cookie="bff_session=" + cookie_value(alice))
    got = world.ask(head, "strange")
    assert got.status == 403 and not got.all("x-user-id")
    assert [counted(world, one) for one in series] == [n + 1 for n in before]


# ---- cookies, and who one is -----------------------------------------------------------------------------


@vectors([("CVE-2022-29226", "bff_session=anything"), ("CVE-2022-29226-form", "bff_session=v1.%d.%s.%s" % (
    time.time() // 86400, b64(bytes(32)), b64(bytes(16)))), ("CVE-2023-28625-semicolon", ";"),
    ("CVE-2023-28625-equals", "="),
          ("CVE-2023-28625-mixed", "a;b;=c"),
          ("CVE-2024-24814", "bff_session_chunks=99999999; bff_session=v1.99999999.a.b"),
          ("traefik-oidc-auth-290", "bff_session=v1.2000000000.%s.%s" % (b64(bytes(32)), b64(bytes(16)))),
          ("state-cookie-without-equals", "bff_session; bff_login"), ("CVE-2026-34457", "x=1")])
def test_cookie_that_is_nobody(world, edge, row):
    for uri in ("/api/data/", "/api/crm/"):
        got = ask(world, edge, uri=uri, cookie=row[0], more=["User-Agent: GoogleHC/1.0"])
        assert got.status == 401 and not got.all("x-user-id")


@vectors([("GHSA-7r4p-vjf4-gxv4-nobody", "/api/files/a")])
def test_every_header_is_answered_of_nobody_too(world, edge, row):
    got = ask(world, edge, uri=row[0], more=["X-User-ID: admin", "X-Session-ID: x"])
    assert got.status == 200 and all(len(got.all(name)) == 1 for name in IDENTITY)
    assert got["x-user-id"] == got["x-session-id"] == got["authorization"] == ""


@vectors([("OPTIONS-shortcut", "/api/pre/x")])
def test_preflight_brings_nobody_in(world, edge, row):
    forged = ["Origin: " + ORIGIN, "Access-Control-Request-Method: PUT", "X-User-ID: admin", "Authorization: Bearer x"]
    got = ask(world, edge, uri=row[0], method="OPTIONS", more=forged)
    assert (got.status, got["x-user-id"], got["authorization"]) == (200, "", "")
    assert ask(world, edge, uri="/api/data/x", method="OPTIONS", more=forged).status == 401


def tokens(fields):
    """The service's own word, and a cookie's, so that a mix-up shows."""
    return FakeBroker.TOKEN, [b"%s-%s" % (fields[2], fields[0][:4].hex().encode()), 60000]


@pytest.mark.parametrize("name", ["CVE-2021-32701", "CVE-2026-33496", "CVE-2026-71326"])
def test_one_decision_is_never_anothers(world, name):
    """Same moment, same connection: two people, two services, all four answers their own."""
    world.answers[FakeBroker.TOKEN_GET] = tokens
    people = {sub: world.session(sub=sub)[0] for sub in ("ann", "bob")}
    asks = [(sub, service) for _ in range(25) for sub in people for service in ("crm", "orders")]
    c = Client(world.worker.ports["verify"]).send(b"".join(
        asked("traefik", uri="/api/%s/" % service, cookie="bff_session=" + cookie_value(people[sub]))
        for sub, service in asks))
    for sub, service in asks:
        got = c.reply()
        assert (got.status, got["x-user-id"]) == (200, sub)
        assert got["authorization"] == "Bearer %s-%s" % (service, people[sub][:4].hex())
    c.close()
    world.answers.clear()


def test_odd_case_of_a_configured_name_CVE_2026_33433(world, alice):
    worker = world.start(('header "X-User-ID" ', 'header "x-uSeR-iD" '))
    c = Client(worker.ports["verify"])
    cookie = "bff_session=" + cookie_value(alice)
    got = c.send(asked("traefik", cookie=cookie, more=["X-User-ID: admin"])).reply()
    assert got.status == 200 and got.all("x-user-id") == ["alice"]
    assert c.send(asked("traefik", cookie=cookie, more=["X_User_ID: admin"])).reply().status == 400
    assert worker.stop() == 0


@vectors([("CVE-2026-40574", "a@evil.com@company.com", True, 403),
          ("CVE-2026-40574-unverified", "a@company.com", False, 403),
          ("CVE-2026-40574-unsaid", "a@company.com", None, 403),
          ("CVE-2026-40574-suffix", "a@evilcompany.com", True, 403),
          ("CVE-2026-40574-honest", "a@Company.com", True, 200)])
def test_email_domain(world, edge, row):
    mail, verified, status = row
    claims = {"email": mail, **({} if verified is None else {"email_verified": verified})}
    assert ask(world, edge, world.session(sub="mallory", claims=claims)[0], uri="/mail/").status == status


# ---- answers -------------------------------------------------------------------------------------------


@vectors([("CVE-2026-26998", None)])
def test_an_answer_that_no_edge_would_take(world, alice, edge, row):
    del row
    world.answers[FakeBroker.TOKEN_GET] = (FakeBroker.TOKEN, [b"t" * 12000, 60000])
    small = ask(world, edge, alice, uri="/api/crm/")
    assert small.status == 200 and len(small["authorization"]) == 12007
    got = ask(world, edge, cookie="a=%s; bff_session=%s" % ("c" * 7000, cookie_value(alice)), uri="/api/crm/")
    world.answers.clear()
    assert got.status == 503 and len(got.body) < 1024 and "cccc" not in got.body and not got.all("cookie")


@vectors([("CVE-2026-41181", 401, "/api/data/"), ("GHSA-59jp-rwph-878r", 403, "/nothing/of/the/kind")])
def test_a_denial_echoes_nothing(world, edge, row):
    status, uri = row
    got = ask(world, edge, uri=uri, method="GET" if status == 401 else "POST", cookie="canary=1; bff_session=canary",
              more=["Authorization: Bearer canary", "X-Canary: canary", "User-Agent: canary"])
    assert got.status == status
    assert "canary" not in got.body + repr(got.fields)


@vectors([("userinfo-page-CVE-2024-39315", None)])
def test_claims_that_are_not_ascii_never_go_out_raw(world, edge, row):
    del row
    secret, _ = world.session(sub="eve", claims={"email": "e@x", "name": "J\u00f6rg\r\nX-User-ID: admin",
                                                 "groups": ["a,admin", "100%"]})
    got = ask(world, edge, secret)
    assert (got.status, got["x-user-id"]) == (200, "eve")
    assert got["x-user-name"] == "J%C3%B6rg%0D%0AX-User-ID: admin" and got["x-user-groups"] == "a%2Cadmin,100%25"


# ---- the browser-facing listener -----------------------------------------------------------------------------

REDIRECTS = [
    ("CVE-2020-5233", "/%5cevil.com"), ("CVE-2020-11053", "/%09/evil.com"), ("CVE-2020-4037", "/%0a/evil.com"),
    ("CVE-2021-21291", "http://evilapp.localhost:8080/"), ("CVE-2022-23527", "/%09/evil"), ("CVE-2021-29456", "//evil"),
    ("suffix-match", "http://evil-app.localhost:8080/"), ("userinfo", "http://app.localhost:8080@evil.example/"),
    ("scheme", "javascript:alert(1)"), ("backslashes", "%5c%5cevil.example"), ("one-slash", "http:/evil.example"),
    ("no-slash", "http:evil.example"), ("trailing-dot", "http://app.localhost.:8080/"), ("dots", "/..//evil.example"),
    ("double", "/%252e%252e//evil.example"),
]


@pytest.mark.parametrize("wish", [r[1] for r in REDIRECTS], ids=[r[0] for r in REDIRECTS])
def test_return_to(world, wish):
    world.answers[FakeBroker.LOGIN_BEGIN] = begun
    got = world.public("GET /auth/login?return_to=" + wish)
    if got.status == 302:
        assert world.broker.seen[-1][1][2] == (ORIGIN + "/").encode()
    else:
        assert got.status == 400 and "evil" not in got.body


def test_return_to_is_no_script_mod_auth_openidc_2021_06_25(world):
    world.answers[FakeBroker.LOGIN_BEGIN] = begun
    assert world.public("GET /auth/login?return_to=%2Fa'-alert(1)-'").status == 302
    assert world.broker.seen[-1][1][2] == (ORIGIN + "/a'-alert(1)-'").encode()
    world.answers[FakeBroker.LOGIN_BEGIN] = (FakeBroker.FAILURE, [10, 0, b"", b""])
    got = world.public("GET /auth/login?return_to=%2Fa'-alert(1)-'%3Cscript%3E")
    assert "alert" not in got.body and "<script" not in got.body


@pytest.mark.parametrize("line, status", [
    ("GET /auth/callback?&", 400), ("GET /auth/callback?=&&=", 400), ("GET /auth/login?&&=&", 302),
    ("GET /auth/callback?state=s&state=s&code=c", 400), ("GET /auth/callback?state=s&code=c&code=d", 400),
    ("GET /auth/callback?state=s&code=c&iss=&iss=", 400), ("GET /auth/login?max_age=300x", 400),
    ("GET /auth/login?max_age=1e300", 400), ("GET /auth/login?max_age=2147483648", 400), ("GET /auth//login", 400),
    ("GET /auth/./login", 400), ("GET /auth/login/", 404), ("GET /auth/%6cogin", 400), ("GET /auth;x/login", 400),
    ("GET http://app.localhost:8080/auth/login", 400), ("GET /auth/login%23", 400), ("GET /auth/verify", 404),
    ("GET /auth/forward", 404),
    ("GET /auth%2Flogin", 404),
])
def test_public_line(world, line, status):
    world.answers[FakeBroker.LOGIN_BEGIN] = begun
    got = world.public(line, cookie="bff_login")
    assert got.status == status and "evil" not in got.body


@pytest.mark.parametrize("more", ["X_Forwarded_Proto: https", "X-Forwarded-Proto: https", "Connection: cookie",
                                  "X-Forwarded-For: 1.1.1.1",
                                  "Host: app.localhost:8080", "Connection: X-Forwarded-For"])
def test_public_field(world, more):
    assert world.public("GET /auth/session", more=[more]).status == 400


def test_the_last_entry_of_the_list_counts_CVE_2023_36456(world):
    world.answers[FakeBroker.LOGIN_BEGIN] = begun
    head = ["GET /auth/login HTTP/1.1", "Host: " + HOST, "X-Forwarded-Proto: http",
            "X-Forwarded-For: 6.6.6.6, 198.51.100.7"]
    assert world.ask(("\r\n".join(head) + "\r\n\r\n").encode(), "public").status == 302
    assert world.broker.seen[-1][1][4] == b"198.51.100.0/24"


def test_the_session_page_shows_what_is_listed_CVE_2024_39315(world, alice):
    body = world.public("GET /auth/session", cookie="bff_session=" + cookie_value(alice)).json()
    assert body["claims"] == {"name": "Alice", "email": "alice@example.com"}
    assert set(body) == {"authenticated", "subject", "claims", "csrf_token", "expires_at", "idle_expires_at",
                         "services", "logout_url"}


# ---- request smuggling ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("more", ["Transfer-Encoding: chunked\r\nContent-Length: 4", "Transfer-Encoding: xchunked",
                                  "Transfer-Encoding : chunked",
                                  "Content-Length: 4, 4", "Content-Length: 0x4",
                                  "Transfer-Encoding: chunked, identity", "Content-Length: -1"])
def test_framing_that_two_could_read_differently(world, alice, more):
    inner = asked("traefik", cookie="bff_session=" + cookie_value(alice))
    c = Client(world.worker.ports["verify"]).send(asked("traefik", more=[more]) + b"0\r\n\r\n" + inner)
    assert c.reply().status == 400
    c.s.shutdown(socket.SHUT_WR)
    assert c.at_end()


# ---- what other tests have ------------------------------------------------------------------------------------

ELSEWHERE = {
    "CVE-2021-21411 (a rule that can have no effect)": "tests/unit/common/test_config_check_route.c::test_routes",
    "CVE-2026-34454": "tests/integration/test_session.py::test_replayed_cookie_after_logout",
    "CVE-2026-54762 (a secret is missing)":
        "tests/unit/common/test_secret.c::empty_missing_large_and_special_are_refused",
    "CVE-2026-32595": "tests/lint/constant_time.sh", "CVE-2026-41263": "tests/lint/constant_time.sh",
    "CVE-2026-26998 (denials)":
        "tests/integration/test_edges.py::test_denials_stay_small_and_the_longest_target_comes_back",
    "GHSA-wcvh-g65p-v576":
        "tests/integration/test_dialects.py::test_a_token_for_another_audience_never_reaches_the_service",
    "mod_auth_openidc 06/10/2021 (static IV)": "tests/unit/broker/test_vault.c::two_seals_of_one_value_differ",
    "mod_auth_openidc 06/10/2021 (static AAD)": "tests/unit/broker/test_vault.c::another_label_does_not_open",
    "mod_auth_openidc 07/16/2026 (graceful restart)":
        "tests/integration/test_reload.py::test_fifty_reloads_under_load_lose_nothing",
    "mod_auth_openidc 07/16/2026 (strnatcmp as equality)":
        "tests/unit/common/test_crypt.c::equality_wants_length_and_bytes",
    "mod_auth_openidc 07/21/2026 (300x read as 300)":
        "tests/unit/common/test_sv.c::numbers_are_whole_decimal_and_in_range",
    "mod_auth_openidc 08/07/2026 (fixation)":
        "tests/integration/test_login.py::test_a_planted_session_cookie_is_not_adopted",
    "mod_auth_openidc 08/07/2026 (logout token without iat, jti)":
        "tests/integration/test_logout.py::test_bad_tokens_are_refused",
    "mod_auth_openidc 08/07/2026 (third party chooses scopes)":
        "tests/integration/test_login_more.py::test_what_a_third_party_may_not",
    "mod_auth_openidc 08/07/2026 (secrets in logs)":
        "tests/integration/test_worker.py::test_nothing_secret_is_in_the_log",
    "mod_auth_openidc 08/07/2026 (secrets in the broker's logs)":
        "tests/integration/test_broker.py::test_no_secret_in_the_log",
    "CVE-2022-23469 (credentials in logs)": "tests/integration/test_worker.py::test_nothing_secret_is_in_the_log",
    "mod_auth_openidc 08/12/2026 (logout_token twice)": "tests/integration/test_logout.py::test_bad_forms_are_refused",
    "mod_auth_openidc 08/12/2026 (unknown kid)": "tests/unit/broker/test_key_source.c::unknown_keys_have_a_bucket",
    "mod_auth_openidc 08/12/2026 (replay memory fails open)":
        "tests/unit/broker/test_backchannel.c::what_is_out_of_reach_is_a_failure",
    "mod_auth_openidc 08/12/2026 (2038, exp 1e300)": "tests/unit/broker/test_id_token.c::every_claim_is_checked",
    "mod_auth_openidc 08/12/2026 (userinfo array)":
        "tests/unit/broker/test_id_token.c::userinfo_is_about_the_same_person",
    "mod_auth_openidc 08/20/2026 (bad JWKS element)": "tests/unit/broker/test_jwks.c::rubbish_is_skipped",
    "mod_auth_openidc 05/22/2026 (empty iss)": "tests/unit/worker/test_handler_callback.c::responses_that_are_none",
    "mod_auth_openidc 2026 (JWE bomb)": "tests/unit/broker/test_jose.c::shapes_are_refused_before_anything_is_decoded",
    "mod_auth_openidc 2026 (stale pool)":
        "tests/integration/test_worker.py::test_database_stopped_is_503_and_recovers_without_restart",
    "mod_auth_openidc 2026 (file permissions)": "tests/unit/common/test_secret.c::what_others_may_read_is_refused",
    "mod_auth_openidc 2026 (refreshed ID token)":
        "tests/integration/test_broker.py::test_a_refreshed_id_token_is_of_the_same_sub",
    "CVE-2026-33495 (public)":
        "tests/integration/test_login.py::test_a_stranger_on_the_public_listener_says_nothing_about_itself",
    "CVE-2025-24806": "tests/unit/worker/test_client_prefix.c::prefixes_by_table",
    "CVE-2026-47203": "tests/integration/test_revalidate.py::test_changed_groups_change",
    "GHSA-x883": "tests/integration/test_revalidate.py::test_changed_groups_change",
    "CVE-2021-41230": "tests/integration/test_revalidate.py::test_changed_groups_change",
    "CVE-2021-29651": "tests/integration/test_login.py::test_login_sets_two_cookies_and_no_token",
    "CVE-2021-29652": "tests/integration/test_login_more.py::test_what_is_not_understood_is_refused",
    "CVE-2021-29456 (logout)": "tests/integration/test_worker.py::test_logout_leads_nowhere_else",
    "CVE-2024-47616": "tests/integration/test_broker.py::test_another_uid_is_refused",
    "CVE-2026-25748": "tests/unit/worker/test_handler_verify.c::broken_claims_let_nobody_through",
    "authentik 18063": "tests/unit/worker/test_identity.c::claims_that_are_no_object_are_refused",
    "Vouch 605": "tests/integration/test_worker.py::test_allowed_keeps_foreign_cookies",
    "nginx 941 (statuses that nginx cannot take)": "tests/integration/test_worker.py::test_nginx",
    "CVE-2026-24513 (fail-open)": "tests/integration/test_edges.py::test_daemon_away_is_503_and_never_a_logout",
    "CVE-2026-30851": "tests/integration/test_edges.py::test_forged_identity_of_a_stranger_reaches_nobody",
    "CVE-2026-73547 (upgrades)": "tests/integration/test_worker.py::test_what_a_client_asks_of_the_service_is_not_ours",
    "a body on verify (desynchronised by nginx)":
        "tests/integration/test_worker.py::test_a_body_on_verify_is_never_read_as_the_next_head",
}
