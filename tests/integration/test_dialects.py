"""Every product in its own dialect (tests/lib/dialects.py), through the real broker on a real PostgreSQL.

One broker knows them all. What waits for holdoffs has a provider of its own and begins with the first test, side by
side with the others; its test waits for how it ended.
"""
import concurrent.futures
import urllib.parse
from dataclasses import replace

import pytest

import dialects
import jws
from broker import CLIENT_SECRET, Broker, begin, finish_when_asked, forget
from dialect import presets
from op import Client, Op, Refusal
from postgres import Postgres
from wait import eventually

PARALLEL = 40
LATER = ("provider_down", "store")
ENDED = ("reauthenticate", "no_session")
TEXT = """
provider "{label}" {{
    preset = {word}
    issuer = "{issuer}"
    client_id = "bff"
    client_secret_file = "{{dir}}/client-secret"
    scopes = {{{{{scopes}}}}}
    insecure_loopback = yes
    {options}
}}
app "{label}" {{ provider = "{label}" origins = {{{{"{origin}"}}}} insecure_loopback = yes }}
""".replace("{{{{", "{{").replace("}}}}", "}}")
SERVICE = """
service "{label}-{name}" {{ provider = "{label}" grant = {grant} {options} }}
route "{label}-{name}" {{ app = "{label}" path = "/{name}/" service = "{label}-{name}" }}
"""


class Run:
    """A dialect as a provider of the broker, and sessions there."""

    def __init__(self, kind, label, op, secret_file, options=""):
        self.kind, self.label, self.origin = kind, label, "http://%s.localhost:8080" % label
        self.issuer = op.issuer(label, Client(self.origin + "/auth/callback", secret=CLIENT_SECRET), kind=kind)
        self.op, self.pg, self.worker = op, None, None
        self.text = TEXT.format(label=label, word=kind.word, issuer=self.issuer.url, origin=self.origin,
                                scopes=", ".join('"%s"' % s for s in kind.scopes), options=options)
        self.text = self.text.replace("{dir}/client-secret", secret_file)
        for name, service in kind.services.items():
            self.text += SERVICE.format(label=label, name=name, grant=service.grant, options=service.options)

    def login(self, user="alice", session=b""):
        about = {"app": self.label, "origin": self.origin, "client": self.label}
        begun = begin(self.worker, user, return_to=self.origin + "/", session=session, **about)
        assert begun.name == "login_begun", begun
        status, location, body = self.op.visit(begun.location)
        assert status == 302, (body, self.issuer.wrong)
        query = urllib.parse.urlsplit(location).query
        done = finish_when_asked(self.worker, begun, dict(urllib.parse.parse_qsl(query)), **about)
        assert done.name == "login_finished", (done, self.issuer.wrong)
        return done.session

    def send(self, session, service):
        return self.worker.send("token_get", session=session, app=self.label, correlation="c",
                                service="%s-%s" % (self.label, service))

    def token(self, session, service):
        return self.worker.answer(self.send(session, service))

    def ask_until(self, session, service):
        """Until the answer is not "later"."""
        got = []
        eventually(lambda: got.append(self.token(session, service)) or got[-1].get("word") not in LATER, "an end", 60)
        return got[-1]

    def expire(self, session):
        self.pg.psql("update bff_private.token t set expires_at = now() - interval '1 s' from bff_private.grants g "
                     "where g.grant_id = t.grant_id and g.session_hash = sha256('\\x%s')" % session.hex())

    def ended(self, session):
        rows = self.pg.psql("select reason from bff_private.ended where id_hash = sha256('\\x%s')" % session.hex())
        return rows[0][0] if rows else None

    def refreshed(self):
        """A service whose token takes a refresh."""
        return "crm" if "crm" in self.kind.services else "own"


# ---- side by side: what waits for holdoffs --------------------------------------------------------

