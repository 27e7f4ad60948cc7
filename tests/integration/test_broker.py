"""bff-broker on real parts: PostgreSQL, npm oidc-provider with rotation and reuse detection."""
import base64
import concurrent.futures
import hashlib
import os
import socket
import subprocess
import sys
import threading
import urllib.parse

import pytest

from broker import (BINDIR, ORIGIN, Broker, Browser, begin, claims, expire_tokens, finish, forget, login, random_secret,
                    token)
from idp import CRM, ORDERS
from ipc import Gone, Worker, encode
from postgres import Postgres
from wait import eventually

EXIT_S = 30


@pytest.fixture(autouse=True)
def no_faults(idp):
    yield
    idp.knobs(access_token_ttl=300, latency_ms=0, fail_status=0, fail_count=0, drop_count=0)


@pytest.fixture
def broker(pg, idp):
    with Broker(pg, idp.issuer) as b:
        yield b.ready()


def many(workers, session, services, n=100):
    """n token requests in parallel, spread over the workers and services."""
    with concurrent.futures.ThreadPoolExecutor(n) as pool:
        return list(pool.map(
            lambda i: token(workers[i % len(workers)], session, services[i % len(services)]), range(n)))


# ---- login ----------------------------------------------------------------------------------------

def test_login_gives_two_services_two_tokens(worker, pg):
    done = login(worker)
    crm, orders = token(worker, done.session, "crm"), token(worker, done.session, "orders")
    assert (crm.name, orders.name) == ("token", "token")
    assert crm.access_token != orders.access_token
    assert claims(crm.access_token)["aud"] == CRM
    assert claims(orders.access_token)["aud"] == ORDERS
    assert 0 < crm.expires_in_ms <= 300000
    assert pg.value("select subject from bff_private.session where ref = '%s'" % done.session_ref) == "alice"
    assert done.return_to == ORIGIN + "/here"


def test_own_access_token_and_id_token(worker):
    done = login(worker)
    own, idt = token(worker, done.session, "own"), token(worker, done.session, "idt")
    assert len(own.access_token) > 20
    assert claims(idt.access_token)["sub"] == "alice"
    assert claims(idt.access_token)["aud"] == "bff"


def test_tokens_are_kept(worker, idp):
    done = login(worker)
    first = token(worker, done.session)
    before = idp.stats()["refreshes"]
    assert token(worker, done.session).access_token == first.access_token
    assert idp.stats()["refreshes"] == before


def test_ten_logins_of_one_browser_finish_in_any_order(worker):
    browser = Browser()
    first = begin(worker, "alice")
    begun = [first] + [begin(worker, "alice", binding=first.binding) for _ in range(9)]
    assert {b.binding for b in begun} == {first.binding}
    back = [browser.authorize(b.location) for b in begun]
    done = [finish(worker, b, r) for b, r in reversed(list(zip(begun, back)))]
    assert {d.name for d in done} == {"login_finished"}
    assert len({d.session for d in done}) == 10


def test_a_callback_is_used_once(worker):
    begun = begin(worker, "alice")
    back = Browser().authorize(begun.location)
    assert finish(worker, begun, back).name == "login_finished"
    again = finish(worker, begun, back)
    assert (again.word, again.detail, again.return_to) == ("stale", "used", ORIGIN + "/here")


@pytest.mark.parametrize("change, word, detail", [
    ({"binding": b"x" * 32}, "binding", "unknown_state"),
    ({"binding": b""}, "binding", "app_origin_or_binding"),
    ({"state": "other"}, "binding", "unknown_state"),
    ({"iss": "https://evil.example.com"}, "provider", "iss_mismatch"),
    ({"iss": ""}, "provider", "iss_missing"),
    ({"code": "not-the-code"}, "provider", None),
    ({"code": ""}, "provider", "no_code"),
    ({"origin": "http://other.localhost:8080"}, "binding", "app_origin_or_binding"),
    ({"app": "other"}, "binding", "app_origin_or_binding"),
    ({"error": "access_denied", "code": ""}, "access_denied", "authorization_error"),
    ({"error": "server_error", "code": ""}, "provider_down", "authorization_error"),
    ({"error": "anything else", "code": ""}, "provider", "authorization_error"),
])
def test_a_callback_that_is_not_right(worker, change, word, detail):
    begun = begin(worker, "alice")
    got = finish(worker, begun, Browser().authorize(begun.location), **change)
    assert (got.name, got.word) == ("failure", word)
    assert detail is None or got.detail == detail


