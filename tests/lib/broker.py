"""bff-broker with all it needs, for tests: a configuration, secrets, and the way of a browser.

    with Postgres() as pg, Idp(...) as idp, Broker(pg, idp) as broker, broker.worker() as w:
        session = login(w, "alice")
"""
import base64
import http.cookiejar
import json
import os
import re
import secrets
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

from ipc import Worker
from process import Process

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BINDIR = os.environ.get("BFF_BIN", os.path.join(ROOT, "build", "gcc"))
ORIGIN = "http://app.localhost:8080"
CALLBACK = ORIGIN + "/auth/callback"
CLIENT_SECRET = "a secret with & and +"
LOG_TIMEOUT_S = 30

CONFIG = """
database {{ conninfo = "{conninfo}" web_password_file = "{dir}/none" broker_password_file = "{dir}/pg-broker"
    {database} }}
web {{ cookie_keys = "{dir}/cookie-keys" {web} }}
broker {{ socket = "{socket}" peer_user = "{peer_user}" key_ring = "{dir}/key-ring" }}
listen "public" {{ kind = public address = "127.0.0.1:7081" trusted_peers = {{"127.0.0.1"}} }}
listen "verify" {{ kind = verify address = "127.0.0.1:7080" edge = traefik trusted_peers = {{"127.0.0.1"}} }}
provider "idp" {{
    preset = oidc-provider
    issuer = "{issuer}"
    client_id = "bff"
    {auth}
    scopes = {{openid, profile, email, offline_access}}
    keep_claims = {{name, email, groups}}
    insecure_loopback = yes
    {provider}
}}
app "demo" {{
    provider = "idp"
    origins = {{"http://app.localhost:8080"}}
    insecure_loopback = yes
    {app}
}}
identity "default" {{ header "X-User-ID" {{ claim = "subject" }} }}
service "crm"    {{ provider = "idp" grant = resource resource = "https://crm.example.com" }}
service "orders" {{ provider = "idp" grant = resource resource = "https://orders.example.com" }}
service "own"    {{ provider = "idp" grant = session }}
service "idt"    {{ provider = "idp" grant = id_token }}
service "swap"   {{ provider = "idp" grant = exchange audience = "other" }}
service "spare"  {{ provider = "idp" grant = session }}
{extra}
route "page" {{ app = "demo" path = "/" }}
route "crm" {{ app = "demo" path = "/crm/" service = "crm" }}
route "orders" {{ app = "demo" path = "/orders/" service = "orders" }}
route "own" {{ app = "demo" path = "/own/" service = "own" }}
route "swap" {{ app = "demo" path = "/swap/" service = "swap" }}
route "idt" {{ app = "demo" path = "/idt/" service = "idt" }}
"""


def fresh_key():
    """A line for a key ring."""
    return subprocess.run([os.path.join(BINDIR, "bff-broker"), "-k"], check=True, stdout=subprocess.PIPE,
                          text=True).stdout


class Broker:
    def __init__(self, pg, issuer, app="", provider="", extra="", peer_user=None, ring=None, env=None, auth=None, web="",
                 database=""):
        self.directory = tempfile.mkdtemp(prefix="bff-broker-")
        self.socket = os.path.join(self.directory, "broker.sock")
        self.log = os.path.join(self.directory, "log")
        self.config = os.path.join(self.directory, "bff.conf")
        self.process = None
        self.env = env or {}
        # PostgreSQL knows the keys of the first ring it saw: all brokers of one cluster have that one.
        if ring is None:
            ring = pg.ring = getattr(pg, "ring", None) or fresh_key()
        self.ring = ring
        self.secret("key-ring", ring)
        self.secret("client-secret", CLIENT_SECRET)
        self.secret("pg-broker", "unused: the socket trusts")
        self.settings = {"conninfo": pg.conninfo(), "dir": self.directory, "socket": self.socket,
                         "issuer": issuer, "auth": auth or 'client_secret_file = "{dir}/client-secret"',
                         "app": app, "provider": provider, "extra": extra, "web": web, "database": database,
                         "peer_user": os.getuid() if peer_user is None else peer_user}
        self.write_config()

    def secret(self, name, text, mode=0o600):
        path = os.path.join(self.directory, name)
        with open(path, "w", encoding="ascii") as f:
            f.write(text)
        os.chmod(path, mode)

    def write_config(self, **more):
        self.settings.update(more)
        with open(self.config, "w", encoding="utf-8") as f:
            f.write(CONFIG.format(**{**self.settings, "auth": self.settings["auth"].format(**self.settings)}))

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        try:
            if self.process is not None:
                self.stop()
        finally:
            shutil.rmtree(self.directory, ignore_errors=True)

    def start(self):
        self.process = Process("bff-broker", [os.path.join(BINDIR, "bff-broker"), "-c", self.config],
                               log=self.log, env=self.env)
        self.process.await_notify()
        return self

    def stop(self):
        process, self.process = self.process, None
        if process.running() or process.wait() != 0:
            status = process.stop()
            assert status == 0, process.fail("ended with %s" % status)

    def kill(self):
        self.process.kill()
        self.process = None

    def log_text(self):
        with open(self.log, encoding="utf-8") as f:
            return f.read()

    def wait_log(self, pattern, count=1):
        """Until the log has `count` lines that match."""
        deadline = time.monotonic() + LOG_TIMEOUT_S
        while len(re.findall(pattern, self.log_text())) < count:
            assert time.monotonic() < deadline, "no %r in the log:\n%s" % (pattern, self.log_text()[-3000:])
            time.sleep(0.02)

    def ready(self, database=True, provider=True):
        """Until it can seal, and knows the provider's keys."""
        if database:
            self.wait_log("event=sealing_key .*state=primary")
        if provider:
            self.wait_log("event=provider_keys")
        return self

    def digest(self):
        return bytes.fromhex(re.findall(r"event=config_loaded .*digest=([0-9a-f]{64})", self.log_text())[-1])

    def worker(self, **more):
        return Worker(self.socket, self.digest(), **more)


