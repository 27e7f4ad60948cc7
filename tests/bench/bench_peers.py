#!/usr/bin/python3
"""What others that answer the same question spend on a verified request, next to ours, in one run.

    make bench BENCH=peers

mod_auth_openidc (Debian's, Apache's event MPM, sessions in its shared memory) guards an empty file; oauth2-proxy (built
from its Go module) answers /oauth2/auth with its sessions in the cookie, and in Redis. Each has one session, by a real
login at the tests' OpenID provider; ours has 1,000. All on one core with 64 connections, the rounds in turns.
"""
import base64
import os
import secrets
import urllib.parse

from figures import Figures
from load import BIN, LOAD_CORE, WARM, Server, children, interleaved, us_per_request
from rig import Rig  # which says where the modules below are

import cache
from browser import Browser
from idp import Idp, client
from port import free_port

NAME = "app.localhost"
MODULES = "/usr/lib/apache2/modules"

APACHE = """
ServerRoot {d}
PidFile {d}/apache.pid
ErrorLog {d}/apache.log
ServerName {name}
Listen 127.0.0.1:{port}
User www-data
Group www-data
{modules}
StartServers 1
ServerLimit 1
ThreadLimit 128
ThreadsPerChild 128
MaxRequestWorkers 128
KeepAliveTimeout 3600
MaxKeepAliveRequests 0
DocumentRoot {d}/www
OIDCProviderMetadataURL {issuer}/.well-known/openid-configuration
OIDCClientID apache
OIDCClientSecret {secret}
OIDCRedirectURI http://{name}:{port}/guarded/oidc
OIDCCryptoPassphrase {passphrase}
OIDCScope "openid profile email"
OIDCPKCEMethod S256
OIDCCacheType shm
OIDCSessionInactivityTimeout 3600
<Location /guarded/>
	AuthType openid-connect
	Require valid-user
</Location>
"""


def login(start, cookie_prefix):
    """A browser's cookies after the login that `start` leads to."""
    b = Browser()
    first = b.get(start)
    while first.status in (302, 303) and "client_id=" not in (first.location or ""):
        first = b.get(urllib.parse.urljoin(first.url, first.location))
    if first.status not in (302, 303):
        raise SystemExit("no login begins at %s: %r" % (start, first))
    last = b.follow(b.get(first.location + "&login_hint=alice"))
    cookies = {k: v for k, v in b.cookies(start).items() if k.startswith(cookie_prefix)}
    if not cookies:
        raise SystemExit("no session of %s: %r %r" % (start, last, b.history))
    return "; ".join("%s=%s" % c for c in cookies.items())


def apache(rig, issuer, port, secret):
    www = rig.path("www")
    for folder in (www, www + "/guarded"):
        os.mkdir(folder)
        with open(folder + "/empty.txt", "w", encoding="ascii"):
            pass
    wanted = ("mpm_event", "authz_core", "authn_core", "authz_user", "auth_openidc")
    modules = "\n".join("LoadModule %s_module %s/mod_%s.so" % (m, MODULES, m) for m in wanted)
    config = rig.private("apache.conf", APACHE.format(d=rig.directory, name=NAME, port=port, issuer=issuer,
                                                      secret=secret, modules=modules,
                                                      passphrase=secrets.token_hex(16)))
    process = rig.start("apache", ["apache2", "-f", config, "-D", "FOREGROUND"])
    process.await_connection(("127.0.0.1", port))
    return Server(process, port, lambda: children(process.pid))


def oauth2_proxy(rig, issuer, name, port, secret, *more):
    command = [cache.oauth2_proxy(), "--provider=oidc", "--oidc-issuer-url=" + issuer, "--client-id=" + name,
               "--client-secret=" + secret, "--redirect-url=http://%s:%d/oauth2/callback" % (NAME, port),
               "--email-domain=*",
               "--cookie-secure=false", "--cookie-secret=" + base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
               "--http-address=127.0.0.1:%d" % port, "--upstream=static://200", "--reverse-proxy=true",
               "--trusted-proxy-ip=127.0.0.1", "--set-xauthrequest=true", "--pass-access-token=true",
               "--set-authorization-header=true", "--skip-provider-button=true", "--code-challenge-method=S256",
               "--scope=openid profile email", "--request-logging=false", "--auth-logging=false",
               "--standard-logging=false", *more]
    process = rig.start(name, command, env={"GOMAXPROCS": "1"})
    process.await_connection(("127.0.0.1", port))
    return Server(process, port, lambda: [process.pid])


