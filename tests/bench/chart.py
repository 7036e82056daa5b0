#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""chart.py RESULTS.jsonl DIRECTORY   -- the last rows of each kind as charts (SVG), for docs/PERFORMANCE.md

    throughput.svg  messages a second for each relay cell, peers side by side
    cpu.svg         CPU of the whole system a message, the same cells
    latency.svg     time from connect to 250 against sessions (median and 99th percentile)
    recovery.svg    start to first delivery, and to everything known, against the length of the queue
A chart whose rows are missing is not drawn."""
import collections, json, math, os, re, sys
from html import escape

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 900, 380, 70, 20, 60, 60
COLOURS = {"postroad": "#1b6ca8", "postfix:tuned": "#d1495b", "postfix": "#edae49", "haraka": "#7d5ba6", "exim": "#8d96a3", "opensmtpd": "#66a182"}
OTHERS = ["#2e4057", "#b56576", "#355070"]


def name_of(row):
    profile = row.get("profile", "default")
    return row["peer"] + ("" if profile in ("default", "") else f":{profile}")


def colour(name, names):
    return COLOURS.get(name) or COLOURS.get(name.partition(":")[0]) or OTHERS[sorted(set(names) - set(COLOURS)).index(name) % len(OTHERS)]


def last_rows(path):
    """The newest row of each group, peer and cell; older ones are of other builds."""
    rows = {}
    with open(path) as f:
        for line in f:
            r = json.loads(line)
            if "group" in r and "peer" in r:
                rows[r["group"], name_of(r), str(r.get("args", r.get("n", "")))] = r
    return list(rows.values())


def cell(args):
    """Bytes, whether connections are kept, and sessions, from the source's own arguments; None: not a plain cell."""
    m = re.fullmatch(r"-s (\d+)( -M 0)? -l (\d+)", str(args))
    return m and (int(m[3]), bool(m[2]), int(m[1]))


def size_text(n):
    return f"{n >> 20} MB" if n >= 1 << 20 else f"{n >> 10} KB"


def number(v):
    return f"{v:.0f}" if v >= 100 else f"{v:.1f}" if v >= 10 else f"{v:.2f}" if v >= 0.1 else f"{v:.3f}"


def order(name):
    return (list(COLOURS) + [name.partition(":")[0]]).index(name if name in COLOURS else name.partition(":")[0])


def shown(rows):
    """Beside each other stand what is shipped and the peers at their best; Postfix as it is shipped, too."""
    names = {name_of(r) for r in rows}
    return [r for r in rows if r.get("profile") != "nosync" and (name_of(r) == "postfix" or name_of(r) + ":tuned" not in names)]


