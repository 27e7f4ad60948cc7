"""Token requests that the broker answers from memory, and what it renews by itself."""
import threading
import time

import pytest

from broker import ORIGIN, Broker, login, random_secret, token
from wait import eventually

LEASE_S = 2.0  # PG_LEASE_MS


@pytest.fixture(scope="module")
def broker(pg, idp):
    with Broker(pg, idp.issuer) as b:
        b.ready()
        yield b


def statements(pg):
    """Transactions of the broker's connections so far."""
    return int(pg.value("select coalesce(sum(calls), 0) from pg_stat_user_functions where funcname = 'token_read'"))


class Hammer:
    """Asks for a token all the time, and notes when which answer came."""

    def __init__(self, worker, session):
        self.worker, self.session, self.seen, self.over = worker, session, [], False
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.over:
            got = token(self.worker, self.session)
            self.seen.append((time.monotonic(), got.name if got.name == "token" else got.word))

    def __enter__(self):
        self.thread.start()
        eventually(lambda: len(self.seen) > 100, "answers")
        return self

    def __exit__(self, *_):
        self.over = True
        self.thread.join()

    def last_token_at(self):
        return max(at for at, word in self.seen if word == "token")


def test_many_requests_are_few_reads(worker, pg):
    pg.psql("alter system set track_functions = 'pl'; select pg_reload_conf()")
    session = login(worker).session
    with Hammer(worker, session):
        before = statements(pg)
    with Hammer(worker, session) as h:
        pass
    assert {word for _, word in h.seen} == {"token"}
    eventually(lambda: statements(pg) >= before, "statistics")
    assert statements(pg) - before < len(h.seen) / 10


@pytest.mark.parametrize("off", [{"web": "session_cache = off"}, {"database": "revocations = poll"}])
def test_without_the_cache_each_request_is_a_read(pg, idp, broker, off):
    """web.session_cache is the broker's, too: no notification is waited for, and none is needed. Where LISTEN is lost
    without a word the broker, which does not poll, relies on none either."""
    pg.psql("alter system set track_functions = 'pl'; select pg_reload_conf()")
    with Broker(pg, idp.issuer, ring=broker.ring, **off) as b:
        b.wait_log("event=sealing_key .*state=primary")
        b.wait_log("event=provider_keys")
        with b.worker() as w:
            session = login(w).session
            assert token(w, session).name == "token"
            before = statements(pg)
            for _ in range(20):
                assert token(w, session).name == "token"
            eventually(lambda: statements(pg) >= before + 20, "a read for each")


@pytest.mark.parametrize("how", [
    "delete from bff.sessions where ref = '%s'",
    "select bff.revoke_session('%s', 'lost laptop')",
])
def test_revoked_in_psql_is_refused_at_once(worker, pg, how):
    done = login(worker)
    with Hammer(worker, done.session) as h:
        pg.psql(how % done.session_ref)
        acknowledged = time.monotonic()
        eventually(lambda: h.seen[-1][1] == "no_session", "the refusal")
    assert h.last_token_at() - acknowledged < LEASE_S
    assert {word for _, word in h.seen} == {"token", "no_session"}


def test_a_logout_is_refused_at_once(worker):
    done = login(worker)
    with Hammer(worker, done.session):
        assert worker.ask("logout", session=done.session, app="demo", origin=ORIGIN).sessions == 1
        assert token(worker, done.session).word == "no_session"


def test_without_a_lease_memory_says_nothing(worker, pg):
    """A database that hangs: within the bound everything fails, and no session has ended afterwards."""
    done = login(worker)
    with Hammer(worker, done.session) as h:
        pg.freeze()
        try:
            frozen = time.monotonic()
            eventually(lambda: h.seen[-1][1] == "store", "the end of the lease")
            eventually(lambda: time.monotonic() - frozen > LEASE_S, "two seconds")
        finally:
            pg.thaw()
        eventually(lambda: h.seen[-1][1] == "token", "tokens again")
    words = [(at - frozen, word) for at, word in h.seen if at > frozen]
    first_failure = min(at for at, word in words if word == "store")
    assert first_failure < LEASE_S
    assert {word for _, word in words} == {"token", "store"}


def test_another_app_service_or_session_is_not_answered_from_memory(worker):
    session = login(worker).session
    assert token(worker, session).name == "token"
    for wrong, word in (({"app": "other"}, "forbidden"), ({"service": "spare"}, "forbidden"),
                        ({"service": "other"}, "forbidden"), ({"session": random_secret()}, "no_session"),
                        ({"session": session[:31]}, "no_session")):
        assert worker.ask("token_get", **{"session": session, "app": "demo", "service": "crm", **wrong}).word == word
    assert token(worker, session, "orders").access_token != token(worker, session, "crm").access_token


def test_what_is_used_is_renewed_without_being_asked_for(worker, idp):
    """At two thirds of its lifetime; and once more only if it was used meanwhile."""
    idp.knobs(access_token_ttl=9)
    try:
        session = login(worker).session
        first = token(worker, session)
        before = idp.stats()["refreshes"]
        begun = time.monotonic()
        eventually(lambda: idp.stats()["refreshes"] == before + 1, "the renewal")
        assert 9 * 2 / 3 - 2 < time.monotonic() - begun < 9
        asked = time.monotonic()
        second = token(worker, session)
        assert second.access_token != first.access_token
        eventually(lambda: idp.stats()["refreshes"] == before + 2, "the next renewal")
        # Nobody asks any more: the third token is not renewed.
        eventually(lambda: time.monotonic() - asked > 9 * 2, "its end", 40)
        assert idp.stats()["refreshes"] == before + 2
    finally:
        idp.knobs(access_token_ttl=300)


def test_a_renewal_that_fails_is_tried_again_while_the_old_one_serves(worker, idp):
    idp.knobs(access_token_ttl=30)
    try:
        session = login(worker).session
        first = token(worker, session)
        before = idp.stats()["token_requests"]
        idp.knobs(fail_status=429, fail_retry_after=1, fail_count=1)
        eventually(lambda: idp.stats()["token_requests"] >= before + 2, "a second try", 40)
        eventually(lambda: token(worker, session).access_token != first.access_token, "the new one")
    finally:
        idp.knobs(access_token_ttl=300, fail_status=0, fail_count=0)
