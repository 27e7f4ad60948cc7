"""bff-worker without its master and its broker, both played here.

    w = LoneWorker(config_text, ["public", "verify"], directory, broker=FakeBroker(path))
    w.ports["verify"], w.log_text(), w.stop() -> exit status

The descriptors are those of common/contract.h; listeners are bound here to free ports, which the
configuration names as {verify} and so on (str.format).
"""
import os
import select
import signal
import socket
import threading
import time

import ipc

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.environ.get("BFF_BIN", os.path.join(ROOT, "build", "gcc"))
FD_CONFIG, FD_STATUS, FD_METRICS, FD_LISTEN = 3, 4, 5, 6
READY_TIMEOUT_S = 30


def version():
    with open(os.path.join(ROOT, "Makefile"), encoding="utf-8") as f:
        return next(line.split(":=")[1].strip() for line in f if line.startswith("VERSION "))


def listen():
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("127.0.0.1", 0))
    s.listen(128)
    s.setblocking(False)
    return s


class LoneWorker:
    def __init__(self, config, listeners, directory, env=None, nofile=None):
        self.listeners = {name: listen() for name in listeners}
        self.ports = {name: s.getsockname()[1] for name, s in self.listeners.items()}
        self.log_path = os.path.join(str(directory), "worker.log")
        self.status, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.exit = None
        text = config
        for name, port in self.ports.items():
            text = text.replace("{%s}" % name, str(port))
        memory = os.memfd_create("config")
        os.write(memory, text.encode())
        os.lseek(memory, 0, os.SEEK_SET)
        log = os.open(self.log_path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        fds = [memory, theirs.fileno(), os.open(os.devnull, os.O_RDWR)] + [s.fileno() for s in self.listeners.values()]
        environment = {"PATH": "/usr/bin:/bin", "BFF_LISTEN_FDS": str(len(listeners)),
                       "BFF_GENERATION": "1", "BFF_SLOT": "0", "BFF_BUILD": version()}
        environment.update(env or {})
        self.pid = os.fork()
        if self.pid == 0:
            self._become_worker(fds, log, environment, nofile)
        theirs.close()
        os.close(memory)
        os.close(fds[2])  # it counts for itself alone
        os.close(log)

    @staticmethod
    def _become_worker(fds, log, environment, nofile):
        try:
            import resource
            null = os.open("/dev/null", os.O_RDWR)
            high = [os.dup2(fd, 200 + i) for i, fd in enumerate(fds)]
            log = os.dup2(log, 199)
            os.dup2(null, 0)
            os.dup2(null, 1)
            os.dup2(log, 2)
            for i, fd in enumerate(high):
                os.dup2(fd, FD_CONFIG + i)
            os.closerange(FD_CONFIG + len(fds), 1024)
            if nofile is not None:
                resource.setrlimit(resource.RLIMIT_NOFILE, (nofile, nofile))
            path = os.path.join(BIN, "bff-worker")
            os.execve(path, [path], environment)
        finally:
            os._exit(127)

    def __enter__(self):
        return self.ready()

    def __exit__(self, *_):
        self.stop()

    def ready(self):
        deadline = time.monotonic() + READY_TIMEOUT_S
        while True:
            left = max(0, deadline - time.monotonic())
            if not select.select([self.status], [], [], left)[0]:
                raise RuntimeError("worker not ready:\n" + self.log_text())
            byte = self.status.recv(16)
            if byte == b"R":
                return self
            if byte == b"":
                raise RuntimeError("worker ended:\n" + self.log_text())

    def await_status(self, byte, timeout_s=30):
        deadline = time.monotonic() + timeout_s
        while select.select([self.status], [], [], max(0, deadline - time.monotonic()))[0]:
            if self.status.recv(16) == byte:
                return
        raise RuntimeError("no %r from the worker" % byte)

    def log_text(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as f:
            return f.read()

    def await_log(self, word, timeout_s=20):
        deadline = time.monotonic() + timeout_s
        while word not in self.log_text():
            if time.monotonic() > deadline:
                raise RuntimeError("no %r in the log:\n%s" % (word, self.log_text()))
            select.select([], [], [], 0.02)

    def wait(self, timeout_s=45):
        if self.exit is None:
            fd = os.pidfd_open(self.pid)
            seen = select.select([fd], [], [], timeout_s)[0]
            os.close(fd)
            if not seen:
                os.kill(self.pid, signal.SIGKILL)
            self.exit = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
            self.status.close()
            for s in self.listeners.values():
                s.close()
        return self.exit

    def stop(self, timeout_s=45):
        if self.exit is None:
            os.kill(self.pid, signal.SIGTERM)
        return self.wait(timeout_s)


class FakeBroker:
    """Answers as `script` says: a function (number, [fields]) -> (number, [fields]) or None (silence). Fields are in
    their order, as ipc.packet_of() takes them; FakeBroker.LOGIN_BEGIN and so on are the messages' numbers."""

    def __init__(self, path, script):
        self.path, self.script, self.seen = path, script, []
        self.connections = []
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(path)
        self.listener.listen(16)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            self.connections.append(s)
            threading.Thread(target=self._serve, args=(s,), daemon=True).start()

    def _serve(self, s):
        while True:
            try:
                packet = s.recv(65536)
            except OSError:
                return
            if not packet:
                return
            number, ident, fields = ipc.fields_of(packet)
            if number == self.HELLO:
                answer = (self.WELCOME, [fields[0], b"test"])
            else:
                self.seen.append((number, fields))
                answer = self.script(number, fields)
            if answer is not None:
                s.send(ipc.packet_of(answer[0], ident, answer[1]))

    def close(self):
        self.listener.close()
        os.unlink(self.path)
        for s in self.connections:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            s.close()


for _number, _message in ipc.BY_NUMBER.items():
    setattr(FakeBroker, _message[0].upper(), _number)
