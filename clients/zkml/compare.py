"""Our proofs beside EZKL's, as Markdown on stdout.

    python compare.py --ezkl ezkl.json --ours ours.json --evm evm.json

EZKL's figures are those of ezkl_bench.py. Ours are a JSON list with an object for each proof that was measured:

    model             name in the corpus
    mode              "succinct" or "zero-knowledge"; the two never share a cell
    simd              "avx512", "avx2", "neon" or "portable": what the prover was compiled for
    batch             inferences in the one proof
    prove_cpu_s       CPU seconds of all threads for the whole proof, whatever the batch
    verify_ms         CPU milliseconds of one verification
    proof_bytes       encoded length
    peak_mb       peak memory of the proving process
    quoted_prove_cpu_s, quoted_verify_ms, quoted_proof_bytes
                      what was predicted from the circuit and the speed of the machine
    quantised_accuracy, float_accuracy
                      on the held-out rows of the revision, between 0 and 1; the same for every row of a model

The gas is what contracts/proof_gas.mjs printed: a list of {"model", "ezkl": {"gas"} or {"failed"}, "ours": {"gas"}}.

Any figure may be absent or null. What is absent here or failed there is "not run" or the reason, and has no ratio.
"""

import argparse
import json
import pathlib

MODES = ["succinct", "zero-knowledge"]
# The build that `assay` has comes first: the main tables and the goals are about that one, the last table has all of them.
SIMD = ["avx2", "avx512", "neon", "portable"]
ABSENT = "not run"

# What was promised: CPU seconds of a proof of one inference, by model and mode.
PROVE_S = {
    "risk-logreg": {"succinct": 0.02, "zero-knowledge": 0.08},
    "digits-mlp-64-32-10": {"succinct": 0.02, "zero-knowledge": 0.1},
    "digits-lenet": {"succinct": 0.15, "zero-knowledge": 0.5},
    "digits-mlp784": {"succinct": 0.1, "zero-knowledge": 0.45},
    "digits-block": {"succinct": 0.25, "zero-knowledge": 0.7},
}
# Seconds for each inference of a batch.
BATCH_S = {("digits-mlp784", "succinct", 32): 0.004}
VERIFY_MS = 10
PROOF_BYTES = {"succinct": 200_000, "zero-knowledge": 400_000}
PEAK_MB = 500
# Percentage points of accuracy that quantisation may cost.
ACCURACY_POINTS = 1.0
# Gas of a check of our proof on a stock EVM, the transaction included.
GAS = 260_000
GAS_MODELS = ["risk-logreg", "digits-mlp-64-32-10"]
# Figures that these goals are about.
JUDGED = ["prove_cpu_s", "verify_ms", "proof_bytes", "peak_mb", "quantised_accuracy", "float_accuracy"]


def ratio(theirs, ours):
    """How many times theirs is ours; None unless both were measured."""
    return theirs / ours if theirs is not None and ours else None


def points_lost(row):
    """Percentage points that the quantised model is worse by than the float one; None unless both were measured."""
    if row.get("quantised_accuracy") is None or row.get("float_accuracy") is None:
        return None
    return (row["float_accuracy"] - row["quantised_accuracy"]) * 100


def each_s(row):
    """CPU seconds for one inference of a proof."""
    if row.get("prove_cpu_s") is None or not row.get("batch"):
        return None
    return row["prove_cpu_s"] / row["batch"]


def chosen(rows, model, mode, batch=1):
    """The measurement of the build that `assay` has, or of another where that was not measured; or an empty one."""
    fitting = [r for r in rows if (r["model"], r["mode"], r.get("batch")) == (model, mode, batch)]
    return min(fitting, key=lambda r: SIMD.index(r["simd"]), default={})


# Cells.


def number(value, unit=""):
    """Three figures at least, and digits grouped; never in powers of ten."""
    if value is None:
        return ABSENT
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 4
    return f"{value:,.{digits}f}{unit}"


def times(value):
    """A ratio, or a dash where there is none."""
    return "-" if value is None else f"{value:,.0f}x" if value >= 10 else f"{value:.2g}x"


def percent(value):
    return ABSENT if value is None else f"{value * 100:.1f} %"


def kilobytes(value):
    return ABSENT if value is None else number(value / 1000)


def theirs_cell(entry, key, show=number):
    """EZKL's figure; why there is none, if it failed before."""
    if entry.get(key) is None and entry.get("failed"):
        return f"{entry['failed']['stage']}: {entry['failed']['reason']}".replace("|", "/")
    return show(entry.get(key))


