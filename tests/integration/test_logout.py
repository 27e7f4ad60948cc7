"""Logout by the provider (OIDC Back-Channel Logout 1.0) and at the provider (RP-Initiated Logout 1.0)."""
import base64
import hashlib
import re
import time
import urllib.parse

import pytest

import browser
from stack import App, Stack
from wait import eventually

EVENT = "http://schemas.openid.net/event/backchannel-logout"
REVOKED_WITHIN_S = 2
WORKERS_COVERED = 12  # connections of their own, spread over the workers of a host
POST_FORM = ("Content-Type", "application/x-www-form-urlencoded")


@pytest.fixture(scope="module", name="stack")
def fixture_stack():
    """The provider names the session to one client (sid), to another the person (sub)."""
    apps = [App("demo", ["demo.localhost"], provider="sid"), App("whole", ["whole.localhost"], provider="sub"),
            App("hint", ["hint.localhost"], provider="hint", more="id_token_hint = yes"),
            App("form", ["form.localhost"], provider="form", more="id_token_hint = yes logout_method = post"),
            App("wide", ["a.wide.localhost", "b.wide.localhost"], "wide.localhost", "login.wide.localhost", "wide")]
    with Stack(apps=apps, algs={name: "RS256" for name in ("sid", "sub", "hint", "form", "wide")},
               backchannel={"sid": "sid", "sub": "sub"}, idp={"post_methods": True}) as s:
        s.other_ports = s.second_host()
        yield s


DEMO, WHOLE, HINT, FORM = "demo.localhost", "whole.localhost", "hint.localhost", "form.localhost"
WIDE, LOGIN = "b.wide.localhost", "login.wide.localhost"


def answers(stack, b, host):
    """Of every worker of both hosts."""
    ports = [stack.ports["verify"], stack.other_ports["verify"]]
    return {stack.verify("/private/", b, host=host, port=p).status for p in ports for _ in range(WORKERS_COVERED)}


def lives(stack, b, host=DEMO):
    return answers(stack, b, host) == {200}


def dead(stack, b, host=DEMO):
    """Refused everywhere, within the bound on what a worker may remember."""
    return eventually(lambda: answers(stack, b, host) == {401}, "the end of the session on every host", REVOKED_WITHIN_S)


def ref_of(stack, b, host=DEMO):
    return stack.verify("/private/", b, host=host).header("X-Session-ID")


def ended(stack, ref):
    rows = stack.pg.psql("select reason, meaning from bff.ended where ref = '%s'" % ref)
    return rows[0] if rows else None


def sid_of(stack, ref):
    return stack.pg.value("select sid from bff_private.session where ref = '%s'" % ref)


def post(stack, token, host=DEMO, form=None, headers=(), port=None):
    """As a provider posts it, to one host's listener for browsers."""
    body = urllib.parse.urlencode({"logout_token": token} if form is None else form).encode()
    sent = [("Host", urllib.parse.urlsplit(stack.url("/", host)).netloc), ("X-Forwarded-Proto", "http"), POST_FORM]
    return browser.raw(port or stack.ports["public"], "POST", "/auth/backchannel-logout", sent + list(headers), body)


def claims(stack, client="bff-sid", drop=(), **more):
    now = int(time.time())
    all_of_them = {"iss": stack.idp.issuer, "aud": client, "iat": now, "exp": now + 120, "events": {EVENT: {}},
                   "jti": base64.urlsafe_b64encode(hashlib.sha256(b"%d" % time.monotonic_ns()).digest()).decode(), **more}
    return {k: v for k, v in all_of_them.items() if k not in drop}


def logout_at_provider(stack, b):
    """The person's own doing, at the provider's pages."""
    return b.open(stack.idp.issuer + "/session/end")


# ---- the provider says so -------------------------------------------------------------------------


