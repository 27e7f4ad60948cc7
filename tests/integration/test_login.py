"""Logins through a real provider: the whole path, and what strangers may try on it."""
import random
import urllib.parse

import pytest

import browser
from port import free_port
from stack import App, Stack
from wait import eventually

EVIL = [
    "http://evil.localhost/", "https://evil.localhost/", "//evil.localhost/", "///evil.localhost/",
    "/\\evil.localhost/", "\\\\evil.localhost/", "/\t/evil.localhost/", "/\n/evil.localhost", "\t//evil.localhost",
    "http:evil.localhost", "http:/evil.localhost", "http:///evil.localhost", "javascript:alert(1)",
    "data:text/html,x", "http://{netloc}@evil.localhost/", "http://{netloc}.evil.localhost/",
    "http://evil.localhost/http://{netloc}/", "http://{netloc}\\@evil.localhost/", "http://evil.localhost#{netloc}",
    "http://{netloc}%2f@evil.localhost/", "http://{host}/", "https://{netloc}/", "http://{host}:1/", "/%5cevil.localhost",
    "/%09/evil.localhost", "/..//evil.localhost", " //evil.localhost", "http://x{netloc}/", "evil.localhost",
    "/a'-alert(1)-'", "/\u0665", "//", "/" + "a" * 5000,
]


def params(url):
    return urllib.parse.parse_qs(urllib.parse.urlsplit(url).query, keep_blank_values=True)


def begin(stack, b, return_to=None, user="alice", host=None):
    """/auth/login up to the callback's URL, which is not asked for."""
    query = {"login_hint": user, **({"return_to": return_to} if return_to else {})}
    answer = b.open(stack.url("/auth/login?" + urllib.parse.urlencode(query), host),
                    until=stack.url("/auth/callback", host))
    assert answer.location, (answer, stack.tails())
    return answer.location


def live(stack, where="true"):
    return int(stack.pg.value("select count(*) from bff.sessions where " + where))


def test_authorization_request(stack):
    b = browser.Browser()
    answer = b.get(stack.url("/auth/login"))
    assert answer.status == 302 and answer.location.startswith(stack.idp.issuer + "/auth?")
    assert set(params(answer.location)) == {"client_id", "request_uri"}  # RFC 9126 4
    got = stack.idp.asked(answer.location)
    assert got["code_challenge_method"] == ["S256"] and len(got["code_challenge"][0]) == 43
    assert len(got["state"][0]) >= 22 and len(got["nonce"][0]) >= 22
    assert got["redirect_uri"] == [stack.url("/auth/callback")]
    assert got["response_type"] == ["code"]
    assert sorted(got["resource"]) == ["https://crm.example.com", "https://orders.example.com"]
    assert "openid" in got["scope"][0].split() and "offline_access" in got["scope"][0].split()
    cookie = answer.cookies()["bff_login"]
    assert "httponly" in cookie and cookie["samesite"].lower() == "lax"
    again = b.get(stack.url("/auth/login"))  # one binding cookie a browser, reused
    assert b.cookies(stack.url())["bff_login"] == cookie["value"]
    assert stack.idp.asked(again.location)["state"] != got["state"]


def test_login_sets_two_cookies_and_no_token(stack):
    b = browser.Browser()
    callback = begin(stack, b, return_to="/private/x?y=1#z")
    answer = b.get(callback)
    assert answer.status == 303, (answer, stack.tails())
    assert answer.location == stack.url("/private/x?y=1#z")
    session, csrf = answer.cookies()["bff_session"], answer.cookies()["bff_csrf"]
    assert "httponly" in session and session["samesite"].lower() == "lax" and session["path"] == "/"
    assert "domain" not in session and "domain" not in csrf and "httponly" not in csrf
    assert session["value"].startswith("v1.") and len(session["value"].split(".")) == 4
    got = b.fetch(stack.url("/auth/session")).json()
    assert got["authenticated"] is True and got["subject"] == "alice"
    assert got["claims"] == {"name": "Alice Adams", "email": "alice@example.com", "groups": ["sales", "support"]}
    assert "eyJ" not in str(got) and got["csrf_token"] == csrf["value"]
    database = stack.pg.psql("select * from bff_private.session")
    assert session["value"].split(".")[2] not in str(database)


