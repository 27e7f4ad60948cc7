"""Logins beyond the plain path: pushed requests, step-up, silent ones, third parties, form_post, UserInfo, and two
providers that must not be taken for each other."""
import concurrent.futures
import time
import urllib.parse

import pytest

import browser
from idp import Idp, client
from port import free_port
from stack import App, Stack
from wait import eventually

PATIENCE_S = 8  # TIMEOUT_IDP_MS


@pytest.fixture(scope="module", name="plain")
def fixture_plain():
    """A provider that takes no pushed requests."""
    with Stack(edge=None, idp={"pushed_requests": False}) as s:
        yield s


@pytest.fixture(scope="module", name="post")
def fixture_post():
    with Stack(edge=None, provider="response_mode = form_post") as s:
        yield s


@pytest.fixture(scope="module", name="info")
def fixture_info():
    """Name, e-mail and the subject come by UserInfo alone."""
    with Stack(edge=None, provider='claims_from = {id_token, userinfo} subject_claim = "preferred_username"',
               idp={"conform_id_token_claims": True}) as s:
        yield s


@pytest.fixture(autouse=True)
def fixture_knobs(request):
    """The provider behaves again after each test."""
    yield
    for name in ("stack", "plain", "post", "info"):
        if name in request.fixturenames:
            request.getfixturevalue(name).idp.knobs(push_fail_status=0, acr="", auth_age_s=0, userinfo_silent=False)


def params(url):
    return urllib.parse.parse_qs(urllib.parse.urlsplit(url).query, keep_blank_values=True)


def noted(s, outcome, detail):
    """Until the newest row of bff.logins says so; it is written beside the answer."""
    def newest():
        return s.pg.psql("select outcome, detail from bff.logins order by at desc limit 1")

    eventually(lambda: newest() == [[outcome, detail]], what="a login noted as %s %s" % (outcome, detail))


def login_url(s, **query):
    return s.url("/auth/login?" + urllib.parse.urlencode(query))


def session(s, b):
    return b.cookies(s.url()).get("bff_session")


def live(s, b):
    return b.fetch(s.url("/auth/session")).status == 200


# ---- pushed authorization requests (RFC 9126) ---------------------------------------------------


def test_each_visit_pushes_a_request_of_its_own(stack):
    b = browser.Browser()
    before = len(stack.idp.stats()["pushed"])
    visits = [b.get(login_url(stack, login_hint="alice")) for _ in range(2)]
    assert len(stack.idp.stats()["pushed"]) == before + 2
    uris = [params(v.location)["request_uri"] for v in visits]
    assert uris[0] != uris[1]
    for v in visits:
        assert params(v.location)["client_id"] == ["bff-idp"]
        asked = stack.idp.asked(v.location)
        assert "request_uri" not in asked and "client_secret" not in asked
        for secret in asked["state"] + asked["nonce"]:
            assert secret not in v.location
    assert b.follow(visits[0]).status == 200 and session(stack, b)


def test_a_request_uri_is_good_once(stack):
    b = browser.Browser()
    first = b.get(login_url(stack, login_hint="alice"))
    b.follow(first)
    had = session(stack, b)
    again = b.follow(first)  # the provider says invalid_request_uri, without our state
    assert again.status == 400 and session(stack, b) == had
    assert b.open(login_url(stack, login_hint="alice")).status == 200


@pytest.mark.parametrize("status, outcome, detail, answer", [
    (400, "provider", "push_invalid_request", 400), (401, "provider", "push_invalid_request", 400),
    (500, "provider_down", "push_server_error", 503), (429, "provider_down", "push_throttled", 503)])
def test_a_failed_push(stack, status, outcome, detail, answer):
    stack.idp.knobs(push_fail_status=status)
    b = browser.Browser()
    got = b.get(login_url(stack, login_hint="alice"))
    assert (got.status, got.location) == (answer, None) and not got.cookies()
    assert (got.header("Retry-After") is not None) == (answer == 503)
    noted(stack, outcome, detail)
    stack.idp.knobs(push_fail_status=0)
    stack.login(b=b)


def test_no_login_without_the_provider_and_one_when_it_is_back(stack):
    b = browser.Browser()
    stack.idp.down()
    try:
        assert b.get(login_url(stack)).status == 503
    finally:
        stack.idp.up()
    stack.login(b=b)


