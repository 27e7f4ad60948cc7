"""A scripted OpenID provider: it answers as a test tells it to, and says what a client did wrong.

    with Op(directory) as op:
        i = op.issuer("crm", Client(redirect_uri, secret=secret), Profile(alg="PS256"), Script(jwks=list.clear))
        i.url                          # http://127.0.0.1:PORT/crm, or https:// with op.ca
        i.seen                         # what was asked of it: [Seen(endpoint="token", form=..., ...), ...]
        i.wrong                        # what the OpenID conformance suite would have failed the client for

One server carries any number of issuers, each below a path of its own with one client, keys and a Script.
It listens on http, on https, and on https that demands a client certificate (RFC 8705; reached by way of
mtls_endpoint_aliases). Nobody is asked anything at the authorization endpoint: it redirects at once.

Rule Zero: over 400 lines, because each endpoint needs what another one issued.
"""
import base64
import hashlib
import html
import http.client
import http.server
import json
import re
import secrets
import ssl
import threading
import time
import urllib.parse
from dataclasses import dataclass
from typing import Callable, Optional

import ca
import jws

CODE_TTL_S = 60
TOKEN_TTL_S = 300
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
DAY_S = 86400
SKEW_S = 10
NONCE_MAX = 64
VISIT_TIMEOUT_S = 60
SUB = "alice"
PROFILE = {"name": "Alice Adams", "preferred_username": "alice", "email": "alice@example.com", "email_verified": True,
           "phone_number": "+49 30 1", "address": {"locality": "Berlin"}, "groups": ["sales", "support"]}
_SCOPES = {"profile": ("name", "preferred_username", "groups"), "email": ("email", "email_verified"),
           "phone": ("phone_number",), "address": ("address",)}
_LOGOUT = "http://schemas.openid.net/event/backchannel-logout"


@dataclass
class Seen:
    endpoint: str
    method: str
    query: dict
    form: dict
    headers: dict
    certificate: Optional[bytes]  # DER, on the listener that demands one


def _keep(*_):
    return None


@dataclass
class Script:
    """How an issuer departs from the good way: each function changes its argument in place or returns another."""
    discovery: Callable = _keep    # (document)
    jwks: Callable = _keep         # (list of JWKs)
    authresp: Callable = _keep     # (parameters of the callback)
    tokenresp: Callable = _keep    # (body of the token endpoint's answer)
    idtoken: Callable = _keep      # (claims, header) at login
    refreshed: Callable = _keep    # (claims, header) at a refresh
    sign: Optional[Callable] = None  # (issuer, claims, header) -> the ID token at login
    userinfo: Callable = _keep     # (claims)
    logout: Callable = _keep       # (claims, header) of the logout token
    sign_logout: Optional[Callable] = None  # (issuer, claims, header) -> the logout token
    endsession: Callable = _keep   # (parameters of the redirect after the logout)
    before_token: Callable = _keep  # (issuer) as the token request comes in


class Refusal(Exception):
    """An OAuth error of an endpoint; `more` is of its body."""

    def __init__(self, error, status=400, headers=None, **more):
        super().__init__(error)
        self.status, self.headers, self.body = status, headers or {}, {"error": error, **more}


class Lost(Exception):
    """What was asked is done, and its answer never arrives."""


def _changed(function, value, *more):
    other = function(value, *more)
    return value if other is None else other


@dataclass
class Client:
    """What is registered of the one client of an issuer."""
    redirect_uri: str
    auth: str = "client_secret_basic"
    secret: str = ""
    key: Optional[jws.Key] = None          # private_key_jwt
    certificate: Optional[bytes] = None    # DER: tls, and tokens bound to it
    logout_return: str = ""
    backchannel_logout: Optional[Callable] = None  # (logout token) posts it
    id: str = "bff"


@dataclass
class Profile:
    """What an issuer offers and demands."""
    alg: str = "RS256"
    par: bool = False               # demands pushed authorization requests
    iss_parameter: bool = False     # RFC 9207
    mtls: bool = False              # tokens bound to the client's certificate, on the alias endpoints
    fapi: bool = False              # FAPI 2.0's further demands on a client
    userinfo_signed: bool = False
    form_post: bool = False
    end_session: bool = False


