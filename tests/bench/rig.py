"""What the parts of the bench stand on: a database with sessions, our daemons, nginx, and the load.

    with Rig() as rig:
        rig.sessions(1000)                                   # rows put in by SQL, as the owner
        ours = rig.ours("cached", session_cache="on")        # a bffd with one worker on the servers' core
        load = rig.load(ours.port, rig.head(), cookies=rig.cookies(1000))
        us_per_request(ours, load)                           # one round, see load.py

PostgreSQL runs on the core of the load.
"""
import base64
import hashlib
import hmac
import http.client
import os
import shutil
import ssl
import subprocess
import sys
import tempfile
import time

from load import BIN, FILES, LOAD_CORE, ROOT, SERVER_CORE, Load, Server, children, cpu_ns, on_core

sys.path.insert(0, os.path.join(ROOT, "tests", "lib"))
os.environ.setdefault("BFF_BIN", BIN)

from port import free_port  # noqa: E402
from postgres import Postgres, client_environment  # noqa: E402
from process import Process  # noqa: E402
from wait import eventually  # noqa: E402

TOKEN_BYTES = 1200  # of an access token: an RS256 JWT with some claims
HOST = "app.localhost:8000"
CLAIMS = '{"email":"u%1$s@example.com","name":"User %1$s","groups":["sales","support"]}'

CONFIG = """
database {{ conninfo = "{conninfo}" web_password_file = "{d}/pw" broker_password_file = "{d}/pw" connections = 2
	query_timeout = 10s }}
web {{ workers = {workers} cookie_keys = "{d}/cookie" session_cache = {session_cache}
	max_connections = 20000 idle_timeout = 1h }}
broker {{ socket = "{d}/broker.sock" peer_user = "{uid}" key_ring = "{d}/ring" }}
listen "verify" {{ kind = verify address = "127.0.0.1:{port}" edge = {edge} trusted_peers = {{"127.0.0.1/32"}}
	{listen} }}
listen "public" {{ kind = public address = "127.0.0.1:{public}" trusted_peers = {{"127.0.0.1/32"}} }}
provider "idp" {{ issuer = "{issuer}" insecure_loopback = yes client_id = "bff" client_auth = client_secret_basic
	client_secret_file = "{d}/pw" signing_alg = RS256 scopes = {{openid}} keep_claims = {{email, name, groups}} }}
app "demo" {{ provider = "idp" origins = {{"http://{host}"}} insecure_loopback = yes idle_timeout = 12h
	absolute_timeout = 24h }}
identity "default" {{ header "X-User-ID" {{ claim = "subject" }} header "X-User-Email" {{ claim = "email" }}
	header "X-User-Name" {{ claim = "name" }} header "X-User-Groups" {{ claim = "groups" }} }}
identity "none" {{ }}
service "own" {{ provider = "idp" grant = session }}
route "all" {{ app = "demo" path = "/" }}
route "bare" {{ app = "demo" path = "/bare/" identity = "none" }}
route "own" {{ app = "demo" path = "/own/" service = "own" }}
"""

# Idle limits are the app's, so that activity is noted as ever: once a minute a session, however often that is used.
SESSIONS = """
insert into bff_private.session (id_hash, ref, app, provider, issuer, sub, sid, subject, email, name, claims, acr,
	auth_time, absolute_expires_at, idle, grant_id, client, user_agent)
select sha256(sha256(('bench' || i)::bytea)), 'bench-' || i, 'demo', 'idp', '%(issuer)s', 'u' || i, '', 'u' || i,
	format('u%%s@example.com', i), format('User %%s', i), format('%(claims)s', i)::json, '', 0,
	now() + '1 day', '12 hours', substr(sha256(('grant' || i)::bytea), 1, 16), '127.0.0.0/24', 'bench'
from generate_series(1, %(count)d) i;
insert into bff_private.session_activity (id_hash, last_seen, check_at)
select id_hash, now(), now() + '12 hours' from bff_private.session where ref like 'bench-%%';
vacuum analyze;
checkpoint;
"""

