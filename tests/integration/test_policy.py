"""What a route asks of a session: rules over claims, a stronger or fresher login, the page that asks."""
import json
import os
import re
import subprocess
import urllib.parse

import pytest

import browser
from stack import App, Stack, binaries

USERS = {
    "alice": {"name": "Alice Adams", "preferred_username": "read write", "email": "alice@Example.COM",
              "email_verified": True, "groups": ["sales", "support"]},
    "bob": {"name": "Bob", "preferred_username": "write", "email": "bob@example.com", "email_verified": False,
            "groups": {"level": 3, "boss": True, "roles": ["sales", {"deep/er": "x"}]}},
    "mallory": {"name": "Sales", "preferred_username": "readwrite", "email": "mallory@evil.example@example.com",
                "email_verified": True, "groups": ["sales support", "Sales"]},
}
# route -> its rules, and who passes
RULES = {
    "equals": ('require "q" { claim = "name" equals = "Alice Adams" }', {"alice"}),
    "contains": ('require "q" { claim = "groups" contains = "support" }', {"alice"}),
    "any": ('require "q" { claim = "groups" any = {"support", "Sales"} }', {"alice", "mallory"}),
    "all": ('require "q" { claim = "groups" all = {"support", "sales"} }', {"alice"}),
    "domain": ('require "q" { claim = "email" domain = {"example.com"} }', {"alice"}),
    "address": ('require "q" { claim = "email" any = {"bob@example.com", "alice@Example.COM"} }', {"alice"}),
    "words": ('require "q" { claim = "preferred_username" contains = "read" }', {"alice"}),
    "nested": ('require "q" { claim = "/groups/roles" contains = "sales" }', {"bob"}),
    "deeper": ('require "q" { claim = "/groups/roles/1/deep~1er" equals = "x" }', {"bob"}),
    "number": ('require "q" { claim = "/groups/level" equals = "3" }', {"bob"}),
    "boolean": ('require "q" { claim = "/groups/boss" equals = "true" }', {"bob"}),
    "subject": ('require "q" { claim = "subject" any = {"bob", "mallory"} }', {"bob", "mallory"}),
    "both": ('require "q" { claim = "groups" any = {"sales", "Sales"} } '
             'require "p" { claim = "name" equals = "Alice Adams" }', {"alice"}),
}
ROUTES = """
identity "other" { header "X-Role" { claim = "/groups/roles/0" only = {"sales"} } header "X-User-ID" { claim = "name" } }
route "identity" { app = "demo" path = "/p/identity/" identity = "other" }
""" + "".join('route "%s" { app = "demo" path = "/p/%s/" %s }\n' % (name, name, text)
                 for name, (text, _) in RULES.items()) + """
route "otp"     { app = "demo" path = "/p/otp/" acr = {otp} }
route "ordered" { app = "demo" path = "/p/ordered/" acr = {otp, password} }
route "fresh"   { app = "demo" path = "/p/fresh/" max_age = "10m" }
route "both-up" { app = "demo" path = "/p/both-up/" acr = {otp} max_age = "10m"
    require "only bob" { claim = "subject" equals = "bob" } }
route "up-401"  { app = "demo" path = "/p/up-401/" acr = {otp} on_no_login = 401 }
route "sent"    { app = "demo" path = "/p/sent/" on_no_login = redirect }
route "off"     { app = "demo" path = "/p/off/" csrf = off }
route "cors"    { app = "demo" path = "/p/cors/" preflight = pass }
route "live"    { app = "demo" path = "/p/live" exact = yes methods = {GET} upgrade = websocket }
route "pass"    { app = "demo" path = "/p/pass/" session = optional authorization = pass encoded_slash = allow }
"""


class PolicyStack(Stack):
    provider_text = Stack.provider_text.replace("{{name, email, email_verified, groups}}",
                                                "{{name, email, preferred_username, groups}}")


@pytest.fixture(scope="module", name="s")
def fixture_s():
    app = App(more='    cors_origins = {"http://friend.localhost"}\n')
    with PolicyStack(apps=[app], extra=ROUTES, idp={"users": USERS}) as s:
        yield s


@pytest.fixture(scope="module", name="browsers")
def fixture_browsers(s):
    return {user: s.login(user) for user in USERS}


@pytest.fixture(autouse=True)
def fixture_knobs(s):
    yield
    s.idp.knobs(acr="", auth_age_s=0)


def denied(s):
    return [line for line in s.log("bffd").splitlines() if " event=denied " in line][-1]


def query(url):
    return urllib.parse.parse_qs(urllib.parse.urlsplit(url).query)


# ---- rules over claims --------------------------------------------------------------------------


