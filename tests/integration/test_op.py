"""The scripted provider complains of what it should: a good exchange with one thing wrong at a time.

test_conformance.py wants each row without complaint, which means nothing of a provider that never complains.
"""
import base64
import hashlib
import secrets
import ssl
import time
import urllib.parse

import pytest

import jws
from op import ASSERTION_TYPE, Client, Op, Profile, Refusal, Seen

CALLBACK = "http://app.localhost/auth/callback"
VERIFIER = "v" * 43
SECRET = "a+b c&d:"
KEY = jws.Key("ES256", which=5)
CERTIFICATE = b"a certificate"


@pytest.fixture(name="op", scope="module")
def fixture_op(tmp_path_factory):
    with Op(str(tmp_path_factory.mktemp("op"))) as op:
        yield op


def seen(endpoint, form=None, query=None, certificate=None, **headers):
    return Seen(endpoint, "POST" if form is not None else "GET", query or {}, form or {}, headers, certificate)


def request():
    challenge = jws.b64(hashlib.sha256(VERIFIER.encode()).digest())
    return {"response_type": "code", "client_id": "bff", "redirect_uri": CALLBACK, "scope": "openid", "state": "s",
            "nonce": "n", "code_challenge": challenge, "code_challenge_method": "S256"}


def assertion(issuer, key=KEY, **changes):
    now = int(time.time())
    claims = {"iss": "bff", "sub": "bff", "aud": issuer.url, "jti": secrets.token_hex(8), "iat": now, "exp": now + 60,
              **changes}
    return {"client_id": "bff", "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": key.sign({k: v for k, v in claims.items() if v is not None})}


def basic(secret=SECRET):
    pair = "bff:" + urllib.parse.quote_plus(secret)
    return "Basic " + base64.b64encode(pair.encode()).decode()


def complaint(issuer, ask):
    """What one more request is complained of, or None."""
    had = len(issuer.wrong)
    try:
        ask()
    except Refusal:
        return issuer.wrong[had]
    return None


def with_basic(op):
    return op.issuer("basic", Client(CALLBACK, secret=SECRET))


def with_fapi(op, auth):
    return op.issuer("fapi", Client(CALLBACK, auth, key=KEY, certificate=CERTIFICATE),
                     Profile(alg="PS256", par=True, mtls=True, fapi=True))


@pytest.mark.parametrize("change, what", [
    ({}, None),
    ({"response_type": "code id_token"}, "response_type"),
    ({"client_id": "other"}, "client_id"),
    ({"redirect_uri": CALLBACK + "/"}, "redirect_uri"),
    ({"scope": "profile"}, "scope"),
    ({"code_challenge_method": "plain"}, "code_challenge_method"),
    ({"code_challenge": "short"}, "code_challenge"),
    ({"state": ""}, "state"),
    ({"nonce": "n" * 65}, "nonce"),
])
def test_authorization_request(op, change, what):
    issuer = with_basic(op)
    got = complaint(issuer, lambda: issuer.authorize(seen("authorize", query={**request(), **change})))
    assert (got or "").startswith(what or "") and (got is None) == (what is None)


@pytest.mark.parametrize("change, headers, what", [
    ({}, {"authorization": basic()}, None),
    ({}, {"authorization": basic("other")}, "client_secret_basic"),
    ({}, {"authorization": "Basic " + base64.b64encode(("bff:" + SECRET).encode()).decode()}, "client_secret_basic"),
    ({"client_secret": SECRET}, {"authorization": basic()}, "client authentication"),
    ({"client_secret": SECRET}, {}, "client authentication"),
    ({"code": "other"}, {"authorization": basic()}, "code"),
    ({"code_verifier": "w" * 43}, {"authorization": basic()}, "code_verifier"),
    ({"redirect_uri": "http://app.localhost/"}, {"authorization": basic()}, "redirect_uri"),
    ({"grant_type": "password"}, {"authorization": basic()}, "grant_type"),
])
def test_token_request(op, change, headers, what):
    issuer = with_basic(op)
    _, back = issuer.authorize(seen("authorize", query=request()))
    code = urllib.parse.parse_qs(urllib.parse.urlsplit(back).query)["code"][0]
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, "code_verifier": VERIFIER,
            **change}
    got = complaint(issuer, lambda: issuer.token(seen("token", form, **headers)))
    assert (got or "").startswith(what or "") and (got is None) == (what is None)
    if what is None:
        assert complaint(issuer, lambda: issuer.token(seen("token", form, **headers))).startswith("code is")