def test_without_pushed_requests_all_is_in_the_url(plain):
    b = browser.Browser()
    got = b.get(login_url(plain, login_hint="alice", acr_values="otp password", max_age=600))
    asked = params(got.location)
    assert asked["redirect_uri"] == [plain.url("/auth/callback")] and "request_uri" not in asked
    assert (asked["acr_values"], asked["max_age"]) == (["otp password"], ["600"])
    assert "response_mode" not in asked and not plain.idp.stats()["pushed"]
    b.follow(got)
    assert live(plain, b)


# ---- step-up (RFC 9470, OIDC Core 3.1.3.7) ------------------------------------------------------


def test_a_stronger_login_is_asked_for_and_kept(stack):
    b = stack.login("alice")
    old = b.copy()
    answer = b.get(login_url(stack, login_hint="alice", acr_values="otp", max_age=600, return_to="/private/x"))
    asked = stack.idp.asked(answer.location)
    assert (asked["acr_values"], asked["max_age"]) == (["otp"], ["600"])
    assert live(stack, old)  # until the new one is made
    assert b.follow(answer).url == stack.url("/private/x"), stack.tails()
    assert stack.verify("/private/", b).header("X-Auth-Acr") == "otp"
    assert live(stack, b) and not live(stack, old)


def test_a_login_weaker_than_asked_for_is_none(stack):
    b = stack.login("alice")
    had = session(stack, b)
    stack.idp.knobs(acr="password")
    got = b.open(login_url(stack, login_hint="alice", acr_values="otp"))
    assert got.status == 400 and got.url.startswith(stack.url("/auth/callback?"))
    assert session(stack, b) == had and live(stack, b)
    noted(stack, "provider", "acr_unmet")
    assert b.open(login_url(stack, login_hint="alice", acr_values="otp password")).status == 200
    assert session(stack, b) != had


def test_a_login_older_than_asked_for_is_none(stack):
    b = stack.login("alice")
    had = session(stack, b)
    stack.idp.knobs(auth_age_s=700)  # beyond max_age and the skew of a minute
    got = b.open(login_url(stack, login_hint="alice", max_age=0))
    assert got.status == 400 and session(stack, b) == had and live(stack, b)
    noted(stack, "provider", "max_age_unmet")
    assert b.open(login_url(stack, login_hint="alice", max_age=600)).status == 400
    assert b.open(login_url(stack, login_hint="alice", max_age=1000)).status == 200
    stack.idp.knobs(auth_age_s=0)
    assert b.open(login_url(stack, login_hint="alice", max_age=0)).status == 200
    assert session(stack, b) != had


@pytest.mark.parametrize("query", [
    "max_age=-1", "max_age=1s", "max_age=010", "max_age=1&max_age=2", "acr_values=+a", "acr_values=a%0Ab",
    "acr_values=" + "a" * 300, "provider=other", "provider=", "prompt=login", "prompt=none&prompt=none"])
def test_what_is_not_understood_is_refused(stack, query):
    before = len(stack.idp.stats()["pushed"])
    got = browser.Browser().get(stack.url("/auth/login?" + query))
    assert (got.status, got.location) == (400, None)
    assert len(stack.idp.stats()["pushed"]) == before
    assert browser.Browser().get(stack.url("/auth/login?provider=idp")).status == 302


# ---- silent logins ------------------------------------------------------------------------------


def test_a_silent_login_renews_the_session_of_the_same_user(stack):
    b = stack.login("alice")
    had = session(stack, b)
    got = b.open(login_url(stack, prompt="none", return_to="/private/x"))
    assert got.url == stack.url("/private/x") and session(stack, b) != had and live(stack, b)


def hints(s, b, **query):
    """What a login's beginning tells the provider of who it is about."""
    asked = s.idp.asked(b.get(login_url(s, **query)).location)
    return [name for name in ("id_token_hint", "login_hint") if name in asked]


