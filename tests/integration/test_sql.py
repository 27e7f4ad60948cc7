"""The schema: what each role may do, what the functions promise, migrations, verbs, audit."""
import hashlib
import os
import re
import shutil
import subprocess
import sys
import threading

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "lib"))
from postgres import Postgres, PsqlError, client_environment, ROOT  # noqa: E402
from wait import eventually  # noqa: E402

NOW_MS = "floor(extract(epoch from clock_timestamp()) * 1000)::int8"
MINUTE_MS = 60000


class Kept:
    """The cluster by connections that stay, one a role: a psql each time would double the time."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.sessions = {}

    def __getattr__(self, name):
        return getattr(self.cluster, name)

    def psql(self, sql, user="postgres"):
        if user not in self.sessions:
            self.sessions[user] = self.cluster.session(user)
        try:
            return self.sessions[user].run(sql)
        finally:
            self.sessions[user].run("rollback;\ndiscard all")

    def value(self, sql, user="postgres"):
        (got,), = self.psql(sql, user)
        return got

    def close(self):
        for session in self.sessions.values():
            session.close()


@pytest.fixture(scope="module")
def cluster():
    with Postgres() as pg:
        pg.migrate()
        pg.psql("create role olga login in role bff_operator;"
                "create role anna login in role bff_auditor;"
                "create role mona login in role bff_monitor;"
                "create role stranger login")
        yield pg


@pytest.fixture(scope="module")
def kept(cluster):
    kept = Kept(cluster)
    yield kept
    kept.close()


@pytest.fixture
def pg(kept):
    """The cluster with empty tables."""
    kept.psql(
        "set session_replication_role = replica;"
        "delete from bff_private.session; delete from bff_private.session_activity;"
        "delete from bff_private.grants; delete from bff_private.token; delete from bff_private.login;"
        "delete from bff_private.ended; delete from bff_private.subject; delete from bff_private.audit;"
        "delete from bff_private.login_log; delete from bff_private.logged_out; delete from bff_private.logout_token;"
        "delete from bff_private.revalidation")
    return kept


def hex_hash(n):
    return hashlib.sha256(b"secret %d" % n).hexdigest()


def sql_hash(n):
    return "'\\x%s'::bytea" % hex_hash(n)


def grant(n):
    return "'\\x%08x'::bytea" % n


def create_sql(n, sub="alice", sid=None, old=None, max_sessions=0, begun=NOW_MS, app="app", idle=10 * MINUTE_MS,
               absolute=60 * MINUTE_MS, claims='{"name": "A. Person"}', subject=None, refresh="'\\x01'"):
    return ("select created, ref from bff_private.session_create(%s, '%s', 'idp', 'https://idp', '%s', '%s', '%s', "
            "'%s@example.com', '%s', 'acr', 1700000000, %d, %d, %s, %s, %d, %s, %s, '\\x02', '\\x03', 60000, "
            "'192.0.2.1', 'browser')"
            % (sql_hash(n), app, sub, "sid-%d" % n if sid is None else sid, subject or sub, subject or sub, claims, idle, absolute, begun,
               "null" if old is None else sql_hash(old), max_sessions, grant(n), refresh))


def create(pg, n, **more):
    """A session as the broker makes it; returns its reference, None if refused."""
    (created, ref), = pg.psql(create_sql(n, **more), user="bff_broker")
    return ref if created == "t" else None


def state(pg, n):
    return pg.value("select state from bff_private.session_get(%s)" % sql_hash(n), user="bff_web")


def refused(pg, sql, user, sqlstate="42501"):
    with pytest.raises(PsqlError) as e:
        pg.psql(sql, user=user)
    assert e.value.sqlstate == sqlstate, e.value.stderr
    return e.value.stderr


def table_of(path):
    """(name, number of parameters, SQL) of each SQL(...) row."""
    with open(os.path.join(ROOT, path), encoding="utf-8") as f:
        text = re.sub(r"/\*.*?\*/", "", f.read(), flags=re.S)
    rows = re.findall(r'SQL\((\w+),\s*(\d+),\s*(?:[A-Z]+,\s*)?((?:"[^"]*"\s*)+)\)', text)
    assert len(rows) == text.count("SQL(")
    return [(name, int(n), "".join(re.findall(r'"([^"]*)"', sql))) for name, n, sql in rows]


# ---- the daemons' statements -----------------------------------------------------------------


@pytest.mark.parametrize("path,role", [("worker/worker_sql.def", "bff_web"),
                                       ("broker/broker_sql.def", "bff_broker")])
def test_every_statement_prepares_under_its_role(cluster, path, role):
    rows = table_of(path)
    assert rows
    for name, want_params, sql in rows:
        got = cluster.psql("prepare s as %s; select cardinality(parameter_types), s.name from pg_prepared_statements s"
                           % sql, user=role)
        assert got == [[str(want_params), "s"]], name


def result_types(pg, sql, role):
    """Types of a statement's columns, as psql's \\gdesc has them."""
    ran = subprocess.run(pg.psql_command(role), input=re.sub(r"\$\d+(::\w+(\[\])?)?",
                         lambda m: "null" + (m.group(1) or ""), sql) + " \\gdesc\n",
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=client_environment())
    assert ran.returncode == 0, ran.stderr
    return [r.split("\x1f")[1] for r in re.split("[\x1e\n]", ran.stdout.strip())]


@pytest.mark.parametrize("path,role", [("worker/worker_sql.def", "bff_web"),
                                       ("broker/broker_sql.def", "bff_broker")])
def test_results_are_of_types_that_pg_c_reads(cluster, path, role):
    for name, _, sql in table_of(path):
        got = set(result_types(cluster, sql, role))
        if got == {"record"}:  # whose fields are the function's columns
            got = {r[0] for r in cluster.psql(
                "select format_type(unnest(proallargtypes[pronargs + 1:]), null) from pg_proc where oid = '%s'::regproc"
                % re.search(r"select ([\w.]+)\(", sql).group(1))}
        assert got <= {"text", "bigint", "integer", "boolean", "bytea"}, name


# ---- rights ----------------------------------------------------------------------------------


def executes(cluster, role):
    got = cluster.psql("select p.proname from pg_proc p join pg_namespace n on n.oid = p.pronamespace "
                       "where n.nspname in ('bff', 'bff_private', 'public') "
                       "and has_function_privilege('%s', p.oid, 'execute') order by 1" % role)
    return [r[0] for r in got]


def test_bff_web_executes_three_functions_and_nothing_else(cluster):
    assert executes(cluster, "bff_web") == ["session_end", "session_get", "session_touch"]


def test_a_worker_that_polls_needs_one_more_which_is_given_by_hand(cluster):
    assert executes(cluster, "bff_poller") == ["revocations"]
    refused(cluster, "select bff_private.revocations(null)", "bff_web")
    cluster.psql("grant bff_poller to bff_web")
    try:
        cluster.migrate()  # keeps what was given
        assert executes(cluster, "bff_web") == ["revocations", "session_end", "session_get", "session_touch"]
        assert cluster.psql("select status, detail from bff.doctor where subject = 'rights of bff_web'") == [
            ["ok", "three functions, and what ended"]]
    finally:
        cluster.psql("revoke bff_poller from bff_web")


@pytest.mark.parametrize("sql", [
    "select * from bff_private.session",
    "select * from bff_private.grants",
    "select refresh_sealed from bff_private.grants",
    "select * from bff_private.token",
    "select * from bff_private.login",
    "select * from bff_private.ended",
    "select * from bff.sessions",
    "select * from bff.overview",
    "select * from bff.help()",
    "delete from bff_private.session",
    "delete from bff.sessions",
    "truncate bff_private.session",
    "copy bff_private.session to stdout",
    "insert into bff_private.subject (issuer, sub) values ('a', 'b')",
    "update bff_private.session set absolute_expires_at = 'infinity'",
    "update bff_private.session_activity set last_seen = 'infinity'",
    "update bff_private.grants set ended_at = null",
    create_sql(99),
    "select * from bff_private.token_session('\\x00', 's')",
    "select * from bff_private.grant_lease('\\x00', 1, 'o', 'a', 1)",
    "select * from bff_private.logout('\\x00', 'app', true)",
    "select * from bff_private.backchannel_logout('https://idp', 'alice', '', 'j', 1, 1, 1, 1)",
    "select * from bff_private.revocation_take('o', 1, 1)",
    "select bff_private.sweep(1)",
    "select bff_private.because('x')",
    "select bff.revoke_session('x', 'y')",
    "select bff_private.doctor()",
    "create table bff_private.mine (x int)",
    "create table public.mine (x int)",
    "create temp table mine (x int)",
    "create schema mine",
    "create function bff_private.session_get(int) returns int language sql as 'select 1'",
    "set role bff_owner",
    "set role bff_broker",
    "alter role bff_web superuser",
    "begin; lock table bff_private.session",
])
def test_bff_web_cannot(pg, sql):
    ref = create(pg, 1)
    refused(pg, sql, "bff_web")
    assert state(pg, 1) == "live"
    assert pg.value("select count(*) from bff_private.session where ref = '%s'" % ref) == "1"


def polled(pg, since=None):
    (got,) = pg.psql("set role bff_poller; select upto, named from bff_private.revocations(%s)"
                     % ("'%s'" % since if since else "null"))
    return got


def test_the_revocation_log_names_what_ended_since(pg):
    """Once each, in the order of commits; what expired is nobody's business, and many are a flush."""
    for n in (1, 2, 3, 4):
        create(pg, n)
    start, named = polled(pg)
    assert named == "flush"
    assert polled(pg, start)[1] == ""
    pg.psql("delete from bff.sessions where ref = (select ref from bff_private.session where id_hash = %s)" % sql_hash(1))
    upto, named = polled(pg, start)
    assert named == pg.value("select left(encode(%s, 'hex'), 16)" % sql_hash(1))
    assert polled(pg, upto)[1] == ""
    with pg.session("postgres") as slow:  # began before the next poll, and commits after it
        slow.run("begin; delete from bff_private.session where id_hash = %s" % sql_hash(2))
        pg.psql("select * from bff_private.session_end(%s)" % sql_hash(3), user="bff_web")
        upto, named = polled(pg, upto)
        assert named == pg.value("select left(encode(%s, 'hex'), 16)" % sql_hash(3))
        slow.run("commit")
    upto, named = polled(pg, upto)
    assert named == pg.value("select left(encode(%s, 'hex'), 16)" % sql_hash(2))
    pg.psql("update bff_private.session set absolute_expires_at = now() where id_hash = %s; "
            "select * from bff_private.sweep(1000)" % sql_hash(4))
    assert polled(pg, upto)[1] == ""
    assert polled(pg, "1 " + upto.split(" ")[1])[1] == "flush"  # of another server


def test_bff_web_cannot_find_sessions_it_has_no_hash_of(pg):
    create(pg, 1)
    for sql in ("select state from bff_private.session_get(null)", "select state from bff_private.session_get('\\x')",
                "select state from bff_private.session_get('%')"):
        assert pg.value(sql, user="bff_web") == "unknown"


