"""Writes one small ONNX model per operator and form, with inputs and onnxruntime's answers, for crates/tensor/tests/it/operators.rs.

    python operators.py ../../crates/tensor/tests/operators

Each NAME.onnx has one node. All tensors are in data.onnx as constants, named NAME.in.0, NAME.out.0 and so on.
"""

import pathlib
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

RNG = np.random.default_rng(7)
F, D, I, J, B = np.float32, np.float64, np.int64, np.int32, np.bool_
CASES = []


def reals(*shape, dtype=F):
    """Normal numbers, in f32 precision."""
    return RNG.standard_normal(shape).astype(F).astype(dtype)


def ints(*values):
    return np.array(values, dtype=I)


def case(name, op, inputs, outputs=1, opset=17, domain="", constant=(), **attributes):
    """A case; `constant` lists the inputs that are stored in the model instead of being passed."""
    CASES.append((name, op, inputs, outputs, opset, domain, constant, attributes))


def elementwise():
    """Functions of one or two elements."""
    for op in ["Abs", "Neg", "Relu", "Sigmoid", "Tanh", "Erf", "Exp", "Floor", "Ceil", "LeakyRelu", "Sqrt", "Log", "Reciprocal"]:
        x = reals(3, 5) * 2
        case(op.lower(), op, [np.abs(x) + F(0.01) if op in ("Sqrt", "Log") else x])
    case("tanh_f64", "Tanh", [reals(7, dtype=D)], opset=13)
    case("gelu", "Gelu", [reals(4, 4)], opset=20)
    case("gelu_tanh", "Gelu", [reals(4, 4)], opset=20, approximate="tanh")
    for op in ["Add", "Sub", "Mul", "Div", "Min", "Max"]:
        case(f"{op.lower()}_broadcast", op, [reals(2, 3, 1), reals(1, 4)])
    case("div_i64", "Div", [ints(7, -7, 9), ints(2, 2, -4)])
    case("add_i32", "Add", [np.array([1, -2], J), np.array([5], J)])
    case("max_three", "Max", [reals(3), reals(2, 3), reals(1)])
    case("pow", "Pow", [np.abs(reals(3, 2)), reals(2)])
    case("pow_int", "Pow", [reals(4), ints(3)])
    case("clip", "Clip", [reals(3, 3), np.array(-0.5, F), np.array(0.5, F)])
    case("clip_attributes", "Clip", [reals(3, 3)], opset=7, min=-0.3, max=0.2)
    for op in ["Greater", "Less", "Equal", "GreaterOrEqual", "LessOrEqual"]:
        case(op.lower(), op, [ints(1, 2, 3), ints(3, 2, 1)])
    case("and", "And", [np.array([True, True, False]), np.array([[True], [False]])])
    case("or", "Or", [np.array([True, False]), np.array([False, False])])
    case("not", "Not", [np.array([True, False])])
    case("where", "Where", [np.array([[True], [False]]), reals(2, 3), reals(3)])
    case("cast_f32_i64", "Cast", [reals(5) * 3], to=7)
    case("cast_i64_f64", "Cast", [ints(1, -5)], to=11)
    case("cast_f32_bool", "Cast", [np.array([0, 1.5], F)], to=9)
    case("cast_bool_u8", "Cast", [np.array([True, False])], to=2)


