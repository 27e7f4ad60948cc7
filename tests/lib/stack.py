"""Everything up and down: PostgreSQL, OpenID provider, broker, bffd, services, edge.

    with Stack(edge="caddy") as s:
        b = s.login("alice")                            # a browser.Browser with a session
        b.fetch(s.url("/api/crm/x")).json()             # what the service got
        s.verify("/api/crm/x", b)                       # the edge's question, asked directly

BFF_BIN names the folder of the programs (default: build/gcc of this tree). Every part but the edges and
PostgreSQL binds 127.0.0.1 on a free port and logs into s.directory. Leaving the context stops
everything and then fails if a daemon of ours ended badly, a sanitizer spoke up, or a secret
stands in a log (s.check()).
"""
import base64
import os
import re
import secrets
import shutil
import subprocess
import tempfile

import browser
import cache
import edge as edges
from idp import CRM, ORDERS, Idp, client
from postgres import ROOT, Postgres
from port import free_port
from process import Process
from service import Service
from wait import eventually

HEALTH_ASKS = 16
SANITIZER = re.compile(r"ERROR: \w+Sanitizer|runtime error:|SUMMARY: \w+Sanitizer")
IDENTITY = ("X-User-ID", "X-User-Email", "X-User-Name", "X-User-Groups", "X-Session-ID", "X-Auth-Time",
            "X-Auth-Acr", "X-Correlation-ID", "Authorization")
_SANITIZER_OPTIONS = {"ASAN_OPTIONS": "abort_on_error=0:exitcode=99:detect_stack_use_after_return=1",
                      "UBSAN_OPTIONS": "print_stacktrace=1:exitcode=99"}


def binaries():
    return os.path.abspath(os.environ.get("BFF_BIN") or os.path.join(ROOT, "build", "gcc"))


class App:
    """An app section. Without a cookie domain every host logs in by itself."""

    def __init__(self, name="demo", hosts=("app.localhost",), cookie_domain=None, login_host=None,
                 provider="idp", more=""):
        self.name, self.hosts, self.provider, self.more = name, list(hosts), provider, more
        self.cookie_domain, self.login_host = cookie_domain, login_host

    def all_hosts(self):
        extra = [self.login_host] if self.login_host and self.login_host not in self.hosts else []
        return self.hosts + extra

    def login_hosts(self):
        return [self.login_host] if self.login_host else self.hosts


_CONFIG = """\
database {{
    conninfo             = "{conninfo}"
    web_password_file    = "{secrets}/pg-web"
    broker_password_file = "{secrets}/pg-broker"
    query_timeout        = "{query_timeout}"
}}
web {{
    workers     = {workers}
    cookie_keys = "{secrets}/cookie-keys"
}}
broker {{
    socket    = "{run}/broker.sock"
    peer_user = "{uid}"
    key_ring  = "{secrets}/key-ring"
}}
listen "public" {{ kind = public address = "127.0.0.1:{public}" trusted_peers = {{"127.0.0.0/8"}} }}
listen "verify" {{ kind = verify address = "127.0.0.1:{verify}" edge = {profile} trusted_peers = {{"127.0.0.1/32"}} }}
listen "metrics" {{ kind = metrics address = "127.0.0.1:{metrics}" trusted_peers = {{"127.0.0.1/32"}} }}

identity "default" {{
    header "X-User-ID"     {{ claim = "subject" }}
    header "X-User-Email"  {{ claim = "email" }}
    header "X-User-Name"   {{ claim = "name" }}
    header "X-User-Groups" {{ claim = "groups" }}
}}
"""
_PROVIDER = """
provider "{name}" {{
    preset             = oidc-provider
    issuer             = "{issuer}"
    client_id          = "{client_id}"
    client_auth        = client_secret_basic
    client_secret_file = "{secrets}/client-secret"
    signing_alg        = {alg}
    scopes             = {{openid, profile, email, offline_access}}
    keep_claims        = {{name, email, email_verified, groups}}
    insecure_loopback  = yes
    {more}
}}
service "crm{suffix}"    {{ provider = "{name}" grant = resource resource = "{crm}" }}
service "orders{suffix}" {{ provider = "{name}" grant = resource resource = "{orders}" }}
"""
_APP = """
app "{name}" {{
    provider          = "{provider}"
    origins           = {{{origins}}}
    after_logout      = {{"{home}"}}
    page_claims       = {{name, email, groups}}
    insecure_loopback = yes
{more}}}
route "{name}-crm"     {{ app = "{name}" path = "/api/crm/" service = "crm{suffix}" }}
route "{name}-orders"  {{ app = "{name}" path = "/api/orders/" service = "orders{suffix}" }}
route "{name}-private" {{ app = "{name}" path = "/private/" }}
route "{name}-read"    {{ app = "{name}" path = "/read/" methods = {{GET, HEAD}} }}
route "{name}-page"    {{ app = "{name}" path = "/" session = none csrf = off }}
"""


