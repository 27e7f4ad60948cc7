"""Exactly-once refresh: what the provider sees when everybody asks at once, and when something dies at any step.

The provider rotates refresh tokens and punishes the second use of one; `grace_ms` makes it honour an old one for a
while, as several products can. Fault points (common/fault.h) are in the asan build, which these tests need.
"""
import concurrent.futures
import hashlib
import os
import signal

import pytest

from broker import CALLBACK, CLIENT_SECRET, ORIGIN, Broker, expire_tokens, login, token
from idp import CRM, ORDERS, Idp, client
from ipc import Gone
from postgres import Postgres
from stack import Stack
from wait import eventually

MORE = ["https://%s.example.com" % name for name in ("docs", "mail", "hr")]
SERVICES = ["crm", "orders", "docs", "mail", "hr"]
EXTRA = "".join('service "%s" { provider = "idp" grant = resource resource = "https://%s.example.com" }\n'
                'route "%s" { app = "demo" path = "/%s/" service = "%s" }\n' % ((name,) * 5)
                for name in ("docs", "mail", "hr"))
GRACE_MS = 60000
LEASE_S = 15


@pytest.fixture(scope="module")
def idp():
    with Idp([client("bff", CLIENT_SECRET, [CALLBACK], [ORIGIN + "/"])], resources=[CRM, ORDERS] + MORE) as provider:
        yield provider


@pytest.fixture(autouse=True)
def no_faults(idp):
    yield
    idp.knobs(access_token_ttl=300, latency_ms=0, answer_latency_ms=0, fail_status=0, fail_count=0, drop_count=0,
              grace_ms=0, fail_retry_after=0, refused_resources=[])


def make(pg, idp, grace=False, **more):
    """A broker; with `grace` both sides know of a grace period."""
    if grace:
        idp.knobs(grace_ms=GRACE_MS)
        more["provider"] = 'grace = "60s"'
    return Broker(pg, idp.issuer, extra=EXTRA, **more)


def restart(broker, env=None):
    """After a crash, with these fault points or none."""
    broker.process.wait()
    broker.process.kill()
    broker.env = env or {}
    seen = broker.log_text().count("event=sealing_key")
    broker.start()
    broker.wait_log("event=sealing_key .*state=primary", seen + 1)
    broker.wait_log("event=provider_keys", broker.log_text().count("event=provider_ready"))


def expire_leases(pg):
    """As if their time had passed: whoever held one is dead."""
    pg.psql("update bff_private.grants set lease_until = clock_timestamp() where lease_until is not null")


def mine(session):
    return "session_hash = '\\x%s'" % hashlib.sha256(session).hexdigest()


def ended(pg, session):
    rows = pg.psql("select reason from bff_private.ended where id_hash = '\\x%s'" % hashlib.sha256(session).hexdigest())
    return rows[0][0] if rows else None


def ask_until(worker, session, service="crm"):
    """Asks until the answer is not "later"; the leases and holdoffs in between are part of it."""
    got = []
    later = ("provider_down", "store")
    eventually(lambda: got.append(token(worker, session, service)) or got[-1].get("word") not in later, "an end", 60)
    return got[-1]


# ---- everybody at once ----------------------------------------------------------------------------

def test_four_thousand_requests_on_two_hosts_make_five_refreshes(pg, idp):
    """100 requests for each of 5 services over 4 connections to each of 2 brokers, when there is no token yet and at expiry."""
    with make(pg, idp) as one, make(pg, idp) as two:
        workers = [b.ready().worker() for b in (one, two) for _ in range(4)]
        try:
            session = login(workers[0]).session
            for again in (False, True, True):
                if again:
                    expire_tokens(pg, *workers)
                before = idp.stats()
                sent = [(w, w.send("token_get", session=session, app="demo", service=s, correlation="c"))
                        for _ in range(100) for s in SERVICES for w in workers]
                got = [w.answer(ident) for w, ident in sent]
                after = idp.stats()
                assert {m.name for m in got} == {"token"}
                assert len({m.access_token for m in got}) == len(SERVICES)
                assert after["token_requests"] - before["token_requests"] == len(SERVICES)
                assert after["refreshes"] - before["refreshes"] == len(SERVICES)
                assert after["reuses"] == before["reuses"]
        finally:
            for w in workers:
                w.__exit__()


