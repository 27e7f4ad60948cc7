"""What becomes of a session: logout, revocation, expiry of tokens, and parts that are away."""
import concurrent.futures
import time
import urllib.parse

import pytest

import browser
from idp import CRM, ORDERS
from stack import Stack
from wait import eventually

LEASE_S = 2.0  # PG_LEASE_MS
WORKERS_COVERED = 24  # connections of their own, spread over two workers


def refused_everywhere(stack, b):
    """From now on; what a worker remembers it may answer until it has heard, or until its lease is over."""
    until, refused = time.monotonic() + LEASE_S, 0
    while refused < WORKERS_COVERED:
        sent, got = time.monotonic(), stack.verify("/private/", b).status
        if got != 401 and sent > until:
            return False
        refused = refused + 1 if got == 401 else 0
    return True


def forget(stack):
    """What was changed behind everybody's back is read anew, by workers and broker.

    What makes certain that a process has heard is a round trip of its own: of the workers that of a session that is
    not live, which is read each time; of the broker that of a login that begins."""
    stack.pg.psql("notify bff_revoked, 'flush'")
    dead = stack.login("bob")
    replay = dead.copy()
    assert dead.fetch(stack.url("/auth/logout"), method="POST", csrf=True).status == 200
    assert refused_everywhere(stack, replay)
    assert browser.Browser().get(stack.url("/auth/login")).status == 302


def ref_of(stack, b):
    return stack.verify("/private/", b).header("X-Session-ID")


def ended(stack, ref):
    rows = stack.pg.psql("select reason from bff.ended where ref = '%s'" % ref)
    return rows[0][0] if rows else None


# ---- logout -------------------------------------------------------------------------------------

def test_logout_by_the_page(stack):
    b = stack.login("alice")
    ref = ref_of(stack, b)
    logouts, revocations = stack.idp.stats()["logouts"], stack.idp.stats()["revocations"]
    assert b.fetch(stack.url("/auth/logout"), method="POST").status == 403  # without the token
    assert stack.verify("/private/", b).status == 200
    answer = b.fetch(stack.url("/auth/logout"), method="POST", csrf=True)
    assert answer.status == 200, answer
    to = answer.json()["redirect_url"]
    assert to.startswith(stack.idp.issuer + "/session/end")
    assert "id_token_hint" not in to and "eyJ" not in to
    assert "bff_session" not in b.cookies(stack.url()) and "bff_csrf" not in b.cookies(stack.url())
    assert ended(stack, ref) == "logout"
    landed = b.open(to)
    assert landed.url == stack.url("/"), landed
    assert stack.idp.stats()["logouts"] == logouts + 1
    eventually(lambda: stack.idp.stats()["revocations"] > revocations, what="revocation at the provider")
    eventually(lambda: stack.pg.value("select count(*) from bff_private.grants g where not exists "
                                      "(select from bff_private.session s where s.grant_id = g.grant_id)") == "0",
               what="the grant's deletion")


def test_replayed_cookie_after_logout(stack):
    b = stack.login("alice")
    replay = b.copy()
    assert b.fetch(stack.url("/auth/logout"), method="POST", csrf=True).status == 200
    assert refused_everywhere(stack, replay)
    assert replay.fetch(stack.url("/auth/session")).status == 401


def test_logout_by_navigation_wants_a_button_or_the_token(stack):
    b = stack.login("alice")
    page = b.get(stack.url("/auth/logout"))
    assert page.status == 200 and b"<form" in page.body
    assert stack.verify("/private/", b).status == 200
    wrong = b.get(stack.url("/auth/logout?csrf=" + "x" * 43))
    assert wrong.status == 403 and stack.verify("/private/", b).status == 200
    gone = b.get(stack.url("/auth/logout?csrf=" + b.cookies(stack.url())["bff_csrf"]))
    assert gone.status == 303 and gone.location.startswith(stack.idp.issuer)
    assert "bff_session" not in b.cookies(stack.url())