def test_a_logout_at_the_provider_ends_that_session_on_every_host(stack):
    here, there = stack.login("alice", host=DEMO), stack.login("alice", host=DEMO)
    refs = ref_of(stack, here), ref_of(stack, there)
    before = stack.idp.stats()
    logout_at_provider(stack, here)  # answers when its logout tokens were
    after = stack.idp.stats()
    assert after["backchannel"][len(before["backchannel"]):] == ["ok bff-sid"]
    assert dead(stack, here) and lives(stack, there)
    assert ended(stack, refs[0]) == ["backchannel", "the provider asked for it"]
    assert ended(stack, refs[1]) is None
    eventually(lambda: stack.idp.stats()["revocations"] == before["revocations"] + 1, what="its refresh token's revocation")
    eventually(lambda: stack.pg.value("select count(*) from bff_private.grants where ended_at is not null") == "0",
               what="the grant's deletion")
    stack.login("alice", host=DEMO, b=here)


def test_without_a_sid_all_of_the_person_ends(stack):
    b = [stack.login(who, host=WHOLE) for who in ("alice", "alice", "bob")]
    sent = len(stack.idp.stats()["backchannel"])
    logout_at_provider(stack, b[0])
    assert stack.idp.stats()["backchannel"][sent:] == ["ok bff-sub"]
    assert dead(stack, b[0], WHOLE) and dead(stack, b[1], WHOLE) and lives(stack, b[2], WHOLE)


def test_the_logout_token_of_a_logout_here_finds_it_done(stack):
    """The provider calls back while the browser is on its way: the session is gone already, which is success."""
    b = stack.login("alice", host=DEMO)
    ref = ref_of(stack, b)
    sent = len(stack.idp.stats()["backchannel"])
    answer = b.fetch(stack.url("/auth/logout", DEMO), method="POST", csrf=True)
    b.open(answer.json()["redirect_url"])
    assert stack.idp.stats()["backchannel"][sent:] == ["ok bff-sid"]
    assert ended(stack, ref)[0] == "logout"


def test_the_answer_is_200_and_tells_nothing(stack):
    b = stack.login("alice", host=DEMO)
    sid = sid_of(stack, ref_of(stack, b))
    token = stack.idp.sign(claims(stack, sid=sid))
    answer = post(stack, token, form={"logout_token": token, "unknown": "x", "state": "y"},
                  headers=[("Cookie", b.cookie_header(stack.url("/", DEMO))), ("Origin", "https://evil.example")])
    assert (answer.status, answer.body) == (200, b"")
    assert answer.header("Cache-Control") == "no-store" and not answer.all("Set-Cookie")
    assert sid not in str(answer.headers)
    assert dead(stack, b)


def test_a_session_made_on_one_host_ends_by_a_token_at_the_other(stack):
    b = stack.login("alice", host=DEMO)
    token = stack.idp.sign(claims(stack, sid=sid_of(stack, ref_of(stack, b))))
    assert post(stack, token, port=stack.other_ports["public"]).status == 200
    assert dead(stack, b)


# ---- tokens that are none ---------------------------------------------------------------------------

BAD = {
    # Of the conformance suite's back-channel plan.
    "alg-none": {"header": {"alg": "none", "kid": None}},
    "wrong-alg": {"key": "ec"},
    "no-event": {"drop": ["events"]},
    "wrong-event": {"events": {"http://schemas.openid.net/event/foobar": {}}},
    "with-nonce": {"nonce": "n"},
    "wrong-aud": {"aud": "bff-sidINVALID"},
    "wrong-iss": {"iss": "{issuer}INVALID"},
    # And more.
    "other-client": {"aud": "bff-sub"},
    "extra-aud": {"aud": ["bff-sid", "bff-sub"]},
    "no-aud": {"drop": ["aud"]},
    "no-iss": {"drop": ["iss"]},
    "no-iat": {"drop": ["iat"]},
    "old-iat": {"iat": -7200},
    "future-iat": {"iat": 600},
    "no-exp": {"drop": ["exp"]},
    "expired": {"exp": -90},
    "no-jti": {"drop": ["jti"]},
    "nobody": {"drop": ["sid"]},
    "event-not-object": {"events": {EVENT: True}},
    "events-list": {"events": [EVENT]},
    "typ-at": {"header": {"typ": "at+jwt"}},
    "typ-secevent": {"header": {"typ": "secevent+jwt"}},
    "crit": {"header": {"crit": ["b64"], "b64": False}},
    "stranger-key": {"key": "stranger"},
    "hs256": {"header": {"alg": "HS256"}},
    "id-token": {"drop": ["events", "jti"], "nonce": "n", "sub": "alice", "auth_time": 0, "header": {"typ": "JWT"}},
}


