"""onnxruntime's latency for one row through every model of the corpus, one thread, as JSON on stdout.

    python bench.py [MODELS] > onnxruntime.json
    python bench.py --beside QUANTISED > ratios.md

The second form measures each model in turns with QUANTISED, the built bench `quantised` of crates/tensor, and prints the
integer executor's time over onnxruntime's: the better of two turns each, `overhead_us` subtracted from none.

The run uses IO binding, so that Python's conversion of arrays is not measured; what is left of Python per call is
measured on an empty model (`overhead_us`) and reported beside, not subtracted. Inputs are the constant 1, as in
crates/tensor/benches/corpus.rs.
"""

import json
import pathlib
import subprocess
import sys
import time

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

TYPES = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(int64)": np.int64}
ROUNDS = 7
ROUND_SECONDS = 0.05
TURNS = 2


def session(source):
    """One thread, sequential."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def one(value):
    """One row of ones."""
    shape = [size if isinstance(size, int) else 1 for size in value.shape]
    if value.type == "tensor(string)":
        return np.full(shape, "one", dtype=object)
    return np.ones(shape, dtype=TYPES[value.type])


def best(call):
    """The best mean of several rounds, in microseconds."""
    call()
    begin = time.perf_counter()
    call()
    count = max(1, int(ROUND_SECONDS / max(time.perf_counter() - begin, 1e-7)))
    means = []
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        for _ in range(count):
            call()
        means.append((time.perf_counter() - begin) / count * 1e6)
    return min(means)


def latency(run):
    """IO binding where every value is numeric and a tensor; the plain call otherwise."""
    inputs = {value.name: one(value) for value in run.get_inputs()}
    numeric = all(array.dtype != object for array in inputs.values())
    tensors = all(value.type.startswith("tensor(") and value.type != "tensor(string)" for value in run.get_outputs())
    if not (numeric and tensors):
        return best(lambda: run.run(None, inputs)), "run"
    binding = run.io_binding()
    for name, array in inputs.items():
        binding.bind_ortvalue_input(name, onnxruntime.OrtValue.ortvalue_from_numpy(array))
    for value in run.get_outputs():
        binding.bind_output(value.name)
    return best(lambda: run.run_with_iobinding(binding)), "run_with_iobinding"


def empty():
    """A model that copies one number: what a call costs by itself."""
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])], "empty",
        [value("x", TensorProto.FLOAT, [1])], [value("y", TensorProto.FLOAT, [1])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return session(model.SerializeToString())


def quantised(program, name):
    """The integer executor's latency in microseconds, None for a model that it cannot run."""
    done = subprocess.run([program, name], capture_output=True, text=True, check=True)
    return float(done.stdout.split()[1]) if done.stdout else None


def beside(program, models):
    """A table of both, measured in turns."""
    print(f"onnxruntime {onnxruntime.__version__}, one thread; about {latency(empty())[0]:.1f} us a call are Python's.\n")
    print("| model | integers, us | onnxruntime, us | ratio |\n| --- | --- | --- | --- |")
    for path in sorted(models.glob("*/model.onnx")):
        turns = [(quantised(program, path.parent.name), latency(session(str(path)))[0]) for _ in range(TURNS)]
        if turns[0][0] is None:
            continue
        ours, theirs = (min(turn[side] for turn in turns) for side in (0, 1))
        print(f"| {path.parent.name} | {ours:.1f} | {theirs:.1f} | {ours / theirs:.2f} |", flush=True)


def main():
    here = pathlib.Path(__file__).resolve().parent
    if sys.argv[1:2] == ["--beside"]:
        beside(sys.argv[2], here / "../../models")
        return
    models = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else here / "../../models"
    report = {"onnxruntime": onnxruntime.__version__, "onnx": onnx.__version__, "overhead_us": round(latency(empty())[0], 3)}
    report["models"] = {}
    for path in sorted(models.glob("*/model.onnx")):
        microseconds, how = latency(session(str(path)))
        report["models"][path.parent.name] = {"us": round(microseconds, 3), "call": how}
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
