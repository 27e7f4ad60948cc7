#!/usr/bin/python3
"""metrics - what speaks of metrics speaks of those there are: the dashboard, the alerts and the manual, by common/metrics.def

    tests/lint/metrics.py --write       brings the manual up to date

Names follow the conventions (a counter ends in _total, a duration in _seconds, units are base units), and every metric stands in the
dashboard once at least, with no label that it does not have.
"""
import json
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MANUAL, DASHBOARD, RULES = "worker/bff-worker.8", "etc/grafana/bff.json", "etc/prometheus/bff.rules.yml"
BETWEEN = re.compile(r'(?<=\.\\" metrics\n).*?(?=\.\\" /metrics\n)', re.S)
ANY_LABELS = {"job", "instance", "version"}  # of the scraper; version is that of bff_build_info
SUFFIXES = ("_bucket", "_sum", "_count")


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as f:
        return f.read()


def table():
    """[(name, kind, who, [labels as shown], help)] of metrics.def, and the labels' names of metrics.h."""
    header = re.sub(r"\\\n", " ", read("common/metrics.h"))
    shown = dict(re.findall(r'WORDS\((\w+), "(\w*)"\)', header[header.index("#define METRICS_LABELS"):]))
    shown.update({"route": "route", "rule": "route rule", "listen": "listen", "provider": "provider"})
    text = re.sub(r"/\*.*?\*/", "", read("common/metrics.def"), flags=re.S)
    rows = re.findall(r'METRIC\(\s*(\w+),\s*"(\w+)",\s*(\w+),\s*(\w+),\s*(\w+),\s*(\w+),\s*(\w+),\s*((?:"(?:[^"\\]|\\.)*"\s*)+)\)', text)
    assert len(rows) == text.count("METRIC("), "metrics.def is not read whole"
    for _, name, kind, who, *labels, told in rows:
        told = "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', told)).replace('\\"', '"')
        yield name, kind, who, [x for label in labels if label != "NONE" for x in shown[label].split()], told


def names_of(rows):
    bad, seen = [], set()
    for name, kind, _, _, told in rows:
        if name in seen:
            bad.append("%s: twice" % name)
        seen.add(name)
        if kind.startswith("COUNTER") != name.endswith("_total"):
            bad.append("%s: a counter, and only a counter, ends in _total" % name)
        if kind == "HISTOGRAM" and not name.endswith("_seconds"):
            bad.append("%s: durations are in seconds" % name)
        if re.search(r"_(ms|us|milliseconds|kb|kib|mb)(_|$)", name):
            bad.append("%s: not a base unit" % name)
        if told.endswith(".") or "\n" in told:
            bad.append("%s: the help is one sentence without its full stop" % name)
    return bad


def used(rows, where, text):
    """What an expression names; and the labels it asks for."""
    by_name = {name: (kind, labels) for name, kind, _, labels, _ in rows}
    bad, found = [], set()
    for word, selector in re.findall(r"\b(bff_\w+)(?:\{([^}]*)\})?", text):
        suffix = next((s for s in SUFFIXES if word.endswith(s) and word[:-len(s)] in by_name), "")
        name = word[:-len(suffix)] if suffix else word
        if name not in by_name or (suffix != "") != (by_name[name][0] == "HISTOGRAM"):
            bad.append("%s: there is no %s" % (where, word))
            continue
        found.add(name)
        for label in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selector):
            if label not in ANY_LABELS and label not in by_name[name][1]:
                bad.append("%s: %s has no label %s" % (where, name, label))
    known = {label for name in found for label in by_name[name][1]} | ANY_LABELS | {"le"}
    for group in re.findall(r"\bby \(([^)]*)\)", text):
        bad += ["%s: by (%s)" % (where, g) for g in re.split(r",\s*", group) if g not in known]
    return bad, found


def dashboard(rows):
    bad, found, ids = [], set(), []
    for panel in json.loads(read(DASHBOARD))["panels"]:
        ids.append(panel["id"])
        for target in panel.get("targets", []):
            wrong, names = used(rows, "%s: %s" % (DASHBOARD, panel["title"]), target["expr"])
            bad, found = bad + wrong, found | names
    if len(set(ids)) != len(ids):
        bad.append("%s: two panels of one id" % DASHBOARD)
    return bad + ["%s: %s is not shown" % (DASHBOARD, name) for name, *_ in rows if name not in found]


def rules(rows):
    text = read(RULES)
    exprs = re.findall(r"^ +expr: (?:>-\n((?: {10}.*\n)+)|(.*)\n)", text, re.M)
    bad = [] if len(exprs) == text.count("- alert: ") > 0 else ["%s: not as many expressions as alerts" % RULES]
    for a, b in exprs:
        bad += used(rows, RULES, a or b)[0]
    return bad


def manual(rows):
    out = []
    for name, kind, who, labels, told in rows:
        out.append(".TP\n.B %s\n" % name.replace("-", "\\-"))
        if labels:
            out.append("(%s)\n" % ", ".join(labels))
        out.append(told[0].upper() + told[1:].replace("\\", "\\\\") + (", of all workers" if who == "WORKER" and
                                                                       kind == "GAUGE" else "") + ".\n")
    return "".join(out)


def main(arguments):
    rows = list(table())
    bad = names_of(rows) + dashboard(rows) + rules(rows)
    text = read(MANUAL)
    if len(BETWEEN.findall(text)) != 1:
        bad.append("%s has no place for them" % MANUAL)
    want = BETWEEN.sub(lambda _: manual(rows), text)
    if arguments == ["--write"]:
        with open(os.path.join(ROOT, MANUAL), "w", encoding="utf-8") as f:
            f.write(want)
    elif want != text:
        bad.append("%s differs; run tests/lint/metrics.py --write" % MANUAL)
    for what in bad:
        print("metrics: " + what)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
