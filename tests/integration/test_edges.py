"""Each edge with its sample from etc/edge, in front of the real daemons and two real services.

What must hold behind every one of them: a service sees the identity that bff answered and its own token,
never what a client wrote; the session cookie stays outside; denials reach the browser."""
import time
import urllib.parse

import pytest

import browser
from idp import CRM, ORDERS
from stack import IDENTITY

FORGED = [
    ("X-User-ID", "mallory"), ("x-user-id", "mallory"), ("X_User_ID", "mallory"), ("X.User.ID", "mallory"),
    ("X-User_ID", "mallory"), ("X-User-Email", "mallory@example.com"), ("X-User-Name", "mallory"),
    ("X-User-Groups", "admin"), ("X_User_Groups", "admin"), ("X-Session-ID", "mallory"),
    ("X-Auth-Time", "9999999999"), ("X-Auth-Acr", "mallory"), ("X_Auth_Acr", "mallory"),
    ("X-Correlation-ID", "mallory"), ("Authorization", "Bearer mallory"),
]
ALICE = {"X-User-ID": "alice", "X-User-Email": "alice@example.com", "X-User-Name": "Alice Adams",
         "X-User-Groups": "sales,support"}


@pytest.fixture(name="alice")
def fixture_alice(edge_stack):
    for service in edge_stack.services.values():
        service.forget()
    return edge_stack.login("alice")


def direct(stack, b, path, headers, method="GET"):
    """With headers that may repeat."""
    url = stack.url(path)
    sent = [("Host", url.split("/")[2]), ("Accept", "application/json")]
    if b is not None:
        sent.append(("Cookie", b.cookie_header(url)))
    return browser.raw(stack.port, method, path, sent + headers)


def test_service_sees_identity_and_its_own_token(edge_stack, alice):
    for name, audience in (("crm", CRM), ("orders", ORDERS)):
        got = alice.fetch(edge_stack.url("/api/%s/list?q=1" % name))
        assert got.status == 200, (got, edge_stack.tails())
        seen = edge_stack.services[name].last()
        assert (seen.method, seen.path) == ("GET", "/api/%s/list?q=1" % name)
        assert {k: seen.one(k) for k in ALICE} == ALICE
        assert seen.token["aud"] == audience
        assert seen.token["sub"] == "alice"
        assert seen.one("X-Session-ID") and seen.one("X-Correlation-ID")
        assert abs(int(seen.one("X-Auth-Time")) - time.time()) < 300


def test_session_cookie_stays_outside_and_others_survive(edge_stack, alice):
    url = edge_stack.url("/api/crm/")
    cookie = alice.cookie_header(url)
    for sent in (cookie, "theme=dark; %s; lang=de" % cookie):
        got = alice.fetch(url, headers={"Cookie": sent})
        assert got.status == 200
        seen = edge_stack.services["crm"].last().one("Cookie")
        assert "bff_session" not in seen and "bff_csrf" not in seen and "bff_login" not in seen
        assert ("theme=dark" in seen and "lang=de" in seen) == ("theme" in sent)


def test_no_session_by_navigation_leads_to_login(edge_stack):
    got = browser.Browser().get(edge_stack.url("/private/report?year=2026"))
    assert got.status == 302
    assert got.location.startswith(edge_stack.url("/auth/login?"))
    assert "report" in got.location


def test_no_session_by_fetch_is_401(edge_stack):
    got = browser.Browser().fetch(edge_stack.url("/api/crm/"))
    assert got.status == 401
    assert got.location is None
    assert got.header("Content-Type") == "application/json" and got.header("X-Login-URL") is None
    home = urllib.parse.quote(edge_stack.url(), safe="")
    assert got.json() == {"error": "unauthenticated", "login_url": edge_stack.url("/auth/login?return_to=" + home)}
    assert not edge_stack.services["crm"].requests or edge_stack.services["crm"].last().one("X-User-ID")


def test_login_url_of_a_fetch_comes_back_to_the_page_that_asked(edge_stack):
    b = browser.Browser()
    page = edge_stack.url("/private/report?year=2026")
    got = b.fetch(edge_stack.url("/api/crm/"), method="POST", headers={"Referer": page})
    assert got.status == 401
    got = b.open(got.json()["login_url"] + "&login_hint=alice")
    assert got.status == 200 and got.url == page


