"""bffd: the command line, and what it promises workers, operators and service managers.

BFF_BIN names the directory of the binaries (default build/gcc). Most tests run with the stand-in
worker; those marked `bindir` run with the real one as well, as soon as it is there.
BFF_RELOADS is the number of reloads under load.
"""
import fcntl
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import bffd as lib  # noqa: E402
from bffd import Bffd, Client, Load, NotifySocket, write_config  # noqa: E402
from port import free_port  # noqa: E402
from wait import eventually  # noqa: E402

# common/contract.h, in seconds
FIRST_STATUS_S, LOST_S, DRAIN_HARD_S = 10, 20, 30
FD_LISTEN = 6  # common/contract.h
F_GET_SEALS = 1034
SEALS = 0x1 | 0x2 | 0x4 | 0x8  # seal, shrink, grow, write
RELOADS = int(os.environ.get("BFF_RELOADS", "50"))


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory):
    return lib.build_stand_in(tmp_path_factory.mktemp("stand-in") / "bin")


@pytest.fixture(params=["stand-in", "real"])
def bindir(request, stand_in):
    if request.param == "stand-in":
        return stand_in
    assert (lib.BIN / "bff-worker").exists(), "no bff-worker in BFF_BIN"
    return lib.BIN


@pytest.fixture
def port():
    return free_port()


@pytest.fixture(scope="module", autouse=True)
def slow(stand_in, tmp_path_factory):
    """Masters whose deadlines pass while the other tests run."""
    def start(name, mode=""):
        directory = tmp_path_factory.mktemp(name)
        return Bffd(stand_in, write_config(directory, free_port(), mode=mode))

    with start("lost") as lost, start("drain") as drain, start("never", "never") as never:
        lost.serving()
        drain.serving()
        lost.frozen = lost.workers()[0]
        drain.frozen = drain.workers()[0]
        Bffd.signal_worker(lost.frozen, signal.SIGSTOP)
        Bffd.signal_worker(drain.frozen, signal.SIGSTOP)
        drain.process.send_signal(signal.SIGTERM)
        yield {"lost": lost, "drain": drain, "never": never}


def run(*args):
    return subprocess.run([str(lib.BIN / "bffd"), *map(str, args)], capture_output=True,
                          text=True, timeout=lib.DEADLINE_S)


# ---- the command line ----------------------------------------------------------------------------

def test_version():
    got = run("-V")
    assert got.returncode == 0
    assert re.fullmatch(r"bffd \d+\.\d+\.\d+\n", got.stdout)


@pytest.mark.parametrize("args", [["-x"], ["-c"], ["-t", "-T"], ["word"], ["-t", "word"]])
def test_usage(args):
    got = run(*args)
    assert got.returncode == 64
    assert "usage: bffd" in got.stderr
    assert got.stdout == ""


def test_check_accepts(tmp_path, port):
    got = run("-t", "-c", write_config(tmp_path, port))
    assert got.returncode == 0, got.stderr
    assert got.stdout.splitlines()[-1] == "configuration ok"


@pytest.mark.parametrize("option", ["-t", "-T", "-f"])
def test_a_bad_file_is_refused_with_its_place(tmp_path, port, option):
    config = write_config(tmp_path, port, extra="nonsense = 1\n")
    line = len(config.read_text().splitlines())
    got = run(option, "-c", config)
    assert got.returncode == 78
    assert f"{config}:{line}: " in got.stderr
    assert len(got.stderr.splitlines()) == 1
    assert got.stdout == ""


def test_a_missing_file_is_refused(tmp_path):
    got = run("-t", "-c", tmp_path / "none.conf")
    assert got.returncode == 78
    assert "none.conf" in got.stderr


def test_effective_configuration_is_a_fixpoint(tmp_path, port):
    first = run("-T", "-c", write_config(tmp_path, port))
    assert first.returncode == 0, first.stderr
    again = tmp_path / "again.conf"
    again.write_text(first.stdout)
    second = run("-T", "-c", again)
    assert second.returncode == 0, second.stderr
    assert second.stdout == first.stdout


