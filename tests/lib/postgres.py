"""A PostgreSQL cluster of its own for a test.

    with Postgres() as pg:                  # initdb, start; stopped and removed at the end
        pg.migrate()                        # creates database "bff" and runs sql/migrate on it
        pg.psql("select 1")                 # -> [["1"]]
        pg.psql("...", user="bff_web")      # PsqlError with .sqlstate on failure
        pg.conninfo(user="bff_web")         # for a program

Reached by a Unix socket alone (trust), or with tcp=True also on 127.0.0.1 (SCRAM; port is free or
given). Nothing is durable (fsync off). When run by root the server runs as `postgres` or `nobody`.
The server dies with the thread that started it, however that ends.
"""
import atexit
import ctypes
import glob
import os
import pwd
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile

from port import free_port

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 60
PSQL_TIMEOUT_S = 60
PORT_TRIES = 5
FIELD = "\x1f"
RECORD = "\x1e"
NULL = "\x1d"
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


class PsqlError(Exception):
    """A failed statement: .sqlstate (None if psql itself failed), .stderr."""

    def __init__(self, stderr):
        found = re.search(r"(?:ERROR|FATAL):\s+([0-9A-Z]{5}):", stderr)
        self.sqlstate = found.group(1) if found else None
        self.stderr = stderr
        super().__init__(stderr.strip())


def bindir():
    """Where initdb and postgres are; Debian keeps them off PATH."""
    for found in sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True):
        if os.path.exists(os.path.join(found, "initdb")):
            return found
    on_path = shutil.which("initdb")
    if on_path is None:
        raise RuntimeError("no PostgreSQL server on this machine (initdb not found)")
    return os.path.dirname(on_path)