COLUMNS = {
    "session": "id_hash, ref, app, provider, issuer, sub, sid, subject, email, name, claims, acr, auth_time,"
               " created_at, absolute_expires_at, idle, grant_id, client, user_agent",
    "session_activity": "id_hash, last_seen, check_at",
    "grants": "grant_id, provider, issuer, sub, session_hash, refresh_sealed",
    "token": "grant_id, service, sealed, generation, expires_at",
}

# What Traefik sends for a browser's request: the browser's own head, and X-Forwarded-*.
HEAD = """GET {target} HTTP/1.1\r
Host: {at}\r
User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r
Accept: application/json\r
Accept-Language: en-US,en;q=0.5\r
Cookie: {cookie}\r
Sec-Fetch-Dest: empty\r
Sec-Fetch-Mode: cors\r
Sec-Fetch-Site: same-origin\r
X-Forwarded-For: 127.0.0.1\r
X-Forwarded-Host: {host}\r
X-Forwarded-Method: GET\r
X-Forwarded-Proto: http\r
X-Forwarded-Uri: {uri}\r
{more}Accept-Encoding: gzip\r
\r
"""

NGINX = """
daemon off; worker_processes 1; worker_rlimit_nofile {files}; pid {d}/{name}.pid; error_log {d}/{name}.log;
events {{ worker_connections 20000; }}
http {{ access_log off; keepalive_requests 1000000000; keepalive_timeout 1h; client_body_temp_path {d};
	proxy_temp_path {d}; fastcgi_temp_path {d}; uwsgi_temp_path {d}; scgi_temp_path {d};
	server {{ listen 127.0.0.1:{port} backlog=4096 {listen}; {server} }} }}
"""


