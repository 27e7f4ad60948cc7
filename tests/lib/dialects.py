"""What the products do that no specification says: a class each, for those that are not tested for real."""
import re

from dialect import OWN, TYPE_URN, Dialect, Service
from op import EXCHANGE, Refusal

OBO = "urn:ietf:params:oauth:grant-type:jwt-bearer"
CRM, ORDERS, NOWHERE = ("https://%s.example.com" % name for name in ("crm", "orders", "nowhere"))


class Auth0(Dialect):
    """Multi-resource refresh tokens. An audience or scope that the client has no policy for is ignored without a word.
    With a leeway the token before branches; the one before that ends the family (log event ferrt)."""
    word = "auth0"
    selectors = ("audience",)
    apis = {CRM: "read:crm write:crm", ORDERS: "read:orders"}
    default_audience = None  # of the tenant
    services = {**OWN, "crm": Service("audience", 'audience = "%s" scope = {"read:crm"}' % CRM, CRM, "read:crm"),
                "orders": Service("audience", 'audience = "%s"' % ORDERS, ORDERS, "read:orders"),
                "narrow": Service("scope", "scope = {openid, profile}", None, "openid profile"),
                "robot": Service("client_credentials", 'audience = "%s"' % CRM, CRM),
                "nowhere": Service("audience", 'audience = "%s"' % NOWHERE),
                "named": Service("scope", 'scope = {openid} audience = "%s"' % NOWHERE)}
    dead = Refusal("invalid_grant", 403, error_description="Unknown or invalid refresh token.")
    not_dead = ((Refusal("too_many_attempts", 429), "provider_down"),
                (Refusal("too_many_requests", 429, {"Retry-After": "1", "x-ratelimit-remaining": "0"}),
                 "provider_down"),
                (Refusal("access_denied", 403), "reauthenticate"))

    def audience(self, _scope):
        return self.default_audience

    def select(self, family, form):
        api = form.get("audience")
        union = family.scope.split() + self.apis.get(api, "").split()
        asked = form["scope"].split() if "scope" in form else union
        scope = " ".join(s for s in union if s in asked)
        if api not in self.apis:
            return scope, self.default_audience
        return scope, [api, self.url + "/userinfo"] if "openid" in scope.split() else api

    def _bare(self, form):
        if form.get("audience") not in self.apis:
            raise Refusal("access_denied", 403, error_description="Service not enabled within domain")
        return self._answer(form.get("scope", ""), form["audience"])


class Okta(Dialect):
    """One audience an authorization server; others by exchange. A leeway of 30 s unless it is changed."""
    word = "okta"
    selectors = ("audience",)  # of an exchange
    scopes = ("openid", "profile", "offline_access", "crm.read")
    grace_s = 30
    services = {**OWN, "own": Service("session", aud="api://crm"),
                "crm": Service("scope", 'scope = {"crm.read"} audience = "api://crm"', "api://crm", "crm.read"),
                "swap": Service("exchange", 'audience = "api://orders" scope = {"orders.read"}', "api://orders",
                                "orders.read"),
                "robot": Service("client_credentials", 'scope = {"crm.read"} audience = "api://crm"', "api://crm",
                                 "crm.read")}
    dead = Refusal("invalid_grant", error_description="The refresh token is invalid or expired.")
    not_dead = ((Refusal("", 429, {"X-Rate-Limit-Limit": "0", "X-Rate-Limit-Reset": "1"}, errorCode="E0000047"),
                 "provider_down"),)

    def audience(self, _scope):
        return "api://crm"

    def select(self, family, form):
        self.demand("audience" not in form, "audience at a refresh")
        self.demand(len(form.get("scope", "")) <= 1024, "scope of over 1024 characters")
        return super().select(family, form)

    def _exchange(self, form):
        family, _ = self._subject(form)
        if form.get("audience") != "api://orders":
            raise Refusal("invalid_target")
        if form.get("scope") != "orders.read":
            raise Refusal("invalid_scope")
        return self._answer(form["scope"], "api://orders", family, issued_token_type=TYPE_URN + "access_token")

    def _bare(self, form):
        if form.get("scope") != "crm.read":
            raise Refusal("invalid_scope")
        return self._answer(form["scope"], "api://crm")