@pytest.mark.parametrize("route", RULES)
def test_rules(s, browsers, route):
    for user, b in browsers.items():
        got = s.verify("/p/%s/x" % route, b)
        assert got.status == (200 if user in RULES[route][1] else 403), (user, got)
        if got.status == 403:
            assert got.json() == {"error": "forbidden"}


def test_the_rule_is_named_in_the_log_alone(s, browsers):
    got = s.verify("/p/both/", browsers["mallory"])
    assert got.status == 403 and b"p" not in got.body.replace(b"forbidden", b"")
    assert " reason=require " in denied(s) and " route=both rule=p " in denied(s)


def test_a_rule_is_no_login(s, browsers):
    """Not even of a navigation: logging in again would change nothing."""
    got = browsers["bob"].get(s.url("/p/equals/x"))
    assert got.status == 403 and got.location is None


def test_claims_that_changed_decide_at_the_next_login(s):
    b = s.login("bob")
    assert s.verify("/p/number/", b).status == 200
    s.idp.users(**{"bob": {**USERS["bob"], "groups": {"level": 4}}})
    try:
        b = s.login("bob", b=b)
        assert s.verify("/p/number/", b).status == 403
    finally:
        s.idp.users(**{"bob": USERS["bob"]})


# ---- step-up (RFC 9470) -------------------------------------------------------------------------


def test_a_navigation_steps_up_and_comes_back(s):
    b = s.login("alice")
    assert s.verify("/private/", b).header("X-Auth-Acr") == ""  # this provider says it only when asked
    got = b.get(s.url("/p/otp/x?y=1"))
    assert got.status == 302
    assert got.location.startswith(s.url("/auth/login?")) and query(got.location) == {
        "return_to": [s.url("/p/otp/x?y=1")], "acr_values": ["otp"]}
    asked = b.get(got.location + "&login_hint=alice")
    assert s.idp.asked(asked.location)["acr_values"] == ["otp"]
    landed = b.follow(asked)
    assert (landed.status, landed.url) == (200, s.url("/p/otp/x?y=1")), s.tails()
    assert s.verify("/p/otp/", b).header("X-Auth-Acr") == "otp"


def test_a_script_is_told_what_is_missing(s, browsers):
    got = s.verify("/p/both-up/", browsers["bob"], method="GET")
    assert got.status == 401 and got.header("WWW-Authenticate") == (
        'Bearer error="insufficient_user_authentication", acr_values="otp", max_age="600"')
    assert got.location is None and got.header("X-Login-URL") == got.json()["login_url"]
    assert got.json()["error"] == "insufficient_user_authentication"
    wish = query(got.json()["login_url"])
    assert (wish["acr_values"], wish["max_age"]) == (["otp"], ["600"])
    # Through nginx, which takes headers alone from a denial.
    got = browsers["bob"].fetch(s.url("/p/both-up/"))
    assert got.status == 401 and got.header("WWW-Authenticate").startswith("Bearer error=")
    assert got.json()["error"] == "insufficient_user_authentication"
    assert query(got.json()["login_url"])["acr_values"] == ["otp"]


def test_whoever_a_rule_refuses_is_not_sent_to_log_in(s, browsers):
    assert browsers["alice"].get(s.url("/p/both-up/")).status == 403


@pytest.mark.parametrize("acr", ["otp", "password"])
def test_any_of_the_list_suffices_and_is_asked_for_in_order(s, acr):
    b = s.login("alice")
    got = b.get(s.url("/p/ordered/"))
    assert got.status == 302 and query(got.location)["acr_values"] == ["otp password"]
    s.idp.knobs(acr=acr)
    b.follow(b.get(got.location + "&login_hint=alice"))
    assert s.verify("/p/ordered/", b).header("X-Auth-Acr") == acr
    assert s.verify("/p/otp/", b).status == (200 if acr == "otp" else 401)


def test_an_old_login_is_made_fresh(s):
    s.idp.knobs(auth_age_s=700)
    b = s.login("alice")
    got = b.get(s.url("/p/fresh/x"))
    assert got.status == 302 and query(got.location)["max_age"] == ["600"]
    assert " reason=max_age " in denied(s) and " rule=max_age " in denied(s)
    s.idp.knobs(auth_age_s=0)
    landed = b.follow(b.get(got.location + "&login_hint=alice"))
    assert (landed.status, landed.url) == (200, s.url("/p/fresh/x")), s.tails()


def test_what_a_login_may_lack_a_route_does_not_ask_for_again(s):
    """The provider's clock may be a minute off: what the callback took, the route takes."""
    s.idp.knobs(auth_age_s=640)
    b = s.login("alice")
    assert s.verify("/p/fresh/", b).status == 200