def test_logout_everywhere(stack):
    here, there, bob = stack.login("alice"), stack.login("alice"), stack.login("bob")
    answer = here.fetch(stack.url("/auth/logout?everywhere=true"), method="POST", csrf=True)
    assert answer.status == 200, answer
    assert refused_everywhere(stack, there)
    assert stack.verify("/private/", bob).status == 200


def test_logout_of_nobody(stack):
    answer = browser.Browser().fetch(stack.url("/auth/logout"), method="POST")
    assert answer.status in (200, 303, 401, 403)


# ---- psql -----------------------------------------------------------------------------------------

@pytest.mark.parametrize("reason,statement", [
    ("revoked", "select * from bff.revoke_session('{ref}', 'lost laptop')"),
    ("revoked", "select * from bff.revoke_subject('bob', 'left the company')"),
    ("deleted", "delete from bff.sessions where ref = '{ref}'"),
])
def test_revoked_by_psql_is_refused_at_once_on_every_worker(stack, reason, statement):
    bob, alice = stack.login("bob"), stack.login("alice")
    ref = ref_of(stack, bob)
    revocations = stack.idp.stats()["revocations"]
    assert stack.verify("/private/", bob).status == 200
    stack.pg.psql(statement.format(ref=ref))
    assert refused_everywhere(stack, bob)
    assert stack.verify("/private/", alice).status == 200
    assert ended(stack, ref) == reason
    assert stack.pg.value("select count(*) from bff.audit where ref = '%s'" % ref) != "0"
    eventually(lambda: stack.idp.stats()["revocations"] > revocations, what="revocation at the provider")
    stack.login("bob")  # a new login works


def test_idle_and_absolute_limits(stack):
    b = stack.login("alice")
    ref = ref_of(stack, b)
    stack.pg.psql("update bff_private.session_activity a set last_seen = now() - interval '3 hours', "
                  "check_at = now() - interval '1 hour' from bff_private.session s "
                  "where s.id_hash = a.id_hash and s.ref = '%s'" % ref)
    forget(stack)
    assert refused_everywhere(stack, b)
    b = stack.login("alice")
    ref = ref_of(stack, b)
    stack.pg.psql("update bff_private.session set absolute_expires_at = now() where ref = '%s'" % ref)
    forget(stack)
    assert refused_everywhere(stack, b)


def test_garbage_cookies_are_nobody(stack):
    good = stack.login("alice").cookies(stack.url())["bff_session"]
    version, day, secret, tag = good.split(".")
    for value in ("", "x", "v1", "v1...", good + ".x", good[:-1], "v2." + good[3:],
                  ".".join((version, day, secret, "A" * len(tag))), ".".join((version, day, secret[::-1], tag)),
                  ".".join((version, "1", secret, tag)), "%" * 200, "a" * 4000, '"%s' % good):
        b = browser.Browser()
        b.jar[("app.localhost", True, "/", "bff_session")] = value
        got = stack.verify("/private/", b)
        assert got.status == 401, (value, got)
    for cookie in ("; ;", "=", "a;b;=c", "bff_session", "bff_session=;bff_session=", ",", ";" * 500):
        got = stack.verify("/private/", headers=[("Cookie", cookie)])
        assert got.status in (400, 401), (cookie, got)
    other = stack.login("bob").cookies(stack.url())["bff_session"]
    both = [("Cookie", "bff_session=%s; bff_session=%s" % (good, other))]
    assert stack.verify("/private/", headers=both).status == 401  # two good ones: refused
    one = [("Cookie", "bff_session=x.y; bff_session=%s" % good)]
    assert stack.verify("/private/", headers=one).status == 200  # planted garbage is ignored


# ---- tokens -----------------------------------------------------------------------------------------