def pairs_of(rig, issuer, ports, secret):
    redis = rig.start("redis", ["redis-server", "--port", str(ports["redis"]), "--bind", "127.0.0.1", "--save", "",
                                "--appendonly", "no", "--dir", rig.directory], LOAD_CORE)
    redis.await_connection(("127.0.0.1", ports["redis"]))
    rig.sessions(1000)
    cookies = rig.cookies(1000)
    ours = rig.ours("ours", rig.first(cookies))
    nginx = rig.nginx("nginx", rig.same_headers(ours, rig.head(), rig.first(cookies)))
    found = {"verify_cached": (ours, rig.load(ours.port, rig.head(), cookies=cookies)),
             "nginx_return_200": (nginx, rig.load(nginx.port, rig.head(), cookies=cookies))}

    def peer(name, server, path, start, prefix, **more):
        at = "%s:%d" % (NAME, server.port)
        cookie = rig.cookie_file([login("http://%s%s" % (at, start), prefix) if start else "none=none"])
        found[name] = server, rig.load(server.port, rig.head(target=path, at=at), cookies=cookie, **more)

    server = apache(rig, issuer, ports["apache"], secret)
    peer("apache_empty_file", server, "/empty.txt", None, None)
    peer("mod_auth_openidc", server, "/guarded/empty.txt", "/guarded/empty.txt", "mod_auth_openidc_session")
    try:
        cache.oauth2_proxy()
    except cache.Missing as why:
        print("# oauth2-proxy left out: %s" % why)
        return found, redis
    in_redis = ("--session-store-type=redis", "--redis-connection-url=redis://127.0.0.1:%d" % ports["redis"])
    for name, more in (("cookie", ()), ("redis", in_redis)):
        server = oauth2_proxy(rig, issuer, "oauth2-proxy-" + name, ports["oauth2-proxy-" + name], secret, *more)
        peer("oauth2_proxy_" + name, server, "/oauth2/auth", "/oauth2/start?rd=/", "_oauth2_proxy", status=202)
    return found, redis


def main():
    figures = Figures("peers")
    ports = {name: free_port() for name in ("apache", "oauth2-proxy-cookie", "oauth2-proxy-redis", "redis")}
    secret = secrets.token_hex(16)
    clients = [client("apache", secret, ["http://%s:%d/guarded/oidc" % (NAME, ports["apache"])])]
    clients += [client(name, secret, ["http://%s:%d/oauth2/callback" % (NAME, ports[name])])
                for name in ("oauth2-proxy-cookie", "oauth2-proxy-redis")]
    with Idp(clients, port=free_port(), access_token_ttl=3600) as idp, Rig() as rig:
        pairs, redis = pairs_of(rig, idp.issuer, ports, secret)
        for server, load in pairs.values():
            us_per_request(server, load, WARM)
        samples = interleaved(pairs)
        if "oauth2_proxy_redis" in pairs:
            store = us_per_request(Server(redis, 0, lambda: [redis.pid]), pairs["oauth2_proxy_redis"][1])
            figures.measure("oauth2_proxy_redis_server_cpu", store, "us")
        for name, values in samples.items():
            figures.measure(name + "_cpu", values, "us")
        for name in sorted(set(samples) & {"mod_auth_openidc", "oauth2_proxy_cookie", "oauth2_proxy_redis"}):
            ratios = [a / b for a, b in zip(samples[name], samples["verify_cached"])]
            figures.measure(name + "_over_ours", ratios, "ratio", least=1)
    figures.write(program=BIN)


if __name__ == "__main__":
    main()