def test_login_url_is_json_whatever_page_asks(edge_stack):
    home = edge_stack.url()
    for query in ('?a="b"', '?","error":"ok', "?$request_uri$bff_cookie", "?'}{`|", "?a=%22&b=%5C", "?<script>"):
        for page in (home + query, "http://evil.localhost/" + query):
            got = browser.Browser().fetch(edge_stack.url("/api/crm/"), headers={"Referer": page})
            assert got.status == 401, page
            said = got.json()
            want = page if page.startswith(home) else home
            assert said == {"error": "unauthenticated", "login_url": said["login_url"]}
            assert said["login_url"] == edge_stack.url("/auth/login?return_to=" + urllib.parse.quote(want, safe=""))


def test_navigation_comes_back_to_where_it_began(edge_stack):
    b = browser.Browser()
    first = b.get(edge_stack.url("/private/report?year=2026"))
    login = first.location + "&login_hint=alice"
    got = b.open(login)
    assert got.status == 200 and got.url == edge_stack.url("/private/report?year=2026")
    assert got.json()["service"] == "page"


def test_denials_stay_small_and_the_longest_target_comes_back(edge_stack):
    """Three bytes for each of the target's are the most that bff answers: within what an edge takes of one."""
    b = browser.Browser()
    url = edge_stack.url("/private/?")
    url += "&" * (2048 - len(url))  # return_to.h: RETURN_TO_MAX
    got = b.get(url)
    assert got.status == 302 and len(got.location) > 6000
    landed = b.open(got.location + "&login_hint=alice")
    assert (landed.status, landed.url) == (200, url)
    home = edge_stack.url()
    for referer in (home + "?" + "&" * (2047 - len(home)), home + "?" + "&" * 6000):
        got = browser.Browser().fetch(edge_stack.url("/api/crm/"), headers={"Referer": referer})
        assert got.status == 401 and len(got.body) < 8192
        came = urllib.parse.parse_qs(urllib.parse.urlsplit(got.json()["login_url"]).query)["return_to"]
        assert came == [referer if len(referer) <= 2048 else home]


def test_method_that_no_route_names_is_403(edge_stack, alice):
    assert alice.fetch(edge_stack.url("/read/x")).status == 200
    assert alice.fetch(edge_stack.url("/read/x"), method="PUT", csrf=True).status == 403


def test_forged_identity_of_a_logged_in_client_is_replaced(edge_stack, alice):
    edge_stack.services["crm"].forget()
    for header in FORGED:
        got = direct(edge_stack, alice, "/api/crm/", [header])
        if got.status != 200:
            assert got.status in (400, 401, 403), header  # refused is as good
            continue
        seen = edge_stack.services["crm"].last()
        assert {k: seen.one(k) for k in ALICE} == ALICE, header
        assert seen.token["sub"] == "alice"
        assert not [v for _, v in seen.headers if "mallory" in v or v in ("admin", "9999999999")], header


def test_forged_identity_of_a_stranger_reaches_nobody(edge_stack):
    for service in edge_stack.services.values():
        service.forget()
    for header in FORGED:
        assert direct(edge_stack, None, "/api/crm/", [header]).status in (400, 401, 403), header
        got = direct(edge_stack, None, "/public.txt", [header])  # a route with session = none
        if got.status == 200:
            seen = edge_stack.services["page"].last()
            assert not [v for _, v in seen.headers if "mallory" in v or v == "admin"], header
            assert all(seen.one(name) == "" for name in IDENTITY if name != "X-Correlation-ID"), header
    assert not edge_stack.services["crm"].requests


def test_naming_headers_in_connection_takes_none_away(edge_stack, alice):
    for names in ("X-User-ID", "close, X-User-ID, Authorization", "X-Forwarded-Uri", "Cookie",
                  "close, x-forwarded-host", "x-FORWARDED-method, X-Forwarded-Proto", "close, x-user-id, COOKIE"):
        edge_stack.services["crm"].forget()
        assert direct(edge_stack, None, "/api/crm/", [("Connection", names)]).status in (400, 401, 403), names
        assert not edge_stack.services["crm"].requests, names
        got = direct(edge_stack, alice, "/api/crm/", [("Connection", names)])
        if got.status == 200:
            seen = edge_stack.services["crm"].last()
            assert seen.one("X-User-ID") == "alice" and seen.token["aud"] == CRM, names
        else:
            assert got.status in (400, 401, 403), names


def test_forged_forwarded_headers_do_not_choose_the_route(edge_stack):
    for header in (("X-Forwarded-Uri", "/public.txt"), ("X-Forwarded-Method", "OPTIONS"),
                   ("X-Forwarded-Host", "other.localhost"), ("X-Original-URI", "/public.txt"),
                   ("X-Original-URL", "/public.txt"), ("X-Rewrite-URL", "/public.txt"),
                   ("X_Forwarded_Uri", "/public.txt"), ("Forwarded", "host=other.localhost")):
        edge_stack.services["crm"].forget()
        got = direct(edge_stack, None, "/api/crm/", [header])
        assert got.status in (400, 401, 403), (header, got)
        assert not edge_stack.services["crm"].requests


