#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""
report.py [--check] -- makes tables and plots of the benchmark's output

The runs are 1.json, 2.json, ... beside this file, each made by

    build/tests/bench/bench --json doc/performance/1.json

The tables go into doc/performance.md and README.md, between the lines that
name them. The plots go into doc/figures, and need Matplotlib
(python3-matplotlib). Each figure is the median of the runs. --check only checks
that the tables are up to date.
"""

import json
import pathlib
import re
import statistics
import sys

HERE = pathlib.Path(__file__).resolve().parent
PAGE = HERE.parent / "performance.md"
README = HERE.parent.parent / "README.md"
FIGURES = HERE.parent / "figures"


def runs_in(folder):
    return [json.loads(f.read_text()) for f in sorted(folder.glob("[0-9].json"))]


RUNS = runs_in(HERE)
XEON = runs_in(HERE / "xeon")  # the second machine

# Columns of the sweep: what the benchmark calls them, what readers see.
WAYS = {
    "memcpy": "memcpy",
    "N spin": "N spinning threads",
    "threads": "threads mover",
    "sync": "synchronous mover",
    "N threads": "N threads",
    "libuv": "libuv",
    "GLib": "GLib",
    "OpenMP": "OpenMP",
}

# Those that share the work out among threads by themselves.
POOLS = ("threads", "N threads", "libuv", "GLib", "OpenMP")


def shown(v):
    return f"{v:.3g}" if abs(v) < 1000 else f"{v:,.0f}"


def time(ns):
    for unit in ("ns", "us", "ms"):
        if ns < 1000 or unit == "ms":
            return f"{shown(ns)} {unit}"
        ns /= 1000


def size(n):
    for unit in ("B", "KiB", "MiB"):
        if n < 1024 or unit == "MiB":
            return f"{n:.0f} {unit}"
        n /= 1024


def is_number(cell):
    return re.fullmatch(r"\**-?[\d.,]+( \S+)?\**|never|", cell.strip())


def table(head, rows):
    """Columns of numbers are aligned on the right."""
    marks = ["---:" if all(map(is_number, column)) else "---"
             for column in zip(*rows)]
    lines = [head, marks] + rows
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def machine(all_runs=RUNS):
    m, b = all_runs[0]["machine"], all_runs[0]["build"]
    noise = max(run["cpu_share_of_others"] or 0 for run in all_runs)
    return (
        f"{m['cpu']}, {m['cpus']} CPUs ({m['architecture']}), {m['system']}; "
        f"{b['compiler']}, {b['build_type']}; libminiasync {b['library']}, "
        f"libuv {b['libuv']}, GLib {b['glib']}, OpenMP {b['openmp']} "
        f"(libgomp). {len(all_runs)} runs; other "
        f"programs had at most {noise * 100:.1f} % of the CPUs.\n"
    )


def rows(all_runs=RUNS):
    """Every row of the runs, by section and name, in the order of the first.

    The name of a worst case says which it was, so it may change: up to there.
    """
    found = {}
    for run in all_runs:
        for row in run["rows"]:
            key = row["section"], row["what"].split(":")[0]
            if "threads:" in row["what"]:
                key = row["section"], row["what"]
            found.setdefault(key, []).append(row)
    return found


def figures_of(row_of_runs):
    return [row["figure"] for row in row_of_runs]


def meets(row, figure):
    if row["relation"] == "<=":
        return figure <= row["target"]
    return figure >= row["target"]


def times(row_of_runs):
    """The times behind a figure, medians, where there are any."""
    return ", ".join(
        f"{name} {time(statistics.median(r[name]['ns'] for r in row_of_runs))}"
        for name, value in row_of_runs[0].items() if isinstance(value, dict))


def targets(all_runs=RUNS):
    """A line for each target, with the times behind the figure."""
    lines = []
    for (section, what), runs in rows(all_runs).items():
        row = runs[0]
        if "target" not in row:
            continue
        figures = figures_of(runs)
        unit = row["unit"]
        met = [meets(row, f) for f in figures]
        verdict = "met" if all(met) else f"missed in {met.count(False)}"
        if not any(met):
            verdict = "missed"
        low, high = shown(min(figures)), shown(max(figures))
        # Of a worst case, which it was: in the run of the median.
        if section.startswith("time of other pools"):
            what = sorted(runs, key=lambda r: r["figure"])[
                len(runs) // 2]["what"]
        lines.append([
            f"{section}: {what}",
            verdict,
            f"{shown(statistics.median(figures))} {unit}",
            f"{'at most' if row['relation'] == '<=' else 'at least'} "
            f"{shown(row['target'])} {unit}",
            low if low == high else f"{low} to {high}",
            times(runs),
        ])
    return table(
        ["what", "verdict", "median", "target", "runs", "times"], lines)


def others():
    """The rows without a target: both times, where there are two."""
    lines = []
    for (section, what), runs in rows().items():
        row = runs[0]
        if "target" in row:
            continue
        lines.append([
            f"{section}: {what}",
            times(runs),
            f"{shown(statistics.median(figures_of(runs)))} {row['unit']}",
        ])
    return table(["what", "times", "figure"], lines)


def sweep_runs():
    """(copies in flight, bytes) -> way -> ns per copy, in each run."""
    points = {}
    for run in RUNS:
        for point in run["sweep"]:
            at = points.setdefault((point["in_flight"], point["bytes"]), {})
            for way in WAYS:
                if way in point:
                    at.setdefault(way, []).append(point[way]["ns"])
    return points


def sweep():
    """The same, medians of the runs."""
    return {
        key: {way: statistics.median(ns) for way, ns in at.items()}
        for key, at in sweep_runs().items()
    }


def sweep_table():
    lines = []
    for (in_flight, n), at in sweep().items():
        pools = [at[w] for w in POOLS]
        cells = []
        for way in WAYS:
            cell = time(at[way])
            if way in POOLS:
                cell = f"**{cell}**" if at[way] == min(pools) else cell
            cells.append(cell)
        lines.append([f"{in_flight} x {size(n)}"] + cells)
    return table(["in flight"] + list(WAYS.values()), lines)


def break_even():
    """From which size of the sweep on a way takes at most 95 % of memcpy's time."""
    lines = []
    for way in list(WAYS)[1:]:
        line = [WAYS[way]]
        for in_flight in (1, 16):
            wins = None
            for (count, n), at in sweep().items():
                if count != in_flight:
                    continue
                if at[way] < 0.95 * at["memcpy"]:
                    wins = wins or n
                else:
                    wins = None
            line.append(size(wins) if wins else "never")
        lines.append(line)
    return table(["faster than memcpy", "1 in flight", "16 in flight"], lines)