def test_silent_login_that_fails_says_so(worker):
    begun = begin(worker, "", prompt="none")
    back = Browser().authorize(begun.location)
    assert back["error"] == "login_required"
    got = finish(worker, begun, back)
    assert (got.word, got.return_to) == ("login_required", ORIGIN + "/here")


def test_a_new_login_ends_the_session_it_replaces(worker, pg):
    first = login(worker)
    second = login(worker, old_session=first.session)
    assert token(worker, first.session).word == "no_session"
    assert token(worker, second.session).name == "token"
    assert pg.value("select reason from bff_private.ended where ref = '%s'" % first.session_ref) == "replaced"


def test_a_subject_ended_while_its_login_was_under_way(worker, pg, idp):
    begun = begin(worker, "bob")
    back = Browser().authorize(begun.location)
    pg.psql("insert into bff_private.subject (issuer, sub, not_before) values ('%s', 'bob', clock_timestamp())"
            " on conflict (issuer, sub) do update set not_before = clock_timestamp()" % idp.issuer)
    got = finish(worker, begun, back)
    assert (got.word, got.detail) == ("stale", "revoked_meanwhile")


def test_logins_are_noted(worker, pg):
    before = int(pg.value("select count(*) from bff_private.login_log"))
    login(worker)
    begun = begin(worker, "alice")
    finish(worker, begun, {"state": "x", "code": "y"})
    eventually(lambda: int(pg.value("select count(*) from bff_private.login_log")) >= before + 2, "two rows")
    rows = pg.psql("select outcome, detail from bff_private.login_log order by id desc limit 2")
    assert sorted(rows) == [["binding", "unknown_state"], ["ok", ""]]


def test_beginnings_are_limited_by_prefix(worker):
    got = [begin(worker, "alice", client="198.51.100.0/24") for _ in range(80)]
    limited = [g for g in got if g.name == "failure"]
    assert 10 <= len(limited) <= 25 and {g.word for g in limited} == {"limited"}
    assert all(g.retry_after_s >= 1 for g in limited)
    assert begin(worker, "alice", client="203.0.113.0/24").name == "login_begun"


# ---- tokens ---------------------------------------------------------------------------------------

@pytest.mark.parametrize("ask, word", [
    ({"session": random_secret()}, "no_session"),
    ({"session": b""}, "no_session"),
    ({"app": "other"}, "forbidden"),
    ({"service": "other"}, "forbidden"),
    ({"service": "spare"}, "forbidden"),  # no route of the app uses it
    ({"service": "swap"}, "upstream"),
])
def test_token_refusals(worker, ask, word):
    values = {"session": login(worker).session, "app": "demo", "service": "crm", **ask}
    assert worker.ask("token_get", **values).word == word


def test_hundred_parallel_at_expiry_make_one_refresh_a_service(worker, idp, pg):
    session = login(worker).session
    assert {m.name for m in many([worker], session, ["crm", "orders"])} == {"token"}
    for _ in range(3):
        expire_tokens(pg, worker)
        before = idp.stats()
        got = many([worker], session, ["crm", "orders"])
        after = idp.stats()
        assert {m.name for m in got} == {"token"}
        assert after["refreshes"] - before["refreshes"] == 2
        assert after["reuses"] == before["reuses"]
        assert len({m.access_token for m in got}) == 2


