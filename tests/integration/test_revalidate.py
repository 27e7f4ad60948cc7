"""revalidate: leavers leave and changed groups change while a session is in use; an outage ends nothing."""
import hashlib
import json
import time

import pytest

from broker import Broker, begin, login, token
from idp import USERS
from stack import App, Stack
from wait import eventually

EVERY_S = 2
APP = 'revalidate = "%ds" idle_timeout = "1h" absolute_timeout = "2h"' % EVERY_S
# Until the provider was asked: the app's interval, the worker's batch of touches, the broker's look into the queue.
WITHIN_S = EVERY_S + 1 + 5


@pytest.fixture(autouse=True)
def as_before(idp):
    yield
    idp.up()
    idp.users(**USERS)
    idp.knobs(latency_ms=0, fail_status=0, fail_count=0)


@pytest.fixture
def broker(pg, idp):
    with Broker(pg, idp.issuer, app=APP) as b:
        yield b.ready()


class Session:
    """A session as a worker sees and uses it, with the worker's role and functions alone."""

    def __init__(self, pg, worker, user="alice", **more):
        self.pg = pg
        self.done = login(worker, user, **more)
        self.hash = hashlib.sha256(self.done.session).hexdigest()
        self.again = "update bff_private.revalidation set due_at = now() where owner is null and id_hash = '\\x%s'" % \
            self.hash

    def get(self):
        sql = "select state, claims, touch_due from bff_private.session_get('\\x%s')" % self.hash
        state, claims, due = self.pg.psql(sql, user="bff_web")[0]
        return state, json.loads(claims or "{}"), due == "t"

    def use(self):
        """One request: what verify does with touch_due. True if it was due."""
        due = self.get()[2]
        if due:
            sql = "select touched from bff_private.session_touch(array['\\x%s'::bytea])" % self.hash
            self.pg.psql(sql, user="bff_web")
        return due

    def used_until(self, condition, what, timeout_s=WITHIN_S + 20):
        """A page that polls."""
        return eventually(lambda: self.use() is None or condition(), what, timeout_s)

    def groups(self):
        return self.get()[1].get("groups")

    def reason(self):
        rows = self.pg.psql("select reason from bff_private.ended where id_hash = '\\x%s'" % self.hash)
        return rows[0][0] if rows else None

    def rounds(self, n):
        """Until it was asked about n times in vain, without the growing pauses between them."""
        tries = "select coalesce(max(tries), 0) from bff_private.revalidation where owner is null and id_hash = '\\x%s'"
        self.used_until(lambda: self.pg.psql(self.again) is not None and int(self.pg.value(tries % self.hash)) >= n,
                        "%d rounds" % n, 60)

    def queued(self):
        return self.pg.value("select count(*) from bff_private.revalidation where id_hash = '\\x%s'" % self.hash) == "1"


def test_changed_groups_change(pg, worker, idp):
    s = Session(pg, worker)
    assert s.groups() == ["sales", "support"]
    before = idp.stats()
    idp.users(alice={**USERS["alice"], "groups": ["board"], "email": "adams@example.com", "name": "Alice Baker"})
    started = time.monotonic()
    s.used_until(lambda: s.groups() == ["board"], "new groups")
    assert time.monotonic() - started < WITHIN_S + 5
    assert pg.psql("select email, name from bff_private.session where id_hash = '\\x%s'" % s.hash) == \
        [["adams@example.com", "Alice Baker"]]
    assert not s.queued()
    # A claim that is gone is gone, and it is asked again and again.
    idp.users(alice={k: v for k, v in USERS["alice"].items() if k != "groups"})
    s.used_until(lambda: s.groups() is None, "no groups")
    assert s.reason() is None
    assert idp.stats()["reuses"] == before["reuses"]
    assert token(worker, s.done.session, "crm").name == "token"  # with the successor of the last check