# The README shows these points, in microseconds.
README_ROWS = ((1, 4 << 10), (1, 64 << 10), (1, 1 << 20), (1, 4 << 20),
               (1, 16 << 20), (1, 256 << 20), (16, 256 << 10), (16, 1 << 20))
README_WAYS = ("memcpy", "threads", "N threads", "libuv", "GLib", "OpenMP")


def readme_table():
    points = sweep()
    lines = [
        [f"{count} x {size(n)}"]
        + [shown(points[count, n][way] / 1000) for way in README_WAYS]
        for count, n in README_ROWS
    ]
    names = {"memcpy": "`memcpy()`", "threads": "this library",
             "N threads": "plain threads"}
    return table(["copies in flight"] + [names.get(w, w) for w in README_WAYS],
                 lines)


# Lines differ in marks and dashes too, for readers who see few colours. As in the
# other figures, the browser replaces the colours of text, paper and lines in its
# dark mode.
TEXT, PAPER, LINE = "#1f2328", "#ffffff", "#d0d7de"
LOOKS = {
    "N spin": dict(color="#7d8590", linestyle=(0, (6, 3)), linewidth=1.4),
    "threads": dict(color="#d55e00", marker="o", linewidth=2.6),
    "sync": dict(color="#cc79a7", marker="x", linewidth=1.4),
    "N threads": dict(color="#0072b2", marker="s", linewidth=1.4),
    "libuv": dict(color="#009e73", marker="D", linestyle="-.", linewidth=1.4),
    "GLib": dict(color="#b58900", marker="^", linestyle=":", linewidth=1.8),
    "OpenMP": dict(color="#56b4e9", marker="v", linestyle="--", linewidth=1.6),
}
MET, MIXED, MISSED = "#009e73", "#e69f00", "#d55e00"
STYLE = "<style>@media (prefers-color-scheme: dark) {" + "".join(
    f'[style*="{what}: {light}"] {{ {what}: {dark} !important }}'
    for light, dark in ((TEXT, "#e6edf3"), (PAPER, "#0d1117"),
                        (LINE, "#30363d"))
    for what in ("fill", "stroke")
) + "}</style>"