def test_two_brokers_on_one_database_make_one_refresh(broker, pg, idp):
    with Broker(pg, idp.issuer) as other, broker.worker() as one:
        with other.ready().worker() as two:
            session = login(one).session
            assert token(two, session).name == "token"
            for _ in range(3):
                expire_tokens(pg, one, two)
                before = idp.stats()
                got = many([one, two], session, ["crm", "crm", "orders", "orders"])
                after = idp.stats()
                assert {m.name for m in got} == {"token"}
                assert after["refreshes"] - before["refreshes"] == 2
                assert after["reuses"] == before["reuses"]
            assert token(one, session).name == "token"


def test_login_on_one_host_and_callback_on_the_other(broker, pg, idp):
    with Broker(pg, idp.issuer) as other, broker.worker() as one:
        with other.ready().worker() as two:
            begun = begin(one, "alice")
            done = finish(two, begun, Browser().authorize(begun.location))
            assert done.name == "login_finished"
            assert token(one, done.session).name == "token"


def test_a_refreshed_id_token_is_of_the_same_sub(worker, pg):
    """OIDC Core 12.2: it is the sub that must not change; the subject_claim may."""
    session = login(worker).session
    ref = hashlib.sha256(session).hexdigest()
    pg.psql("update bff_private.session set subject = 'renamed' where id_hash = '\\x%s'" % ref)
    expire_tokens(pg, worker)
    assert token(worker, session, "own").name == "token"
    pg.psql("update bff_private.session set sub = 'another' where id_hash = '\\x%s'" % ref)
    expire_tokens(pg, worker)
    assert token(worker, session, "own").word == "upstream"


def test_renewed_ahead_while_the_old_one_still_serves(worker, idp, pg):
    idp.knobs(access_token_ttl=60)
    session = login(worker).session
    old = token(worker, session)
    pg.psql("update bff_private.token set expires_at = now() + interval '5 s'")
    forget(pg, worker)
    before = idp.stats()["refreshes"]
    assert token(worker, session).access_token == old.access_token
    eventually(lambda: token(worker, session).access_token != old.access_token, "a new token")
    assert idp.stats()["refreshes"] == before + 1


def test_an_attempt_of_unknown_fate_is_repeated_once(worker, idp, pg):
    session = login(worker).session
    idp.knobs(fail_status=502, fail_count=1)
    before = idp.stats()["token_requests"]
    assert token(worker, session).word == "provider_down"
    eventually(lambda: token(worker, session).name == "token", "recovery")
    assert idp.stats()["token_requests"] == before + 2


def test_after_two_attempts_of_unknown_fate_it_is_not_sent_again(worker, idp, pg):
    """An outage ends no session: what needs the refresh token asks for a login, all else goes on."""
    done = login(worker)
    idp.knobs(fail_status=502, fail_count=-1)
    before = idp.stats()["token_requests"]
    eventually(lambda: token(worker, done.session).word == "reauthenticate", "the end of the attempts")
    idp.knobs(fail_status=0, fail_count=0)
    eventually(lambda: token(worker, done.session, "orders").word == "reauthenticate", "for all services")
    assert idp.stats()["token_requests"] == before + 2
    assert token(worker, done.session, "own").name == "token"
    assert pg.value("select count(*) from bff_private.ended where ref = '%s'" % done.session_ref) == "0"


def test_throttling_consumes_nothing(worker, idp):
    session = login(worker).session
    idp.knobs(fail_status=429, fail_retry_after=1, fail_count=1)
    got = token(worker, session)
    assert (got.word, got.retry_after_s) == ("provider_down", 1)
    eventually(lambda: token(worker, session).name == "token", "recovery")


def test_a_refresh_token_that_the_provider_dropped_ends_the_session(worker, idp, pg):
    done = login(worker)
    idp.knobs(drop_count=1)  # consumed, and the answer lost
    assert token(worker, done.session).word == "provider_down"
    eventually(lambda: token(worker, done.session).word in ("reauthenticate", "no_session"), "the end")
    assert pg.value("select reason from bff_private.ended where ref = '%s'" % done.session_ref) == "reauthenticate"


