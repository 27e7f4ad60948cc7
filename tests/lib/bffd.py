"""bffd under test: its binaries, a configuration, its log, its notify socket, and clients.

Everything waits for an event in the log, a datagram or a descriptor; nothing sleeps.
"""
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(os.environ.get("BFF_BIN", ROOT / "build" / "gcc")).resolve()
DEADLINE_S = 15

CONFIG = """\
database {{
    conninfo             = "host=127.0.0.1 port=1 dbname=bff"
    web_password_file    = "{dir}/pg-web"
    broker_password_file = "{dir}/pg-broker"
}}
web {{
    workers     = {workers}
    cookie_keys = "{cookie_keys}"
}}
broker {{
    socket    = "{dir}/broker.sock"
    peer_user = "nobody"
    key_ring  = "{dir}/key-ring"
}}
{listens}
provider "local" {{
    preset             = generic
    issuer             = "http://127.0.0.1:9"
    client_id          = "bff"
    client_secret_file = "{dir}/client-secret"
    insecure_loopback  = yes
}}
app "shop" {{
    provider          = "local"
    origins           = {{"http://localhost:9"}}
    insecure_loopback = yes
}}
route "all" {{
    app  = "shop"
    path = "/"
}}
"""


def build_stand_in(directory):
    """A directory with this bffd and the stand-in beside it as bff-worker."""
    directory.mkdir()
    shutil.copy2(BIN / "bffd", directory / "bffd")
    subprocess.run(
        ["cc", "-std=gnu17", "-D_GNU_SOURCE", "-O1", "-Wall", "-Wextra", "-Werror", f"-I{ROOT}",
         '-DBFF_VERSION="stand-in"', "-o", directory / "bff-worker",
         ROOT / "tests/integration/stand_in_worker.c"], check=True)
    return directory


def write_config(directory, ports, mode="", workers=2, extra=""):
    """ports: {title: port} or a port for "public". mode: what the stand-in is to do."""
    if isinstance(ports, int):
        ports = {"public": ports}
    keys = directory / "cookie-keys"
    for name in ("cookie-keys", "pg-web", "pg-broker", "key-ring", "client-secret"):
        path = directory / name
        path.write_text("A" * 43 + "\n")
        path.chmod(0o600)
    listens = "\n".join(
        f'listen "{title}" {{ kind = public address = "127.0.0.1:{port}" '
        'trusted_peers = {"127.0.0.1/32"} }' for title, port in ports.items())
    path = directory / "bff.conf"
    path.write_text(CONFIG.format(
        dir=directory, workers=workers, listens=listens,
        cookie_keys=f"{directory}/stand-in:{mode}" if mode else keys) + extra)
    return path


def parse_line(line):
    """One logfmt line as a dict."""
    try:
        words = shlex.split(line)
    except ValueError:
        words = line.split()
    return dict(w.split("=", 1) for w in words if "=" in w)


class NotifySocket:
    """What the service manager would hear."""

    def __init__(self, path):
        self.path = str(path)
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(self.path)
        self.sock.settimeout(DEADLINE_S)
        self.seen = []

    def wait(self, word):
        while True:
            text = self.sock.recv(4096).decode()
            self.seen.append(text)
            if word in text.split("\n"):
                return text

    def close(self):
        self.sock.close()


