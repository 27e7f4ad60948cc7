"""How else a service's token is had: exchange, on-behalf-of, client credentials, and ahead of the first request."""
import hashlib
import os

import pytest

from broker import CALLBACK, CLIENT_SECRET, ORIGIN, Broker, claims, expire_tokens, login, token
from idp import CRM, ORDERS, USERS, Idp, client
from wait import eventually

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
OBO = "urn:ietf:params:oauth:grant-type:jwt-bearer"
GRANTS = ["authorization_code", "refresh_token", "client_credentials", EXCHANGE, OBO]
EXTRA = """
service "x-crm" { provider = "idp" grant = exchange audience = "%s" }
service "x-orders" { provider = "idp" grant = exchange audience = "%s" }
service "x-none" { provider = "idp" grant = exchange audience = "https://nowhere.example.com" }
service "obo-crm" { provider = "idp" grant = obo scope = {"%s/.default"} audience = "%s" }
service "robot" { provider = "idp" grant = client_credentials resource = "%s" scope = {read} }
route "x-crm" { app = "demo" path = "/x-crm/" service = "x-crm" }
route "x-orders" { app = "demo" path = "/x-orders/" service = "x-orders" }
route "x-none" { app = "demo" path = "/x-none/" service = "x-none" }
route "obo-crm" { app = "demo" path = "/obo-crm/" service = "obo-crm" }
route "robot" { app = "demo" path = "/robot/" service = "robot" }
""" % (CRM, ORDERS, CRM, CRM, CRM)
AHEAD = """
service "a-crm" { provider = "idp" grant = resource resource = "%s" prefetch = yes }
service "a-orders" { provider = "idp" grant = exchange audience = "%s" prefetch = yes }
service "a-robot" { provider = "idp" grant = client_credentials resource = "%s" scope = {read} prefetch = yes }
service "a-unused" { provider = "idp" grant = resource resource = "%s" prefetch = yes }
route "a-crm" { app = "demo" path = "/a-crm/" service = "a-crm" }
route "a-orders" { app = "demo" path = "/a-orders/" service = "a-orders" }
route "a-robot" { app = "demo" path = "/a-robot/" service = "a-robot" }
""" % (CRM, ORDERS, CRM, ORDERS)


@pytest.fixture(scope="module")
def idp():
    with Idp([client("bff", CLIENT_SECRET, [CALLBACK], [ORIGIN + "/"], grant_types=GRANTS)]) as provider:
        yield provider


@pytest.fixture(autouse=True)
def no_faults(idp):
    yield
    idp.users(**USERS)
    idp.knobs(access_token_ttl=300, latency_ms=0, fail_status=0, fail_count=0, fail_retry_after=0,
              exchange_refused=False)


@pytest.fixture
def broker(pg, idp):
    with Broker(pg, idp.issuer, extra=EXTRA) as b:
        yield b.ready()


def counts(idp, *grants):
    by_grant = idp.stats()["by_grant"]
    return [by_grant.get(g, 0) for g in grants]


def ask_many(workers, session, services, each):
    """`each` requests a worker and service at once; their answers."""
    sent = [(w, w.send("token_get", session=session, app="demo", service=s, correlation="c"))
            for _ in range(each) for w in workers for s in services]
    return [w.answer(ident) for w, ident in sent]


# ---- exchange and on-behalf-of --------------------------------------------------------------------

@pytest.mark.parametrize("service, grant", [("x-crm", "%s %s" % (EXCHANGE, CRM)), ("obo-crm", OBO)])
def test_an_exchange_starts_from_the_logins_own_token(worker, idp, service, grant):
    session = login(worker).session
    before = counts(idp, grant, "refresh_token")
    got = token(worker, session, service)
    assert got.name == "token", got
    assert claims(got.access_token)["aud"] == CRM and claims(got.access_token)["sub"] == "alice"
    assert token(worker, session, service).access_token == got.access_token  # filed
    assert counts(idp, grant, "refresh_token") == [before[0] + 1, before[1]]  # and no refresh was needed