def test_a_session_that_ends_while_its_refresh_is_in_flight(worker, idp, pg):
    done = login(worker)
    idp.knobs(latency_ms=1500)
    before = idp.stats()
    ident = worker.send("token_get", session=done.session, app="demo", service="crm")
    eventually(lambda: idp.stats()["token_requests"] > before["token_requests"], "the refresh")
    pg.psql("delete from bff_private.session where ref = '%s'" % done.session_ref)
    assert worker.answer(ident).word == "no_session"
    # Grants of earlier tests may be revoked at the same time: it is this token that counts.
    successor = idp.stats()["refresh_tokens"][-1]
    eventually(lambda: successor in idp.stats()["revoked"], "the successor's revocation")
    assert idp.stats()["reuses"] == before["reuses"]


def test_killed_in_mid_refresh_sends_at_most_once_more(pg, idp):
    with Broker(pg, idp.issuer) as b:
        with b.ready().worker() as w:
            session = login(w).session
            idp.knobs(latency_ms=1000)
            before = idp.stats()["token_requests"]
            w.send("token_get", session=session, app="demo", service="crm")
            eventually(lambda: idp.stats()["token_requests"] == before + 1, "the refresh")
            b.kill()
        idp.knobs(latency_ms=0)
        b.start()
        b.ready()
        with b.worker() as w:
            # The lease of the dead holds others back; then the token is sent again, once. Whether
            # the provider had consumed it by then is a race: either way there is an end.
            got = []
            eventually(lambda: got.append(token(w, session)) or got[-1].get("word") not in ("provider_down", "store"),
                       "an end")
            assert got[-1].name == "token" or got[-1].word in ("reauthenticate", "no_session")
        assert idp.stats()["token_requests"] == before + 2


# ---- ends -----------------------------------------------------------------------------------------

def test_logout_revokes_and_deletes(worker, idp, pg):
    done = login(worker)
    before = idp.stats()["revocations"]
    out = worker.ask("logout", session=done.session, app="demo", origin=ORIGIN)
    assert out.sessions == 1
    assert out.redirect_url.startswith(idp.issuer + "/session/end?client_id=bff&post_logout_redirect_uri=")
    assert urllib.parse.quote(ORIGIN + "/auth/logout", safe="") in out.redirect_url
    assert out.redirect_url.endswith("&state=" + base64.urlsafe_b64encode(out.state).decode().rstrip("="))
    assert "id_token_hint" not in out.redirect_url
    assert token(worker, done.session).word == "no_session"
    eventually(lambda: idp.stats()["revocations"] == before + 1, "the revocation")
    mine = "select count(*) from bff_private.grants where session_hash = '\\x%s'" % hashlib.sha256(done.session).hexdigest()
    eventually(lambda: pg.value(mine) == "0", "the deletion")
    again = worker.ask("logout", session=done.session, app="demo", origin=ORIGIN)
    assert (again.sessions, again.redirect_url, again.state) == (0, "", b"")


def test_logout_everywhere(worker):
    sessions = [login(worker, "bob").session for _ in range(3)]
    other = login(worker, "alice").session
    assert worker.ask("logout", session=sessions[0], app="demo", origin=ORIGIN, everywhere=1).sessions >= 3
    assert {token(worker, s).word for s in sessions} == {"no_session"}
    assert token(worker, other).name == "token"


def test_id_token_hint_where_it_is_asked_for(pg, idp):
    with Broker(pg, idp.issuer, app="id_token_hint = yes") as b, b.ready().worker() as w:
        out = w.ask("logout", session=login(w).session, app="demo", origin=ORIGIN)
        assert "&id_token_hint=eyJ" in out.redirect_url


# ---- what is away ---------------------------------------------------------------------------------

def test_database_away_and_back(idp):
    with Postgres() as own:
        own.migrate()
        with Broker(own, idp.issuer) as b, b.ready().worker() as w:
            session = login(w).session
            assert token(w, session).name == "token"
            own.stop("immediate")
            b.wait_log("event=database state=away")
            assert token(w, session).word == "store"
            assert begin(w, "alice").word == "store"
            own.start()
            eventually(lambda: token(w, session).name == "token", "recovery")
            assert login(w).name == "login_finished"