class Issuer:
    def __init__(self, op, name, url, alias, client, profile, script):
        self.op, self.name, self.url, self.alias = op, name, url, alias
        self.client, self.profile, self.script = client, profile, script
        self.keys = [jws.Key(profile.alg, kid="one")]  # the first one signs
        self.jwks_path = "jwks-" + secrets.token_hex(8)  # nobody knows it but from the metadata
        self.seen, self.wrong, self.logout_answers = [], [], []
        self.pushed, self.codes, self.access_tokens, self.refresh_tokens = {}, {}, {}, {}
        self.id_tokens, self.assertions = [], set()

    # ---- what a test asks ---------------------------------------------------------------------

    def asked(self, *endpoints):
        """The requests to these endpoints, or to all but discovery and keys."""
        return [s for s in self.seen if (s.endpoint in endpoints if endpoints else
                                         s.endpoint not in ("discovery", "jwks"))]

    def complain(self, what):
        self.wrong.append(what)
        raise Refusal("invalid_request")

    def demand(self, holds, what):
        if not holds:
            self.complain(what)

    # ---- documents ----------------------------------------------------------------------------

    def discovery(self, _seen):
        p = self.profile
        endpoints = {"token_endpoint": "token", "userinfo_endpoint": "userinfo"}
        if p.par:
            endpoints["pushed_authorization_request_endpoint"] = "par"
        document = {"issuer": self.url, "authorization_endpoint": self.url + "/authorize",
                    "jwks_uri": "%s/%s" % (self.url, self.jwks_path), "response_types_supported": ["code"],
                    "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials", EXCHANGE],
                    "response_modes_supported": ["query"] + ["form_post"] * p.form_post,
                    "subject_types_supported": ["public"], "code_challenge_methods_supported": ["S256"],
                    "id_token_signing_alg_values_supported": [p.alg],
                    "token_endpoint_auth_methods_supported": [
                        "tls_client_auth" if self.client.auth == "tls" else self.client.auth],
                    **{k: "%s/%s" % (self.url, v) for k, v in endpoints.items()}}
        if p.par:
            document["require_pushed_authorization_requests"] = True
        if p.iss_parameter:
            document["authorization_response_iss_parameter_supported"] = True
        if p.end_session:
            document["end_session_endpoint"] = self.url + "/end_session"
        if p.mtls:
            document["tls_client_certificate_bound_access_tokens"] = True
            document["mtls_endpoint_aliases"] = {k: "%s/%s" % (self.alias, v) for k, v in endpoints.items()}
        return _changed(self.script.discovery, document)

    def jwks(self, _seen):
        keys = [k.jwk() for k in self.keys]
        if self.profile.fapi:  # FAPI 2.0 5.4.3: the kid alone chooses no key
            keys = [jws.Key(alg, "one", which=1).jwk() for alg in ("RS256", "ES256", "EdDSA")
                    if alg != self.profile.alg] + keys
        return {"keys": _changed(self.script.jwks, keys)}

    # ---- who asks -----------------------------------------------------------------------------

    def authenticate(self, seen):
        c = self.client
        offered = {"client_secret_basic": "authorization" in seen.headers,
                   "client_secret_post": "client_secret" in seen.form,
                   "private_key_jwt": "client_assertion" in seen.form}
        self.demand([m for m, there in offered.items() if there] == [m for m in offered if m == c.auth],
                    "client authentication: %r" % offered)
        if c.auth == "client_secret_basic":
            self._basic(seen.headers["authorization"])
        elif c.auth == "client_secret_post":
            self.demand(seen.form["client_secret"] == c.secret, "client_secret")
        elif c.auth == "private_key_jwt":
            self.demand(seen.form.get("client_assertion_type") == ASSERTION_TYPE, "client_assertion_type")
            self._assertion(seen.form["client_assertion"])
        if c.auth != "client_secret_basic":
            self.demand(seen.form.get("client_id", c.id if c.auth == "private_key_jwt" else None) == c.id, "client_id")
        if c.certificate is not None:
            self.demand(seen.certificate is not None, "%s is not asked by way of its mTLS alias" % seen.endpoint)
            self.demand(seen.certificate == c.certificate, "client certificate")

    def _basic(self, authorization):
        """RFC 6749 2.3.1: both parts are form-encoded before they are joined."""
        scheme, _, pair = authorization.partition(" ")
        self.demand(scheme.lower() == "basic", "scheme of Authorization")
        parts = [urllib.parse.unquote_plus(p) for p in base64.b64decode(pair).decode().split(":")]
        self.demand(parts == [self.client.id, self.client.secret], "client_secret_basic")

    def _assertion(self, assertion):
        try:
            claims = jws.verify(assertion, self.client.key)
        except ValueError as e:
            self.complain("client_assertion: %s" % e)
        now = time.time()
        for name in ("iss", "sub"):
            self.demand(claims.get(name) == self.client.id, "client_assertion: " + name)
        self.demand(claims.get("aud") == self.url, "client_assertion: aud is not the issuer as a string")
        self.demand(isinstance(claims.get("jti"), str) and claims["jti"] not in self.assertions,
                    "client_assertion: jti is missing or not fresh")
        self.assertions.add(claims["jti"])
        self.demand(now < claims.get("exp", 0) < now + DAY_S, "client_assertion: exp")
        for name in ("iat", "nbf"):
            self.demand(claims.get(name, 0) <= now + SKEW_S, "client_assertion: %s is in the future" % name)

    # ---- authorization ------------------------------------------------------------------------

    def _request(self, p):
        """An authorization request's parameters, pushed or not."""
        c = self.client
        self.demand(p.get("response_type") == "code", "response_type")
        self.demand(p.get("client_id") == c.id, "client_id")
        self.demand(p.get("redirect_uri") == c.redirect_uri, "redirect_uri: %r" % p.get("redirect_uri"))
        self.demand("openid" in p.get("scope", "").split(), "scope has no openid")
        self.demand(p.get("code_challenge_method") == "S256", "code_challenge_method")
        self.demand(re.fullmatch("[A-Za-z0-9_-]{43}", p.get("code_challenge", "")), "code_challenge")
        self.demand(p.get("state") and p.get("nonce"), "state or nonce is missing")
        self.demand(len(p["nonce"]) <= NONCE_MAX, "nonce is too long")
        return p

    def par(self, seen):
        self.demand(seen.method == "POST", "PAR by " + seen.method)
        self.demand("request_uri" not in seen.form, "request_uri in a pushed request")
        self.authenticate(seen)
        form = {k: v for k, v in seen.form.items() if not k.startswith("client_assertion")}
        uri = "urn:ietf:params:oauth:request_uri:" + secrets.token_urlsafe(24)
        self.pushed[uri] = self._request(form)
        return 201, {"request_uri": uri, "expires_in": CODE_TTL_S}

    def authorize(self, seen):
        p = seen.query
        if self.profile.par:
            self.demand(set(p) == {"client_id", "request_uri"}, "beside client_id and request_uri: %r" % sorted(p))
            self.demand(p["client_id"] == self.client.id, "client_id")
            self.demand(p["request_uri"] in self.pushed, "request_uri is unknown or used")
            p = self.pushed.pop(p["request_uri"])
        else:
            p = self._request(p)
        code = secrets.token_urlsafe(24)
        self.codes[code] = (p, time.time() + CODE_TTL_S)
        back = {"code": code, "state": p["state"]}
        if self.profile.iss_parameter:
            back["iss"] = self.url
        back = _changed(self.script.authresp, back)
        if p.get("response_mode") == "form_post":
            self.demand(self.profile.form_post, "form_post is not offered")
            if "error" in back:
                self.demand((p.get("prompt"), p.get("max_age")) == ("none", "0"), "an error without a reason")
            inputs = "".join('<input name="%s" value="%s">' % (html.escape(k), html.escape(v)) for k, v in back.items())
            return 200, '<form method="post" action="%s">%s</form>' % (html.escape(p["redirect_uri"]), inputs)
        return 302, "%s?%s" % (p["redirect_uri"], urllib.parse.urlencode(back))

    # ---- tokens -------------------------------------------------------------------------------

    def grants(self):
        return {"authorization_code": self._code, "refresh_token": self._refresh, "client_credentials": self._bare,
                EXCHANGE: self._exchange}

    def token(self, seen):
        self.script.before_token(self)
        self.demand(seen.method == "POST", "token request by " + seen.method)
        self.authenticate(seen)
        grant = self.grants().get(seen.form.get("grant_type"))
        self.demand(grant, "grant_type: %r" % seen.form.get("grant_type"))
        return 200, _changed(self.script.tokenresp, grant(seen.form))

    def _tokens(self, scope, bound, more=()):
        token = secrets.token_urlsafe(24)
        self.access_tokens[token] = scope
        return {"access_token": token, "token_type": "Bearer", "expires_in": TOKEN_TTL_S, "scope": scope,
                **dict(more), **({"refresh_token": self._refresh_token(bound)} if bound else {})}

    def _refresh_token(self, bound):
        token = secrets.token_urlsafe(24)
        self.refresh_tokens[token] = bound
        return token

    def _login(self, form):
        """The authorization request that a code is of."""
        p, until = self.codes.pop(form.get("code"), (None, 0))
        self.demand(p is not None and time.time() < until, "code is unknown, used or expired")
        self.demand(form.get("redirect_uri") == p["redirect_uri"], "redirect_uri at the token endpoint")
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        self.demand(jws.b64(digest) == p["code_challenge"], "code_verifier")
        return p

    def _code(self, form):
        p = {**self._login(form), "auth_time": int(time.time())}
        body = self._tokens(p["scope"], p)
        body["id_token"] = self._id_token(body["access_token"], p["nonce"], self.script.idtoken, self.script.sign,
                                          auth_time=p["auth_time"])
        return body

    def _refresh(self, form):
        """Single use, as a careful provider has it."""
        p = self.refresh_tokens.pop(form.get("refresh_token"), None)
        self.demand(p is not None, "refresh token is unknown or used")
        body = self._tokens(form.get("scope", p["scope"]), p)
        body["id_token"] = self._id_token(body["access_token"], None, self.script.refreshed, None,
                                          auth_time=p["auth_time"])
        return body

    def _bare(self, form):
        return self._tokens(form.get("scope", ""), None)

    def _exchange(self, form):
        self.demand(form.get("subject_token") in self.access_tokens, "subject_token")
        kind = "urn:ietf:params:oauth:token-type:access_token"
        self.demand(form.get("subject_token_type") == kind, "subject_token_type")
        return self._tokens(form.get("scope", ""), None, {"issued_token_type": kind})

    def _id_token(self, access_token, nonce, change, sign, **more):
        now, key = int(time.time()), self.keys[0]
        claims = {"iss": self.url, "sub": SUB, "aud": self.client.id, "exp": now + TOKEN_TTL_S, "iat": now,
                  "at_hash": jws.at_hash(access_token, key.alg), "sid": "sid-of-" + SUB, **more}
        if nonce is not None:
            claims["nonce"] = nonce
        header = {"typ": "JWT"}
        claims = _changed(change, claims, header)
        token = sign(self, claims, header) if sign else key.sign(claims, **header)
        self.id_tokens.append(token)
        return token

    def userinfo(self, seen):
        scheme, _, token = seen.headers.get("authorization", "").partition(" ")
        self.demand(scheme == "Bearer" and "access_token" not in {**seen.query, **seen.form}, "no bearer token")
        if token not in self.access_tokens:
            raise Refusal("invalid_token", 401)
        if self.profile.mtls:
            self.demand(seen.certificate == self.client.certificate, "userinfo: token is bound to a certificate")
        of_scope = {k: PROFILE[k] for s in self.access_tokens[token].split() for k in _SCOPES.get(s, ())}
        claims = _changed(self.script.userinfo, {"sub": SUB, **of_scope})
        if not self.profile.userinfo_signed:
            return 200, claims
        return 200, self.keys[0].sign({"iss": self.url, "aud": self.client.id, **claims})

    # ---- logout -------------------------------------------------------------------------------

    def end_session(self, seen):
        p = {**seen.query, **seen.form}
        self.demand(p.get("state"), "no state at the end_session endpoint")
        if "id_token_hint" in p:
            self.demand(p["id_token_hint"] in self.id_tokens, "id_token_hint is none that was issued")
        else:
            self.demand(p.get("client_id") == self.client.id, "neither id_token_hint nor client_id")
        self.demand(p.get("post_logout_redirect_uri") == self.client.logout_return, "post_logout_redirect_uri")
        if self.client.backchannel_logout is not None:
            self.logout_answers.append(self.client.backchannel_logout(self.logout_token()))
        back = _changed(self.script.endsession, {k: p[k] for k in ("state",) if k in p})
        return 302, self.client.logout_return + ("?" + urllib.parse.urlencode(back) if back else "")

    def logout_token(self):
        now, key = int(time.time()), self.keys[0]
        claims = {"iss": self.url, "aud": self.client.id, "iat": now, "exp": now + 120, "sub": SUB,
                  "sid": "sid-of-" + SUB, "jti": secrets.token_urlsafe(16), "events": {_LOGOUT: {}}, "unknown": 1}
        header = {"typ": "logout+jwt"}
        claims = _changed(self.script.logout, claims, header)
        return self.script.sign_logout(self, claims, header) if self.script.sign_logout else key.sign(claims, **header)