def test_leavers_leave(pg, worker, idp):
    s, other = Session(pg, worker), Session(pg, worker, "bob")
    idp.users(alice=None)
    started = time.monotonic()
    s.used_until(lambda: s.get()[0] != "live", "the end")
    assert time.monotonic() - started < WITHIN_S + 5
    assert s.reason() == "reauthenticate"
    assert token(worker, s.done.session, "own").word == "no_session"
    other.used_until(lambda: not other.queued(), "bob's turn")
    assert other.get()[0] == "live"


def test_what_is_not_used_is_not_asked_about(pg, worker, idp):
    s, used = Session(pg, worker), Session(pg, worker, "bob")
    before = idp.stats()["token_requests"]
    generation = "select generation from bff_private.grants where session_hash = '\\x%s'"
    used.used_until(lambda: pg.value(generation % used.hash) == "2", "bob's check")
    assert pg.value(generation % s.hash) == "1" and not s.queued()
    assert idp.stats()["token_requests"] >= before + 1


def test_an_outage_of_the_provider_postpones(pg, broker, worker, idp):
    s = Session(pg, worker)
    idp.down()
    s.used_until(s.queued, "its turn")
    broker.wait_log("event=revalidation_put_off")
    assert s.get()[0] == "live" and s.queued() and s.groups() == ["sales", "support"]
    idp.users(alice={**USERS["alice"], "groups": ["board"]})
    idp.up()
    s.used_until(lambda: s.groups() == ["board"], "new groups", 60)
    assert s.reason() is None


@pytest.mark.parametrize("status", [500, 429])
def test_errors_of_the_provider_postpone(pg, broker, worker, idp, status):
    s = Session(pg, worker)
    idp.knobs(fail_status=status, fail_count=1)
    s.used_until(s.queued, "its turn")
    broker.wait_log("event=revalidation_put_off")
    idp.users(alice={**USERS["alice"], "groups": ["board"]})
    # A 500 says nothing of the refresh token: the last attempt waits until the provider answered somebody else.
    login(worker, "bob")
    s.used_until(lambda: s.groups() == ["board"], "new groups", 60)
    assert s.reason() is None


def test_a_long_outage_ends_no_session(pg, broker, worker, idp):
    """However often it is asked meanwhile: what the refresh token has left is for whoever comes after."""
    s = Session(pg, worker)
    grants = "bff_private.grants where session_hash = '\\x%s'" % s.hash
    idp.knobs(fail_status=502, fail_count=-1)
    before = idp.stats()["token_requests"]
    s.rounds(3)
    # A broker that starts knows nothing of the provider.
    broker.stop()
    broker.start()
    s.rounds(6)
    assert idp.stats()["token_requests"] == before + 1
    assert pg.value("select attempts from " + grants) == "1"
    assert s.get()[0] == "live" and s.reason() is None
    idp.knobs(fail_status=0, fail_count=0)
    with broker.worker() as w:
        assert token(w, s.done.session, "crm").name == "token"  # with the attempt that was left
    idp.users(alice={**USERS["alice"], "groups": ["board"]})
    pg.psql(s.again)
    s.used_until(lambda: s.groups() == ["board"], "new groups", 60)
    idp.users(alice=None)
    s.used_until(lambda: s.get()[0] != "live", "the end")  # which an answer brings


def test_a_broker_that_dies_in_between(pg, idp):
    with Broker(pg, idp.issuer, app=APP) as b:
        with b.ready().worker() as w:
            s = Session(pg, w)
        idp.knobs(latency_ms=3000)
        before = idp.stats()["token_requests"]
        s.used_until(lambda: idp.stats()["token_requests"] > before, "the check")
        b.kill()
        idp.knobs(latency_ms=0)
        idp.users(alice={**USERS["alice"], "groups": ["board"]})
        assert s.queued()
        # As if the leases of the dead had run out.
        pg.psql("update bff_private.revalidation set lease_until = clock_timestamp();"
                "update bff_private.grants set lease_until = clock_timestamp() where lease_until is not null")
        b.start()
        with b.worker() as w:
            eventually(lambda: begin(w, "bob").name == "login_begun", what="key and provider")
            login(w, "bob")  # the last attempt waits until the provider answered somebody
        s.used_until(lambda: s.groups() == ["board"] or s.reason(), "an end", 60)
        assert s.reason() in (None, "reauthenticate")  # had the provider consumed the token? a race