class Bffd:
    """A running master. Use as a context manager."""

    def __init__(self, bindir, config, env=None, wrapper=(), notify=None, pass_fds=()):
        environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "SECRET_OF_CI": "canary"}
        environment.update(env or {})
        if notify:
            environment["NOTIFY_SOCKET"] = notify.path
        self.config = config
        self.lines = []
        self.closed = False
        self.changed = threading.Condition()
        self.process = subprocess.Popen(
            [*wrapper, str(bindir / "bffd"), "-c", str(config)], env=environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            text=True, pass_fds=pass_fds)
        self.pid = self.process.pid
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if self.process.poll() is None:
            for pid in self.workers():  # a stopped one would hold the drain up
                self.signal_worker(pid, signal.SIGKILL)
            self.process.terminate()
            try:
                self.process.wait(DEADLINE_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.reader.join(DEADLINE_S)
        self.process.stderr.close()

    def _read(self):
        for line in self.process.stderr:
            with self.changed:
                self.lines.append(line.rstrip("\n"))
                self.changed.notify_all()
        with self.changed:
            self.closed = True
            self.changed.notify_all()

    def events(self, event, **fields):
        want = {k: str(v) for k, v in fields.items()}
        with self.changed:
            parsed = [parse_line(line) for line in self.lines]
        return [p for p in parsed
                if p.get("event") == event and all(p.get(k) == v for k, v in want.items())]

    def wait(self, event, count=1, timeout=DEADLINE_S, **fields):
        """The count-th such line, as soon as it is there."""
        end = time.monotonic() + timeout
        while True:
            with self.changed:
                seen = len(self.lines)
            found = self.events(event, **fields)
            if len(found) >= count:
                return found[count - 1]
            with self.changed:
                left = end - time.monotonic()
                if left <= 0 or (self.closed and len(self.lines) == seen):
                    raise AssertionError(
                        f"no {event} {fields} (x{count}) in:\n" + "\n".join(self.lines[-40:]))
                if len(self.lines) == seen:
                    self.changed.wait(left)

    def serving(self, generation=1):
        self.wait("serving" if generation == 1 else "reload_done", generation=generation)
        return self

    def hup(self):
        self.process.send_signal(signal.SIGHUP)

    def stop(self, timeout=DEADLINE_S):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout)

    def workers(self, generation=None):
        """Pids of the workers that were started and have not ended, oldest first."""
        fields = {} if generation is None else {"generation": generation}
        ended = {e["worker"] for e in self.events("worker_exited")}
        return [int(e["worker"]) for e in self.events("worker_started", **fields)
                if e["worker"] not in ended]

    @staticmethod
    def signal_worker(pid, sig):
        try:
            os.kill(pid, sig)
        except ProcessLookupError:
            pass

    def descriptors(self):
        """Of the master, which only root may list: it is not dumpable."""
        return sorted(os.readlink(f"/proc/{self.pid}/fd/{n}")
                      for n in os.listdir(f"/proc/{self.pid}/fd"))


class Client:
    """HTTP/1.1 over one connection at a time; a request that is not answered raises."""

    def __init__(self, port, path="/auth/health", keep_alive=True):
        self.port = port
        self.keep_alive = keep_alive
        self.request = (f"GET {path} HTTP/1.1\r\nHost: localhost:9\r\n"
                        f"Connection: {'keep-alive' if keep_alive else 'close'}\r\n\r\n").encode()
        self.sock = None

    def close(self):
        if self.sock:
            self.sock.close()
        self.sock = None

    def get(self):
        if self.sock is None:
            self.sock = socket.create_connection(("127.0.0.1", self.port), DEADLINE_S)
        self.sock.sendall(self.request)
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._receive(data)
        head, body = data.split(b"\r\n\r\n", 1)
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        want = int(length.group(1)) if length else 0
        while len(body) < want:
            body += self._receive(body)
        if not self.keep_alive or re.search(rb"(?i)\r\nconnection: *close", head):
            self.close()
        assert head.startswith(b"HTTP/1.1 "), head
        return int(head.split(b" ", 2)[1]), body.decode()

    def _receive(self, before):
        data = self.sock.recv(65536)
        if not data:
            raise ConnectionError(f"closed after {before!r}")
        return data


class Load:
    """Clients that ask without pause, until stopped; every unanswered request is kept."""

    def __init__(self, port, keep_alive=3, fresh=2, path="/auth/health"):
        self.stopping = threading.Event()
        self.failures, self.answers = [], 0
        self.lock = threading.Lock()
        kinds = [True] * keep_alive + [False] * fresh
        self.threads = [threading.Thread(target=self._run, args=(Client(port, path, kind),))
                        for kind in kinds]

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *exc):
        self.stopping.set()
        for t in self.threads:
            t.join()

    def _run(self, client):
        while not self.stopping.is_set():
            try:
                client.get()
                with self.lock:
                    self.answers += 1
            except (OSError, AssertionError) as error:
                with self.lock:
                    self.failures.append(f"keep_alive={client.keep_alive}: {error!r}")
                client.close()
        client.close()
