"""Streams of session events: what ends a session is told within a second, and nothing else ends one."""
import os
import resource
import select
import signal
import time

import pytest

import browser
import edge as edges
from side_by_side import SideBySide
from sse import Event, Stream
from stack import App, Stack
from test_logout import logout_at_provider
from test_worker import HOST, World, cookie_value
from wait import eventually

WITHIN_S = 1.0  # what is promised
SLACK_S = 1.0  # a loaded machine's, for what is on a timer
EXPIRING_S = 60  # SESSION_EVENTS_EXPIRING_S
A_SESSION = 32  # SESSION_EVENTS_A_SESSION
MANY = 1000
BEAT_S = 30  # SESSION_EVENTS_BEAT_MAX_MS
WINDOW_S = 4
WAKEUPS_S = 8  # a second; one for each stream's own timer would be over 40


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    w = World(tmp_path_factory.mktemp("events"))
    w.other = w.start()
    yield w
    assert w.other.stop() == 0, w.other.log_text()
    w.close()


def cookie(secret):
    return "bff_session=" + cookie_value(secret)


def stream(world, secret=None, worker=None, **more):
    return Stream((worker or world.worker).ports["public"], HOST, secret and cookie(secret), **more)


def value_of(worker, name):
    """A metric of this worker."""
    text = browser.raw(worker.ports["metrics"], "GET", "/metrics", [("Host", "localhost")]).body.decode()
    return float(next(line for line in text.split("\n") if line.startswith(name + " ")).rpartition(" ")[2])


# ---- as HTTP --------------------------------------------------------------------------------------

def test_the_answer(world):
    secret, _ = world.session(idle_ms=3600000, absolute_ms=36000000)
    for path in ("/auth/session/events", "/api/auth/session/events"):
        with stream(world, secret, path=path) as s:
            assert s.status == 200
            assert s.header("Content-Type") == "text/event-stream"
            assert s.header("Cache-Control") == "no-store"
            assert s.header("X-Accel-Buffering") == "no"
            assert s.header("Connection") == "close"
            assert s.header("Content-Length") is None and s.header("Set-Cookie") is None
            event = s.next()
            assert event.name == "live" and set(event.data) == {"expires_at", "idle_expires_at"}
            assert abs(event.data["expires_at"] - time.time() - 36000) < 60
            assert abs(event.data["idle_expires_at"] - time.time() - 3600) < 60
            assert 500 <= s.retry <= 2500
    with stream(world, secret, version="1.0") as s:
        assert s.header("Transfer-Encoding") is None
        s.live()
    with stream(world, secret, method="HEAD") as s:
        assert s.status == 200 and s.header("Content-Type") == "text/event-stream" and s.raw == b""


def test_who_gets_none(world):
    secret, _ = world.session()
    with stream(world) as s:
        assert s.status == 401
        assert s.raw.startswith(b'{"authenticated":false,"login_url":"http://app.localhost:8080/auth/login')
    with stream(world, secret, method="POST") as s:
        assert s.status == 405 and s.header("Allow") == "GET, HEAD"
    for field in ("Origin: https://friend.example", "Origin: null", "Sec-Fetch-Site: cross-site",
                  "Sec-Fetch-Site: same-site"):
        with stream(world, secret, headers=[field]) as s:
            assert s.status == 403 and b'"origin"' in s.raw, field
    with stream(world, secret, headers=["Origin: http://" + HOST, "Sec-Fetch-Site: same-origin"]) as s:
        s.live()


def test_what_the_client_says_ends_it_and_is_no_request(world):
    secret, _ = world.session()
    with stream(world, secret) as s:
        s.live()
        s.s.sendall(b"GET /auth/health HTTP/1.1\r\nHost: app.localhost:8080\r\n\r\n")
        assert s.next() is None
        assert s.raw == b"" and s.text == ""


def test_so_many_of_a_session(world):
    secret, _ = world.session()
    other, _ = world.session()
    many = [stream(world, secret).live() for _ in range(A_SESSION)]
    with stream(world, secret) as s:
        assert s.status == 503 and int(s.header("Retry-After")) > 0
    stream(world, other).live().close()
    many.pop().close()

    def taken():
        with stream(world, secret) as s:
            return s.status == 200
    eventually(taken, what="the room of one that was closed")
    for s in many:
        s.close()