def test_a_full_disk_is_noticed(tmp_path, port):
    config = write_config(tmp_path, port)
    with open("/dev/full", "w") as full:
        got = subprocess.run([str(lib.BIN / "bffd"), "-T", "-c", str(config)], stdout=full,
                             stderr=subprocess.DEVNULL)
    assert got.returncode == 70


# ---- start and stop ------------------------------------------------------------------------------

def test_serves_and_stops(bindir, tmp_path, port):
    with Bffd(bindir, write_config(tmp_path, port)) as master:
        master.serving()
        status, _ = Client(port).get()
        assert 200 <= status < 600
        assert master.stop() == 0
        assert not master.workers()


def test_sigint_stops_as_well(stand_in, tmp_path, port):
    with Bffd(stand_in, write_config(tmp_path, port)) as master:
        master.serving()
        master.process.send_signal(signal.SIGINT)
        assert master.process.wait(lib.DEADLINE_S) == 0


def test_a_taken_address_is_a_configuration_error(stand_in, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        config = write_config(tmp_path, taken.getsockname()[1])
        with Bffd(stand_in, config) as master:
            assert master.process.wait(lib.DEADLINE_S) == 78
            assert "in use" in master.wait("start_failed")["reason"]


@pytest.mark.parametrize("mode,code", [("config", 78), ("build", 65)])
def test_a_start_that_cannot_succeed_ends(stand_in, tmp_path, port, mode, code):
    with Bffd(stand_in, write_config(tmp_path, port, mode=mode)) as master:
        assert master.process.wait(lib.DEADLINE_S) == code


def test_when_the_master_is_killed_the_workers_drain(stand_in, tmp_path, port):
    with Bffd(stand_in, write_config(tmp_path, port)) as master:
        master.serving()
        ends = [os.pidfd_open(pid) for pid in master.workers()]
        master.process.kill()
        for fd in ends:
            assert wait_readable(fd), "a worker outlived its master"
            os.close(fd)


def wait_readable(fd):
    import select
    return bool(select.select([fd], [], [], lib.DEADLINE_S)[0])


# ---- what a worker gets --------------------------------------------------------------------------

def test_a_worker_gets_exactly_what_the_contract_says(bindir, tmp_path):
    ports = {"public": free_port(), "second": free_port()}
    config = write_config(tmp_path, ports)
    env = {"TZ": "UTC", "CREDENTIALS_DIRECTORY": str(tmp_path), "LD_PRELOAD": ""}
    with Bffd(bindir, config, env=env) as master:
        pid = master.serving().workers()[0]
        if bindir == lib.BIN and os.geteuid() != 0:
            pytest.skip("the real worker is not dumpable: only root may look")
        got_env = dict(v.split("=", 1) for v in
                       Path(f"/proc/{pid}/environ").read_text().split("\0") if v)
        build = got_env.pop("BFF_BUILD")
        assert run("-V").stdout == f"bffd {build}\n"
        assert got_env == {
            "PATH": os.environ["PATH"], "LANG": "C.UTF-8", "TZ": "UTC",
            "CREDENTIALS_DIRECTORY": str(tmp_path), "BFF_LISTEN_FDS": "2",
            "BFF_GENERATION": "1", "BFF_SLOT": "0", "BFF_SLAB": "1"}
        # Of the real one those alone that it keeps: it opens and closes others meanwhile.
        numbers = range(6) if bindir == lib.BIN else map(int, os.listdir(f"/proc/{pid}/fd"))
        fds = {n: os.readlink(f"/proc/{pid}/fd/{n}") for n in numbers}
        assert fds[0] == fds[1] == "/dev/null"
        assert fds[2].startswith("pipe:")
        assert fds[4].startswith("socket:")
        assert fds[5].startswith("/memfd:")
        if bindir == lib.BIN:
            return  # it closes and opens others by now
        assert sorted(fds) == [0, 1, 2, 3, 4, 5, FD_LISTEN, FD_LISTEN + 1]
        assert [bound_port(fds[FD_LISTEN]), bound_port(fds[FD_LISTEN + 1])] == list(ports.values())
        assert Path(f"/proc/{pid}/cmdline").read_bytes() == b"bff-worker\0"
        status = Path(f"/proc/{pid}/status").read_text()
        assert re.search(r"^SigBlk:\t0+$", status, re.M)
        ignored = int(re.search(r"^SigIgn:\t(\w+)$", status, re.M).group(1), 16)
        # Signals 32 and 33 are libc's own: GNU make hands them down ignored and nobody can say otherwise.
        assert ignored & ~(3 << 31) == 0


def bound_port(link):
    inode = re.fullmatch(r"socket:\[(\d+)\]", link).group(1)
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[9] == inode:
            return int(fields[1].split(":")[1], 16)
    return None


def test_the_configuration_of_a_worker_is_sealed(stand_in, tmp_path, port):
    config = write_config(tmp_path, port)
    with Bffd(stand_in, config) as master:
        pid = master.serving().workers()[0]
        with open(f"/proc/{pid}/fd/3", "rb") as memfd:
            assert fcntl.fcntl(memfd, F_GET_SEALS) == SEALS
            got = memfd.read().decode()
        with pytest.raises(PermissionError), open(f"/proc/{pid}/fd/3", "r+b", 0) as memfd:
            memfd.write(b"x")
    assert got == run("-T", "-c", config).stdout


def test_the_master_is_hardened(stand_in, tmp_path, port):
    with Bffd(stand_in, write_config(tmp_path, port)) as master:
        master.serving()
        status = Path(f"/proc/{master.pid}/status").read_text()
        assert re.search(r"^NoNewPrivs:\t1$", status, re.M)
        limits = Path(f"/proc/{master.pid}/limits").read_text()
        assert re.search(r"^Max core file size\s+0\s+0\s", limits, re.M)


# ---- workers that die ----------------------------------------------------------------------------

def test_a_killed_worker_is_replaced(bindir, tmp_path, port):
    with Bffd(bindir, write_config(tmp_path, port)) as master:
        victim = master.serving().workers()[0]
        master.signal_worker(victim, signal.SIGKILL)
        assert master.wait("worker_exited", worker=victim)["restart_in_ms"] == "0"
        master.wait("worker_ready", count=3)
        assert len(master.workers()) == 2
        assert 200 <= Client(port).get()[0] < 600


@pytest.mark.parametrize("mode,want", [("die", ["500", "1000", "2000"]),
                                       ("after", ["0", "500", "1000"])])
def test_a_worker_that_keeps_dying_is_started_ever_more_rarely(stand_in, tmp_path, port, mode,
                                                               want):
    with Bffd(stand_in, write_config(tmp_path, port, mode=mode, workers=1)) as master:
        master.wait("worker_exited", count=3)
        assert [e["restart_in_ms"] for e in master.events("worker_exited")][:3] == want


def test_a_missing_worker_program_is_said_and_retried(stand_in, tmp_path, port):
    bindir = tmp_path / "bin"
    bindir.mkdir()
    for name in ("bffd", "bff-worker"):
        (bindir / name).write_bytes((stand_in / name).read_bytes())
        (bindir / name).chmod(0o755)
    with Bffd(bindir, write_config(tmp_path, port, workers=1)) as master:
        master.serving()
        (bindir / "bff-worker").rename(bindir / "away")
        master.signal_worker(master.workers()[0], signal.SIGKILL)
        master.wait("exec_failed")
        (bindir / "away").rename(bindir / "bff-worker")
        master.wait("worker_ready", count=2)


def test_other_peoples_children_are_reaped(stand_in, tmp_path, port):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    wrapper = ["sh", "-c", f'cat {fifo} >/dev/null & echo event=child pid=$! >&2; exec "$@"', "sh"]
    with Bffd(stand_in, write_config(tmp_path, port), wrapper=wrapper) as master:
        child = int(master.serving().wait("child")["pid"])
        end = os.pidfd_open(child)
        fifo.open("w").close()
        assert wait_readable(end)
        os.close(end)
        # Reaped before the next thing the master is told to do is done.
        master.hup()
        master.serving(2)
        assert not Path(f"/proc/{child}").exists()


# ---- reload --------------------------------------------------------------------------------------

def test_a_good_reload_replaces_every_worker_and_keeps_the_socket(bindir, tmp_path, port):
    with Bffd(bindir, write_config(tmp_path, port, workers=2)) as master:
        old = master.serving().workers()
        write_config(tmp_path, port, workers=3)
        with Load(port) as load:
            master.hup()
            master.serving(2)
            for pid in old:
                master.wait("worker_exited", worker=pid, status=0)
        assert load.failures == []
        assert len(master.workers()) == 3


def test_a_bad_file_changes_nothing(bindir, tmp_path, port):
    with Bffd(bindir, write_config(tmp_path, port)) as master:
        before = master.serving().workers()
        config = write_config(tmp_path, port, extra="nonsense = 1\n")
        line = len(config.read_text().splitlines())
        master.hup()
        failed = master.wait("reload_failed")
        assert failed["reason"].startswith(f"{config}:{line}: ")
        assert failed["serving_generation"] == "1"
        assert master.workers() == before
        assert 200 <= Client(port).get()[0] < 600


def test_listeners_come_and_go(stand_in, tmp_path):
    first, second, third = free_port(), free_port(), free_port()
    config = write_config(tmp_path, {"one": first, "two": second})
    with Bffd(stand_in, config) as master:
        master.serving()
        write_config(tmp_path, {"renamed": second, "three": third})
        with Load(second) as load:
            master.hup()
            master.serving(2)
            for slot in (0, 1):
                master.wait("worker_exited", generation=1, slot=slot)
        assert load.failures == []
        Client(third).get()
        with pytest.raises(ConnectionRefusedError):
            Client(first).get()


def test_a_taken_address_fails_the_reload(stand_in, tmp_path, port):
    with Bffd(stand_in, write_config(tmp_path, port)) as master:
        master.serving()
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            fresh = free_port()
            write_config(tmp_path, {"public": port, "fresh": fresh,
                                    "taken": taken.getsockname()[1]})
            master.hup()
            assert "in use" in master.wait("reload_failed")["reason"]
        with pytest.raises(ConnectionRefusedError):  # bound on the way, and given back
            Client(fresh).get()
        assert "generation=1" in Client(port).get()[1]


@pytest.mark.parametrize("mode,reason", [("die", "exited with status 70"),
                                         ("config", "exited with status 78"),
                                         ("build", "another version"),
                                         ("die1", "worker 1 exited with status 70")])
def test_a_generation_that_fails_is_given_up(stand_in, tmp_path, port, mode, reason):
    with Bffd(stand_in, write_config(tmp_path, port)) as master:
        before = master.serving().workers()
        write_config(tmp_path, port, mode=mode)
        with Load(port) as load:
            master.hup()
            assert reason in master.wait("reload_failed")["reason"]
            master.wait("generation_gone", generation=2)
        assert load.failures == []  # also where half of the new ones served already
        assert master.workers() == before
        write_config(tmp_path, port)
        master.hup()
        master.serving(3)


def test_a_generation_that_is_never_ready_is_given_up_and_one_hup_remembered(stand_in, tmp_path,
                                                                              port):
    with Bffd(stand_in, write_config(tmp_path, port)) as master:
        master.serving()
        write_config(tmp_path, port, mode="never")
        master.hup()
        master.wait("worker_started", count=4)
        write_config(tmp_path, port)
        master.hup()
        master.hup()
        failed = master.wait("reload_failed", timeout=FIRST_STATUS_S + lib.DEADLINE_S)
        assert "not ready" in failed["reason"]
        master.serving(3)
        master.wait("generation_gone", generation=1)  # until then one of it may still accept
        assert "generation=3" in Client(port).get()[1]
        master.stop()
        assert len(master.events("reload_started")) == 2


def test_reloads_under_load_lose_nothing(bindir, tmp_path, port):
    reloads = RELOADS if bindir != lib.BIN else int(os.environ.get("BFF_RELOADS", "3"))
    with Bffd(bindir, write_config(tmp_path, port, workers=2)) as master:
        master.serving()
        before = master.descriptors() if os.geteuid() == 0 else None
        with Load(port) as load:
            for generation in range(2, reloads + 2):
                master.hup()
                master.wait("reload_done", generation=generation)
            for generation in range(1, reloads + 1):
                master.wait("generation_gone", generation=generation)
        assert load.failures == []
        assert load.answers > reloads
        if before is not None:
            count = len(before)
            assert len(master.descriptors()) == count
            listeners = [link for link in before if link.startswith("socket:")
                         and bound_port(link) == port]
            assert len(listeners) == 1
            assert listeners[0] in master.descriptors()  # the very same socket
        assert master.stop() == 0


def install(program, target):
    """As a package does: the new file under the old name."""
    fresh = target.with_suffix(".new")
    fresh.write_bytes(program)
    fresh.chmod(0o755)
    fresh.rename(target)


@pytest.fixture
def own_bin(stand_in, tmp_path):
    bindir = tmp_path / "bin"
    bindir.mkdir()
    for name in ("bffd", "bff-worker"):
        install((stand_in / name).read_bytes(), bindir / name)
    return bindir


def test_a_reload_after_an_upgrade_becomes_the_new_program(own_bin, tmp_path, port):
    notify = NotifySocket(tmp_path / "notify")
    with listening() as inherited:
        address = inherited.getsockname()[1]
        config = write_config(tmp_path, {"own": port, "public": address})
        with activated(own_bin, config, [inherited], ["bff.socket"], notify=notify) as master:
            old = master.serving().workers()
            notify.wait("READY=1")
            before = master.descriptors() if os.geteuid() == 0 else None
            with Load(port, 2, 1) as load, Load(address, 2, 1) as other:
                for generation in (2, 3):
                    install((own_bin / "bffd").read_bytes(), own_bin / "bffd")
                    ends = [os.pidfd_open(pid) for pid in old]
                    master.hup()
                    notify.wait("RELOADING=1")
                    assert master.wait("upgraded", count=generation - 1)["former_workers"] == "2"
                    master.wait("serving", generation=generation)
                    notify.wait("READY=1")
                    for fd in ends:
                        assert wait_readable(fd), "a former worker does not drain"
                        os.close(fd)
                    old = master.workers(generation)
            assert load.failures + other.failures == []
            write_config(tmp_path, port)  # an ordinary reload: ours goes or stays, theirs stays
            master.hup()
            master.serving(4)
            master.wait("generation_gone", generation=3)  # until then one of it may take a connection
            assert "generation=4" in Client(port).get()[1]
            if before is not None:
                assert len(master.descriptors()) == len(before)
            assert master.stop() == 0
            assert len(master.events("upgrading")) == 2
    notify.close()


@pytest.mark.parametrize("program", [b"#!/bin/sh\nexit 78\n", b"not a program"])
def test_a_new_program_that_refuses_changes_nothing(own_bin, tmp_path, port, program):
    with Bffd(own_bin, write_config(tmp_path, port)) as master:
        before = master.serving().workers()
        install(program, own_bin / "bffd")
        master.hup()
        assert "does not accept" in master.wait("reload_failed")["reason"]
        assert master.workers() == before
        assert "generation=1" in Client(port).get()[1]
        assert master.stop() == 0


def test_half_an_upgrade_changes_nothing(own_bin, tmp_path, port):
    """A new bffd without its worker: the old one goes on, and says why."""
    config = write_config(tmp_path, port)
    with Bffd(own_bin, config) as master:
        workers = master.serving().workers()
        install((own_bin / "bffd").read_bytes(), own_bin / "bffd")
        (own_bin / "bff-worker").rename(own_bin / "not-yet")
        master.hup()
        master.wait("reload_failed")
        assert master.workers() == workers
        (own_bin / "not-yet").rename(own_bin / "bff-worker")
        master.hup()
        assert master.wait("upgraded")["former_workers"] == str(len(workers))
        master.wait("serving", generation=2)
        assert master.stop() == 0


def test_after_an_upgrade_the_old_workers_serve_until_the_new_ones_do(own_bin, tmp_path, port):
    with Bffd(own_bin, write_config(tmp_path, port)) as master:
        master.serving()
        install((own_bin / "bffd").read_bytes(), own_bin / "bffd")
        write_config(tmp_path, port, mode="config")  # bffd -t cannot know what workers will say
        master.hup()
        master.wait("worker_exited", count=2, generation=2, status=78)
        assert "generation=1" in Client(port).get()[1]
        write_config(tmp_path, port)
        master.hup()
        master.serving(3)
        # Until they are gone one of the former may still accept.
        eventually(lambda: "generation=3" in Client(port).get()[1], what="an answer of the new ones")


# ---- the service manager -------------------------------------------------------------------------

def test_the_service_manager_hears_of_start_reload_and_stop(stand_in, tmp_path, port):
    notify = NotifySocket(tmp_path / "notify")
    with Bffd(stand_in, write_config(tmp_path, port), notify=notify) as master:
        assert "STATUS=generation 1, 2 workers" in notify.wait("READY=1")
        master.wait("worker_ready", count=2)
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        master.hup()
        got = notify.wait("RELOADING=1")
        usec = int(re.search(r"^MONOTONIC_USEC=(\d+)$", got, re.M).group(1))
        assert before <= usec <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        assert "STATUS=generation 2, 2 workers" in notify.wait("READY=1")
        write_config(tmp_path, port, extra="nonsense = 1\n")
        master.hup()
        notify.wait("RELOADING=1")
        assert "STATUS=reload failed, serving generation 2: " in notify.wait("READY=1")
        master.process.send_signal(signal.SIGTERM)
        notify.wait("STOPPING=1")
        assert master.process.wait(lib.DEADLINE_S) == 0
    notify.close()


def test_the_watchdog_is_fed_while_somebody_serves(stand_in, tmp_path, port):
    notify = NotifySocket(tmp_path / "notify")
    config = write_config(tmp_path, port)
    with Bffd(stand_in, config, notify=notify, env={"WATCHDOG_USEC": "200000"}) as master:
        notify.wait("READY=1")
        notify.wait("WATCHDOG=1")
        notify.wait("WATCHDOG=1")
        assert master.stop() == 0
    notify.close()


def test_the_watchdog_is_not_fed_while_nobody_serves(stand_in, tmp_path, port):
    notify = NotifySocket(tmp_path / "notify")
    config = write_config(tmp_path, port, mode="die", workers=1)
    with Bffd(stand_in, config, notify=notify, env={"WATCHDOG_USEC": "20000"}) as master:
        master.wait("worker_exited", count=2)  # half a second and 25 watchdog turns apart
        master.process.send_signal(signal.SIGTERM)
        notify.wait("STOPPING=1")
        assert not [m for m in notify.seen if "WATCHDOG=1" in m or "READY=1" in m]
    notify.close()


def activated(stand_in, config, sockets, names, notify=None):
    """As the service manager does: descriptors from 3 on, LISTEN_PID set between fork and exec."""
    high = [fcntl.fcntl(s.fileno(), fcntl.F_DUPFD, 100) for s in sockets]  # past what they move to
    move = " ".join(f"{3 + i}<&{fd}" for i, fd in enumerate(high))
    shut = " ".join(f"{fd}<&-" for fd in high)
    wrapper = ["bash", "-c", f'exec {move} {shut}; export LISTEN_PID=$$; exec "$@"', "bash"]
    env = {"LISTEN_FDS": str(len(high)), "LISTEN_FDNAMES": ":".join(names)}
    try:
        return Bffd(stand_in, config, env=env, wrapper=wrapper, notify=notify, pass_fds=high)
    finally:
        for fd in high:
            os.close(fd)


def listening():
    s = socket.socket()
    s.bind(("127.0.0.1", 0))
    s.listen(128)
    return s


@pytest.mark.parametrize("names", [["public"], ["bff.socket"]])
def test_inherited_sockets_are_used_and_the_rest_is_bound(stand_in, tmp_path, port, names):
    with listening() as inherited:
        address = inherited.getsockname()[1]
        config = write_config(tmp_path, {"own": port, "public": address})
        with activated(stand_in, config, [inherited], names) as master:
            pid = master.serving().workers()[0]
            assert "generation=1" in Client(address).get()[1]
            assert "generation=1" in Client(port).get()[1]
            environ = Path(f"/proc/{pid}/environ").read_text()
            assert "LISTEN_" not in environ.replace("BFF_LISTEN_FDS", "")
            # The order of sections, not that of inheritance.
            assert bound_port(os.readlink(f"/proc/{pid}/fd/{FD_LISTEN}")) == port
            assert bound_port(os.readlink(f"/proc/{pid}/fd/{FD_LISTEN + 1}")) == address


def test_a_restart_keeps_the_queue_of_an_inherited_socket(stand_in, tmp_path):
    with listening() as inherited:
        address = inherited.getsockname()[1]
        config = write_config(tmp_path, {"public": address})
        with activated(stand_in, config, [inherited], ["public"]) as master:
            master.serving()
            assert master.stop() == 0
        queued = Client(address)
        queued.sock = socket.create_connection(("127.0.0.1", address), lib.DEADLINE_S)
        with activated(stand_in, config, [inherited], ["public"]) as master:
            assert queued.get()[0] == 200
        queued.close()


def test_an_inherited_socket_that_is_not_configured_is_kept(stand_in, tmp_path, port):
    with listening() as first, listening() as second:
        a, b = first.getsockname()[1], second.getsockname()[1]
        config = write_config(tmp_path, {"public": a})
        with activated(stand_in, config, [first, second], ["x", "y"]) as master:
            master.serving()
            assert master.wait("listeners_unused")["sockets"] == "1"
            write_config(tmp_path, {"public": b})
            master.hup()
            master.serving(2)
            assert "generation=2" in Client(b).get()[1]


def test_a_named_socket_with_another_address_is_refused(stand_in, tmp_path, port):
    with listening() as inherited:
        config = write_config(tmp_path, {"public": port})
        with activated(stand_in, config, [inherited], ["public"]) as master:
            assert master.process.wait(lib.DEADLINE_S) == 78
            assert "another address" in master.wait("start_failed")["reason"]


def test_an_inherited_descriptor_that_does_not_listen_is_refused(stand_in, tmp_path, port):
    with socket.socket() as idle:
        config = write_config(tmp_path, {"public": port})
        with activated(stand_in, config, [idle], ["public"]) as master:
            assert master.process.wait(lib.DEADLINE_S) == 70
            assert "listening" in master.wait("start_failed")["reason"]


# ---- deadlines: these began with the first test of this file --------------------------------------

def test_a_start_that_is_never_ready_is_tried_again(slow):
    slow["never"].wait("worker_late", count=2, timeout=FIRST_STATUS_S + lib.DEADLINE_S)
    slow["never"].wait("worker_started", count=3)
    assert not slow["never"].events("serving")


def test_a_worker_without_heartbeat_is_replaced(slow):
    lost = slow["lost"]
    lost.wait("worker_lost", worker=lost.frozen, timeout=LOST_S + lib.DEADLINE_S)
    lost.wait("worker_exited", worker=lost.frozen, signal=9)
    lost.wait("worker_ready", count=3)
    assert len(lost.events("worker_lost")) == 1  # the other one's heartbeats were heard


def test_a_worker_that_does_not_drain_is_killed(slow):
    drain = slow["drain"]
    drain.wait("worker_drain_too_long", worker=drain.frozen, timeout=DRAIN_HARD_S + lib.DEADLINE_S)
    assert drain.process.wait(lib.DEADLINE_S) == 0