class Entra(Dialect):
    """Refresh tokens of user and client, for any resource; a new one each time, the old ones stay good. Wants scope at
    each refresh. invalid_grant is not always the end."""
    word = "entra"
    scopes = ("openid", "profile", "offline_access", "api://bff/user")
    single_use = False
    apis = {"api://crm": "read", "api://orders": "read write", "api://bff": "user"}
    services = {"own": Service("session", aud="api://bff"), "idt": Service("id_token", aud="bff"),
                "crm": Service("scope", 'scope = {"api://crm/.default"} audience = "api://crm"', "api://crm",
                               "api://crm/read"),
                "part": Service("scope", 'scope = {"api://orders/write"} audience = "api://orders"', "api://orders",
                                "api://orders/write"),
                "obo": Service("obo", 'scope = {"api://orders/.default"} audience = "api://orders"', "api://orders",
                               "api://orders/read api://orders/write"),
                "robot": Service("client_credentials", 'scope = {"api://crm/.default"} audience = "api://crm"',
                                 "api://crm")}
    dead = Refusal("invalid_grant", error_codes=[700082], suberror="bad_token",
                   error_description="AADSTS700082: The refresh token has expired due to inactivity.")
    not_dead = ((Refusal("invalid_grant", error_codes=[50196],
                         error_description="AADSTS50196: The server terminated an operation because it encountered a "
                                           "client request loop."), "provider_down"),
                (Refusal("interaction_required", suberror="basic_action", error_codes=[50076],
                         claims='{"access_token":{"capolids":{"essential":true,"values":["c"]}}}'), "reauthenticate"),
                (Refusal("invalid_grant", suberror="consent_required", error_codes=[65001]), "reauthenticate"),
                (Refusal("consent_required"), "reauthenticate"),
                (Refusal("temporarily_unavailable"), "provider_down"),
                (Refusal("invalid_resource", error_codes=[500011]), "upstream"))

    def __init__(self, *args):
        super().__init__(*args)
        self.challenges = {}  # of users, that their next login must bring

    def token(self, seen):
        try:
            return super().token(seen)
        except Refusal as refusal:
            held = self.refresh_tokens.get(seen.form.get("refresh_token"))
            if held and "claims" in refusal.body:
                self.challenges[held.family.sub] = refusal.body["claims"]
            raise

    def asked_to_log_in(self, p):
        wanted = self.challenges.pop(p.get("login_hint"), None)
        self.demand(p.get("claims") == wanted, "claims: %r in place of %r" % (p.get("claims"), wanted))

    def resolve(self, scope):
        """(scope, audience) of what the scopes of one resource make."""
        asked = [s.rpartition("/") for s in scope.split() if "/" in s]
        apis = {api for api, _, _ in asked}
        if len(apis) > 1:
            raise Refusal("invalid_scope", error_codes=[28000])
        if not asked:
            return scope, None  # Microsoft Graph
        if not apis <= set(self.apis):
            raise Refusal("invalid_resource", error_codes=[500011])
        api, _, first = asked[0]
        names = self.apis[api].split() if first == ".default" else [name for _, _, name in asked]
        return " ".join([s for s in scope.split() if "/" not in s] + ["%s/%s" % (api, n) for n in names]), api

    def audience(self, scope):
        return self.resolve(scope)[1]

    def select(self, family, form):
        self.demand("offline_access" in form.get("scope", "").split(), "a refresh without scope or offline_access")
        return self.resolve(form["scope"])

    def _bare(self, form):
        api, _, name = form.get("scope", "").rpartition("/")
        if name != ".default":
            raise Refusal("invalid_scope", error_codes=[1002012])
        return self._answer("", api)

    def grants(self):
        mine = {**super().grants(), OBO: self._obo}
        return {k: v for k, v in mine.items() if k != EXCHANGE}

    def _obo(self, form):
        self.demand(form.get("requested_token_use") == "on_behalf_of", "requested_token_use")
        family, aud = self.subjects.get(form.get("assertion"), (None, None))
        if aud != "api://bff" or not family.alive:
            raise Refusal("invalid_grant", error_codes=[500131])
        scope, aud = self.resolve(form["scope"])
        return self._answer(scope, aud, family)