def test_each_service_gets_its_own_token(stack):
    b = stack.login("alice")
    tokens = {}
    for _ in range(2):  # alternating: each its own, each time
        for name, audience in (("crm", CRM), ("orders", ORDERS)):
            assert b.fetch(stack.url("/api/%s/" % name)).status == 200
            seen = stack.services[name].last()
            assert seen.token["aud"] == audience
            tokens.setdefault(name, set()).add(seen.one("Authorization"))
    assert all(len(t) == 1 for t in tokens.values()), "asked once, then kept"
    assert b.fetch(stack.url("/private/")).status == 200
    assert stack.services["page"].last().one("Authorization") == ""


def expire_tokens(stack):
    stack.pg.psql("update bff_private.token set expires_at = now() - interval '1 second'")
    forget(stack)


def parallel(stack, b, uris):
    with concurrent.futures.ThreadPoolExecutor(len(uris)) as pool:
        return list(pool.map(lambda uri: stack.verify(uri, b), uris))


def test_a_hundred_requests_at_expiry_are_one_refresh(stack):
    b = stack.login("alice")
    assert stack.verify("/api/crm/", b).status == 200
    expire_tokens(stack)
    before = stack.idp.stats()
    stack.idp.knobs(latency_ms=300)
    try:
        answers = parallel(stack, b, ["/api/crm/%d" % n for n in range(100)])
    finally:
        stack.idp.knobs(latency_ms=0)
    assert {a.status for a in answers} == {200}, stack.tails()
    assert len({a.header("Authorization") for a in answers}) == 1
    after = stack.idp.stats()
    assert after["refreshes"] - before["refreshes"] == 1
    assert after["reuses"] == before["reuses"]


def test_two_services_at_once_refresh_one_after_the_other(stack):
    b = stack.login("alice")
    before = stack.idp.stats()
    stack.idp.knobs(latency_ms=100)
    try:
        answers = parallel(stack, b, ["/api/crm/", "/api/orders/"] * 20)
    finally:
        stack.idp.knobs(latency_ms=0)
    assert {a.status for a in answers} == {200}, stack.tails()
    after = stack.idp.stats()
    assert after["refreshes"] - before["refreshes"] == 2 and after["reuses"] == before["reuses"]


def test_a_token_is_renewed_ahead_of_its_end(stack):
    stack.idp.knobs(access_token_ttl=6)
    try:
        b = stack.login("alice")
        first = stack.verify("/api/crm/", b).header("Authorization")
        begun = time.monotonic()

        def renewed():
            got = stack.verify("/api/crm/", b)
            assert got.status == 200  # never a gap
            return got.header("Authorization") != first

        eventually(renewed, timeout_s=6, what="renewal")
        assert time.monotonic() - begun < 6
    finally:
        stack.idp.knobs(access_token_ttl=300)
    assert stack.idp.stats()["reuses"] == 0


def test_provider_throttles_then_recovers(stack):
    b = stack.login("alice")
    expire_tokens(stack)
    stack.idp.knobs(fail_status=503, fail_retry_after=1, fail_count=-1)
    try:
        got = stack.verify("/api/crm/", b)
        assert got.status == 503 and got.header("Retry-After"), got
        assert not got.all("Set-Cookie")
        assert stack.verify("/private/", b).status == 200  # no token needed, nothing lost
    finally:
        stack.idp.knobs(fail_status=0, fail_count=0, fail_retry_after=0)
    eventually(lambda: stack.verify("/api/crm/", b).status == 200, what="recovery")
    assert stack.idp.stats()["reuses"] == 0


def test_an_answer_lost_after_rotation_costs_one_login_and_is_not_tried_for_ever(stack):
    b = stack.login("alice")
    expire_tokens(stack)
    before = stack.idp.stats()
    stack.idp.knobs(drop_count=1)
    first = stack.verify("/api/crm/", b).status
    assert first in (401, 503)
    # The provider has no grace window: the one repetition is reuse to it, and the grant is dead.
    eventually(lambda: stack.verify("/api/crm/", b).status == 401, what="the end of the session")
    after = stack.idp.stats()
    assert after["token_requests"] - before["token_requests"] <= 2
    stack.login("alice", b=b)
    assert stack.verify("/api/crm/", b).status == 200