@pytest.mark.parametrize("name", sorted(BAD))
def test_bad_tokens_are_refused(stack, alice, name):
    b, sid = alice
    row = dict(BAD[name])
    header, key, drop = row.pop("header", None), row.pop("key", "rsa"), row.pop("drop", ())
    now = int(time.time())
    for claim in ("iat", "exp", "auth_time"):
        if claim in row:
            row[claim] += now
    if "iss" in row:
        row["iss"] = row["iss"].format(issuer=stack.idp.issuer)
    token = stack.idp.sign(claims(stack, drop=drop, **{"sid": sid, **row}), key=key, header=header)
    answer = post(stack, token)
    assert (answer.status, answer.json()) == (400, {"error": "invalid_request"}), answer
    assert answer.header("Cache-Control") == "no-store"
    assert lives(stack, b)


@pytest.fixture(scope="module", name="alice")
def fixture_alice(stack):
    """A session that no bad token ends; and that a good one would."""
    b = stack.login("alice", host=DEMO)
    sid = sid_of(stack, ref_of(stack, b))
    assert sid
    yield b, sid
    assert lives(stack, b)
    assert post(stack, stack.idp.sign(claims(stack, sid=sid))).status == 200
    assert dead(stack, b)


@pytest.mark.parametrize("header", [{}, {"typ": None}, {"typ": "JWT"}, {"typ": "application/logout+jwt"}])
def test_kinds_that_are_taken(stack, header):
    token = stack.idp.sign(claims(stack, sid="nobody's", **{"http://claims.example/x": [1]}), header=header)
    assert post(stack, token).status == 200


@pytest.mark.parametrize("form", [
    {}, {"logout_token": ""}, {"token": "x"}, {"logout_token": "a.b.c"}, {"logout_token": "a.b.c.d.e"},
    {"logout_token": "x" * 4000}, {"logout_token": "x" * 20000}], ids=["nothing", "empty", "other", "garbage", "jwe", "long", "too-long"])
def test_bad_forms_are_refused(stack, form):
    answer = post(stack, None, form=form)
    assert (answer.status, answer.json()) == (400, {"error": "invalid_request"})


def test_other_ways_of_asking_are_refused(stack, alice):
    _, sid = alice
    token = stack.idp.sign(claims(stack, sid=sid))
    twice = "logout_token=%s&logout_token=%s" % (token, token)
    host = [("Host", urllib.parse.urlsplit(stack.url("/", DEMO)).netloc), ("X-Forwarded-Proto", "http")]
    path = "/auth/backchannel-logout"
    assert browser.raw(stack.ports["public"], "POST", path, host + [POST_FORM], twice.encode()).status == 400
    in_query = browser.raw(stack.ports["public"], "POST", path + "?logout_token=" + token, host + [POST_FORM], b"")
    assert in_query.status == 400
    for method in ("GET", "HEAD", "PUT"):
        got = browser.raw(stack.ports["public"], method, path + "?logout_token=" + token, host)
        assert (got.status, got.header("Allow")) == (405, "POST")
    elsewhere = [("Host", "unknown.localhost"), ("X-Forwarded-Proto", "http"), POST_FORM]
    assert browser.raw(stack.ports["public"], "POST", path, elsewhere, b"logout_token=" + token.encode()).status == 421
    # The other app's provider is another client, for whom this token is not.
    assert post(stack, token, host=WHOLE).status == 400


