"""Client authentication by private keys, judged by npm oidc-provider: what `bff-broker -j` prints is registered."""
import json
import os
import subprocess

import pytest

from broker import BINDIR, CALLBACK, CLIENT_SECRET, Broker, login, token
from idp import Idp, client

EC = ("ec", "-pkeyopt", "ec_paramgen_curve:P-256")
RSA = ("rsa", "-pkeyopt", "rsa_keygen_bits:2048")
ED25519 = ("ed25519",)


def new_key(kind):
    made = subprocess.run(["openssl", "genpkey", "-algorithm", *kind], check=True, capture_output=True, text=True)
    return made.stdout


class KeyedBroker(Broker):
    """Signs with the first of the keys; made without a provider first, which wants to know the keys."""

    def __init__(self, pg, *keys):
        super().__init__(pg, "https://idp.example")
        self.starts = 0
        self.auth(*keys)

    def auth(self, *keys, **more):
        self.secret("client-key", "".join(keys))
        self.write_config(auth='client_auth = private_key_jwt client_key_file = "{dir}/client-key"', **more)

    def run(self, *args):
        return subprocess.run([os.path.join(BINDIR, "bff-broker"), *args, "-c", self.config], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)

    def jwks(self):
        got = self.run("-j", "idp")
        assert got.returncode == 0, got.stdout
        return json.loads(got.stdout)

    def start_ready(self):
        self.starts += 1
        self.start().wait_log("event=sealing_key .*state=primary", self.starts)
        self.wait_log("event=provider_keys ", self.starts)
        return self


def idp_that_knows(jwks, alg):
    return Idp([client("bff", CLIENT_SECRET, [CALLBACK], jwks=jwks, token_endpoint_auth_method="private_key_jwt",
                       token_endpoint_auth_signing_alg=alg)])


def logs_in(broker):
    with broker.worker() as w:
        got = token(w, login(w).session)  # a code, then a refresh: two assertions
        assert got.name == "token", got


@pytest.mark.parametrize("kind,alg", [(EC, "ES256"), (RSA, "PS256"), (ED25519, "EdDSA")])
def test_the_provider_takes_what_the_key_signs(pg, kind, alg):
    broker = KeyedBroker(pg, new_key(kind))
    try:
        with idp_that_knows(broker.jwks(), alg) as idp:
            broker.write_config(issuer=idp.issuer)
            logs_in(broker.start_ready())
    finally:
        broker.__exit__()


def test_rotation_by_the_manual(pg):
    """The new key is registered before it signs; the old one may go after."""
    old, new = new_key(EC), new_key(EC)
    broker = KeyedBroker(pg, old, new)
    try:
        jwks = broker.jwks()
        assert len({key["kid"] for key in jwks["keys"]}) == 2
        assert not any("d" in key for key in jwks["keys"])
        with idp_that_knows(jwks, "ES256") as idp:
            broker.write_config(issuer=idp.issuer)
            logs_in(broker.start_ready())
            for keys in ((new, old), (new,)):
                broker.stop()
                broker.auth(*keys)
                logs_in(broker.start_ready())
            assert broker.jwks()["keys"] == jwks["keys"][1:]
    finally:
        broker.__exit__()


def test_a_key_that_is_not_registered_is_refused(pg):
    broker = KeyedBroker(pg, new_key(EC))
    try:
        with idp_that_knows(broker.jwks(), "ES256") as idp:
            broker.auth(new_key(EC), issuer=idp.issuer)
            broker.start_ready()
            with pytest.raises(AssertionError, match="provider"):
                logs_in(broker)
            broker.wait_log("invalid_client")
    finally:
        broker.__exit__()


@pytest.mark.parametrize("args,want", [
    (("-j", "nobody"), 'there is no provider "nobody"'),
    (("-j", "idp"), "client_key_file: expected keys of RSA"),
    (("-t",), "client_key_file: expected keys of RSA"),
])
def test_bad_keys_are_named(pg, args, want):
    broker = KeyedBroker(pg, new_key(("ec", "-pkeyopt", "ec_paramgen_curve:P-384")))
    try:
        got = broker.run(*args)
        assert got.returncode == 78 and want in got.stdout
        assert "PRIVATE" not in got.stdout
    finally:
        broker.__exit__()


def test_a_shared_secret_has_no_keys_to_print(pg):
    broker = Broker(pg, "https://idp.example")
    try:
        got = subprocess.run([os.path.join(BINDIR, "bff-broker"), "-j", "idp", "-c", broker.config], text=True,
                             capture_output=True, check=False)
        assert got.returncode == 78 and "client_auth: expected private_key_jwt" in got.stderr
        assert got.stdout == ""
    finally:
        broker.__exit__()