def test_a_thousand_requests_of_browsers_on_two_hosts_make_five_refreshes():
    """The same from end to end: two masters with four workers each, on one PostgreSQL."""
    with Stack(edge=None, workers=4, idp={"resources": [CRM, ORDERS] + MORE},
               extra=EXTRA.replace('path = "', 'path = "/api')) as s:
        ports = [s.ports["verify"], s.second_host()["verify"]]
        for user in ("alice", "bob"):
            b = s.login(user)
            before = s.idp.stats()
            asked = [(port, "/api/%s/x" % name) for _ in range(100) for name in SERVICES for port in ports]
            with concurrent.futures.ThreadPoolExecutor(100) as pool:
                got = list(pool.map(lambda a: s.verify(a[1], b, port=a[0]), asked))
            after = s.idp.stats()
            assert {a.status for a in got} == {200}
            assert len({a.header("Authorization") for a in got}) == len(SERVICES)
            assert after["refreshes"] - before["refreshes"] == len(SERVICES)
            assert after["reuses"] == before["reuses"]


# ---- what is lost on the wire ---------------------------------------------------------------------

@pytest.mark.parametrize("grace", [False, True])
def test_an_answer_lost_on_the_wire(pg, idp, grace):
    with make(pg, idp, grace) as b, b.ready().worker() as w:
        session = login(w).session
        idp.knobs(drop_count=1)
        before = idp.stats()
        assert token(w, session).word == "provider_down"
        got = ask_until(w, session)
        after = idp.stats()
        assert after["token_requests"] == before["token_requests"] + 2
        if grace:
            assert got.name == "token" and ended(pg, session) is None
            assert token(w, session, "orders").name == "token"
        else:
            assert got.word in ("reauthenticate", "no_session") and ended(pg, session) == "reauthenticate"


def test_within_the_grace_period_it_is_repeated_as_often_as_it_takes(pg, idp):
    with make(pg, idp, grace=True) as b, b.ready().worker() as w:
        session = login(w).session
        idp.knobs(drop_count=4)
        before = idp.stats()
        assert ask_until(w, session).name == "token"
        assert idp.stats()["token_requests"] == before["token_requests"] + 5
        assert pg.value("select attempts from bff_private.grants where " + mine(session)) == "0"


def test_after_the_grace_period_it_is_repeated_once(pg, idp):
    with make(pg, idp, grace=True) as b, b.ready().worker() as w:
        session = login(w).session
        idp.knobs(fail_status=502, fail_count=-1)
        before = idp.stats()["token_requests"]
        assert token(w, session).word == "provider_down"
        pg.psql("update bff_private.grants set first_attempt_at = now() - interval '10 min' where " + mine(session))
        assert ask_until(w, session).word == "reauthenticate"
        assert idp.stats()["token_requests"] == before + 2
        assert ended(pg, session) is None


def test_a_provider_that_takes_longer_than_any_timeout(pg, idp):
    """It acted, and answers when nobody waits any more: the one repetition finds out, and there is no third."""
    with make(pg, idp) as b, b.ready().worker() as w:
        session = login(w).session
        idp.knobs(answer_latency_ms=12000)
        before = idp.stats()
        ident = w.send("token_get", session=session, app="demo", service="crm", correlation="c")
        assert w.answer(ident).word == "provider_down"
        assert idp.stats()["consumed"] == before["consumed"] + 1
        idp.knobs(answer_latency_ms=0)
        assert ask_until(w, session).word in ("reauthenticate", "no_session")
        assert idp.stats()["token_requests"] == before["token_requests"] + 2


# ---- what the login had not asked for -------------------------------------------------------------

