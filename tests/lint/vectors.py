#!/usr/bin/python3
"""vectors - each test that tests/integration/test_vectors.py names under ELSEWHERE is there"""
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def is_there(place):
    """FILE::NAME, a Python test or one that a cmocka program runs; or a lint, which is a program."""
    path, _, name = place.partition("::")
    path = os.path.join(ROOT, path)
    if not name:
        return os.path.isfile(path) and os.access(path, os.X_OK)
    if not os.path.isfile(path):
        return False
    with open(path, encoding="utf-8") as f:
        text = f.read()
    if path.endswith(".py"):
        return re.search(r"^def %s\(" % name, text, re.M) is not None
    return re.search(r"^\s+(cmocka_unit_test\w*|\w+)\(%s\b" % name, text, re.M) is not None


def main():
    sys.dont_write_bytecode = True
    sys.path[:0] = [os.path.join(ROOT, "tests", d) for d in ("integration", "lib")]
    from test_vectors import ELSEWHERE  # pylint: disable=import-outside-toplevel
    wrong = ["%s: no %s" % item for item in sorted(ELSEWHERE.items()) if not is_there(item[1])]
    for what in wrong:
        print("vectors: " + what)
    return 1 if wrong or not ELSEWHERE else 0


if __name__ == "__main__":
    sys.exit(main())