def answers_that_end_nothing(run):
    """Each costs what was asked for at most; the session lives, and its refresh token is still the one that counts."""
    name, session = "own", b""
    for refusal, word in ((Refusal("invalid_client", 401), "upstream"), *run.kind.not_dead):
        session = run.login(session=session)  # the session brings what the refusal demands of the next login
        run.expire(session)
        run.issuer.told.append(refusal)
        got = []
        eventually(lambda: got.append(run.token(session, name)) or got[-1].get("detail") != "held_off", "an answer", 60)
        assert (got[-1].name, got[-1].get("word")) == ("failure", word), (refusal.body, got[-1])
        assert not run.issuer.told and run.ended(session) is None, refusal.body
    other = run.refreshed()
    if other != name:
        eventually(lambda: run.token(session, other).name == "token", "a token for " + other, 60)
        assert run.ended(session) is None
    assert run.issuer.reuses == 0


def answer_lost(run):
    """A refresh that was done and whose answer never came: one repetition, whatever it brings. As many as it takes
    where that harms nobody."""
    session = run.login()
    run.expire(session)
    run.issuer.lose = 1 if run.kind.single_use else 3
    name = run.refreshed()
    assert run.token(session, name).word == "provider_down"
    got = run.ask_until(session, name)
    if run.kind.single_use:
        assert got.word in ENDED and run.ended(session) == "reauthenticate"
        assert run.issuer.count() == 2 and run.issuer.reuses == 1
    else:
        assert got.name == "token" and run.ended(session) is None
        assert run.issuer.count() == 4


def answer_lost_in_grace(run):
    """Twice. The product honours the token before, and the successor that came in the end is the one that counts."""
    session = run.login()
    run.expire(session)
    run.issuer.lose = 2
    assert run.token(session, "crm").word == "provider_down"
    assert run.ask_until(session, "crm").name == "token"
    assert run.issuer.count() == 3
    for _ in range(2):
        run.expire(session)
        assert run.token(session, "crm").name == "token"
    assert run.ended(session) is None and run.issuer.reuses == 0


def successor_forgotten_in_grace(run):
    """As of a provider restored from a backup: the token before brings a new one, in time and once."""
    session = run.login()

    def ask():
        run.expire(session)
        forget(run.pg, run.worker)
        return run.token(session, "crm")

    assert ask().name == "token"
    with run.issuer.lock:
        newest = max(run.issuer.refresh_tokens, key=lambda t: run.issuer.refresh_tokens[t].generation)
        del run.issuer.refresh_tokens[newest]
    assert ask().name == "token"
    assert run.issuer.count() == 3 and run.issuer.reuses == 0
    assert ask().name == "token" and run.ended(session) is None
    assert run.issuer.count() == 4
    # Where the one before is dead, too, that is believed.
    run.issuer.families[-1].alive = False
    assert ask().word in ENDED and run.ended(session) == "reauthenticate"
    assert run.issuer.count() == 6 and run.issuer.reuses == 0


class Ahead(dialects.Entra):
    services = {name: replace(s, options=s.options + " prefetch = yes" * (s.grant in ("scope", "obo")))
                for name, s in dialects.Entra.services.items()}


def had_before_the_first_request(run):
    """At login, once each, though they all start from one refresh token."""
    session = run.login()
    names = [name for name, s in run.kind.services.items() if "prefetch" in s.options]
    filed = "select count(*) from bff_private.token where service ~ '^%s-(%s)$'" % (run.label, "|".join(names))
    eventually(lambda: run.pg.value(filed) == str(len(names)), what="a token each")
    for name in names:
        good(run, name, run.token(session, name))
    assert run.issuer.count() == len(names) and run.ended(session) is None
    run.expire(session)
    good(run, "crm", run.token(session, "crm"))


GRACE = {"auth0": "60s", "okta": "30s", "curity": "60s", "ping": "60s", "dex": "60s"}
STORMY = [(kind, scenario, "") for kind in dialects.ALL for scenario in (answers_that_end_nothing, answer_lost)]
STORMY += [(kind, answer_lost_in_grace, 'grace = "%s"' % GRACE[kind.word]) for kind in dialects.ALL
           if kind.word in GRACE]
STORMY += [(dialects.Auth0, successor_forgotten_in_grace, 'grace = "60s"')]
STORMY += [(Ahead, had_before_the_first_request, "")]