def test_tokens_without_a_code(op):
    issuer = with_basic(op)

    def ask(**form):
        return issuer.token(seen("token", form, authorization=basic()))[1]
    own = ask(grant_type="client_credentials", scope="crm")
    assert own["scope"] == "crm" and "refresh_token" not in own and "id_token" not in own
    kind = "urn:ietf:params:oauth:token-type:access_token"
    form = {"grant_type": "urn:ietf:params:oauth:grant-type:token-exchange", "subject_token": own["access_token"],
            "subject_token_type": kind}
    assert ask(**form)["issued_token_type"] == kind
    assert complaint(issuer, lambda: ask(**{**form, "subject_token": "other"})) == "subject_token"
    assert complaint(issuer, lambda: ask(**{**form, "subject_token_type": "jwt"})) == "subject_token_type"
    assert complaint(issuer, lambda: ask(grant_type="refresh_token", refresh_token="x")).startswith("refresh token is")


@pytest.mark.parametrize("change, what", [
    ({}, None),
    ({"iss": "other"}, "iss"),
    ({"sub": None}, "sub"),
    ({"aud": ["https://idp.example"]}, "aud"),
    ({"jti": None}, "jti"),
    ({"exp": None}, "exp"),
    ({"exp": int(time.time()) + 2 * 86400}, "exp"),
    ({"iat": int(time.time()) + 3600}, "iat"),
    ({"nbf": int(time.time()) + 3600}, "nbf"),
    ({"key": jws.Key("ES256", which=6)}, "signature"),
])
def test_client_assertion(op, change, what):
    issuer = with_fapi(op, "private_key_jwt")
    form = {**request(), **assertion(issuer, **change)}
    got = complaint(issuer, lambda: issuer.par(seen("par", form, certificate=CERTIFICATE)))
    assert got == what or got.startswith("client_assertion: " + what)
    if what is None:  # once is enough
        again = complaint(issuer, lambda: issuer.par(seen("par", form, certificate=CERTIFICATE)))
        assert again == "client_assertion: jti is missing or not fresh"


@pytest.mark.parametrize("certificate, what", [
    (CERTIFICATE, None), (b"another", "client certificate"), (None, "par is not asked by way of its mTLS alias")])
@pytest.mark.parametrize("auth", ["private_key_jwt", "tls"])
def test_client_certificate(op, auth, certificate, what):
    issuer = with_fapi(op, auth)
    form = {**request(), **(assertion(issuer) if auth == "private_key_jwt" else {})}
    assert complaint(issuer, lambda: issuer.par(seen("par", form, certificate=certificate))) == what


def test_pushed_request(op):
    issuer = with_fapi(op, "tls")
    wrong = {**request(), "request_uri": "urn:x"}
    assert complaint(issuer, lambda: issuer.par(seen("par", wrong, certificate=CERTIFICATE))).startswith("request_uri")
    assert complaint(issuer, lambda: issuer.authorize(seen("authorize", query=request()))).startswith("beside")
    _, pushed = issuer.par(seen("par", request(), certificate=CERTIFICATE))
    query = {"client_id": "bff", "request_uri": pushed["request_uri"]}
    for more in ({"state": "s"}, {"client_id": "other"}):
        assert complaint(issuer, lambda m=more: issuer.authorize(seen("authorize", query={**query, **m})))
    assert complaint(issuer, lambda: issuer.authorize(seen("authorize", query=query))) is None
    assert complaint(issuer, lambda: issuer.authorize(seen("authorize", query=query))).startswith("request_uri is")


@pytest.mark.parametrize("change, what", [
    ({}, None),
    ({"state": ""}, "no state"),
    ({"client_id": "other"}, "neither id_token_hint nor client_id"),
    ({"id_token_hint": "x.y.z"}, "id_token_hint is none"),
    ({"post_logout_redirect_uri": CALLBACK}, "post_logout_redirect_uri"),
])
def test_end_session(op, change, what):
    issuer = op.issuer("basic", Client(CALLBACK, secret=SECRET, logout_return="http://app.localhost/auth/logout"))
    query = {"client_id": "bff", "state": "s", "post_logout_redirect_uri": "http://app.localhost/auth/logout", **change}
    got = complaint(issuer, lambda: issuer.end_session(seen("end_session", query=query)))
    assert (got or "").startswith(what or "") and (got is None) == (what is None)


def test_userinfo(op):
    issuer = with_fapi(op, "tls")
    token = issuer._tokens("openid", None)["access_token"]
    for certificate, headers, what in ((CERTIFICATE, "Bearer " + token, None), (b"x", "Bearer " + token, "userinfo"),
                                       (CERTIFICATE, "DPoP " + token, "no bearer token")):
        got = complaint(issuer, lambda c=certificate, h=headers: issuer.userinfo(
            seen("userinfo", certificate=c, authorization=h)))
        assert (got or "").startswith(what or "") and (got is None) == (what is None)


def test_listeners(op):
    issuer = with_fapi(op, "tls")
    assert issuer.url.startswith("https://") and op.visit(issuer.url + "/.well-known/openid-configuration")[0] == 200
    with pytest.raises((ssl.SSLError, ConnectionError)):  # the alias wants a certificate
        op.visit(issuer.alias + "/token")
    assert op.visit(with_basic(op).url + "/nowhere")[0] == 404