class Google(Dialect):
    """access_type=offline in place of a scope; a refresh brings no refresh token, and may narrow the scope."""
    word = "google"
    single_use = False
    calendar = "https://www.googleapis.com/auth/calendar.readonly"
    scopes = ("openid", "profile", "offline_access", calendar)
    services = {**OWN, "crm": Service("scope", 'scope = {"%s"}' % calendar, None, calendar)}
    dead = Refusal("invalid_grant", error_description="Token has been expired or revoked.")
    not_dead = ((Refusal("rate_limit_exceeded", 429, {"Retry-After": "1"}), "provider_down"),
                (Refusal("internal_failure", 500), "provider_down"))

    def asked_to_log_in(self, p):
        self.demand("offline_access" not in p["scope"].split(), "scope offline_access")
        self.demand((p.get("access_type"), p.get("prompt")) == ("offline", "consent"), "access_type or prompt")

    def _code(self, form):
        body = super()._code(form)
        return {**body, "refresh_token": self._hold(self.families[-1])}

    def _successor(self, held, _scope):
        return None


class Zitadel(Dialect):
    """Audiences by reserved scopes of the login. An exchange gives a JWT when asked for one, may name fewer audiences
    and other scopes, and no resource. ID tokens name the project and the applications beside us."""
    word = "zitadel"
    ends_family = False
    selectors = ("audience", "resource")  # of an exchange
    project = "urn:zitadel:iam:org:project:id:%s:aud"
    scopes = ("openid", "profile", "offline_access", project % "crm", project % "orders")
    services = {**OWN, "own": Service("session", aud="orders"),
                "crm": Service("scope", 'scope = {openid, "%s"} audience = "crm"' % (project % "crm"), "crm",
                               project % "crm"),
                "swap": Service("exchange", 'audience = "orders" scope = {roles}', "orders", "roles"),
                "wider": Service("exchange", 'audience = "hr"'),
                "robot": Service("client_credentials", 'scope = {openid, "%s"} audience = "crm"' % (project % "crm"),
                                 "crm", project % "crm")}
    not_dead = ((Refusal("server_error", 500), "provider_down"), (Refusal("invalid_scope"), "upstream"))

    def audience(self, scope):
        return [self.client.id, "project-1"] + re.findall(r"project:id:(\w+):aud", scope)

    def id_audience(self, scope):
        return {"aud": ["sibling-app"] + self.audience(scope), "azp": self.client.id}

    def select(self, family, form):
        self.demand(not {"audience", "resource"} & set(form), "audience or resource at a refresh")
        return super().select(family, form)

    def _exchange(self, form):
        family, aud = self._subject(form)
        if "resource" in form or form.get("audience", aud[0]) not in aud:
            raise Refusal("invalid_target")
        self.demand(form.get("requested_token_type") == TYPE_URN + "jwt", "an opaque token is asked for")
        return self._answer(form.get("scope", family.scope), [form.get("audience", aud[0])], family,
                            issued_token_type=TYPE_URN + "jwt")

    def _bare(self, form):
        return self._answer(form.get("scope", ""), self.audience(form.get("scope", "")))


