#!/usr/bin/python3
"""A provider that plays a script, fast: discovery, keys, and a token endpoint that answers every refresh with the next
refresh token after LATENCY_MS. Not a test: run by bench_broker.py.

    provider.py ISSUER LATENCY_MS TTL_S TOKEN_BYTES MODULUS [CERTIFICATE KEY]

ISSUER names a port of 127.0.0.1, with https if there is a certificate; MODULUS is base64url, of an RSA key.

GET /stats answers {"refreshes": n, "repeated": n}: repeated counts refresh tokens that came twice.
"""
import asyncio
import json
import ssl
import sys


class Provider(asyncio.Protocol):
    issuer = modulus = ""
    latency, ttl, token_bytes = 0.0, 0, 0
    refreshes = repeated = 0
    seen = set()

    def connection_made(self, transport):
        self.transport = transport
        self.data = b""

    def data_received(self, data):
        self.data += data
        head, end, body = self.data.partition(b"\r\n\r\n")
        if not end:
            return
        length = 0
        for line in head.split(b"\r\n")[1:]:
            if line[:15].lower() == b"content-length:":
                length = int(line[15:])
        if len(body) < length:
            return
        self.data = body[length:]
        path = head.split(b" ", 2)[1]
        if path == b"/token":
            cls = type(self)
            cls.refreshes += 1
            token = [p for p in body[:length].split(b"&") if p.startswith(b"refresh_token=")][0]
            if token in cls.seen:
                cls.repeated += 1
            cls.seen.add(token)
            answer = {"access_token": ("token-%d-" % cls.refreshes).ljust(cls.token_bytes, "y"), "token_type": "Bearer",
                      "expires_in": cls.ttl, "refresh_token": "refresh-token-successor-%d" % cls.refreshes}
            asyncio.get_running_loop().call_later(cls.latency, self.answer, answer)
        else:
            self.answer(self.document(path))

    def document(self, path):
        if path == b"/stats":
            return {"refreshes": self.refreshes, "repeated": self.repeated}
        if path == b"/jwks":
            return {"keys": [{"kty": "RSA", "kid": "k", "use": "sig", "alg": "RS256", "e": "AQAB", "n": self.modulus}]}
        return {"issuer": self.issuer, "authorization_endpoint": self.issuer + "/auth", "token_endpoint": self.issuer + "/token",
                "jwks_uri": self.issuer + "/jwks", "response_types_supported": ["code"],
                "subject_types_supported": ["public"], "id_token_signing_alg_values_supported": ["RS256"],
                "code_challenge_methods_supported": ["S256"],
                "authorization_response_iss_parameter_supported": True}

    def answer(self, document):
        body = json.dumps(document).encode()
        self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
                             % (len(body), body))


async def main(issuer, latency_ms, ttl_s, token_bytes, modulus, *certificate):
    Provider.issuer, Provider.modulus = issuer, modulus
    Provider.latency, Provider.ttl, Provider.token_bytes = int(latency_ms) / 1000, int(ttl_s), int(token_bytes)
    context = None
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
    server = await asyncio.get_running_loop().create_server(Provider, "127.0.0.1", int(issuer.rsplit(":", 1)[1]),
                                                            backlog=1024, ssl=context)
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