def layout():
    """Shapes and parts."""
    x = reals(2, 3, 4)
    case("reshape", "Reshape", [x, ints(0, -1)])
    case("reshape_constant", "Reshape", [x, ints(4, -1, 2)], constant=(1,))
    case("flatten_2", "Flatten", [x], axis=2)
    case("flatten_negative", "Flatten", [x], axis=-2)
    case("transpose", "Transpose", [x], perm=[2, 0, 1])
    case("transpose_reverse", "Transpose", [x])
    case("squeeze", "Squeeze", [reals(1, 3, 1), ints(0)])
    case("squeeze_all", "Squeeze", [reals(1, 3, 1)])
    case("squeeze_attribute", "Squeeze", [reals(1, 3, 1)], opset=11, axes=[-1])
    case("unsqueeze", "Unsqueeze", [reals(3), ints(0, -1)])
    case("unsqueeze_attribute", "Unsqueeze", [reals(3)], opset=11, axes=[1])
    case("concat", "Concat", [reals(2, 1, 3), reals(2, 2, 3)], axis=1)
    case("split", "Split", [reals(2, 7), ints(3, 4)], outputs=2, axis=1)
    case("split_equal", "Split", [reals(6, 2)], outputs=3, opset=13)
    case("split_uneven", "Split", [reals(7)], outputs=3, opset=18, num_outputs=3)
    case("slice", "Slice", [x, ints(1, -3), ints(9, -1), ints(1, 2)])
    case("slice_steps", "Slice", [reals(9), ints(-1), ints(-100), ints(0), ints(-3)])
    case("slice_two_steps", "Slice", [reals(5, 6), ints(4, 0), ints(0, 6), ints(0, 1), ints(-2, 4)])
    case("slice_attribute", "Slice", [x], opset=9, starts=[1], ends=[3], axes=[1])
    case("gather", "Gather", [x, ints(2, -1)], axis=1)
    case("gather_scalar", "Gather", [x, np.array(1, I)], axis=2)
    case("gather_matrix", "Gather", [reals(5, 2), np.array([[0, 4], [2, 2]], I)])
    case("expand", "Expand", [reals(3, 1), ints(2, 1, 4)])
    case("pad", "Pad", [reals(2, 3), ints(0, 1, 2, 0), np.array(7, F)])
    case("pad_negative", "Pad", [reals(4, 3), ints(-1, 0, 0, 1)])
    case("pad_reflect", "Pad", [reals(2, 4), ints(0, 3, 0, 2)], mode="reflect")
    case("pad_edge", "Pad", [reals(2, 3), ints(1, 0, 0, 2)], mode="edge")
    case("pad_axes", "Pad", [reals(2, 3), ints(1, 2), np.array(0.5, F), ints(1)], opset=18)
    case("shape", "Shape", [x])
    case("shape_part", "Shape", [x], start=-2, end=3)
    case("constant_of_shape", "ConstantOfShape", [ints(2, 3)], value=helper.make_tensor("v", 7, [1], [5]))
    case("identity", "Identity", [x])
    case("dropout", "Dropout", [x])