def b64(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def modulus():
    """Of a new RSA key, in base64url: the provider's, which signs nothing here."""
    key = subprocess.run(["openssl", "genrsa", "2048"], check=True, stdout=subprocess.PIPE,
                         stderr=subprocess.DEVNULL).stdout
    text = subprocess.run(["openssl", "rsa", "-noout", "-modulus"], input=key, check=True, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL).stdout.decode()
    return b64(bytes.fromhex(text.strip().split("=")[1]))


def copy_grants(pg, made):
    """Into the tables, what the program `grants` wrote into this folder."""
    for table, columns in COLUMNS.items():
        copy = "\\copy bff_private.%s (%s) from '%s'" % (table, columns, os.path.join(made, table))
        subprocess.run(["psql", "-Xq", "-v", "ON_ERROR_STOP=1", "-c", copy, pg.conninfo(user="postgres")], check=True,
                       env=client_environment())


def answer(port, head, tls=False):
    """The whole answer to one request of our making, given as text."""
    lines = head.split("\r\n")
    headers = [line.split(": ", 1) for line in lines[1:] if line]
    if tls:
        c = http.client.HTTPSConnection("127.0.0.1", port, context=ssl._create_unverified_context(), timeout=10)
    else:
        c = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        c.putrequest("GET", lines[0].split(" ")[1], skip_host=True, skip_accept_encoding=True)
        for name, value in headers:
            c.putheader(name, value)
        c.endheaders()
        r = c.getresponse()
        r.read()
        return r
    finally:
        c.close()


class Rig:
    def __init__(self, shared_buffers="256MB", huge_pages="off"):
        self.directory = tempfile.mkdtemp(prefix="bff-bench-")
        os.chmod(self.directory, 0o755)
        self.pg = Postgres(settings={"shared_buffers": shared_buffers, "huge_pages": huge_pages, "max_wal_size": "4GB",
                                     "autovacuum": "off", "max_connections": 200})
        self.issuer = "http://127.0.0.1:%d" % free_port()
        self.key = os.urandom(32)
        self.started, self.loads = [], []
        self.broker = None
        self.names = 0

    def __enter__(self):
        try:
            return self._start()
        except BaseException:
            self.__exit__()
            raise

    def _start(self):
        if os.geteuid() != 0:
            raise SystemExit("the bench reads the memory and descriptors of processes that let nobody but root do so")
        self.private("cookie", b64(self.key) + "\n")
        self.private("pw", "unused: the socket trusts\n")
        self.private("ring", "1 %s\n" % b64(os.urandom(32)))
        self.pg.init()
        self.pg.start()
        os.sched_setaffinity(self.pg.process.pid, {LOAD_CORE})
        self.pg.migrate()
        return self

    def __exit__(self, *_):
        self.close_loads()
        for process in reversed(self.started):
            process.kill()
        self.pg.remove()
        if os.environ.get("BFF_KEEP"):
            print("kept:", self.directory)
        else:
            shutil.rmtree(self.directory, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.directory, name)

    def private(self, name, text):
        with open(os.open(self.path(name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as f:
            f.write(text)
        return self.path(name)

    # ---- sessions -----------------------------------------------------------------------------

    def sessions(self, count, database="bff"):
        sql = self.private("sessions.sql", SESSIONS % {"count": count, "issuer": self.issuer, "claims": CLAIMS})
        subprocess.run(["psql", "-Xq", "-v", "ON_ERROR_STOP=1", "-f", sql, self.pg.conninfo(database, "postgres")],
                       check=True, env=client_environment())

    def cookie(self, secret):
        head = "v1.%d.%s" % (time.time() // 86400, b64(secret))
        return "bff_session=%s.%s" % (head, b64(hmac.digest(self.key, head.encode(), "sha256")[:16]))

    def cookies(self, count, of=None):
        """A file with the cookies of `count` sessions, spread evenly over the `of` that sessions() made."""
        step = (of or count) / count
        secrets = (hashlib.sha256(b"bench%d" % (1 + int(n * step))).digest() for n in range(count))
        return self.cookie_file(map(self.cookie, secrets))

    def cookie_file(self, cookies):
        self.names += 1
        return self.private("cookies-%d" % self.names, "".join(c + "\n" for c in cookies))

    def few(self, cookies, count):
        """A file with the first `count` of a file's cookies."""
        with open(cookies, encoding="ascii") as f:
            return self.cookie_file(line.strip() for _, line in zip(range(count), f))

    def garbage(self, count):
        """Cookies whose tag is not ours."""
        return self.cookie_file(self.cookie(os.urandom(32))[:-6] + "AAAAAA" for _ in range(count))

    def grants(self, count):
        """A file with the cookies of sessions that have a grant and the login's own token (service "own")."""
        made = self.path("grants")
        os.mkdir(made)
        subprocess.run([BIN + "/bench/grants", self.path("ring"), made, "0", str(count), self.issuer, str(TOKEN_BYTES),
                        "7200000", "7100000", "7200000"], check=True)
        copy_grants(self.pg, made)
        self.pg.psql("update bff_private.session set claims = format('%s', subject)::json"
                     " where ref not like 'bench-%%';"
                     "update bff_private.session_activity set last_seen = now(); vacuum analyze"
                     % CLAIMS.replace("User %1$s", "Some User").replace("u%1$s@", "%1$s@"))
        with open(os.path.join(made, "secrets"), "rb") as f:
            return self.cookie_file(self.cookie(f.read(32)) for _ in range(count))

    def head(self, uri="/api/things?page=2", target="/auth/verify", at="127.0.0.1:7080", more=""):
        """A file with the request that an edge sends."""
        self.names += 1
        text = HEAD.format(uri=uri, target=target, at=at, cookie="@COOKIE@", host=HOST, more=more)
        return self.private("head-%d" % self.names, text)

    # ---- programs -----------------------------------------------------------------------------

    def _config(self, name, **more):
        values = {"d": self.directory, "conninfo": self.pg.conninfo(), "uid": os.getuid(), "issuer": self.issuer,
                  "host": HOST, "port": free_port(), "public": free_port(), "workers": 1, "session_cache": "on",
                  "edge": "traefik", "listen": "", **more}
        return self.private(name + ".conf", CONFIG.format(**values)), values["port"]

    def start(self, name, command, core=SERVER_CORE, **more):
        process = Process(name, on_core(core, command), self.path(name + ".log"), **more)
        self.started.append(process)
        return process

    def start_broker(self):
        """With the provider that plays a script; grants() may be called once it is there."""
        command = [sys.executable, os.path.join(ROOT, "tests/bench/provider.py"), self.issuer, "20", "7200",
                   str(TOKEN_BYTES), modulus()]
        provider = self.start("provider", command, LOAD_CORE)
        provider.await_connection(("127.0.0.1", int(self.issuer.rsplit(":", 1)[1])))
        self.broker = self.start("broker", [BIN + "/bff-broker", "-c", self._config("broker")[0]]).await_notify()
        for event in ("event=sealing_key", "event=provider_keys"):
            eventually(lambda e=event: e in self.broker.log_text(), what=event)
        return self.broker

    def ours(self, name, cookie=None, tls=False, database="bff", **more):
        """A bffd whose workers answer; `cookie` is of a live session, asked about until it is accepted."""
        config, port = self._config(name, conninfo=self.pg.conninfo(database), **more)
        process = self.start(name, [BIN + "/bffd", "-c", config]).await_notify()
        server = Server(process, port, lambda: children(process.pid), tls)
        if cookie:
            head = HEAD.format(uri="/x", target="/auth/verify", at="127.0.0.1:7080", cookie=cookie, host=HOST, more="")
            eventually(lambda: answer(port, head, tls).status == 200, what="an answer of " + name)
        return server

    def first(self, cookies):
        with open(cookies, encoding="ascii") as f:
            return f.readline().strip()

    def nginx(self, name, server, tls=None, core=SERVER_CORE):
        """`server`: what stands in its server block; tls: (certificate, key)."""
        port = free_port()
        listen = "ssl; ssl_certificate %s; ssl_certificate_key %s" % tls if tls else ""
        config = self.private(name + ".nginx", NGINX.format(d=self.directory, name=name, port=port, listen=listen,
                                                            server=server, files=FILES))
        process = self.start(name, ["nginx", "-p", self.directory, "-c", config, "-e", self.path(name + ".log")],
                             core)
        process.await_connection(("127.0.0.1", port))
        return Server(process, port, lambda: children(process.pid), bool(tls))

    def same_headers(self, server, head_path, cookie):
        """nginx's directives for an empty 200 with the headers that `server` answers."""
        with open(head_path, encoding="ascii", newline="") as f:
            got = answer(server.port, f.read().replace("@COOKIE@", cookie), server.tls)
        if got.status != 200:
            raise SystemExit("answered %d\n%s" % (got.status, server.process.log_text()[-2000:]))
        skip = ("content-length", "connection", "date")
        return "location / { %s return 200; }" % " ".join(
            'add_header %s "%s";' % (k, v.replace("$", "").replace('"', '\\"')) for k, v in got.getheaders()
            if k.lower() not in skip)

    def load(self, port, head, **more):
        load = Load(port, head, **more)
        self.loads.append(load)
        return load

    def close_loads(self):
        while self.loads:
            self.loads.pop().close()

    def database_cpu_ns(self):
        """Of PostgreSQL's processes for the connections of our workers that are open."""
        total = 0
        for pid in children(self.pg.process.pid):
            with open("/proc/%d/cmdline" % pid, "rb") as f:
                if f.read().startswith(b"postgres: bff_web "):
                    total += cpu_ns(pid)
        return total
