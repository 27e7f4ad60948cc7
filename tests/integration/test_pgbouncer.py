"""Behind a PgBouncer, a real one: Debian's, which mixes up prepared statements in transaction mode, and a newer one.

What must hold in every mode: a session that was revoked is let through no longer than the bound, whatever is lost on
the way, and no statement is answered by another one's text.
"""
import hashlib
import os
import time

import pytest

import cache
from broker import Broker, login, token
from exposition import scrape
from pgbouncer import DEBIAN, PgBouncer
from sse import Stream
from stack import Stack
from test_revocation import LEASE_S, Hammer, reads
from test_token_memory import Hammer as TokenHammer
from test_worker import HOST, World, cookie_value
from wait import eventually

POOLER, UNFIT = "event=database_pooler ", "event=database_pooler_unfit "
TICK_S = 1.0  # SESSION_WATCH_TICK_MS
SLACK_S = 0.8  # of a machine with other things to do


@pytest.fixture(scope="module")
def newer():
    try:
        return cache.pgbouncer()
    except cache.Missing as why:
        pytest.skip(str(why).splitlines()[0])


@pytest.fixture(params=["debian", "newer"])
def program(request):
    return DEBIAN if request.param == "debian" else request.getfixturevalue("newer")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    w = World(tmp_path_factory.mktemp("pgbouncer"))
    w.pg.psql("alter system set track_functions = 'pl'; select pg_reload_conf(); grant bff_poller to bff_web")
    yield w
    w.close()


class Behind:
    """A worker of the world's behind a pooler; both gone at the end."""

    def __init__(self, world, pooler, database=""):
        self.world, self.pooler, self.database = world, pooler, database
        self.worker = None

    def another(self):
        pg = self.world.pg
        return self.world.start(('conninfo = "host=%s port=%d dbname=bff" connections = 2' % (pg.sockets, pg.port),
                                 'conninfo = "%s" %s' % (self.pooler.conninfo(), self.database)))

    def __enter__(self):
        self.pooler.__enter__()
        try:
            self.worker = self.another()
        except BaseException:
            self.pooler.remove()
            raise
        return self.worker

    def __exit__(self, *_):
        try:
            assert self.worker.stop() == 0, self.worker.log_text()
        finally:
            self.pooler.remove()


def revoke(world, ref):
    """When that was acknowledged."""
    world.pg.psql("select bff.revoke_session('%s', 'test')" % ref)
    return time.monotonic()


def refused_within(hammer, since):
    eventually(lambda: hammer.seen[-1][1] == 401, "the refusal")
    assert hammer.last_yes() - since < LEASE_S


# ---- where LISTEN is not to be relied on ------------------------------------------------------------

@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_what_listens_remembers_nothing(world, program, mode):
    """In transaction mode PgBouncer drops what is notified between two transactions, and nobody is told. With one
    connection Debian's gets by: it gives that the same session of the server each time."""
    with Behind(world, PgBouncer(world.pg, mode, program, size=1), "connections = 1") as worker:
        secret, ref = world.session()
        before = reads(world)
        with Hammer(worker, secret) as h:
            eventually(lambda: reads(world) - before > 50, "a read for each request")
            refused_within(h, revoke(world, ref))
        assert h.statuses() == {200, 401}
        log = worker.log_text()
        assert log.count(POOLER) == 1
        line = next(text for text in log.splitlines() if POOLER in text)
        assert "level=warn" in line and "revocations = poll" in line
        assert scrape(worker.ports["metrics"])["bff_lease_held_seconds_total"] == 0


def test_that_it_once_heard_is_no_proof(world, newer):
    """A reload gives live clients another mode: from then on they are told nothing, and nothing says so. (What they
    prepared in session mode is not there any more either, so reads fail until they connect anew.)"""
    pooler = PgBouncer(world.pg, "session", newer)
    with Behind(world, pooler, "connections = 2") as worker:
        secret, ref = world.session()
        with Hammer(worker, secret) as h:
            pooler.reload("transaction")
            begun = time.monotonic()
            eventually(lambda: time.monotonic() - begun > LEASE_S / 2, "round trips of every connection")
            refused_within(h, revoke(world, ref))