def test_a_silent_login_says_whom_it_is_about(stack):
    """By the ID token where it is pushed; where somebody is named, that one. Only of a session that lives."""
    b = stack.login("alice")
    for query, want in (({"prompt": "none"}, ["id_token_hint"]), ({"prompt": "none", "login_hint": "alice"}, ["login_hint"]),
                        ({"login_hint": "alice"}, ["login_hint"]), ({}, [])):
        assert hints(stack, b, **query) == want, query
    stack.pg.psql("select bff.revoke_session(ref, 'test') from bff.sessions")
    for who in (b, browser.Browser()):
        assert not hints(stack, who, prompt="none")


def test_no_token_in_the_url_of_a_silent_login(plain):
    b = plain.login("alice")
    email, = plain.pg.psql("select email from bff.sessions order by created_at desc limit 1")[0]
    asked = params(b.get(login_url(plain, prompt="none")).location)
    assert "id_token_hint" not in asked and asked["login_hint"] == [email] and "@" in email
    assert "login_hint" not in params(b.get(login_url(plain)).location)
    for claims, want in (('{"preferred_username": "al"}', ["al"]), ("{}", None)):
        plain.pg.psql("update bff_private.session set email = '', claims = '%s'" % claims)
        assert params(b.get(login_url(plain, prompt="none")).location).get("login_hint") == want


def test_a_silent_login_does_not_change_who_it_is(stack):
    b = stack.login("alice")
    had = session(stack, b)
    key = ("app.localhost", True, "/", "bff_session")
    value = b.jar.pop(key)
    stack.login("bob", b=b)  # at the provider it is bob now
    b.jar[key] = value
    for query, why in (({}, "authorization_error"), ({"login_hint": "bob"}, "other_user")):
        got = b.open(login_url(stack, prompt="none", return_to="/private/x", **query))
        assert got.url == stack.url("/private/x?login=required")
        assert session(stack, b) == had
        assert b.fetch(stack.url("/auth/session")).json()["subject"] == "alice"
        noted(stack, "login_required", why)  # the provider's own word, which is told whom it is about; and ours
    b.jar.pop(key)  # nobody's browser: whoever it is
    assert b.open(login_url(stack, prompt="none")).status == 200
    assert b.fetch(stack.url("/auth/session")).json()["subject"] == "bob"


def test_a_silent_login_that_has_just_failed_is_not_tried_again(stack):
    b = browser.Browser()
    landed = b.open(login_url(stack, prompt="none", return_to="/x?a=b"))
    assert landed.url == stack.url("/x?a=b&login=required")
    before = len(stack.idp.stats()["pushed"])
    got = b.get(login_url(stack, prompt="none", return_to=landed.url))
    assert (got.status, got.location) == (400, None)
    assert len(stack.idp.stats()["pushed"]) == before
    assert b.open(login_url(stack, login_hint="alice", return_to=landed.url)).status == 200  # a loud one is


# ---- started by a third party (OIDC Core 4) -----------------------------------------------------


def test_a_third_party_may_say_who_and_where_to(stack):
    b = browser.Browser()
    wish = {"iss": stack.idp.issuer, "login_hint": "bob", "target_link_uri": stack.url("/private/deep?a=b")}
    assert b.open(login_url(stack, **wish)).url == wish["target_link_uri"]
    assert b.fetch(stack.url("/auth/session")).json()["subject"] == "bob"
    b = browser.Browser()
    b.open(login_url(stack, **{**wish, "target_link_uri": "https://evil.example/"}))
    assert b.history[-1][1] == stack.url("/") and live(stack, b)


def test_a_third_party_by_post_keeps_the_browsers_other_logins(stack):
    b = browser.Browser()
    first = b.get(login_url(stack, login_hint="alice", return_to="/private/first"))
    binding = b.cookies(stack.url())["bff_login"]
    wish = {"iss": stack.idp.issuer, "login_hint": "alice", "target_link_uri": "/private/second"}
    posted = b.post_form(stack.url("/auth/login"), wish, "http://127.0.0.1:1")
    assert posted.status == 303 and not posted.cookies()
    assert posted.location.startswith(stack.url("/auth/login?return_to=")) and "iss=" not in posted.location
    assert b.follow(posted).url == stack.url("/private/second")
    assert b.cookies(stack.url())["bff_login"] == binding
    assert b.follow(first).url == stack.url("/private/first")