def test_the_logins_own_token_is_renewed_first_when_it_is_over(worker, idp, pg):
    session = login(worker).session
    expire_tokens(pg, worker)
    before = counts(idp, "refresh_token", EXCHANGE + " " + CRM, EXCHANGE + " " + ORDERS)
    got = ask_many([worker], session, ["x-crm", "x-orders"], 50)
    assert {m.name for m in got} == {"token"}
    assert len({m.access_token for m in got}) == 2
    # One refresh for both, one exchange each.
    assert counts(idp, "refresh_token", EXCHANGE + " " + CRM, EXCHANGE + " " + ORDERS) == [n + 1 for n in before]


def test_a_subject_token_that_the_provider_refuses_is_renewed_once(broker, worker, idp):
    session = login(worker).session
    before = counts(idp, "refresh_token")[0]
    # Good by the clock, but not to the provider, which is slow to say so; then all is well again.
    idp.knobs(latency_ms=700)
    idp.users(alice=None)
    ident = worker.send("token_get", session=session, app="demo", service="x-crm", correlation="c")
    broker.wait_log("event=exchange_failed .*why=invalid_request .*renewed first")
    idp.users(**USERS)
    assert worker.answer(ident).name == "token"
    assert counts(idp, "refresh_token")[0] == before + 1
    # To the end refused: not asked in a loop.
    session = login(worker, "bob").session
    idp.knobs(latency_ms=0, exchange_refused=True)
    before = idp.stats()["token_requests"]
    assert token(worker, session, "x-crm").word == "upstream"
    assert token(worker, session, "x-crm").detail == "held_off"
    assert idp.stats()["token_requests"] == before + 3  # exchange, refresh, exchange


def test_an_audience_that_the_provider_does_not_know_is_held_off(worker, idp):
    session, other = login(worker).session, login(worker, "bob").session
    assert token(worker, session, "x-none").word == "upstream"
    before = idp.stats()["token_requests"]
    again = [token(worker, s, "x-none") for s in (session, other, session)]
    assert {(m.word, m.detail) for m in again} == {("upstream", "held_off")}
    assert idp.stats()["token_requests"] == before
    assert token(worker, session, "x-crm").name == "token"  # the other services go on


def test_an_exchanged_token_goes_with_its_session(worker, idp, pg):
    done = login(worker)
    idp.knobs(latency_ms=1000)
    before = idp.stats()["token_requests"]
    ident = worker.send("token_get", session=done.session, app="demo", service="x-crm", correlation="c")
    eventually(lambda: idp.stats()["token_requests"] > before, what="the exchange")
    pg.psql("delete from bff_private.session where ref = '%s'" % done.session_ref)
    assert worker.answer(ident).word == "no_session"
    mine = hashlib.sha256(done.session).hexdigest()
    assert pg.value("select count(*) from bff_private.token t join bff_private.grants g using (grant_id) "
                    "where g.session_hash = '\\x%s'" % mine) == "0"


def test_an_exchange_while_the_refresh_token_is_busy(worker, idp):
    """It takes no refresh token, so it does not wait for one."""
    session = login(worker).session
    idp.knobs(latency_ms=3000)
    before = idp.stats()["token_requests"]
    slow = worker.send("token_get", session=session, app="demo", service="crm", correlation="c")
    eventually(lambda: idp.stats()["token_requests"] > before, what="the refresh")
    idp.knobs(latency_ms=0)
    assert token(worker, session, "x-orders").name == "token"
    with pytest.raises(TimeoutError):
        worker.answer(slow, timeout_s=0)
    assert worker.answer(slow).name == "token"


# ---- client credentials ---------------------------------------------------------------------------

