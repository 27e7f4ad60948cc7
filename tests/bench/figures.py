"""What a part of the bench has found: a line a measure, JSON, and plots.

    figures = Figures("verify")
    figures.measure("verify_cached_cpu", samples, "us", most=14.2)   # one value, or one a round: the median counts
    figures.write(program=BIN)                                       # build/bench/verify.json

A line has six words or more: name, value, unit, budget (`-`: none), `ok` or `over`, and the spread in brackets.
LINE parses it. plot() writes an SVG of lines over a logarithmic x axis.
"""
import json
import math
import os
import re
import statistics
import subprocess
from xml.sax.saxutils import escape

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FOLDER = os.environ.get("BENCH_DIR", os.path.join(ROOT, "build", "bench"))
LINE = re.compile(r"^(?P<name>[a-z0-9_]+) +(?P<value>-?[0-9.]+) (?P<unit>\S+) +budget (?P<budget>-|-?[0-9.]+) "
                  r"(?P<verdict>ok|over)(?: \((?P<low>-?[0-9.]+) to (?P<high>-?[0-9.]+)\))?$")
COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd")
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 320, 56, 36, 40, 48


def plain(value):
    """Three digits that say something, and no exponent; a whole number as it is."""
    if isinstance(value, int):
        return str(value)
    if value == int(value) or abs(value) >= 99.5:
        return "%d" % float("%.3g" % value)
    return ("%.3g" if abs(value) >= 0.01 else "%.4f") % value


def machine():
    """What the figures were had on: without it they say nothing."""
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        model = re.search(r"model name\s*: (.*)", f.read())
    commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL, text=True, check=False).stdout.strip()
    return {"cpu": model.group(1) if model else os.uname().machine, "cores": os.cpu_count(),
            "kernel": os.uname().release, "load": round(os.getloadavg()[0], 1), "commit": commit}


class Figures:
    def __init__(self, part):
        self.part, self.measures, self.machine = part, {}, machine()

    def measure(self, name, samples, unit, most=None, least=None):
        """`most` or `least` is the budget. Returns the median."""
        samples = list(samples) if isinstance(samples, (list, tuple)) else [samples]
        value = statistics.median(samples)
        over = (most is not None and value > most) or (least is not None and value < least)
        budget = least if most is None else most
        self.measures[name] = {"value": value, "unit": unit, "budget": budget, "ok": not over, "samples": samples}
        print("%-38s %9s %-10s budget %s %s%s" % (
            name, plain(value), unit, "-" if budget is None else plain(budget), "over" if over else "ok",
            " (%s to %s)" % (plain(min(samples)), plain(max(samples))) if len(samples) > 1 else ""), flush=True)
        return value

    def value(self, name):
        return self.measures[name]["value"]

    def write(self, program, **more):
        os.makedirs(FOLDER, exist_ok=True)
        path = os.path.join(FOLDER, self.part + ".json")
        with open(path, "w", encoding="ascii") as f:
            json.dump({"part": self.part, "machine": self.machine, "measures": self.measures, **more,
                       "program": os.path.relpath(program, ROOT)}, f, indent=1)
            f.write("\n")
        return path


def _text(x, y, text, anchor="middle", more=""):
    return '<text x="%.1f" y="%.1f" text-anchor="%s"%s>%s</text>' % (x, y, anchor, more, escape(text))


def _step(top):
    """The distance of some five lines up to `top`: 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(top / 5))
    return next(power * n for n in (1, 2, 5, 10) if power * n * 5 >= top)


def plot(name, title, x_label, y_label, lines):
    """lines: {label: [(x, y)]}, every x > 0. Writes NAME.svg, whose y axis begins at zero."""
    xs = sorted({x for points in lines.values() for x, _ in points})
    top = max(y for points in lines.values() for _, y in points) * 1.1
    span = math.log10(xs[-1] / xs[0]) or 1

    def place(x, y):
        return (LEFT + (WIDTH - LEFT - RIGHT) * math.log10(x / xs[0]) / span,
                HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * y / top)

    out = ['<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" '
           'font-family="sans-serif" font-size="11">' % (WIDTH, HEIGHT, WIDTH, HEIGHT),
           '<rect width="100%" height="100%" fill="#fff"/>', _text(LEFT, 16, title, "start", ' font-weight="bold"')]
    step = _step(top)
    for n in range(int(top / step) + 1):
        _, y = place(xs[0], n * step)
        out.append('<line x1="%d" y1="%.1f" x2="%d" y2="%.1f" stroke="#ddd"/>' % (LEFT, y, WIDTH - RIGHT, y))
        out.append(_text(LEFT - 6, y + 4, "%g" % (n * step), "end"))
    for x in xs:
        out.append(_text(place(x, 0)[0], HEIGHT - BOTTOM + 16, "{:,}".format(x)))
    out.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, x_label))
    out.append(_text(14, HEIGHT / 2, y_label, "middle", ' transform="rotate(-90 14 %d)"' % (HEIGHT / 2)))
    for n, (label, points) in enumerate(lines.items()):
        colour = COLOURS[n % len(COLOURS)]
        out.append('<polyline fill="none" stroke="%s" stroke-width="2" points="%s"/>' % (
            colour, " ".join("%.1f,%.1f" % place(x, y) for x, y in sorted(points))))
        out += ['<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>' % (*place(x, y), colour) for x, y in points]
        out.append('<rect x="%d" y="22" width="10" height="10" fill="%s"/>' % (LEFT + n * 140, colour))
        out.append(_text(LEFT + n * 140 + 15, 31, label, "start"))
    os.makedirs(FOLDER, exist_ok=True)
    path = os.path.join(FOLDER, name + ".svg")
    with open(path, "w", encoding="utf-8") as f:
        f.write("\n".join(out) + "\n</svg>\n")
    return path