def save(plt, figure, name):
    path = FIGURES / f"{name}.svg"
    figure.savefig(path, metadata={"Date": None, "Creator": None})
    plt.close(figure)
    text = re.sub(r"[ \t]+$", "", path.read_text(), flags=re.M)
    path.write_text(re.sub(r"(<svg[^>]*>)", r"\1\n " + STYLE, text, count=1))


# Each plot is as wide as a phone, and its text can be read there. The top of each
# plot names the better direction.
WIDTH_INCHES = 5


def direction(axes, text, points_above=8):
    axes.annotate(text, (0, 1), (0, points_above), xycoords="axes fraction",
                  textcoords="offset points", weight="bold")


def plot_sweep(plt, in_flight, name):
    figure, axes = plt.subplots(figsize=(WIDTH_INCHES, 5.6),
                                layout="constrained")
    points = {n: at for (count, n), at in sweep_runs().items()
              if count == in_flight}
    for way, look in LOOKS.items():
        # In each run, in proportion to that run's memcpy.
        speeds = [[theirs / ns for theirs, ns in zip(at["memcpy"], at[way])]
                  for at in points.values()]
        axes.plot(list(points), [statistics.median(s) for s in speeds],
                  label=WAYS[way], markersize=6, **look)
        axes.fill_between(list(points), [min(s) for s in speeds],
                          [max(s) for s in speeds], color=look["color"],
                          alpha=0.15, linewidth=0)
    axes.axhline(1, color=TEXT, linewidth=1.2)
    axes.annotate("memcpy()", (0, 1), (3, 3),
                  xycoords=("axes fraction", "data"),
                  textcoords="offset points")
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    # One label for two powers of four; all have a line.
    ticks = [n for n in points if n & (n - 1) == 0 and n.bit_length() % 2]
    axes.set_xticks(ticks, [size(n) if i % 2 == 0 else ""
                            for i, n in enumerate(ticks)])
    axes.set_yticks([2.0 ** i for i in range(-6, 2)],
                    ["1/64", "1/32", "1/16", "1/8", "1/4", "1/2", "1", "2"])
    axes.set_ylim(1 / 90, 4)
    axes.minorticks_off()
    axes.set_xlabel("size of one copy")
    axes.set_ylabel("speed, of that of memcpy()")
    direction(axes, "↑ higher is faster")
    axes.grid(True)
    axes.legend(loc="upper center", bbox_to_anchor=(0.42, -0.12), ncols=2)
    save(plt, figure, name)


# What the sections of the benchmark are called where there is little room.
SECTIONS = {
    "one small operation": "one small operation",
    "one operation at a time, busy polled": "one at a time, busy polled",
    "pending operations": "pending operations",
    "runtime_wait_multiple, cost per future": "cost of a wait, per future",
    "wake-up of a sleeper": "wake-up of a sleeper",
    "work done in polls, per poll": "work done in polls",
    "wait with a timeout minus wait without": "cost of a timeout",
    "one copy of 64 B, minus its poll": "one copy of 64 B, minus its poll",
    "time of a completion, by futures in the queue":
        "a completion, by futures in the queue",
    "time of an entry of a chain, with two polls": "an entry of a chain",
    "wait for lists of segments, minus 1.10 x memcpy": "lists of segments",
    "CPU used, part of one CPU": "CPU used, part of one CPU",
    "delay of a timer during a copy of 1024 MiB": "timer during a copy of 1 GiB",
    "wait for moves and flushes, minus 1.10 x floor":
        "wait for moves and flushes",
    "one copy of 64 KiB beside busy threads, mean":
        "64 KiB beside busy threads",
    "copies beside two spinning threads, mean": "beside two spinning threads",
    "wait for copies, time minus 1.10 x memcpy": "wait, minus 1.1 x memcpy",
    "wait for copies, time / memcpy": "wait, time / memcpy",
    "wait for copies, time / N spinning threads": "wait, time / N spinning",
    "speed of N workers / speed of N threads": "speed / N threads",
    "time of other pools / threads mover, worst case": "other pools, worst case",
}


def target_bars():
    """Section -> (name, figures of the runs as parts of the target, 0 to 3)."""
    sections = {}
    for (section, what), runs in rows().items():
        row = runs[0]
        if "target" not in row:
            continue
        parts = [min(3, max(0, f / row["target"] if row["relation"] == "<="
                            else row["target"] / f))
                 for f in figures_of(runs)]
        sections.setdefault(SECTIONS[section], []).append((what, parts))
    return sections