def test_a_services_own_token_is_had_once_for_all_sessions(worker, idp, pg):
    sessions = [login(worker, u).session for u in ("alice", "bob")]
    grant = "client_credentials " + CRM
    before = counts(idp, grant, "refresh_token")
    got = ask_many([worker], sessions[0], ["robot"], 50) + ask_many([worker], sessions[1], ["robot"], 50)
    assert {m.name for m in got} == {"token"}
    assert len({m.access_token for m in got}) == 1
    assert claims(got[0].access_token)["aud"] == CRM and claims(got[0].access_token)["sub"] == "bff"  # RFC 9068 2.2
    assert counts(idp, grant, "refresh_token") == [before[0] + 1, before[1]]
    # In memory alone.
    assert pg.value("select count(*) from bff_private.token where service = 'robot'") == "0"


def test_a_services_own_token_only_for_a_session_of_the_app(worker, pg):
    done = login(worker)
    assert token(worker, done.session, "robot").name == "token"
    pg.psql("delete from bff_private.session where ref = '%s'" % done.session_ref)
    assert token(worker, done.session, "robot").word == "no_session"
    assert token(worker, os.urandom(32), "robot").word == "no_session"
    assert token(worker, login(worker).session, "robot", app="other").word == "forbidden"


def test_a_services_own_token_is_for_none_whose_session_ended_meanwhile(worker, idp, pg):
    gone, stays = login(worker), login(worker, "bob")
    idp.knobs(latency_ms=1000)
    before = idp.stats()["token_requests"]
    idents = [worker.send("token_get", session=d.session, app="demo", service="robot", correlation="c")
              for d in (gone, stays)]
    eventually(lambda: idp.stats()["token_requests"] > before, what="the request")
    pg.psql("delete from bff_private.session where ref = '%s'" % gone.session_ref)
    assert worker.answer(idents[0]).word == "no_session"
    assert worker.answer(idents[1]).name == "token"
    assert idp.stats()["token_requests"] == before + 1


def test_a_services_own_token_is_renewed_ahead(worker, idp):
    idp.knobs(access_token_ttl=3)
    session = login(worker).session
    old = token(worker, session, "robot").access_token
    grant = "client_credentials " + CRM
    before = counts(idp, grant)[0]
    # In its last third it still serves, and the next one is fetched: no request ever waits for one.
    seen = []
    eventually(lambda: seen.append(token(worker, session, "robot")) or seen[-1].access_token != old, what="a new one")
    assert {m.name for m in seen} == {"token"}
    assert counts(idp, grant)[0] == before + 1


def test_a_service_that_the_provider_refuses_holds_nobody_else_off(worker, idp):
    session = login(worker).session
    idp.knobs(fail_status=400, fail_count=1)
    first = token(worker, session, "robot")
    assert first.word in ("upstream", "provider_down"), first
    before = idp.stats()["token_requests"]
    assert token(worker, session, "robot").detail == "held_off"
    assert idp.stats()["token_requests"] == before


# ---- ahead of the first request -------------------------------------------------------------------

def test_prefetched_at_login_and_joined_by_the_first_request(pg, idp):
    grants = ("refresh_token " + CRM, EXCHANGE + " " + ORDERS, "client_credentials " + CRM, "refresh_token " + ORDERS)
    with Broker(pg, idp.issuer, extra=AHEAD) as b, b.ready().worker() as w:
        before = counts(idp, *grants)
        idp.knobs(latency_ms=500)
        session = login(w).session
        got = ask_many([w], session, ["a-crm", "a-orders", "a-robot"], 20)
        assert {m.name for m in got} == {"token"}
        assert counts(idp, *grants) == [before[0] + 1, before[1] + 1, before[2] + 1, before[3]]
        idp.knobs(latency_ms=0)
        requests = idp.stats()["token_requests"]
        second = login(w, "bob").session
        filed = "select count(*) from bff_private.token t join bff_private.grants g using (grant_id) " \
            "where g.session_hash = '\\x%s' and service like 'a-%%'" % hashlib.sha256(second).hexdigest()
        eventually(lambda: pg.value(filed) == "2", what="both tokens, without a request")
        assert idp.stats()["token_requests"] == requests + 3  # the code, a-crm, a-orders