def _parameters(text):
    """By name. A `resource` is a list: it alone may be repeated (RFC 6749 3.1, RFC 8707 2)."""
    pairs = urllib.parse.parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text))
    found = dict(pairs)
    resources = [v for k, v in pairs if k == "resource"]
    if len(found) != len(pairs) - max(len(resources) - 1, 0):
        raise ValueError("repeated parameters: %r" % sorted(k for k, _ in pairs))
    return {**found, "resource": resources} if resources else found


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    ENDPOINTS = ("jwks", "authorize", "par", "token", "userinfo", "end_session")

    def log_message(self, *_):
        pass

    def setup(self):
        if isinstance(self.request, ssl.SSLSocket):
            self.request.do_handshake()  # here, so that a slow one holds up nobody else
        super().setup()

    def _seen(self, endpoint, query, body):
        tls = self.request if isinstance(self.request, ssl.SSLSocket) else None
        return Seen(endpoint, self.command, _parameters(query), _parameters(body.decode()),
                    {k.lower(): v for k, v in self.headers.items()}, tls.getpeercert(True) if tls else None)

    def _answer(self):
        at = urllib.parse.urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        _, name, rest = at.path.split("/", 2)
        issuer = self.server.op.issuers[name]
        endpoint = {".well-known/openid-configuration": "discovery", issuer.jwks_path: "jwks"}.get(rest, rest)
        try:
            seen = self._seen(endpoint, at.query, body)
            issuer.seen.append(seen)
            if endpoint != "discovery" and endpoint not in self.ENDPOINTS:
                raise Refusal("not_found", 404)
            told = getattr(issuer, endpoint)(seen)
        except Refusal as e:
            told = e.status, e.body, e.headers
        except Lost:
            return None
        except Exception as e:  # pylint: disable=broad-except  # a test must see it, not a thread's stderr
            issuer.wrong.append("%s: %r" % (endpoint, e))
            raise
        return told if isinstance(told, tuple) else (200, told)

    def _serve(self):
        answer = self._answer()
        if answer is None:
            self.close_connection = True
            return
        status, told, *headers = answer
        data, kind = b"", "text/plain"
        if isinstance(told, (dict, list)):
            data, kind = json.dumps(told).encode(), "application/json"
        elif status != 302:
            data, kind = told.encode(), "text/html" if told.startswith("<") else "application/jwt"
        self.send_response(status)
        if status == 302:
            self.send_header("Location", told)
        for name, value in headers[0].items() if headers else ():
            self.send_header(name, value)
        self.send_header("Content-Type", kind)
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = _serve


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, op, context=None):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.op = op
        if context is not None:
            self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self.url = "%s://127.0.0.1:%d" % ("https" if context else "http", self.server_port)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        pass  # a handshake that a client broke off


