"""The OpenID provider (tests/lib/idp/idp.mjs) as a fixture.

    with Idp(clients=[client("bff", secret, ["http://app.localhost:8080/auth/callback"])]) as idp:
        idp.issuer                     # http://127.0.0.1:PORT
        idp.stats()["refreshes"]       # what happened so far
        idp.knobs(access_token_ttl=5)  # faults and lifetimes, see idp.mjs
        idp.down(); idp.up()           # the listener; the provider's state stays
        idp.sign(claims)               # a token that it could have issued

Pushed authorization requests are taken, unless pushed_requests=False; conform_id_token_claims=True leaves name and
e-mail to UserInfo. Users alice and bob, resources CRM and ORDERS. `login_hint=alice` in an authorization request logs
in without a page; consent is always given.
"""
import json
import os
import select
import shutil
import tempfile
import urllib.parse
import urllib.request

import cache
from process import Process, READY_TIMEOUT_S

CRM = "https://crm.example.com"
ORDERS = "https://orders.example.com"
USERS = {
    "alice": {"name": "Alice Adams", "preferred_username": "alice", "email": "alice@example.com",
              "email_verified": True, "groups": ["sales", "support"]},
    "bob": {"name": "Bob Brown", "preferred_username": "bob", "email": "bob@example.com",
            "email_verified": True, "groups": ["accounting"]},
}
_HERE = os.path.dirname(os.path.abspath(__file__))
# The proxies a machine may be set up with are never asked for loopback.
_open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open


def client(client_id, secret, redirect_uris, logout_returns=(), alg="RS256", **more):
    return {"client_id": client_id, "client_secret": secret, "redirect_uris": list(redirect_uris),
            "post_logout_redirect_uris": list(logout_returns),
            "id_token_signed_response_alg": alg, **more}


class Idp:
    def __init__(self, clients, port=0, control_port=0, access_token_ttl=300, users=None,
                 resources=(CRM, ORDERS), log=None, **more):
        self.directory = tempfile.mkdtemp(prefix="bff-idp-")
        self.log = log or os.path.join(self.directory, "log")
        self.config = {"port": port, "control_port": control_port, "clients": clients,
                       "users": users or USERS, "resources": list(resources),
                       "access_token_ttl": access_token_ttl, **more}
        self.process = None
        self.issuer = "http://127.0.0.1:%d" % port if port else None
        self.control = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.remove()

    def start(self):
        config = os.path.join(self.directory, "config.json")
        with open(config, "w", encoding="utf-8") as f:
            json.dump(self.config, f)
        read, write = os.pipe()
        try:
            self.process = Process(
                "idp", [cache.node(), os.path.join(_HERE, "idp", "idp.mjs"), cache.idp_modules(), config],
                log=self.log, stdout=write)
        finally:
            os.close(write)
        with os.fdopen(read, "rb") as said:
            ready, _, _ = select.select([said], [], [], READY_TIMEOUT_S)
            line = said.readline() if ready else b""
        if not line:
            raise self.process.fail("did not start")
        told = json.loads(line)
        self.issuer, self.control = told["issuer"], told["control"]
        return self

    def stop(self):
        if self.process is not None:
            self.process.stop()
            self.process = None

    def remove(self):
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _ask(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        with _open(urllib.request.Request(self.control + path, data), timeout=30) as answer:
            return json.load(answer)

    def stats(self):
        return self._ask("/stats")

    def asked(self, location):
        """The parameters of the authorization request that this URL stands for, pushed or not."""
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(location).query, keep_blank_values=True)
        if "request_uri" not in query:
            return query
        pushed = self.stats()["pushed"][query["request_uri"][0]]
        return {k: v if isinstance(v, list) else [str(v)] for k, v in pushed.items() if v is not None}

    def knobs(self, **values):
        return self._ask("/knobs", values)

    def users(self, **claims):
        """Replaces the claims of users; None: that user is gone."""
        self._ask("/users", claims)

    def sign(self, claims, key="rsa", header=None):
        """A token of these claims by one of the provider's keys (rsa, ec, ed), or by "stranger"."""
        alg = {"rsa": "RS256", "ec": "ES256", "ed": "EdDSA", "stranger": "RS256"}[key]
        header = {"alg": alg, "kid": "rsa" if key == "stranger" else key, "typ": "logout+jwt", **(header or {})}
        header = {k: v for k, v in header.items() if v is not None}
        return self._ask("/sign", {"key": key, "header": header, "claims": claims})["token"]

    def down(self):
        self._ask("/down", {})

    def up(self):
        self._ask("/up", {})

    def canaries(self):
        """What no log may ever hold."""
        stats = self.stats()
        secrets = [c["client_secret"] for c in self.config["clients"]]
        return secrets + stats["refresh_tokens"] + stats["codes"] + stats["logout_tokens"]