def test_whoever_watches_a_session_hears_of_its_end(world, program):
    with Behind(world, PgBouncer(world.pg, "transaction", program, size=1), "connections = 1") as worker:
        secret, ref = world.session()
        with Stream(worker.ports["public"], HOST, "bff_session=" + cookie_value(secret)) as s:
            assert s.next().name == "live"
            at = revoke(world, ref)
            assert s.next().name == "ended"
            assert time.monotonic() - at < TICK_S + SLACK_S


def test_straight_to_postgresql_nothing_is_said(world):
    secret, _ = world.session()
    with Hammer(world.worker, secret) as h:
        before = reads(world)
        seen = len(h.seen)
        eventually(lambda: len(h.seen) > seen + 1000, "requests")
        assert reads(world) - before < 50
    assert POOLER not in world.worker.log_text()
    eventually(lambda: scrape(world.worker.ports["metrics"])["bff_lease_held_seconds_total"] > 0, "a lease")


# ---- where what ended is asked for --------------------------------------------------------------------

@pytest.fixture(params=["session", "transaction"])
def polls(request, world):
    """A pooler that serves who polls: Debian's in session mode, the newer one in both."""
    if request.param == "session":
        return PgBouncer(world.pg, "session")
    return PgBouncer(world.pg, "transaction", request.getfixturevalue("newer"))


def test_what_polls_remembers_within_the_bound(world, polls):
    with Behind(world, polls, "connections = 2 revocations = poll") as worker:
        secret, ref = world.session()
        with Hammer(worker, secret) as h:
            before, seen = reads(world), len(h.seen)
            eventually(lambda: len(h.seen) > seen + 2000, "requests")
            assert reads(world) - before < 200
            refused_within(h, revoke(world, ref))
        assert h.statuses() == {200, 401}
        assert POOLER not in worker.log_text() and UNFIT not in worker.log_text()


@pytest.mark.parametrize("database", ["", "revocations = poll"])
def test_a_pooler_that_dies(world, polls, database):
    """503 within the bound and until it is back; who was revoked meanwhile is never let in again."""
    with Behind(world, polls, "connections = 2 " + database) as worker:
        secret, ref = world.session()
        other, _ = world.session()
        with Hammer(worker, secret) as h, Hammer(worker, other) as o:
            polls.stop()
            at = time.monotonic()
            revoke(world, ref)
            eventually(lambda: h.seen[-1][1] == o.seen[-1][1] == 503, "the outage")
            assert h.last_yes() - at < LEASE_S and o.last_yes() - at < LEASE_S
            polls.start()
            eventually(lambda: o.seen[-1][1] == 200, "its end")
            eventually(lambda: h.seen[-1][1] == 401, "the refusal")
        assert h.last_yes() - at < LEASE_S
        assert h.statuses() == {200, 401, 503} and o.statuses() == {200, 503}


# ---- a pooler that mixes up prepared statements -----------------------------------------------------

@pytest.fixture(params=["debian", "newer"])
def mixing(world, request):
    """One in transaction mode, with a worker of one connection. Who begins a transaction there has the session of
    the server that was used last, which is the worker's, for itself; the worker then gets another."""
    if request.param == "debian":
        pooler = PgBouncer(world.pg, "transaction", size=2)
    else:
        pooler = PgBouncer(world.pg, "transaction", request.getfixturevalue("newer"), 2, "max_prepared_statements = 0")
    behind = Behind(world, pooler, "connections = 1")
    with behind:
        yield behind


def line_of(worker, event):
    eventually(lambda: event in worker.log_text(), event)
    return next(text for text in worker.log_text().splitlines() if event in text)


def test_no_name_runs_another_text(mixing):
    """Two versions of bff that meet in one session of the server: what a name says is its text."""
    known = mixing.pooler.psql("select name, statement from pg_prepared_statements where not from_sql", user="bff_web")
    ours = {"SESSION_GET", "SESSION_TOUCH", "SESSION_END", "REVOCATIONS"}
    assert {name.rpartition("_")[0] for name, _ in known} >= ours
    for name, text in known:
        assert name.rpartition("_")[2] == hashlib.sha256(text.encode()).hexdigest()[:8], name


