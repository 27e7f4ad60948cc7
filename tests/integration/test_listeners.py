"""How an edge reaches bff but by plain TCP: TLS with client certificates, Unix sockets. Real daemons, and real edges
at the end.

Rule Zero: over 400 lines, because each promise here needs the same clients and certificates."""
import contextlib
import os
import pwd
import select
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import bffd as lib  # noqa: E402
import browser  # noqa: E402
import ca as authorities  # noqa: E402
from bffd import Bffd, write_config  # noqa: E402
from edge import Edge  # noqa: E402
from port import free_port  # noqa: E402
from stack import Stack  # noqa: E402

ROOT_LOOK = "only root may become another user; that a user who is not listed is refused was seen without"
HEAD_TIMEOUT_S = 0.4
QUESTION = ("GET /auth/verify HTTP/1.1\r\nHost: localhost:9\r\nX-Forwarded-Method: GET\r\n"
            "X-Forwarded-Uri: /x\r\nX-Forwarded-Host: localhost:9\r\nX-Forwarded-Proto: http\r\n"
            "X-Forwarded-For: 192.0.2.7\r\nAccept: application/json\r\n%s\r\n")
REFUSED = (ssl.SSLError, ConnectionResetError, BrokenPipeError)


def listen(address, options, title="edge"):
    return 'listen "%s" { kind = verify edge = traefik address = "%s" %s }\n' % (title, address, options)


def tls(pair, more=""):
    return 'tls_certificate = "%s" tls_key = "%s" %s' % (*pair, more)


def configure(directory, sections, **more):
    return write_config(directory, free_port(), workers=1, extra="".join(sections), **more)


def short(config):
    """The same with a head_timeout that a test can wait for."""
    text = config.read_text()
    config.write_text(text.replace("web {", 'web {\n    head_timeout = "%dms"' % (HEAD_TIMEOUT_S * 1000), 1))
    return config


@pytest.fixture(name="ca")
def fixture_ca(tmp_path):
    (tmp_path / "ca").mkdir()
    return authorities.Authority(str(tmp_path / "ca"))


@contextlib.contextmanager
def serving(config, **options):
    with Bffd(lib.BIN, config, **options) as master:
        master.serving()
        yield master
        assert master.stop() == 0
    assert not [line for line in master.lines if "Sanitizer" in line or "runtime error" in line], master.lines


def context(ca, pair=None, alpn=None, version=None):
    c = ssl.create_default_context(cafile=ca.path)
    if pair:
        c.load_cert_chain(*pair)
    if alpn:
        c.set_alpn_protocols(alpn)
    if version:
        c.minimum_version = c.maximum_version = version
    return c


def connect(port, c):
    return c.wrap_socket(socket.create_connection(("127.0.0.1", port), lib.DEADLINE_S), server_hostname="127.0.0.1")


def read_answer(s):
    """(status, the whole text of one answer)."""
    data = b""
    while b"\r\n\r\n" not in data:
        got = s.recv(65536)
        if not got:
            raise ConnectionResetError("closed after %r" % data)
        data += got
    head, body = data.split(b"\r\n\r\n", 1)
    length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-len"))
    while len(body) < length:
        body += s.recv(65536)
    return int(head.split(b" ")[1]), (head + body).decode()


def ask(s, more=""):
    s.sendall((QUESTION % more).encode())
    return read_answer(s)


def refused(port, c):
    with pytest.raises(REFUSED):
        with connect(port, c) as s:
            ask(s)


# ---- TLS ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_requests_over_tls(tmp_path, ca, version):
    port = free_port()
    config = configure(tmp_path, [listen("127.0.0.1:%d" % port, tls(ca.server, 'trusted_peers = {"127.0.0.1"}'))])
    with serving(config) as master:
        with connect(port, context(ca, version=version, alpn=["h2", "http/1.1"])) as s:
            assert s.version() == {ssl.TLSVersion.TLSv1_2: "TLSv1.2", ssl.TLSVersion.TLSv1_3: "TLSv1.3"}[version]
            assert s.selected_alpn_protocol() == "http/1.1"
            assert s.compression() is None
            for _ in range(3):
                assert ask(s)[0] == 401
            s.sendall((QUESTION % "" * 3).encode())  # three in one record: the kernel knows of the first alone
            data = b""
            while data.count(b"HTTP/1.1 401 ") < 3:
                got = s.recv(65536)
                assert got, data
                data += got
            assert not s.session or not s.session.has_ticket  # no worker could read another's
        assert not master.events("tls_failed")


