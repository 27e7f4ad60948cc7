"""What a round of load is, and what it costs the server.

    with Load(port, head, cookies=cookies) as load:    # load.c: connected and warm
        us_per_request(server, load)                   # one round: CPU of the server for a request

Servers run on the first core, the load on the last. CPU is the kernel's own account of a process, all its threads, in
nanoseconds (its CPU clock, which is what utime + stime of /proc/PID/stat round).
"""
import json
import os
import resource
import subprocess
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.path.abspath(os.environ.get("BFF_BIN") or os.path.join(ROOT, "build", "gcc"))
SECONDS = float(os.environ.get("BENCH_SECONDS", "2"))  # of one round
WARM = min(SECONDS, 0.5)  # before what counts: caches are filled, branches learnt
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
CONNECTIONS = 64
CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, LOAD_CORE = CORES[0], CORES[-1]
FILES = resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def cpu_ns(pid):
    """All CPU time of a process: its CPU clock (clock_getcpuclockid(3), for which Python has no name)."""
    return time.clock_gettime_ns((~pid << 3) | 2)


def children(pid):
    with open("/proc/%d/task/%d/children" % (pid, pid), encoding="ascii") as f:
        return [int(p) for p in f.read().split()]


def private_bytes(pid):
    with open("/proc/%d/smaps_rollup" % pid, encoding="ascii") as f:
        return 1024 * sum(int(line.split()[1]) for line in f if line.startswith("Private_"))


def anonymous_bytes(pid):
    """Memory that is no file's: what a leak would show in. (A page of a library turns private when the last other
    process that has it ends.)"""
    with open("/proc/%d/smaps_rollup" % pid, encoding="ascii") as f:
        return 1024 * sum(int(line.split()[1]) for line in f if line.startswith("Anonymous:"))


def descriptors(pid):
    return len(os.listdir("/proc/%d/fd" % pid))


def on_core(core, command):
    return ["prlimit", "--nofile=%d" % FILES, "taskset", "-c", str(core), *command]


class Tail:
    """The lines of a log, as they come."""

    def __init__(self, path):
        self.file = open(path, encoding="utf-8", errors="replace")

    def wait(self, word, timeout_s=60):
        """The next line with this in it."""
        end, held = time.monotonic() + timeout_s, ""
        while time.monotonic() < end:
            line = self.file.readline()
            held += line
            if not line:
                time.sleep(0.002)
            elif held.endswith("\n"):
                if word in held:
                    return held
                held = ""
        raise SystemExit("no %r in %s" % (word, self.file.name))

    def close(self):
        self.file.close()


class Server:
    """A program under load: `pids` are the processes whose CPU counts."""

    def __init__(self, process, port, pids, tls=False):
        self.process, self.port, self.pids, self.tls = process, port, pids, tls

    def cpu_ns(self):
        return sum(cpu_ns(pid) for pid in self.pids())

    def stop(self):
        self.process.stop()


class Load:
    """tests/bench/load.c, connected and warm; each run() is a round."""

    def __init__(self, port, head_path, cookies=None, connections=CONNECTIONS, status=200, rate=None, once=False,
                 tls=False):
        command = [os.path.join(BIN, "bench", "load"), "-p", str(port), "-h", head_path, "-c", str(connections),
                   "-s", str(status)]
        for flag, value in (("-k", cookies), ("-r", rate)):
            command += [flag, str(value)] if value else []
        command += ["-1"] * once + ["-t"] * tls
        self.process = subprocess.Popen(on_core(LOAD_CORE, command), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True)
        if self.process.stdout.readline() != "ready\n":
            raise SystemExit("load: not ready: %s" % " ".join(command))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def start(self, seconds=None):
        self.process.stdin.write("run %f\n" % (seconds or SECONDS))
        self.process.stdin.flush()

    def result(self, clean=True):
        got = json.loads(self.process.stdout.readline() or "{}")
        if not got or (clean and (got["errors"] or got["good"] != got["requests"] or got["requests"] == 0)):
            raise SystemExit("load: %s of %s" % (got or "ended", " ".join(self.process.args)))
        return got

    def run(self, seconds=None, clean=True):
        self.start(seconds)
        return self.result(clean)

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def us_per_request(server, load, seconds=None):
    before = server.cpu_ns()
    got = load.run(seconds)
    return (server.cpu_ns() - before) / got["requests"] / 1000


def interleaved(pairs, rounds=None, seconds=None):
    """{name: (server, load)} -> {name: [µs a request, one a round]}: a round of each in turn, so that what else the
    machine does falls on all alike."""
    samples = {name: [] for name in pairs}
    for _ in range(rounds or ROUNDS):
        for name, (server, load) in pairs.items():
            samples[name].append(us_per_request(server, load, seconds))
    return samples
