"""Our executor beside onnxruntime, as a Markdown table on stdout.

    python bench.py | python compare.py CRITERION

CRITERION is the directory in which `cargo bench --bench corpus` left its estimates in the same run.
"""

import json
import pathlib
import sys

# What was promised, by what the name says of the model. The rest has no promise, only a figure.
GOALS = {"forest": 2, "boosting": 2, "logreg": 2, "ridge": 2, "cnn": 4, "resnet": 4}


def goal(name):
    return next((most for part, most in GOALS.items() if part in name), None)


def ours(criterion, name):
    """Median of one row, in microseconds."""
    estimates = json.loads((criterion / "corpus" / name / "new" / "estimates.json").read_text())
    return estimates["median"]["point_estimate"] / 1e3


def main():
    criterion, theirs = pathlib.Path(sys.argv[1]), json.load(sys.stdin)
    print(f"One row through every model of the corpus, one thread; onnxruntime {theirs['onnxruntime']} from PyPI, of whose time "
          f"about {theirs['overhead_us']:.0f} us a call are Python's.\n")
    print("| model | ours, us | onnxruntime, us | ratio | goal |\n| --- | --- | --- | --- | --- |")
    missed = []
    for name, row in theirs["models"].items():
        us, most = ours(criterion, name), goal(name)
        ratio = us / row["us"]
        if most is not None and ratio > most:
            missed.append(name)
        promised = f"<= {most}" if most else ""
        print(f"| {name} | {us:.1f} | {row['us']:.1f} | {ratio:.2f} | {promised} |")
    print(f"\nGoals missed: {', '.join(missed) or 'none'}.")


if __name__ == "__main__":
    main()