def name_of(kind, scenario):
    return "%s-%s" % (kind.word, scenario.__name__.replace("_", "-"))


@pytest.fixture(scope="module", name="world")
def fixture_world(tmp_path_factory):
    """The runs of the calm tests by word, and the outcomes of the others by name."""
    secret = tmp_path_factory.mktemp("secret") / "client-secret"
    secret.write_text(CLIENT_SECRET)
    secret.chmod(0o600)
    with Op(str(tmp_path_factory.mktemp("op"))) as op, Postgres() as pg:
        pg.migrate()
        idp = op.issuer("idp", Client("http://app.localhost:8080/auth/callback", secret=CLIENT_SECRET))
        calm = {kind.word: Run(kind, kind.word, op, str(secret)) for kind in dialects.ALL}
        stormy = {name_of(kind, scenario): Run(kind, name_of(kind, scenario), op, str(secret), options)
                  for kind, scenario, options in STORMY}
        runs = [*calm.values(), *stormy.values()]
        for run in stormy.values():
            run.issuer.grace_s = 60 if "grace" in run.label else 0
        with Broker(pg, idp.url, extra="".join(run.text for run in runs)) as b, b.worker() as w, \
                concurrent.futures.ThreadPoolExecutor(len(stormy)) as pool:
            b.wait_log("event=sealing_key .*state=primary")
            b.wait_log("event=provider_keys", len(runs) + 1)
            for run in runs:
                run.pg, run.worker = pg, w
            yield calm, {name_of(kind, scenario): pool.submit(scenario, stormy[name_of(kind, scenario)])
                         for kind, scenario, _ in STORMY}, stormy
            log = b.log_text()
            assert not any(secret in log for secret in op.secrets())


@pytest.fixture(name="run")
def fixture_run(request, world):
    run = world[0][request.param]
    had = len(run.issuer.wrong)
    yield run
    assert not run.issuer.wrong[had:]


def of(*words):
    return pytest.mark.parametrize("run", words, indirect=True)


products = of(*(kind.word for kind in dialects.ALL))


# ---- each product ---------------------------------------------------------------------------------

def good(run, name, answer):
    """A token of the service that `name` is."""
    service = run.kind.services[name]
    assert answer.name == "token", (name, answer, run.issuer.wrong)
    text = answer.access_token.decode()
    if service.grant == "id_token":
        assert text in run.issuer.id_tokens
        return
    assert set(service.scope.split()) <= set(run.issuer.access_tokens[text].split())
    if service.aud is None:
        assert "." not in text
        return
    aud = jws.verify(text, run.issuer.keys[0])["aud"]
    assert service.aud in ([aud] if isinstance(aud, str) else aud)


REFUSED = {"nowhere", "named", "wider", "mute"}  # services that the product does not give what they name


@products
def test_each_grant_brings_the_token_of_its_service(run):
    assert {s.grant for s in run.kind.services.values()} == presets()[run.kind.word]
    session = run.login()
    for name in [*run.kind.services] * 2:
        if name not in REFUSED:
            good(run, name, run.token(session, name))
    run.expire(session)
    for name in run.kind.services:
        if name not in REFUSED:
            good(run, name, run.token(session, name))
    assert run.issuer.reuses == 0 and run.ended(session) is None


