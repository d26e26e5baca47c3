"""The benchmarks of serving as Markdown on stdout: `report.py FOLDER`, where `make bench-serving` leaves what each part found.

A part is FOLDER/NAME.json for which PARTS has a function, or FOLDER/NAME.md, which is shown as it is. Functions give lines and
add what misses its goal to the list that they are given.
"""

import json
import os
import pathlib
import sys

# Added time to the first token, milliseconds, at this rate.
GOAL_RATE, GOAL_P50_MS, GOAL_P99_MS = 500, 1, 5
# Added gap between two tokens, p99, milliseconds.
GOAL_GAP_MS = 20


def number(value, unit=""):
    """Two digits after the point below a hundred, or nothing where there is nothing."""
    if value is None:
        return ""
    return f"{value:.2f}{unit}" if abs(value) < 100 else f"{value:,.0f}{unit}"


def added(through, direct, percentile):
    """What a gateway adds, milliseconds; nothing where there are no answers."""
    pair = through["first"][percentile], direct["first"][percentile]
    return None if None in pair else pair[0] - pair[1]


def times(value, of):
    """How many times greater a value is, where the smaller is greater than nothing."""
    return f"{value / of:.0f}x" if value is not None and of is not None and of > 0 else ""


def faults(figures):
    """What went wrong, in a cell."""
    return "; ".join(f"{count} {what}" for what, count in figures["errors"].items()) or "none"


def sharing(figures):
    """Who runs where."""
    order = "at the usual priority"
    if figures["real_time"]:
        order = "at real-time priority, stubs and load before gateways, so that what else the machine did is not measured"
    return f"Stubs, gateway and load share {os.cpu_count()} cores, none pinned to one, {order}; the validators were ended before."


def compared(figures):
    """Rows of the servers at each rate."""
    yield ("| answers a second | server | first token, p50 ms | p99 ms | added, p50 ms | p99 ms | CPU of the gateway, us an answer "
           "| answered a second | errors |")
    yield "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    names = {"node": "the stub, nodes' protocol", "assay": "**Assay**", "openai": "the stub, OpenAI's", "litellm": "**LiteLLM**"}
    for rate, servers in figures["rates"].items():
        for server, name in names.items():
            row = servers[server]
            direct = {"assay": "node", "litellm": "openai"}.get(server)
            more = [added(row, servers[direct], key) if direct else None for key in ("p50_ms", "p99_ms")]
            # Of questions that were not answered it would say nothing.
            cpu = row["cpu_us_per_answer"] if direct and row["held"] else None
            yield (f"| {rate} | {name} | {number(row['first']['p50_ms'])} | {number(row['first']['p99_ms'])} | {number(more[0])} "
                   f"| {number(more[1])} | {number(cpu)} | {number(row['answers_per_s'])} | {faults(row)} |")


def ratios(figures):
    """How many times more LiteLLM adds, at each rate that it holds."""
    for rate, servers in figures["rates"].items():
        ours, theirs = servers["assay"], servers["litellm"]
        if not theirs["held"]:
            yield f"| {rate} | | | | LiteLLM does not hold this rate: {number(theirs['answers_per_s'])} a second were answered |"
            continue
        cells = []
        for key in ("p50_ms", "p99_ms"):
            pair = added(theirs, servers["openai"], key), added(ours, servers["node"], key)
            cells.append(times(*pair))
        cells.append(times(theirs["cpu_us_per_answer"], ours["cpu_us_per_answer"]))
        yield f"| {rate} | {cells[0]} | {cells[1]} | {cells[2]} | |"