def test_a_flood_of_garbage_costs_no_login(stack):
    now = int(time.time())
    unknown = stack.idp.sign(claims(stack, sid="x"), header={"kid": "unknown"})
    lines = stack.log("bffd").count("event=denied") + stack.log("broker").count("event=logout_token_refused")
    got = {post(stack, unknown if n % 2 else "x.y.%d" % n).status for n in range(400)}
    assert got == {400, 503}  # a key that may not be looked for now: come again
    seconds = int(time.time()) - now + 1
    lines = stack.log("bffd").count("event=denied") + stack.log("broker").count("event=logout_token_refused") - lines
    assert lines <= 50 * 3 * (seconds + 1)  # log.h: LOG_PEER_PER_SECOND of two workers and a broker
    stack.login("bob", host=DEMO)


# ---- more than once, late, and at the same time --------------------------------------------------------


def test_a_replay_is_answered_and_does_nothing(stack):
    token = stack.idp.sign(claims(stack, "bff-sub", sub="bob", drop=["sid"]))
    first = stack.login("bob", host=WHOLE)
    assert post(stack, token, host=WHOLE).status == 200 and dead(stack, first, WHOLE)
    again = stack.login("bob", host=WHOLE)
    for port in (stack.ports["public"], stack.other_ports["public"]):
        assert post(stack, token, host=WHOLE, port=port).status == 200
    assert lives(stack, again, WHOLE)


def test_a_late_token_spares_a_later_login(stack):
    b = stack.login("bob", host=WHOLE)
    late = claims(stack, "bff-sub", sub="bob", iat=int(time.time()) - 300)
    assert post(stack, stack.idp.sign(late), host=WHOLE).status == 200
    assert lives(stack, b, WHOLE)
    assert post(stack, stack.idp.sign(claims(stack, "bff-sub", sub="bob")), host=WHOLE).status == 200
    assert dead(stack, b, WHOLE)


def begun(stack, b, host, user="alice"):
    """A login up to the callback, which is not asked for yet: the code is out."""
    url = stack.url("/auth/login?login_hint=%s&return_to=/private/" % user, host)
    answer = b.open(url, until=stack.url("/auth/callback", host))
    assert answer.location, answer
    return answer.location


def test_a_login_under_way_does_not_outlive_a_logout_of_the_person(stack):
    b = browser.Browser()
    callback = begun(stack, b, WHOLE, "bob")
    token = stack.idp.sign(claims(stack, "bff-sub", sub="bob"))
    assert post(stack, token, host=WHOLE, port=stack.other_ports["public"]).status == 200
    answer = b.get(callback)
    assert answer.status == 400 and "bff_session" not in b.cookies(stack.url("/", WHOLE)), answer
    assert stack.pg.psql("select outcome, detail from bff.logins order by at desc limit 1") == [["stale", "revoked_meanwhile"]]
    stack.login("bob", host=WHOLE, b=b)


def test_a_login_under_way_does_not_outlive_a_logout_of_its_session(stack):
    b = stack.login("alice", host=DEMO)
    sid = sid_of(stack, ref_of(stack, b))
    other = stack.login("alice", host=DEMO)
    callbacks = begun(stack, b, DEMO), begun(stack, other, DEMO)
    assert post(stack, stack.idp.sign(claims(stack, sid=sid)), port=stack.other_ports["public"]).status == 200
    answer = b.get(callbacks[0])
    assert answer.status == 400, answer
    assert dead(stack, b)
    assert other.get(callbacks[1]).status == 303 and lives(stack, other)  # another session of the same person


# ---- what is away ---------------------------------------------------------------------------------------


def retry(answer):
    return answer.status == 503 and answer.header("Retry-After") and answer.header("Cache-Control") == "no-store"


def still_lives(stack, b):
    """Once every worker is back; until then 503, and never a refusal."""
    got = answers(stack, b, DEMO)
    assert got <= {200, 503}, got
    return got == {200}