def _account():
    """The account the server runs under: None = ours."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise RuntimeError("root cannot run PostgreSQL and there is neither postgres nor nobody")


def _die_with_parent():
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT, 0, 0, 0)


class Postgres:
    def __init__(self, tcp=False, port=None, settings=None, directory=None):
        self.account = _account()
        self.port = port or (free_port() if tcp else 5432)
        self.any_port = tcp and port is None
        self.tcp = tcp or port is not None
        self.settings = settings or {}
        self.process = None
        if directory is None:
            self.directory = tempfile.mkdtemp(prefix="bff-pg-")
        else:
            os.makedirs(directory, exist_ok=True)
            self.directory = os.path.abspath(directory)
        self.data = os.path.join(self.directory, "data")
        self.sockets = os.path.join(self.directory, "s")
        self.log = os.path.join(self.directory, "log")
        atexit.register(self.remove)

    def __enter__(self):
        try:
            self.init()
            self.start()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, *_):
        self.remove()

    # ---- life -------------------------------------------------------------------------------

    def _as_account(self):
        if self.account is None:
            return {}
        return {"user": self.account.pw_uid, "group": self.account.pw_gid, "extra_groups": []}

    def _own(self, path, mode):
        os.chmod(path, mode)
        if self.account is not None:
            os.chown(path, self.account.pw_uid, self.account.pw_gid)

    def init(self):
        """Makes the cluster; keeps one that is already there."""
        if os.path.exists(os.path.join(self.data, "PG_VERSION")):
            return
        self._own(self.directory, 0o711)
        for path, mode in ((self.data, 0o700), (self.sockets, 0o755)):
            os.makedirs(path, exist_ok=True)
            self._own(path, mode)
        made = subprocess.Popen(
            [os.path.join(bindir(), "initdb"), "-D", self.data, "-U", "postgres", "-A", "trust",
             "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"],
            cwd="/", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
            env={"PATH": os.environ.get("PATH", "/usr/bin:/bin")}, **self._as_account())
        try:
            said, _ = made.communicate()
        except BaseException:  # interrupted: it and the servers it runs write no more
            os.killpg(made.pid, signal.SIGKILL)
            made.communicate()
            raise
        if made.returncode != 0:
            raise RuntimeError("initdb failed:\n" + said)
        with open(os.path.join(self.data, "pg_hba.conf"), "w", encoding="ascii") as f:
            f.write("local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
        settings = {
            "listen_addresses": "127.0.0.1" if self.tcp else "",
            "unix_socket_directories": self.sockets,
            "fsync": "off",
            "max_connections": 100,
            "shared_buffers": "32MB",
            "log_min_messages": "warning",
            "log_line_prefix": "%m [%p] %u@%d ",
        }
        settings.update(self.settings)
        with open(os.path.join(self.data, "postgresql.conf"), "a", encoding="utf-8") as f:
            for key, value in settings.items():
                f.write("%s = '%s'\n" % (key, value))

    def start(self):
        """Returns once the server takes connections (it says so itself, by sd_notify)."""
        for _ in range(PORT_TRIES - 1):
            seen = len(self.log_text())
            try:
                return self._start_once()
            except RuntimeError:
                if not self.any_port or "Address already in use" not in self.log_text()[seen:]:
                    raise
                self.port = free_port()  # someone took it since we looked
        return self._start_once()

    def _start_once(self):
        path = os.path.join(self.directory, "notify")
        if os.path.exists(path):
            os.unlink(path)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready:
            ready.bind(path)
            self._own(path, 0o600)
            with open(self.log, "ab") as log:
                self.process = subprocess.Popen(
                    [os.path.join(bindir(), "postgres"), "-D", self.data, "-p", str(self.port)], cwd="/", stdout=log,
                    stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
                    preexec_fn=_die_with_parent,
                    env={"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "NOTIFY_SOCKET": path},
                    **self._as_account())
            self._await_ready(ready)
        os.unlink(path)

    def _await_ready(self, ready):
        gone = os.pidfd_open(self.process.pid)
        try:
            while True:
                seen, _, _ = select.select([ready, gone], [], [], START_TIMEOUT_S)
                if ready in seen:
                    if b"READY=1" in ready.recv(4096):
                        return
                elif gone in seen:
                    raise RuntimeError("PostgreSQL did not start:\n" + self.log_text())
                else:
                    self.kill()
                    raise RuntimeError("PostgreSQL was not ready in time:\n" + self.log_text())
        finally:
            os.close(gone)

    def _children(self):
        """Process ids of the server's children (each is in a session of its own)."""
        found = []
        for entry in os.listdir("/proc"):
            if not entry.isdigit():
                continue
            try:
                with open("/proc/%s/stat" % entry, encoding="ascii", errors="replace") as f:
                    if int(f.read().rsplit(")", 1)[1].split()[1]) == self.process.pid:
                        found.append(int(entry))
            except (OSError, IndexError, ValueError):
                continue
        return found

    def running(self):
        return self.process is not None and self.process.poll() is None

    def stop(self, mode="fast"):
        """mode: smart, fast or immediate (as a crash, but without orphans)."""
        if not self.running():
            return
        signals = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}
        self.process.send_signal(signals[mode])
        try:
            self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise RuntimeError("PostgreSQL did not stop:\n" + self.log_text()) from None

    def kill(self):
        """SIGKILL to the server and its children: what a crash of the machine looks like."""
        if not self.running():
            return
        children = self._children()
        waits = []
        for pid in children:
            try:
                waits.append(os.pidfd_open(pid))
            except ProcessLookupError:
                continue
        self.process.kill()
        for pid in children:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.wait(STOP_TIMEOUT_S)
        for fd in waits:
            select.select([fd], [], [], STOP_TIMEOUT_S)
            os.close(fd)

    def freeze(self):
        """SIGSTOP to all of it: connections stay open, nothing answers. Undo with thaw()."""
        self.process.send_signal(signal.SIGSTOP)
        self._signal_children(signal.SIGSTOP)

    def thaw(self):
        self._signal_children(signal.SIGCONT)
        self.process.send_signal(signal.SIGCONT)

    def _signal_children(self, number):
        for pid in self._children():
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue  # ended meanwhile

    def restart(self, mode="fast"):
        self.stop(mode)
        self.start()

    def remove(self):
        atexit.unregister(self.remove)
        try:
            if self.running():
                self.thaw()
                self.stop("immediate")
        finally:
            if self.running():
                self.kill()
            shutil.rmtree(self.directory, ignore_errors=True)

    def log_text(self):
        try:
            with open(self.log, encoding="utf-8", errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    # ---- use --------------------------------------------------------------------------------

    def conninfo(self, dbname="bff", user=None, tcp=False, **more):
        """A libpq connection string; without `user` it is left to the program."""
        words = {"host": "127.0.0.1" if tcp else self.sockets, "port": self.port, "dbname": dbname}
        if user is not None:
            words["user"] = user
        words.update(more)
        return " ".join("%s=%s" % item for item in words.items())

    def psql_command(self, user="postgres", dbname="bff", *more):
        return ["psql", "-XAtq", "-F", FIELD, "-R", RECORD, "-P", "null=" + NULL, "-v", "ON_ERROR_STOP=1",
                "-v", "VERBOSITY=verbose", *more, self.conninfo(dbname, user)]

    def psql(self, sql, user="postgres", dbname="bff"):
        """Runs one or more statements; returns the rows of all of them as lists of text."""
        ran = subprocess.run(
            self.psql_command(user, dbname, "-f", "-"), input=sql, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PSQL_TIMEOUT_S,
            env=client_environment())
        if ran.returncode != 0:
            raise PsqlError(ran.stderr)
        return rows_of(ran.stdout)

    def value(self, sql, user="postgres", dbname="bff"):
        """The one field of the one row."""
        rows = self.psql(sql, user, dbname)
        if len(rows) != 1 or len(rows[0]) != 1:
            raise AssertionError("want one value, got %r" % rows)
        return rows[0][0]

    def session(self, user="postgres", dbname="bff"):
        return PsqlSession(self, user, dbname)

    def create_database(self, dbname="bff", owner=None):
        self.psql('create database "%s"%s' % (dbname, ' owner "%s"' % owner if owner else ""),
                  dbname="postgres")

    def migrate(self, dbname="bff", user="postgres", create=True, program=None, check=True):
        """Creates the database if it is not there and runs sql/migrate on it."""
        if create and not self.psql("select 1 from pg_database where datname = '%s'" % dbname,
                                    dbname="postgres"):
            self.create_database(dbname)
        ran = subprocess.run(
            [program or os.path.join(ROOT, "sql", "migrate"), self.conninfo(dbname, user)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=PSQL_TIMEOUT_S * 2,
            env=client_environment())
        if check and ran.returncode != 0:
            raise RuntimeError("sql/migrate failed:\n" + ran.stdout)
        return ran

    def set_password(self, role, password):
        self.psql("alter role \"%s\" password '%s'" % (role, password), dbname="postgres")


def client_environment():
    """Ours without anything that steers libpq or psql."""
    return {k: v for k, v in os.environ.items() if not k.startswith("PG") and k != "PSQLRC"}


def rows_of(text):
    """Lists of text, None for null. A value with a line break in it is not told from two rows."""
    if text.endswith("\n"):
        text = text[:-1]
    elif text == "":
        return []
    return [[None if v == NULL else v for v in r.split(FIELD)]
            for r in re.split("[%s\n]" % RECORD, text)]


class PsqlSession:
    """One connection that stays: for transactions that overlap.

    send() does not wait; result() does, and raises PsqlError if a statement failed (the others
    ran all the same). run() is both."""

    _END = b"--end-of-statement--\n"

    def __init__(self, pg, user, dbname):
        self.pg = pg
        command = pg.psql_command(user, dbname)
        command[command.index("ON_ERROR_STOP=1")] = "ON_ERROR_STOP=0"
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, bufsize=0, env=client_environment())
        try:
            self.pid = int(self.run("select pg_backend_pid()")[0][0])
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, sql):
        end = self._END.decode().strip()
        self.process.stdin.write(("%s;\n\\echo %s\n\\warn %s\n" % (sql, end, end)).encode())

    def result(self):
        got = {self.process.stdout: b"", self.process.stderr: b""}
        waiting = set(got)
        while waiting:
            ready, _, _ = select.select(list(waiting), [], [], PSQL_TIMEOUT_S)
            if not ready:
                raise AssertionError("psql gave no answer: %r" % got)
            for pipe in ready:
                part = os.read(pipe.fileno(), 65536)
                got[pipe] += part
                if part == b"" or got[pipe].endswith(self._END):
                    waiting.discard(pipe)
        errors = got[self.process.stderr].decode()
        if re.search(r"(ERROR|FATAL):\s", errors):
            raise PsqlError(errors)
        text = got[self.process.stdout]
        if not text.endswith(self._END):
            raise PsqlError(errors)
        return rows_of(text[:-len(self._END)].decode())

    def run(self, sql):
        self.send(sql)
        return self.result()

    def wait_blocked(self):
        """Returns once this connection's statement waits for a lock."""
        for _ in range(2000):
            if self.pg.psql("select 1 from pg_stat_activity where pid = %d and "
                            "wait_event_type = 'Lock'" % self.pid):
                return
        raise AssertionError("the statement never waited")

    def close(self):
        if self.process.poll() is None:
            self.process.stdin.close()
            try:
                self.process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()


def serve():
    """For a test that is no Python: a cluster at the command of standard input, one line each.

    start | stop MODE | kill | freeze | thaw | sql STATEMENT (database postgres) | conninfo | tcp
    Answers one line: "ok TEXT" or "error TEXT". The cluster goes with the end of the input."""
    with Postgres(tcp=True) as pg:
        verbs = {
            "start": lambda _: pg.start(), "stop": pg.stop, "kill": lambda _: pg.kill(),
            "freeze": lambda _: pg.freeze(), "thaw": lambda _: pg.thaw(),
            "sql": lambda rest: pg.psql(rest, dbname="postgres"),
            "conninfo": lambda _: pg.conninfo("postgres", "postgres"),
            "tcp": lambda _: pg.conninfo("postgres", tcp=True),
        }
        print("ok", flush=True)
        for line in sys.stdin:
            verb, _, rest = line.rstrip("\n").partition(" ")
            try:
                got = verbs[verb](rest)
                print("ok %s" % ("" if got is None else got), flush=True)
            except Exception as e:  # whatever it is, the test wants to show it
                print("error %r" % str(e), flush=True)


if __name__ == "__main__":
    serve()
