#!/usr/bin/python3
"""presets - every preset is tested, against the real program or in a scripted dialect, and README.md says which

    tests/lint/presets.py --write       brings README.md up to date
"""
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
README = os.path.join(ROOT, "README.md")
BETWEEN = re.compile(r"(?<=<!-- presets -->\n).*?(?=<!-- /presets -->)", re.S)
# Preset, and a test of the program whose configuration names it.
REAL = {"oidc-provider": "tests/lib/stack.py", "keycloak": "tests/integration/test_keycloak.py"}
# No product: the conformance suite's modules are what it must stand.
SUITE = {"generic": "tests/integration/test_conformance.py"}


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as f:
        return f.read()


def main(arguments):
    sys.dont_write_bytecode = True
    sys.path[:0] = [os.path.join(ROOT, "tests", "lib")]
    import dialects  # pylint: disable=import-outside-toplevel
    from dialect import presets  # pylint: disable=import-outside-toplevel
    words, scripted = set(presets()), {kind.word for kind in dialects.ALL}
    wrong = ["%s: neither a real program nor a dialect" % w for w in words - scripted - set(REAL) - set(SUITE)]
    wrong += ["%s: no preset" % w for w in (scripted | set(REAL) | set(SUITE)) - words]
    wrong += ["%s: not in %s" % (word, path) for word, path in REAL.items()
              if not re.search(r"^ *preset += %s$" % word, read(path), re.M)]
    # generic is the default; a provider section that names a preset would be tested as that.
    wrong += ["%s: %s names a preset" % (word, path) for word, path in SUITE.items()
              if re.search(r"^ *preset += ", read(path), re.M)]
    text = read("README.md")
    if len(BETWEEN.findall(text)) != 1:
        wrong.append("README.md has no place for them")
    want = BETWEEN.sub(lambda _: "* against the real program: %s\n* against the conformance suite's modules: %s\n"
                       "* against a scripted dialect: %s\n" % tuple(
                           ", ".join("`%s`" % w for w in sorted(part)) for part in (REAL, SUITE, scripted)), text)
    if arguments == ["--write"]:
        with open(README, "w", encoding="utf-8") as f:
            f.write(want)
    elif want != text:
        wrong.append("README.md differs; run tests/lint/presets.py --write")
    for what in sorted(wrong):
        print("presets: " + what)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
