"""The OpenID Foundation's conformance suite for clients, module by module, against a scripted provider.

A row is a module of the suite under the suite's own name: how its provider departs from the good way, and
what must come of it. The suite takes silence for a refusal; here a refusal is our callback's error page, no
session cookie, no session, no grant, nothing further asked of the provider, and the reason that we log.
An acceptance is a session with the provider's claims whose route gets the access token just issued.

A stack serves many rows: each has an issuer, a provider section, an app and a host of its own. What the
suite's own provider checks of a client (tests/lib/op.py: Issuer.wrong) must be without complaint in every row.
README.md lists the rows; tests/lint/conformance_table.py holds it to this table.

Rule Zero: over 400 lines, because the table is one, and its words are of no use elsewhere.
"""
import contextlib
import json
import re
import time
import urllib.parse
from dataclasses import dataclass, field
from typing import Callable

import pytest

import browser
import ca
import jws
from op import PROFILE, SUB, Client, Op, Profile, Script
from stack import App, Stack
from wait import eventually

STACK_ROWS = 60  # bff.conf takes 64 providers
CREDENTIALS = {"client_secret_basic": 'client_secret_file = "{}/client-secret"',
               "client_secret_post": 'client_secret_file = "{}/client-secret"',
               "private_key_jwt": 'client_key_file = "{}/client-key"', "tls": 'client_key_file = "{}/client-tls"'}
KEPT = ("name", "email", "groups", "phone_number", "address")
CLIENT_KEY = jws.Key("ES256", which=5)
PROVIDER = """
provider "{label}" {{
    issuer             = "{issuer}"
    client_id          = "bff"
    client_auth        = {auth}
    signing_alg        = {alg}
    scopes             = {{openid, profile, email, phone, address, offline_access}}
    claims_from        = {{id_token, userinfo}}
    keep_claims        = {{{kept}}}
    insecure_loopback  = yes
    {options}
}}
service "crm-{label}"    {{ provider = "{label}" grant = session }}
service "orders-{label}" {{ provider = "{label}" grant = id_token }}
"""


@dataclass
class Row:
    plan: str
    prefix: str  # that the names of a plan share
    name: str
    expect: Callable  # told: what README.md says of it
    script: dict = field(default_factory=dict)   # of op.Script
    profile: dict = field(default_factory=dict)  # of op.Profile
    auth: str = "client_secret_basic"
    options: str = ""  # of bff's provider section
    app: str = ""      # of its app section
    variant: str = ""

    def id(self):
        return "%s/%s" % (self.plan, self.name) + ("[%s]" % self.variant if self.variant else "")


class Run:
    """A row on the stack: its issuer, its app, a browser."""

    def __init__(self, stack, op, row, label):
        self.stack, self.op, self.row, self.label = stack, op, row, label
        self.host = label + ".localhost"
        self.browser = browser.Browser()
        self.issuer = op.issuers[label]

    def url(self, path):
        return self.stack.url(path, self.host)

    def wait_log(self, event):
        eventually(lambda: "event=%s provider=%s " % (event, self.label) in self.stack.log("broker"),
                   what="%s of %s" % (event, self.label))

    def begin(self, query=""):
        return self.browser.get(self.url("/auth/login" + query))

    def login(self, query=""):
        """The answer of our callback."""
        self.wait_log("provider_keys")
        begun = self.begin(query)
        assert begun.status == 302, (begun, self.stack.tails())
        status, location, body = self.op.visit(begun.location)
        if status == 200:  # form_post: the page's script sends the form
            parked = self.browser.post_form(re.search('action="([^"]*)"', body).group(1),
                                            re.findall('name="([^"]*)" value="([^"]*)"', body), self.issuer.url)
            status, location = parked.status, parked.location
        assert status in (302, 303), (status, body, self.issuer.wrong)
        return self.browser.get(location)

    def logout(self):
        """What the browser is told when it comes back from our logout and the provider's."""
        told = self.browser.fetch(self.url("/auth/logout"), method="POST", csrf=True)
        assert told.status == 200, told
        status, location, body = self.op.visit(told.json()["redirect_url"])
        assert status == 302, (body, self.issuer.wrong)
        return self.browser.get(location)

    def alive(self):
        return self.stack.verify("/private/x", self.browser, host=self.host).status == 200

    def count(self, table, column="app"):
        return int(self.stack.pg.value("select count(*) from bff_private.%s where %s = '%s'" % (
            table, column, self.label)))

    def outcomes(self):
        return self.stack.pg.psql("select outcome, detail from bff.logins where app = '%s' order by at" % self.label)

    def bearer(self):
        """What verify injects for the route of the login's own access token."""
        return self.stack.verify("/api/crm/x", self.browser, host=self.host)