def test_ten_tabs_finish_in_any_order(stack):
    b = browser.Browser()
    tabs = []
    for n in range(10):
        answer = b.get(stack.url("/auth/login?login_hint=alice&return_to=/private/%d" % n))
        tabs.append((n, answer))
    random.Random(7).shuffle(tabs)
    for n, answer in tabs:
        landed = b.follow(answer)
        assert (landed.status, landed.url) == (200, stack.url("/private/%d" % n)), stack.tails()
    mine = b.fetch(stack.url("/auth/session"))
    assert mine.json()["subject"] == "alice"
    assert int(stack.pg.value("select count(*) from bff.ended where reason = 'replaced'")) >= 9


def test_tabs_begun_before_a_login_land_on_their_own_targets(stack):
    b = browser.Browser()
    callbacks = [begin(stack, b, return_to="/private/%d" % n) for n in range(3)]
    for n in (2, 0, 1):
        assert b.get(callbacks[n]).location == stack.url("/private/%d" % n)


def test_what_a_link_adds_to_login_is_not_asked_of_the_provider(stack):
    answer = browser.Browser().get(stack.url("/auth/login?scope=admin&claims=x&redirect_uri=//evil.example&state=evil"))
    assert answer.status == 302
    for word in ("admin", "claims", "evil"):
        assert word not in answer.location and word not in str(stack.idp.asked(answer.location))


def test_login_makes_a_new_id_and_ends_the_old_one(stack):
    b = stack.login("alice")
    old = b.copy()
    stack.login("alice", b=b)
    assert b.cookies(stack.url())["bff_session"] != old.cookies(stack.url())["bff_session"]
    assert stack.verify("/private/", b).status == 200
    assert stack.verify("/private/", old).status == 401


def test_a_planted_session_cookie_is_not_adopted(stack):
    b = browser.Browser()
    planted = stack.login("bob").cookies(stack.url())["bff_session"]
    b.jar[("app.localhost", True, "/", "bff_session")] = planted
    stack.login("alice", b=b)
    assert b.cookies(stack.url())["bff_session"] != planted
    assert b.fetch(stack.url("/auth/session")).json()["subject"] == "alice"


def test_callback_of_another_browser_is_refused(stack):
    callback = begin(stack, browser.Browser())
    before = live(stack)
    for other in (browser.Browser(), stack.login("bob")):
        had = other.cookies(stack.url()).get("bff_session")
        answer = other.get(callback)
        assert answer.status == 400, answer
        assert other.cookies(stack.url()).get("bff_session") == had
    assert live(stack) == before + 1  # bob's


def test_callback_twice(stack):
    b = browser.Browser()
    callback = begin(stack, b, return_to="/private/here")
    assert b.get(callback).status == 303
    session = b.cookies(stack.url())["bff_session"]
    again = b.get(callback)  # the same tab, "back": its own target, the same session
    assert again.status == 303 and again.location == stack.url("/private/here")
    assert b.cookies(stack.url())["bff_session"] == session
    b.jar.pop(("app.localhost", True, "/", "bff_session"))
    again = b.get(callback)
    assert again.status in (400, 303) and "bff_session" not in b.cookies(stack.url())


def test_malformed_callbacks(stack):
    b = browser.Browser()
    good = urllib.parse.urlsplit(begin(stack, b)).query
    state, code = params("?" + good)["state"][0], params("?" + good)["code"][0]
    for query in ("", "&", "?&", "&&=&", "=", "state", "state=", "state=%s" % state, "code=%s" % code,
                  "state=%s&code=" % state, good + "&state=" + state, good + "&code=" + code, "state=x&" + good,
                  good + "&iss=http%3A%2F%2Fevil.localhost", good + "&error=access_denied",
                  "state=%s&code=%%zz" % state, "state=%s&code=a%%00b" % state,
                  "state=%s&code=%s" % ("s" * 3000, code), good.replace(state, "x" * len(state)),
                  good.replace(state, "%FF" * 20)):
        answer = b.get(stack.url("/auth/callback?" + query))
        assert 400 <= answer.status < 500, (query, answer)
        assert "bff_session" not in b.cookies(stack.url())
        assert state.encode() not in answer.body and b"%zz" not in answer.body
    for query in ("&", "?&", "&&=&", "return_to=/a&return_to=/b", "login_hint=%zz", "prompt=login"):
        assert browser.Browser().get(stack.url("/auth/login?" + query)).status in (302, 400), query
    answer = b.get(stack.url("/auth/callback?" + good))  # none of that used the state up
    assert answer.status == 303, (answer, stack.tails())


