"""The key ring: its states, rotation under live sessions, re-sealing, a key that is missing."""

import pytest

from broker import Broker, expire_tokens, forget, fresh_key, login, token
from postgres import Postgres, PsqlError
from wait import eventually


@pytest.fixture(scope="module")
def cluster():
    with Postgres() as started:
        started.migrate()
        started.psql("create role olga login in role bff_operator; create role anna login in role bff_auditor")
        yield started


@pytest.fixture
def pg(cluster):
    cluster.psql("set session_replication_role = replica;" + "".join(
        "delete from bff_private.%s;" % t for t in ("session", "session_activity", "ended", "grants", "token", "login",
                                                    "seal_key", "host", "audit")))
    return cluster


def key_id(line):
    return int(line.split()[0])


def keys(pg):
    return {int(key): (state, int(refresh), int(ids), int(access)) for key, state, refresh, ids, access in
            pg.psql("select id, state, refresh_tokens, id_tokens, access_tokens from bff.keys", user="anna")}


def state_of(pg, line):
    return keys(pg).get(key_id(line), (None,))[0]


def verb(pg, sql):
    return pg.psql("select * from bff." + sql, user="olga")


def refused(pg, sql, user="olga"):
    with pytest.raises(PsqlError) as e:
        pg.psql("select * from bff." + sql, user=user)
    return e.value.sqlstate, e.value.stderr


def restart(broker, ring):
    broker.stop()
    broker.secret("key-ring", ring)
    count = len(broker.log_text().split("event=sealing_key")) - 1
    broker.start()
    broker.wait_log("event=sealing_key", count + len(ring.splitlines()))


def expire(pg, *brokers):
    expire_tokens(pg)
    for b in brokers:
        with b.worker() as w:
            forget(pg, w)


def served(broker, session):
    with broker.worker() as w:
        answer = token(w, session)
        assert answer.name == "token", answer
        return answer.access_token


def test_rotation_logs_nobody_out(pg, idp):
    old, new = fresh_key(), fresh_key()
    with Broker(pg, idp.issuer, ring=old) as one, Broker(pg, idp.issuer, ring=old) as two:
        for b in (one, two):
            b.ready()
        with one.worker() as w:
            session = login(w).session
        served(one, session)
        assert keys(pg)[key_id(old)] == ("primary", 1, 1, 2)

        # The new key reaches one host: it opens, and cannot be promoted yet.
        restart(one, old + new)
        assert state_of(pg, new) == "pending"
        sqlstate, text = refused(pg, "promote_key(%d, 'test')" % key_id(new))
        assert sqlstate == "BF001" and two.socket in text and one.socket not in text
        assert state_of(pg, new) == "pending"

        # It reaches the other, is promoted, and what the old one sealed is sealed anew.
        restart(two, old + new)
        verb(pg, "promote_key(%d, 'test')" % key_id(new))
        for b in (one, two):
            b.wait_log("event=sealing_key key=%d state=primary" % key_id(new))
        eventually(lambda: keys(pg)[key_id(old)][1:3] == (0, 0), what="everything re-sealed")
        assert keys(pg)[key_id(old)][0] == "decrypt-only"
        assert keys(pg)[key_id(new)][:3] == ("primary", 1, 1)
        expire(pg, one, two)
        served(one, session)
        expire(pg, two)
        served(two, session)
        with two.worker() as w:
            login(w, "bob")

        # The old one ends once a broker can hold nothing that it sealed.
        assert refused(pg, "retire_key(%d, 'test')" % key_id(new))[0] == "BF001"
        sqlstate, text = refused(pg, "retire_key(%d, 'test')" % key_id(old))
        assert sqlstate == "BF001" and "less than" in text
        pg.psql("update bff_private.seal_key set promoted_at = promoted_at - interval '1 h'")
        verb(pg, "retire_key(%d, 'test')" % key_id(old))
        one.wait_log("event=sealing_key key=%d state=retired" % key_id(old))
        restart(one, new)
        expire(pg, one, two)
        served(one, session)
        assert pg.value("select count(*) from bff.ended") == "0"
        assert [row[0] for row in pg.psql("select action from bff.audit order by id")] == ["promote_key", "retire_key"]
        assert refused(pg, "promote_key(%d, 'test')" % key_id(old))[0] == "BF001"


def test_a_superseded_refresh_token_is_sealed_anew_and_counts(pg, idp):
    """As a provider with a grace period has it: it may be needed when its key has left the file."""
    old, new = fresh_key(), fresh_key()
    with Broker(pg, idp.issuer, ring=old + new) as b:
        b.ready()
        with b.worker() as w:
            login(w)
        pg.psql("update bff_private.grants set previous_sealed = refresh_sealed, previous_generation = refresh_generation, "
                "superseded_at = now()")
        assert keys(pg)[key_id(old)][1] == 2
        verb(pg, "promote_key(%d, 'test')" % key_id(new))
        b.wait_log("event=sealing_key key=%d state=primary" % key_id(new))
        eventually(lambda: keys(pg)[key_id(new)][1] == 2, what="both re-sealed")
        assert keys(pg)[key_id(old)][1] == 0