# ---- what must come of a row ----------------------------------------------------------------------

def holds_session(run, answer):
    assert answer.status == 303 and "bff_session" in answer.cookies(), (answer, run.outcomes(), run.issuer.wrong)
    got = run.browser.fetch(run.url("/auth/session")).json()
    assert got["authenticated"] is True and got["subject"] == SUB
    assert got["claims"] == {k: PROFILE[k] for k in ("name", "email", "groups")}
    kept = run.stack.pg.value("select claims from bff_private.session where app = '%s'" % run.label)
    assert json.loads(kept) == {k: PROFILE[k] for k in (*KEPT, "email_verified")}  # which goes with email
    assert run.count("session") == 1 and run.count("grants", "provider") == 1
    served = run.bearer()
    assert (served.status, served.header("Authorization")) == (200, "Bearer " + list(run.issuer.access_tokens)[-1])


def accepted(run):
    holds_session(run, run.login())
    assert [s.endpoint for s in run.issuer.asked()] == (
        ["par"] * run.issuer.profile.par + ["authorize", "token", "userinfo"])


def holds_nothing(run, answer):
    assert "bff_session" not in answer.cookies() and "bff_session" not in run.browser.cookies(run.url("/"))
    assert run.browser.fetch(run.url("/auth/session")).status == 401
    assert run.count("session") == 0 and run.count("grants", "provider") == 0


def refused(why, after="token", outcome="provider"):
    """The callback shows an error; the last that was asked of the provider is `after`. why: None where the
    request is nobody's, so that there is no login whose outcome could be noted."""
    def expect(run):
        answer = run.login()
        holds_nothing(run, answer)
        assert 400 <= answer.status < 600, answer
        assert run.issuer.asked()[-1].endpoint == after, run.issuer.asked()
        assert why is None or eventually(run.outcomes) == [[outcome, why]]
    expect.told = "refused" if after == "token" else "refused after " + after
    return expect


def stops_after_discovery(run):
    run.wait_log("provider_discovery_failed")
    answer = run.begin()
    assert answer.status == 503 and not answer.location
    assert {s.endpoint for s in run.issuer.seen} == {"discovery"}
    holds_nothing(run, answer)


def rotates_between_logins(run):
    holds_session(run, run.login())
    run.issuer.keys = [jws.Key("RS256", kid="two", which=1)]
    run.browser = browser.Browser()
    keys = len(run.issuer.asked("jwks"))
    answer = run.login()
    assert answer.status == 303 and "bff_session" in answer.cookies(), run.outcomes()
    assert len(run.issuer.asked("jwks")) == keys + 1
    assert run.count("session") == 2


def grants(run):
    return [s.form["grant_type"] for s in run.issuer.asked("token")]


def refreshes(run):
    """The login's access token lives for a second; the refreshed one is served."""
    assert run.login().status == 303
    first = list(run.issuer.access_tokens)[0]
    eventually(lambda: run.bearer().header("Authorization") != "Bearer " + first, what="the first token's end")
    assert grants(run) == ["authorization_code", "refresh_token"]
    served = run.bearer()
    assert (served.status, served.header("Authorization")) == (200, "Bearer " + list(run.issuer.access_tokens)[1])