def test_wrong_issuer_is_refused(stack):
    b = browser.Browser()
    callback = begin(stack, b)
    wrong = callback.replace("iss=", "iss=x")
    assert wrong != callback
    assert b.get(wrong).status in (400, 502, 503)
    assert "bff_session" not in b.cookies(stack.url())
    b = browser.Browser()
    at = urllib.parse.urlsplit(begin(stack, b))  # RFC 9207: announced, so it must be there
    query = "&".join(p for p in at.query.split("&") if not p.startswith("iss="))
    assert b.get(stack.url("/auth/callback?" + query)).status in (400, 502, 503)
    assert "bff_session" not in b.cookies(stack.url())


def test_login_refused_by_the_provider(stack):
    b = browser.Browser()
    state = stack.idp.asked(b.get(stack.url("/auth/login")).location)["state"][0]
    answer = b.get(stack.url("/auth/callback?" + urllib.parse.urlencode(
        {"state": state, "error": "access_denied", "error_description": "<script>", "iss": stack.idp.issuer})))
    assert 400 <= answer.status < 500
    assert b"<script>" not in answer.body and "bff_session" not in b.cookies(stack.url())


def test_prompt_none_without_login_lands_with_login_required(stack):
    b = browser.Browser()
    answer = b.open(stack.url("/auth/login?prompt=none&return_to=/public?x=1"))
    assert answer.url == stack.url("/public?x=1&login=required"), stack.tails()
    assert "bff_session" not in b.cookies(stack.url())


@pytest.mark.parametrize("wish", EVIL)
def test_return_to_leads_nowhere_else(stack, wish):
    netloc = urllib.parse.urlsplit(stack.url()).netloc
    wish = wish.format(netloc=netloc, host=netloc.split(":")[0]) if "{" in wish else wish
    b = browser.Browser()
    first = b.get(stack.url("/auth/login?login_hint=alice&" + urllib.parse.urlencode({"return_to": wish})))
    if first.status == 302:
        landed = b.follow(first, until=stack.url("/auth/callback"))
        answer = b.get(landed.location)
        assert answer.status == 303, answer
        assert answer.location.startswith(stack.url("/")) and "evil" not in answer.location.split("?")[0], answer
    else:
        assert first.status in (400, 414, 431, 502), first


def test_responses_are_limited(stack):
    """They need neither session nor state: nothing is asked of the database for one too many."""
    b = browser.Browser()
    b.get(stack.url("/auth/login"))
    noted = "select count(*) from bff_private.login_log where detail = 'unknown_state'"
    before = int(stack.pg.value(noted))
    answers = [b.get(stack.url("/auth/callback?state=made-up-%d&code=x" % i)) for i in range(200)]
    assert {a.status for a in answers} == {400, 429}
    refused = [a for a in answers if a.status == 429]
    assert all(a.header("Retry-After") for a in refused)
    eventually(lambda: int(stack.pg.value(noted)) == before + 200 - len(refused), what="a note each")


def test_beginnings_are_limited(stack):
    """By address prefix in all, and by 32 open transactions a browser: the oldest go."""
    b = browser.Browser()
    answers = [b.get(stack.url("/auth/login")) for _ in range(120)]
    assert {a.status for a in answers} == {302, 429}
    binding = "select count(*) from bff_private.login where used_at is null group by binding_hash"
    assert max(int(row[0]) for row in stack.pg.psql(binding)) <= 32
    for a in answers:
        if a.status == 429:
            assert a.header("Retry-After")


# ---- two apps on three hosts ------------------------------------------------------------------

def test_one_login_for_two_subdomains(hosts_stack):
    b = browser.Browser()
    target = hosts_stack.url("/private/b", "b.shop.localhost")
    first = b.get(hosts_stack.url("/auth/login?login_hint=alice&return_to=/private/b", "b.shop.localhost"))
    assert first.status == 302  # the hop to login_origin comes first
    assert first.location.startswith(hosts_stack.url("/auth/login?", "a.shop.localhost"))
    landed = b.follow(first)
    assert (landed.status, landed.url) == (200, target), hosts_stack.tails()
    for host in ("a.shop.localhost", "b.shop.localhost"):
        assert b.fetch(hosts_stack.url("/api/crm/", host)).status == 200
        assert b.fetch(hosts_stack.url("/auth/session", host)).json()["subject"] == "alice"
    domains = {key[0] for key in b.jar if key[3] == "bff_session"}
    assert domains == {"shop.localhost"}


