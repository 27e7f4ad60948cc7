"""Keycloak as a fixture: one server, a realm a way of handling refresh tokens.

    with Keycloak(secret, redirect_uris, logout_returns) as k:
        k.issuer("plain")            # old refresh tokens stay valid (its default)
        k.issuer("strict")           # Revoke Refresh Token on, no reuse
        k.admin("GET", "/plain/users?username=alice")

Users alice and bob (password = name). Client `bff`: confidential, token exchange, service account.
Audiences: optional scopes `crm` and `orders` add those clients to `aud`.
"""
import json
import os
import secrets as random
import shutil
import subprocess
import tempfile
import urllib.parse
import urllib.request

import cache
from browser import any_form
from port import free_port
from process import Process
from wait import eventually

STARTED = "Listening on: http://"
START_LIMIT_S = 300
_open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open
# Little memory and no second compiler: it lives for a minute.
_JAVA = "-Xms128m -Xmx512m -XX:TieredStopAtLevel=1"


def _audience(name):
    return {"name": name, "protocol": "openid-connect",
            "attributes": {"include.in.token.scope": "true", "display.on.consent.screen": "false"},
            "protocolMappers": [{
                "name": name, "protocol": "openid-connect", "protocolMapper": "oidc-audience-mapper",
                "config": {"included.client.audience": name, "access.token.claim": "true",
                           "id.token.claim": "false"}}]}


def _user(name, email, groups):
    return {"username": name, "enabled": True, "email": email, "emailVerified": True,
            "firstName": name.capitalize(), "lastName": "Tester", "groups": groups,
            "credentials": [{"type": "password", "value": name, "temporary": False}]}


def _realm(name, strict, secret, redirect_uris, logout_returns, backchannel):
    groups = {"name": "groups", "protocol": "openid-connect", "protocolMapper": "oidc-group-membership-mapper",
              "config": {"full.path": "false", "id.token.claim": "true", "access.token.claim": "false",
                         "userinfo.token.claim": "true", "claim.name": "groups"}}
    attributes = {"standard.token.exchange.enabled": "true",
                  "post.logout.redirect.uris": "##".join(logout_returns)}
    if backchannel:
        attributes.update({"backchannel.logout.url": backchannel, "backchannel.logout.session.required": "true"})
    return {
        "realm": name, "enabled": True, "sslRequired": "none", "accessTokenLifespan": 300,
        "revokeRefreshToken": strict, "refreshTokenMaxReuse": 0,
        "groups": [{"name": "sales"}, {"name": "support"}],
        "users": [_user("alice", "alice@example.com", ["sales"]), _user("bob", "bob@example.com", ["support"])],
        "clients": [
            {"clientId": "crm", "enabled": True, "bearerOnly": True},
            {"clientId": "orders", "enabled": True, "bearerOnly": True},
            {"clientId": "bff", "enabled": True, "secret": secret, "redirectUris": redirect_uris,
             "standardFlowEnabled": True, "serviceAccountsEnabled": True, "publicClient": False,
             "attributes": attributes, "protocolMappers": [groups]}]}


class Keycloak:
    def __init__(self, secret, redirect_uris, logout_returns, backchannel=None):
        self.directory = tempfile.mkdtemp(prefix="bff-keycloak-")
        self.port = free_port()
        self.password = random.token_urlsafe(16)
        self.realms = [_realm(name, strict, secret, redirect_uris, logout_returns, backchannel)
                       for name, strict in (("plain", False), ("strict", True))]
        self.process = None

    def issuer(self, realm):
        return "http://127.0.0.1:%d/realms/%s" % (self.port, realm)

    def __enter__(self):
        try:
            return self._start()
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_):
        if self.process is not None:
            self.process.kill()  # nothing in it is worth its own shutdown
        shutil.rmtree(self.directory, ignore_errors=True)

    def _start(self):
        source, home = cache.keycloak(), os.path.join(self.directory, "home")
        subprocess.run(["cp", "-r", source, home], check=True)
        folder = os.path.join(home, "data", "import")
        os.makedirs(folder)
        for realm in self.realms:
            with open(os.path.join(folder, realm["realm"] + ".json"), "w", encoding="utf-8") as f:
                json.dump(realm, f)
        self.process = Process("keycloak", [
            os.path.join(home, "bin", "kc.sh"), "start", "--optimized", "--http-enabled=true", "--hostname-strict=false",
            "--http-host=127.0.0.1", "--http-port=%d" % self.port, "--import-realm"],
            log=os.path.join(self.directory, "log"), env={
                "JAVA_OPTS_APPEND": _JAVA, "KC_BOOTSTRAP_ADMIN_USERNAME": "admin",
                "KC_BOOTSTRAP_ADMIN_PASSWORD": self.password, "HOME": self.directory})
        eventually(self._started, what="Keycloak", timeout_s=START_LIMIT_S)
        for realm in self.realms:
            self._add_scopes("/" + realm["realm"])
        return self

    def _add_scopes(self, realm):
        """Not in the import: scopes that stand there take the place of the usual ones."""
        bff = self.admin("GET", realm + "/clients?clientId=bff")[0]["id"]
        for name in ("crm", "orders"):
            self.admin("POST", realm + "/client-scopes", _audience(name))
        for scope in self.admin("GET", realm + "/client-scopes"):
            if scope["name"] in ("crm", "orders"):
                self.admin("PUT", "%s/clients/%s/optional-client-scopes/%s" % (realm, bff, scope["id"]))

    def _started(self):
        if not self.process.running():
            raise self.process.fail("ended")
        return STARTED in self.process.log_text()

    # ---- its administration --------------------------------------------------------------------

    def _token(self):
        form = urllib.parse.urlencode({"grant_type": "password", "client_id": "admin-cli", "username": "admin",
                                       "password": self.password}).encode()
        with _open(self.issuer("master") + "/protocol/openid-connect/token", form) as answer:
            return json.load(answer)["access_token"]

    def admin(self, method, path, body=None):
        request = urllib.request.Request(
            "http://127.0.0.1:%d/admin/realms%s" % (self.port, path), method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": "Bearer " + self._token(), "Content-Type": "application/json"})
        with _open(request) as answer:
            text = answer.read()
            return json.loads(text) if text else None

    def user_id(self, realm, name):
        return self.admin("GET", "/%s/users?username=%s" % (realm, name))[0]["id"]


def log_in(browser, answer, user, until=None):
    """Fills in Keycloak's login page, if it is one; where that leads."""
    if b"kc-form-login" not in answer.body:
        return answer
    url, fields, origin = any_form(answer)
    return browser.follow(browser.post_form(url, {**fields, "username": user, "password": user}, origin), until)
