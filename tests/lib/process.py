"""A program under test: started, awaited, stopped, its log kept.

    p = Process("bffd", [path, "-c", conf], log=path_of_log)
    p.await_notify()       # READY=1 to NOTIFY_SOCKET
    p.await_connection(("127.0.0.1", port))
    p.stop()               # SIGTERM, and its exit status

A process dies with us however we end (PR_SET_PDEATHSIG), and is never left behind.
"""
import atexit
import ctypes
import os
import select
import signal
import socket
import subprocess
import tempfile
import time

READY_TIMEOUT_S = 60
STOP_TIMEOUT_S = 45
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def _die_with_parent():
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


class Process:
    def __init__(self, name, command, log, env=None, cwd="/", stdout=None, user=None):
        self.name = name
        self.log = log
        self._notify_dir = tempfile.mkdtemp(prefix="bff-notify-")
        os.chmod(self._notify_dir, 0o711)
        path = os.path.join(self._notify_dir, "s")
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.bind(path)
        os.chmod(path, 0o666)
        environment = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "NOTIFY_SOCKET": path,
                       "LANG": "C.UTF-8"}
        environment.update(env or {})
        as_user = {} if user is None else {"user": user[0], "group": user[1], "extra_groups": []}
        with open(log, "ab") as out:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=stdout or out, stderr=out, cwd=cwd,
                env=environment, start_new_session=True, preexec_fn=_die_with_parent, **as_user)
        atexit.register(self.kill)

    @property
    def pid(self):
        return self.process.pid

    def running(self):
        return self.process.poll() is None

    def log_text(self):
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return f.read()

    def fail(self, why):
        return RuntimeError("%s %s; its log ends:\n%s" % (self.name, why, self.log_text()[-4000:]))

    def await_notify(self, word=b"READY=1", timeout_s=READY_TIMEOUT_S):
        gone = os.pidfd_open(self.pid)
        deadline = time.monotonic() + timeout_s
        try:
            while True:
                left = deadline - time.monotonic()
                seen, _, _ = select.select([self._notify, gone], [], [], max(left, 0))
                if self._notify in seen:
                    if word in self._notify.recv(4096).splitlines():
                        return self
                elif gone in seen:
                    raise self.fail("ended with status %s" % self.process.wait())
                else:
                    raise self.fail("was not ready in time")
        finally:
            os.close(gone)

    def await_connection(self, address, timeout_s=READY_TIMEOUT_S):
        """For programs that cannot say when they are ready: asks until one connection succeeds."""
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        gone = os.pidfd_open(self.pid)
        deadline = time.monotonic() + timeout_s
        try:
            while time.monotonic() < deadline:
                with socket.socket(family) as s:
                    if s.connect_ex(address) == 0:
                        return self
                if select.select([gone], [], [], 0.02)[0]:
                    raise self.fail("ended with status %s" % self.process.wait())
            raise self.fail("did not listen in time")
        finally:
            os.close(gone)

    def send(self, number):
        self.process.send_signal(number)

    def wait(self, timeout_s=STOP_TIMEOUT_S):
        return self.process.wait(timeout_s)

    def stop(self, number=signal.SIGTERM, timeout_s=STOP_TIMEOUT_S):
        """The exit status; one that was already gone gives its status."""
        if self.running():
            self.process.send_signal(number)
        try:
            status = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise self.fail("did not stop in %d s" % timeout_s) from None
        self._clean()
        return status

    def kill(self):
        """SIGKILL to the process and to what it started in its session."""
        if self.running():
            try:
                os.killpg(self.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self.process.wait()
        self._clean()

    def _clean(self):
        atexit.unregister(self.kill)
        self._notify.close()
        path = os.path.join(self._notify_dir, "s")
        if os.path.exists(path):
            os.unlink(path)
            os.rmdir(self._notify_dir)