def refuses_refresh(run):
    """The answer to a refresh is thrown away whole: none but the login's token is ever served."""
    assert run.login().status == 303
    first = list(run.issuer.access_tokens)[0]

    def refused_in_the_end():
        served = run.bearer()
        assert served.header("Authorization") in ("Bearer " + first, None) and served.status in (200, 502), served
        return served.status == 502
    eventually(refused_in_the_end, what="the first token's end")
    assert {run.bearer().status for _ in range(5)} == {502}
    assert grants(run) == ["authorization_code", "refresh_token"]  # not one a request


def lands_without_login(run):
    """A silent login that fails ends on its target, which is told so."""
    answer = run.login("?prompt=none&max_age=0&return_to=/private/x")
    assert (answer.status, answer.location) == (303, run.url("/private/x?login=required"))
    holds_nothing(run, answer)
    assert [s.endpoint for s in run.issuer.asked()] == ["authorize"]


def starts_for_a_third_party(run):
    answer = run.login("?" + urllib.parse.urlencode({
        "iss": run.issuer.url, "login_hint": SUB, "target_link_uri": run.url("/private/x")}))
    holds_session(run, answer)
    assert answer.location == run.url("/private/x")
    assert run.issuer.asked("authorize")[0].query["login_hint"] == SUB


def comes_back(run):
    assert run.login().status == 303
    answer = run.logout()
    assert answer.url.startswith(run.url("/auth/logout"))
    assert run.count("session") == 0 and not run.alive()
    assert len(run.issuer.asked("end_session")) == 1
    return answer


def logs_out(run):
    answer = comes_back(run)
    assert (answer.status, answer.location) == (303, run.url("/")), answer


def led_nowhere(why):
    """Logged out as well, but the return is none of this logout's."""
    def expect(run):
        answer = comes_back(run)
        assert answer.status == 200 and b"<h1>Logged out</h1>" in answer.body, answer
        assert not answer.all("Location") and not answer.all("Set-Cookie")
        assert "reason=logout_state detail=%s " % why in run.stack.log("bffd")
    expect.told = "logged out, and the return is led nowhere"
    return expect


def two_browsers(run):
    """Both of one session at the provider; the first logs out. The second, and what bff answered the provider."""
    assert run.login().status == 303
    second = run.browser
    run.browser = browser.Browser()
    assert run.login().status == 303
    run.logout()
    run.browser = second
    return run.issuer.logout_answers[0]


def ends_by_back_channel(run):
    answer = two_browsers(run)
    assert answer.status == 200 and answer.header("Cache-Control") == "no-store", answer
    assert not run.alive() and run.count("session") == 0


def refuses_back_channel(run):
    answer = two_browsers(run)
    assert answer.status == 400 and answer.header("Cache-Control") == "no-store", answer
    assert run.alive() and run.count("session") == 1


for _expect, _told in ((accepted, "accepted"), (stops_after_discovery, "stops after discovery"),
                       (rotates_between_logins, "accepted"), (refreshes, "refreshed token served"),
                       (refuses_refresh, "refresh refused"), (lands_without_login, "no login, and the page is told"),
                       (starts_for_a_third_party, "accepted, on its target"), (logs_out, "logged out"),
                       (ends_by_back_channel, "200, session ended"),
                       (refuses_back_channel, "400, session kept")):
    _expect.told = _told


# ---- how a provider departs -----------------------------------------------------------------------

def claim(name, change):
    """A mutator of the ID token, or of anything like it: change(old) is the new value, None takes it away."""
    def mutate(claims, *_):
        new = change(claims.get(name))
        claims.pop(name, None)
        if new is not None:
            claims[name] = new
    return mutate


def gone(_old):
    return None


def one_more(old):
    """The suite's way to make a value wrong."""
    return old + "1"