def test_a_step_up_that_fails_does_not_go_round(s):
    b = s.login("alice")
    s.idp.knobs(acr="password")
    got = b.get(s.url("/p/otp/"))
    landed = b.follow(b.get(got.location + "&login_hint=alice"))
    assert landed.status == 400 and landed.url.startswith(s.url("/auth/callback?"))
    assert s.verify("/private/", b).status == 200  # still who it was


def test_401_where_the_route_says_so(s, browsers):
    got = browsers["alice"].get(s.url("/p/up-401/"))
    assert got.status == 401 and got.location is None and "login_url" in got.json()
    assert browser.Browser().get(s.url("/p/up-401/")).status == 401


def test_identity_sets_are_the_routes(s, browsers):
    """Every header of every set on every 200: of the route's set with a value, of the others empty."""
    for user, role in (("bob", "sales"), ("alice", "")):
        got = s.verify("/p/identity/", browsers[user])
        assert (got.header("X-User-ID"), got.header("X-Role")) == (USERS[user]["name"], role)
        assert got.header("X-User-Email") == got.header("X-User-Groups") == ""
        got = s.verify("/private/", browsers[user])
        assert (got.header("X-User-ID"), got.header("X-Role")) == (user, "")
        assert got.header("X-User-Email") == USERS[user]["email"]


# ---- without a session --------------------------------------------------------------------------


def test_redirect_where_the_route_says_so(s):
    b = browser.Browser()
    got = b.fetch(s.url("/p/sent/x"))
    assert got.status == 302 and query(got.location) == {"return_to": [s.url("/p/sent/x")]}
    assert b.fetch(s.url("/p/sent/x"), method="POST").status == 401
    assert b.fetch(s.url("/private/x")).status == 401
    assert b.get(s.url("/private/x")).status == 302


def test_the_clients_own_authorization_where_there_is_no_session(s, browsers):
    own = [("Authorization", "Bearer own")]
    got = s.verify("/p/pass/a%2Fb", headers=own)
    assert (got.status, got.header("Authorization"), got.header("X-User-ID")) == (200, "Bearer own", "")
    got = s.verify("/p/pass/a%2Fb", browsers["bob"], headers=own)
    assert (got.status, got.header("Authorization"), got.header("X-User-ID")) == (200, "", "bob")
    assert s.verify("/private/a%2Fb", browsers["bob"]).status == 403


# ---- which page asks ----------------------------------------------------------------------------

HOME = "http://app.localhost"


@pytest.mark.parametrize("more,error", [
    ({}, "csrf"),
    ({"X-CSRF-Token": "x" * 43}, "csrf"),
    ({"X-CSRF-Token": "other"}, "csrf"),
    ({"X-CSRF-Token": "own"}, None),
    ({"X-CSRF-Token": "own", "Origin": "own"}, None),
    ({"X-CSRF-Token": "own", "Origin": "http://evil.localhost"}, "origin"),
    ({"X-CSRF-Token": "own", "Origin": "null"}, "origin"),
    ({"X-CSRF-Token": "own", "Origin": "http://friend.localhost"}, "origin"),
    ({"X-CSRF-Token": "own", "Sec-Fetch-Site": "cross-site"}, "origin"),
    ({"X-CSRF-Token": "own", "Sec-Fetch-Site": "same-site"}, "origin"),
    ({"X-CSRF-Token": "own", "Sec-Fetch-Site": "none"}, "origin"),
    ({"X-CSRF-Token": "own", "Origin": "own", "Sec-Fetch-Site": "same-site"}, None),
    ({"X-CSRF-Token": "wrong", "Origin": "http://evil.localhost"}, "origin"),
])
@pytest.mark.parametrize("method", ["POST", "DELETE", "UNKNOWN"])
def test_unsafe_methods(s, browsers, method, more, error):
    own = browsers["alice"].cookies(s.url())["bff_csrf"]
    other = browsers["bob"].cookies(s.url())["bff_csrf"]
    words = {"own": own, "other": other}
    sent = [("Host", urllib.parse.urlsplit(s.url()).netloc), ("X-Forwarded-Method", method),
            ("X-Forwarded-Uri", "/private/x"), ("X-Forwarded-Host", urllib.parse.urlsplit(s.url()).netloc),
            ("X-Forwarded-Proto", "http"), ("X-Forwarded-For", "127.0.0.1"),
            ("Cookie", browsers["alice"].cookie_header(s.url()))]
    for name, value in more.items():
        sent.append((name, s.origin() if (name, value) == ("Origin", "own") else words.get(value, value)))
    got = browser.raw(s.ports["verify"], "GET", "/auth/verify", sent)
    assert got.status == (200 if error is None else 403), got
    assert error is None or got.json()["error"] == error


