"""Sessions that workers remember, and their ends: at once everywhere, and within the bound whatever breaks.

Rule Zero: over 400 lines, because each case needs the same workers, hammers and, where LISTEN is not to be had, pooler."""
import contextlib
import os
import signal
import socket
import struct
import threading
import time

import pytest

from test_worker import Client, World, cookie_value, verify_head
from wait import eventually

LEASE_S = 2.0  # PG_LEASE_MS
WORKERS = 2


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    w = World(tmp_path_factory.mktemp("revocation"))
    w.pg.psql("alter system set track_functions = 'pl'; select pg_reload_conf()")
    others = [w.start() for _ in range(WORKERS - 1)]
    w.workers = [w.worker] + others
    yield w
    for o in others:
        assert o.stop() == 0, o.log_text()
    w.close()


def reads(world):
    return int(world.pg.value("select coalesce(sum(calls), 0) from pg_stat_user_functions where funcname = 'session_get'"))


def backends(world):
    return [int(pid) for pid, in world.pg.psql("select pid from pg_stat_activity where application_name = 'bff-worker'")]


class Hammer:
    """Asks one worker about one session all the time, and notes when which answer came."""

    def __init__(self, worker, secret, uri="/"):
        self.head = verify_head(uri, cookie="bff_session=" + cookie_value(secret))
        self.client = Client(worker.ports["verify"])
        self.seen, self.over = [], False
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.over:
            asked = time.monotonic()
            self.seen.append((asked, self.client.send(self.head).reply().status))

    def __enter__(self):
        self.thread.start()
        eventually(lambda: len(self.seen) > 50, "answers")
        return self

    def __exit__(self, *_):
        self.over = True
        self.thread.join()
        self.client.close()

    def statuses(self, since=0.0):
        return {status for asked, status in self.seen if asked >= since}

    def last_yes(self):
        return max(asked for asked, status in self.seen if status == 200)


class Hammers:
    """One a worker."""

    def __init__(self, world, secret, uri="/"):
        self.all = [Hammer(w, secret, uri) for w in world.workers]

    def __enter__(self):
        for h in self.all:
            h.__enter__()
        return self.all

    def __exit__(self, *_):
        for h in self.all:
            h.__exit__()


# ---- memory ---------------------------------------------------------------------------------------

def test_many_requests_are_few_reads(world):
    secret, _ = world.session()
    with Hammers(world, secret):
        before = reads(world)
    with Hammers(world, secret) as hammers:
        eventually(lambda: min(len(h.seen) for h in hammers) > 500, "requests")
    assert {s for h in hammers for s in h.statuses()} == {200}
    # A "no" is read each time; once these are counted, so is what came before them.
    for w in world.workers:
        Client(w.ports["verify"]).send(verify_head("/", cookie="bff_session=" + cookie_value(os.urandom(32)))).reply()
    eventually(lambda: reads(world) >= before + WORKERS, "statistics")
    assert reads(world) - before <= 4 * WORKERS


def test_off_each_request_is_a_read(world):
    secret, _ = world.session()
    worker = world.start(("web {", "web { session_cache = off"))
    try:
        client = Client(worker.ports["verify"])
        head = verify_head("/", cookie="bff_session=" + cookie_value(secret))
        before = reads(world)
        for _ in range(50):
            assert client.send(head).reply().status == 200
        client.close()
        eventually(lambda: reads(world) >= before + 50, "a read for each")
    finally:
        assert worker.stop() == 0, worker.log_text()


def test_a_lookup_that_fails_fails_no_other(world):
    """They share statements with it; such a group is asked again, one by one."""
    good, (bad, ref) = [world.session()[0] for _ in range(12)], world.session()
    world.pg.psql("update bff_private.session set idle = '293000 years' where ref = '%s'" % ref)  # an overflow
    worker = world.start(("web {", "web { session_cache = off"))
    try:
        with contextlib.ExitStack() as stack:
            failing = stack.enter_context(Hammer(worker, bad))
            others = [stack.enter_context(Hammer(worker, secret)) for secret in good]
            eventually(lambda: min(len(h.seen) for h in others) > 300, "requests")
        assert failing.statuses() == {503}
        assert {s for h in others for s in h.statuses()} == {200}
    finally:
        assert worker.stop() == 0, worker.log_text()
        world.pg.psql("update bff_private.session set idle = '1 hour' where ref = '%s'" % ref)


