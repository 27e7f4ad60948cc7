"""What the broker's sweep does to what is past its time, on real parts; see broker/sweep.h."""
import hashlib
import re

from broker import Broker, begin, login, token
from wait import eventually

SWEPT_S = 60  # the first sweep comes within 12 s of a start, the next ones every 30 to 45 s


def count(pg, table, where):
    return int(pg.value("select count(*) from bff_private.%s where %s" % (table, where)))


def test_a_restarted_broker_sweeps_what_passed_its_time(pg, idp):
    with Broker(pg, idp.issuer) as b:
        b.wait_log("event=database state=up")
        b.wait_log("event=provider_keys")
        with b.worker() as w:
            over, idle, live = login(w, "alice"), login(w, "alice"), login(w, "bob")
            assert token(w, over.session).name == "token"
            assert {begin(w, "alice").name for _ in range(3)} == {"login_begun"}
        b.stop()
        # Neither is swept by a stopped broker, nor was it by the first one: only now it is due.
        for done, change in ((over, "absolute_expires_at = now()"), (idle, "idle = interval '1 ms'")):
            pg.psql("update bff_private.session set %s where ref = '%s'" % (change, done.session_ref))
            pg.psql("update bff_private.session_activity a set check_at = now() from bff_private.session s "
                    "where s.id_hash = a.id_hash and s.ref = '%s'" % done.session_ref)
        pg.psql("update bff_private.login set expires_at = now() where state_hash in "
                "(select state_hash from bff_private.login where used_at is null order by begun_at limit 2)")
        assert count(pg, "session", "true") == 3 and count(pg, "grants", "true") == 3
        left = count(pg, "login", "expires_at > now()")
        assert left >= 1 and count(pg, "login", "expires_at <= now()") >= 2
        before = idp.stats()
        sweeps = len(re.findall("event=swept", b.log_text()))
        b.start()
        eventually(lambda: count(pg, "session", "true") == 1, timeout_s=SWEPT_S, what="the sweep")
        b.wait_log("event=swept", sweeps + 1)
        for done, reason in ((over, "expired"), (idle, "idle")):
            assert pg.value("select reason from bff.ended where ref = '%s'" % done.session_ref) == reason
            mine = "session_hash = '\\x%s'" % hashlib.sha256(done.session).hexdigest()
            eventually(lambda m=mine: count(pg, "grants", m) == 0, timeout_s=SWEPT_S, what="the grant's deletion")
        assert count(pg, "login", "expires_at <= now()") == 0 and count(pg, "login", "true") == left
        assert idp.stats()["revocations"] == before["revocations"] + 2
        with b.worker() as w:
            b.wait_log("event=database state=up", 2)
            b.wait_log("event=provider_keys", 2)
            assert token(w, over.session).word == "no_session"
            assert token(w, live.session).name == "token"
        assert count(pg, "grants", "true") == 1
