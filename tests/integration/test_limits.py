"""What bounds a session beside its time: the client it was made for, how many a user may have, and logins that do not
hold."""
import time

import pytest

import browser
from stack import App, Stack
from wait import eventually

IDLE_S = 4
AGENT = "Mozilla/5.0 (test)"


@pytest.fixture(scope="module", name="limited")
def fixture_limited():
    with Stack(apps=[App("bound", ["app.localhost"], more="bind_session = {user_agent, address}\n"),
                     App("idle", ["idle.localhost"]),
                     App("few", ["few.localhost"], more="max_sessions = 2\n")]) as s:
        yield s


def login_as(s, agent):
    b = browser.Browser()
    b.agent = agent
    return s.login(b=b)


def status(s, b, agent=AGENT, source=None, host=None):
    """Of a page's request through the edge."""
    c = b.copy()
    c.agent, c.source = agent, source or b.source
    return c.fetch(s.url("/private/x", host)).status


@pytest.mark.parametrize("query, lives", [("?slide=false", False), ("", True)])
def test_polling_alone_keeps_no_session(limited, query, lives):
    """A page that asks all the while who is logged in. Workers remember sessions here."""
    b = limited.login("alice", host="idle.localhost")
    ref = limited.pg.value("select ref from bff_private.session where app = 'idle' order by created_at desc limit 1")
    # Use was last noted over a minute ago, and the limit is near.
    limited.pg.psql("update bff_private.session set idle = interval '%d s' where ref = '%s'" % (61 + IDLE_S, ref))
    limited.pg.psql("update bff_private.session_activity a set last_seen = now() - interval '61 s' "
                    "from bff_private.session s where s.id_hash = a.id_hash and s.ref = '%s'" % ref)
    started = time.monotonic()

    def answer():
        return b.fetch(limited.url("/auth/session" + query, "idle.localhost"))

    def moved():
        return time.monotonic() - started > 2 * IDLE_S

    eventually(lambda: answer().status != 200 or moved(), what="the limit")
    assert moved() == lives
    assert status(limited, b, host="idle.localhost") == (200 if lives else 401)
    if not lives:
        assert time.monotonic() - started > IDLE_S - 1
        assert "reason=idle" in limited.log("bffd")


def test_a_bound_session_is_good_for_its_own_client(limited):
    b = login_as(limited, AGENT)
    assert b.cookies(limited.url())["bff_session"].startswith("v2.")
    assert status(limited, b) == 200
    assert status(limited, b, agent="curl/8") == 401
    assert status(limited, b, source="127.255.0.1") == 401
    assert status(limited, b, source=b.source[:-1] + "9") == 200  # the same /24; and nothing was ended
    assert limited.log("bffd").count("reason=client") == 2


def test_another_client_logs_in_again_and_the_old_session_ends(limited):
    b = login_as(limited, AGENT)
    old = b.copy()
    b.agent = AGENT + " updated"
    limited.login(b=b)
    assert status(limited, b, agent=b.agent) == 200
    assert status(limited, old) == 401
    assert limited.pg.psql("select reason from bff.ended where app = 'bound'") == [["replaced"]]


def test_the_oldest_session_goes_when_a_user_has_too_many(limited):
    browsers = []
    for _ in range(3):
        browsers.append(limited.login("bob", host="few.localhost"))
    alice = limited.login("alice", host="few.localhost")
    got = [b.fetch(limited.url("/private/x", "few.localhost")).status for b in browsers]
    assert got == [401, 200, 200]
    assert alice.fetch(limited.url("/private/x", "few.localhost")).status == 200
    assert limited.pg.psql("select reason from bff.ended where app = 'few'") == [["max_sessions"]]


def test_logins_that_do_not_hold_end_on_a_page(limited):
    """A proxy that drops the session cookie: three logins, then a page, then three more."""
    b = browser.Browser()
    url = limited.url("/auth/login?login_hint=alice", "few.localhost")
    for _ in range(2):
        for _ in range(3):
            assert b.open(url).status == 200
            b.forget("bff_session")
        answer = b.get(url)
        assert answer.status == 400 and answer.location is None
        assert b"does not send the session cookie back" in answer.body
    assert "event=login_loop" in limited.log("bffd")
    assert b.open(url).status == 200


def all_revoked(s):
    """This provider revokes a login's code with it, if that is there already: also with one of a session before."""
    eventually(lambda: s.pg.value("select count(*) from bff_private.grants where ended_at is not null") == "0",
               what="the revocations")


def test_logging_out_and_in_again_is_no_loop(limited):
    b = browser.Browser()
    all_revoked(limited)
    for _ in range(5):
        limited.login("bob", host="few.localhost", b=b)
        answer = b.fetch(limited.url("/auth/logout", "few.localhost"), "POST", csrf=True)
        assert answer.status == 200 and "bff_session" not in b.cookies(limited.url("/", "few.localhost"))
        all_revoked(limited)