def test_each_of_a_crowd_is_told_of_itself(world):
    """They are asked about in one statement."""
    crowd = [world.session() for _ in range(30)]
    worker = world.start(("web {", "web { session_cache = off"))
    try:
        clients = [Client(worker.ports["verify"]) for _ in crowd]
        for turn in range(20):
            os.kill(worker.pid, signal.SIGSTOP)
            for client, (secret, _) in zip(clients, crowd):
                client.send(verify_head("/", cookie="bff_session=" + cookie_value(secret)))
            os.kill(worker.pid, signal.SIGCONT)
            assert [client.reply()["X-Session-ID"] for client in clients] == [ref for _, ref in crowd]
            crowd.append(crowd.pop(turn))
        for client in clients:
            client.close()
    finally:
        assert worker.stop() == 0, worker.log_text()


def test_a_service_token_is_asked_for_once_and_never_given_after_the_end(world):
    secret, ref = world.session()
    asked = []

    def answer(fields):
        asked.append(fields)
        return 21, [b"token-%d" % len(asked), 300000]

    world.answers[20] = answer
    try:
        head = verify_head("/api/orders/1", cookie="bff_session=" + cookie_value(secret))
        client = Client(world.worker.ports["verify"])
        for _ in range(20):
            got = client.send(head).reply()
            assert (got.status, got["authorization"]) == (200, "Bearer token-1")
        world.pg.psql("select bff.revoke_session('%s', 'test')" % ref)
        eventually(lambda: client.send(head).reply().status == 401, "the refusal", LEASE_S)
        for _ in range(20):
            assert client.send(head).reply().status == 401
        assert len(asked) == 1
        client.close()
    finally:
        world.answers.clear()


# ---- the end ----------------------------------------------------------------------------------------

@pytest.mark.parametrize("statement", [
    "select bff.revoke_session('{ref}', 'lost laptop')",
    "select * from bff.revoke_subject('{sub}', 'left the company')",
    "delete from bff.sessions where ref = '{ref}'",
])
def test_revoked_it_is_refused_by_every_worker_at_once(world, statement):
    sub = "user%d" % time.monotonic_ns()
    secret, ref = world.session(sub=sub)
    with Hammers(world, secret) as hammers:
        world.pg.psql(statement.format(ref=ref, sub=sub))
        acknowledged = time.monotonic()
        for h in hammers:
            eventually(lambda h=h: h.seen[-1][1] == 401, "the refusal")
    for h in hammers:
        assert h.last_yes() - acknowledged < LEASE_S / 4  # milliseconds, on a machine that does something else
        assert h.statuses() == {200, 401}


def test_many_at_once_are_a_flush(world):
    """More than 64 in one statement; what did not end is read again and goes on."""
    sub = "crowd%d" % time.monotonic_ns()
    crowd = [world.session(sub=sub)[0] for _ in range(70)]
    other, _ = world.session()
    clients = [Client(w.ports["verify"]) for w in world.workers]
    heads = [verify_head("/", cookie="bff_session=" + cookie_value(s)) for s in crowd]
    for c in clients:
        assert {c.send(h).reply().status for h in heads} == {200}
    with Hammers(world, other) as hammers:
        world.pg.psql("select count(*) from bff.revoke_subject('%s', 'test')" % sub)
        eventually(lambda: all(c.send(heads[0]).reply().status == 401 for c in clients), "the refusal", LEASE_S)
        for c in clients:
            assert {c.send(h).reply().status for h in heads} == {401}
            c.close()
    assert {s for h in hammers for s in h.statuses()} == {200}


def test_with_the_listeners_frozen_it_is_refused_within_the_bound(world):
    secret, ref = world.session()
    with Hammers(world, secret) as hammers:
        frozen = backends(world)
        assert len(frozen) >= WORKERS
        for pid in frozen:
            os.kill(pid, signal.SIGSTOP)
        try:
            world.pg.psql("select bff.revoke_session('%s', 'test')" % ref)
            acknowledged = time.monotonic()
            for h in hammers:
                eventually(lambda h=h: h.seen[-1][1] != 200, "the end of the lease")
        finally:
            for pid in frozen:
                os.kill(pid, signal.SIGCONT)
        for h in hammers:
            eventually(lambda h=h: h.seen[-1][1] == 401, "the refusal")
    for h in hammers:
        assert h.last_yes() - acknowledged < LEASE_S
        assert h.statuses() <= {200, 401, 503}


def test_with_one_listener_frozen_the_other_refuses(world):
    """Rows live under the lease of the connection that read them, whichever that is."""
    for number in range(2):
        secret, ref = world.session()
        with Hammers(world, secret) as hammers:
            frozen = sorted(backends(world))[number::2]
            for pid in frozen:
                os.kill(pid, signal.SIGSTOP)
            try:
                world.pg.psql("select bff.revoke_session('%s', 'test')" % ref)
                acknowledged = time.monotonic()
                for h in hammers:
                    eventually(lambda h=h: h.seen[-1][1] == 401, "the refusal")
            finally:
                for pid in frozen:
                    os.kill(pid, signal.SIGCONT)
        for h in hammers:
            assert h.last_yes() - acknowledged < LEASE_S