def test_without_the_database_or_the_broker_it_is_to_be_sent_again(stack):
    b = stack.login("alice", host=DEMO)
    token = stack.idp.sign(claims(stack, sid=sid_of(stack, ref_of(stack, b))))
    stack.pg.stop()
    try:
        assert retry(eventually(lambda: (a := post(stack, token)).status == 503 and a, what="503"))
    finally:
        stack.pg.start()
        stack.await_health()  # of the first host; the second may take longer
    eventually(lambda: still_lives(stack, b), what="an answer of every worker")
    stack.stop_broker()
    try:
        assert retry(post(stack, token))
    finally:
        stack.start_broker()
        stack.await_health()
    assert lives(stack, b)
    assert eventually(lambda: (a := post(stack, token)).status == 200 and a, what="the same token's effect")
    assert dead(stack, b)


def test_without_the_providers_keys_it_is_to_be_sent_again(stack):
    b = stack.login("alice", host=DEMO)
    token = stack.idp.sign(claims(stack, sid=sid_of(stack, ref_of(stack, b))))
    stack.stop_broker()
    stack.idp.down()
    try:
        stack.start_broker()
        stack.await_health()
        assert retry(post(stack, token))
        assert lives(stack, b)
    finally:
        stack.idp.up()
    # Each client's provider section finds it again by itself.
    for name in ("sid", "sub", "hint", "form"):
        eventually(lambda n=name: "event=provider_ready provider=%s" % n in stack.log("broker").split("event=started")[-1],
                   what="discovery for " + name)
    eventually(lambda: post(stack, token).status == 200, what="its effect once the provider is back")
    assert dead(stack, b)


# ---- logout at the provider -------------------------------------------------------------------------------


def end_sessions(stack):
    return stack.idp.stats()["end_sessions"]


def test_end_session_has_a_fresh_state_and_no_token(stack):
    seen = set()
    for _ in range(2):
        b = stack.login("alice", host=DEMO)
        answer = b.get(stack.url("/auth/logout?csrf=" + b.cookies(stack.url("/", DEMO))["bff_csrf"], DEMO))
        assert answer.status == 303
        got = urllib.parse.parse_qs(urllib.parse.urlsplit(answer.location).query)
        assert set(got) == {"client_id", "post_logout_redirect_uri", "state"}
        assert got["client_id"] == ["bff-sid"] and got["post_logout_redirect_uri"] == [stack.url("/auth/logout", DEMO)]
        seen.add(got["state"][0])
        before = end_sessions(stack)
        landed = b.follow(answer)
        assert (landed.status, landed.url) == (200, stack.url("/", DEMO))
        assert b.history[-2][1:] == (stack.url("/auth/logout?state=" + got["state"][0], DEMO), 303)
        assert "bff_logout" not in b.cookies(stack.url("/", DEMO))
        assert end_sessions(stack)[len(before):] == ["GET"]
    assert len(seen) == 2 and all(len(s) >= 22 for s in seen)


def away(stack, b, host, how=None):
    """The browser is logged out, and about to come back from the provider: the address it would come to."""
    answer = b.fetch(stack.url("/auth/logout", host), method="POST", csrf=True)
    assert answer.status == 200 and "bff_logout" in answer.cookies()
    back = b.open(answer.json()["redirect_url"], until=stack.url("/auth/logout", how or host))
    return back.location


def led_nowhere(answer):
    return (answer.status == 200 and b"<h1>Logged out</h1>" in answer.body and not answer.all("Location")
            and not answer.all("Set-Cookie") and answer.header("Cache-Control") == "no-store")


def test_only_the_browser_that_left_is_led_on_and_once(stack):
    b = stack.login("alice", host=DEMO)
    back = away(stack, b, DEMO)
    assert led_nowhere(browser.Browser().get(back))
    assert led_nowhere(b.get(back + "x")) and led_nowhere(b.get(back.split("?")[0]))
    answer = b.get(back)
    assert (answer.status, answer.location) == (303, stack.url("/", DEMO))
    assert led_nowhere(b.get(back))


