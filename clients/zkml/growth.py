"""How proofs grow, as Markdown on stdout and as a picture of three plots.

    python growth.py growth.jsonl --picture growth.svg

The lines are those of the example `growth` of assay-zkml: a JSON object for each model, with `axis` for what grows.
"""

import argparse
import json
import math
import pathlib

# What grows, by the name of its axis.
AXES = {"parameters": "parameters", "depth": "layers", "batch": "inferences in one proof"}
PHASES = ["run", "commit", "lookups", "products", "openings"]
# Of one plot, in pixels: its side without margins, and margins for words.
SIDE, MARGIN = 220, 60


def grouped(value):
    """Three digits at least, those before the point in groups."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def table(head, lines):
    """A Markdown table."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, ["---"] * len(head), *lines])


def rows_of(axis, measured):
    """The measurements along one axis, the least first."""
    return sorted((row for row in measured if row["axis"] == axis), key=lambda row: row[axis])


def line(row):
    """One measurement's cells behind the first."""
    total = sum(row["phases"].values())
    shares = [f"{row['phases'].get(phase, 0) / total * 100:.0f} %" for phase in PHASES]
    times = grouped(row["prove_cpu_s"] / row["run_cpu_s"])
    return [
        grouped(row["prove_cpu_s"] * 1e3), times, grouped(row["verify_ms"]), grouped(row["proof_bytes"] / 1000),
        grouped(row["peak_mb"]), *shares,
    ]


def text(measured):
    """The tables."""
    parts = [
        "Perceptrons with random weights, mode succinct; a phase's share is of CPU time. `times the run` is proving over the plain "
        "run in integers of as many inferences. Peak memory is that of the measuring process up to this row of its run.",
        "![CPU time of proving, by parameters, layers and inferences](docs/growth.svg)",
    ]
    for axis, name in AXES.items():
        rows = rows_of(axis, measured)
        if rows:
            head = [name, "prove, CPU ms", "times the run", "verify, CPU ms", "proof, KB", "peak, MB", *PHASES]
            parts.append(table(head, [[grouped(row[axis]), *line(row)] for row in rows]))
    return "\n\n".join(parts)


def scale(values):
    """Whole powers of ten around some numbers, and where a number lies between them, from 0 to 1."""
    low, high = (math.floor(math.log10(min(values))), math.ceil(math.log10(max(values))))
    high = max(high, low + 1)
    return range(low, high + 1), lambda value: (math.log10(value) - low) / (high - low)


def words(x, y, content, anchor="middle", extra=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{extra}>{content}</text>'


def plot(left, name, points):
    """One plot, both axes in powers of ten."""
    (xs, x_at), (ys, y_at) = scale([x for x, _ in points]), scale([y for _, y in points])
    x = lambda value: left + x_at(value) * SIDE
    y = lambda value: MARGIN / 2 + (1 - y_at(value)) * SIDE
    drawn = [f'<rect x="{left}" y="{MARGIN / 2}" width="{SIDE}" height="{SIDE}" class="frame"/>']
    for power in xs:
        drawn.append(words(x(10**power), MARGIN / 2 + SIDE + 16, f"10<tspan dy='-4'>{power}</tspan>"))
    for power in ys:
        drawn.append(f'<path d="M{left} {y(10.0**power):.1f}h{SIDE}" class="grid"/>')
        drawn.append(words(left - 6, y(10.0**power) + 4, f"10<tspan dy='-4'>{power}</tspan>", "end"))
    path = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in points)
    drawn.append(f'<polyline points="{path}" class="line"/>')
    drawn += [f'<circle cx="{x(a):.1f}" cy="{y(b):.1f}" r="3"/>' for a, b in points]
    drawn.append(words(left + SIDE / 2, MARGIN / 2 + SIDE + 36, name))
    return drawn


def picture(measured):
    """CPU time of proving along each axis, as SVG."""
    drawn, left = [], MARGIN
    for axis, name in AXES.items():
        rows = rows_of(axis, measured)
        if rows:
            drawn += plot(left, name, [(row[axis], row["prove_cpu_s"] * 1e3) for row in rows])
        left += SIDE + MARGIN
    drawn.append(words(MARGIN, 18, "proving, CPU ms", "start"))
    style = (
        "text{font:12px sans-serif;fill:#444}.frame{fill:#fff;stroke:#999}.grid{stroke:#ddd}"
        ".line{fill:none;stroke:#1f6feb;stroke-width:2}circle{fill:#1f6feb}"
    )
    size = f'width="{left}" height="{SIDE + 1.5 * MARGIN:.0f}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}><style>{style}</style>\n' + "\n".join(drawn) + "\n</svg>\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lines", type=pathlib.Path, help="what the example printed")
    parser.add_argument("--picture", type=pathlib.Path, help="where the plots go")
    arguments = parser.parse_args()
    measured = [json.loads(found) for found in arguments.lines.read_text().splitlines()]
    if arguments.picture:
        arguments.picture.write_text(picture(measured))
    print(text(measured))


if __name__ == "__main__":
    main()