class Op:
    def __init__(self, directory):
        self.issuers = {}
        self.ca = ca.Authority(directory)
        self.http = _Server(self)
        self.https = _Server(self, self._context(ssl.CERT_NONE))
        self.mtls = _Server(self, self._context(ssl.CERT_REQUIRED))

    def _context(self, verify):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.ca.server)
        context.load_verify_locations(self.ca.path)
        context.verify_mode = verify
        return context

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def issuer(self, name, client, profile=None, script=None, kind=Issuer):
        """name: one segment of a path. Tokens bound to certificates want https. kind: Issuer or one made of it."""
        profile = profile or Profile()
        base = self.https if client.certificate is not None or profile.fapi else self.http
        self.issuers[name] = kind(self, name, "%s/%s" % (base.url, name), "%s/%s" % (self.mtls.url, name),
                                  client, profile, script or Script())
        return self.issuers[name]

    def visit(self, url):
        """A browser's GET of an address of this provider: (status, Location, body)."""
        at = urllib.parse.urlsplit(url)
        if at.scheme == "https":
            context = ssl.create_default_context(cafile=self.ca.path)
            connection = http.client.HTTPSConnection(at.hostname, at.port, timeout=VISIT_TIMEOUT_S, context=context)
        else:
            connection = http.client.HTTPConnection(at.hostname, at.port, timeout=VISIT_TIMEOUT_S)
        try:
            connection.request("GET", "%s?%s" % (at.path, at.query))
            answer = connection.getresponse()
            return answer.status, answer.getheader("Location"), answer.read().decode()
        finally:
            connection.close()

    def stop(self):
        for server in (self.http, self.https, self.mtls):
            server.shutdown()
            server.server_close()

    def secrets(self):
        """What no log may ever hold."""
        return [t for i in self.issuers.values() for t in (i.client.secret, *i.access_tokens, *i.refresh_tokens)]