def gateway(figures, missed):
    """Added time to the first token, and memory of idle streams."""
    first, gap, tokens = figures["script"]
    seconds = ", ".join(f"{count} s at {rate}" for rate, count in figures["seconds"].items())
    yield "### What a gateway adds\n"
    yield (f"Answers are made up by a stub: the first of {tokens} tokens after {first} ms, then one every {gap} ms. For Assay it is a registered "
           f"node that signs each token and a receipt, all of which the gateway verifies; for LiteLLM {figures['litellm']} "
           f"({figures['workers']} workers) an OpenAI-compatible server. Questions come at a constant rate, and each is timed from when it "
           f"was due ({seconds} a second, in rounds of 10 s and in turns; of several rounds the stub's lowest percentiles are shown and the middle "
           f"ones of a gateway's). {sharing(figures)}\n")
    yield from compared(figures)
    goal = figures["rates"][str(GOAL_RATE)]
    for key, most in (("p50_ms", GOAL_P50_MS), ("p99_ms", GOAL_P99_MS)):
        value = added(goal["assay"], goal["node"], key)
        words = f"added time to the first token at {GOAL_RATE} a second, {key[:3]}"
        first_of_both = "\n" if key == "p50_ms" else ""
        yield f"{first_of_both}Goal: {words} below {most} ms; it is {number(value)} ms."
        if value is None or value >= most or not goal["assay"]["held"]:
            missed.append(f"{words} ({number(value)} ms)")
    yield "\nTimes that LiteLLM takes of what Assay takes:\n"
    yield "| answers a second | added, p50 | added, p99 | CPU | |\n| --- | --- | --- | --- | --- |"
    yield from ratios(figures)
    yield "\nMemory of streams that have begun and wait:\n"
    yield "| gateway | streams | whole in the end | before, MB | with them, MB | KB a stream |\n| --- | --- | --- | --- | --- | --- |"
    for server, row in figures["memory"].items():
        each = (row["during"] - row["before"]) / row["streams"] / 1000
        name = {"assay": "Assay", "litellm": "LiteLLM"}[server]
        yield f"| {name} | {row['streams']} | {row['whole']} | {row['before'] / 1e6:.0f} | {row['during'] / 1e6:.0f} | {each:.0f} |"


def streams(figures, missed):
    """Thousands of slow streams at once."""
    first, gap, tokens = figures["script"]
    node, ours = figures["node"], figures["assay"]
    yield "\n### Slow streams at once\n"
    yield (f"{figures['streams']:,} streams of {tokens} tokens, one every {gap / 1000:g} s, from the stub and through one gateway process; gaps between tokens "
           "are counted while all streams are open, as what they are beyond that. Between tokens the node says four times a second that it lives. "
           f"{sharing(figures)}\n")
    yield "| through | whole | errors | gaps | beyond, p50 ms | p99 ms | added, p99 ms | KB a stream | CPU, cores |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    seconds = figures["seconds"]

    def beyond(row, key):
        return row["gap"][key] - gap if row["gaps"] else None

    for name, row in (("nothing", node), ("Assay", ours)):
        more = number(row["gap"]["p99_ms"] - node["gap"]["p99_ms"]) if row is ours and row["gaps"] and node["gaps"] else ""
        each = number((row["during"] - row["before"]) / figures["streams"] / 1000) if row is ours else ""
        cpu = number(row["cpu_s"] / seconds) if row is ours else ""
        yield (f"| {name} | {row['whole']} | {faults(row)} | {row['gaps']} | {number(beyond(row, 'p50_ms'))} | {number(beyond(row, 'p99_ms'))} "
               f"| {more} | {each} | {cpu} |")
    whole = ours["whole"] == figures["streams"] and ours["all_at_once"]
    yield f"\nGoal: all {figures['streams']:,} at once and without an error, added gap below {GOAL_GAP_MS} ms at p99."
    if not whole:
        missed.append(f"{figures['streams']:,} streams without an error")
    if not ours["gaps"] or not node["gaps"] or ours["gap"]["p99_ms"] - node["gap"]["p99_ms"] >= GOAL_GAP_MS:
        missed.append("added gap between tokens")


PARTS = {"gateway": gateway, "streams": streams}


def machine():
    """The machine, as Linux describes it."""
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    load = pathlib.Path("/proc/loadavg").read_text().split()[0]
    return f"Machine: {names[0] if names else 'unknown CPU'}, {os.cpu_count()} cores, load average {load} at the end."


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder, missed = pathlib.Path(sys.argv[1]), []
    print(machine() + "\n")
    for name, part in PARTS.items():
        file = folder / f"{name}.json"
        if file.exists():
            print("\n".join(part(json.loads(file.read_text()), missed)))
    for file in sorted(folder.glob("*.md")):
        print(f"\n{file.read_text().strip()}")
    print(f"\nGoals missed: {'; '.join(missed) or 'none'}.")


if __name__ == "__main__":
    main()