def test_a_cookie_of_one_app_is_nothing_at_the_other(hosts_stack):
    shop = hosts_stack.login("alice", host="a.shop.localhost")
    other = hosts_stack.login("bob", host="other.localhost")
    value = shop.cookies(hosts_stack.url("/", "a.shop.localhost"))["bff_session"]
    thief = browser.Browser()
    thief.jar[("other.localhost", True, "/", "bff_session")] = value
    assert thief.fetch(hosts_stack.url("/api/crm/", "other.localhost")).status == 401
    assert thief.fetch(hosts_stack.url("/auth/session", "other.localhost")).status == 401
    assert thief.fetch(hosts_stack.url("/auth/logout", "other.localhost"), method="POST").status in (200, 401, 403)
    assert shop.fetch(hosts_stack.url("/api/crm/", "b.shop.localhost")).status == 200  # and it still lives
    assert other.fetch(hosts_stack.url("/api/orders/", "other.localhost")).status == 200
    assert thief.fetch(hosts_stack.url("/api/crm/", "a.shop.localhost")).status == 401


def test_origins_of_the_other_app_are_no_return_target(hosts_stack):
    b = browser.Browser()
    wish = hosts_stack.url("/x", "a.shop.localhost")
    landed = b.open(hosts_stack.url("/auth/login?login_hint=alice&return_to=" + wish, "other.localhost"))
    assert landed.url == hosts_stack.url("/", "other.localhost")


def test_unknown_host_is_refused(hosts_stack):
    netloc = "unknown.localhost:%d" % hosts_stack.port
    for port in (hosts_stack.ports["public"], hosts_stack.port):
        answer = browser.raw(port, "GET", "/auth/login", [("Host", netloc), ("X-Forwarded-Proto", "http")])
        assert answer.status >= 400 and not answer.all("Set-Cookie"), answer


# ---- signing algorithms -------------------------------------------------------------------------

ALGS = {"rs": "RS256", "ps": "PS256", "es": "ES256", "ed": "EdDSA"}


@pytest.fixture(scope="module", name="algs_stack")
def fixture_algs_stack():
    apps = [App(name, [name + ".localhost"], provider=name) for name in ALGS]
    # `bad` expects RS256 and gets ES256.
    apps.append(App("bad", ["bad.localhost"], provider="bad"))
    # The stack's own listener believes all of loopback, where its browsers come from.
    port = free_port()
    narrow = 'listen "narrow" { kind = public address = "127.0.0.1:%d" trusted_peers = {"127.0.0.1/32"} }\n' % port
    with Stack(edge=None, apps=apps, algs={**ALGS, "bad": ("RS256", "ES256")}, extra=narrow) as s:
        s.ports["narrow"] = port
        yield s


@pytest.mark.parametrize("name", sorted(ALGS))
def test_id_token_algorithms(algs_stack, name):
    b = algs_stack.login("alice", host=name + ".localhost")
    got = b.fetch(algs_stack.url("/auth/session", name + ".localhost")).json()
    assert got["subject"] == "alice"


def test_a_stranger_on_the_public_listener_says_nothing_about_itself(algs_stack):
    """Its X-Forwarded-* are dropped, not believed and not fatal; the edge's are believed."""
    host = "rs.localhost:%d" % algs_stack.port
    forged = [("Host", host), ("X-Forwarded-Host", "es.localhost:%d" % algs_stack.port),
              ("X-Forwarded-Proto", "https"), ("X-Forwarded-For", "192.0.2.1")]

    def ask(path, headers, source):
        return browser.raw(algs_stack.ports["narrow"], "GET", path, headers, source=source)

    assert ask("/auth/login", forged, "127.0.0.1").status == 421  # https is no origin of ours
    stranger = ask("/auth/login", forged, "127.9.9.1")
    assert stranger.status == 302 and "client_id=bff-rs&" in stranger.location
    assert "; secure" not in str(stranger.all("Set-Cookie")).lower()
    odd = forged + [("X-Forwarded-Proto", "http"), ("X-Forwarded-For", "no address")]
    assert ask("/auth/session", odd, "127.0.0.1").status == 400
    session = ask("/auth/session", odd, "127.9.9.1")
    assert session.status == 401 and session.json()["authenticated"] is False


def test_another_algorithm_than_the_pinned_one_is_refused(algs_stack):
    b = browser.Browser()
    answer = b.open(algs_stack.url("/auth/login?login_hint=alice", "bad.localhost"))
    assert answer.url.startswith(algs_stack.url("/auth/callback", "bad.localhost"))
    assert answer.status >= 400 and "bff_session" not in b.cookies(algs_stack.url("/", "bad.localhost"))
