"""What gateways add to streams: `bench.py PART ASSAY SERVING DATA PORT_BASE MODEL`, one JSON object on stdout.

PART is `gateway` (added time to the first token, beside LiteLLM, and memory of idle streams) or `streams` (thousands of slow
streams at once). ASSAY and SERVING are programs, DATA an empty directory, MODEL the directory of any revision.
"""

import importlib.metadata
import json
import statistics
import sys
import time

from world import MODELS, WORKERS, World, cpu_s, resident

# Rates at which all are compared, answers a second, and rounds of each, in turns.
RATES = {50: 1, 100: 1, 500: 2}
ROUND_S = 10
# Answers before those that are counted, seconds of the rate.
WARM_S = 2
# A rate is held if so much of it is answered, without an error.
HELD = 0.98
# Answers that may be under way: four seconds of the highest rate.
MOST = 2_000
# Pause after a gateway was asked more than it can answer.
AFTER_OVERLOAD_S = 20
# Idle streams, by which memory is measured.
IDLE = 1_000
# Slow streams at once, and how many a second begin.
STREAMS, STREAMS_RATE = 5_000, 250


def say(words):
    """A line for the person who waits."""
    print(words, file=sys.stderr, flush=True)


def percentile(values, percent):
    """The smallest value that so many percent are no greater than."""
    ranked = sorted(values)
    return ranked[max(0, -(-len(ranked) * percent // 100) - 1)] if ranked else None


def ms(values):
    """p50 and p99 of microseconds, in milliseconds."""
    found = {f"p{percent}_ms": percentile(values, percent) for percent in (50, 99)}
    return {name: value / 1000 if value is not None else None for name, value in found.items()}


def typical(rounds, server):
    """p50 and p99 of the time to the first token: through a gateway the middle of its rounds, from a stub the lowest, so that what
    disturbed a round of the stub does not make the gateway look faster."""
    each = [ms(figures["first_us"]) for figures in rounds if figures["first_us"]]
    pick = statistics.median if server in ("assay", "litellm") else min
    return {key: pick(one[key] for one in each) if each else None for key in ("p50_ms", "p99_ms")}


def summed(rounds, server):
    """Several rounds of one server at one rate as one."""
    errors = {}
    for figures in rounds:
        for what, count in figures["errors"].items():
            errors[what] = errors.get(what, 0) + count
    asked, whole = (sum(figures[key] for figures in rounds) for key in ("asked", "whole"))
    seconds = sum(figures["seconds"] for figures in rounds)
    return {
        "asked": asked,
        "whole": whole,
        "errors": errors,
        "answers_per_s": whole / seconds,
        "cpu_us_per_answer": sum(figures["cpu_s"] for figures in rounds) / asked * 1e6,
        "first": typical(rounds, server),
    }


def one_round(world, server, rate):
    """A round of a server at a rate; CPU is that of the gateway, warm-up included."""
    pid = world.pids.get(server)
    before = cpu_s(pid) if pid else 0
    load = world.load(server, "fast", rate, rate * ROUND_S, warm_up=rate * WARM_S, most=MOST)
    figures = load.wait()
    spent = cpu_s(pid) - before if pid else 0
    figures["cpu_s"] = spent * ROUND_S / (ROUND_S + WARM_S)
    say(f"  {server}, {rate} a second: {figures['whole']} of {figures['asked']} whole, first token {ms(figures['first_us'])}, {figures['errors']}")
    return figures


def held(figures, rate):
    """Whether a server answered at the rate at which it was asked. The last answer ends a little after the last question."""
    return not figures["errors"] and figures["whole"] == figures["asked"] and figures["seconds"] < ROUND_S / HELD + 1


def gateway(world):
    """Rates one after the other, servers in turns; LiteLLM is asked once at a rate that it does not hold."""
    world.litellm()
    # First, since what LiteLLM took under a load that is too much for it, it keeps.
    memory = {server: idle(world, server) for server in ("assay", "litellm")}
    servers = ["node", "assay", "openai", "litellm"]
    rates = {}
    for rate, rounds in RATES.items():
        found = {server: [] for server in servers}
        asked = list(servers)
        for _ in range(rounds):
            for server in list(asked):
                figures = one_round(world, server, rate)
                found[server].append(figures)
                if server == "litellm" and not held(figures, rate):
                    # Once is enough, and what is left of it would be of no rate.
                    asked.remove(server)
                    time.sleep(AFTER_OVERLOAD_S)
        rates[rate] = {server: summed(all_of, server) for server, all_of in found.items()}
        rates[rate]["litellm"]["held"] = all(held(figures, rate) for figures in found["litellm"])
        rates[rate]["assay"]["held"] = all(held(figures, rate) for figures in found["assay"])
    return {
        "litellm": importlib.metadata.version("litellm"),
        "workers": WORKERS,
        "script": MODELS["fast"],
        "real_time": world.real_time,
        "seconds": {rate: ROUND_S * rounds for rate, rounds in RATES.items()},
        "rates": rates,
        "memory": memory,
    }


def idle(world, server):
    """Memory of streams that have begun and wait, beyond what the gateway had after other requests."""
    world.load(server, "fast", 50, 500).wait()
    time.sleep(2)
    before = resident(world.pids[server])
    load = world.load(server, "still", 100, IDLE, patience_s=120)
    time.sleep(IDLE / 100 + 8)
    during = resident(world.pids[server])
    figures = load.wait()
    say(f"  {server}: {figures['whole']} of {IDLE} idle streams, {before / 1e6:.0f} to {during / 1e6:.0f} MB, {figures['errors']}")
    return {"streams": IDLE, "whole": figures["whole"], "before": before, "during": during, "errors": figures["errors"]}


def streams(world):
    """All streams at once, from the node and through the gateway."""
    seconds = STREAMS / STREAMS_RATE + 5
    found = {"streams": STREAMS, "script": MODELS["slow"], "seconds": seconds, "real_time": world.real_time}
    for server in ("node", "assay"):
        pid = world.pids.get(server)
        if pid:
            world.load(server, "fast", 50, 500).wait()
            time.sleep(2)
        before = (resident(pid), cpu_s(pid)) if pid else (0, 0)
        load = world.load(server, "slow", STREAMS_RATE, STREAMS, patience_s=300)
        time.sleep(seconds)
        during = (resident(pid), cpu_s(pid)) if pid else (0, 0)
        figures = load.wait()
        found[server] = {
            "asked": figures["asked"],
            "whole": figures["whole"],
            "errors": figures["errors"],
            "all_at_once": figures["all_at_once"],
            "gap": ms(figures["gap_us"]),
            "gaps": len(figures["gap_us"]),
            "first": ms(figures["first_us"]),
            "before": before[0],
            "during": during[0],
            "cpu_s": during[1] - before[1],
        }
        say(f"  {server}: {found[server]}")
    return found


PARTS = {"gateway": gateway, "streams": streams}


def main():
    if len(sys.argv) != 7 or sys.argv[1] not in PARTS:
        sys.exit(__doc__)
    part, assay, serving, data, port_base, model = sys.argv[1:]
    with World(assay, serving, data, int(port_base), model) as world:
        print(json.dumps(PARTS[part](world)))


if __name__ == "__main__":
    main()