def test_a_resource_that_came_after_the_login_waits_for_the_next_one(pg, idp):
    """The provider would refuse it and have spent the refresh token by then."""
    with Broker(pg, idp.issuer) as b:
        with b.ready().worker() as w:
            session = login(w).session
            assert token(w, session).name == "token"
        b.stop()
        b.write_config(extra=EXTRA)
        b.start()
        b.wait_log("event=sealing_key .*state=primary", 2)
        b.wait_log("event=provider_keys", 2)
        with b.worker() as w:
            before = idp.stats()["token_requests"]
            assert token(w, session, "docs").word == "reauthenticate"
            assert idp.stats()["token_requests"] == before
            assert token(w, session, "orders").name == "token" and ended(pg, session) is None
            assert idp.stats()["token_requests"] == before + 1
            assert token(w, login(w).session, "docs").name == "token"
            # A login that an older broker began has no list: all is asked for, as it did.
            old = login(w).session
            pg.psql("update bff_private.grants set resources = null where " + mine(old))
            assert token(w, old, "docs").name == "token"


# ---- an outage ends no session --------------------------------------------------------------------

def test_an_outage_of_many_users_costs_no_last_attempt(pg, idp):
    """While the provider fails others probe it: nobody's second attempt is spent, so all live on."""
    with make(pg, idp) as b, b.ready().worker() as w:
        sessions = [login(w, "alice" if i % 2 else "bob", client="192.0.2.%d/32" % i).session for i in range(20)]
        idp.knobs(fail_status=502, fail_count=-1)
        before = idp.stats()["token_requests"]
        assert token(w, sessions[0]).word == "provider_down"

        def all_at_once():
            sent = [w.send("token_get", session=s, app="demo", service="crm", correlation="c") for s in sessions]
            assert {w.answer(ident).word for ident in sent} == {"provider_down"}
            return idp.stats()["token_requests"] - before

        eventually(lambda: all_at_once() >= 4, what="four probes")
        assert all_at_once() <= 5  # one at a time, with growing pauses, however many ask
        idp.knobs(fail_status=0, fail_count=0)
        assert {ask_until(w, s).name for s in sessions} == {"token"}
        assert {ended(pg, s) for s in sessions} == {None}


# ---- a service that the provider refuses ----------------------------------------------------------

def test_a_refused_service_leaves_the_refresh_token_suspect(pg, idp):
    """oidc-provider consumes the token before it refuses the resource: the next use is the last."""
    with make(pg, idp) as b, b.ready().worker() as w:
        session, other = login(w).session, login(w, "bob").session
        idp.knobs(refused_resources=MORE)
        before = idp.stats()["token_requests"]
        assert token(w, session, "docs").word == "upstream"
        assert token(w, session, "docs").detail == "held_off"
        assert token(w, other, "docs").detail == "held_off"  # nobody else's token is risked
        assert idp.stats()["token_requests"] == before + 1
        assert token(w, session, "crm").word in ("reauthenticate", "no_session")
        assert ended(pg, session) == "reauthenticate"
        assert token(w, other, "crm").name == "token"


def test_refusals_of_two_services_do_not_use_the_attempts_up(pg, idp):
    """Where the token survives a refusal (here by the grace period) the other services go on."""
    with make(pg, idp) as b, b.ready().worker() as w:
        session = login(w).session
        idp.knobs(grace_ms=GRACE_MS, refused_resources=MORE)  # of the grace period we do not know
        assert token(w, session, "docs").word == "upstream"
        assert token(w, session, "mail").word == "upstream"
        assert pg.value("select attempts from bff_private.grants where " + mine(session)) == "1"
        assert token(w, session, "crm").name == "token"
        assert pg.value("select attempts from bff_private.grants where " + mine(session)) == "0"


# ---- death at every step --------------------------------------------------------------------------

# Point, and what the provider sees in all: with and without a grace period.
STEPS = [("before_lease", 1), ("leased", 1), ("last_check", 1), ("answered", 2), ("store", 2), ("committed", 1)]