def test_many_records_at_once_are_all_answered(tmp_path, ca):
    """More than one read takes, in many records, of which the kernel hands out several at a time."""
    port = free_port()
    config = configure(tmp_path, [listen("127.0.0.1:%d" % port, tls(ca.server, 'trusted_peers = {"127.0.0.1"}'))])
    with serving(config):
        with connect(port, context(ca)) as s:
            many, filler = 40, "X-Filler: %s\r\n" % ("x" * 900)
            for _ in range(many):
                s.sendall((QUESTION % filler).encode())
            data = b""
            while data.count(b"HTTP/1.1 401 ") < many:
                got = s.recv(65536)
                assert got, data.count(b"HTTP/1.1 401 ")
                data += got


def test_the_end_is_said_before_the_connection_ends(tmp_path, ca):
    """Also after a body that was not read, where the answer must not be lost in a reset."""
    port = free_port()
    config = configure(tmp_path, [listen("127.0.0.1:%d" % port, tls(ca.server, 'trusted_peers = {"127.0.0.1"}'))])
    with serving(config):
        for more in ("Connection: close\r\n", "Content-Length: 200000\r\n"):
            with connect(port, context(ca)) as s:
                s.sendall((QUESTION % more).encode() + b"x" * (200000 if "Length" in more else 0))
                assert read_answer(s)[0] == 401
                assert s.recv(10) == b""  # close_notify: without it, SSLEOFError


@pytest.mark.parametrize("names", ["", 'tls_client_names = {"other.example.com", "Edge.example.com"}'])
def test_client_certificates(tmp_path, ca, names):
    """trusted_peers is left out: who has a certificate is believed."""
    (tmp_path / "stranger").mkdir()
    stranger = authorities.Authority(str(tmp_path / "stranger"))  # of the same name
    port = free_port()
    config = configure(tmp_path, [listen("127.0.0.1:%d" % port, tls(
        ca.server, 'tls_client_ca = "%s" %s' % (ca.path, names)))])
    good = ca.client("edge", dns=["edge.example.com"])
    bad = [(None, "peer did not return a certificate"),
           (stranger.client("edge", dns=["edge.example.com"]), "certificate signature failure"),
           (ca.client("old", dns=["edge.example.com"], expired=True), "certificate has expired"),
           (ca.server, "unsuitable certificate purpose")]
    if names:
        bad += [(ca.client("else", dns=["edge.example.org"]), "hostname mismatch"),
                (ca.client("wild", dns=["*.example.com"]), "hostname mismatch"),
                (ca.client("edge.example.com"), "hostname mismatch")]  # a common name is no name
    with serving(config) as master:
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            with connect(port, context(ca, good, version=version)) as s:
                assert ask(s)[0] == 401
            for n, (pair, reason) in enumerate(bad):
                refused(port, context(ca, pair, version=version))
                master.wait("tls_failed", listen="edge", peer="127.0.0.1", reason=reason, count=1 if version.name == "TLSv1_2" else 2)
        with connect(port, context(ca, good)) as s:
            assert ask(s)[0] == 401
        assert len(master.events("tls_failed")) == 2 * len(bad)  # one line each


def test_networks_hold_beside_certificates(tmp_path, ca):
    port = free_port()
    config = configure(tmp_path, [listen("127.0.0.1:%d" % port, tls(
        ca.server, 'tls_client_ca = "%s" trusted_peers = {"192.0.2.0/24"}' % ca.path))])
    with serving(config) as master:
        with connect(port, context(ca, ca.client("edge"))) as s:
            assert ask(s)[0] == 403
        assert master.wait("denied", reason="peer")["detail"] == "127.0.0.1"


def test_what_is_no_tls_of_ours_is_refused(tmp_path, ca):
    port = free_port()
    config = short(configure(tmp_path, [listen("127.0.0.1:%d" % port, tls(
        ca.server, 'trusted_peers = {"127.0.0.1"}'))]))
    with serving(config) as master:
        old = context(ca)
        old.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        old.maximum_version = ssl.TLSVersion.TLSv1_1
        old.set_ciphers("ALL:@SECLEVEL=0")
        refused(port, old)
        master.wait("tls_failed", reason="unsupported protocol")
        refused(port, context(ca, alpn=["h2"]))
        master.wait("tls_failed", reason="no application protocol")
        static = context(ca, version=ssl.TLSVersion.TLSv1_2)
        static.set_ciphers("ECDHE-ECDSA-AES128-SHA256")  # no AEAD
        refused(port, static)
        master.wait("tls_failed", reason="no shared cipher")
        with socket.create_connection(("127.0.0.1", port), lib.DEADLINE_S) as s:
            s.sendall((QUESTION % "").encode())
            with contextlib.suppress(ConnectionResetError):
                assert b"HTTP" not in s.recv(1000)
        master.wait("tls_failed", reason="http request")
        with connect(port, context(ca)) as s:
            assert ask(s)[0] == 401