def verdict_of(parts):
    if max(parts) <= 1:
        return "met in all runs"
    return "missed in all" if min(parts) > 1 else "missed in some"


def plot_targets(plt):
    """How much of what its target allows each figure takes."""
    from matplotlib import transforms

    lines = []
    for section, bars in target_bars().items():
        lines += [(section, None)] + bars
    figure, axes = plt.subplots(
        figsize=(WIDTH_INCHES, 0.24 * len(lines) + 1.2), layout="constrained")
    looks = {
        "met in all runs": (MET, ""),
        "missed in some": (MIXED, "///"),
        "missed in all": (MISSED, "xx"),
    }
    for label, (color, hatch) in looks.items():
        ys = [y for y, (_, parts) in enumerate(lines)
              if parts and verdict_of(parts) == label]
        axes.barh(ys, [statistics.median(lines[y][1]) for y in ys],
                  height=0.62, color=color, hatch=hatch, edgecolor=PAPER,
                  linewidth=0, label=label)
    for y, (_, parts) in enumerate(lines):
        if parts:
            axes.plot([min(parts), max(parts)], [y, y], color=TEXT,
                      linewidth=1.2)
    axes.axvline(1, color=TEXT, linewidth=1.2)
    axes.set_yticks(range(len(lines)), [name for name, _ in lines])
    axes.tick_params(axis="y", length=0)
    for tick, (_, parts) in zip(axes.get_yticklabels(), lines):
        if parts is None:
            tick.set_weight("bold")
    axes.set_ylim(len(lines) - 0.4, -0.6)
    axes.set_xlim(0, max(max(parts) for _, parts in lines if parts) + 0.1)
    axes.set_xticks([0, 0.5, 1, 1.5])
    axes.set_xlabel("part of what the target allows")
    axes.annotate("target", (1, 1), (0, 4), textcoords="offset points",
                  xycoords=("data", "axes fraction"), ha="center")
    direction(axes, "← shorter is better", 22)
    above = transforms.ScaledTranslation(0, 36 / 72, figure.dpi_scale_trans)
    axes.legend(loc="lower right", ncols=3, handlelength=1.2,
                columnspacing=1, bbox_to_anchor=(1, 1),
                bbox_transform=axes.transAxes + above)
    save(plt, figure, "targets")


def plots():
    import matplotlib
    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    plt.rcParams.update({
        "svg.fonttype": "none", "svg.hashsalt": "libminiasync",
        "font.family": ["Helvetica", "Arial", "sans-serif"],
        "font.size": 10, "legend.fontsize": 10,
        "text.color": TEXT, "axes.labelcolor": TEXT, "xtick.color": TEXT,
        "ytick.color": TEXT, "axes.edgecolor": LINE, "grid.color": LINE,
        "figure.facecolor": PAPER, "axes.facecolor": PAPER,
        "legend.facecolor": PAPER, "legend.edgecolor": LINE,
        "axes.spines.top": False, "axes.spines.right": False,
        "axes.axisbelow": True,
    })
    import logging
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
    plot_sweep(plt, 1, "one")
    plot_sweep(plt, 16, "sixteen")
    plot_targets(plt)


PAGES = {
    PAGE: {"machine": machine, "targets": targets, "others": others,
           "sweep": sweep_table, "break-even": break_even,
           "xeon": lambda: machine(XEON), "xeon-targets": lambda: targets(XEON)},
    README: {"numbers": readme_table},
}


def updated(page, parts):
    """The text of the page, with its parts made anew."""
    text = page.read_text()
    for name, part in parts.items():
        text, n = re.subn(
            rf"(<!-- {name}: by report.py -->\n).*?(<!-- end -->)",
            lambda m: m[1] + "\n" + part() + "\n" + m[2], text, flags=re.S)
        if n != 1:
            sys.exit(f"{page}: has {n} parts \"{name}: by report.py\", not 1")
    return text


def main():
    texts = {page: updated(page, parts) for page, parts in PAGES.items()}
    if sys.argv[1:] == ["--check"]:
        for page, text in texts.items():
            if text != page.read_text():
                sys.exit(f"{page}: is not up to date; run {sys.argv[0]}")
        return
    if sys.argv[1:]:
        sys.exit(__doc__)
    for page, text in texts.items():
        page.write_text(text)
    plots()


main()