def sums():
    """Products, reductions and normalisations."""
    case("matmul", "MatMul", [reals(3, 20), reals(20, 18)])
    case("matmul_constant", "MatMul", [reals(2, 3, 7), reals(7, 33)], constant=(1,))
    case("matmul_batch", "MatMul", [reals(2, 1, 3, 5), reals(4, 5, 2)])
    case("matmul_row", "MatMul", [reals(5), reals(5, 3)])
    case("matmul_column", "MatMul", [reals(2, 4, 5), reals(5)])
    case("matmul_inner", "MatMul", [reals(5), reals(5)])
    case("matmul_f64", "MatMul", [reals(3, 5, dtype=D), reals(5, 4, dtype=D)])
    case("gemm", "Gemm", [reals(3, 5), reals(5, 4), reals(4)])
    case("gemm_turned", "Gemm", [reals(5, 3), reals(4, 5), reals(3, 1)], transA=1, transB=1, alpha=0.5, beta=2.0)
    case("gemm_constant", "Gemm", [reals(3, 5), reals(4, 5), reals(4)], transB=1, constant=(1, 2))
    case("gemm_plain", "Gemm", [reals(3, 5), reals(5, 4)])
    for op in ["Sum", "Mean", "Max", "Min", "L2", "SumSquare", "LogSumExp"]:
        where = {"axes": [0, 2]} if op != "Sum" else {}
        extra = [ints(0, 2)] if op == "Sum" else []
        case(f"reduce_{op.lower()}", f"Reduce{op}", [reals(3, 4, 19)] + extra, **where)
    case("reduce_all", "ReduceMean", [reals(3, 4)], keepdims=0)
    case("reduce_noop", "ReduceSum", [reals(3, 4), np.array([], I)], noop_with_empty_axes=1)
    case("reduce_i64", "ReduceSum", [np.arange(6, dtype=I).reshape(2, 3), ints(1)], keepdims=0)
    case("reduce_max_18", "ReduceMax", [reals(3, 4), ints(-1)], opset=18)
    case("softmax", "Softmax", [reals(3, 4)])
    case("softmax_axis", "Softmax", [reals(3, 4, 2)], axis=1)
    case("softmax_flat", "Softmax", [reals(3, 4, 2)], opset=11, axis=1)
    case("softmax_f64", "Softmax", [reals(2, 5, dtype=D)])
    case("log_softmax", "LogSoftmax", [reals(3, 4) * 30])
    moments = [reals(3), reals(3), reals(3), np.abs(reals(3)) + F(0.1)]
    case("batch_normalization", "BatchNormalization", [reals(2, 3, 4, 4), *moments])
    case("batch_normalization_rows", "BatchNormalization", [reals(5, 3), *moments])
    case("layer_normalization", "LayerNormalization", [reals(2, 3, 8), reals(8), reals(8)])
    case("layer_normalization_axis", "LayerNormalization", [reals(2, 3, 8), reals(3, 8)], axis=1, epsilon=0.01)
    case("argmax", "ArgMax", [reals(3, 4)], axis=1)
    case("argmax_last", "ArgMax", [ints(1, 3, 3, 2)], axis=0, select_last_index=1, keepdims=0)
    case("argmin", "ArgMin", [reals(3, 4)], axis=0, keepdims=0)
    case("topk", "TopK", [reals(3, 6), ints(2)], outputs=2)
    case("topk_least", "TopK", [ints(3, 1, 2, 1).reshape(4, 1), ints(3)], outputs=2, axis=0, largest=0)


