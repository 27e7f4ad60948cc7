#!/usr/bin/python3
"""Runs every suite and ends with one line for all of them: `N passed, N failed`.

    make test                 everything
    make check                without the browser

Builds with gcc and clang (warnings are errors) and with ASan and UBSan; unit tests, the stored corpora of the fuzz targets and
the integration tests run on the sanitized programs. A suite that does not build or ends without saying how many
tests it ran counts as a failure.
"""
import glob
import os
import re
import subprocess
import sys
import time
import xml.etree.ElementTree

import cache

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
JOBS = str(os.cpu_count() or 1)
PYTEST_LIMIT_S = 3600


class Tally:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def add(self, name, passed, failed, skipped=0, output="", started=None):
        if passed + failed + skipped == 0:
            failed, output = 1, output + "\n(no test ran)"
        self.passed, self.failed, self.skipped = (self.passed + passed, self.failed + failed,
                                                  self.skipped + skipped)
        took = "" if started is None else " (%.0f s)" % (time.monotonic() - started)
        if failed:
            print(output)
        print("%-44s %4d passed %3d failed %3d skipped%s" % (name, passed, failed, skipped, took), flush=True)


def run(command, **more):
    return subprocess.run(command, cwd=ROOT, text=True, errors="replace", stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, **more)


def build(tally, variant, *targets):
    started = time.monotonic()
    ran = run(["make", "--no-print-directory", "-k", "-j" + JOBS, "VARIANT=" + variant, *targets])
    ok = ran.returncode == 0
    tally.add("build %s" % variant, ok, not ok, output=ran.stdout, started=started)


def unit(tally):
    for source in sorted(glob.glob(os.path.join(ROOT, "tests/unit/*/test_*.c"))):
        name = os.path.relpath(source, os.path.join(ROOT, "tests/unit"))[:-2]
        program = os.path.join(ROOT, "build/asan/unit", name)
        if not os.path.exists(program):
            tally.add("unit " + name, 0, 1, output="not built")
            continue
        ran = run([program])
        passed = sum(int(n) for n in re.findall(r"\[  PASSED  \] (\d+) test", ran.stdout))
        failed = sum(int(n) for n in re.findall(r"\[  FAILED  \] (\d+) test", ran.stdout))
        skipped = sum(int(n) for n in re.findall(r"\[  SKIPPED \] (\d+) test", ran.stdout))
        if ran.returncode != 0 and failed == 0:
            failed = 1
        tally.add("unit " + name, passed, failed, skipped, ran.stdout)


def replay(tally):
    for source in sorted(glob.glob(os.path.join(ROOT, "tests/fuzz/fuzz_*.c"))):
        name = os.path.basename(source)[len("fuzz_"):-2]
        files = sorted(glob.glob(os.path.join(ROOT, "tests/fuzz/corpus", name, "*")))
        program = os.path.join(ROOT, "build/asan/replay", name)
        if not os.path.exists(program) or not files:
            tally.add("corpus " + name, 0, 1, output="not built, or no corpus")
            continue
        ran = run([program, *files])
        found = re.search(r"^(\d+) passed, (\d+) failed$", ran.stdout, re.M)
        passed, failed = (int(n) for n in found.groups()) if found else (0, 1)
        if ran.returncode != 0 and failed == 0:
            failed = 1
        tally.add("corpus " + name, passed, failed, output=ran.stdout)


def lint(tally):
    for program in sorted(glob.glob(os.path.join(ROOT, "tests/lint/*"))):
        if os.access(program, os.X_OK) and os.path.isfile(program):
            ran = run([program])
            ok = ran.returncode == 0
            tally.add("lint " + os.path.basename(program), ok, not ok, output=ran.stdout)


def pytest(tally, *folders):
    started = time.monotonic()
    report = os.path.join(ROOT, "build", "pytest.xml")
    if os.path.exists(report):
        os.unlink(report)
    environment = dict(os.environ, BFF_BIN=os.path.join(ROOT, "build/asan"), PYTHONDONTWRITEBYTECODE="1")
    ran = subprocess.run(["/usr/bin/python3", "-m", "pytest", "-p", "no:cacheprovider", "-q", "-rs", "--tb=short",
                          "--durations=10", "--junit-xml=" + report, *folders], cwd=ROOT, env=environment,
                         stdin=subprocess.DEVNULL, timeout=PYTEST_LIMIT_S)
    if not os.path.exists(report):
        tally.add("pytest", 0, 1, output="no report", started=started)
        return
    suite = xml.etree.ElementTree.parse(report).getroot().find("testsuite")
    total, skipped = int(suite.get("tests")), int(suite.get("skipped"))
    failed = int(suite.get("failures")) + int(suite.get("errors"))
    if ran.returncode != 0 and failed == 0:
        failed = 1
    tally.add("pytest " + " ".join(folders), total - failed - skipped, failed, skipped, started=started)


def main(arguments):
    quick = arguments == ["quick"]
    tally = Tally()
    names = [os.path.relpath(s, os.path.join(ROOT, "tests/unit"))[:-2]
             for s in glob.glob(os.path.join(ROOT, "tests/unit/*/test_*.c"))]
    fuzz = [os.path.basename(s)[len("fuzz_"):-2] for s in glob.glob(os.path.join(ROOT, "tests/fuzz/fuzz_*.c"))]
    bench = [os.path.basename(s)[:-2] for s in glob.glob(os.path.join(ROOT, "tests/bench/*.c"))]
    build(tally, "gcc", "programs")
    build(tally, "clang", "programs", *["build/clang/unit/" + n for n in names])
    build(tally, "asan", "programs", *["build/asan/unit/" + n for n in names],
          *["build/asan/replay/" + n for n in fuzz], *["build/asan/bench/" + n for n in bench])
    lint(tally)
    unit(tally)
    replay(tally)
    cache.fetch()  # here, since pytest shows nothing of what it says
    pytest(tally, "tests/integration", *([] if quick else ["tests/e2e"]))
    line = "%d passed, %d failed" % (tally.passed, tally.failed)
    print(line + (", %d skipped" % tally.skipped if tally.skipped else ""), flush=True)
    return 1 if tally.failed or tally.passed == 0 else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