def test_a_return_ends_no_session_that_was_made_meanwhile(stack):
    b = stack.login("alice", host=DEMO)
    back = away(stack, b, DEMO)
    stack.login("bob", host=DEMO, b=b)
    page = b.get(back + "x")
    assert page.status == 200 and b"<form" in page.body and not page.all("Location")
    assert b.get(back).status == 303 and lives(stack, b)


def test_from_any_origin_of_a_cookie_domain_it_comes_back_by_the_login_origin(stack):
    b = stack.login("alice", host=WIDE)
    back = away(stack, b, WIDE, LOGIN)
    assert back.startswith(stack.url("/auth/logout?state=", LOGIN))
    assert "bff_loop" in b.cookies(stack.url("/", LOGIN))  # where the login was counted, not where the logout was
    answer = b.get(back)
    assert (answer.status, answer.location) == (303, stack.url("/", "a.wide.localhost"))
    assert "bff_loop" not in b.cookies(stack.url("/", LOGIN))
    assert "bff_logout" not in b.cookies(stack.url("/", WIDE))


def test_the_id_token_goes_along_where_it_is_asked_for(stack):
    b = stack.login("alice", host=HINT)
    answer = b.fetch(stack.url("/auth/logout", HINT), method="POST", csrf=True)
    to = answer.json()["redirect_url"]
    assert "&id_token_hint=eyJ" in to
    before = end_sessions(stack)
    assert b.open(to).url == stack.url("/", HINT)
    assert b.history[-2][1].startswith(stack.url("/auth/logout?state=", HINT))
    assert end_sessions(stack)[len(before):] == ["GET hint"]