# ---- parts that are away ------------------------------------------------------------------------------

def test_postgresql_stopped_in_mid_run(stack):
    b = stack.login("alice")
    assert b.fetch(stack.url("/api/crm/")).status == 200
    stack.pg.stop()
    try:
        for path in ("/private/", "/api/crm/"):
            got = eventually(lambda p=path: (a := stack.verify(p, b)).status == 503 and a, what="503")
            assert got.header("Retry-After") and not got.all("Set-Cookie")
        assert b.fetch(stack.url("/auth/session")).status == 503
        assert browser.Browser().get(stack.url("/auth/login")).status == 503
        assert b.fetch(stack.url("/auth/health")).status == 503
        assert browser.raw(stack.ports["metrics"], "GET", "/livez", [("Host", "x")]).status == 200
        assert browser.raw(stack.ports["metrics"], "GET", "/readyz", [("Host", "x")]).status == 503
        assert stack.verify("/private/").status in (401, 503)
    finally:
        stack.pg.start()
        stack.await_health()  # recovery without a restart
    eventually(lambda: b.fetch(stack.url("/api/crm/")).status == 200, what="recovery of the broker")
    stack.login("bob")


def test_postgresql_hangs(stack):
    b = stack.login("alice")
    stack.pg.freeze()
    try:
        begun = time.monotonic()
        got = stack.verify("/private/", b)
        assert got.status == 503 and time.monotonic() - begun < 15, got
    finally:
        stack.pg.thaw()
        stack.await_health()
    assert stack.verify("/private/", b).status == 200


def test_broker_stopped_and_started(stack):
    b = stack.login("alice")
    stack.stop_broker()
    try:
        assert stack.verify("/private/", b).status == 200
        got = stack.verify("/api/orders/", b)
        assert got.status == 503 and not got.all("Set-Cookie")
        assert browser.Browser().get(stack.url("/auth/login")).status == 503
    finally:
        stack.start_broker()
        stack.await_health()
    assert stack.verify("/api/orders/", b).status == 200


def test_logout_works_without_the_broker(stack):
    b = stack.login("alice")
    replay = b.copy()
    stack.stop_broker()
    try:
        assert b.fetch(stack.url("/auth/logout"), method="POST", csrf=True).status == 200
        assert refused_everywhere(stack, replay)
    finally:
        stack.start_broker()
        stack.await_health()


def test_provider_down_in_mid_run_ends_no_session(stack):
    b = stack.login("alice")
    assert stack.verify("/api/crm/", b).status == 200
    stack.idp.down()
    try:
        assert stack.verify("/api/crm/", b).status == 200  # the token at hand
    finally:
        stack.idp.up()
    expire_tokens(stack)
    stack.idp.down()
    try:
        got = stack.verify("/api/crm/", b)
        assert got.status == 503 and got.header("Retry-After"), got
        assert stack.verify("/private/", b).status == 200
    finally:
        stack.idp.up()
    eventually(lambda: stack.verify("/api/crm/", b).status == 200, what="recovery")


def test_provider_down_at_start():
    with Stack(edge=None, idp_up=False) as s:
        assert s.verify("/api/crm/").status == 401
        assert s.verify("/public").status == 200
        assert browser.Browser().get(s.url("/auth/login")).status == 503
        assert browser.Browser().fetch(s.url("/auth/session")).status == 401
        s.idp.start()
        answer = eventually(lambda: (a := browser.Browser().get(s.url("/auth/login"))).status == 302 and a,
                            what="login once the provider is back")
        assert urllib.parse.urlsplit(answer.location).path == "/auth"
        b = s.login("alice")
        assert s.verify("/api/crm/", b).status == 200