def test_bff_broker_has_its_functions_and_no_table(cluster):
    got = cluster.psql("select p.proname from pg_proc p join pg_namespace n on n.oid = p.pronamespace "
                       "where n.nspname in ('bff', 'bff_private') and has_function_privilege('bff_broker', p.oid, 'execute')")
    want = {re.search(r"bff_private\.(\w+)\(", sql).group(1) for _, _, sql in table_of("broker/broker_sql.def")}
    # And what the version before asks for.
    assert {r[0] for r in got} == want | {"login_take", "token_session", "grant_lease", "grant_release", "reseal_take",
                                         "reseal_put"}
    for sql in ("select * from bff_private.grants", "select * from bff_private.session", "select * from bff.sessions",
                "select bff_private.because('x')", "create temp table x (y int)", "set role bff_owner"):
        refused(cluster, sql, "bff_broker")


def test_strangers_cannot_connect(cluster):
    with pytest.raises(PsqlError, match="permission denied for database"):
        cluster.psql("select 1", user="stranger")


@pytest.mark.parametrize("user,may", [
    ("olga", {"overview", "doctor", "schema_version", "keys", "hosts", "sessions", "ended", "logins", "audit", "grants"}),
    ("anna", {"overview", "doctor", "schema_version", "keys", "hosts", "sessions", "ended", "logins", "audit", "grants"}),
    ("mona", {"overview", "doctor", "schema_version", "keys", "hosts"}),
])
def test_people_read_what_their_group_may(cluster, user, may):
    views = {r[0] for r in cluster.psql("select relname from pg_class where relnamespace = 'bff'::regnamespace "
                                        "and relkind = 'v'")}
    assert may <= views
    for view in views:
        if view in may:
            cluster.psql("select * from bff.%s" % view, user=user)
        else:
            refused(cluster, "select * from bff.%s" % view, user)
    assert cluster.psql("select * from bff.help()", user=user)
    refused(cluster, "select * from bff_private.session", user)


def test_only_operators_end_sessions(pg):
    ref = create(pg, 1)
    for user in ("anna", "mona"):
        refused(pg, "delete from bff.sessions where ref = '%s'" % ref, user)
        refused(pg, "select bff.revoke_session('%s', 'x')" % ref, user)
        refused(pg, "select bff.revoke_subject('alice', 'x')", user)
    for sql in ("update bff.sessions set email = 'x'", "insert into bff.sessions (ref) values ('x')",
                "truncate bff.sessions", "delete from bff.audit", "update bff.ended set reason = 'x'"):
        with pytest.raises(PsqlError):
            pg.psql(sql, user="olga")
    assert state(pg, 1) == "live"


def test_no_view_shows_what_is_sealed_or_hashed(cluster):
    got = cluster.psql("select c.relname, a.attname from pg_class c join pg_attribute a on a.attrelid = c.oid "
                       "where c.relnamespace = 'bff'::regnamespace and a.attnum > 0 and a.atttypid in "
                       "('bytea'::regtype, 'json'::regtype, 'jsonb'::regtype)")
    assert got == []


# ---- the shape of the schema -------------------------------------------------------------------


def test_everything_has_a_comment(cluster):
    got = cluster.psql("""
        with ours as (select oid from pg_namespace where nspname in ('bff', 'bff_private'))
        select 'schema ' || nspname from pg_namespace where oid in (select oid from ours) and obj_description(oid) is null
        union all select 'relation ' || oid::regclass from pg_class
            where relnamespace in (select oid from ours) and relkind in ('r', 'v', 'm', 'f', 'p')
            and obj_description(oid, 'pg_class') is null
        union all select 'function ' || oid::regprocedure from pg_proc
            where pronamespace in (select oid from ours) and obj_description(oid, 'pg_proc') is null
        union all select 'type ' || oid::regtype from pg_type t
            where typnamespace = 'bff'::regnamespace and obj_description(oid, 'pg_type') is null and typtype = 'c'
            and exists (select from pg_class c where c.oid = t.typrelid and c.relkind = 'c')
        union all select 'column ' || c.oid::regclass || '.' || a.attname
            from pg_class c join pg_attribute a on a.attrelid = c.oid
            where c.relnamespace = 'bff'::regnamespace and c.relkind = 'v' and a.attnum > 0 and not a.attisdropped
            and col_description(c.oid, a.attnum) is null
        union all select 'role ' || rolname from pg_roles where rolname like 'bff%' and shobj_description(oid, 'pg_authid') is null""")
    assert got == []


def test_security_definer_functions_are_closed(cluster):
    every = cluster.psql("select p.oid::regprocedure, p.prosecdef, array_to_string(p.proconfig, ';'), "
                         "has_function_privilege('public', p.oid, 'execute'), pg_get_userbyid(p.proowner) from pg_proc p "
                         "where p.pronamespace in ('bff'::regnamespace, 'bff_private'::regnamespace)")
    assert len(every) > 25
    for name, definer, config, public, owner in every:
        assert definer == "t", name
        assert config == "search_path=bff_private, pg_temp", name
        assert public == "f", name
        assert owner == "bff_owner", name


def test_everything_is_owned_by_bff_owner_and_logged(cluster):
    got = cluster.psql("select c.oid::regclass from pg_class c where c.relnamespace in ('bff'::regnamespace, "
                       "'bff_private'::regnamespace) and (pg_get_userbyid(c.relowner) <> 'bff_owner' or c.relpersistence <> 'p')")
    assert got == []


def test_objects_in_a_temp_schema_do_not_mislead(pg):
    """A role with TEMP that shadows our tables is not read."""
    ref = create(pg, 1)
    got = pg.psql("create temp table session (like bff_private.session); create temp table ended (like bff_private.ended);"
                  "set search_path = pg_temp, public; select state from bff_private.session_get(%s)" % sql_hash(1))
    assert got == [["live"]] and ref


def test_activity_is_hot(pg):
    for n in range(20):
        create(pg, n)
    pg.psql("vacuum full bff_private.session_activity; select pg_stat_reset()")
    pg.psql("set session_replication_role = replica; update bff_private.session_activity set last_seen = now() - interval '2 min'")
    before = pg.psql("select pg_stat_get_tuples_updated(c), pg_stat_get_tuples_hot_updated(c) "
                     "from (select 'bff_private.session_activity'::regclass::oid as c) x")
    hashes = ",".join(sql_hash(n) for n in range(20))
    with pg.session("bff_web") as s:
        assert s.run("select touched from bff_private.session_touch(array[%s])" % hashes) == [["20"]]
        assert s.run("select touched from bff_private.session_touch(array[%s])" % hashes) == [["0"]]
    after = pg.psql("select pg_stat_get_tuples_updated(c), pg_stat_get_tuples_hot_updated(c) "
                    "from (select 'bff_private.session_activity'::regclass::oid as c) x")
    updated = int(after[0][0]) - int(before[0][0])
    hot = int(after[0][1]) - int(before[0][1])
    assert updated == hot


def test_a_lookup_goes_by_the_hash_indexes(cluster):
    """Whether the planner knows the tables or not, as when a worker asks for the first session there is."""
    cluster.migrate("lookup")
    for rows, then in ((1, ""), (2000, "analyze")):
        cluster.psql("select count(created) from generate_series(%d, %d) n, bff_private.session_create("
                     "sha256(('secret ' || n)::bytea), 'app', 'idp', 'https://idp', 'sub', '', 'sub', '', '{}', '', 0, "
                     "60000, 60000, %s, null, 0, int4send(n::int4), null, null, null, null, '', '')"
                     % (rows - 1, 2 * rows - 2, NOW_MS), user="bff_broker", dbname="lookup")
        cluster.psql(then + "; select pg_stat_reset()", dbname="lookup")
        with cluster.session("bff_web", "lookup") as s:
            assert s.run("select state from bff_private.session_get(%s)" % sql_hash(rows - 1)) == [["live"]]
        eventually(lambda: cluster.psql(
            "select indexrelname, idx_scan from pg_stat_user_indexes where relname in ('session', 'session_activity') "
            "and idx_scan > 0 order by 1", dbname="lookup") == [["session_activity_lookup", "1"], ["session_lookup", "1"]],
            what="one scan of each index")


# ---- migrations --------------------------------------------------------------------------------


@pytest.fixture
def own_sql(tmp_path):
    """A copy of sql/ to change; returns (directory, program)."""
    shutil.copytree(os.path.join(ROOT, "sql"), tmp_path / "sql")
    return tmp_path / "sql", str(tmp_path / "sql" / "migrate")


def content(pg, dbname):
    """All that migrate makes, as text."""
    return pg.psql("""
        select 'f', oid::regprocedure::text, md5(prosrc), proacl::text from pg_proc
            where pronamespace in ('bff'::regnamespace, 'bff_private'::regnamespace)
        union all select 'r', oid::regclass::text, relkind::text, relacl::text from pg_class
            where relnamespace in ('bff'::regnamespace, 'bff_private'::regnamespace)
        union all select 'v', version::text, sha256, applied_at::text from bff_private.schema_version
        union all select 'd', datname, '', datacl::text from pg_database where datname = current_database()
        order by 1, 2""", dbname=dbname)


def test_migrate_twice_changes_nothing(cluster):
    cluster.migrate("twice")
    first = content(cluster, "twice")
    ran = cluster.migrate("twice")
    assert "applying" not in ran.stdout
    assert content(cluster, "twice") == first