def _suffix(provider):
    return "" if provider == "idp" else "-" + provider


class Stack:
    provider_text = _PROVIDER

    def __init__(self, edge="nginx", apps=None, algs=None, workers=2, access_token_ttl=300, idp_up=True,
                 page=None, port=None, extra="", query_timeout="2s", provider="", idp=None, backchannel=None,
                 say=lambda what: None):
        self.kind, self.workers, self.page_folder, self.extra = edge, workers, page, extra
        self.query_timeout, self.say = query_timeout, say
        self.provider, self.idp_more = provider, idp or {}  # options of the provider section, and of Idp
        self.backchannel = backchannel or {}  # provider -> "sid" or "sub": what its logout tokens name
        self.apps = apps or [App()]
        self.algs = algs or {"idp": "RS256"}
        self.port = port or free_port()
        self.ports = {"public": free_port(), "verify": free_port(), "metrics": free_port()}
        if edge is None:
            self.ports["public"] = self.port
        self.access_token_ttl, self.idp_up = access_token_ttl, idp_up
        self.directory = tempfile.mkdtemp(prefix="bff-stack-")
        self.secrets = self._folder("secrets")
        self.run = self._folder("run")
        self.config = os.path.join(self.directory, "bff.conf")
        self.client_secret = "s+ =&%" + secrets.token_urlsafe(24)
        self.pg = self.idp = self.broker = self.bffd = self.edge = None
        self.second = []
        self.services = {}
        self.statuses = []
        self.canaries = []

    def _folder(self, name):
        path = os.path.join(self.directory, name)
        os.mkdir(path, 0o700)
        return path

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.remove()
            raise

    def __exit__(self, kind, *_):
        try:
            self.stop()
            if kind is None:
                self.check()
        finally:
            self.remove()

    # ---- names --------------------------------------------------------------------------------

    def hosts(self):
        return [h for app in self.apps for h in app.all_hosts()]

    def origin(self, host=None):
        return "http://%s:%d" % (host or self.hosts()[0], self.port)

    def url(self, path="/", host=None):
        return self.origin(host) + path

    def log(self, name):
        path = os.path.join(self.directory, name + ".log")
        if not os.path.exists(path):
            return ""
        with open(path, encoding="utf-8", errors="replace") as f:
            return f.read()

    # ---- files --------------------------------------------------------------------------------

    def _secret(self, name, text):
        path = os.path.join(self.secrets, name)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as f:
            f.write(text)
        if not name.startswith("key-ring"):
            self.canaries.append(text.strip())

    def _secrets(self):
        key = base64.urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b"=").decode()
        self._secret("cookie-keys", key + "\n")
        ring = base64.urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b"=").decode()
        self._secret("key-ring", "1 %s\n" % ring)
        self.canaries.append(ring)
        self._secret("client-secret", self.client_secret + "\n")
        for role in ("web", "broker"):
            password = secrets.token_urlsafe(18)
            self._secret("pg-" + role, password + "\n")
            self.pg.set_password("bff_" + role, password)

    def _clients(self):
        for name, alg in self.algs.items():
            hosts = [h for a in self.apps if a.provider == name for h in a.login_hosts()]
            back = [self.url("/auth/logout", h) for h in hosts]
            emitted = alg if isinstance(alg, str) else alg[1]
            more = {}
            if name in self.backchannel:
                more = {"backchannel_logout_uri": self.url("/auth/backchannel-logout", hosts[0]),
                        "backchannel_logout_session_required": self.backchannel[name] == "sid"}
            yield client("bff-" + name, self.client_secret,
                         [self.url("/auth/callback", h) for h in hosts], back, emitted, **more)

    def write_config(self, **changes):
        """Writes bff.conf; `changes` replace parts of it (see _CONFIG), for a reload."""
        values = {"conninfo": self.pg.conninfo(tcp=True, sslmode="disable"), "secrets": self.secrets,
                  "run": self.run, "uid": os.geteuid(), "workers": self.workers,
                  "profile": {None: "traefik", edges.DEV: "caddy"}.get(self.kind, self.kind), "query_timeout": self.query_timeout, **self.ports}
        text = _CONFIG.format(**{**values, **changes})
        for name, alg in self.algs.items():
            pinned = alg if isinstance(alg, str) else alg[0]
            text += self.provider_text.format(name=name, issuer=self.idp.issuer, client_id="bff-" + name,
                                     secrets=self.secrets, alg=pinned, suffix=_suffix(name),
                                     crm=CRM, orders=ORDERS, more=self.provider)
        for app in self.apps:
            more = app.more and "    %s\n" % app.more
            if app.cookie_domain:
                more += '    cookie_domain     = "%s"\n    login_origin      = "%s"\n' % (
                    app.cookie_domain, self.origin(app.login_host))
            origins = ", ".join('"%s"' % self.origin(h) for h in app.all_hosts())
            text += _APP.format(name=app.name, provider=app.provider, suffix=_suffix(app.provider), origins=origins,
                                home=self.url("/", app.hosts[0]), more=more)
        with open(self.config, "w", encoding="utf-8") as f:
            f.write(text + self.extra)

    # ---- up -----------------------------------------------------------------------------------

    def start(self):
        os.chmod(self.directory, 0o711)
        self.say("PostgreSQL")
        self.pg = Postgres(tcp=True)
        self.pg.init()
        self.pg.start()
        self.pg.migrate()
        self._secrets()
        self.say("OpenID provider")
        self.start_idp()
        self.write_config()
        self.services = {name: Service(name, page=self._page() if name == "page" else None)
                         for name in ("crm", "orders", "page")}
        self.say("bff-broker, bffd")
        self.start_broker()
        self.start_bffd()
        if self.kind:
            self.say(self.kind)
            self.edge = edges.Edge(self.kind, os.path.join(self.directory, "edge"), self.port, self.hosts(),
                             self.ports["verify"], self.ports["public"],
                             [self.services[n].port for n in ("crm", "orders", "page")]).start()
        return self

    def _page(self):
        """The page's folder, and the helper that it imports."""
        if self.page_folder is None:
            return None
        folder = os.path.join(self.directory, "page")
        shutil.copytree(self.page_folder, folder)
        shutil.copy(os.path.join(cache.spa(), "bff.js"), folder)
        return folder

    def start_idp(self):
        self.idp = Idp(list(self._clients()), port=free_port(), access_token_ttl=self.access_token_ttl,
                       log=os.path.join(self.directory, "idp.log"), **self.idp_more)
        if self.idp_up:
            self.idp.start()

    def _daemon(self, name, program):
        return Process(name, [os.path.join(binaries(), program), "-c", self.config],
                       log=os.path.join(self.directory, name + ".log"), env=_SANITIZER_OPTIONS).await_notify()

    def start_broker(self):
        self.broker = self._daemon("broker", "bff-broker")

    def await_health(self, status=200):
        """Until every worker has database and broker, or (503) misses one: each connection may be another worker's."""
        host = self.url().split("/")[2]

        def healthy():
            return all(browser.raw(self.ports["public"], "GET", "/auth/health", [("Host", host)]).status == status
                       for _ in range(HEALTH_ASKS))

        eventually(healthy, what="health of every worker")

    def start_bffd(self):
        self.bffd = self._daemon("bffd", "bffd")

    def second_host(self):
        """Broker and bffd once more, on ports of their own: another machine on the same PostgreSQL."""
        ports = {name: free_port() for name in self.ports}
        first, self.config = self.config, os.path.join(self.directory, "second.conf")
        try:
            self.write_config(run=self._folder("run-second"), **ports)
            self.second = [self._daemon("broker-second", "bff-broker"), self._daemon("bffd-second", "bffd")]
        finally:
            self.config = first
        return ports

    # ---- down ---------------------------------------------------------------------------------

    def _end(self, attribute):
        process = getattr(self, attribute)
        if process is not None:
            setattr(self, attribute, None)
            self.statuses.append((attribute, process.stop()))

    def stop_broker(self):
        self._end("broker")

    def stop_bffd(self):
        self._end("bffd")

    def stop(self):
        if self.edge is not None:
            self.edge.stop()
        for process in reversed(self.second):
            self.statuses.append((process.name, process.stop()))
        self.second = []
        self.stop_bffd()
        self.stop_broker()
        if self.idp is not None and self.idp.process is not None:
            if self.idp.control is not None:
                self.canaries += self.idp.canaries()
            self.idp.stop()
        for service in self.services.values():
            service.stop()
        self.services = {}
        if self.pg is not None:
            self.pg.stop("fast")

    def remove(self):
        for process in (self.edge and self.edge.process, self.bffd, self.broker,
                        self.idp and self.idp.process, *self.second):
            if process:
                process.kill()
        for service in self.services.values():
            service.stop()
        self.services = {}
        if self.idp is not None:
            self.idp.process = None
            self.idp.remove()
        if self.pg is not None:
            self.pg.remove()
        if os.environ.get("BFF_KEEP"):
            print("kept:", self.directory)
        else:
            shutil.rmtree(self.directory, ignore_errors=True)

    def check(self):
        bad = ["%s ended with status %d" % s for s in self.statuses if s[1] != 0]
        ours = ("bffd", "broker", "bffd-second", "broker-second")
        texts = {name: self.log(name) for name in (*ours, "idp")}
        texts["postgres"] = self.pg.log_text()
        for name in ours:
            found = SANITIZER.search(texts[name])
            if found:
                bad.append("%s: %s" % (name, texts[name][found.start():][:4000]))
        for canary in self.canaries:
            bad += ["a secret (%s...) stands in the log of %s" % (canary[:4], name)
                    for name, text in texts.items() if canary and canary in text]
        if bad:
            raise AssertionError("\n".join(bad) + "\n" + self.tails())

    def tails(self):
        return "\n".join("==> %s\n%s" % (name, self.log(name)[-3000:]) for name in ("bffd", "broker"))

    # ---- use ----------------------------------------------------------------------------------

    def login(self, user="alice", host=None, b=None, return_to=None):
        """A browser with a session; fails where the login does."""
        b = b or browser.Browser()
        url = self.url("/auth/login?login_hint=" + user, host)
        if return_to:
            url += "&return_to=" + return_to
        answer = b.open(url)
        landed = answer.status == (200 if self.edge else 404)  # without an edge there is no page
        if not landed or "bff_session" not in b.cookies(self.url("/", host)):
            raise AssertionError("login failed: %r\n%r\n%s\nidp: %s" % (
                answer, b.history, self.tails(), self.idp.stats()["errors"]))
        cookies = b.cookies(self.url("/", host))
        self.canaries += [cookies["bff_session"].split(".")[2], cookies["bff_csrf"]]
        return b

    def verify(self, uri, b=None, method="GET", host=None, headers=(), port=None):
        """The edge's question, asked directly on a connection of its own."""
        url = self.url(uri, host)
        netloc = url.split("/")[2]
        sent = [("Host", netloc), ("X-Forwarded-Method", method), ("X-Forwarded-Uri", uri),
                ("X-Forwarded-Host", netloc), ("X-Forwarded-Proto", "http"),
                ("X-Forwarded-For", "127.0.0.1"), ("Accept", "application/json"),
                ("Sec-Fetch-Mode", "cors"), ("Sec-Fetch-Site", "same-origin")]
        if b is not None and b.cookie_header(url):
            sent.append(("Cookie", b.cookie_header(url)))
        return browser.raw(port or self.ports["verify"], "GET", "/auth/verify", sent + list(headers))