def test_a_handshake_has_the_time_of_a_head(tmp_path, ca):
    port = free_port()
    config = short(configure(tmp_path, [listen("127.0.0.1:%d" % port, tls(
        ca.server, 'trusted_peers = {"127.0.0.1"}'))]))
    hello = ssl.MemoryBIO()
    half = context(ca).wrap_bio(ssl.MemoryBIO(), hello, server_hostname="127.0.0.1")
    with pytest.raises(ssl.SSLWantReadError):
        half.do_handshake()
    hello = hello.read()
    with serving(config) as master:
        for part in (b"", hello[:3], hello[:len(hello) // 2], hello):
            with socket.create_connection(("127.0.0.1", port), lib.DEADLINE_S) as s:
                began = time.monotonic()
                s.sendall(part)
                while s.recv(65536):
                    pass
                assert HEAD_TIMEOUT_S * 0.9 < time.monotonic() - began < lib.DEADLINE_S
        master.wait("tls_failed", reason="not done when the connection was closed", count=4)
        with socket.create_connection(("127.0.0.1", port), lib.DEADLINE_S) as s:
            s.sendall(hello[:20])
        master.wait("tls_failed", reason="unexpected eof while reading")
        with connect(port, context(ca)) as s:
            assert ask(s)[0] == 401


def test_there_is_no_second_handshake(tmp_path, ca):
    port = free_port()
    config = configure(tmp_path, [listen("127.0.0.1:%d" % port, tls(ca.server, 'trusted_peers = {"127.0.0.1"}'))])
    with serving(config):
        got = subprocess.run(["openssl", "s_client", "-tls1_2", "-CAfile", ca.path, "-connect", "127.0.0.1:%d" % port],
                             input=b"R\n", capture_output=True, timeout=lib.DEADLINE_S)
        assert b"RENEGOTIATING" in got.stderr + got.stdout
        assert b"no renegotiation" in got.stderr, got.stderr
        with connect(port, context(ca)) as s:
            assert ask(s)[0] == 401


def copy(pair, to):
    for source, name in zip(pair, ("chain.pem", "key.pem")):
        path = to / name
        path.write_bytes(Path(source).read_bytes())
        path.chmod(0o600)
    return str(to / "chain.pem"), str(to / "key.pem")


def test_a_reload_brings_the_new_certificate(tmp_path, ca):
    port = free_port()
    pair = copy(ca.server, tmp_path)
    config = configure(tmp_path, [listen("127.0.0.1:%d" % port, tls(pair, 'trusted_peers = {"127.0.0.1"}'))])
    renewed = ca.new_server("renewed")
    with serving(config) as master:
        with connect(port, context(ca)) as kept:
            assert ask(kept)[0] == 401
            assert kept.getpeercert(True) == authorities.der(ca.server[0])
            copy(renewed, tmp_path)
            master.hup()
            master.serving(2)
            with connect(port, context(ca)) as fresh:
                assert ask(fresh)[0] == 401
                assert fresh.getpeercert(True) == authorities.der(renewed[0])
            status, text = ask(kept)  # its worker drains, and answers
            assert status == 401 and "connection: close" in text.lower()
            assert kept.recv(1) == b""


@pytest.mark.parametrize("what", ["garbage", "another's key", "no key", "readable key", "expired passphrase", "no CA"])
def test_a_bad_file_leaves_the_old_workers_serving(tmp_path, ca, what):
    port = free_port()
    pair = copy(ca.server, tmp_path)
    authority = tmp_path / "clients.pem"
    authority.write_bytes(Path(ca.path).read_bytes())
    config = configure(tmp_path, [listen("127.0.0.1:%d" % port, tls(
        pair, 'tls_client_ca = "%s" trusted_peers = {"127.0.0.1"}' % authority))])
    edge = context(ca, ca.client("edge"))
    option, name, reason = {
        "garbage": ("tls_certificate", pair[0], "no start line"),
        "another's key": ("tls_key", pair[1], "key values mismatch"),
        "no key": ("tls_key", pair[1], "No such file"),
        "readable key": ("tls_key", pair[1], "lets others read it"),
        "expired passphrase": ("tls_key", pair[1], ""),
        "no CA": ("tls_client_ca", str(authority), ""),
    }[what]
    with serving(config) as master:
        if what == "garbage":
            Path(pair[0]).write_text("not a certificate\n")
        elif what == "another's key":
            Path(pair[1]).write_bytes(Path(ca.new_server("other")[1]).read_bytes())
        elif what == "no key":
            os.unlink(pair[1])
        elif what == "readable key":
            os.chmod(pair[1], 0o644)
        elif what == "expired passphrase":
            subprocess.run(["openssl", "pkey", "-aes256", "-passout", "pass:x", "-in", ca.server[1], "-out", pair[1]],
                           check=True)
        else:
            authority.write_text("")
        master.hup()
        master.wait("reload_failed", serving_generation=1)
        said = master.wait("start_failed", gen=2)["error"]
        assert 'listen edge: %s: %s: ' % (option, name) in said and reason in said, said
        with connect(port, edge) as s:
            assert ask(s)[0] == 401
        copy(ca.server, tmp_path)  # mended
        authority.write_bytes(Path(ca.path).read_bytes())
        master.hup()
        master.wait("reload_done")
        with connect(port, edge) as s:
            assert ask(s)[0] == 401


def test_a_bad_file_at_the_start_is_the_end(tmp_path, ca):
    config = configure(tmp_path, [listen("127.0.0.1:%d" % free_port(), tls(
        (ca.server[0], ca.client("x")[1]), 'trusted_peers = {"127.0.0.1"}'))])
    with Bffd(lib.BIN, config) as master:
        assert master.process.wait(lib.DEADLINE_S) == 78
        assert "key values mismatch" in master.wait("start_failed")["error"]


# ---- Unix sockets -------------------------------------------------------------------------------


def user():
    return pwd.getpwuid(os.getuid()).pw_name


def connect_unix(path):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(lib.DEADLINE_S)
    s.connect(str(path))
    return s


def test_users_of_a_unix_socket(tmp_path):
    mine, theirs = tmp_path / "mine.sock", tmp_path / "theirs.sock"
    config = configure(tmp_path, [
        listen("unix:%s" % mine, "peer_users = {%s}" % user(), "mine"),
        listen("unix:%s" % theirs, 'peer_users = {"%d"}' % (os.getuid() + 1), "theirs")])
    with serving(config) as master:
        assert mine.stat().st_mode & 0o777 == 0o660
        with connect_unix(mine) as s:
            assert [ask(s)[0] for _ in range(2)] == [401, 401]
        assert master.wait("denied", listen="mine")["client"] == "192.0.2.7"  # the edge's word, as over TCP
        with connect_unix(theirs) as s:
            assert ask(s)[0] == 403
        got = master.wait("denied", reason="peer")
        assert (got["listen"], got["detail"]) == ("theirs", "user %d" % os.getuid())
        if os.getuid() != 0:
            pytest.skip(ROOT_LOOK)
        os.chmod(tmp_path, 0o755)  # the directories above are pytest's
        mine.chmod(0o666)
        theirs.chmod(0o666)
        assert as_user(1, theirs) == 401
        assert as_user(2, theirs) == 403
        assert as_user(1, mine) == 403
        theirs.chmod(0o660)
        assert as_user(1, theirs) == "PermissionError"


def as_user(uid, path):
    """The answer's status, or the name of what went wrong, as another user has it."""
    code = ("import os, socket, sys\n"
            "s = socket.socket(socket.AF_UNIX)\n"
            "os.chdir(sys.argv[2]); os.setgroups([]); os.setgid(%d); os.setuid(%d)\n"
            "try:\n    s.connect(sys.argv[3])\n"
            "except OSError as e:\n    print(type(e).__name__); sys.exit()\n"
            "s.sendall(sys.argv[1].encode()); print(s.recv(4096).split()[1].decode())\n" % (uid, uid))
    got = subprocess.run([sys.executable, "-c", code, QUESTION % "", str(path.parent), path.name],
                         capture_output=True, text=True, timeout=lib.DEADLINE_S)
    assert got.returncode == 0, got.stderr
    return int(got.stdout) if got.stdout.strip().isdigit() else got.stdout.strip()


def test_a_public_unix_socket_is_for_its_users_alone(tmp_path):
    """And the address of the client is the edge's to say: there is no other."""
    path = tmp_path / "public.sock"
    section = 'listen "p" { kind = public address = "unix:%s" peer_users = {"%d"} }\n'
    health = "GET /auth/health HTTP/1.1\r\nHost: localhost:9\r\n%s\r\n"
    config = configure(tmp_path, [section % (path, os.getuid())])
    with serving(config) as master:
        for more, want in (("X-Forwarded-For: 192.0.2.7\r\n", 503), ("", 400)):
            with connect_unix(path) as s:
                s.sendall((health % more).encode())
                assert read_answer(s)[0] == want
        configure(tmp_path, [section % (path, os.getuid() + 1)])
        master.hup()
        master.serving(2)
        with connect_unix(path) as s:
            s.sendall((health % "X-Forwarded-For: 192.0.2.7\r\n").encode())
            assert read_answer(s)[0] == 403


@pytest.mark.parametrize("users, reason", [("no-such-user", "there is no such user"),
                                           ("65534", "another user namespace")])
def test_users_that_mean_nobody_are_refused(tmp_path, users, reason):
    config = configure(tmp_path, [listen("unix:%s/s" % tmp_path, 'peer_users = {"%s"}' % users)])
    with Bffd(lib.BIN, config) as master:
        assert master.process.wait(lib.DEADLINE_S) == 78
        said = master.wait("start_failed")["error"]
        assert "listen edge: peer_users: %s: " % users in said and reason in said


def unix_config(directory, path, more=""):
    return configure(directory, [listen("unix:%s" % path, 'peer_users = {"%d"} %s' % (os.getuid(), more))])


def test_a_stale_socket_is_replaced_and_nothing_else(tmp_path):
    path = tmp_path / "v.sock"
    config = unix_config(tmp_path, path)
    (tmp_path / "late").mkdir()
    late_config = unix_config(tmp_path / "late", path)
    with Bffd(lib.BIN, config) as master:
        ends = [os.pidfd_open(pid) for pid in master.serving().workers()]
        master.process.kill()
        master.process.wait(lib.DEADLINE_S)
        for fd in ends:  # they hold the socket, and drain
            assert select.select([fd], [], [], lib.DEADLINE_S)[0]
            os.close(fd)
    assert path.is_socket()
    with pytest.raises(ConnectionRefusedError):
        connect_unix(path)
    with serving(config):
        with Bffd(lib.BIN, late_config) as late:
            assert late.process.wait(lib.DEADLINE_S) == 78
            assert "another process listens on it" in late.wait("start_failed")["reason"]
        with connect_unix(path) as s:
            assert ask(s)[0] == 401
    path.unlink()
    path.write_text("precious")
    with Bffd(lib.BIN, config) as master:
        assert master.process.wait(lib.DEADLINE_S) == 78
        assert "is there and no socket" in master.wait("start_failed")["reason"]
    assert path.read_text() == "precious"


def test_a_reload_keeps_a_unix_socket_and_changes_its_group(tmp_path):
    path = tmp_path / "v.sock"
    config = unix_config(tmp_path, path)
    with serving(config) as master:
        inode = path.stat().st_ino
        with connect_unix(path) as kept:
            assert ask(kept)[0] == 401
            group = 1 if os.getuid() == 0 else os.getgid()
            unix_config(tmp_path, path, 'socket_group = "%d"' % group)
            master.hup()
            master.serving(2)
            assert (path.stat().st_ino, path.stat().st_gid) == (inode, group)
            assert ask(kept)[0] == 401
        unix_config(tmp_path, path, "socket_group = no-such-group")
        master.hup()
        assert "there is no such group" in master.wait("reload_failed")["reason"]
        with connect_unix(path) as s:
            assert ask(s)[0] == 401


def test_a_unix_socket_of_the_service_manager_is_taken_by_its_path(tmp_path):
    path = tmp_path / "v.sock"
    with socket.socket(socket.AF_UNIX) as inherited:
        inherited.bind(str(path))
        inherited.listen(8)
        path.chmod(0o600)
        inode = path.stat().st_ino
        wrapper = [sys.executable, "-c", "import os, sys; os.environ['LISTEN_PID'] = str(os.getpid());"
                   "os.dup2(int(sys.argv[1]), 3); os.execv(sys.argv[2], sys.argv[2:])", str(inherited.fileno())]
        options = {"wrapper": wrapper, "pass_fds": [inherited.fileno()],
                   "env": {"LISTEN_FDS": "1", "LISTEN_FDNAMES": "bff.socket"}}
        with serving(unix_config(tmp_path, path), **options) as master:
            assert not master.events("listeners_unused")
            assert (path.stat().st_ino, path.stat().st_mode & 0o777) == (inode, 0o600)
            with connect_unix(path) as s:
                assert ask(s)[0] == 401
        with Bffd(lib.BIN, unix_config(tmp_path, path, "socket_group = root"), **options) as master:
            assert master.process.wait(lib.DEADLINE_S) == 78
            assert "SocketGroup=" in master.wait("start_failed")["reason"]


# ---- edges --------------------------------------------------------------------------------------

NGINX_TLS = """\
        proxy_ssl_certificate         %s;
        proxy_ssl_certificate_key     %s;
        proxy_ssl_trusted_certificate %s;
        proxy_ssl_verify on;
        proxy_ssl_name server.test;
        proxy_pass https://bff_verify/auth/verify;"""


def nginx_group():
    """Its workers are another user's where its master is root's."""
    return 'peer_users = {www-data} socket_group = www-data' if os.getuid() == 0 else \
        'peer_users = {"%d"}' % os.getuid()


@contextlib.contextmanager
def edge_over(kind, sections, more):
    """A stack whose edge asks where `sections` listen; more: what is replaced in its sample for that."""
    s = Stack(edge=kind)
    at = Path(s.directory)
    s.extra = sections(at)
    with s:
        s.edge.stop()
        s.edge = Edge(kind, str(at / "edge-over"), s.port, s.hosts(), s.ports["verify"], s.ports["public"],
                      [s.services[n].port for n in ("crm", "orders", "page")], more=more(at)).start()
        yield s


def works(s):
    """Login, a service with its token, and a stranger; and it was the listener in question that was asked."""
    b = s.login("alice")
    for _ in range(3):
        assert b.fetch(s.url("/api/crm/x")).status == 200, s.tails()
    seen = s.services["crm"].last()
    assert seen.one("X-User-ID") == "alice" and seen.token["sub"] == "alice"
    s.services["crm"].forget()
    assert browser.Browser().fetch(s.url("/api/crm/x")).status == 401
    assert not s.services["crm"].requests
    denied = [lib.parse_line(line) for line in s.log("bffd").split("\n") if "event=denied" in line]
    assert {line["listen"] for line in denied} == {"edge"}
    assert denied[-1]["client"].startswith("127.")


def test_caddy_over_a_unix_socket(tmp_path):
    with edge_over("caddy",
                   lambda at: listen("unix:%s/v.sock" % at, 'peer_users = {"%d"}' % os.getuid()).replace(
                       "traefik", "caddy"),
                   lambda at: {"127.0.0.1:7080": "unix//%s/v.sock" % at}) as s:
        works(s)


def test_nginx_over_unix_sockets(tmp_path):
    """Both of its questions: verify, and what browsers ask of bff."""
    with edge_over("nginx",
                   lambda at: listen("unix:%s/v.sock" % at, nginx_group()).replace("traefik", "nginx")
                   + 'listen "page" { kind = public address = "unix:%s/p.sock" %s }\n' % (at, nginx_group()),
                   lambda at: {"127.0.0.1:7080": "unix:%s/v.sock" % at,
                               "proxy_pass http://127.0.0.1:7081;": "proxy_pass http://unix:%s/p.sock:;" % at}) as s:
        works(s)


@pytest.mark.parametrize("certificate", [True, False])
def test_nginx_over_tls_with_a_client_certificate(tmp_path, ca, certificate):
    port = free_port()
    pair = ca.client("nginx", dns=["edge.example.com"])
    more = NGINX_TLS % (*pair, ca.path)
    if not certificate:
        more = "\n".join(line for line in more.split("\n") if "ssl_certificate" not in line)
    with edge_over("nginx",
                   lambda at: listen("127.0.0.1:%d" % port, tls(
                       ca.server, 'tls_client_ca = "%s" tls_client_names = {edge.example.com}' % ca.path)).replace(
                           "traefik", "nginx"),
                   lambda at: {"127.0.0.1:7080": "127.0.0.1:%d" % port,
                               "        proxy_pass http://bff_verify/auth/verify;": more}) as s:
        if certificate:
            works(s)
            return
        assert browser.Browser().fetch(s.url("/api/crm/x")).status in (502, 503)
        assert not s.services["crm"].requests
        assert "peer did not return a certificate" in s.log("bffd")
