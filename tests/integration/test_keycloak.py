"""Keycloak: a second real provider, with its own ideas of refresh tokens, audiences and logout."""
import base64
import concurrent.futures
import json
import os
import re

import pytest

import cache
from broker import expire_tokens
from browser import Browser
from ipc import Worker
from keycloak import Keycloak, log_in
from port import free_port
from stack import App, Stack
from wait import eventually

SECRET = "k" * 40
PORT = free_port()
ORIGIN = "http://app.localhost:%d" % PORT

PROVIDER = """
provider "{name}" {{
    preset             = keycloak
    issuer             = "{issuer}"
    client_id          = "bff"
    client_auth        = client_secret_basic
    client_secret_file = "{secrets}/client-secret"
    signing_alg        = {alg}
    scopes             = {{openid, profile, email, crm, orders}}
    keep_claims        = {{name, email, email_verified, groups}}
    insecure_loopback  = yes
}}
service "crm{suffix}"    {{ provider = "{name}" grant = scope scope = {{openid, crm}} audience = "crm" }}
service "orders{suffix}" {{ provider = "{name}" grant = exchange audience = "orders" scope = {{orders}} }}
service "own{suffix}"    {{ provider = "{name}" grant = session }}
service "robot{suffix}"  {{ provider = "{name}" grant = client_credentials scope = {{crm}} audience = "crm" }}
"""
ROUTES = """
route "robot" { app = "demo" path = "/api/robot/" service = "robot" }
route "own"   { app = "demo" path = "/api/own/" service = "own" }
"""


class Known:
    """A realm of a server that outlives the stack, in the place of tests/lib/idp.py."""

    control = process = None

    def __init__(self, keycloak, realm):
        self.keycloak, self.realm, self.issuer = keycloak, realm, keycloak.issuer(realm)

    def stop(self):
        pass

    remove = stop


class KeycloakStack(Stack):
    provider_text = PROVIDER

    def __init__(self, keycloak, realm, **more):
        super().__init__(edge=None, port=PORT, workers=1, apps=[App(hosts=("app.localhost", "127.0.0.1"))], extra=ROUTES, **more)
        self.keycloak, self.realm, self.client_secret = keycloak, realm, SECRET

    def start_idp(self):
        self.idp = Known(self.keycloak, self.realm)

    def login(self, user="alice", **_):
        eventually(lambda: "event=provider_ready" in self.log("broker"), what="discovery")
        b = Browser()
        answer = log_in(b, b.open(self.url("/auth/login"), until=ORIGIN + "/auth"), user, until=ORIGIN)
        if answer.location:
            b.follow(answer)
        assert "bff_session" in b.cookies(self.url("/")), (answer, b.history, self.tails())
        return b

    def token(self, path, b):
        answer = self.verify(path, b)
        assert answer.status == 200, (answer, self.tails())
        kind, _, value = answer.header("Authorization").partition(" ")
        assert kind == "Bearer" and value
        return value

    def expire_tokens(self):
        digest = re.findall(r"event=config_loaded .*digest=([0-9a-f]{64})", self.log("broker"))[-1]
        with Worker(os.path.join(self.run, "broker.sock"), bytes.fromhex(digest)) as w:
            expire_tokens(self.pg, w)


def claims(jwt):
    body = jwt.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))


def audiences(jwt):
    aud = claims(jwt).get("aud", [])
    return {aud} if isinstance(aud, str) else set(aud)


@pytest.fixture(scope="module")
def keycloak():
    try:
        cache.keycloak()
    except cache.Missing as why:
        pytest.skip(str(why).splitlines()[0])
    with Keycloak(SECRET, [ORIGIN + "/auth/callback"], [ORIGIN + "/auth/logout"],
                  backchannel="http://127.0.0.1:%d/auth/backchannel-logout" % PORT) as server:
        yield server


@pytest.fixture(params=["plain", "strict"])
def stack(request, keycloak):
    with KeycloakStack(keycloak, request.param) as s:
        yield s


def test_every_service_gets_its_own_audience(stack):
    b = stack.login()
    crm, orders = stack.token("/api/crm/x", b), stack.token("/api/orders/x", b)
    robot, own = stack.token("/api/robot/x", b), stack.token("/api/own/x", b)
    assert "crm" in audiences(crm) and "orders" not in audiences(crm)
    assert "orders" in audiences(orders) and "crm" not in audiences(orders)
    assert claims(robot)["preferred_username"] == "service-account-bff"
    assert len({crm, orders, robot, own}) == 4
    assert claims(crm)["sub"] == claims(orders)["sub"] == claims(own)["sub"] != claims(robot)["sub"]
    assert b.fetch(stack.url("/auth/session")).json()["claims"]["groups"] == ["sales"]


def test_a_hundred_at_expiry_are_one_refresh_a_service(stack):
    """With reuse refused, one refresh token sent twice ends the client's session at Keycloak."""
    b = stack.login()
    stack.token("/api/crm/x", b)
    before = int(stack.pg.value("select generation from bff_private.grants"))
    stack.expire_tokens()
    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        paths = ["/api/crm/x", "/api/own/x"] * 50
        assert {a.status for a in pool.map(lambda path: stack.verify(path, b), paths)} == {200}
    assert int(stack.pg.value("select generation from bff_private.grants")) == before + 2
    stack.expire_tokens()
    stack.token("/api/crm/x", b)


def test_a_leaver_is_out_at_the_next_refresh(stack, keycloak):
    b = stack.login("bob")
    stack.token("/api/crm/x", b)
    user = keycloak.user_id(stack.realm, "bob")
    keycloak.admin("PUT", "/%s/users/%s" % (stack.realm, user), {"enabled": False})
    try:
        stack.expire_tokens()
        assert stack.verify("/api/crm/x", b).status == 401
        assert stack.pg.value("select reason from bff.ended") == "reauthenticate"
        assert stack.verify("/private/", b).status == 401
    finally:
        keycloak.admin("PUT", "/%s/users/%s" % (stack.realm, user), {"enabled": True})


def at_keycloak(stack, user):
    """How many of the user's sessions there know our client."""
    found = stack.keycloak.admin("GET", "/%s/users/%s/sessions" % (stack.realm, stack.keycloak.user_id(stack.realm, user)))
    return sum("bff" in s["clients"].values() for s in found)


def test_logout_ends_the_grant_there_too(stack):
    before = at_keycloak(stack, "alice")
    b = stack.login()
    stack.token("/api/crm/x", b)
    assert at_keycloak(stack, "alice") == before + 1
    answer = b.fetch(stack.url("/auth/logout"), method="POST", csrf=True)
    assert answer.status == 200
    assert "/protocol/openid-connect/logout?" in answer.json()["redirect_url"]
    eventually(lambda: stack.pg.value("select count(*) from bff_private.grants") == "0", what="the revocation")
    assert at_keycloak(stack, "alice") == before
    landed = b.open(answer.json()["redirect_url"])
    assert ("GET", ORIGIN + "/auth/logout") in [(m, u.split("?")[0]) for m, u, _ in b.history], landed
    assert landed.url == stack.url("/")
    assert "bff_logout" not in b.cookies(stack.url())


def test_a_logout_there_reaches_us(stack, keycloak):
    b, other = stack.login(), stack.login("bob")
    assert stack.verify("/private/", b).status == 200
    keycloak.admin("POST", "/%s/users/%s/logout" % (stack.realm, keycloak.user_id(stack.realm, "alice")))
    eventually(lambda: stack.verify("/private/", b).status == 401, what="the end of the session")
    assert stack.pg.value("select reason from bff.ended") == "backchannel"
    assert stack.verify("/private/", other).status == 200
