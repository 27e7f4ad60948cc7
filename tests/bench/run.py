#!/usr/bin/python3
"""Runs the parts of the bench that are named, or all.

    make bench [BENCH="verify memory"] [BENCH_SECONDS=2] [BENCH_ROUNDS=3]

Each part is a program of its own, bench_NAME.py, and says in its head what it measures and what can be set; prints a
line a measure (see figures.py); and is ended after PART_LIMIT_S. The last line counts. What is over its budget is no
failure of the bench; a part that ends without its figures is.
"""
import json
import os
import subprocess
import sys

from figures import FOLDER

HERE = os.path.dirname(os.path.abspath(__file__))
PARTS = ("verify", "scale", "memory", "peers", "edges", "revocation", "reload", "flood", "events", "broker")
PART_LIMIT_S = 480


def run(part):
    """The measures of a part, or None."""
    print("== %s" % part, flush=True)
    written = os.path.join(FOLDER, part + ".json")
    if os.path.exists(written):
        os.unlink(written)
    try:
        ran = subprocess.run([os.path.join(HERE, "bench_%s.py" % part)], timeout=PART_LIMIT_S, check=False)
    except subprocess.TimeoutExpired:
        print("%s took more than %d s" % (part, PART_LIMIT_S))
        return None
    if ran.returncode != 0 or not os.path.exists(written):
        print("%s ended with %d" % (part, ran.returncode))
        return None
    with open(written, encoding="ascii") as f:
        return json.load(f)["measures"]


def main(wanted):
    there = [p for p in PARTS if os.path.exists(os.path.join(HERE, "bench_%s.py" % p))]
    unknown = set(wanted) - set(there)
    if unknown:
        raise SystemExit("no part %s; there are: %s" % (" ".join(sorted(unknown)), " ".join(there)))
    found = [run(part) for part in wanted or there]
    measures = [m for part in found if part for m in part.values()]
    over = [m for m in measures if not m["ok"]]
    print("%d measures, %d over budget, %d parts failed" % (len(measures), len(over), found.count(None)))
    return 1 if None in found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