class Chart:
    """A page with axes; y is logarithmic, since what is compared differs by factors."""

    def __init__(self, title, unit, names, low, high):
        self.low, self.high = 10 ** math.floor(math.log10(low)), 10 ** math.ceil(math.log10(high))
        if self.low == self.high:
            self.high *= 10
        self.out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
                    f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>']
        self.text(LEFT, 20, title, size=15, weight="bold")
        self.text(LEFT, 38, unit, fill="#555")
        x = WIDTH - RIGHT
        for name in reversed(names):
            x -= 8 * len(name)
            self.text(x, 20, name)
            x -= 16
            self.out.append(f'<rect x="{x}" y="10" width="11" height="11" fill="{colour(name, names)}"/>')
            x -= 14
        v = self.low
        while v <= self.high * 1.0001:
            self.out.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{self.y(v):.1f}" y2="{self.y(v):.1f}" stroke="#ddd"/>')
            self.text(LEFT - 6, self.y(v) + 4, f"{v:g}", anchor="end", fill="#555")
            v *= 10

    def y(self, v):
        span = math.log10(self.high) - math.log10(self.low)
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (math.log10(max(v, self.low)) - math.log10(self.low)) / span

    def text(self, x, y, s, size=12, anchor="start", fill="#111", weight="normal"):
        self.out.append(f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{fill}" font-weight="{weight}">{escape(s)}</text>')

    def write(self, path):
        with open(path, "w") as f:
            f.write("\n".join(self.out + ["</svg>"]) + "\n")
        print(path)


def bars(rows, key, title, unit, path):
    table = {(cell(r["args"]), name_of(r)): r[key] for r in shown(rows) if r["group"] == "relay" and cell(r["args"]) and r.get(key)}
    if not table:
        return
    # The cells that most peers were measured in; the others would be bars of one colour.
    peers = collections.Counter(place for place, _ in table)
    table = {k: v for k, v in table.items() if peers[k[0]] == max(peers.values())}
    cells = sorted({c for c, _ in table})
    names = sorted({n for _, n in table}, key=order)
    c = Chart(title, unit, names, min(table.values()), max(table.values()))
    room = (WIDTH - LEFT - RIGHT) / len(cells)
    bar = room * 0.8 / len(names)
    for i, place in enumerate(cells):
        x = LEFT + i * room + room * 0.1
        for n in names:
            v = table.get((place, n))
            if v:
                c.out.append(f'<rect x="{x:.1f}" y="{c.y(v):.1f}" width="{bar:.1f}" height="{HEIGHT - BOTTOM - c.y(v):.1f}" fill="{colour(n, names)}"><title>{escape(n)}: {number(v)}</title></rect>')
                if n == names[0]:
                    c.text(x + bar / 2, c.y(v) - 4, number(v), size=10, anchor="middle")
            x += bar
        middle = LEFT + (i + 0.5) * room
        c.text(middle, HEIGHT - BOTTOM + 16, size_text(place[0]), size=11, anchor="middle")
        c.text(middle, HEIGHT - BOTTOM + 30, f"{place[2]} sess.", size=11, anchor="middle")
        if place[1]:
            c.text(middle, HEIGHT - BOTTOM + 44, "kept", size=11, anchor="middle")
    c.write(path)


def lines(series, title, unit, axis, path):
    """series: {(name, dash): [(x, y), ...]}"""
    most = max((len(v) for v in series.values()), default=0)
    series = {k: sorted(v) for k, v in series.items() if len(v) * 2 > most}
    if not series:
        return
    names = sorted({n for n, _ in series}, key=order)
    values = [y for v in series.values() for _, y in v]
    places = sorted({x for v in series.values() for x, _ in v})
    c = Chart(title, unit, names, min(values), max(values))
    room = (WIDTH - LEFT - RIGHT) / len(places)
    for (name, dash), points in series.items():
        at = [(LEFT + (places.index(x) + 0.5) * room, c.y(y)) for x, y in points]
        c.out.append(f'<polyline fill="none" stroke="{colour(name, names)}" stroke-width="2" stroke-dasharray="{dash}" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in at)}"/>')
        for (x, y), (_, v) in zip(at, points):
            c.out.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour(name, names)}"/>')
            if len(names) < 4 or order(name) < 2:                      # more would lie on each other
                c.text(x + 5, y - 5, number(v), size=10)
    for i, x in enumerate(places):
        c.text(LEFT + (i + 0.5) * room, HEIGHT - BOTTOM + 18, f"{x:,}", anchor="middle")
    c.text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - BOTTOM + 40, axis, anchor="middle", fill="#555")
    c.write(path)


def latency(rows, path):
    series = {}
    for r in shown(rows):
        place = r["group"] == "relay" and cell(r["args"])
        if place and place[0] == 2048 and not place[1]:
            for key, dash in (("p50", "none"), ("p99", "5 4")):
                if r.get(key):
                    series.setdefault((name_of(r), dash), []).append((place[2], r[key]))
    lines(series, "Latency", "ms from connect to 250, 2 KB (dashed: 99th percentile; logarithmic)", "sessions", path)


def recovery(rows, path):
    series = {}
    for r in rows:
        for key, dash in (("first_s", "none"), ("rebuilt_s", "5 4")):
            if r["group"] == "queue" and r.get(key):
                series.setdefault((name_of(r), dash), []).append((int(r["n"]), r[key]))
    lines(series, "Recovery", "seconds from start to first delivery (dashed: until all is known; logarithmic)", "messages in the queue", path)


def main():
    rows, to = last_rows(sys.argv[1]), sys.argv[2]
    os.makedirs(to, exist_ok=True)
    bars(rows, "rate", "Throughput", "messages a second, accepted and delivered (logarithmic)", f"{to}/throughput.svg")
    bars(rows, "cpu_ms", "CPU a message", "ms of the whole system under test (logarithmic)", f"{to}/cpu.svg")
    latency(rows, f"{to}/latency.svg")
    recovery(rows, f"{to}/recovery.svg")


if __name__ == "__main__":
    main()