class Curity(Dialect):
    """resource (RFC 8707) and exchange; a grace period that is 0 by default."""
    word = "curity"
    selectors = ("resource", "audience")
    scopes = ("openid", "profile", "offline_access", "crm")
    services = {**OWN, "crm": Service("resource", 'resource = "%s" scope = {crm}' % CRM, CRM, "crm"),
                "orders": Service("resource", 'resource = "%s" scope = {openid}' % ORDERS, ORDERS, "openid"),
                "narrow": Service("scope", "scope = {openid, profile}", None, "openid profile"),
                "swap": Service("exchange", 'audience = "%s" scope = {orders}' % ORDERS, ORDERS, "orders"),
                "robot": Service("client_credentials", 'resource = "%s" scope = {crm}' % CRM, CRM, "crm")}
    not_dead = ((Refusal("server_error", 503, {"Retry-After": "1"}), "provider_down"),
                (Refusal("invalid_target"), "upstream"))

    def select(self, family, form):
        self.demand("audience" not in form, "audience at a refresh")
        scope, aud = super().select(family, form)
        for resource in form.get("resource", []):
            if resource not in family.resources:
                raise Refusal("invalid_target")
            aud = resource
        return scope, aud

    def _exchange(self, form):
        family, _ = self._subject(form)
        target = (form.get("resource") or [form.get("audience")])[0]
        if target not in (CRM, ORDERS):
            raise Refusal("invalid_target")
        return self._answer(form.get("scope", ""), target, family, issued_token_type=TYPE_URN + "access_token")

    def _bare(self, form):
        target = form.get("resource", [""])[0]
        if target not in (CRM, ORDERS):
            raise Refusal("invalid_target")
        return self._answer(form.get("scope", ""), target)


class Ping(Curity):
    """PingOne's rolling grace period is 0 by default; PingFederate chooses an access token manager by resource."""
    word = "ping"
    dead = Refusal("invalid_grant", error_description="unknown, invalid, or expired refresh token")


class Dex(Dialect):
    """Other clients' audiences by scope, in the ID token too. One refresh token for a user and client. Within
    reuseInterval the one before gives the same successor. Says invalid_request of dead tokens, of scopes that the login
    had not, and with 500 to who lost a race."""
    word = "dex"
    peer = "audience:server:client_id:%s"
    scopes = ("openid", "profile", "offline_access", peer % "crm")
    ends_family = says_scope = False
    repeats_nonce = True
    services = {"own": Service("session", aud="bff"), "idt": Service("id_token", aud="bff"),
                "crm": Service("scope", 'scope = {openid, "%s"} audience = "crm"' % (peer % "crm"), "crm")}
    dead = Refusal("invalid_request", error_description="Refresh token is invalid or has already been claimed by "
                                                        "another client.")
    not_dead = ((Refusal("invalid_request", 500), "provider_down"),)

    def audience(self, scope):
        return re.findall(r"audience:server:client_id:(\w+)", scope) + [self.client.id]

    def id_audience(self, scope):
        aud = self.audience(scope)
        return {"aud": aud, "azp": self.client.id} if len(aud) > 1 else {}

    def _code(self, form):
        body = super()._code(form)
        for other in self.families[:-1]:
            other.alive = other.alive and other.sub != self.families[-1].sub
        return body

    def select(self, family, form):
        scope = form.get("scope", family.scope)
        if not set(scope.split()) <= set(family.scope.split()):
            raise Refusal("invalid_request", error_description="Requested scopes contain unauthorized scope(s).")
        return scope, self.audience(scope)

    def _successor(self, held, scope):
        held.successor = held.successor or super()._successor(held, scope)
        return held.successor


class Authentik(Dialect):
    """No audience to choose. A refresh names offline_access among scopes of the login; its token has all of them.
    What a client asks for itself and may not have is left out without a word."""
    word = "authentik"
    ends_family = False
    services = {"own": Service("session", aud="bff", scope="openid profile offline_access"),
                "idt": Service("id_token", aud="bff"),
                "robot": Service("client_credentials", "scope = {profile}", "bff", "profile"),
                "mute": Service("client_credentials", "scope = {crm}")}
    not_dead = ((Refusal("access_denied", 403), "reauthenticate"), (Refusal("invalid_scope"), "upstream"))

    def audience(self, _scope):
        return self.client.id

    def select(self, family, form):
        self.demand("offline_access" in form.get("scope", "").split(), "a refresh without offline_access")
        super().select(family, form)
        return family.scope, self.client.id

    def _bare(self, form):
        known = [s for s in form.get("scope", "").split() if s in self.scopes]
        return self._answer(" ".join(known), self.client.id)


ALL = (Auth0, Okta, Entra, Google, Zitadel, Curity, Ping, Dex, Authentik)
