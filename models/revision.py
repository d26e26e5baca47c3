"""Writes one revision directory: the ONNX file, its card, its test vectors and the canonical manifest.

The manifest's bytes are JSON with sorted keys and no white space; `assay-inference` defines and checks that form.
The reference outputs are what onnxruntime computes, one thread, from exactly the file that is written.
"""

import json
import pathlib

import numpy as np
import onnx
import onnxruntime
from blake3 import blake3

ROOT = pathlib.Path(__file__).resolve().parent
DTYPES = {1: "f32", 11: "f64", 7: "i64", 6: "i32", 9: "bool", 8: "string", 2: "u8"}


def session(path):
    """An onnxruntime session that uses one thread, the CPU and the file as it is."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def plain(value, labels):
    """A list of {label: score} rows (ZipMap) becomes the score matrix in label order; a tensor stays as it is."""
    if isinstance(value, list):
        return np.array([[row[label] for label in labels] for row in value], dtype=np.float32)
    return np.asarray(value)


def reference(path, inputs):
    """onnxruntime's outputs as tensors, in the order of the graph's outputs."""
    run = session(path)
    results = run.run(None, dict(zip([i.name for i in run.get_inputs()], inputs)))
    labels = []
    for value in results:
        if isinstance(value, list):
            labels = list(value[0].keys())
    return [plain(value, labels) for value in results]


def signature(values, arrays):
    """The manifest's signature rows: a dimension is a number, a name, or null where the model does not say."""
    rows = []
    for value, array in zip(values, arrays):
        kind = value.type.WhichOneof("value")
        if kind == "tensor_type":
            dtype = DTYPES[value.type.tensor_type.elem_type]
            shape = []
            for dim in value.type.tensor_type.shape.dim:
                which = dim.WhichOneof("value")
                shape.append(dim.dim_value if which == "dim_value" else (dim.dim_param or None) if which else None)
        else:  # ZipMap: Assay passes the score matrix through
            dtype, shape = "f32", [None, int(array.shape[1])]
        rows.append({"dtype": dtype, "name": value.name, "shape": shape})
    return rows


def write(name, model, inputs, task, card, labels=None, data_licence="", more=None):
    """Writes models/NAME and returns the reference outputs of `inputs` (a list of arrays, one per graph input).

    `more` are arrays for further npy files of the revision, by path.
    """
    where = ROOT / name
    (where / "test").mkdir(parents=True, exist_ok=True)
    onnx.checker.check_model(model)
    (where / "model.onnx").write_bytes(model.SerializeToString(deterministic=True))
    outputs = reference(where / "model.onnx", inputs)
    for old in (where / "test").glob("*.npy"):
        old.unlink()
    for index, array in enumerate(inputs):
        np.save(where / "test" / f"input.{index}.npy", array)
    for index, array in enumerate(outputs):
        np.save(where / "test" / f"output.{index}.npy", array.astype(str) if array.dtype == object else array)
    for path, array in (more or {}).items():
        (where / path).parent.mkdir(exist_ok=True)
        np.save(where / path, array)
    operators = sorted({(n.domain + ":" if n.domain else "") + n.op_type for n in model.graph.node})
    opsets = ", ".join(f"{o.domain or 'ai.onnx'} {o.version}" for o in model.opset_import)
    (where / "README.md").write_text(
        f"# {name}\n\n{card}\n\n"
        f"- Operators: {', '.join(operators)}\n"
        f"- Exported for {opsets}\n"
        f"- `test/`: {len(inputs[0])} held-out rows and what onnxruntime {onnxruntime.__version__} answers to them\n"
        f"- Data: {data_licence}\n"
    )
    files = []
    for path in sorted(p for p in where.rglob("*") if p.is_file() and p.name != "manifest.json"):
        body = path.read_bytes()
        files.append({"blake3": blake3(body).hexdigest(), "path": path.relative_to(where).as_posix(), "size": len(body)})
    manifest = {
        "engine": "onnx",
        "files": sorted(files, key=lambda f: f["path"]),
        "format": 1,
        "inputs": signature(model.graph.input, inputs),
        "licence": "MIT OR Apache-2.0",
        "name": name,
        "outputs": signature(model.graph.output, outputs),
        "task": task,
    }
    if labels:
        manifest["labels"] = [str(label) for label in labels]
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    (where / "manifest.json").write_bytes(text.encode())
    size = sum(f["size"] for f in files)
    print(f"{name:24s} {size // 1024:6d} KiB  {', '.join(operators)}", flush=True)
    return outputs