def test_what_a_third_party_may_not(stack):
    b, iss = browser.Browser(), stack.idp.issuer
    for query in ("iss=", "iss=" + iss + "/", "iss=https://evil.example", "iss=" + iss + "&iss=" + iss,
                  "target_link_uri=/x", "iss=" + iss + "&acr_values=weak", "iss=" + iss + "&prompt=none",
                  "iss=" + iss + "&return_to=/x"):
        got = b.get(stack.url("/auth/login?" + query))
        assert (got.status, got.location) == (400, None), query
    for dest in ("iframe", "frame", "object", "empty"):
        got = b.get(login_url(stack, iss=iss), **{"Sec-Fetch-Dest": dest})
        assert (got.status, got.location) == (400, None), dest
        assert "frame-ancestors 'none'" in got.header("Content-Security-Policy")
    form = urllib.parse.urlencode({"iss": iss}).encode()
    of_a_form = {**browser.NAVIGATION, "Content-Type": "application/x-www-form-urlencoded"}
    assert b.request("POST", stack.url("/auth/login"), of_a_form, form).status == 303
    for headers, body in (({**of_a_form, "Content-Type": "text/plain"}, form), (of_a_form, b"login_hint=alice"),
                          (of_a_form, b""), (browser.NAVIGATION, form), (of_a_form, form + b"&x=" + b"x" * 9000)):
        got = b.request("POST", stack.url("/auth/login"), headers, body)
        assert (got.status, got.location) == (400, None), (headers, body[:99])


# ---- the response by POST -----------------------------------------------------------------------


def until_post(s, b, **query):
    """(URL, fields, origin) of the form that the provider's page posts to the callback."""
    page = b.open(login_url(s, **{"login_hint": "alice", **query}), until=s.url("/auth/callback"))
    posted = browser.form(page)
    assert posted and posted[0] == s.url("/auth/callback"), (page, s.tails())
    return posted


def test_a_response_by_post_keeps_the_code_out_of_every_url(post):
    b = browser.Browser()
    answer = b.get(login_url(post, login_hint="alice", return_to="/private/x"))
    assert post.idp.asked(answer.location)["response_mode"] == ["form_post"]
    landed = b.follow(answer)
    assert landed.url == post.url("/private/x") and live(post, b), (landed, post.tails())
    ours = [(method, url) for method, url, _ in b.history if "/auth/callback" in url]
    assert [method for method, _ in ours] == ["POST", "GET"]
    assert ours[0][1] == post.url("/auth/callback") and set(params(ours[1][1])) == {"state"}
    assert not [url for _, url, _ in b.history if "code=" in url]
    assert post.pg.value("select count(*) from bff_private.login where parked is not null") == "0"


def test_a_reloaded_post_lands_where_it_did(post):
    b = browser.Browser()
    posted = until_post(post, b, return_to="/private/x")
    assert b.follow(b.post_form(*posted)).url == post.url("/private/x")
    had = session(post, b)
    assert b.follow(b.post_form(*posted)).url == post.url("/private/x")
    assert session(post, b) == had and live(post, b)


def test_what_was_put_away_is_sealed_and_waits_for_its_browser(post):
    b, stranger = browser.Browser(), browser.Browser()
    posted = until_post(post, b)
    at = b.post_form(*posted)
    assert at.status == 303 and not at.cookies()
    assert post.pg.psql("select position('%s'::bytea in parked) > 0 from bff_private.login where parked is not null"
                        % posted[1]["code"]) == [["f"]]
    for other in (stranger, post.login("bob")):
        had = session(post, other)
        assert other.get(at.location).status == 400 and session(post, other) == had
    assert b.get(at.location).status == 303 and live(post, b)  # nobody used it up


def test_the_first_response_of_a_login_counts(post):
    b = browser.Browser()
    posted = until_post(post, b)
    url, fields, origin = posted
    forged = browser.Browser().post_form(url, {**fields, "code": "forged"}, origin)
    at = b.post_form(*posted)
    assert (forged.status, forged.location) == (at.status, at.location) == (303, at.location)
    assert b.get(at.location).status == 400 and not session(post, b)
    noted(post, "provider", "invalid_grant")