def test_a_refresh_token_that_was_superseded_meanwhile_is_put_where_it_is_now(pg):
    pg.psql("insert into bff_private.grants (grant_id, provider, issuer, sub, session_hash, refresh_sealed, previous_sealed) "
            "values ('g', 'idp', 'https://idp', 'alice', 's', 'new', 'old')")
    store = "select bff_private.reseal_store('g', %s, 'again', null, null, null, null)"
    assert pg.value(store % "'old'", user="bff_broker") == "t"
    assert pg.psql("select refresh_sealed, previous_sealed from bff_private.grants")[0] == [
        "\\x" + b"new".hex(), "\\x" + b"again".hex()]
    assert pg.value(store % "'gone'", user="bff_broker") == "t"
    assert pg.value("select convert_from(previous_sealed, 'utf8') from bff_private.grants") == "again"


def test_a_key_in_use_is_not_retired(pg, idp):
    old, new = fresh_key(), fresh_key()
    with Broker(pg, idp.issuer, ring=old + new) as b:
        b.ready()
        with b.worker() as w:
            login(w)
    # Nobody re-seals while no broker runs.
    pg.psql("update bff_private.host set seen_at = now() - interval '1 h'")
    verb(pg, "promote_key(%d, 'test')" % key_id(new))
    pg.psql("update bff_private.seal_key set promoted_at = promoted_at - interval '1 h'")
    sqlstate, text = refused(pg, "retire_key(%d, 'test')" % key_id(old))
    assert sqlstate == "BF001" and "still seals" in text
    assert state_of(pg, old) == "decrypt-only"


def test_a_host_without_the_key_says_so_and_ends_no_session(pg, idp):
    right, wrong = fresh_key(), fresh_key()
    with Broker(pg, idp.issuer, ring=right) as b:
        b.ready()
        with b.worker() as w:
            session = login(w).session
        expire(pg)
        b.stop()
        b.secret("key-ring", wrong)
        b.start()
        b.wait_log("event=key_ring_lacks_primary key=%d" % key_id(right))
        with b.worker() as w:
            answer = token(w, session)
        assert (answer.name, answer.word, answer.detail) == ("failure", "store", "no_key")
        detail = pg.value("select status || ' ' || detail from bff.doctor where subject = 'sealing keys'", user="olga")
        assert detail.startswith("fail") and b.socket in detail

        # With a primary key of its own again, what another sealed is an error of its own.
        verb(pg, "promote_key(%d, 'test')" % key_id(wrong))
        b.wait_log("event=sealing_key key=%d state=primary" % key_id(wrong))
        with b.worker() as w:
            assert token(w, session).name == "failure"
        b.wait_log("event=refresh_token_not_opened .*key that is not in the key ring")
        b.stop()
        b.secret("key-ring", wrong + right)
        b.start()
        b.wait_log("event=sealing_key key=%d state=decrypt-only" % key_id(right))
        served(b, session)
        assert pg.value("select count(*) from bff.ended") == "0"


def test_one_id_for_two_keys_is_noticed(pg, idp):
    line = fresh_key()
    other = "%d %s" % (key_id(line), fresh_key().split()[1])
    with Broker(pg, idp.issuer, ring=line) as one:
        one.wait_log("event=sealing_key .*state=primary")
        with Broker(pg, idp.issuer, ring=other + "\n") as two:
            two.wait_log("event=sealing_key_differs key=%d" % key_id(line))
            assert pg.value("select missing_on[1] from bff.keys where id = %d" % key_id(line)).endswith(two.socket)


def test_a_parked_response_counts(pg):
    pg.psql("insert into bff_private.seal_key (id, fingerprint) values (7, '\\x0102030405060708');"
            "insert into bff_private.login (state_hash, binding_hash, app, provider, redirect_uri, return_to, parked, "
            "expires_at) values (sha256('s'), sha256('b'), 'demo', 'idp', 'https://a/cb', '/', "
            "'\\x01000000070102', now() + interval '1 min')")
    assert pg.value("select logins from bff.keys where id = 7") == "1"
    assert refused(pg, "retire_key(7, 'test')")[0] == "BF001"


@pytest.mark.parametrize("key", [1, 255, 256, 65535, 16777216, 305419896, 4294967295])
def test_the_id_in_a_sealed_value(pg, key):
    assert pg.value("select bff_private.sealed_key('\\x01%08x000102')" % key) == str(key)


@pytest.mark.parametrize("sql, user, sqlstate", [
    ("promote_key(4711, 'test')", "olga", "BF005"),
    ("retire_key(4711, 'test')", "olga", "BF005"),
    ("promote_key(4711, ' ')", "olga", "BF002"),
    ("retire_key(4711, '')", "olga", "BF002"),
    ("promote_key(4711, 'test')", "anna", "42501"),
    ("retire_key(4711, 'test')", "bff_broker", "42501"),
])
def test_verbs_refuse(pg, sql, user, sqlstate):
    assert refused(pg, sql, user)[0] == sqlstate
    assert pg.value("select count(*) from bff.audit") == "0"