def test_forged_forwarded_headers_change_no_redirect(edge_stack):
    """Where the browser is sent follows from the origins of the configuration, on either listener."""
    forged = [("X-Forwarded-Prefix", "/evil"), ("X-Forwarded-Port", "99"), ("X-Forwarded-Proto", "https"),
              ("X-Forwarded-Ssl", "on"), ("X-Forwarded-Server", "evil.localhost"), ("X-Real-Ip", "192.0.2.1")]
    host = edge_stack.url().split("/")[2]
    for headers in ([], *([h] for h in forged)):
        sent = [("Host", host), *browser.NAVIGATION.items(), *headers]
        got = browser.raw(edge_stack.port, "GET", "/private/report", sent)
        wish = urllib.parse.quote(edge_stack.url("/private/report"), safe="")
        assert (got.status, got.location) == (302, edge_stack.url("/auth/login?return_to=" + wish)), headers
        got = browser.raw(edge_stack.port, "GET", "/auth/login", sent)
        assert got.status == 302, (headers, got)
        assert edge_stack.idp.asked(got.location)["redirect_uri"] == [edge_stack.url("/auth/callback")], headers
        assert "secure" not in got.cookies()["bff_login"], headers  # over http a browser would not take it


def test_paths_that_are_not_canonical_are_refused(edge_stack, alice):
    for path in ("/read/../api/crm/", "/api//crm/", "/api/./crm/", "/api/crm%2f..%2fprivate",
                 "/api/crm/%2e%2e/orders/", "/api%5ccrm/", "/api/crm/..;/x", "/public.txt%00"):
        for service in edge_stack.services.values():
            service.forget()
        stranger = direct(edge_stack, None, path, [])
        assert stranger.status in (301, 302, 307, 308, 400, 401, 403, 404), (path, stranger)
        got = direct(edge_stack, alice, path, [])
        for name in ("crm", "orders"):
            for seen in edge_stack.services[name].requests:  # an edge that cleans paths first may let it pass
                assert seen.path.startswith("/api/%s/" % name) and ".." not in seen.path, (path, got)


def test_unsafe_method_needs_the_csrf_token(edge_stack, alice):
    url = edge_stack.url("/api/crm/items")
    edge_stack.services["crm"].forget()
    assert alice.fetch(url, method="POST", body=b"{}").status == 403
    assert alice.fetch(url, method="POST", headers={"X-CSRF-Token": "x" * 43}).status == 403
    assert alice.fetch(url, method="POST", csrf=True, origin="http://evil.localhost").status == 403
    assert not edge_stack.services["crm"].requests
    got = alice.fetch(url, method="POST", csrf=True, body=b'{"n": 1}')
    assert got.status == 200, got
    seen = edge_stack.services["crm"].last()
    assert (seen.method, seen.body) == ("POST", b'{"n": 1}')
    assert seen.one("X-User-ID") == "alice"
    for method in ("PUT", "PATCH", "DELETE"):
        assert alice.fetch(url, method=method).status == 403
        assert alice.fetch(url, method=method, csrf=True).status == 200


def test_verify_is_not_to_be_had_through_the_edge(edge_stack, alice):
    for path in ("/auth/verify", "/auth/forward", "/auth/verify/x", "/api/auth/verify"):
        got = alice.fetch(edge_stack.url(path))
        assert got.status == 404, (path, got)
        assert got.header("Authorization") is None


def test_session_endpoint_and_logout(edge_stack, alice):
    for path in ("/auth/session", "/api/auth/session"):
        got = alice.fetch(edge_stack.url(path))
        assert got.status == 200 and got.json()["authenticated"] is True
        assert got.json()["csrf_token"] == alice.cookies(edge_stack.url())["bff_csrf"]
    got = alice.fetch(edge_stack.url("/auth/logout"), method="POST", csrf=True)
    assert got.status == 200, got
    assert alice.fetch(edge_stack.url("/api/crm/")).status == 401
    assert alice.fetch(edge_stack.url("/auth/session")).status == 401


def test_daemon_away_is_503_and_never_a_logout(edge_stack, alice):
    edge_stack.stop_bffd()
    try:
        got = alice.fetch(edge_stack.url("/api/crm/"))
        assert got.status >= 500, got
        assert not got.all("Set-Cookie")
    finally:
        edge_stack.start_bffd()
    assert alice.fetch(edge_stack.url("/api/crm/")).status == 200