def test_posts_that_are_not_right(post):
    b = browser.Browser()
    url, fields, origin = until_post(post, b)
    before = post.idp.stats()["token_requests"]
    for change in ({"state": "unknown"}, {"state": ""}, {"code": ""}, {"error": "access_denied"}, {"code": "c" * 5000},
                   {"state": "s" * 300}, {"more": "x" * 9000}):
        got = b.post_form(url, {**fields, **change}, origin)
        assert (got.status, got.location) == (400, None), change
    whole = urllib.parse.urlencode(fields)
    of_a_form = {**browser.NAVIGATION, "Content-Type": "application/x-www-form-urlencoded"}
    for headers, body in ((of_a_form, whole + "&code=x"), (of_a_form, whole + "&st%61te=x"), (of_a_form, ""),
                          (browser.NAVIGATION, whole), ({**of_a_form, "Content-Type": "application/json"}, whole)):
        assert b.request("POST", url, headers, body.encode()).status == 400, (headers, body)
    for query in (whole, "state=" + fields["state"] + "&error=access_denied", "state=" + fields["state"] + "&iss=x",
                  "state=" + fields["state"]):  # by a GET, or before anything was put away
        assert b.get(url + "?" + query).status == 400, query
    assert post.idp.stats()["token_requests"] == before and not session(post, b)
    assert b.follow(b.post_form(url, fields, origin)).status == 404 and live(post, b)  # none of that used it up


def test_errors_by_post(post):
    b = browser.Browser()
    landed = b.open(login_url(post, prompt="none", return_to="/private/x"))
    assert landed.url == post.url("/private/x?login=required")
    asked = post.idp.asked(b.get(login_url(post)).location)
    got = b.follow(b.post_form(post.url("/auth/callback"), {
        "state": asked["state"][0], "error": "access_denied", "iss": post.idp.issuer,
        "error_description": "<script>alert(1)</script>"}, post.idp.issuer))
    assert got.status == 403 and b"script" not in got.body and "script" not in post.log("bffd") + post.log("broker")
    noted(post, "access_denied", "authorization_error")


def test_the_issuer_is_asked_for_by_post_as_well(post):
    b = browser.Browser()
    for iss, why in (("https://evil.example", "iss_mismatch"), (None, "iss_missing")):
        url, fields, origin = until_post(post, b)
        fields = {k: v for k, v in {**fields, "iss": iss}.items() if v is not None}
        before = post.idp.stats()["token_requests"]
        assert b.follow(b.post_form(url, fields, origin)).status == 400 and not session(post, b)
        noted(post, "provider", why)
        assert post.idp.stats()["token_requests"] == before


def test_no_response_by_post_where_none_was_asked_for(stack):
    b = browser.Browser()
    callback = b.open(login_url(stack, login_hint="alice"), until=stack.url("/auth/callback")).location
    fields = {k: v[0] for k, v in params(callback).items()}
    got = b.post_form(stack.url("/auth/callback"), fields, stack.idp.issuer)
    assert (got.status, got.location) == (400, None)
    assert b.get(callback).status == 303


# ---- UserInfo -----------------------------------------------------------------------------------


def test_claims_and_subject_come_by_userinfo(info):
    b = info.login("alice")
    got = b.fetch(info.url("/auth/session")).json()
    assert got["subject"] == "alice"
    assert got["claims"] == {"name": "Alice Adams", "email": "alice@example.com", "groups": ["sales", "support"]}
    assert info.idp.stats()["userinfo"] >= 1
    assert info.pg.psql("select email, claims ->> 'email_verified' from bff_private.session") == [
        ["alice@example.com", "true"]]


def test_few_wait_for_a_userinfo_that_says_nothing(info):
    """Two do, in vain; then nobody does for some seconds, and no code is spent. The same address will do later."""
    callback = info.url("/auth/callback")
    info.idp.knobs(userinfo_silent=True)
    browsers = [browser.Browser() for _ in range(3)]
    back = [b.open(login_url(info, login_hint="alice"), until=callback).location for b in browsers]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        got = list(pool.map(lambda b, url: b.get(url), browsers[:2], back))
    assert [g.status for g in got] == [503, 503]
    last, begun = browsers[2], time.monotonic()
    got = last.get(back[2])
    took_s = time.monotonic() - begun
    assert got.status == 503 and 1 <= int(got.header("Retry-After")) <= 7
    assert took_s < PATIENCE_S / 2
    held = "select count(*) from bff.logins where outcome = 'provider_down' and detail = 'held_off'"
    eventually(lambda: info.pg.psql(held) == [["1"]], what="its note")
    assert info.idp.stats()["userinfo_unanswered"] == 2
    info.idp.knobs(userinfo_silent=False)
    eventually(lambda: last.get(back[2]).status == 303, what="a login with the same code")
    assert live(info, last)


