#!/usr/bin/python3
"""conformance_table - README.md lists the rows of tests/integration/test_conformance.py, no more and no fewer

    tests/lint/conformance_table.py --write       brings README.md up to date
"""
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
README = os.path.join(ROOT, "README.md")
BETWEEN = re.compile(r"(?<=<!-- conformance -->\n).*?(?=<!-- /conformance -->)", re.S)


def table():
    sys.dont_write_bytecode = True
    sys.path[:0] = [os.path.join(ROOT, "tests", d) for d in ("integration", "lib")]
    from test_conformance import ROWS  # pylint: disable=import-outside-toplevel
    plans = {}
    for row in ROWS:
        title = row.plan + (" (%s)" % row.variant if row.variant else "")
        prefix, outcomes = plans.setdefault(title, (row.prefix, {}))
        name = row.name[len(prefix):] or prefix
        outcomes.setdefault(row.expect.told, []).append("`%s`" % name)
    for title, (prefix, outcomes) in plans.items():
        yield "* **%s**%s: %s\n" % (title, prefix and ", `%s…`" % prefix, "; ".join(
            "%s: %s" % (told, ", ".join(names)) for told, names in outcomes.items()))


def main(arguments):
    with open(README, encoding="utf-8") as f:
        text = f.read()
    if len(BETWEEN.findall(text)) != 1:
        print("conformance_table: README.md has no place for the table")
        return 1
    want = BETWEEN.sub(lambda _: "".join(table()), text)
    if arguments == ["--write"]:
        with open(README, "w", encoding="utf-8") as f:
            f.write(want)
    elif want != text:
        print("conformance_table: README.md differs from the rows; run tests/lint/conformance_table.py --write")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
