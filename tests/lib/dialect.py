"""A scripted product: what dialects.py has in common, on top of the scripted provider (op.py).

    i = op.issuer("auth0", client, kind=dialects.Auth0)
    i.told.append(Refusal("access_denied", 403))    # the answer to the next refresh, which is not looked at
    i.lose = 1                                      # the next refresh is done, and its answer lost
    i.grace_s = 60                                  # as an operator sets it
    i.reuses                                        # refresh tokens that came once too often

`word` is the preset (common/preset.def). `services` are those of bff.conf, one for each grant that the preset has at
least, and what the token of each must be. Without more it is RFC 6749 with refresh tokens for single use.
"""
import os
import re
import secrets
import threading
import time
from dataclasses import dataclass
from typing import Optional

import op
from op import SUB, TOKEN_TTL_S, Lost, Refusal

TYPE_URN = "urn:ietf:params:oauth:token-type:"
_PRESETS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "common", "preset.def")


def presets():
    """{word: its grants}, of common/preset.def; session and id_token every product has."""
    with open(_PRESETS, encoding="utf-8") as f:
        text = re.sub(r"/\*.*?\*/", "", f.read(), flags=re.S)
    rows = re.findall(r'^PRESET\(\w+, "([^"]+)",(.*?)\)$', text, re.S | re.M)
    return {word: {"session", "id_token"} | {g.lower() for g in re.findall(r"\bG\((\w+)\)", row)} for word, row in rows}


@dataclass
class Service:
    grant: str
    options: str = ""           # of its section
    aud: Optional[str] = None   # that its token names; None: the token is opaque
    scope: str = ""             # that its token has


OWN = {"own": Service("session"), "idt": Service("id_token", aud="bff")}


class Family:
    """The refresh tokens of one login."""

    def __init__(self, p):
        self.sub, self.scope, self.nonce = p.get("login_hint", SUB), p["scope"], p["nonce"]
        self.resources = p.get("resource", [])
        self.alive, self.generation, self.auth_time = True, 0, int(time.time())


@dataclass
class Held:
    family: Family
    generation: int
    used_at: Optional[float] = None
    successor: str = ""


class Dialect(op.Issuer):
    word = ""
    scopes = ("openid", "profile", "offline_access")
    services = OWN
    selectors = ()          # of resource and audience, those that a token request may name
    single_use = True       # of refresh tokens
    ends_family = True      # a refresh token that comes once too often
    grace_s = 0
    says_scope = True
    repeats_nonce = False   # in the ID token of a refresh
    dead = Refusal("invalid_grant")
    not_dead = ()           # further answers to a refresh, and the error that they are for who asked

    def __init__(self, *args):
        super().__init__(*args)
        self.lock = threading.RLock()
        self.families, self.subjects = [], {}
        self.told, self.lose, self.reuses = [], 0, 0

    # ---- the books ----------------------------------------------------------------------------

    def count(self, *grants):
        """Token requests of these grant types; of all but the login's without one."""
        return sum(s.form.get("grant_type") in grants if grants else s.form.get("grant_type") != "authorization_code"
                   for s in list(self.seen) if s.endpoint == "token")

    def family(self, sub):
        """The newest."""
        return [f for f in self.families if f.sub == sub][-1]

    # ---- what a product says otherwise --------------------------------------------------------

    def asked_to_log_in(self, p):
        """Complains of an authorization request."""

    def select(self, family, form):
        """(scope, audience) of what a refresh asks for."""
        scope = form.get("scope", family.scope)
        if not set(scope.split()) <= set(family.scope.split()):
            raise Refusal("invalid_scope")
        return scope, self.audience(family.scope)

    def audience(self, _scope):
        """Of the login's own access token; None: it is opaque."""
        return None

    def id_audience(self, _scope):
        return {}

    # ---- endpoints ----------------------------------------------------------------------------

    def authorize(self, seen):
        self.asked_to_log_in(seen.query)
        return super().authorize(seen)

    def token(self, seen):
        for name in {"resource", "audience"} - set(self.selectors):
            self.demand(name not in seen.form, "%s, which this product does not know" % name)
        with self.lock:
            refresh = seen.form.get("grant_type") == "refresh_token"
            if refresh and self.told:
                raise self.told.pop(0)
            answer = super().token(seen)
            if refresh and self.lose:
                self.lose -= 1
                raise Lost()
            return answer

    def _code(self, form):
        family = Family(self._login(form))
        self.families.append(family)
        return self._answer(family.scope, self.audience(family.scope), family, family.nonce,
                            self._hold(family) if "offline_access" in family.scope.split() else None)

    def _refresh(self, form):
        held = self.refresh_tokens.get(form.get("refresh_token"))
        if held is None or not held.family.alive:
            raise self.dead
        if held.used_at is not None and not self._honours(held):
            self.reuses += 1
            held.family.alive = held.family.alive and not self.ends_family
            raise self.dead
        scope, aud = self.select(held.family, form)
        return self._answer(scope, aud, held.family, held.family.nonce if self.repeats_nonce else None,
                            self._successor(held, scope))

    def _honours(self, held):
        """Of all that were used, the one before alone."""
        return time.time() - held.used_at < self.grace_s and held.generation == held.family.generation - 1

    def _successor(self, held, _scope):
        if self.single_use and held.used_at is None:
            held.used_at = time.time()
        return self._hold(held.family, held.generation + 1)

    def _hold(self, family, generation=0):
        token = secrets.token_urlsafe(24)
        family.generation = max(family.generation, generation)
        self.refresh_tokens[token] = Held(family, generation)
        return token

    def _answer(self, scope, aud, family=None, nonce=None, refresh=None, **more):
        token = self._access_token(family.sub if family else self.client.id, scope, aud)
        body = {"access_token": token, "token_type": "Bearer", "expires_in": TOKEN_TTL_S, **more}
        if self.says_scope:
            body["scope"] = scope
        if refresh:
            body["refresh_token"] = refresh
        if family and "openid" in scope.split():
            body["id_token"] = self._id_token(token, nonce, self.script.idtoken, None, sub=family.sub,
                                              auth_time=family.auth_time, **self.id_audience(scope))
        self.subjects[token] = family, aud
        return body

    def _access_token(self, sub, scope, aud):
        token, now = secrets.token_urlsafe(24), int(time.time())
        if aud is not None:
            token = self.keys[0].sign({"iss": self.url, "sub": sub, "aud": aud, "scope": scope, "iat": now,
                                       "exp": now + TOKEN_TTL_S, "jti": token, "client_id": self.client.id},
                                      typ="at+jwt")
        self.access_tokens[token] = scope
        return token

    def _subject(self, form):
        """Whose access token is exchanged, and its audience."""
        self.demand(form.get("subject_token_type") == TYPE_URN + "access_token", "subject_token_type")
        family, aud = self.subjects.get(form.get("subject_token"), (None, None))
        if family is None or not family.alive:
            raise Refusal("invalid_request", error_description="subject_token")
        return family, aud