def table(head, lines):
    """A Markdown table."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, ["---"] * len(head), *lines])


# Tables.


def proving(models, ezkl, rows):
    """CPU time of a proof of one inference."""
    lines = []
    for model in models:
        theirs, cells = ezkl.get(model, {}), []
        for mode in MODES:
            ours = chosen(rows, model, mode).get("prove_cpu_s")
            most = PROVE_S.get(model, {}).get(mode)
            cells += [number(ours), times(ratio(theirs.get("prove_cpu_s"), ours)), f"<= {most}" if most else ""]
        lines.append([model, theirs_cell(theirs, "prove_cpu_s"), *cells])
    return table(["model", "EZKL, CPU s", *[c for m in MODES for c in (f"{m}, CPU s", "times less", "goal")]], lines)


def memory(models, ezkl, rows):
    """Peak memory of the prover."""
    lines = []
    for model in models:
        theirs, cells = ezkl.get(model, {}), []
        for mode in MODES:
            ours = chosen(rows, model, mode).get("peak_mb")
            cells += [number(ours), times(ratio(theirs.get("peak_mb"), ours))]
        key = theirs_cell(theirs, "proving_key_bytes", lambda v: ABSENT if v is None else number(v / 1e6))
        lines.append([model, theirs_cell(theirs, "peak_mb"), key, *cells])
    return table(["model", "EZKL, MB", "its proving key, MB", *[c for m in MODES for c in (f"{m}, MB", "times less")]], lines)


def verifying(models, ezkl, rows):
    """CPU time of a verification, and bytes of a proof; here EZKL's proofs are the smaller ones."""
    lines = []
    for model in models:
        theirs, cells = ezkl.get(model, {}), []
        for mode in MODES:
            ours = chosen(rows, model, mode)
            less = times(ratio(theirs.get("verify_cpu_ms"), ours.get("verify_ms")))
            cells += [number(ours.get("verify_ms")), less, kilobytes(ours.get("proof_bytes"))]
        lines.append([model, theirs_cell(theirs, "verify_cpu_ms"), theirs_cell(theirs, "proof_bytes", kilobytes), *cells])
    mode_cells = [c for m in MODES for c in (f"{m}, ms", "times less", "KB")]
    return table(["model", "EZKL, CPU ms", "EZKL, KB", *mode_cells], lines)


def accuracy(models, ezkl, rows):
    """What quantisation costs, each tool on its own rows."""
    lines = []
    for model in models:
        theirs = ezkl.get(model, {}).get("accuracy") or {}
        ours = next((r for r in rows if r["model"] == model and points_lost(r) is not None), {})
        cells = [percent(ours.get("float_accuracy")), percent(ours.get("quantised_accuracy"))]
        count = str(theirs.get("rows", ABSENT))
        lines.append([model, *cells, percent(theirs.get("float")), percent(theirs.get("quantised")), count])
    return table(["model", "float", "ours, quantised", "float on EZKL's rows", "EZKL, quantised", "EZKL's rows"], lines)


def predictions(models, rows):
    """What `assay zk quote` says beside what it came to, proofs of one inference."""
    lines = []
    for model in models:
        for mode in MODES:
            row = chosen(rows, model, mode)
            cells = []
            for key, factor in [("prove_cpu_s", 1e3), ("verify_ms", 1), ("proof_bytes", 1e-3)]:
                quoted, measured = row.get(f"quoted_{key}"), row.get(key)
                known = lambda value: None if value is None else value * factor
                off = None if not quoted or measured is None else measured / quoted
                cells += [number(known(quoted)), number(known(measured)), ABSENT if off is None else f"{off:.2f}"]
            lines.append([model, mode, *cells])
    head = [c for what in ("prove, CPU ms", "verify, CPU ms", "proof, KB") for c in (f"{what}: predicted", "measured", "ratio")]
    return table(["model", "mode", *head], lines)


def gas(evm):
    """Gas of a transaction that checks one proof on a stock EVM, what every transaction pays included."""
    lines = []
    for model in GAS_MODELS:
        theirs, ours = (evm.get(model, {}).get(key) or {} for key in ("ezkl", "ours"))
        less = times(ratio(theirs.get("gas"), ours.get("gas")))
        failed = theirs.get("failed", "").replace("|", "/")
        lines.append([model, failed or number(theirs.get("gas")), number(ours.get("gas")), less, f"<= {GAS:,}"])
    return table(["model", "EZKL, gas", "ours, gas", "times less", "goal"], lines)