def test_migrate_concurrently(cluster):
    cluster.create_database("crowd")
    done = []
    threads = [threading.Thread(target=lambda: done.append(cluster.migrate("crowd", create=False, check=False)))
               for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert [r.returncode for r in done] == [0] * 4, [r.stdout for r in done]
    assert sum("applying 0001" in r.stdout for r in done) == 1
    assert cluster.value("select count(*) = max(version) from bff_private.schema_version", dbname="crowd") == "t"


def test_migrate_refuses_a_changed_file(cluster, own_sql):
    directory, program = own_sql
    cluster.migrate("changed", program=program)
    before = content(cluster, "changed")
    with open(directory / "0001_tables.sql", "a", encoding="utf-8") as f:
        f.write("-- a harmless comment\n")
    ran = cluster.migrate("changed", program=program, check=False)
    assert ran.returncode == 1
    assert "migration 1 (tables) was applied from a file with another content" in ran.stdout
    assert "HINT" in ran.stdout
    assert content(cluster, "changed") == before


def test_migrate_refuses_a_newer_database(cluster, own_sql):
    directory, program = own_sql
    (directory / "0099_future.sql").unlink(missing_ok=True)
    last = max(int(n[:4]) for n in os.listdir(directory) if re.match(r"\d{4}_", n))
    future = directory / ("%04d_future.sql" % (last + 1))
    future.write_text("create table bff_private.future (x int);\ncomment on table bff_private.future is 'x';\n")
    cluster.migrate("newer", program=program)
    before = content(cluster, "newer")
    ran = cluster.migrate("newer", check=False)
    assert ran.returncode == 1
    assert "has migration %d (future), which is not known here" % (last + 1) in ran.stdout
    assert content(cluster, "newer") == before


def test_migrate_adds_to_an_older_database(cluster, own_sql):
    directory, program = own_sql
    cluster.migrate("older")
    last = max(int(n[:4]) for n in os.listdir(directory) if re.match(r"\d{4}_", n))
    (directory / ("%04d_more.sql" % (last + 1))).write_text("create table bff_private.more (x int);\n")
    ran = cluster.migrate("older", program=program)
    assert "applying %04d_more.sql" % (last + 1) in ran.stdout and "applying 0001" not in ran.stdout
    assert cluster.value("select pg_get_userbyid(relowner) from pg_class where oid = 'bff_private.more'::regclass",
                         dbname="older") == "bff_owner"


def test_migrate_that_fails_leaves_nothing(cluster, own_sql):
    directory, program = own_sql
    with open(directory / "0002_session.sql", "a", encoding="utf-8") as f:
        f.write("select 1 / 0;\n")
    ran = cluster.migrate("broken", program=program, check=False)
    assert ran.returncode != 0 and "division by zero" in ran.stdout
    assert cluster.psql("select 1 from pg_namespace where nspname like 'bff%'", dbname="broken") == []


def test_migrate_refuses_a_gap_in_the_files(cluster, own_sql):
    directory, program = own_sql
    (directory / "0002_session.sql").unlink()
    ran = cluster.migrate("gap", program=program, check=False)
    assert ran.returncode == 1 and "expected number 2" in ran.stdout


def test_migrate_repairs_rights(cluster):
    cluster.migrate("rights")
    before = content(cluster, "rights")
    cluster.psql("grant select on bff_private.grants to bff_web; grant execute on function bff_private.sweep(int8) to public;"
                 "grant connect on database rights to public", dbname="rights")
    assert "fail" in [r[0] for r in cluster.psql("select status from bff.doctor", dbname="rights")]
    cluster.migrate("rights")
    assert content(cluster, "rights") == before
    assert "fail" not in [r[0] for r in cluster.psql("select status from bff.doctor", dbname="rights")]


def test_migrate_as_an_owner_who_is_no_superuser():
    with Postgres() as pg:
        pg.psql("create role dba login createrole", dbname="postgres")
        pg.create_database("bff", owner="dba")
        for _ in range(2):
            ran = pg.migrate(user="dba", create=False, check=False)
            assert ran.returncode == 0, ran.stdout
        assert create(pg, 1)
        assert state(pg, 1) == "live"


def test_migrate_without_a_server_says_so():
    ran = subprocess.run([os.path.join(ROOT, "sql", "migrate"), "host=/nonexistent"], capture_output=True, text=True,
                         check=False)
    assert ran.returncode == 1 and "connection to server" in ran.stderr


def test_migrate_says_how_it_is_used():
    ran = subprocess.run([os.path.join(ROOT, "sql", "migrate")], capture_output=True, text=True, check=False)
    assert ran.returncode == 2 and "usage" in ran.stderr


# ---- sessions ----------------------------------------------------------------------------------


def test_a_session_as_the_worker_sees_it(pg):
    ref = create(pg, 1)
    got, = pg.psql("select state, app, ref, subject, claims, acr, auth_time, idle_left_ms, absolute_left_ms, touch_due "
                   "from bff_private.session_get(%s)" % sql_hash(1), user="bff_web")
    assert got[:7] == ["live", "app", ref, "alice", '{"name": "A. Person"}', "acr", "1700000000"]
    assert 9 * MINUTE_MS < int(got[7]) <= 10 * MINUTE_MS
    assert 59 * MINUTE_MS < int(got[8]) <= 60 * MINUTE_MS
    assert got[9] == "f"
    assert re.fullmatch("[a-km-np-z2-9]{10}", ref)


LIMITS = [
    # last seen, absolute limit: seconds from now                          want      touchable
    ("just used", 0, 3600, "live", False),
    ("used a minute ago", -61, 3600, "live", True),
    ("used almost the idle time ago", -595, 3600, "live", True),
    ("the idle time passed", -600, 3600, "idle", False),
    ("idle for long", -6000, 3600, "idle", False),
    ("at the absolute limit", 0, 0, "expired", False),
    ("past the absolute limit", -61, -1, "expired", False),
    ("past both", -6000, -1, "expired", False),
]


@pytest.mark.parametrize("name,seen_s,absolute_s,want,touchable", LIMITS, ids=[c[0] for c in LIMITS])
def test_limits_are_by_the_clock_of_the_database(pg, name, seen_s, absolute_s, want, touchable):
    create(pg, 1)
    got = pg.psql("begin; update bff_private.session_activity set last_seen = now() + %d * interval '1 s';"
                  "update bff_private.session set absolute_expires_at = now() + %d * interval '1 s';"
                  "select state, touch_due from bff_private.session_get(%s);"
                  "select touched, null from bff_private.session_touch(array[%s]);"
                  "select last_seen = now(), null from bff_private.session_activity;"
                  "select count(*), null from bff.sessions;"
                  "select state, grant_id from bff_private.token_session(%s, '@session'); commit"
                  % (seen_s, absolute_s, sql_hash(1), sql_hash(1), sql_hash(1)))
    assert got[0] == [want, "t" if touchable else "f" if want == "live" else None]
    assert got[1][0] == ("1" if touchable else "0")
    assert got[2][0] == ("t" if touchable or seen_s == 0 else "f")
    assert got[3][0] == ("1" if want == "live" else "0")
    assert got[4] == [want, "\\x00000001" if want == "live" else None]


def test_touch_takes_no_more_than_its_limit(pg):
    refused(pg, "select touched from bff_private.session_touch(array_fill('\\x00'::bytea, array[1001]))", "bff_web", "BF002")


def test_touch_does_not_wait_and_does_not_revive(pg):
    create(pg, 1)
    pg.psql("update bff_private.session_activity set last_seen = now() - interval '2 min'")
    with pg.session() as ending:
        ending.run("begin")
        ending.run("delete from bff_private.session")
        assert pg.value("select touched from bff_private.session_touch(array[%s])" % sql_hash(1), user="bff_web") == "0"
        ending.run("commit")
    assert pg.value("select touched from bff_private.session_touch(array[%s])" % sql_hash(1), user="bff_web") == "0"
    assert state(pg, 1) == "revoked"


def test_ending_says_whether_it_was_live(pg):
    create(pg, 1)
    end = "select ended from bff_private.session_end(%s)" % sql_hash(1)
    assert pg.value(end, user="bff_web") == "t"
    assert pg.value(end, user="bff_web") == "f"
    assert state(pg, 1) == "logout"
    create(pg, 2)
    pg.psql("update bff_private.session_activity set last_seen = now() - interval '1 h'")
    assert pg.value("select ended from bff_private.session_end(%s)" % sql_hash(2), user="bff_web") == "f"
    assert state(pg, 2) == "idle"


def test_an_ended_session_cannot_be_made_again(pg):
    create(pg, 1)
    pg.psql("select * from bff_private.session_end(%s)" % sql_hash(1), user="bff_web")
    refused(pg, create_sql(1), "bff_broker", "23505")
    assert state(pg, 1) == "logout"


def test_two_sessions_of_one_hash_or_grant_are_refused(pg):
    create(pg, 1)
    refused(pg, create_sql(1), "bff_broker", "23505")
    refused(pg, create_sql(2).replace(grant(2), grant(1)), "bff_broker", "23505")


def test_replacing_takes_only_a_session_of_the_same_app(pg):
    create(pg, 1)
    create(pg, 2, app="other")
    create(pg, 3, old=1)
    create(pg, 4, old=2)
    assert [state(pg, n) for n in (1, 2, 3, 4)] == ["replaced", "live", "live", "live"]


def test_the_oldest_go_beyond_max_sessions(pg):
    for n in range(1, 5):
        create(pg, n, max_sessions=2)
    create(pg, 5, sub="bob", max_sessions=1)
    create(pg, 6, app="other", max_sessions=1)
    assert [state(pg, n) for n in range(1, 7)] == ["max_sessions", "max_sessions", "live", "live", "live", "live"]


@pytest.mark.parametrize("claims", ['[]', '"x"', 'null', '{', ''])
def test_claims_must_be_an_object(pg, claims):
    with pytest.raises(PsqlError) as e:
        create(pg, 1, claims=claims)
    assert e.value.sqlstate in ("23514", "22P02")


@pytest.mark.parametrize("claims,want", [('{"name": "\\u0000"}', ""), ('{"name": "\\ud800"}', ""), ('{"name": ["a"]}', '["a"]'),
                                         ('{}', ""), ('{"name": "%s"}' % ("x" * 500), "x" * 200)])
def test_a_strange_name_does_not_break_the_view(pg, claims, want):
    assert create(pg, 1, claims=claims)
    assert pg.value("select name from bff.sessions", user="olga") == want
    assert state(pg, 1) == "live"


# ---- the end of a session ------------------------------------------------------------------------

ENDINGS = [
    ("function of the worker", "bff_web", "select ended from bff_private.session_end({hash})", "logout", "", None),
    ("logout", "bff_broker", "select ended from bff_private.logout({hash}, 'app', false)", "logout", "", None),
    ("logout everywhere", "bff_broker", "select ended from bff_private.logout({hash}, 'app', true)", "logout", "everywhere", None),
    ("logout of a provider session", "bff_broker", "select * from bff_private.backchannel_logout('https://idp', '', 'sid-1', 'j', "
     "extract(epoch from now())::int8, extract(epoch from now())::int8 + 180, 60000, 900000)", "backchannel", "", None),
    ("logout of a person by the provider", "bff_broker", "select * from bff_private.backchannel_logout('https://idp', 'alice', '', "
     "'j', extract(epoch from now())::int8, extract(epoch from now())::int8 + 180, 60000, 900000)", "backchannel", "", None),
    ("verb", "olga", "select * from bff.revoke_session('{ref}', 'lost laptop')", "revoked", "lost laptop", "revoke_session"),
    ("verb on the subject", "olga", "select * from bff.revoke_subject('alice', 'left')", "revoked", "left", "revoke_subject"),
    ("delete", "olga", "delete from bff.sessions where ref = '{ref}'", "deleted", "", "delete"),
    ("delete with forged settings", "olga", "begin; select set_config('bff.reason', 'logout', true), set_config('bff.action', '', true);"
     "delete from bff.sessions where ref = '{ref}'; commit", "deleted", "", "delete"),
    ("delete by the superuser", "postgres", "delete from bff_private.session where ref = '{ref}'", "deleted", "", "delete"),
]


@pytest.mark.parametrize("name,user,sql,reason,detail,action", ENDINGS, ids=[e[0] for e in ENDINGS])
def test_whatever_ends_a_session_ends_all_of_it(pg, name, user, sql, reason, detail, action):
    ref = create(pg, 1)
    create(pg, 2, sub="bob")
    with pg.session() as listener:
        listener.run("listen bff_revoked")
        pg.psql(sql.format(hash=sql_hash(1), ref=ref), user=user)
        heard = listener.run("select 1")
    assert state(pg, 1) == ("revoked" if reason == "deleted" else reason)
    assert state(pg, 2) == "live"
    assert pg.psql("select ref, app, subject, email, reason, detail, by from bff.ended", user="anna") == [
        [ref, "app", "alice", "alice@example.com", reason, detail, user]]
    assert pg.psql("select ended_at is not null, due_at <= now() from bff_private.grants order by grant_id") == [
        ["t", "t"], ["f", None]]
    assert pg.psql("select grant_id from bff_private.token") == [["\\x00000002"]]
    assert pg.value("select count(*) from bff_private.session_activity") == "1"
    assert pg.value("select grant_state from bff_private.grant_lease(%s, 1, 'o', 'a', 1000)" % grant(1),
                    user="bff_broker") == "ended"
    audit = pg.psql("select action, ref, by, reason from bff.audit where ref is not null", user="anna")
    assert audit == ([] if action is None else [[action, ref, user, detail]])
    assert any('"bff_revoked" with payload "%s"' % hex_hash(1)[:16] in r[0] for r in heard), heard


@pytest.mark.parametrize("rows,want", [(64, 64), (65, 1)])
def test_many_at_once_are_one_notification(pg, rows, want):
    pg.psql(";".join(create_sql(n, sub="u%d" % n) for n in range(rows)), user="bff_broker")
    create(pg, 999, sub="stays")
    with pg.session() as listener:
        listener.run("listen bff_revoked")
        assert len(pg.psql("delete from bff.sessions where subject <> 'stays' returning ref", user="olga")) == rows
        heard = [r[0] for r in listener.run("select 1") if "bff_revoked" in r[0]]
    assert len(heard) == want
    assert ("flush" in heard[0]) == (want == 1)
    assert pg.value("select count(*) from bff.audit where action = 'delete' and by = 'olga'") == str(rows)


def test_expired_sessions_are_swept_without_notification(pg):
    create(pg, 1)
    create(pg, 2, sub="bob")
    create(pg, 3, sub="carl")
    create(pg, 4, sub="dora")
    pg.psql("update bff_private.session set absolute_expires_at = now() where sub = 'alice';"
            "update bff_private.session_activity set last_seen = now() - interval '11 min' where id_hash = %s;"
            "update bff_private.session_activity set check_at = now() - interval '1 s' where id_hash <> %s"
            % (sql_hash(2), sql_hash(4)))
    with pg.session() as listener:
        listener.run("listen bff_revoked")
        assert pg.value("select bff_private.sweep(100)", user="bff_broker") == "2"
        assert listener.run("select 1") == [["1"]]
    assert [state(pg, n) for n in (1, 2, 3, 4)] == ["expired", "idle", "live", "live"]
    assert pg.psql("select ended_at is not null from bff_private.grants order by grant_id") == [["t"], ["t"], ["f"], ["f"]]
    # The one that was used since is looked at again when it can have passed a limit.
    assert pg.value("select min(check_at) > now() + interval '9 min' from bff_private.session_activity") == "t"
    assert pg.value("select bff_private.sweep(100)", user="bff_broker") == "0"


def test_sweep_waits_for_no_session_that_is_being_ended(pg):
    """Whoever ends one takes the session's lock first and its activity's then: a sweep with the activity would never come
    to the session, nor they to the activity."""
    create(pg, 1)
    create(pg, 2, sub="bob")
    pg.psql("update bff_private.session set absolute_expires_at = now();"
            "update bff_private.session_activity set check_at = now() - interval '1 s'")
    with pg.session() as other:
        other.run("begin")
        other.run("select from bff_private.session where id_hash = %s for update" % sql_hash(1))
        assert pg.value("select bff_private.sweep(100)", user="bff_broker") == "1"
        other.run("rollback")
    assert pg.value("select bff_private.sweep(100)", user="bff_broker") == "1"
    assert [state(pg, n) for n in (1, 2)] == ["expired", "expired"]


def test_sweep_is_bounded_and_forgets_what_is_old(pg):
    pg.psql(";".join(create_sql(n, sub="u%d" % n, refresh="null") for n in range(5)), user="bff_broker")
    pg.psql("update bff_private.session_activity set last_seen = now() - interval '1 d', check_at = now() - interval '1 d'")
    got = [int(pg.value("select bff_private.sweep(2)", user="bff_broker")) for _ in range(3)]
    assert got == [4, 4, 2]  # sessions, and their grants without a refresh token
    assert pg.value("select count(*) from bff_private.grants") == "0"
    pg.psql("update bff_private.ended set at = now() - interval '31 days';"
            "insert into bff_private.login_log (at, app, provider, outcome, detail, subject, correlation, client) "
            "values (now() - interval '31 days', '', '', '', '', '', '', '');"
            "update bff_private.subject set used_at = now() - interval '91 days'")
    assert pg.value("select bff_private.sweep(100)", user="bff_broker") == "11"
    assert [pg.value("select count(*) from bff_private.%s" % t) for t in ("ended", "login_log", "subject")] == ["0"] * 3


def test_truncate_is_refused(pg):
    create(pg, 1)
    refused(pg, "truncate bff_private.session", "postgres", "BF001")


# ---- verbs ---------------------------------------------------------------------------------------


def test_revoke_session_answers_with_what_it_ended(pg):
    ref = create(pg, 1)
    assert pg.psql("select * from bff.revoke_session('%s', 'lost laptop')" % ref, user="olga") == [
        [ref, "app", "alice", "alice@example.com"]]
    assert pg.psql("select * from bff.revoke_session(ref => '%s', reason => 'again')" % ref, user="olga") == []
    assert pg.psql("select action, reason, target, ref, by, application from bff.audit order by id", user="anna") == [
        ["revoke_session", "lost laptop", ref, ref, "olga", "psql"], ["revoke_session", "again", ref, None, "olga", "psql"]]


def test_verbs_want_what_they_need(pg):
    ref = create(pg, 1)
    for sql, code in [("select bff.revoke_session('%s', '')" % ref, "BF002"), ("select bff.revoke_session('%s', ' ')" % ref, "BF002"),
                      ("select bff.revoke_session('%s', null)" % ref, "BF002"), ("select bff.revoke_subject('alice', '')", "BF002"),
                      ("select bff.revoke_subject('', 'x')", "BF002"), ("select bff.revoke_subject(null, 'x')", "BF002"),
                      ("select bff.revoke_session('nosuchref', 'x')", "BF005"), ("select bff.revoke_session(null, 'x')", "BF005")]:
        assert "HINT" in refused(pg, sql, "olga", code)
    assert state(pg, 1) == "live"
    assert pg.value("select count(*) from bff.audit") == "0"


def test_revoke_subject_goes_by_sub_or_subject(pg):
    create(pg, 1, sub="00u1", subject="alice")
    create(pg, 2, sub="00u1", subject="alice", app="other")
    create(pg, 3, sub="00u2", subject="bob")
    create(pg, 4, sub="alice.smith", subject="carl")
    assert len(pg.psql("select * from bff.revoke_subject('alice', 'left')", user="olga")) == 2
    assert [state(pg, n) for n in range(1, 5)] == ["revoked", "revoked", "live", "live"]
    assert len(pg.psql("select * from bff.revoke_subject('00u2', 'left')", user="olga")) == 1
    assert pg.psql("select * from bff.revoke_subject('00u2', 'left')", user="olga") == []
    assert pg.value("select count(*) from bff.audit where ref is null and action = 'revoke_subject'") == "3"


@pytest.mark.parametrize("known", [True, False], ids=["seen before", "never seen"])
def test_a_login_that_began_before_is_refused(pg, known):
    create(pg, 7, sub="somebody")  # the provider is known
    if known:
        create(pg, 1)
    begun = pg.value("select " + NOW_MS)
    pg.psql("select * from bff.revoke_subject('alice', 'left')", user="olga")
    assert create(pg, 2, begun=begun) is None
    assert state(pg, 2) == "unknown"
    assert pg.value("select count(*) from bff_private.grants where grant_id = %s" % grant(2)) == "0"
    pg.psql("select pg_sleep(0.002)")  # the beginning is known to the millisecond
    assert create(pg, 3)


def test_a_first_login_under_the_revoked_name_is_refused(pg):
    """The provider's sub is another: nobody but the login itself knows yet that it is alice's."""
    create(pg, 7, sub="somebody")
    begun = pg.value("select " + NOW_MS)
    pg.psql("select * from bff.revoke_subject('alice', 'left')", user="olga")
    assert create(pg, 1, sub="u-1", subject="alice", begun=begun) is None
    assert create(pg, 2, sub="u-2", subject="bob", begun=begun)
    assert create(pg, 3, sub="u-1", subject="alice", begun=LATER_MS)
    assert pg.psql("select sub from bff_private.subject order by sub") == [["alice"], ["somebody"], ["u-1"], ["u-2"]]


@pytest.mark.parametrize("first", ["login", "end"])
def test_a_first_login_and_the_end_of_its_name_cannot_miss_each_other(pg, first):
    create(pg, 7, sub="somebody")
    login = create_sql(1, sub="u-1", subject="alice", begun=pg.value("select " + NOW_MS))
    end = "select ref from bff.revoke_subject('alice', 'left')"
    with pg.session() as a, pg.session() as b:
        a.run("begin")
        a.run(login if first == "login" else end)
        b.send(end if first == "login" else login)
        b.wait_blocked()
        a.run("commit")
        b.result()
    assert state(pg, 1) != "live"


def test_deleting_every_session_wants_to_be_confirmed(pg):
    for n in range(3):
        create(pg, n, sub="u%d" % n)
    message = refused(pg, "delete from bff.sessions", "olga", "BF003")
    assert "set bff.confirm = 'all'" in message
    assert [state(pg, n) for n in range(3)] == ["live"] * 3
    assert len(pg.psql("delete from bff.sessions where subject = 'u1' returning *", user="olga")) == 1
    pg.psql("set bff.confirm = 'all'; delete from bff.sessions", user="olga")
    assert pg.value("select count(*) from bff.sessions") == "0"
    assert pg.value("select count(*) from bff.audit where by = 'olga'") == "3"


def test_an_act_that_is_rolled_back_leaves_no_trace(pg):
    ref = create(pg, 1)
    pg.psql("begin; select bff.revoke_session('%s', 'oops'); rollback" % ref, user="olga")
    assert state(pg, 1) == "live"
    assert pg.value("select count(*) from bff.audit") == "0"


def test_the_audit_log_is_only_appended_to(pg):
    create(pg, 1)
    pg.psql("select bff.revoke_subject('alice', 'x')", user="olga")
    for sql in ("delete from bff_private.audit", "update bff_private.audit set by = 'nobody'", "truncate bff_private.audit"):
        refused(pg, sql, "postgres", "BF001")


def test_overview_and_doctor(pg):
    create(pg, 1)
    pg.psql("select bff_private.login_note('app', 'idp', 'failed', 'nonce', null, 'c1', '192.0.2.1')", user="bff_broker")
    got, = pg.psql("select sessions, people, logins_1h, failed_logins_1h, revocations_pending from bff.overview", user="mona")
    assert got == ["1", "1", "0", "1", "0"]
    assert pg.psql("select outcome, detail, correlation from bff.logins", user="olga") == [["failed", "nonce", "c1"]]
    checks = {r[0]: r for r in pg.psql("select subject, status, hint from bff.doctor", user="mona")}
    assert len(checks) >= 10
    for subject, status, hint in checks.values():
        assert status in ("ok", "warn", "fail")
        assert (status == "ok") == (hint is None), subject
    assert checks["durability"][1] == "warn"  # the cluster of the tests runs without fsync
    assert all(c[1] == "ok" for c in checks.values() if c[0] not in ("durability", "PostgreSQL version")), checks


def test_help_knows_every_view_and_verb(cluster):
    names = " ".join(r[0] for r in cluster.psql("select name from bff.help()", user="mona"))
    for word in ("bff.sessions", "bff.ended", "bff.logins", "bff.audit", "bff.revoke_session(", "bff.revoke_subject("):
        assert word in names
    assert cluster.psql("select name from bff.help('idle_left')", user="mona") == [["bff.sessions.idle_left"]]


def test_psqlrc_works(cluster):
    env = dict(client_environment(), PSQLRC=os.path.join(ROOT, "etc", "psqlrc"), HOME="/nonexistent")
    words = ["overview", "sessions", "ended", "logins", "failures", "audit", "grants", "keys", "hosts", "doctor", "help"]
    ran = subprocess.run(["psql", "-v", "ON_ERROR_STOP=1", cluster.conninfo(user="olga")], env=env, text=True,
                         input="".join(":%s\n" % word for word in words), capture_output=True, check=False)
    assert "bff: :" + " :".join(words) in ran.stdout
    assert ran.returncode == 0 and ran.stderr == "", ran.stderr
    assert "notification queue" in ran.stdout


# ---- logins ----------------------------------------------------------------------------------------


def begin(pg, n, binding=100, max_open=32, lifetime=600000, app="app"):
    return pg.value("select bff_private.login_begin(%s, '%s', 'idp', %s, 'https://a/cb', 'https://a/', '\\x05', %d, %d)"
                    % (sql_hash(n), app, sql_hash(binding), lifetime, max_open), user="bff_broker")


def take(pg, n, binding=100, app="app"):
    return pg.psql("select * from bff_private.login_take(%s, %s, '%s')" % (sql_hash(n), sql_hash(binding), app),
                   user="bff_broker")[0]


def test_a_login_is_taken_once(pg):
    assert begin(pg, 1) == "t"
    assert begin(pg, 1) == "f"
    for wrong in ({"binding": 101}, {"app": "other"}):
        assert take(pg, 1, **wrong) == ["unknown"] + [None] * 5
    got = take(pg, 1)
    assert got[:5] == ["taken", "idp", "https://a/cb", "https://a/", "\\x05"]
    assert abs(int(got[5]) - int(pg.value("select " + NOW_MS))) < 60000
    again = take(pg, 1)
    assert again[:5] == ["used", "idp", "https://a/cb", "https://a/", None]
    assert pg.value("select sealed is null from bff_private.login") == "t"


def test_a_login_expires_and_is_swept(pg):
    begin(pg, 1, lifetime=0)
    begin(pg, 2)
    assert take(pg, 1)[0] == "expired"
    assert pg.value("select bff_private.sweep(10)", user="bff_broker") == "1"
    assert [take(pg, n)[0] for n in (1, 2)] == ["unknown", "taken"]


def test_the_oldest_open_logins_of_a_browser_go(pg):
    for n in range(5):
        begin(pg, n, max_open=3)
    begin(pg, 7, binding=200, max_open=3)
    assert [take(pg, n)[0] for n in range(5)] == ["unknown", "unknown", "taken", "taken", "taken"]
    assert take(pg, 7, binding=200)[0] == "taken"


def test_a_login_is_taken_by_one_of_two(pg):
    begin(pg, 1)
    sql = "select state from bff_private.login_take(%s, %s, 'app')" % (sql_hash(1), sql_hash(100))
    with pg.session("bff_broker") as a, pg.session("bff_broker") as b:
        b.run("set lock_timeout = '60s'")
        a.run("begin")
        assert a.run(sql) == [["taken"]]
        b.send(sql)
        b.wait_blocked()
        a.run("commit")
        assert b.result() == [["used"]]


def park(pg, n, what="01", app="app"):
    return pg.value("select bff_private.login_park(%s, '%s', '\\x%s')" % (sql_hash(n), app, what), user="bff_broker")


def come_back(pg, n, binding=100, app="app", parked=True):
    return pg.psql("select state, sealed, parked from bff_private.login_return(%s, %s, '%s', %s)"
                   % (sql_hash(n), sql_hash(binding), app, parked), user="bff_broker")[0]


def test_the_first_response_by_post_is_put_away_and_taken_once(pg):
    begin(pg, 1)
    assert park(pg, 2) == "f" and park(pg, 1, app="other") == "f"
    assert come_back(pg, 1) == ["unknown", None, None]  # nothing was put away yet, and nothing is used up
    assert park(pg, 1) == "t" and park(pg, 1, what="02") == "t"
    for wrong in ({"binding": 101}, {"app": "other"}):
        assert come_back(pg, 1, **wrong) == ["unknown", None, None]
    assert come_back(pg, 1) == ["taken", "\\x05", "\\x01"]
    assert pg.value("select parked is null and sealed is null from bff_private.login") == "t"
    assert come_back(pg, 1) == ["used", None, None]
    assert park(pg, 1, what="03") == "t"  # known, and no longer of use
    assert pg.value("select parked is null from bff_private.login") == "t"


def test_a_login_that_expires_with_its_response(pg):
    begin(pg, 1, lifetime=0)
    assert park(pg, 1) == "t" and come_back(pg, 1) == ["expired", None, None]
    assert pg.value("select parked is null from bff_private.login") == "t"


def test_a_login_by_get_is_taken_as_before_and_forgets_what_was_put_away(pg):
    begin(pg, 1)
    assert come_back(pg, 1, parked=False) == ["taken", "\\x05", None]
    begin(pg, 2)
    park(pg, 2)
    assert come_back(pg, 2, parked=False) == ["taken", "\\x05", None]
    assert pg.value("select count(*) from bff_private.login where parked is not null") == "0"
    begin(pg, 3)
    park(pg, 3)
    assert take(pg, 3)[0] == "taken"  # the version before knows of no such thing


# ---- grants ----------------------------------------------------------------------------------------


def lease(pg, n, generation, owner="o1", attempt="a1", ms=15000):
    return pg.psql("select * from bff_private.refresh_lease(%s, %d, '%s', '%s', %d)" % (grant(n), generation, owner, attempt, ms),
                   user="bff_broker")[0]


def commit_sql(n, generation, owner="o1", attempt="a1", refresh="'\\x11'", token="'\\x22'", service="svc", session=None,
               keep=False):
    return ("select * from bff_private.grant_commit(%s, %d, '%s', '%s', %s, null, %s, '%s', %s, 60000, '\\x33', %s)"
            % (grant(n), generation, owner, attempt, refresh, sql_hash(n if session is None else session), service, token,
               keep))


def commit(pg, n, generation, **more):
    return pg.psql(commit_sql(n, generation, **more), user="bff_broker")[0]


def token(pg, n, service="svc"):
    columns = ("state, generation, grant_state, refresh_sealed, attempts, token_sealed, token_generation, token_config, "
               "refresh_generation, id_token_generation")
    return pg.psql("select %s from bff_private.token_session(%s, '%s')" % (columns, sql_hash(n), service), user="bff_broker")[0]


def test_a_refresh(pg):
    create(pg, 1)
    assert token(pg, 1, "@session")[:6] == ["live", "1", "live", "\\x01", "0", "\\x03"]
    assert token(pg, 1) == ["live", "1", "live", "\\x01", "0", None, "0", None, "1", "1"]
    got = lease(pg, 1, 1)
    assert got[:3] == ["t", "1", "1"] and 14000 < int(got[3]) <= 15000 and got[4] == "live"
    assert commit(pg, 1, 1) == ["t", "2"]
    assert token(pg, 1) == ["live", "2", "live", "\\x11", "0", "\\x22", "2", "\\x33", "2", "1"]
    # Of the superseded refresh token nothing is left.
    assert pg.value("select count(*) from bff_private.grants g where to_jsonb(g)::text like '%x01%'") == "0"
    assert lease(pg, 1, 2)[0] == "t"
    assert commit(pg, 1, 2, refresh="null", token="'\\x44'") == ["t", "3"]
    assert token(pg, 1) == ["live", "3", "live", "\\x11", "0", "\\x44", "3", "\\x33", "2", "1"]


def previous_take(pg, n, generation, owner="o1", attempt="a1"):
    return pg.psql("select * from bff_private.previous_take(%s, %d, '%s', '%s')" % (grant(n), generation, owner, attempt),
                   user="bff_broker")


def test_the_refresh_token_of_before(pg):
    kept = "select previous_sealed, previous_generation, superseded_at is not null from bff_private.grants"
    create(pg, 1)
    lease(pg, 1, 1)
    assert previous_take(pg, 1, 1) == []  # of the first one there is none
    commit(pg, 1, 1, keep=True)
    assert previous_take(pg, 1, 2) == []  # without the lease
    lease(pg, 1, 2)
    assert previous_take(pg, 1, 2, attempt="a2") == []
    [[sealed, generation, superseded_ms]] = previous_take(pg, 1, 2)
    assert [sealed, generation] == ["\\x01", "1"] and 0 <= int(superseded_ms) < 60000
    assert token(pg, 1)[4] == "2"  # counted
    # After the longest grace period it is forgotten, and without one it is not kept.
    assert pg.value("select bff_private.sweep(100)", user="bff_broker") == "0"
    pg.psql("update bff_private.grants set superseded_at = now() - interval '1 day'")
    assert pg.value("select bff_private.sweep(100)", user="bff_broker") == "1"
    assert pg.psql(kept) == [[None, None, "f"]]
    commit(pg, 1, 2, keep=True)
    lease(pg, 1, 3)
    commit(pg, 1, 3, refresh="null", keep=False)
    assert pg.psql(kept)[0][2] == "t"  # nothing superseded it
    lease(pg, 1, 4)
    commit(pg, 1, 4, keep=False)
    assert pg.psql(kept) == [[None, None, "f"]]


def test_what_must_not_be_lost_is_durable_whatever_the_database_says(pg):
    put = "select bff_private.token_put(%s, %s, 2, 'svc', '\\x22', 1000, '\\x33', null, null)" % (sql_hash(1), grant(1))
    leased = "select leased from bff_private.refresh_lease(%s, %%d, 'o1', 'a1', 15000)" % grant(1)
    taken = "select * from bff_private.previous_take(%s, 2, 'o1', 'a1')" % grant(1)
    create(pg, 1)
    try:
        for default, want in (("off", "on"), ("remote_apply", "remote_apply")):
            pg.psql("alter database bff set synchronous_commit = %s" % default)
            pg.psql("update bff_private.grants set generation = 1, lease_until = null")
            for statement in (leased % 1, commit_sql(1, 1), put, leased % 2, taken):
                # A connection of its own: those that stay began under the default of before.
                got = pg.cluster.psql("begin; %s; select current_setting('synchronous_commit'); commit" % statement,
                                      user="bff_broker")
                assert got[-1] == [want], statement
    finally:
        pg.psql("alter database bff reset synchronous_commit")


def test_a_lease_is_for_one(pg):
    create(pg, 1)
    assert lease(pg, 1, 2)[:2] == ["f", "1"]  # not this generation
    assert lease(pg, 1, 1)[0] == "t"
    got = lease(pg, 1, 1, owner="o2", attempt="a2")
    assert got[:3] == ["f", "1", "1"] and int(got[3]) > 0 and got[4] == "live"
    for wrong in ({"owner": "o2"}, {"attempt": "a2"}):
        assert commit(pg, 1, 1, **wrong) == ["f", "1"]
    assert commit(pg, 1, 2) == ["f", "1"]
    assert lease(pg, 9, 1) == ["f", "0", "0", "0", "none", "0"]
    assert commit(pg, 9, 1) == ["f", "0"]


def test_a_lease_that_ran_out_goes_to_the_next_and_is_counted(pg):
    create(pg, 1)
    lease(pg, 1, 1, ms=0)
    got = lease(pg, 1, 1, owner="o2", attempt="a2")
    assert got[:3] == ["t", "1", "2"]
    assert commit(pg, 1, 1) == ["f", "1"]  # the first one is too late
    assert commit(pg, 1, 1, owner="o2", attempt="a2") == ["t", "2"]


def test_a_lease_race_has_one_winner(pg):
    create(pg, 1)
    sql = "select leased, attempts from bff_private.refresh_lease(%s, 1, '%s', 'a', 15000)"
    with pg.session("bff_broker") as a, pg.session("bff_broker") as b:
        b.run("set lock_timeout = '60s'")
        a.run("begin")
        assert a.run(sql % (grant(1), "o1")) == [["t", "1"]]
        b.send(sql % (grant(1), "o2"))
        b.wait_blocked()
        a.run("commit")
        assert b.result() == [["f", "1"]]


def release(pg, n, generation, fate, owner="o1", attempt="a1"):
    return pg.value("select bff_private.refresh_release(%s, %d, '%s', '%s', '%s')" % (grant(n), generation, owner, attempt, fate),
                    user="bff_broker")


def test_giving_a_lease_back(pg):
    create(pg, 1)
    lease(pg, 1, 1)
    assert release(pg, 1, 1, "unused", owner="o2") == release(pg, 1, 1, "unused", attempt="a2") == "f"
    assert release(pg, 1, 1, "unused") == "t"
    assert release(pg, 1, 1, "unused") == "f"
    assert lease(pg, 1, 1)[2] == "1"  # it did not count
    assert release(pg, 1, 1, "unknown") == "t"
    assert lease(pg, 1, 1)[2] == "2"
    assert release(pg, 1, 1, "suspect") == "t"
    assert lease(pg, 1, 1)[2] == "2"  # as one, however many there were
    assert release(pg, 1, 1, "suspect") == "t"
    assert lease(pg, 1, 1)[2] == "2"


def test_a_grace_period_runs_from_the_first_attempt(pg):
    create(pg, 1)
    assert int(lease(pg, 1, 1, ms=0)[5]) < 5000
    pg.psql("update bff_private.grants set first_attempt_at = now() - interval '60 s'")
    assert 60000 <= int(lease(pg, 1, 1, ms=0)[5]) < 70000
    assert 60000 <= int(lease(pg, 1, 1)[5]) < 70000
    commit(pg, 1, 1)
    assert int(lease(pg, 1, 2)[5]) < 5000  # of the new generation
    release(pg, 1, 2, "unused")
    pg.psql("update bff_private.grants set first_attempt_at = now() - interval '60 s'")
    assert int(lease(pg, 1, 2)[5]) < 5000  # nothing was sent before


def test_the_version_before_leases_and_gives_back(pg):
    create(pg, 1)
    old = "select leased, attempts from bff_private.grant_lease(%s, 1, 'o1', 'a1', 0)" % grant(1)
    assert pg.psql(old, user="bff_broker") == [["t", "1"]]
    got = lease(pg, 1, 1)
    assert got[:3] == ["t", "1", "2"] and int(got[5]) < 5000  # since its attempt
    assert pg.value("select bff_private.grant_release(%s, 1, 'o1', 'a1', false)" % grant(1), user="bff_broker") == "t"
    assert token(pg, 1)[4] == "1"


def put_sql(n, generation, session=None, service="svc", token="'\\x22'", refresh="null", id_token="null"):
    return ("select bff_private.token_put(%s, %s, %d, '%s', %s, 60000, '\\x33', %s, %s)"
            % (sql_hash(n if session is None else session), grant(n), generation, service, token, refresh, id_token))


def put(pg, n, generation, **more):
    return pg.value(put_sql(n, generation, **more), user="bff_broker")


def test_a_token_that_was_had_without_a_lease(pg):
    create(pg, 1)
    assert put(pg, 1, 1) == "t"
    # Sealed under generation + 1, whatever the grant's is; the grant did not move.
    assert token(pg, 1) == ["live", "1", "live", "\\x01", "0", "\\x22", "2", "\\x33", "1", "1"]
    assert put(pg, 1, 1, token="'\\x55'", refresh="'\\x11'", id_token="'\\x12'") == "t"
    assert token(pg, 1) == ["live", "2", "live", "\\x11", "0", "\\x55", "2", "\\x33", "2", "2"]
    # Another one was first: its refresh token stays, our access token is as good.
    assert put(pg, 1, 1, token="'\\x66'", refresh="'\\x77'") == "t"
    assert token(pg, 1) == ["live", "2", "live", "\\x11", "0", "\\x66", "2", "\\x33", "2", "2"]
    # Not under somebody's lease.
    lease(pg, 1, 2)
    assert put(pg, 1, 2, refresh="'\\x77'") == "t"
    assert token(pg, 1)[1:4] == ["2", "live", "\\x11"]
    assert put(pg, 1, 2, session=2) == "f"
    pg.psql("update bff_private.grants set ended_at = now()")
    assert put(pg, 1, 2, token="'\\x88'") == "f" and token(pg, 1)[5] != "\\x88"
    pg.psql("update bff_private.grants set ended_at = null")
    pg.psql("select * from bff_private.session_end(%s)" % sql_hash(1), user="bff_web")
    assert put(pg, 1, 2) == "f"
    assert pg.value("select count(*) from bff_private.token") == "0"


@pytest.mark.parametrize("first", ["end", "put"])
def test_put_and_end_cannot_miss_each_other(pg, first):
    create(pg, 1)
    end = "delete from bff_private.session where id_hash = %s" % sql_hash(1)
    with pg.session() as a, pg.session() as b:
        a.run("begin")
        a.run(end if first == "end" else put_sql(1, 1))
        b.send(put_sql(1, 1) if first == "end" else end)
        b.wait_blocked()
        a.run("commit")
        b.result()
    assert pg.value("select count(*) from bff_private.token") == "0"


def past(pg, n, app="app", provider="idp", issuer="https://idp"):
    got, = pg.psql("select coalesce(challenge, ''), coalesce(hint, ''), grant_id is null, id_token_generation from "
                   "bff_private.login_past(%s, '%s', '%s', '%s')" % (sql_hash(n), app, provider, issuer), user="bff_broker")
    return got[:2]


def test_what_a_provider_demands_of_the_next_login_is_told_once_and_to_its_session(pg):
    create(pg, 1, claims='{"preferred_username": "al"}')
    create(pg, 2)
    demand = "select bff_private.grant_challenge(%s, '{}')"
    assert pg.value(demand % grant(1), user="bff_broker") == "t"
    assert pg.value(demand % grant(7), user="bff_broker") == "f"
    for other in ({"app": "other"}, {"provider": "other"}, {"issuer": "https://other"}):
        assert past(pg, 1, **other) == ["", ""]
    assert past(pg, 2) == ["", "alice@example.com"]
    assert past(pg, 1) == ["{}", "alice@example.com"]
    assert past(pg, 1) == ["", "alice@example.com"]
    pg.psql("update bff_private.session set email = ''")
    assert (past(pg, 1), past(pg, 2)) == (["", "al"], ["", ""])
    pg.value(demand % grant(1), user="bff_broker")
    pg.psql("delete from bff.sessions where ref = (select ref from bff_private.session where id_hash = %s)" % sql_hash(1))
    assert past(pg, 1) == ["", ""]
    assert pg.value(demand % grant(1), user="bff_broker") == "f"


def test_a_dead_grant_ends_its_session_unless_it_moved_on(pg):
    create(pg, 1)
    dead = "select bff_private.grant_dead(%s, %d, 'o1', 'a1')"
    lease(pg, 1, 1)
    commit(pg, 1, 1)
    assert pg.value(dead % (grant(1), 1), user="bff_broker") == "f"
    assert state(pg, 1) == "live"
    lease(pg, 1, 2)
    assert pg.value(dead % (grant(1), 2), user="bff_broker") == "t"
    assert state(pg, 1) == "reauthenticate"
    assert pg.psql("select grant_id from bff_private.revocation_take('r', 1000, 10)", user="bff_broker") == []
    pg.psql("select bff_private.sweep(10)", user="bff_broker")
    assert pg.value("select count(*) from bff_private.grants") == "0"


def test_a_grant_given_up_after_an_unknown_outcome_is_still_revoked(pg):
    create(pg, 1)
    lease(pg, 1, 1, ms=0)
    lease(pg, 1, 1)
    assert pg.value("select bff_private.grant_dead(%s, 1, 'o1', 'a1')" % grant(1), user="bff_broker") == "t"
    assert state(pg, 1) == "reauthenticate"
    assert pg.psql("select grant_id from bff_private.revocation_take('r', 1000, 10)", user="bff_broker") == [["\\x00000001"]]


def test_a_refresh_in_flight_commits_to_an_ended_grant_and_is_revoked(pg):
    create(pg, 1)
    lease(pg, 1, 1)
    pg.psql("select * from bff_private.session_end(%s)" % sql_hash(1), user="bff_web")
    # Nobody revokes the old token while its successor may be on the way.
    assert pg.psql("select * from bff_private.revocation_take('r', 1000, 10)", user="bff_broker") == []
    assert commit(pg, 1, 1) == ["t", "2"]
    assert pg.value("select count(*) from bff_private.token") == "0"
    assert pg.psql("select * from bff_private.revocation_take('r', 1000, 10)", user="bff_broker") == [
        ["\\x00000001", "idp", "2", "\\x11", "1", "https://idp"]]
    assert pg.value("select bff_private.revocation_done(%s, 'other')" % grant(1), user="bff_broker") == "f"
    assert pg.value("select bff_private.revocation_done(%s, 'r')" % grant(1), user="bff_broker") == "t"
    assert pg.value("select count(*) from bff_private.grants") == "0"


def test_a_token_of_another_session_is_not_stored(pg):
    create(pg, 1)
    lease(pg, 1, 1)
    assert commit(pg, 1, 1, session=2) == ["t", "2"]
    assert token(pg, 1)[5] is None


def test_commit_and_end_cannot_miss_each_other(pg):
    for first in ("end", "commit"):
        n = 1 if first == "end" else 2
        create(pg, n)
        lease(pg, n, 1)
        end = "delete from bff_private.session where id_hash = %s" % sql_hash(n)
        with pg.session() as a, pg.session() as b:
            a.run("begin")
            a.run(end if first == "end" else commit_sql(n, 1))
            b.send(commit_sql(n, 1) if first == "end" else end)
            b.wait_blocked()
            a.run("commit")
            got = b.result()
        if first == "end":
            assert got == [["t", "2"]]
        assert pg.value("select count(*) from bff_private.token where grant_id = %s" % grant(n)) == "0"
        assert pg.psql("select generation, refresh_sealed, ended_at is not null from bff_private.grants where grant_id = %s"
                       % grant(n)) == [["2", "\\x11", "t"]]


def test_revocations_are_leased_and_given_up_in_the_end(pg):
    create(pg, 1)
    pg.psql("select * from bff_private.session_end(%s)" % sql_hash(1), user="bff_web")
    take_sql = "select grant_id, tries from bff_private.revocation_take('%s', %d, 10)"
    assert pg.psql(take_sql % ("r1", 60000), user="bff_broker") == [["\\x00000001", "1"]]
    assert pg.psql(take_sql % ("r2", 60000), user="bff_broker") == []
    retry = "select bff_private.revocation_retry(%s, 'r1', %%d)" % grant(1)
    assert pg.value(retry % 60000, user="bff_broker") == "t"
    assert pg.psql(take_sql % ("r1", 60000), user="bff_broker") == []  # not due yet
    pg.psql("update bff_private.grants set due_at = now()")
    for n in range(2, 12):
        assert pg.psql(take_sql % ("r1", 60000), user="bff_broker") == [["\\x00000001", str(n)]]
        assert pg.value(retry % 0, user="bff_broker") == "t"
    pg.psql(take_sql % ("r1", 60000), user="bff_broker")
    assert pg.value(retry % 0, user="bff_broker") == "f"
    assert pg.value("select count(*) from bff_private.grants") == "0"
    assert pg.psql("select action, app, by from bff.audit") == [["revocation_given_up", "app", "bff_broker"]]


def test_a_revocation_is_for_the_issuer_of_the_grant(pg):
    create(pg, 1)
    pg.psql("select * from bff_private.session_end(%s)" % sql_hash(1), user="bff_web")
    assert pg.psql("select provider, issuer, generation, refresh_sealed, tries from bff_private.revocation_take('r1', 60000, 10)",
                   user="bff_broker") == [["idp", "https://idp", "1", "\\x01", "1"]]
    assert pg.psql("select grant_id from bff_private.revocation_take('r2', 60000, 10)", user="bff_broker") == []


def test_an_outage_is_no_refusal(pg):
    """Out of reach is tried for a week; a refusal twelve times."""
    create(pg, 1)
    create(pg, 2, sub="bob")
    for n in (1, 2):
        pg.psql("select * from bff_private.session_end(%s)" % sql_hash(n), user="bff_web")
    retry = "select bff_private.revocation_retry(%s, 'r1', 0, %s)"

    def put_off(n, refused):
        pg.psql("select * from bff_private.revocation_take('r1', 60000, 10)", user="bff_broker")
        return pg.value(retry % (grant(n), refused), user="bff_broker")

    assert pg.value(retry % (grant(1), "true"), user="bff_broker") == "f"  # nobody's lease
    assert [put_off(1, "false") for _ in range(20)] == ["t"] * 20
    assert [put_off(2, "true") for _ in range(12)] == ["t"] * 11 + ["f"]
    pg.psql("update bff_private.grants set ended_at = now() - interval '6 days'")
    assert put_off(1, "false") == "t"
    pg.psql("update bff_private.grants set ended_at = now() - interval '7 days'")
    assert put_off(1, "false") == "f"
    assert pg.value("select count(*) from bff_private.grants") == "0"
    assert pg.psql("select action, reason, subject from bff.audit order by id") == [
        ["revocation_given_up", "the provider refused 12 times", "bob"],
        ["revocation_given_up", "the provider was out of reach for 7 days", "alice"]]


# ---- logout by the provider --------------------------------------------------------------------------

NOW_S = "floor(extract(epoch from clock_timestamp()))::int8"
LATER_MS = NOW_MS + " + 1"  # a beginning is cut to milliseconds, and refused when not clearly later
LOGIN_MS = 15 * MINUTE_MS


def provider_logout(sub="", sid="", jti="j-1", issuer="https://idp", age_s=0):
    """As the broker asks for it. age_s: so long ago was the token issued."""
    return ("select ended, replayed from bff_private.backchannel_logout('%s', '%s', '%s', '%s', %s - %d, %s + 180, %d, %d)"
            % (issuer, sub, sid, jti, NOW_S, age_s, NOW_S, MINUTE_MS, LOGIN_MS))


def backchannel(pg, **more):
    (got,) = pg.psql(provider_logout(**more), user="bff_broker")
    return got


def test_a_sid_ends_that_session_of_the_provider_alone(pg):
    create(pg, 1, sid="s1")
    create(pg, 2, sid="s1", app="other")
    create(pg, 3, sid="s2")
    create(pg, 4, sid="")
    assert backchannel(pg, sid="s1", issuer="https://other") == ["0", "f"]
    create(pg, 5, sid="", sub="bob")
    assert backchannel(pg, sid="s1", jti="j-2") == ["2", "f"]
    assert [state(pg, n) for n in (1, 2, 3, 4)] == ["backchannel", "backchannel", "live", "live"]
    # With a sub beside it, those of the person that may be of this session; not those that are of another.
    assert backchannel(pg, sid="s1", sub="alice", jti="j-3") == ["1", "f"]
    assert [state(pg, n) for n in (3, 4, 5)] == ["live", "backchannel", "live"]
    create(pg, 6, sid="")
    assert backchannel(pg, sid="s1", sub="alice", jti="j-4", age_s=65) == ["0", "f"]  # late, as below
    assert pg.value("select meaning from bff.ended limit 1", user="anna") == "the provider asked for it"


def test_a_sub_alone_ends_all_of_the_person(pg):
    for n, more in enumerate([{}, {"app": "other"}, {"sid": ""}, {"sub": "bob"}], 1):
        create(pg, n, **more)
    assert backchannel(pg, sub="alice", issuer="https://other") == ["0", "f"]
    assert backchannel(pg, sub="alice", jti="j-2") == ["3", "f"]
    assert [state(pg, n) for n in (1, 2, 3, 4)] == ["backchannel"] * 3 + ["live"]
    assert backchannel(pg, sub="nobody", jti="j-3") == ["0", "f"]  # already logged out is as good


def test_a_replayed_logout_token_has_no_effect(pg):
    assert backchannel(pg, sub="alice") == ["0", "f"]
    assert create(pg, 1, begun=LATER_MS)
    assert backchannel(pg, sub="alice") == ["0", "t"]
    assert state(pg, 1) == "live"
    assert backchannel(pg, sub="alice", issuer="https://other") == ["0", "f"]  # a jti is its issuer's
    assert backchannel(pg, sub="alice", jti="j-2")[1] == "f"


def test_a_replay_waits_for_the_first_to_commit(pg):
    create(pg, 1)
    with pg.session() as a, pg.session() as b:
        a.run("begin")
        assert a.run(provider_logout(sub="alice")) == [["1", "f"]]
        b.send(provider_logout(sub="alice"))
        b.wait_blocked()
        a.run("commit")
        assert b.result() == [["0", "t"]]


@pytest.mark.parametrize("age_s,want", [(0, "backchannel"), (55, "backchannel"), (65, "live")])
def test_a_late_token_spares_a_login_that_began_after_it(pg, age_s, want):
    """Within the skew of two clocks it cannot be told: ended."""
    create(pg, 1)
    assert backchannel(pg, sub="alice", age_s=age_s) == ["0" if want == "live" else "1", "f"]
    assert state(pg, 1) == want


def test_it_is_the_beginning_of_the_login_that_counts(pg):
    """The token is 65 s old and the session younger; but its login began before the token was issued."""
    create(pg, 1, begun=NOW_MS + " - 70000")
    create(pg, 2, sub="bob")
    pg.psql("update bff_private.session set begun_at = null, created_at = now() - interval '70 s' where sub = 'bob'")
    assert backchannel(pg, sub="alice", age_s=65) == ["1", "f"]
    assert backchannel(pg, sub="bob", age_s=65, jti="j-2") == ["1", "f"]  # of before the migration


def test_a_late_token_refuses_only_logins_of_before(pg):
    begun = {age: pg.value("select %s - %d" % (NOW_MS, age * 1000)) for age in (1, 70)}
    backchannel(pg, sub="alice", age_s=65)
    assert create(pg, 1, begun=begun[70]) is None
    assert create(pg, 2, begun=begun[1])


def test_a_login_of_a_session_logged_out_meanwhile_is_refused(pg):
    begun = pg.value("select " + NOW_MS)
    backchannel(pg, sid="s1")
    assert create(pg, 1, sid="s1", begun=begun) is None
    assert create(pg, 2, sid="s2", begun=begun)
    assert create(pg, 3, sid="", begun=begun)
    assert create(pg, 4, sid="s1", begun=LATER_MS)  # a provider that keeps its sid over logins
    assert pg.value("select count(*) from bff_private.logged_out") == "1"  # logins leave nothing there


def test_a_login_that_names_no_session_may_be_of_the_one_logged_out(pg):
    """A sid and a sub end the sessions of the person that have no sid; so they refuse those under way, and only those."""
    begun = pg.value("select " + NOW_MS)
    assert backchannel(pg, sid="s1", sub="alice") == ["0", "f"]
    assert create(pg, 1, sid="", begun=begun) is None
    assert create(pg, 2, sid="s2", begun=begun)
    assert create(pg, 3, sid="", sub="bob", begun=begun)
    assert create(pg, 4, sid="", begun=LATER_MS)
    assert backchannel(pg, sid="s1", sub="carl", jti="j-2", age_s=65) == ["0", "f"]
    assert create(pg, 5, sid="", sub="carl", begun=begun)  # late, as above


def test_logouts_are_forgotten_in_time(pg):
    backchannel(pg, sid="s1")
    backchannel(pg, sid="s2", jti="j-2")
    assert pg.value("select bff_private.sweep(100)", user="bff_broker") == "0"
    assert pg.psql("select expires_at between now() + interval '14 min' and now() + interval '15 min' from bff_private.logged_out") == [
        ["t"], ["t"]]
    assert pg.psql("select expires_at between now() + interval '238 s' and now() + interval '240 s' from bff_private.logout_token") == [
        ["t"], ["t"]]
    pg.psql("update bff_private.logged_out set expires_at = now(); update bff_private.logout_token set expires_at = now()")
    assert [pg.value("select bff_private.sweep(1)", user="bff_broker") for _ in range(3)] == ["2", "2", "0"]


def test_finding_sessions_of_a_sid_uses_its_index(pg):
    plan = pg.psql("set enable_seqscan = off; explain select from bff_private.session s where s.issuer = 'i' and s.sid = 's' and s.sid <> ''")
    assert any("session_sid" in line[0] for line in plan)


# ---- a subject-wide end and a login cannot miss each other -------------------------------------------


@pytest.mark.parametrize("first", ["login", "end"])
def test_a_login_without_sid_and_the_end_of_a_session_cannot_miss_each_other(pg, first):
    login = create_sql(2, sid="", begun=pg.value("select " + NOW_MS))
    end = provider_logout(sid="s1", sub="alice")
    with pg.session() as a, pg.session() as b:
        a.run("begin")
        a.run(login if first == "login" else end)
        b.send(end if first == "login" else login)
        b.wait_blocked()
        a.run("commit")
        assert b.result()[-1][0] == ("1" if first == "login" else "f")
    assert state(pg, 2) != "live"


@pytest.mark.parametrize("everywhere", ["select * from bff.revoke_subject('alice', 'left')",
                                        "select ended from bff_private.logout(%s, 'app', true)" % sql_hash(1),
                                        provider_logout(sub="alice"), provider_logout(sid="sid-2")])
@pytest.mark.parametrize("first", ["login", "end"])
def test_subject_wide_end_and_login_in_flight(pg, everywhere, first):
    create(pg, 1)
    begun = pg.value("select " + NOW_MS)
    login = create_sql(2, begun=begun)
    with pg.session() as a, pg.session() as b:
        a.run("begin")
        a.run(login if first == "login" else everywhere)
        b.send(everywhere if first == "login" else login)
        b.wait_blocked()
        a.run("commit")
        got = b.result()
    if first == "end":
        assert got[-1][0] == "f"
    others = "1" if "sid-2" in everywhere else "0"
    assert (state(pg, 1) == "live") == (others == "1")
    assert state(pg, 2) != "live"
    assert pg.value("select count(*) from bff.sessions") == others


def test_logout_everywhere_crosses_apps_and_says_where_to_go(pg):
    create(pg, 1)
    create(pg, 2, app="other")
    create(pg, 3, sub="bob")
    got = pg.psql("select * from bff_private.logout(%s, 'other', true)" % sql_hash(1), user="bff_broker")
    assert got == [["0"] + 5 * [None]]  # a session of another app is nothing here
    got = pg.psql("select * from bff_private.logout(%s, 'app', true)" % sql_hash(1), user="bff_broker")
    assert got == [["2", "idp", "\\x02", "\\x00000001", "1", "https://idp"]]
    assert [state(pg, n) for n in (1, 2, 3)] == ["logout", "logout", "live"]


def test_a_dead_session_cannot_log_out_everywhere(pg):
    create(pg, 1)
    create(pg, 2)
    pg.psql("update bff_private.session set absolute_expires_at = now() where id_hash = %s" % sql_hash(1))
    pg.psql("select * from bff_private.logout(%s, 'app', true)" % sql_hash(1), user="bff_broker")
    assert [state(pg, n) for n in (1, 2)] == ["expired", "live"]


# ---- a crash ------------------------------------------------------------------------------------------


def revalidated(pg, n, after_ms=1000, **more):
    """A session that is to be revalidated, as the broker makes it."""
    sql = create_sql(n, **more)
    pg.psql(sql[:-1] + ", %d, null, null)" % after_ms, user="bff_broker")


def due(pg, n, ago="1 s"):
    pg.psql("update bff_private.session_activity set revalidate_at = now() - interval '%s' where id_hash = %s" % (ago, sql_hash(n)))


def touch_due(pg, n):
    return pg.value("select touch_due from bff_private.session_get(%s)" % sql_hash(n), user="bff_web")


def touch(pg, *numbers):
    return pg.value("select touched from bff_private.session_touch(array[%s])" % ",".join(map(sql_hash, numbers)), user="bff_web")


def take_revalidations(pg, owner="o1", lease_ms=60000, rows=10):
    return pg.psql("select * from bff_private.revalidation_take('%s', %d, %d)" % (owner, lease_ms, rows), user="bff_broker")


def queue(pg):
    return pg.psql("select id_hash from bff_private.revalidation order by 1")


def test_a_session_in_use_is_queued_once_when_its_time_has_come(pg):
    revalidated(pg, 1)
    create(pg, 2)
    revalidated(pg, 3, after_ms=0)
    assert [touch_due(pg, n) for n in (1, 2, 3)] == ["f", "f", "f"]
    due(pg, 1)
    assert [touch_due(pg, n) for n in (1, 2, 3)] == ["t", "f", "f"]
    assert queue(pg) == []  # it is not in use
    assert touch(pg, 1, 2, 3) == "1"
    assert queue(pg) == [["\\x" + hex_hash(1)]]
    assert touch_due(pg, 1) == "f" and touch(pg, 1) == "0"
    due(pg, 1)
    assert touch(pg, 1) == "1" and len(queue(pg)) == 1
    # Neither ended nor expired ones.
    due(pg, 1)
    pg.psql("delete from bff_private.revalidation; update bff_private.session_activity set last_seen = now() - interval '1 h'")
    assert touch(pg, 1) == "0" and queue(pg) == []


def test_a_revalidation_is_for_one_and_comes_back(pg):
    revalidated(pg, 1)
    due(pg, 1)
    touch(pg, 1)
    (got,) = take_revalidations(pg)
    assert got == ["\\x" + hex_hash(1), "app", "idp", "https://idp", "alice", "\\x00000001", "1"]
    assert take_revalidations(pg, "o2") == []
    pg.psql("update bff_private.revalidation set lease_until = clock_timestamp()")
    assert take_revalidations(pg, "o2")[0][6] == "2"
    retry = "select bff_private.revalidation_retry(%s, '%s', %d)"
    assert pg.value(retry % (sql_hash(1), "o1", 0), user="bff_broker") == "f"
    assert pg.value(retry % (sql_hash(1), "o2", 60000), user="bff_broker") == "t"
    assert take_revalidations(pg) == []
    pg.psql("update bff_private.revalidation set due_at = clock_timestamp()")
    assert take_revalidations(pg)[0][6] == "3"


def test_a_revalidation_that_is_done(pg):
    done = "select bff_private.revalidation_done(%s, '%s', %s, %s, %s)"
    shown = "select claims, email, name from bff_private.session where id_hash = %s" % sql_hash(1)
    revalidated(pg, 1)
    due(pg, 1)
    touch(pg, 1)
    take_revalidations(pg)
    new = """'{"name": "B. Person", "groups": []}'"""
    assert pg.value(done % (sql_hash(1), "o2", 5000, new, "'b@example.com'"), user="bff_broker") == "f"
    assert pg.value(done % (sql_hash(1), "o1", 5000, new, "'b@example.com'"), user="bff_broker") == "t"
    assert pg.psql(shown) == [['{"name": "B. Person", "groups": []}', "b@example.com", "B. Person"]]
    assert queue(pg) == [] and touch_due(pg, 1) == "f"
    left = "select round(date_part('epoch', revalidate_at - now())) from bff_private.session_activity where id_hash = %s" % sql_hash(1)
    assert 0 < int(pg.value(left)) <= 5
    due(pg, 1)
    touch(pg, 1)
    take_revalidations(pg)
    assert pg.value(done % (sql_hash(1), "o1", 0, "null", "null"), user="bff_broker") == "t"
    assert pg.psql(shown)[0][2] == "B. Person"
    assert pg.value(left) is None  # never again


def test_a_revalidation_that_ends_the_session(pg):
    end = "select bff_private.revalidation_end(%s, '%s')"
    revalidated(pg, 1)
    due(pg, 1)
    touch(pg, 1)
    take_revalidations(pg)
    assert pg.value(end % (sql_hash(1), "o2"), user="bff_broker") == "f"
    assert state(pg, 1) == "live"
    assert pg.value(end % (sql_hash(1), "o1"), user="bff_broker") == "t"
    assert state(pg, 1) == "reauthenticate" and queue(pg) == []
    assert pg.value("select count(*) from bff_private.grants where ended_at is not null") == "1"


def test_what_a_provider_demands_outlives_the_session_that_its_answer_ends(pg):
    for n in (1, 2):
        revalidated(pg, n)
        due(pg, n)
    touch(pg, 1, 2)
    take_revalidations(pg)
    pg.value("select bff_private.grant_challenge(%s, '{}')" % grant(1), user="bff_broker")
    for n in (1, 2):
        assert pg.value("select bff_private.revalidation_end(%s, 'o1')" % sql_hash(n), user="bff_broker") == "t"
    for other in ({"app": "other"}, {"provider": "other"}, {"issuer": "https://other"}):
        assert past(pg, 1, **other) == ["", ""]
    assert [past(pg, n) for n in (2, 1, 1)] == [["", ""], ["{}", ""], ["", ""]]


def test_the_queue_forgets_sessions_that_are_over(pg):
    for n in (1, 2, 3):
        revalidated(pg, n, sub="s%d" % n)
        due(pg, n)
    touch(pg, 1, 2, 3)
    pg.psql("select * from bff_private.session_end(%s)" % sql_hash(1), user="bff_web")
    pg.psql("update bff_private.session set absolute_expires_at = now() where id_hash = %s" % sql_hash(2))
    assert [r[4] for r in take_revalidations(pg)] == ["s3"]
    assert queue(pg) == [["\\x" + hex_hash(3)]]


@pytest.mark.parametrize("late", ["due_at = now() - interval '11 min'", "tries = 8"])
def test_the_doctor_sees_revalidations_that_do_not_come_about(pg, late):
    revalidated(pg, 1)
    due(pg, 1)
    touch(pg, 1)
    checked = "select status from bff.doctor where subject = 'revalidations'"
    assert pg.value(checked, user="mona") == "ok"
    pg.psql("update bff_private.revalidation set " + late)
    assert pg.value(checked, user="mona") == "warn"


def test_touch_and_the_end_of_a_revalidation_do_not_lock_each_other_out(pg):
    revalidated(pg, 1)
    due(pg, 1)
    touch(pg, 1)
    take_revalidations(pg)
    due(pg, 1)
    with pg.session("bff_broker") as a:
        a.run("begin")
        a.run("select bff_private.revalidation_end(%s, 'o1')" % sql_hash(1))
        assert touch(pg, 1) == "0"  # at once, without waiting
        a.run("commit")
    assert queue(pg) == [] and state(pg, 1) == "reauthenticate"


def test_a_crash_forgets_nothing():
    with Postgres(settings={"fsync": "on"}) as pg:
        pg.migrate()
        create(pg, 1)
        create(pg, 2)
        pg.psql("select * from bff_private.session_end(%s)" % sql_hash(2), user="bff_web")
        pg.kill()
        pg.start()
        assert [state(pg, n) for n in (1, 2)] == ["live", "logout"]
        assert token(pg, 1, "@session")[3] == "\\x01"