def test_a_worker_that_stood_still_says_nothing_of_what_it_knew(world):
    """Its time went on: the request that finds it again finds no lease, and nobody to renew it."""
    secret, ref = world.session()
    client = Client(world.worker.ports["verify"])
    head = verify_head("/", cookie="bff_session=" + cookie_value(secret))
    assert client.send(head).reply().status == 200
    frozen = [*backends(world), world.worker.pid]
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    try:
        world.pg.psql("select bff.revoke_session('%s', 'test')" % ref)
        acknowledged = time.monotonic()
        client.send(head)
        eventually(lambda: time.monotonic() - acknowledged > LEASE_S, "the bound")
        os.kill(world.worker.pid, signal.SIGCONT)
        assert client.reply().status == 503
    finally:
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)
    eventually(lambda: client.send(head).reply().status == 401, "the refusal")
    client.close()


def test_with_the_listeners_killed_it_is_refused_at_once_and_nobody_else(world):
    secret, ref = world.session()
    other, _ = world.session()
    with Hammers(world, secret) as hammers, Hammers(world, other) as others:
        world.pg.psql("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'bff-worker'; "
                      "select bff.revoke_session('%s', 'test')" % ref)
        acknowledged = time.monotonic()
        for h in hammers:
            eventually(lambda h=h: h.seen[-1][1] == 401, "the refusal")
        for h in others:
            eventually(lambda h=h: h.seen[-1][1] == 200 and h.seen[-1][0] > acknowledged + 0.1, "recovery")
    for h in hammers:
        assert h.last_yes() - acknowledged < LEASE_S
    assert {s for h in others for s in h.statuses()} <= {200, 503}  # an outage ends no session


def test_a_server_that_crashes_and_comes_back(world):
    secret, ref = world.session()
    other, _ = world.session()
    with Hammers(world, secret) as hammers, Hammers(world, other) as others:
        world.pg.psql("select bff.revoke_session('%s', 'test')" % ref)
        acknowledged = time.monotonic()
        world.pg.kill()
        for h in others:
            eventually(lambda h=h: h.seen[-1][1] == 503, "the outage")
        world.pg.start()
        back = time.monotonic()
        for h in others:
            eventually(lambda h=h: h.seen[-1][1] == 200 and h.seen[-1][0] > back, "recovery")
        for h in hammers:
            eventually(lambda h=h: h.seen[-1][1] == 401, "the refusal")
    for h in hammers:
        assert h.last_yes() - acknowledged < LEASE_S
    assert {s for h in others for s in h.statuses()} == {200, 503}


def test_the_idle_limit_is_met_from_memory(world):
    secret, _ = world.session(idle_ms=1500)
    begun = time.monotonic()
    with Hammers(world, secret) as hammers:
        for h in hammers:
            eventually(lambda h=h: h.seen[-1][1] == 401, "the idle limit")
    for h in hammers:
        assert h.last_yes() - begun < 1.6


# ---- where LISTEN is not to be had ------------------------------------------------------------------

class Deaf:
    """A pooler in transaction mode, as far as notifications go: none comes through, and nobody says so.

    With delay_s also a database that is far away."""

    def __init__(self, pg, directory, delay_s=0):
        self.delay_s = delay_s
        self.directory, self.target = str(directory), os.path.join(pg.sockets, ".s.PGSQL.%d" % pg.port)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(os.path.join(self.directory, ".s.PGSQL.%d" % pg.port))
        self.listener.listen(16)
        self.dropped = 0
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            server.connect(self.target)
            for run, ends in ((self.up, (client, server)), (self.down, (server, client))):
                threading.Thread(target=run, args=ends, daemon=True).start()

    @staticmethod
    def end(*sockets):
        for s in sockets:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def up(self, client, server):
        try:
            while data := client.recv(65536):
                server.sendall(data)
        except OSError:
            pass
        self.end(client, server)

    def down(self, server, client):
        data = b""
        try:
            while got := server.recv(65536):
                time.sleep(self.delay_s)
                data += got
                while len(data) >= 5 and len(data) > (size := struct.unpack_from(">I", data, 1)[0]):
                    if data[:1] == b"A":
                        self.dropped += 1
                    else:
                        client.sendall(data[:size + 1])
                    data = data[size + 1:]
        except OSError:
            pass
        self.end(client, server)

    def close(self):
        self.listener.close()