@pytest.mark.parametrize("grace", [False, True])
@pytest.mark.parametrize("step, sends", STEPS)
def test_killed_at(pg, idp, step, sends, grace):
    with make(pg, idp, grace) as b:
        with b.ready().worker() as w:
            session = login(w).session
        b.process.send(signal.SIGKILL)
        restart(b, {"BFF_FAULT": "refresh.%s:kill" % step})
        before = idp.stats()
        with b.worker() as w, pytest.raises(Gone):
            token(w, session)
        assert b.process.wait() == -signal.SIGKILL
        restart(b)
        expire_leases(pg)
        with b.worker() as w:
            got = ask_until(w, session)
            after = idp.stats()
            assert after["token_requests"] - before["token_requests"] == sends
            if sends == 1 or grace:
                assert got.name == "token" and ended(pg, session) is None
                assert after["reuses"] == before["reuses"]
                assert token(w, session, "orders").name == "token"  # the successor is the one that counts
            else:
                # The successor died with its process, and there is no way to ask for it again.
                assert got.word in ("reauthenticate", "no_session") and ended(pg, session) == "reauthenticate"
                assert after["reuses"] == before["reuses"] + 1


@pytest.mark.parametrize("grace", [False, True])
def test_killed_between_the_first_byte_and_the_answer(pg, idp, grace):
    with make(pg, idp, grace) as b:
        with b.ready().worker() as w:
            session = login(w).session
            idp.knobs(answer_latency_ms=3000)
            before = idp.stats()
            w.send("token_get", session=session, app="demo", service="crm", correlation="c")
            # It is counted once it has consumed the token, before it waits.
            eventually(lambda: idp.stats()["consumed"] == before["consumed"] + 1, what="the refresh")
            b.process.send(signal.SIGKILL)
        idp.knobs(answer_latency_ms=0)
        restart(b)
        expire_leases(pg)
        with b.worker() as w:
            got = ask_until(w, session)
        assert idp.stats()["token_requests"] == before["token_requests"] + 2
        assert got.name == "token" if grace else got.word in ("reauthenticate", "no_session")


def test_killed_twice_is_not_sent_a_third_time(pg, idp):
    with make(pg, idp) as b:
        with b.ready().worker() as w:
            session = login(w).session
        b.process.send(signal.SIGKILL)
        before = idp.stats()["token_requests"]
        for _ in range(2):
            restart(b, {"BFF_FAULT": "refresh.leased:kill"})
            with b.worker() as w, pytest.raises(Gone):
                token(w, session)
            expire_leases(pg)
        restart(b)
        with b.worker() as w:
            # Nothing ever left; but nobody can know that, so the token stays where it is.
            assert ask_until(w, session).word == "reauthenticate"
            assert token(w, session, "own").name == "token"
        assert idp.stats()["token_requests"] == before
        assert ended(pg, session) is None


def test_killed_while_giving_the_lease_back(pg, idp):
    with make(pg, idp) as b:
        with b.ready().worker() as w:
            session = login(w).session
        b.process.send(signal.SIGKILL)
        restart(b, {"BFF_FAULT": "refresh.release:kill"})
        idp.knobs(fail_status=429, fail_count=1, fail_retry_after=1)
        before = idp.stats()
        with b.worker() as w, pytest.raises(Gone):
            token(w, session)
        restart(b)
        expire_leases(pg)
        with b.worker() as w:
            assert ask_until(w, session).name == "token"
        assert idp.stats()["token_requests"] == before["token_requests"] + 2
        assert idp.stats()["reuses"] == before["reuses"]


# ---- frozen ---------------------------------------------------------------------------------------

def wait_stopped(process):
    assert os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT).si_status == signal.SIGSTOP