def test_a_session_that_does_not_know_our_statements(world, mixing):
    worker, pooler = mixing.worker, mixing.pooler
    secret, ref = world.session()
    revoke(world, ref)
    # What another version of bff may have left there, under the name that would be ours without its digest.
    yes = ("select row('live'::text, 'demo'::text, 'x'::text, 'mallory'::text, '{}'::text, ''::text, 0::int8, "
           "60000::int8, 60000::int8, false)")
    with pooler.session("bff_web") as holder:
        holder.run("begin; select 1")  # the session that the worker prepared in
        with pooler.session("bff_web") as other:
            other.run("prepare \"SESSION_GET\"(bytea) as " + yes)
            with Hammer(worker, secret) as h:
                eventually(lambda: h.seen[-1][1] == 401, "its own statements")
            assert h.statuses() == {401, 503} and h.seen[0][1] == 503
            line = line_of(worker, "sqlstate=26000")
            assert UNFIT in line and "level=error" in line and "max_prepared_statements" in line
        holder.run("rollback")
    # Both sessions know them by now, so that another worker cannot prepare its own. Who leaves while the server still
    # answers takes the session along, though, and so comes by a fresh one some time.
    second = mixing.another()
    try:
        line = line_of(second, "sqlstate=42P05")
        assert UNFIT in line and "max_prepared_statements" in line
        assert "schema_mismatch" not in second.log_text()
        third, ref = world.session()
        revoke(world, ref)
        with Hammer(second, third) as h:
            pass
        assert h.statuses() <= {401, 503}
    finally:
        assert second.stop() == 0, second.log_text()


# ---- the broker, and all of it ------------------------------------------------------------------------

def test_the_broker_remembers_nothing_where_it_listens(pg, idp, newer):
    with PgBouncer(pg, "transaction", newer) as pooler, Broker(pg, idp.issuer) as broker:
        broker.stop()
        broker.write_config(conninfo=pooler.conninfo())
        os.truncate(broker.log, 0)
        broker.start().ready()
        with broker.worker() as w:
            done = login(w)
            with TokenHammer(w, done.session) as h:
                pg.psql("select bff.revoke_session('%s', 'test')" % done.session_ref)
                at = time.monotonic()
                eventually(lambda: h.seen[-1][1] == "no_session", "the refusal")
            assert h.last_token_at() - at < LEASE_S
            assert token(w, done.session).word == "no_session"
        assert broker.log_text().count(POOLER) == 1


class Pooled(Stack):
    """All of it with a pooler in front of PostgreSQL."""

    def __init__(self, mode, program, revocations):
        self.pooler_of = (mode, program)
        self.pooler = None
        super().__init__(edge=None, query_timeout='2s" revocations = "%s' % revocations)

    def write_config(self, **changes):
        if self.pooler is None:
            self.pg.psql("grant bff_poller to bff_web")
            self.pooler = PgBouncer(self.pg, *self.pooler_of, size=8).start()
        super().write_config(conninfo=self.pooler.conninfo(), **changes)

    def remove(self):
        if self.pooler is not None:
            self.pooler.remove()
        super().remove()


@pytest.mark.parametrize("mode, revocations", [("session", "listen"), ("session", "poll"), ("transaction", "listen"),
                                               ("transaction", "poll")])
def test_all_of_it(mode, revocations, request):
    with Pooled(mode, DEBIAN if mode == "session" else request.getfixturevalue("newer"), revocations) as s:
        s.await_health()
        alice, bob = s.login("alice"), s.login("bob")
        for b in (alice, bob):
            answer = s.verify("/api/crm/x", b)
            assert answer.status == 200 and answer.header("Authorization").startswith("Bearer ")
        s.pg.psql("select * from bff.revoke_subject('alice', 'test')")
        at = time.monotonic()
        seen = []
        while not seen or seen[-1][0] - at < LEASE_S:  # each time it may be the other worker
            seen.append((time.monotonic(), s.verify("/api/crm/x", alice).status))
        assert seen[-1][1] == 401 and {status for _, status in seen} <= {200, 401}
        assert s.verify("/api/crm/x", bob).status == 200
        s.pooler.stop()
        s.await_health(503)
        s.pooler.start()
        s.await_health()
        eventually(lambda: s.verify("/api/crm/x", bob).status == 200, "the broker's database")
        assert s.verify("/api/crm/x", alice).status == 401
        log = s.log("bffd") + s.log("broker")
        assert UNFIT not in log
        assert log.count(POOLER) == (0 if revocations == "poll" else s.workers + 1)