def invalid(old):
    """Its way in logout tokens."""
    return old + "INVALID"


def without_kid(keys):
    for key in keys:
        key.pop("kid", None)


def several_without_kid(keys):
    keys.append(jws.Key("RS256", which=1).jwk())
    without_kid(keys)


def no_kid(_claims, header):
    header["kid"] = None


def corrupt(issuer, claims, header):
    return jws.corrupted(issuer.keys[0].sign(claims, **header))


def without_signature(_issuer, claims, header):
    return jws.unsigned(claims, **header)


def with_rs256(_issuer, claims, header):
    return jws.Key("RS256", kid="other").sign(claims, **header)


def and_an_rs256_key(keys):
    keys.append(jws.Key("RS256", kid="other").jwk())


def with_hs256(issuer, claims, header):
    return jws.hs256(claims, issuer.client.secret, **header)


def with_es256(_issuer, claims, head):
    return jws.Key("ES256", kid="es").sign(claims, **head)


def and_an_ec_key(keys):
    keys.append(jws.Key("ES256", kid="es").jwk())


def header(name, value):
    def mutate(_claims, head):
        head[name] = value
    return mutate


def five_parts(issuer, claims, head):
    return "..".join(issuer.keys[0].sign(claims, **head).rsplit(".", 1)) + ".x"


def two_parts(issuer, claims, head):
    return issuer.keys[0].sign(claims, **head).rpartition(".")[0]


def with_its_own_key(issuer, claims, head):
    """A key that the token brings along, under the kid of the provider's."""
    own = jws.Key("RS256", kid=issuer.keys[0].kid, which=1)
    return own.sign(claims, **head, jwk=own.jwk())


def with_key_from_elsewhere(issuer, claims, head):
    return issuer.keys[0].sign(claims, **head, jku=issuer.url + "/jku")


def only_ec(keys):
    keys[:] = [jws.Key("ES256", kid=keys[0]["kid"]).jwk()]


def empty(keys):
    keys.clear()


def other_keys(issuer):
    issuer.keys = [jws.Key("RS256", kid="two", which=1)]


def first_is_nearly_over():
    """The login's access token alone: what a refresh brings lives on."""
    left = [1]

    def mutate(body):
        if left:
            body["expires_in"] = left.pop()
    return mutate


# ---- the table ------------------------------------------------------------------------------------

def plan(title, *rows, prefix="oidcc-client-test", variant="", **common):
    """rows: (name after the prefix, what must come of it, script, and what else of Row or op.Profile)."""
    made = []
    for name, expect, script, *more in rows:
        settings = {**common, **dict(*more)}
        own = {k: settings.pop(k) for k in ("auth", "options", "app") if k in settings}
        made.append(Row(title, prefix, prefix + name, expect, script, settings, variant=variant, **own))
    return made


def basic(title, **settings):
    return plan(
        title,
        ("", accepted, {}),
        ("-invalid-iss", refused("iss"), {"idtoken": claim("iss", one_more)}),
        ("-missing-sub", refused("sub"), {"idtoken": claim("sub", gone)}),
        ("-invalid-aud", refused("aud"), {"idtoken": claim("aud", one_more)}),
        ("-missing-iat", refused("iat"), {"idtoken": claim("iat", gone)}),
        ("-kid-absent-single-jwks", accepted, {"jwks": without_kid, "idtoken": no_kid}),
        ("-kid-absent-multiple-jwks", accepted, {"jwks": several_without_kid, "idtoken": no_kid}),
        ("-idtoken-sig-rs256", accepted, {}),
        ("-idtoken-sig-none", refused("alg"), {"sign": without_signature}),
        ("-invalid-sig-rs256", refused("signature"), {"sign": corrupt}),
        ("-nonce-invalid", refused("nonce"), {"idtoken": claim("nonce", one_more)}),
        ("-userinfo-invalid-sub", refused("sub_changed", "userinfo"), {"userinfo": claim("sub", one_more)}),
        ("-scope-userinfo-claims", accepted, {}),
        ("-client-secret-basic", accepted, {}),
        **settings)


