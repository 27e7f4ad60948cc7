"""Reads Prometheus' text format, version 0.0.4, strictly: what a scraper would refuse, or take for something else, raises.

    m = scrape(port)                                          # -> Metrics
    m["bff_verify_requests_total", {"route": "crm"}]          # the sum of the series that have these labels
    m.series("bff_denials_total")                             # -> {(("reason", "tag"),): 3.0, ...}
"""
import re

import browser

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(,|$)')
_SAMPLE = re.compile(r"(%s)(?:\{(.*)\})? (-?[0-9]+(?:\.[0-9]+)?)" % _NAME)
_SUFFIXES = ("_bucket", "_sum", "_count")


def _labels(text):
    at, found = 0, []
    while at < len(text):
        one = _LABEL.match(text, at)
        if not one:
            raise ValueError("labels: " + text)
        found.append((one[1], re.sub(r"\\(.)", r"\1", one[2])))
        at = one.end()
    if text.endswith(","):
        raise ValueError("labels end with a comma: " + text)
    if len({name for name, _ in found}) != len(found):
        raise ValueError("a label twice: " + text)
    return tuple(sorted(found))


class Metrics:
    def __init__(self, text):
        if not text.endswith("\n") or "\r" in text:
            raise ValueError("not whole lines")
        self.text, self.types, self.help, self.samples = text, {}, {}, {}
        family = None
        for line in text[:-1].split("\n"):
            head = re.fullmatch(r"# (HELP|TYPE) (%s) (.+)" % _NAME, line)
            if head and head[1] == "HELP":
                family = head[2]
                if family in self.help:
                    raise ValueError("%s is in two places" % family)
                self.help[family] = head[3]
            elif head:
                if head[2] != family or head[3] not in ("counter", "gauge", "histogram"):
                    raise ValueError(line)
                self.types[family] = head[3]
            else:
                self._sample(line, family)
        for name, kind in self.types.items():
            if kind == "histogram":
                self._histogram(name)
            if (kind == "counter") != name.endswith("_total"):
                raise ValueError("%s is a %s" % (name, kind))

    def _sample(self, line, family):
        found = _SAMPLE.fullmatch(line)
        if not found or family not in self.types:
            raise ValueError(line)
        name, labels, value = found[1], _labels(found[2] or ""), float(found[3])
        if self.types[family] == "histogram":
            if name not in [family + suffix for suffix in _SUFFIXES]:
                raise ValueError(line)
        elif name != family:
            raise ValueError(line)
        if (name, labels) in self.samples:
            raise ValueError("twice: " + line)
        if value < 0 and self.types[family] != "gauge":
            raise ValueError(line)
        self.samples[name, labels] = value

    def _histogram(self, name):
        buckets = {}
        for labels, value in self.series(name + "_bucket").items():
            rest = tuple(x for x in labels if x[0] != "le")
            buckets.setdefault(rest, []).append((float(dict(labels)["le"].replace("+Inf", "inf")), value))
        for labels, values in buckets.items():
            values.sort()
            counts = [v for _, v in values]
            if counts != sorted(counts) or values[-1][0] != float("inf"):
                raise ValueError("%s: %r" % (name, values))
            if self.samples[name + "_count", labels] != counts[-1]:
                raise ValueError("%s: the count is not that of +Inf" % name)
            if (self.samples[name + "_sum", labels] > 0) > (counts[-1] > 0):
                raise ValueError("%s: a sum of nothing" % name)

    def series(self, name):
        return {labels: value for (n, labels), value in self.samples.items() if n == name}

    def __getitem__(self, what):
        name, labels = what if isinstance(what, tuple) else (what, {})
        if not any(name.startswith(family) for family in self.types):
            raise KeyError(name)
        return sum(v for have, v in self.series(name).items() if set(labels.items()) <= set(have))


def scrape(port):
    answer = browser.raw(port, "GET", "/metrics", [("Host", "metrics")])
    if answer.status != 200 or answer.header("Content-Type") != "text/plain; version=0.0.4; charset=utf-8":
        raise ValueError("%r %r" % (answer, answer.headers))
    return Metrics(answer.body.decode() if isinstance(answer.body, bytes) else answer.body)