def test_two_brokers_ask_once(pg, idp):
    pg.psql("delete from bff_private.revalidation")  # sessions of earlier tests, in use when those ended
    with Broker(pg, idp.issuer, app=APP) as one, Broker(pg, idp.issuer, app=APP) as two, one.ready().worker() as w:
        two.ready()
        sessions = [Session(pg, w, client="192.0.2.%d/32" % i) for i in range(10)]
        before = idp.stats()
        generations = "select distinct generation from bff_private.grants where session_hash in (%s)" % \
            ",".join("'\\x%s'" % s.hash for s in sessions)
        eventually(lambda: all(s.get()[2] for s in sessions), what="all due")
        for s in sessions:
            s.use()
        eventually(lambda: pg.psql(generations) == [["2"]], what="all checked")
        after = idp.stats()
        assert after["token_requests"] - before["token_requests"] == len(sessions)
        assert pg.psql(generations) == [["2"]]
        assert after["reuses"] == before["reuses"]


def test_a_refresh_token_that_may_not_be_sent_any_more_ends_no_session(pg, broker, worker, idp):
    """An outage led to that; who needs a token of it logs in again."""
    s = Session(pg, worker)
    pg.psql("update bff_private.grants set attempts = 2, first_attempt_at = now() "
            "where session_hash = '\\x%s'" % s.hash)
    before = idp.stats()["token_requests"]
    s.used_until(s.queued, "its turn")
    broker.wait_log("event=revalidation_put_off .*why=attempts_used_up")
    assert token(worker, s.done.session, "crm").word == "reauthenticate"
    s.rounds(3)
    assert s.get()[0] == "live" and s.reason() is None
    assert idp.stats()["token_requests"] == before


def test_userinfo_where_claims_come_from_it(pg, idp):
    with Broker(pg, idp.issuer, app=APP, provider="claims_from = {userinfo}") as b, b.ready().worker() as w:
        s = Session(pg, w)
        assert s.groups() == ["sales", "support"]
        idp.users(alice={**USERS["alice"], "groups": ["board"]})
        s.used_until(lambda: s.groups() == ["board"], "new groups")
        idp.users(alice=None)
        s.used_until(lambda: s.get()[0] != "live", "the end")


def test_turned_off_meanwhile(pg, idp):
    with Broker(pg, idp.issuer, app=APP) as b:
        with b.ready().worker() as w:
            s = Session(pg, w)
        b.stop()
        b.write_config(app="")
        b.start()
        due = "select revalidate_at from bff_private.session_activity where id_hash = '\\x%s'" % s.hash
        s.used_until(lambda: pg.value(due) is None, "never again")
        assert s.get()[0] == "live" and not s.queued()


def test_from_end_to_end():
    """What the services are told follows, and who left is shown the door."""
    with Stack(edge=None, apps=[App(more="    revalidate = \"%ds\"\n" % EVERY_S)]) as s:
        b = s.login("alice")

        def groups():
            return s.verify("/private/x", b).header("X-User-Groups")

        assert groups() == "sales,support"
        s.idp.users(alice={**USERS["alice"], "groups": ["board"]})
        # A row may stand in a worker's cache for half a minute.
        eventually(lambda: groups() == "board", "new groups", WITHIN_S + 60)
        s.idp.users(alice=None)
        eventually(lambda: s.verify("/private/x", b).status == 401, "the end", WITHIN_S + 60)