def fapi(auth):
    """Access tokens are bound to the client's certificate, by which it is known with tls alone. Without the modules of
    DPoP, which bff does not have. openid, since a login without an ID token is none."""
    return plan(
        "fapi2-security-profile-final-client-test-plan",
        ("happy-path", accepted, {}),
        ("discovery-issuer-mismatch", stops_after_discovery, {"discovery": claim("issuer", one_more)}),
        ("invalid-iss", refused("iss"), {"idtoken": claim("iss", one_more)}),
        ("invalid-aud", refused("aud"), {"idtoken": claim("aud", one_more)}),
        ("invalid-secondary-aud", refused("aud_extra"), {"idtoken": claim("aud", lambda old: [old, old + "1"])}),
        ("invalid-null-alg", refused("alg"), {"sign": without_signature}),
        ("invalid-alternate-alg", refused("alg"), {"sign": with_rs256, "jwks": and_an_rs256_key}),
        ("invalid-expired-exp", refused("expired"), {"idtoken": claim("exp", lambda old: int(time.time()) - 360)}),
        ("invalid-missing-exp", refused("exp"), {"idtoken": claim("exp", gone)}),
        ("invalid-missing-aud", refused("aud"), {"idtoken": claim("aud", gone)}),
        ("invalid-missing-iss", refused("iss"), {"idtoken": claim("iss", gone)}),
        ("valid-aud-as-array", accepted, {"idtoken": claim("aud", lambda old: [old])}),
        ("invalid-nonce", refused("nonce"), {"idtoken": claim("nonce", one_more)}),
        ("invalid-missing-nonce", refused("nonce"), {"idtoken": claim("nonce", gone)}),
        ("invalid-authorization-response-iss", refused("iss_mismatch", "authorize"),
         {"authresp": claim("iss", one_more)}),
        ("remove-authorization-response-iss", refused("iss_missing", "authorize"), {"authresp": claim("iss", gone)}),
        ("ensure-authorization-response-with-invalid-state-fails",
         refused(None, "authorize"), {"authresp": claim("state", one_more)}),
        ("ensure-authorization-response-with-invalid-missing-state-fails",
         refused(None, "authorize"), {"authresp": claim("state", gone)}),
        ("token-endpoint-response-without-expires_in", accepted, {"tokenresp": claim("expires_in", gone)}),
        ("token-type-case-insensitivity", accepted, {"tokenresp": claim("token_type", lambda old: "bEaReR")}),
        prefix="fapi2-security-profile-final-client-test-", auth=auth, variant=auth,
        alg="PS256", par=True, iss_parameter=True, mtls=True, fapi=True)