def everything(rows):
    """Each measurement: instruction sets beside each other, and batches."""
    order = lambda r: (r["model"], MODES.index(r["mode"]), r.get("batch") or 0, SIMD.index(r["simd"]))
    lines = []
    for row in sorted(rows, key=order):
        measured = [number(row.get("prove_cpu_s")), number(each_s(row)), number(row.get("verify_ms"))]
        sizes = [kilobytes(row.get("proof_bytes")), number(row.get("peak_mb"))]
        lines.append([row["model"], row["mode"], row["simd"], str(row.get("batch", ABSENT)), *measured, *sizes])
    head = ["model", "mode", "simd", "batch", "prove, CPU s", "for each, CPU s", "verify, ms", "proof, KB", "peak, MB"]
    return table(head, lines)


# Goals.


def over(what, value, most):
    """A complaint where something measured is more than was promised."""
    return [f"{what}: {number(value)} for {number(most)}"] if value is not None and value > most else []


def goals(models, rows):
    """What was missed, and what could not be judged since it was not measured."""
    missed, open_goals = [], []
    for model in models:
        for mode in MODES:
            row, name = chosen(rows, model, mode), f"{model} {mode}"
            missed += over(f"{name} prove s", row.get("prove_cpu_s"), PROVE_S[model][mode]) if model in PROVE_S else []
            missed += over(f"{name} verify ms", row.get("verify_ms"), VERIFY_MS)
            missed += over(f"{name} proof bytes", row.get("proof_bytes"), PROOF_BYTES[mode])
            missed += over(f"{name} peak MB", row.get("peak_mb"), PEAK_MB)
            missed += over(f"{name} accuracy points", points_lost(row), ACCURACY_POINTS)
            absent = [key for key in JUDGED if row.get(key) is None]
            open_goals += [f"{name} {key}" for key in absent] if row else [name]
    for (model, mode, batch), most in BATCH_S.items():
        value = each_s(chosen(rows, model, mode, batch))
        missed += over(f"{model} {mode} each of {batch}", value, most)
        open_goals += [f"{model} {mode} each of {batch}"] if value is None else []
    return missed, open_goals


def gas_goals(evm):
    """The same of the gas."""
    found = {model: (evm.get(model, {}).get("ours") or {}).get("gas") for model in GAS_MODELS}
    missed = [complaint for model, value in found.items() for complaint in over(f"{model} gas", value, GAS)]
    return missed, [f"{model} gas" for model, value in found.items() if value is None]


def intro(report):
    """Which versions, and on what."""
    if not report:
        return f"EZKL: {ABSENT}."
    machine = report["machine"]
    return (
        f"EZKL {report['versions']['ezkl']} from PyPI, weights fixed, inputs and outputs public, on {machine['cores']} cores of "
        f"{machine['cpu']} with {machine['memory_mb']:,} MB. "
        "EZKL calibrates itself, but for digits-block its scale is given (2^10): its own (2^11) makes a circuit of twice "
        "as many rows, whose proof was too large for the machine on which it was tried. "
        "Ours: the build that `assay` has; the last table has others."
    )


def render(report, rows, evm=()):
    """The whole text."""
    evm = {entry["model"]: entry for entry in evm}
    ezkl = {entry["model"]: entry for entry in (report or {}).get("results", [])}
    models = list(PROVE_S) + sorted({r["model"] for r in rows} - set(PROVE_S))
    missed, unknown = (a + b for a, b in zip(goals(list(PROVE_S), rows), gas_goals(evm)))
    parts = [
        intro(report),
        "Proving one inference:", proving(models, ezkl, rows),
        "Peak memory of the prover:", memory(models, ezkl, rows),
        "Verifying (EZKL's call loads its reference string each time), and the size of a proof:", verifying(models, ezkl, rows),
        "Gas of a check on a stock EVM, by EZKL's own contract and by a Groth16 contract under a setup that one party made "
        "([LIMITS.md](LIMITS.md)):", gas(evm),
        "Accuracy on held-out rows:", accuracy(models, ezkl, rows),
    ]
    if rows:
        parts += ["Predicted by `assay zk quote` and measured:", predictions(models, rows)]
        parts += ["Every measurement of ours:", everything(rows)]
    parts.append(f"Goals missed: {'; '.join(missed) or 'none'}." + (f" Not measured: {'; '.join(unknown)}." if unknown else ""))
    return "\n\n".join(parts)


def load(path):
    """A JSON file, or None where it was not made."""
    return json.loads(path.read_text()) if path and path.exists() else None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ezkl", type=pathlib.Path, help="what ezkl_bench.py printed")
    parser.add_argument("--ours", type=pathlib.Path, help="our results, as above")
    parser.add_argument("--evm", type=pathlib.Path, help="what contracts/proof_gas.mjs printed")
    arguments = parser.parse_args()
    print(render(load(arguments.ezkl), load(arguments.ours) or [], load(arguments.evm) or []))


if __name__ == "__main__":
    main()