def test_a_successor_is_kept_while_the_database_is_away(idp):
    with Postgres() as own:
        own.migrate()
        with Broker(own, idp.issuer) as b, b.ready().worker() as w:
            session = login(w).session
            idp.knobs(latency_ms=1500)
            before = idp.stats()
            ident = w.send("token_get", session=session, app="demo", service="crm")
            eventually(lambda: idp.stats()["token_requests"] > before["token_requests"], "the refresh")
            own.stop("fast")
            eventually(lambda: idp.stats()["refreshes"] > before["refreshes"], "its answer")
            own.start()
            assert w.answer(ident).name in ("token", "failure")
            eventually(lambda: token(w, session).name == "token", "recovery")
            eventually(lambda: token(w, session, "orders").name == "token", "the successor works")
            assert idp.stats()["reuses"] == before["reuses"]


def test_provider_down_at_start(pg, idp):
    idp.down()
    try:
        with Broker(pg, idp.issuer) as b, b.ready(provider=False).worker() as w:
            assert begin(w, "alice").word == "provider_down"
            idp.up()
            eventually(lambda: begin(w, "alice").name == "login_begun", "recovery")
            assert login(w).name == "login_finished"
    finally:
        idp.up()


def test_database_away_at_start(idp):
    with Postgres() as own:
        own.migrate()
        own.stop()
        with Broker(own, idp.issuer) as b, b.worker() as w:
            assert token(w, random_secret()).word == "store"
            own.start()
            eventually(lambda: token(w, random_secret()).word == "no_session", "recovery")


# ---- peers ----------------------------------------------------------------------------------------

def test_another_uid_is_refused(pg, idp):
    with Broker(pg, idp.issuer, peer_user=os.getuid() + 1) as b:
        with Worker(b.socket, b.digest(), hello=False) as w:
            assert w.wait_gone()
        b.wait_log("event=peer_refused")


@pytest.mark.parametrize("packet", [
    b"x", b"\0" * 8, os.urandom(200), encode("welcome", 1, {"build": "x"}),
    encode("token_get", 1, {"session": b"s" * 32, "app": "demo", "service": "crm"}),
    encode("hello", 1, {"fingerprint": 1, "build": "x", "digest": b"d" * 32}),
    encode("hello", 1, {"digest": b"d"}),
], ids=["short", "zeros", "noise", "wrong direction", "before hello", "another build", "short digest"])
def test_what_is_not_a_hello_drops_the_peer(broker, packet):
    with Worker(broker.socket, b"", hello=False) as w:
        w.send_packet(packet)
        assert w.wait_gone()
    with broker.worker() as w:
        assert w.welcome.name == "welcome"


@pytest.mark.parametrize("packet", [
    os.urandom(64), encode("failure", 7, {"code": 1}), encode("hello", 1, {"build": "x", "digest": b"d" * 32}),
    encode("token_get", 1, {"session": b"s" * 33, "app": "demo", "service": "crm"}),
    encode("logout", 1, {"app": "demo"}) + b"x",
], ids=["noise", "wrong direction", "second hello", "field too long", "trailing byte"])
def test_what_is_not_a_request_drops_the_peer(broker, packet):
    with broker.worker() as w:
        w.send_packet(packet)
        assert w.wait_gone()
        with pytest.raises((Gone, OSError)):
            w.ask("logout", session=b"s" * 32, app="demo", origin=ORIGIN)


def test_unknown_configuration_is_config_skew_until_the_file_has_it(pg, idp):
    with Broker(pg, idp.issuer) as b:
        b.ready()
        with b.worker() as old:
            session = login(old).session
            old_digest = b.digest()
            with Worker(b.socket, b"?" * 32) as w:
                assert token(w, session).word == "config_skew"
            # A changed file: another broker tells us its digest; ours reads it when a worker says so.
            more = 'service "crm2" { provider = "idp" grant = resource resource = "%s" }\n' \
                'route "crm2" { app = "demo" path = "/crm2/" service = "crm2" }' % CRM
            other = Broker(pg, idp.issuer, extra=more)
            other.write_config(dir=b.directory)
            with other:
                new_digest = other.digest()
            assert new_digest != old_digest
            b.write_config(extra=more)
            with Worker(b.socket, new_digest) as new:
                assert token(new, session, "crm2").name == "token"
                assert token(old, session, "crm2").word == "forbidden"
                assert token(old, session, "crm").name == "token"