ROWS = [
    *basic("oidcc-client-basic-certification-test-plan"),
    *basic("oidcc-client-formpost-basic-certification-test-plan", form_post=True, options="response_mode = form_post"),
    *plan("oidcc-client-config-certification-test-plan",
          ("-discovery-openid-config", accepted, {}),
          ("-discovery-jwks-uri-keys", accepted, {}),
          ("-discovery-issuer-mismatch", stops_after_discovery, {"discovery": claim("issuer", one_more)}),
          ("-idtoken-sig-none", refused("alg"), {"sign": without_signature}),
          ("-signing-key-rotation-just-before-signing", accepted, {"before_token": other_keys}),
          ("-signing-key-rotation", rotates_between_logins, {})),
    *plan("oidcc-client-test-plan",
          ("-missing-aud", refused("aud"), {"idtoken": claim("aud", gone)}),
          ("-invalid-sig-es256", refused("signature"), {"sign": corrupt}, {"alg": "ES256"}),
          ("-invalid-sig-hs256", refused("alg"), {"sign": with_hs256}),
          ("-userinfo-bearer-header", accepted, {}),
          ("-userinfo-signed", accepted, {}, {"userinfo_signed": True}),
          ("-mtls-endpoint-aliases", accepted, {}, {"auth": "tls", "mtls": True}),
          ("-form-post-error", lands_without_login,
           {"authresp": lambda back: {"error": "login_required", "state": back["state"]}},
           {"form_post": True, "options": "response_mode = form_post"})),
    *plan("oidcc-client-refreshtoken-test-plan",
          ("-refresh-token", refreshes, {"tokenresp": first_is_nearly_over()}),
          ("-refresh-token-invalid-issuer", refuses_refresh,
           {"tokenresp": first_is_nearly_over(), "refreshed": claim("iss", one_more)}),
          ("-refresh-token-invalid-sub", refuses_refresh,
           {"tokenresp": first_is_nearly_over(), "refreshed": claim("sub", one_more)})),
    *plan("oidcc-client-test-3rd-party-init-login-test-plan", ("-3rd-party-init-login", starts_for_a_third_party, {})),
    *plan("oidcc-client-rp-initiated-logout-rp-basic",
          ("", logs_out, {}),
          ("-other-state", led_nowhere("other_state"), {"endsession": claim("state", one_more)}),
          ("-no-state", led_nowhere("no_state"), {"endsession": claim("state", gone)}),
          prefix="oidcc-client-test-rp-init-logout", end_session=True, app="id_token_hint = yes"),
    *plan("oidcc-client-back-channel-logout-rp-basic",
          ("", ends_by_back_channel, {}),
          ("-alg-none", refuses_back_channel, {"sign_logout": without_signature}),
          ("-wrong-alg", refuses_back_channel, {"sign_logout": with_es256, "jwks": and_an_ec_key}),
          ("-no-event", refuses_back_channel, {"logout": claim("events", gone)}),
          ("-wrong-event", refuses_back_channel,
           {"logout": claim("events", lambda old: {"http://schemas.openid.net/event/foobar": {}})}),
          ("-with-nonce", refuses_back_channel, {"logout": claim("nonce", lambda old: "nonce")}),
          ("-wrong-aud", refuses_back_channel, {"logout": claim("aud", invalid)}),
          ("-wrong-iss", refuses_back_channel, {"logout": claim("iss", invalid)}),
          prefix="oidcc-client-test-rp-backchannel-rpinitlogout", end_session=True, app="id_token_hint = yes"),
    *fapi("private_key_jwt"),
    *fapi("tls"),
]

# Not of the suite: what the tests of oauth4webapi and the corpora of mod_auth_openidc feed theirs, from end to end.
ROWS += plan("further vectors",
             ("client_secret_post", accepted, {}, {"auth": "client_secret_post"}),
             ("no_id_token", refused("no_id_token"), {"tokenresp": claim("id_token", gone)}),
             ("encrypted", refused("encrypted"), {"sign": five_parts}),
             ("two-parts", refused("parts"), {"sign": two_parts}),
             ("typ-logout", refused("typ"), {"idtoken": header("typ", "logout+jwt")}),
             ("typ-application-jwt", accepted, {"idtoken": header("typ", "application/jwt")}),
             ("crit", refused("crit"), {"idtoken": header("crit", ["exp"])}),
             ("jku", accepted, {"sign": with_key_from_elsewhere}),
             ("jwk", refused("signature"), {"sign": with_its_own_key}),
             ("azp", refused("azp"), {"idtoken": claim("azp", lambda old: "other")}),
             ("alg-kty-mismatch", refused("key"), {"jwks": only_ec}),
             ("no-applicable-key", refused("key"), {"jwks": empty}),
             ("refresh-nonce", refuses_refresh,
              {"tokenresp": first_is_nearly_over(), "refreshed": claim("nonce", lambda old: "another")}),
             ("refresh-auth_time", refuses_refresh,
              {"tokenresp": first_is_nearly_over(), "refreshed": claim("auth_time", lambda old: old + 1)}),
             ("at_hash", refused("at_hash"), {"idtoken": claim("at_hash", one_more)}),
             ("not-an-object", refused("bad_json", outcome="provider_down"), {"tokenresp": lambda body: [body]}),
             ("html", refused("bad_json", outcome="provider_down"), {"tokenresp": lambda body: "<html>"}),
             ("no-token_type", refused("token_type", outcome="provider_down"),
              {"tokenresp": claim("token_type", gone)}),
             ("token_type-dpop", refused("token_type", outcome="provider_down"),
              {"tokenresp": claim("token_type", lambda old: "DPoP")}),
             ("expires_in-text", refused("bad_json", outcome="provider_down"), {"tokenresp": claim("expires_in", str)}),
             ("scope-list", refused("bad_json", outcome="provider_down"), {"tokenresp": claim("scope", str.split)}),
             prefix="")


