"""Keys and JSON Web Tokens for the tests, good ones and bad ones (JWS compact: RFC 7515, 7517, 7518).

    key = Key("RS256", kid="a"); key.jwk(); token = key.sign({"sub": "alice"}); verify(token, key)

A private key costs time to make, so tests share those of pool(); a Key is one of them under a kid.
"""
import base64
import functools
import hashlib
import hmac
import json
import threading

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils

_COORDINATE = 32
_lock = threading.Lock()


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _number(n):
    return b64(n.to_bytes((n.bit_length() + 7) // 8, "big"))


@functools.lru_cache(maxsize=None)
def _made(kind, _which):
    if kind == "RSA":
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return ec.generate_private_key(ec.SECP256R1()) if kind == "EC" else ed25519.Ed25519PrivateKey.generate()


def pool(kind, which):
    """The which-th private key of a kind: RSA, EC (P-256) or OKP (Ed25519)."""
    with _lock:  # two askers at once would get two keys
        return _made(kind, which)


def _kind(alg):
    return {"R": "RSA", "P": "RSA", "E": "EC"}[alg[0]] if alg != "EdDSA" else "OKP"


def _pss():
    return padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)


class Key:
    """alg: RS256, PS256, ES256 or EdDSA. more: further members of the JWK, None takes one away."""

    def __init__(self, alg, kid=None, which=0, **more):
        self.alg, self.kid, self.more = alg, kid, more
        self.private = pool(_kind(alg), which)

    def jwk(self):
        public = self.private.public_key()
        kind = _kind(self.alg)
        if kind == "RSA":
            n = public.public_numbers()
            key = {"kty": kind, "n": _number(n.n), "e": _number(n.e)}
        elif kind == "EC":
            n = public.public_numbers()
            key = {"kty": kind, "crv": "P-256", "x": b64(n.x.to_bytes(_COORDINATE, "big")),
                   "y": b64(n.y.to_bytes(_COORDINATE, "big"))}
        else:
            raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
            key = {"kty": kind, "crv": "Ed25519", "x": b64(raw)}
        key.update({"use": "sig", "alg": self.alg, "kid": self.kid, **self.more})
        return {k: v for k, v in key.items() if v is not None}

    def pem(self):
        return self.private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                          serialization.NoEncryption()).decode()

    def signature(self, data):
        if self.alg == "RS256":
            return self.private.sign(data, padding.PKCS1v15(), hashes.SHA256())
        if self.alg == "PS256":
            return self.private.sign(data, _pss(), hashes.SHA256())
        if self.alg == "EdDSA":
            return self.private.sign(data)
        r, s = utils.decode_dss_signature(self.private.sign(data, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(_COORDINATE, "big") + s.to_bytes(_COORDINATE, "big")

    def sign(self, claims, **header):
        """header: further members, None takes one away."""
        head = {"alg": self.alg, "kid": self.kid, **header}
        return _compact({k: v for k, v in head.items() if v is not None}, claims, self.signature)


def _compact(header, claims, signature):
    signed = "%s.%s" % (b64(json.dumps(header).encode()), b64(json.dumps(claims).encode()))
    return "%s.%s" % (signed, b64(signature(signed.encode())))


def unsigned(claims, **header):
    return _compact({"alg": "none", **header}, claims, lambda data: b"")


def hs256(claims, secret, **header):
    return _compact({"alg": "HS256", **header}, claims,
                    lambda data: hmac.new(secret.encode(), data, hashlib.sha256).digest())


def corrupted(token):
    """The same with one bit of its signature turned."""
    signed, _, signature = token.rpartition(".")
    raw = bytearray(unb64(signature))
    raw[len(raw) // 2] ^= 1
    return "%s.%s" % (signed, b64(bytes(raw)))


def decode(token):
    """(header, claims), whoever signed it."""
    header, claims, _ = token.split(".")
    return json.loads(unb64(header)), json.loads(unb64(claims))


def verify(token, key):
    """The claims of a token that `key` signed under its alg; ValueError for any other."""
    signed, _, signature = token.rpartition(".")
    header, claims = decode(token)
    if header.get("alg") != key.alg:
        raise ValueError("alg is %r" % header.get("alg"))
    public, raw, data = key.private.public_key(), unb64(signature), signed.encode()
    try:
        if key.alg == "RS256":
            public.verify(raw, data, padding.PKCS1v15(), hashes.SHA256())
        elif key.alg == "PS256":
            public.verify(raw, data, _pss(), hashes.SHA256())
        elif key.alg == "EdDSA":
            public.verify(raw, data)
        else:
            r, s = (int.from_bytes(h, "big") for h in (raw[:_COORDINATE], raw[_COORDINATE:]))
            public.verify(utils.encode_dss_signature(r, s), data, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        raise ValueError("signature") from None
    return claims


def at_hash(access_token, alg):
    """OIDC Core 3.1.3.6."""
    digest = (hashlib.sha512 if alg == "EdDSA" else hashlib.sha256)(access_token.encode()).digest()
    return b64(digest[:len(digest) // 2])