def test_by_a_form_the_id_token_is_in_no_address(stack):
    b = stack.login("alice", host=FORM)
    ref = ref_of(stack, b, FORM)
    button = {"csrf": b.cookies(stack.url("/", FORM))["bff_csrf"]}
    page = b.request("POST", stack.url("/auth/logout", FORM), {
        **browser.NAVIGATION, "Origin": stack.origin(FORM), "Sec-Fetch-Site": "same-origin",
        "Content-Type": POST_FORM[1]}, urllib.parse.urlencode(button).encode())
    text = page.body.decode()
    assert page.status == 200 and ended(stack, ref)[0] == "logout"
    assert not b.cookies(stack.url("/", FORM)).get("bff_session")
    fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', text))
    assert set(fields) == {"client_id", "post_logout_redirect_uri", "state", "id_token_hint"}
    assert fields["id_token_hint"].startswith("eyJ") and fields["id_token_hint"].count(".") == 2
    assert re.search(r'<form method="post" action="([^"]*)"', text)[1] == stack.idp.issuer + "/session/end"
    script = re.search(r"<script>(.*)</script>", text)[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert "script-src 'sha256-%s'" % digest in page.header("Content-Security-Policy")
    assert "frame-ancestors 'none'" in page.header("Content-Security-Policy")
    assert page.header("Cache-Control") == "no-store" and page.header("Referrer-Policy") == "no-referrer"
    before = end_sessions(stack)
    landed = b.follow(page)
    assert landed.url == stack.url("/", FORM)
    assert b.history[-2][1] == stack.url("/auth/logout?state=" + fields["state"], FORM)
    assert end_sessions(stack)[len(before):] == ["POST hint"]


def test_a_script_gets_an_address_without_the_id_token_then(stack):
    b = stack.login("alice", host=FORM)
    answer = b.fetch(stack.url("/auth/logout", FORM), method="POST", csrf=True)
    assert answer.status == 200 and set(answer.json()) == {"redirect_url"}
    assert b"eyJ" not in answer.body and b"id_token_hint" not in answer.body
    assert b.open(answer.json()["redirect_url"]).url == stack.url("/", FORM)


# ---- the refresh token's revocation -----------------------------------------------------------------------


def revocation(stack, ref):
    """How often it was tried, and in how many seconds it will be again; None: done."""
    rows = stack.pg.psql("select g.tries, ceil(extract(epoch from g.due_at - clock_timestamp())), g.refusals "
                         "from bff_private.grants g join bff_private.ended e on e.id_hash = g.session_hash where e.ref = '%s'" % ref)
    return [int(v) for v in rows[0]] if rows else None


def tried(stack, ref):
    return eventually(lambda: (r := revocation(stack, ref)) and r[0] == 1 and r[1] > 0 and r, what="a revocation put off")


REVOCATIONS = [  # what the endpoint answers, and in how many seconds it is asked again (jitter: a quarter)
    ("busy", {"revoke_status": 503, "revoke_retry_after": 60}, range(50, 77), 0),
    ("throttled", {"revoke_status": 429, "revoke_retry_after": 60}, range(50, 77), 0),
    ("broken", {"revoke_status": 500}, range(1, 9), 0),
    ("refused", {"revoke_status": 400}, range(1, 9), 1),
    ("client-refused", {"revoke_status": 401}, range(1, 9), 1),
]


@pytest.mark.parametrize("name,knobs,again_in_s,refusals", REVOCATIONS, ids=[r[0] for r in REVOCATIONS])
def test_a_revocation_that_fails_is_put_off_and_done_in_the_end(stack, name, knobs, again_in_s, refusals):
    b, other = stack.login("alice", host=DEMO), stack.login("bob", host=DEMO)
    refs = ref_of(stack, b), ref_of(stack, other)
    eventually(lambda: stack.pg.value("select revocations_pending from bff.overview") == "0", what="those of before")
    before = stack.idp.stats()["revocations"]
    stack.idp.knobs(revoke_count=1, **{"revoke_retry_after": 0, **knobs})
    try:
        assert b.fetch(stack.url("/auth/logout", DEMO), method="POST", csrf=True).status == 200  # waits for nothing
        tries, due, refused = tried(stack, refs[0])
        assert (tries, refused) == (1, refusals) and due in again_in_s
    finally:
        stack.idp.knobs(revoke_status=0, revoke_count=0)
    assert stack.idp.stats()["revocations"] == before
    assert other.fetch(stack.url("/auth/logout", DEMO), method="POST", csrf=True).status == 200
    eventually(lambda: revocation(stack, refs[1]) is None, what="the other's revocation, meanwhile")
    stack.pg.psql("update bff_private.grants set due_at = now() where ended_at is not null")
    eventually(lambda: revocation(stack, refs[0]) is None, what="the revocation in the end")
    assert stack.idp.stats()["revocations"] == before + 2


def test_a_revocation_waits_for_a_provider_that_is_away(stack):
    b = stack.login("alice", host=DEMO)
    ref = ref_of(stack, b)
    stack.idp.down()
    try:
        assert b.fetch(stack.url("/auth/logout", DEMO), method="POST", csrf=True).status == 200
        tries, _, refused = tried(stack, ref)
        assert (tries, refused) == (1, 0)
    finally:
        stack.idp.up()
    stack.pg.psql("update bff_private.grants set due_at = now() where ended_at is not null")
    eventually(lambda: revocation(stack, ref) is None, what="the revocation")


def test_a_refresh_token_is_not_shown_to_a_provider_that_took_the_name_of_its_own(stack):
    b = stack.login("alice", host=DEMO)
    ref = ref_of(stack, b)
    stack.pg.psql("update bff_private.grants g set issuer = 'https://before.example' from bff_private.session s "
                  "where s.grant_id = g.grant_id and s.ref = '%s'" % ref)
    before = stack.idp.stats()["revocations"]
    assert b.fetch(stack.url("/auth/logout", DEMO), method="POST", csrf=True).status == 200
    tries, _, refused = tried(stack, ref)
    assert (tries, refused) == (1, 0) and stack.idp.stats()["revocations"] == before
    stack.pg.psql("update bff_private.grants set issuer = '%s', due_at = now() where ended_at is not null" % stack.idp.issuer)
    eventually(lambda: revocation(stack, ref) is None, what="the revocation where it belongs")
    assert stack.idp.stats()["revocations"] == before + 1