# ---- two providers ------------------------------------------------------------------------------


SECOND = """
provider "two" {{
    preset             = oidc-provider
    issuer             = "{issuer}"
    client_id          = "bff-two"
    client_secret_file = "{secrets}/client-secret"
    scopes             = {{openid, profile, email, offline_access}}
    keep_claims        = {{name, email, email_verified, groups}}
    insecure_loopback  = yes
}}
app "two" {{
    provider          = "two"
    origins           = {{"{origin}"}}
    insecure_loopback = yes
}}
route "two" {{ app = "two" path = "/" }}
"""
ONE_HOST, TWO_HOST = "one.localhost", "two.localhost"


@pytest.fixture(scope="module", name="two")
def fixture_two():
    """Two apps, each on its own origin with its own provider; s.other_idp is that of the other app."""
    s = Stack(edge=None, apps=[App("one", [ONE_HOST])], port=free_port())
    with Idp([client("bff-two", s.client_secret, [s.url("/auth/callback", TWO_HOST)])]) as second:
        s.other_idp = second
        s.extra = SECOND.format(issuer=second.issuer, secrets=s.secrets, origin=s.origin(TWO_HOST))
        with s:
            yield s


def test_each_app_has_its_own_provider(two):
    b = browser.Browser()
    for host, idp, other in ((ONE_HOST, two.idp, two.other_idp), (TWO_HOST, two.other_idp, two.idp)):
        before = other.stats()["token_requests"]
        first = b.get(two.url("/auth/login?login_hint=alice", host))
        assert first.location.startswith(idp.issuer + "/")
        asked = idp.asked(first.location)
        assert asked["redirect_uri"] == [two.url("/auth/callback", host)]
        b.follow(first)
        assert b.fetch(two.url("/auth/session", host)).json()["subject"] == "alice", two.tails()
        assert other.stats()["token_requests"] == before
        got = b.get(two.url("/auth/login?provider=" + ("two" if host == ONE_HOST else "idp"), host))
        assert got.status == 400
    assert two.verify("/", b, host=TWO_HOST).status == 200


@pytest.mark.parametrize("iss", ["as it came", "of the other", "none"])
def test_a_response_of_one_provider_is_nothing_at_the_other(two, iss):
    """RFC 9700 4.4: by state, by issuer, by redirect URI and by the browser's binding."""
    b = browser.Browser()
    response = b.open(two.url("/auth/login?login_hint=alice", ONE_HOST),
                      until=two.url("/auth/callback", ONE_HOST)).location
    own = b.open(two.url("/auth/login?login_hint=alice", TWO_HOST),
                 until=two.url("/auth/callback", TWO_HOST)).location
    fields = {k: v[0] for k, v in params(response).items()}
    assert fields["iss"] == two.idp.issuer and params(own)["iss"] == [two.other_idp.issuer]
    if iss == "of the other":
        fields["iss"] = two.other_idp.issuer
    elif iss == "none":
        del fields["iss"]
    before = [idp.stats()["token_requests"] for idp in (two.idp, two.other_idp)]
    # With the state of its own login, and with one of a login at the app that it is delivered to.
    for state in (fields["state"], params(own)["state"][0]):
        query = urllib.parse.urlencode({**fields, "state": state})
        got = b.get(two.url("/auth/callback?" + query, TWO_HOST))
        if iss == "of the other" and state != fields["state"]:
            # All that is left is the code, which the provider it is taken to does not know.
            assert got.status == 400 and two.other_idp.stats()["token_requests"] == before[1] + 1
            before[1] += 1
        else:
            assert got.status == 400
    assert [idp.stats()["token_requests"] for idp in (two.idp, two.other_idp)] == before
    assert "bff_session" not in b.cookies(two.url("/", TWO_HOST))
    assert b.get(response).status == 303  # at its own app it is still good