@products
def test_at_expiry_forty_at_once_are_one_request_a_token(run):
    session = run.login()
    names = [n for n, s in run.kind.services.items() if s.grant not in ("id_token", "client_credentials")
             and n not in REFUSED]
    run.expire(session)
    before = run.issuer.count()
    sent = [(name, run.send(session, name)) for name in names * (PARALLEL // len(names) + 1)]
    for name, ident in sent:
        good(run, name, run.worker.answer(ident))
    assert run.issuer.count() == before + len(names)
    assert run.issuer.reuses == 0 and run.ended(session) is None
    run.expire(session)
    good(run, run.refreshed(), run.token(session, run.refreshed()))


@products
def test_the_answer_for_a_dead_token_ends_its_session_and_no_other(run):
    name = run.refreshed()
    dead, alive = run.login("alice"), run.login("bob")
    run.issuer.family("alice").alive = False
    for session in (dead, alive):
        run.expire(session)
    before = run.issuer.count()
    assert run.token(dead, name).word in ENDED
    assert run.token(dead, name).word == "no_session"
    assert run.issuer.count() == before + 1
    good(run, name, run.token(alive, name))
    assert (run.ended(dead), run.ended(alive)) == ("reauthenticate", None)


@pytest.mark.parametrize("name", [name_of(kind, scenario) for kind, scenario, _ in STORMY])
def test_side_by_side(world, name):
    _, outcomes, runs = world
    outcomes[name].result()
    assert not runs[name].issuer.wrong


# ---- what one product does ------------------------------------------------------------------------

@of("auth0")
@pytest.mark.parametrize("name", ["nowhere", "named"])
@pytest.mark.parametrize("default", [None, dialects.ORDERS])
def test_a_token_for_another_audience_never_reaches_the_service(run, monkeypatch, default, name):
    """Auth0 says nothing of an audience that it ignores; its refresh token moved on all the same."""
    session = run.login()
    monkeypatch.setattr(run.issuer, "default_audience", default)
    before = run.issuer.count()
    assert [(m.name, m.get("word")) for m in (run.token(session, name) for _ in range(3))] == [
        ("failure", "upstream")] * 3
    assert run.issuer.count() == before + 1
    assert run.pg.value("select count(*) from bff_private.token where service ~ 'nowhere|named'") == "0"
    good(run, "crm", run.token(session, "crm"))
    assert run.ended(session) is None and run.issuer.reuses == 0


@of("entra")
def test_another_services_token_is_no_assertion(run, monkeypatch):
    """On behalf of starts from a token for us: without a scope of ours the login's is for Microsoft Graph. Renewed
    once, and refused again, which says nothing of the refresh token."""
    with monkeypatch.context() as m:
        m.setattr(run.issuer, "resolve", lambda scope: (scope, None))
        session, before = run.login(), run.issuer.count()
        assert run.token(session, "obo").word == "upstream"
        assert run.token(session, "obo").detail == "held_off"
        assert run.issuer.count() == before + 3
    good(run, "crm", run.token(session, "crm"))
    assert run.ended(session) is None


@of("entra")
def test_what_is_demanded_of_the_next_login_goes_with_it_once(run):
    """interaction_required with claims (conditional access): without them at the next login the user would be sent
    there again and again. Of the session that was refused alone; the dialect complains of any other."""
    demand = '{"access_token":{"capolids":{"essential":true,"values":["p&q"]}}}'
    refused, other = run.login("carol"), run.login("dave")
    run.expire(refused)
    run.issuer.told.append(Refusal("interaction_required", suberror="basic_action", claims=demand))
    assert run.token(refused, "crm").word == "reauthenticate"
    run.login("dave", other)
    before = len(run.issuer.asked("authorize"))
    good(run, "crm", run.token(run.login("carol", refused), "crm"))
    run.login("carol", refused)
    asked = run.issuer.asked("authorize")[before:]
    assert [s.query.get("claims") for s in asked] == [demand, None]
    assert not run.issuer.wrong


@of("zitadel")
def test_an_exchange_for_more_audiences_is_refused(run):
    session = run.login()
    assert run.token(session, "wider").word == "upstream"
    good(run, "swap", run.token(session, "swap"))
    assert run.ended(session) is None


@of("dex")
def test_a_second_login_of_a_user_takes_the_first_ones_refresh_token(run):
    first, second, other = run.login("carol"), run.login("carol"), run.login("dave")
    for session in (first, second, other):
        run.expire(session)
    assert run.token(first, "crm").word in ENDED
    for session in (second, other):
        good(run, "crm", run.token(session, "crm"))
    assert [run.ended(s) for s in (first, second, other)] == ["reauthenticate", None, None]


@of("authentik")
def test_a_scope_left_out_without_a_word_is_noticed(run):
    session = run.login()
    assert run.token(session, "mute").word == "upstream"
    good(run, "own", run.token(session, "own"))