def test_so_many_of_a_worker(world):
    """Half of max_connections."""
    w = world.start(change=("max_connections = 200", "max_connections = 10"))
    sessions = [world.session()[0] for _ in range(6)]
    five = [stream(world, secret, w).live() for secret in sessions[:5]]
    with stream(world, sessions[5], w) as s:
        assert s.status == 503 and int(s.header("Retry-After")) > 0
    assert value_of(w, "bff_session_streams") == 5
    for s in five:
        s.close()
    eventually(lambda: value_of(w, "bff_session_streams") == 0, what="the gauge at 0")
    assert w.stop() == 0, w.log_text()


# ---- ends ------------------------------------------------------------------------------------------

def test_revoked_in_psql_it_ends_on_every_worker_and_no_other_does(world):
    secret, ref = world.session()
    other, _ = world.session()
    mine = [stream(world, secret, w).live() for w in (world.worker, world.other) for _ in range(3)]
    others = [stream(world, other, w).live() for w in (world.worker, world.other)]
    world.pg.psql("select bff.revoke_session('%s', 'a test')" % ref)
    at = time.monotonic()
    assert max(s.ends() for s in mine) - at < WITHIN_S
    world.pg.psql("delete from bff.sessions where ref = (select ref from bff.sessions where subject = 'nobody')")
    for s in others:
        with pytest.raises(TimeoutError):
            s.next(0.2)
        s.close()


def test_an_end_of_many_is_told_to_all(world):
    """Over 64 rows are one notification that names none."""
    secrets = [world.session(sub="many")[0] for _ in range(80)]
    mine = [stream(world, secret).live() for secret in secrets]
    world.pg.psql("select * from bff.revoke_subject('many', 'a test')")
    at = time.monotonic()
    assert max(s.ends() for s in mine) - at < WITHIN_S + SLACK_S


@pytest.mark.parametrize("limits", [{"idle_ms": 1500}, {"absolute_ms": 1500}], ids=["idle", "absolute"])
def test_past_a_limit_it_ends(world, limits):
    before = time.monotonic()
    secret, _ = world.session(**limits)
    after = time.monotonic()
    with stream(world, secret) as s:
        s.live()
        assert s.next().name == "expiring"
        at = s.ends()
    assert before + 1.5 <= at <= after + 1.5 + WITHIN_S + SLACK_S


def moved(world, ref, ms):
    """The session was used, as far as its idle limit goes: nobody tells."""
    world.pg.psql("update bff_private.session set idle = interval '%d ms' where ref = '%s'" % (ms, ref))


def test_the_near_end_is_told_once_and_use_takes_it_back(world):
    secret, ref = world.session(idle_ms=(EXPIRING_S + 2) * 1000)
    begun = time.monotonic()
    with stream(world, secret) as s:
        s.live()
        event = s.next()
        assert 1 < time.monotonic() - begun < 2 + WITHIN_S + SLACK_S
        assert event.name == "expiring"
        assert EXPIRING_S - 2 - SLACK_S <= event.data["idle_expires_at"] - time.time() <= EXPIRING_S
        moved(world, ref, 7200000)
        event = s.next()
        assert event.name == "live"
        assert abs(event.data["idle_expires_at"] - time.time() - 7200) < 60


def test_a_stream_is_no_use_of_the_session(world):
    """An idle limit passes with streams open, and others opened all the time. The last use is so long ago that a new
    one would be noted."""
    secret, ref = world.session(idle_ms=122500)
    world.pg.psql("update bff_private.session_activity a set last_seen = now() - interval '120 s' "
                  "from bff_private.session s where s.id_hash = a.id_hash and s.ref = '%s'" % ref)
    with stream(world, secret) as s:
        begun = time.monotonic()
        while time.monotonic() < begun + 1.5:
            stream(world, secret).live().close()
        s.live()
        assert s.next().name == "expiring"
        assert s.ends() - begun < 2.5 + WITHIN_S + SLACK_S


@pytest.mark.parametrize("change", [
    ("web { workers = 1", "web { session_cache = off workers = 1"),
    ("database { conninfo", "database { revocations = poll conninfo"),
])
def test_where_nobody_tells_of_revocations_each_is_read(world, change):
    w = world.start(change=change)
    secret, ref = world.session()
    with stream(world, secret, w) as s:
        s.live()
        world.pg.psql("select bff.revoke_session('%s', 'a test')" % ref)
        at = time.monotonic()
        assert s.ends() - at < WITHIN_S + SLACK_S
    assert w.stop() == 0, w.log_text()