@contextlib.contextmanager
def runs(rows):
    """A stack with these rows on it: their runs by id."""
    labels = ["m%02d" % n for n in range(len(rows))]
    stack = Stack(edge=None, workers=1, idp_up=False, apps=[
        App(i, [i + ".localhost"], provider=i, more=row.app) for i, row in zip(labels, rows)])
    stack.algs = {}  # the providers are ours
    with Op(stack.secrets) as op:
        certificate = op.ca.client("client")
        stack._secret("client-key", CLIENT_KEY.pem())
        stack._secret("client-tls", "".join(map(text_of, certificate)))
        for label, row in zip(labels, rows):
            add_row(stack, op, row, label, certificate)
        with stack:
            eventually(lambda: "event=sealing_key key=1 state=primary" in stack.log("broker"), what="the key ring")
            yield {row.id(): Run(stack, op, row, label) for label, row in zip(labels, rows)}
            stack.canaries += op.secrets()


@pytest.fixture(scope="module", name="run_of")
def fixture_run_of():
    """The run of a row, on a stack that is made when the first of its rows is asked for."""
    with contextlib.ExitStack() as up:
        made = {}

        def run_of(row):
            if row.id() not in made:
                first = ROWS.index(row) // STACK_ROWS * STACK_ROWS
                made.update(up.enter_context(runs(ROWS[first:first + STACK_ROWS])))
            return made[row.id()]
        yield run_of


def text_of(path):
    with open(path, encoding="ascii") as f:
        return f.read()


def add_row(stack, op, row, label, certificate):
    host = label + ".localhost"
    netloc = "%s:%d" % (host, stack.port)

    def backchannel(token):
        body = urllib.parse.urlencode({"logout_token": token, "unknown": "1"}).encode()
        return browser.raw(stack.port, "POST", "/auth/backchannel-logout", [
            ("Host", netloc), ("Content-Type", "application/x-www-form-urlencoded")], body)

    bound = row.profile.get("mtls")
    client = Client(stack.url("/auth/callback", host), row.auth, stack.client_secret, CLIENT_KEY,
                    ca.der(certificate[0]) if bound or row.auth == "tls" else None, stack.url("/auth/logout", host),
                    backchannel if "backchannel" in row.name else None)
    issuer = op.issuer(label, client, Profile(**row.profile), Script(**row.script))
    credential = CREDENTIALS[row.auth].format(stack.secrets)
    if bound and row.auth != "tls":
        credential += '\n    client_certificate_file = "%s/client-tls"' % stack.secrets
    options = [credential, 'ca_file = "%s"' % op.ca.path, row.options]
    stack.extra += PROVIDER.format(label=label, issuer=issuer.url, auth=row.auth, alg=issuer.profile.alg,
                                   kept=", ".join(KEPT), options="\n    ".join(options))


@pytest.mark.parametrize("row", ROWS, ids=Row.id)
def test_module(run_of, row):
    run = run_of(row)
    row.expect(run)
    assert not run.issuer.wrong
