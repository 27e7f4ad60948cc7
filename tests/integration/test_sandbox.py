"""What every daemon of ours does to itself first: common/sandbox.h, seen from outside.

The daemons run as another user than root, since a process that cannot be dumped shows it by files of
/proc that are root's, and no longer its own.
"""
import os
import resource
import shutil
import subprocess

import pytest

from process import Process
from stack import Stack, binaries

NOBODY = 65534
USER = NOBODY if os.getuid() == 0 else os.getuid()
AS_USER = {"user": USER, "group": USER, "extra_groups": []} if os.getuid() == 0 else {}
# Without leak detection: that is ptrace of oneself, which is just what is forbidden.
ENV = {"ASAN_OPTIONS": "abort_on_error=0:exitcode=99:detect_leaks=0", "UBSAN_OPTIONS": "exitcode=99"}
WORKERS = 2


def start(stack, name, program):
    """From a copy: root's tree may be where another user cannot go (/root is closed)."""
    return Process(name, [os.path.join(stack.directory, "bin", program), "-c", stack.config],
                   log=os.path.join(stack.directory, name + ".log"), env=ENV,
                   user=(USER, USER) if AS_USER else None).await_notify()


@pytest.fixture(scope="module")
def generous():
    """Core files are allowed to what we start, as far as we may."""
    before = resource.getrlimit(resource.RLIMIT_CORE)
    high = resource.RLIM_INFINITY if os.getuid() == 0 else before[1]
    resource.setrlimit(resource.RLIMIT_CORE, (high, high))
    yield
    resource.setrlimit(resource.RLIMIT_CORE, before)


@pytest.fixture(scope="module")
def daemons(generous):
    """{name: pid}, "plain" among them: a process of the same user that does nothing to itself."""
    with Stack(edge=None, workers=WORKERS) as s:
        s.stop_bffd()
        s.stop_broker()
        s.write_config(uid=USER)
        os.mkdir(os.path.join(s.directory, "bin"))
        for program in ("bffd", "bff-worker", "bff-broker"):
            shutil.copy(os.path.join(binaries(), program), os.path.join(s.directory, "bin"))
        if AS_USER:
            for folder, _, files in os.walk(s.directory):
                for path in [folder] + [os.path.join(folder, f) for f in files]:
                    os.chown(path, USER, USER)
        s.broker = start(s, "broker", "bff-broker")
        s.bffd = start(s, "bffd", "bffd")
        s.await_health()
        with open("/proc/%d/task/%d/children" % (s.bffd.pid, s.bffd.pid), encoding="ascii") as f:
            workers = [int(n) for n in f.read().split()]
        assert len(workers) == WORKERS
        with subprocess.Popen(["sleep", "infinity"], **AS_USER) as plain:
            try:
                yield {"bffd": s.bffd.pid, "broker": s.broker.pid, "plain": plain.pid,
                       **{"worker%d" % i: pid for i, pid in enumerate(workers)}}
            finally:
                plain.kill()


NAMES = ["bffd", "broker"] + ["worker%d" % i for i in range(WORKERS)]


def field(pid, name):
    with open("/proc/%d/status" % pid, encoding="utf-8") as f:
        return next(line.split()[1:] for line in f if line.startswith(name + ":"))


def core_limits(pid):
    with open("/proc/%d/limits" % pid, encoding="ascii") as f:
        return next(line[len("Max core file size"):].split()[:2] for line in f
                    if line.startswith("Max core file size"))


def readable(pid, name):
    """By another process of the same user, without privileges."""
    return subprocess.run(["cat", "/proc/%d/%s" % (pid, name)], stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL, check=False, **AS_USER).returncode == 0


def test_the_plain_process_shows_the_difference(daemons):
    pid = daemons["plain"]
    assert os.stat("/proc/%d/environ" % pid).st_uid == USER
    assert readable(pid, "environ") and readable(pid, "maps")
    if os.getuid() == 0:
        assert core_limits(pid) == ["unlimited", "unlimited"]


@pytest.mark.parametrize("name", NAMES)
def test_no_new_privileges(daemons, name):
    assert field(daemons[name], "NoNewPrivs") == ["1"]


@pytest.mark.parametrize("name", NAMES)
def test_no_core_file(daemons, name):
    assert core_limits(daemons[name]) == ["0", "0"]


@pytest.mark.parametrize("name", NAMES)
def test_nobody_reads_its_memory(daemons, name):
    pid = daemons[name]
    assert field(pid, "Uid") == [str(USER)] * 4 and USER != 0
    for file in ("environ", "mem", "maps"):
        assert os.stat("/proc/%d/%s" % (pid, file)).st_uid == 0, file
    assert readable(pid, "status")
    for file in ("environ", "maps", "auxv"):
        assert not readable(pid, file), file