# ---- what ends no session ----------------------------------------------------------------------------

def test_a_drain_ends_streams_at_once_and_says_nothing_of_the_session(world):
    w = world.start()
    secret, _ = world.session()
    three = [stream(world, secret, w).live() for _ in range(3)]
    old = stream(world, secret, w, version="1.0").live()
    begun = time.monotonic()
    assert w.stop() == 0, w.log_text()
    assert time.monotonic() - begun < WITHIN_S + SLACK_S  # held up by none
    for s in three:
        assert s.next() is None and s.ended_well
    assert old.next() is None
    stream(world, secret).live().close()


def test_an_outage_ends_no_stream(world):
    secret, ref = world.session()
    gone, gone_ref = world.session()
    with stream(world, secret) as s, stream(world, gone) as g:
        s.live(), g.live()
        world.pg.stop("immediate")
        with stream(world, secret) as refused:
            assert refused.status == 503
        for one in (s, g):
            with pytest.raises(TimeoutError):
                one.next(3)  # ticks of the watch, each of which finds no database
        world.pg.start()
        # It came back without a word of what happened before.
        world.pg.psql("select bff.revoke_session('%s', 'a test')" % gone_ref)
        g.ends()
        with pytest.raises(TimeoutError):
            s.next(1)
        world.pg.psql("select bff.revoke_session('%s', 'a test')" % ref)
        s.ends()


def test_an_end_while_the_database_was_away_from_us(world):
    """The connections are cut, and the session is revoked before they are back."""
    secret, ref = world.session()
    with stream(world, secret) as s:
        s.live()
        world.pg.psql("begin; select pg_terminate_backend(pid) from pg_stat_activity "
                      "where application_name = 'bff-worker'; select bff.revoke_session('%s', 'a test'); commit" % ref)
        at = time.monotonic()
        assert s.ends() - at < WITHIN_S + SLACK_S


# ---- many ---------------------------------------------------------------------------------------------

def wakeups(worker):
    with open("/proc/%d/status" % worker.pid, encoding="ascii") as f:
        return int(next(line for line in f if line.startswith("voluntary_ctxt")).split()[1])


def woken(worker, streams=()):
    """How often in a window, in which whatever the streams say is read."""
    poll = select.poll()
    for s in streams:
        poll.register(s.s, select.POLLIN)
    before, end = wakeups(worker), time.monotonic() + WINDOW_S
    while time.monotonic() < end:
        for fd, _ in poll.poll(max(1, (end - time.monotonic()) * 1000)):
            assert os.read(fd, 4096) != b""
    return wakeups(worker) - before