class _Stop(urllib.request.HTTPRedirectHandler):
    """Follows redirects as far as the callback of the app, which is not there."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        if newurl.startswith(ORIGIN):
            raise Landed(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class Landed(Exception):
    def __init__(self, url):
        super().__init__(url)
        self.url = url


class Browser:
    def __init__(self):
        self.cookies = http.cookiejar.CookieJar()
        self.opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), _Stop(), urllib.request.HTTPCookieProcessor(self.cookies))

    def authorize(self, location):
        """Where the provider sends the browser in the end: the parameters of the callback."""
        try:
            with self.opener.open(location, timeout=30) as answer:
                raise AssertionError("no redirect but %d: %s" % (answer.status, answer.read(2000)))
        except Landed as landed:
            query = urllib.parse.urlsplit(landed.url).query
            return {k: v[0] for k, v in urllib.parse.parse_qs(query, strict_parsing=True).items()}


def begin(worker, user, **more):
    values = {"app": "demo", "origin": ORIGIN, "return_to": ORIGIN + "/here", "client": "127.0.0.0/24",
              "correlation": "c-1", "login_hint": user, **more}
    return worker.ask("login_begin", **values)


def finish(worker, begun, returned, **more):
    values = {"app": "demo", "origin": ORIGIN, "binding": begun.binding, "correlation": "c-2",
              "client": "127.0.0.0/24", "user_agent": "Test/1.0 \u00e9".encode("latin-1"),
              **{k: v for k, v in returned.items() if k in ("state", "code", "iss", "error")}, **more}
    return worker.ask("login_finish", **values)


def finish_when_asked(worker, begun, returned, **more):
    """As a browser that comes again after Retry-After: what a test did to the provider may have it held off."""
    deadline = time.monotonic() + 30
    while (done := finish(worker, begun, returned, **more)).get("detail") == "held_off" and time.monotonic() < deadline:
        time.sleep(done.retry_after_s)
    return done


def login(worker, user="alice", browser=None, **more):
    begun = begin(worker, user)
    assert begun.name == "login_begun", begun
    done = finish_when_asked(worker, begun, (browser or Browser()).authorize(begun.location), **more)
    assert done.name == "login_finished", done
    return done


def token(worker, session, service="crm", app="demo"):
    return worker.ask("token_get", session=session, app=app, service=service, correlation="c-3")


def claims(jwt):
    body = jwt.decode("ascii").split(".")[1]
    return json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))


def random_secret():
    return secrets.token_bytes(32)


def forget(pg, *workers):
    """Whatever the brokers keep in memory is gone. A round trip of theirs is what makes that certain: PostgreSQL
    delivers a notification before it answers a statement that was sent after it."""
    pg.psql("notify bff_revoked, 'flush'")
    for w in workers:
        assert w.ask("logout", session=random_secret(), app="demo", origin=ORIGIN).sessions == 0


def expire_tokens(pg, *workers):
    pg.psql("update bff_private.token set expires_at = now() - interval '1 s'")
    forget(pg, *workers)