def windows():
    """Convolution and pooling."""
    case("conv", "Conv", [reals(2, 3, 7, 9), reals(5, 3, 3, 3), reals(5)], pads=[1, 1, 1, 1])
    case("conv_constant", "Conv", [reals(1, 2, 20, 20), reals(4, 2, 3, 3)], constant=(1,))
    case("conv_stride", "Conv", [reals(1, 3, 9, 10), reals(4, 3, 3, 2)], strides=[2, 3], pads=[0, 1, 2, 1])
    case("conv_dilation", "Conv", [reals(1, 2, 9, 9), reals(3, 2, 3, 3)], dilations=[2, 3])
    case("conv_group", "Conv", [reals(1, 4, 6, 6), reals(6, 2, 3, 3), reals(6)], group=2)
    case("conv_depthwise", "Conv", [reals(2, 3, 5, 5), reals(3, 1, 3, 3)], group=3, pads=[1, 1, 1, 1])
    case("conv_same_upper", "Conv", [reals(1, 1, 6, 7), reals(2, 1, 4, 3)], auto_pad="SAME_UPPER", strides=[2, 2])
    case("conv_same_lower", "Conv", [reals(1, 1, 6, 7), reals(2, 1, 4, 4)], auto_pad="SAME_LOWER")
    case("conv_valid", "Conv", [reals(1, 1, 6, 7), reals(2, 1, 4, 3)], auto_pad="VALID")
    case("conv_1d", "Conv", [reals(2, 3, 11), reals(4, 3, 5), reals(4)], strides=[2], pads=[2, 1])
    case("conv_point", "Conv", [reals(1, 8, 4, 4), reals(3, 8, 1, 1)])
    case("maxpool", "MaxPool", [reals(1, 2, 7, 7)], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    case("maxpool_ceil", "MaxPool", [reals(1, 2, 7, 8)], kernel_shape=[2, 3], strides=[2, 2], ceil_mode=1)
    case("maxpool_dilation", "MaxPool", [reals(1, 1, 8, 8)], kernel_shape=[2, 2], dilations=[3, 2])
    case("maxpool_1d", "MaxPool", [reals(1, 2, 9)], kernel_shape=[2], strides=[2])
    case("averagepool", "AveragePool", [reals(1, 2, 6, 7)], kernel_shape=[3, 2], strides=[2, 1], pads=[1, 0, 1, 1])
    case("averagepool_include", "AveragePool", [reals(1, 2, 6, 7)], kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1)
    case("global_average", "GlobalAveragePool", [reals(2, 3, 4, 5)])
    case("global_max", "GlobalMaxPool", [reals(2, 3, 4, 5)])


def classical():
    """The operators of ai.onnx.ml."""
    ml = {"domain": "ai.onnx.ml", "opset": 3}
    x = reals(5, 3)
    case("scaler", "Scaler", [x], offset=[1.0, 2.0, 3.0], scale=[0.5, 2.0, 1.0], **ml)
    case("scaler_one", "Scaler", [x], offset=[1.0], scale=[0.5], **ml)
    case("scaler_i64", "Scaler", [ints(1, 2, 3).reshape(1, 3)], offset=[1.0, 2.0, 3.0], scale=[0.5, 2.0, 1.0], **ml)
    for norm in ["MAX", "L1", "L2"]:
        case(f"normalizer_{norm.lower()}", "Normalizer", [np.abs(reals(4, 9)) if norm == "MAX" else reals(4, 9)], norm=norm, **ml)
    weights = [float(v) for v in reals(9)]
    for post in ["NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO"]:
        case(f"linear_classifier_{post.lower()}", "LinearClassifier", [x], outputs=2, coefficients=weights,
             intercepts=[0.1, -0.2, 0.3], classlabels_ints=[3, 7, 9], post_transform=post, multi_class=1, **ml)
    case("linear_regressor", "LinearRegressor", [x], coefficients=weights[:6], intercepts=[1.0, -1.0], targets=2, **ml)
    case("array_feature_extractor", "ArrayFeatureExtractor", [x, ints(2, 0)], **ml)
    case("label_encoder", "LabelEncoder", [ints(4, 5, 6)], keys_int64s=[4, 5], values_floats=[0.5, 1.5], default_float=-1.0, **ml)
    case("label_encoder_text", "LabelEncoder", [np.array(["b", "x"], dtype=object)], keys_strings=["a", "b"],
         values_int64s=[1, 2], default_int64=9, **ml)
    case("one_hot", "OneHotEncoder", [np.array([["b"], ["x"]], dtype=object)], cats_strings=["a", "b"], zeros=1, **ml)
    trees()


def trees():
    """Ensembles of two trees with every comparison that exporters write."""
    x = reals(6, 3)
    nodes = {
        "nodes_treeids": [0, 0, 0, 0, 0, 1, 1, 1], "nodes_nodeids": [0, 1, 2, 3, 4, 0, 1, 2],
        "nodes_featureids": [0, 1, 0, 0, 0, 2, 0, 0], "nodes_values": [0.0, 0.5, 0.0, 0.0, 0.0, -0.2, 0.0, 0.0],
        "nodes_hitrates": [1.0] * 8, "nodes_truenodeids": [1, 3, 0, 0, 0, 1, 0, 0], "nodes_falsenodeids": [2, 4, 0, 0, 0, 2, 0, 0],
        "nodes_missing_value_tracks_true": [0] * 8, "domain": "ai.onnx.ml", "opset": 3,
    }
    modes = lambda mode: [mode, mode, "LEAF", "LEAF", "LEAF", mode, "LEAF", "LEAF"]
    leaves = {"treeids": [0, 0, 0, 1, 1], "nodeids": [2, 3, 4, 1, 2]}
    for mode in ["LEQ", "LT", "GTE", "GT"]:
        case(f"tree_regressor_{mode.lower()}", "TreeEnsembleRegressor", [x], n_targets=1, nodes_modes=modes("BRANCH_" + mode),
             target_treeids=leaves["treeids"], target_nodeids=leaves["nodeids"], target_ids=[0] * 5,
             target_weights=[1.0, -2.0, 0.5, 3.0, 0.25], base_values=[0.125], **nodes)
    votes = {"class_treeids": leaves["treeids"], "class_nodeids": leaves["nodeids"]}
    for name, ids, weights, labels, extra in [
        ("three", [0, 1, 2, 1, 2], [0.5, 0.7, 0.2, 0.4, 0.9], [4, 5, 6], {"post_transform": "SOFTMAX"}),
        ("two", [0, 1, 0, 1, 1], [0.5, 0.7, 0.2, 0.4, 0.9], [0, 1], {}),
        ("probability", [0] * 5, [0.1, 0.3, 0.2, 0.4, 0.1], [0, 1], {}),
        ("margin", [0] * 5, [-0.1, 0.3, -0.2, 0.4, -0.7], [0, 1], {"post_transform": "LOGISTIC"}),
        ("margin_plain", [0] * 5, [-0.1, 0.3, -0.2, 0.4, -0.7], [0, 1], {}),
        ("margin_base", [0] * 5, [-0.1, 0.3, -0.2, 0.4, -0.7], [0, 1], {"post_transform": "LOGISTIC", "base_values": [0.3]}),
        ("margin_second", [1] * 5, [-0.1, 0.3, -0.2, 0.4, -0.7], [0, 1], {"post_transform": "LOGISTIC"}),
    ]:
        case(f"tree_classifier_{name}", "TreeEnsembleClassifier", [x], outputs=2, nodes_modes=modes("BRANCH_LEQ"), class_ids=ids,
             class_weights=weights, classlabels_int64s=labels, **votes, **extra, **nodes)


def build(name, op, inputs, outputs, opset, domain, constant, attributes):
    """The model of one case, its passed inputs and onnxruntime's outputs."""
    names = [f"x{index}" for index in range(len(inputs))]
    results = [f"y{index}" for index in range(outputs)]
    node = helper.make_node(op, names, results, name=name, domain=domain, **attributes)
    kind = lambda array: onnx.TensorProto.STRING if array.dtype == object else helper.np_dtype_to_tensor_dtype(array.dtype)
    passed = [(names[i], array) for i, array in enumerate(inputs) if i not in constant]
    stored = [numpy_helper.from_array(inputs[i], names[i]) for i in constant]
    open_inputs = [helper.make_tensor_value_info(n, kind(a), [None] * a.ndim) for n, a in passed]
    opsets = [helper.make_opsetid("", 17 if domain else opset)] + ([helper.make_opsetid(domain, opset)] if domain else [])

    def model(types):
        values = [helper.make_tensor_value_info(r, t, None) if t else onnx.ValueInfoProto(name=r) for r, t in zip(results, types)]
        return helper.make_model(helper.make_graph([node], name, open_inputs, values, stored), opset_imports=opsets, ir_version=8)

    run = onnxruntime.InferenceSession(model([0] * outputs).SerializeToString(), providers=["CPUExecutionProvider"])
    answers = [np.asarray(a) for a in run.run(None, dict(passed))]
    return model([kind(a) for a in answers]), [a for _, a in passed], answers


def main():
    target = pathlib.Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    for old in target.glob("*.onnx"):
        old.unlink()
    for group in [elementwise, layout, sums, windows, classical]:
        group()
    tensors = []
    for entry in CASES:
        name = entry[0]
        model, inputs, answers = build(*entry)
        (target / f"{name}.onnx").write_bytes(model.SerializeToString(deterministic=True))
        for kind, arrays in [("in", inputs), ("out", answers)]:
            tensors += [numpy_helper.from_array(a, f"{name}.{kind}.{index}") for index, a in enumerate(arrays)]
    outputs = [helper.make_tensor_value_info(t.name, t.data_type, list(t.dims)) for t in tensors]
    data = helper.make_model(helper.make_graph([], "data", [], outputs, tensors), opset_imports=[helper.make_opsetid("", 17)])
    (target / "data.onnx").write_bytes(data.SerializeToString(deterministic=True))
    print(f"{len(CASES)} cases, onnxruntime {onnxruntime.__version__}")


if __name__ == "__main__":
    main()
