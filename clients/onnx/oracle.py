"""onnxruntime against the corpus and against Assay's engine, as programs that know nothing of each other.

    python oracle.py RUN_MODEL [MODELS]

RUN_MODEL is the built example `run_model` of crates/inference. For each model: onnxruntime runs the committed inputs
and must reproduce the committed outputs, and RUN_MODEL must give outputs within 1e-4 of them (trees: 1e-5 of the range), the same classes, and
npy files that numpy reads: once with its own executor and once through this very onnxruntime. Exit status 0 only if all of it holds.
"""

import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime


def session(path):
    """One thread on the CPU."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def matrix(value):
    """ZipMap's rows of {label: score} as a matrix."""
    if isinstance(value, list):
        return np.array([list(row.values()) for row in value], dtype=np.float32)
    return np.asarray(value)


def numbered(folder, kind):
    """The test vectors of a kind, in order."""
    return [np.load(path) for path in sorted(folder.glob(f"{kind}.*.npy"), key=lambda p: int(p.suffixes[0][1:]))]


def is_forest(path):
    """Trees compare exactly and only add: their error is one of the output's range, not of each small probability."""
    return any(node.op_type.startswith("TreeEnsemble") for node in onnx.load(path).graph.node)


def is_zipped(path):
    """Whether an output is a map."""
    return any(node.op_type == "ZipMap" for node in onnx.load(path).graph.node)


def differs(ours, theirs, relative, floor):
    """None, or the largest difference in words; values below `floor` of the range count as that."""
    if ours.shape != theirs.shape:
        return f"shape {ours.shape} for {theirs.shape}"
    if theirs.dtype.kind != "f":
        return None if (ours.astype(str) == theirs.astype(str)).all() else "classes differ"
    scale = float(np.abs(theirs).max()) if theirs.size else 0.0
    error = np.abs(ours.astype(np.float64) - theirs) / np.maximum(np.abs(theirs), max(floor * scale, 1e-30))
    worst = float(error.max()) if error.size else 0.0
    return f"relative difference {worst:.2e}" if worst > relative else None


def library():
    """The shared library inside the Python package."""
    found = sorted((pathlib.Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime.so*"))
    return found[0]


def ours(program, folder, count, *options):
    """The outputs of Assay's engine."""
    with tempfile.TemporaryDirectory() as scratch:
        target = pathlib.Path(scratch) / "out.npy"
        inputs = sorted(folder.glob("test/input.*.npy"), key=lambda p: int(p.suffixes[0][1:]))
        subprocess.run([program, *options, folder, *inputs, target], check=True, stderr=subprocess.PIPE, text=True)
        return [np.load(target if i == 0 else target.with_name(f"out.{i}.npy")) for i in range(count)]


def check(program, folder):
    """Complaints about one model."""
    run = session(folder / "model.onnx")
    inputs, committed = numbered(folder / "test", "input"), numbered(folder / "test", "output")
    passed = [array.astype(object) if array.dtype.kind == "U" else array for array in inputs]
    fresh = [matrix(value) for value in run.run(None, dict(zip([i.name for i in run.get_inputs()], passed)))]
    relative, floor = (1e-5, 1.0) if is_forest(folder / "model.onnx") else (1e-4, 1e-3)
    complaints = [f"onnxruntime, output {i}: {c}" for i, (a, b) in enumerate(zip(fresh, committed)) if (c := differs(a, b, relative, floor))]
    # The library gives ZipMap's rows as maps, in no order that a tensor could have: such a model is refused.
    zipped = is_zipped(folder / "model.onnx")
    for name, options in (("assay", []), ("assay through onnxruntime", ["--onnxruntime", library()])):
        try:
            answers = ours(program, folder, len(committed), *options)
        except subprocess.CalledProcessError as failure:
            if not (options and zipped and "without ZipMap" in failure.stderr):
                complaints.append(f"{name}: {failure.stderr.strip()}")
            continue
        if options and zipped:
            complaints.append(f"{name}: it took a model whose output is a map")
        complaints += [f"{name}, output {i}: {c}" for i, (a, b) in enumerate(zip(answers, fresh)) if (c := differs(a, b, relative, floor))]
    return complaints


def main():
    program = pathlib.Path(sys.argv[1]).resolve()
    here = pathlib.Path(__file__).resolve().parent
    models = pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else here / "../../models"
    folders = sorted(path.parent for path in models.resolve().glob("*/model.onnx"))
    failed = 0
    for folder in folders:
        complaints = check(program, folder)
        failed += bool(complaints)
        print(f"{'FAIL' if complaints else 'ok  '} {folder.name} {'; '.join(complaints)}")
    print(f"{len(folders) - failed} of {len(folders)} models agree with onnxruntime {onnxruntime.__version__}")
    print(f"{len(folders) - failed} passed, {failed} failed")
    return 1 if failed or not folders else 0


if __name__ == "__main__":
    sys.exit(main())