def test_csrf_off_leaves_the_route_to_itself(s, browsers):
    assert s.verify("/p/off/x", browsers["alice"], method="POST").status == 200
    assert s.verify("/private/x", browsers["alice"], method="POST").status == 403
    assert s.verify("/private/x", browsers["alice"], method="HEAD").status == 200
    assert s.verify("/private/x", browsers["alice"], method="OPTIONS").status == 200


@pytest.mark.parametrize("origin,status", [(None, 403), ("http://evil.localhost", 403), ("null", 403), ("own", 200)])
def test_handshakes_by_origin(s, browsers, origin, status):
    more = [("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")]
    if origin:
        more.append(("Origin", s.origin() if origin == "own" else origin))
    assert s.verify("/p/live", browsers["alice"], headers=more).status == status
    assert s.verify("/private/", browsers["alice"], headers=more).status == 403  # takes none at all


def test_preflights_where_the_route_says_so(s, browsers):
    ask = [("Origin", "http://friend.localhost"), ("Access-Control-Request-Method", "PUT")]
    got = s.verify("/p/cors/", method="OPTIONS", headers=ask)
    assert (got.status, got.header("X-User-ID"), got.header("Authorization")) == (200, "", "")
    got = s.verify("/p/cors/", browsers["alice"], method="OPTIONS", headers=ask)
    assert (got.status, got.header("X-User-ID")) == (200, "")
    assert s.verify("/private/", method="OPTIONS", headers=ask).status == 401
    assert s.verify("/p/cors/", method="OPTIONS").status == 401
    assert s.verify("/p/cors/", method="PUT", headers=ask[:1]).status == 401


@pytest.mark.parametrize("path,user,status", [("/private/", None, 401), ("/p/otp/", "alice", 401),
                                              ("/p/equals/", "bob", 403)])
def test_denials_that_a_friend_may_read(s, browsers, path, user, status):
    for origin, reads in (("http://friend.localhost", True), (s.origin(), True), ("http://evil.localhost", False)):
        got = s.verify(path, browsers.get(user), headers=[("Origin", origin)])
        assert got.status == status and got.header("Vary") == "Origin"
        assert got.header("Access-Control-Allow-Origin") == (origin if reads else None)
        assert got.header("Access-Control-Allow-Credentials") == ("true" if reads else None)


# ---- explained ----------------------------------------------------------------------------------


def explain(s, *arguments, claims=None):
    command = [os.path.join(binaries(), "bff-worker"), "-C", s.config, "-x", *arguments]
    if claims is not None:
        path = os.path.join(s.directory, "claims.json")
        with open(path, "w", encoding="utf-8") as f:
            json.dump(claims, f)
        command += ["-c", path]
    ran = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    return ran.returncode, ran.stdout, ran.stderr


@pytest.mark.parametrize("route", RULES)
def test_explained_as_decided(s, browsers, route):
    for user, b in browsers.items():
        decided = s.verify("/p/%s/x" % route, b)
        status, out, err = explain(s, "GET", s.url("/p/%s/x" % route), claims={**USERS[user], "sub": user})
        assert (status, err) == (0, "")
        told = dict(re.split(r"\s+", line, maxsplit=1) for line in out.split("\n\n")[0].splitlines())
        assert told["route"].startswith(route + " (" + s.config + ":") and told["app"] == "demo"
        assert told["decision"] == ("allowed" if decided.status == 200 else "denied")
        assert " %d " % decided.status in out
        head = out.split("\n\n")[1].splitlines()
        names = {line.partition(":")[0] for line in head[1:]}
        assert decided.status != 200 or names == {k for k, _ in decided.headers if k != "Connection"}


def test_explained_without_anything_running(s, tmp_path):
    """Neither the secrets nor the database are there."""
    with open(s.config, encoding="utf-8") as f:
        text = f.read().replace(s.secrets, "/nowhere").replace("host=", "host=/nowhere")
    path = tmp_path / "bff.conf"
    path.write_text(text, encoding="utf-8")
    command = [os.path.join(binaries(), "bff-worker"), "-C", str(path), "-x", "GET", s.url("/p/otp/"),
               "-H", "Sec-Fetch-Mode: navigate", "-H", "Sec-Fetch-Dest: document"]
    ran = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True)
    assert "reason   no_cookie\n" in ran.stdout and "Location: " + s.url("/auth/login?") in ran.stdout


def test_explained_wrongly_asked(s):
    assert explain(s, "GET")[0] == 64
    assert explain(s, "GET", "nowhere")[0] == 64
    assert explain(s, "GET", s.url("/"), claims=[])[0] == 64
    assert explain(s, "GET", s.url("/"), "-H", "x")[0] == 64
    ran = subprocess.run([os.path.join(binaries(), "bff-worker")], stderr=subprocess.PIPE, text=True, check=False)
    assert ran.returncode == 64 and "started by bffd" in ran.stderr
