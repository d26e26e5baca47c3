"""The section of BENCHMARKS.md on the language engine, from what llama_bench.py and crates/economy's `speed` print.

    python engine_report.py ENGINE.json [FAILURE_SETS.json] > section.md
"""

import json
import pathlib
import sys

GOAL, CHECK_GOAL, SETS_GOAL_MS = 0.8, 0.10, 100.0
# The engine of the same precision of weights.
THEIRS = "llama.cpp q8_0"
CASES = {
    "decode 1": "one answer, a token after the other",
    "decode 16": "sixteen answers at once",
    "prefill": "a prompt of 512 tokens",
}


def speed(one):
    """Tokens a second: the median, the least and the most."""
    return f"{one['tokens_per_s']:.0f} ({one['least_tokens_per_s']:.0f}-{one['most_tokens_per_s']:.0f})"


def by_engine(report):
    """Tokens a second of every case, side by side."""
    engines = list(report["engines"])
    heads = [f"{name}, tokens/s" for name in engines] + ["ours by q8_0"] + [f"{name}, CPU ms a token" for name in engines]
    yield "| | " + " | ".join(heads) + " |"
    yield "|" + " --- |" * (1 + len(heads))
    for case, words in CASES.items():
        found = [report["engines"][name][case] for name in engines]
        ratio = found[0]["tokens_per_s"] / report["engines"][THEIRS][case]["tokens_per_s"]
        cells = [speed(one) for one in found] + [f"**{ratio:.2f}**"] + [f"{one['cpu_ms']:.2f}" for one in found]
        yield f"| {words} | " + " | ".join(cells) + " |"


def verdicts(report):
    """Which goals are met, in words."""
    ours, theirs = report["engines"]["assay"], report["engines"][THEIRS]
    for case, words in CASES.items():
        ratio = ours[case]["tokens_per_s"] / theirs[case]["tokens_per_s"]
        met = "met" if ratio >= GOAL else "missed"
        yield f"- {words}: {ratio:.2f} of llama.cpp's speed, the goal of {GOAL} is {met}."
    for streams, words in [(1, "one answer"), (16, "sixteen at once")]:
        share = ours[f"check {streams}"]["cpu_ms"] / ours[f"generate {streams}"]["cpu_ms"]
        met = "met" if share < CHECK_GOAL else "missed"
        goal = f"the goal of under {CHECK_GOAL:.0%} is {met}"
        yield f"- checking again, {words}: {share:.1%} of the CPU time that writing took, {goal}."


def checks(report):
    """What a check costs beside the answer."""
    ours = report["engines"]["assay"]
    yield "| answers of 256 tokens after prompts of 32 | written, CPU ms a token | checked, CPU ms a token | share |"
    yield "| --- | --- | --- | --- |"
    for streams in (1, 16):
        wrote, read = (ours[f"{case} {streams}"]["cpu_ms"] for case in ("generate", "check"))
        yield f"| {streams} | {wrote:.2f} | {read:.2f} | {read / wrote:.1%} |"


KEYS_AND_VALUES = 2 * 12 * 768
MEAN_LENGTH = 32 + 256 / 2


def gap(report):
    """What one answer's next token is made of: the bytes that have to be read, and what is done beside."""
    rate = report["memory_gb_per_s"]
    yield f"Where the time goes. Memory was read at {rate:.1f} GB/s by as many threads. At that rate, what the next token of one"
    yield "answer has to read takes"
    words = []
    for name, bytes_of_number in [("assay", 4), (THEIRS, 2)]:
        weights = report["weight_bytes"][name] / 1e6
        cache = KEYS_AND_VALUES * bytes_of_number * MEAN_LENGTH / 1e6
        took = report["engines"][name]["decode 1"]["wall_ms"]
        words.append(
            f"{(weights + cache) / rate:.2f} ms in {name} ({weights:.0f} MB of weights, {cache:.0f} MB of keys and "
            f"values of {bytes_of_number} bytes at the mean length), and the token took {took:.2f}"
        )
    yield "; ".join(words) + "."
    ours = report["engines"]["assay"]
    outside = {streams: 1 - ours[f"generate {streams}"]["share_of_passes"] for streams in (1, 16)}
    shares = ", ".join(f"{share:.1%} with {streams}" for streams, share in outside.items())
    yield f"Outside of forward passes, choosing tokens and digests of their scores included, ours spends {shares} at once."
    yield "Keys and values are in single precision here, which decides bits; sums of floats keep one order, without fused products."
    read, wrote = ours["check 16"]["cpu_ms"], ours["generate 16"]["cpu_ms"]
    yield f"A check of sixteen answers does the arithmetic of writing them ({read:.2f} of {wrote:.2f} ms a token): what a check saves is"
    yield "reading the weights once for each token, and a batch has saved that already."


def fidelity(report):
    """Whether all compute the same model."""
    rows = report["fidelity"].items()
    words = [
        f"{name}: correlation {one['mean_correlation']:.5f} on the mean, {one['least_correlation']:.5f} at least, the same best "
        f"token {one['same_best_token']:.0%} of the time" for name, one in rows
    ]
    return "Scores of 256 positions beside those of llama.cpp on the half-precision weights: " + "; ".join(words) + "."


def sets(found):
    """The minimal failure sets, the slowest first of each network."""
    yield "| network of 20,000 nodes in 7 dimensions | slowest median, ms | of which rule |"
    yield "| --- | --- | --- |"
    worlds = {}
    for row in found["failureSets"]:
        worlds.setdefault(row["world"], []).append(row)
    for world, rows in worlds.items():
        slowest = max(rows, key=lambda row: row["medianMs"])
        yield f"| {world} | {slowest['medianMs']:.1f} | {slowest['rule']}, {slowest['reading'].lower()} |"
    over = sum(row["medianMs"] >= SETS_GOAL_MS for row in found["failureSets"])
    met = "all are under" if over == 0 else f"{over} of {len(found['failureSets'])} are not under"
    bounds = sum(row["atLeast"] < row["atMost"] for row in found["failureSets"])
    yield f"\nThe goal is {SETS_GOAL_MS:.0f} ms for the set and the count of sets of its size: {met} it; {bounds} ended with bounds only."


def setting(report):
    """What was measured, and how."""
    machine = report["machine"]
    yield f"llama.cpp as llama-cpp-python {report['llama_cpp_python']} has it, built for this machine; {report['threads']} threads"
    yield f"each, {report['rounds']} rounds in turns, medians (least and most); {machine['cores']} cores of {machine['cpu']}. One model"
    yield "of random weights, 109.5 million in 12 layers, for both: eight bits with a scale for each row and exact sums of integers"
    yield "here, q8_0 with a scale for each 32 weights there. Ours computes the digest of every token's scores, too, and its answers"
    yield "have the same bits in any batch and on any kernel; llama.cpp runs with its defaults."


def section(report, found):
    yield from setting(report)
    yield ""
    yield from by_engine(report)
    yield ""
    yield fidelity(report) + "\n"
    yield from checks(report)
    yield ""
    yield from verdicts(report)
    yield ""
    yield from gap(report)
    if found:
        yield ""
        yield from sets(found)


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    read = [json.loads(pathlib.Path(name).read_text()) for name in sys.argv[1:]]
    print("\n".join(section(read[0], read[1] if len(read) > 1 else None)))


if __name__ == "__main__":
    main()