@pytest.fixture
def deaf(world, tmp_path):
    d = Deaf(world.pg, tmp_path)
    yield d
    d.close()


@pytest.fixture
def polls(world):
    world.pg.psql("grant bff_poller to bff_web")
    yield
    world.pg.psql("revoke bff_poller from bff_web")


def test_who_may_not_poll_remembers_nothing(world, deaf):
    worker = world.start(('conninfo = "host=%s' % world.pg.sockets,
                          'revocations = poll conninfo = "host=%s' % deaf.directory))
    try:
        secret, _ = world.session()
        before = reads(world)
        with Hammer(worker, secret) as h:
            eventually(lambda: reads(world) - before > 50, "a read for each request")
        assert h.statuses() == {200}
    finally:
        assert worker.stop() == 0, worker.log_text()


def test_polled_it_is_refused_within_the_bound(world, deaf, polls):
    worker = world.start(('conninfo = "host=%s' % world.pg.sockets,
                          'revocations = poll conninfo = "host=%s' % deaf.directory))
    try:
        secret, ref = world.session()
        other, _ = world.session()
        with Hammer(worker, secret) as h, Hammer(worker, other) as o:
            before, seen = reads(world), len(h.seen)
            eventually(lambda: len(h.seen) > seen + 2000, "requests")
            assert reads(world) - before < 200
            world.pg.psql("select bff.revoke_session('%s', 'test')" % ref)
            acknowledged = time.monotonic()
            eventually(lambda: h.seen[-1][1] == 401, "the refusal")
            assert h.last_yes() - acknowledged < LEASE_S
            # A transaction that began before polls did, and commits after some.
            with world.pg.session() as slow:
                slow.run("begin; delete from bff_private.session where ref = '%s'" % ref)
                third, third_ref = world.session()
                with Hammer(worker, third) as t:
                    slow.run("delete from bff.sessions where ref = '%s'" % third_ref)
                    eventually(lambda: t.seen[-1][0] - t.seen[0][0] > 1.2, "two polls")
                    assert t.statuses() == {200}
                    slow.run("commit")
                    acknowledged = time.monotonic()
                    eventually(lambda: t.seen[-1][1] == 401, "the refusal")
                assert t.last_yes() - acknowledged < LEASE_S
        assert o.statuses() == {200}
        assert deaf.dropped == 0
    finally:
        assert worker.stop() == 0, worker.log_text()


# ---- many lookups at once ---------------------------------------------------------------------------

def ask_all_at_once(world, worker, n):
    """n different sessions that nobody remembers, each on a connection of its own: statuses, and how long it took."""
    heads = [verify_head("/", cookie="bff_session=" + cookie_value(world.session()[0])) for _ in range(n)]
    clients = [Client(worker.ports["verify"]) for _ in heads]
    begun = time.monotonic()
    for client, head in zip(clients, heads):
        client.send(head)
    statuses = [client.reply().status for client in clients]
    took = time.monotonic() - begun
    for client in clients:
        client.close()
    return statuses, took


def test_many_lookups_share_a_round_trip(world, tmp_path):
    delay_s = 0.3
    far = Deaf(world.pg, tmp_path, delay_s)
    worker = world.start(('conninfo = "host=%s' % world.pg.sockets, 'conninfo = "host=%s' % far.directory))
    try:
        statuses, took = ask_all_at_once(world, worker, 60)
        assert set(statuses) == {200}
        assert delay_s <= took < 10 * delay_s  # one after the other: 30 on each of two connections
    finally:
        assert worker.stop() == 0, worker.log_text()
        far.close()


def test_as_many_connections_as_are_wanted(world):
    before = len(backends(world))
    worker = world.start(('" connections = 2', '" connections = 5'))
    try:
        eventually(lambda: len(backends(world)) == before + 5, "all its connections")
        assert ask_all_at_once(world, worker, 40)[0] == [200] * 40
        assert len(backends(world)) == before + 5
    finally:
        assert worker.stop() == 0, worker.log_text()


def test_as_many_as_the_pipeline_takes(world, tmp_path):
    """What is too much is refused at once; nobody is logged out by it."""
    far = Deaf(world.pg, tmp_path, 0.3)
    worker = world.start(('conninfo = "host=%s' % world.pg.sockets, 'pipeline = 1 conninfo = "host=%s' % far.directory))
    try:
        statuses, _ = ask_all_at_once(world, worker, 40)
        assert set(statuses) == {200, 503}
    finally:
        assert worker.stop() == 0, worker.log_text()
        far.close()