def test_frozen_before_its_last_look_and_thawed_too_late(pg, idp):
    """The other host takes the lease over when its time is over; who comes back late does not send."""
    with make(pg, idp) as one, make(pg, idp) as two:
        with one.ready().worker() as w:
            session = login(w).session
        one.process.send(signal.SIGKILL)
        restart(one, {"BFF_FAULT": "refresh.last_check:stop"})
        before = idp.stats()
        with one.worker() as late, two.ready().worker() as w:
            ident = late.send("token_get", session=session, app="demo", service="crm", correlation="c")
            wait_stopped(one.process)
            got = ask_until(w, session)  # through all of the lease: nothing shortens it here
            assert got.name == "token"
            one.process.send(signal.SIGCONT)
            first = late.answer(ident)
            assert first.get("access_token") == got.access_token or first.word in ("provider_down", "store")
            assert ask_until(late, session).access_token == got.access_token
            assert token(late, session, "orders").name == "token"
        after = idp.stats()
        assert after["token_requests"] == before["token_requests"] + 2  # crm once, orders once
        assert after["reuses"] == before["reuses"]


@pytest.mark.parametrize("grace", [False, True])
def test_frozen_between_the_answer_and_the_commit(pg, idp, grace):
    """Thawed after another host was given the lease: its own successor must not come over the other's."""
    with make(pg, idp, grace) as one, make(pg, idp, grace) as two:
        with one.ready().worker() as w:
            session = login(w).session
        one.process.send(signal.SIGKILL)
        restart(one, {"BFF_FAULT": "refresh.store:stop"})
        before = idp.stats()
        with one.worker() as late, two.ready().worker() as w:
            late.send("token_get", session=session, app="demo", service="crm", correlation="c")
            wait_stopped(one.process)
            expire_leases(pg)
            got = ask_until(w, session)
            one.process.send(signal.SIGCONT)
            after = ask_until(late, session)
            if grace:
                assert got.name == "token" and after.access_token == got.access_token
                assert token(late, session, "orders").name == "token"
            else:
                assert got.word in ("reauthenticate", "no_session") and after.word == "no_session"
        assert idp.stats()["token_requests"] == before["token_requests"] + (3 if grace else 2)


# ---- without a database ---------------------------------------------------------------------------

def test_the_database_gone_between_the_answer_and_the_commit(idp):
    with Postgres() as own:
        own.migrate()
        with make(own, idp) as b:
            with b.ready().worker() as w:
                sessions = [login(w, u).session for u in ("alice", "bob")]
            b.process.send(signal.SIGKILL)
            restart(b, {"BFF_FAULT": "refresh.store:stop"})
            before = idp.stats()
            with b.worker() as w:
                ident = w.send("token_get", session=sessions[0], app="demo", service="crm", correlation="c")
                wait_stopped(b.process)
                own.stop("immediate")
                b.process.send(signal.SIGCONT)
                b.wait_log("event=database state=away")
                assert token(w, sessions[0], "orders").word == "store"
                own.start()
                assert w.answer(ident).get("word") in (None, "store")
                assert {ask_until(w, s).name for s in sessions} == {"token"}
                assert ask_until(w, sessions[0], "orders").name == "token"
            after = idp.stats()
            assert after["token_requests"] - before["token_requests"] == 3  # the answer of before was kept
            assert after["reuses"] == before["reuses"]
            assert own.value("select count(*) from bff_private.ended") == "0"


def test_stopped_between_the_answer_and_the_commit_of_a_database_that_comes_back(idp):
    """SIGTERM drains: a successor in memory is worth waiting for."""
    with Postgres() as own:
        own.migrate()
        with make(own, idp) as b:
            with b.ready().worker() as w:
                session = login(w).session
            b.process.send(signal.SIGKILL)
            restart(b, {"BFF_FAULT": "refresh.store:stop"})
            before = idp.stats()
            with b.worker() as w:
                w.send("token_get", session=session, app="demo", service="crm", correlation="c")
                wait_stopped(b.process)
                own.stop("immediate")
                b.process.send(signal.SIGTERM)
                b.process.send(signal.SIGCONT)
                b.wait_log("event=draining")
                own.start()
                assert b.process.wait() == 0
            restart(b)
            with b.worker() as w:
                assert token(w, session).name == "token"
                assert token(w, session, "orders").name == "token"
            assert idp.stats()["token_requests"] == before["token_requests"] + 2
            assert idp.stats()["reuses"] == before["reuses"]