def test_many_streams_wake_a_worker_no_more_than_one_timer_does(world):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8 * MANY), hard))
    try:
        w = world.start(change=("max_connections = 200", "max_connections = %d" % (3 * MANY)))
        secrets = [world.session()[0] for _ in range(MANY // A_SESSION + 1)]
        idle = woken(w)
        many = [stream(world, secrets[i // A_SESSION], w).live() for i in range(MANY)]
        assert value_of(w, "bff_session_streams") == MANY
        with_many = woken(w, many)
        assert with_many - idle <= WINDOW_S * WAKEUPS_S, (idle, with_many)
        for s in many:
            s.close()
        eventually(lambda: value_of(w, "bff_session_streams") == 0, what="the gauge at 0")
        assert w.stop() == 0, w.log_text()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# ---- through an edge, with all parts --------------------------------------------------------------------

@pytest.fixture(scope="module", params=["nginx", "caddy"])
def whole(request):
    assert not edges.missing(request.param)
    with Stack(edge=request.param, apps=[App("demo", ["demo.localhost"], provider="sid")], algs={"sid": "RS256"},
               backchannel={"sid": "sid"}) as s:
        yield s


def watch(stack, b):
    host = stack.url().split("/")[2]
    return Stream(stack.port, host, b.cookie_header(stack.url("/"))).live()


def watch_all(stack, b, n=8):
    """Spread over the workers."""
    return [watch(stack, b) for _ in range(n)]


def all_end(streams, since):
    assert max(s.ends() for s in streams) - since < WITHIN_S


def test_logout_in_another_tab(whole):
    b = whole.login("alice")
    streams = watch_all(whole, b)
    assert b.fetch(whole.url("/auth/logout"), method="POST", csrf=True).status == 200
    all_end(streams, time.monotonic())


def test_logout_everywhere(whole):
    here, there = whole.login("alice"), whole.login("alice")
    bob = whole.login("bob")
    streams, bobs = watch_all(whole, here) + watch_all(whole, there), watch(whole, bob)
    assert there.fetch(whole.url("/auth/logout?everywhere=true"), method="POST", csrf=True).status == 200
    all_end(streams, time.monotonic())
    with pytest.raises(TimeoutError):
        bobs.next(0.2)
    bobs.close()


def test_logout_at_the_provider(whole):
    b = whole.login("alice")
    streams = watch_all(whole, b)
    logout_at_provider(whole, b)
    all_end(streams, time.monotonic())


def test_revoked_in_psql(whole):
    b = whole.login("alice")
    ref = whole.verify("/private/", b).header("X-Session-ID")
    streams = watch_all(whole, b)
    whole.pg.psql("select bff.revoke_session('%s', 'a test')" % ref)
    all_end(streams, time.monotonic())


def reload(stack):
    done = stack.log("bffd").count("event=reload_done")
    stack.bffd.send(signal.SIGHUP)
    eventually(lambda: stack.log("bffd").count("event=reload_done") > done, what="reload")


def test_a_reload_ends_streams_and_the_new_workers_have_them_again(whole):
    b = whole.login("alice")
    streams = watch_all(whole, b)
    reload(whole)
    assert all(s.next() is None for s in streams)
    again = watch_all(whole, b)
    assert b.fetch(whole.url("/auth/logout"), method="POST", csrf=True).status == 200
    all_end(again, time.monotonic())


def worker_pids(stack):
    with open("/proc/%d/task/%d/children" % (stack.bffd.pid, stack.bffd.pid), encoding="ascii") as f:
        return [int(pid) for pid in f.read().split()]


def test_a_worker_that_is_killed_takes_its_streams_along_and_nothing_else(whole):
    b = whole.login("alice")
    streams = watch_all(whole, b)
    victim = worker_pids(whole)[0]
    os.kill(victim, signal.SIGKILL)
    eventually(lambda: victim not in worker_pids(whole) and len(worker_pids(whole)) == whole.workers,
               what="another worker")
    whole.await_health()
    again = watch_all(whole, b)
    assert b.fetch(whole.url("/auth/logout"), method="POST", csrf=True).status == 200
    at, last = time.monotonic(), []
    for s in streams + again:
        event = s.next()
        if event is not None:  # else it was the victim's, which said nothing
            assert event == Event("ended", {})
            last.append(time.monotonic())
    assert len(last) >= len(again) and max(last) - at < WITHIN_S


# ---- through all edges at once, as a heartbeat is long ----------------------------------------------------

@pytest.fixture(scope="module", name="side")
def fixture_side():
    here = [kind for kind in edges.KINDS if not edges.missing(kind)]
    assert set(here) >= {"caddy", "nginx", "haproxy"}
    with SideBySide(here) as s:
        yield s


def watch_at(stack, kind, b):
    return Stream(stack.at[kind], stack.host(kind), b.cookie_header(stack.url("/", stack.host(kind)))).live()


def until_each_has_a_comment(streams):
    """Read as they come."""
    end, by_fd = time.monotonic() + BEAT_S + SLACK_S, {s.s.fileno(): s for s in streams.values()}
    while time.monotonic() < end and not all(s.comments for s in streams.values()):
        for fd in select.select(by_fd, (), (), max(0.0, end - time.monotonic()))[0]:
            with pytest.raises(TimeoutError):  # a comment, or a part of one, and no event
                by_fd[fd].next(0.01)
    return {kind for kind, s in streams.items() if s.comments}


def test_every_edge_passes_a_stream_on_as_it_comes_and_keeps_it(side):
    browsers = {kind: side.login("alice", host=side.host(kind)) for kind in side.at}
    streams = {kind: watch_at(side, kind, b) for kind, b in browsers.items()}
    assert until_each_has_a_comment(streams) == set(side.at)
    for kind, b in browsers.items():
        at = side.url("/auth/logout", side.host(kind))
        assert b.fetch(at, method="POST", csrf=True).status == 200
        all_end([streams[kind]], time.monotonic())