def test_stops_with_work_under_way(pg, idp):
    with Broker(pg, idp.issuer) as b, b.ready().worker() as w:
        session = login(w).session
        idp.knobs(latency_ms=1000)
        before = idp.stats()["token_requests"]
        ident = w.send("token_get", session=session, app="demo", service="crm")
        eventually(lambda: idp.stats()["token_requests"] > before, "the refresh")
        stopping = threading.Thread(target=b.stop)
        stopping.start()
        assert w.answer(ident).name == "token"
        assert w.wait_gone()
        stopping.join()


def test_socket_activation(pg, idp, tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        path = str(tmp_path / "s")
        listener.bind(path)
        listener.listen(8)
        b = Broker(pg, idp.issuer)
        command = "import os,sys; os.dup2(%d,3); os.environ.update(LISTEN_PID=str(os.getpid()),LISTEN_FDS='1');" \
                  "os.execv(sys.argv[1], sys.argv[1:])" % listener.fileno()
        with open(b.log, "wb") as log, subprocess.Popen(
                [sys.executable, "-c", command, os.path.join(BINDIR, "bff-broker"), "-c", b.config],
                pass_fds=(listener.fileno(),), stderr=log) as process:
            try:
                with Worker(path, b"?" * 32) as w:
                    assert w.welcome.name == "welcome"
                assert "inherited=1" in b.log_text() and not os.path.exists(b.socket)
            finally:
                process.terminate()
            assert process.wait(EXIT_S) == 0
        b.__exit__()


# ---- the command line -----------------------------------------------------------------------------

def run(b, *arguments):
    return subprocess.run([os.path.join(BINDIR, "bff-broker"), *arguments], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, env={**os.environ, **b.env}, timeout=EXIT_S)


@pytest.mark.parametrize("name, text, mode, want", [
    (None, None, None, "are fine"),
    ("client-secret", "", 0o600, "client-secret"),
    ("client-secret", "x", 0o644, "client-secret"),
    ("key-ring", "1 short\n", 0o600, "key-ring:1: key: expected 43"),
    ("key-ring", "# none\n", 0o600, "no key"),
    ("pg-broker", "x", 0o640, "pg-broker"),
])
def test_check(pg, idp, name, text, mode, want):
    b = Broker(pg, idp.issuer)
    try:
        if name:
            b.secret(name, text, mode)
        got = run(b, "-t", "-c", b.config)
        assert want in got.stdout
        assert (got.returncode == 0) == (name is None)
    finally:
        b.__exit__()


def test_check_names_an_unknown_user(pg, idp):
    b = Broker(pg, idp.issuer, peer_user="nobody-of-this-name")
    try:
        got = run(b, "-t", "-c", b.config)
        assert got.returncode == 78 and "peer_user" in got.stdout
    finally:
        b.__exit__()


# ---- secrets --------------------------------------------------------------------------------------

def test_no_secret_in_the_log(broker, idp, pg):
    with broker.worker() as w:
        session = login(w).session
        token(w, session)
        begun = begin(w, "alice")
        finish(w, begun, {"state": "x", "code": "a-code-of-nobody"})
        w.ask("logout", session=session, app="demo", origin=ORIGIN)
    log = broker.log_text()
    ring_key = broker.ring.split()[1]
    for canary in idp.canaries() + [session.hex(), ring_key, "a-code-of-nobody"]:
        assert canary not in log
    dump = "".join("\n".join(map(str, r)) for t in ("grants", "token", "login", "session")
                   for r in pg.psql("select * from bff_private.%s" % t))
    for canary in idp.canaries():
        assert canary not in dump and canary.encode().hex() not in dump
