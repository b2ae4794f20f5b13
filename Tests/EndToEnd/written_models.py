"""Small models for checks of written files, each with its data. Weights are random with a fixed seed."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

BATCH = 8


class Builder:
    """Collects nodes and initialisers; every node is named after its first output."""

    def __init__(self, seed=3):
        self.nodes, self.initialisers = [], []
        self.random = np.random.default_rng(seed)

    def weight(self, name, *shape):
        scale = 1 / np.sqrt(max(1, int(np.prod(shape[1:]))))
        return self.constant(name, (self.random.normal(size=shape) * scale).astype(np.float32))

    def constant(self, name, array):
        self.initialisers.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def integers(self, name, *numbers):
        return self.constant(name, np.array(numbers, np.int64))

    def add(self, operation, inputs, output, **attributes):
        outputs = [output] if isinstance(output, str) else output
        self.nodes.append(helper.make_node(operation, inputs, outputs, name=outputs[0], **attributes))
        return outputs[0]

    def save(self, folder, name, inputs, outputs, data, opset=17):
        """Writes NAME.onnx and NAME.npz; inputs and outputs are (name, type, shape). Returns both paths."""
        ports = [[helper.make_tensor_value_info(*port) for port in side] for side in (inputs, outputs)]
        graph = helper.make_graph(self.nodes, name, *ports, self.initialisers)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
        onnx.checker.check_model(model)
        onnx.save(model, f"{folder}/{name}.onnx")
        np.savez(f"{folder}/{name}.npz", **data)
        return f"{folder}/{name}.onnx", f"{folder}/{name}.npz"

    def tokens(self, count, length, vocabulary=11):
        return self.random.integers(0, vocabulary, (count, length)).astype(np.int64)


def two_lengths(folder, mask_axis="t_mask"):
    """`ids` [b, t] and `mask` [b, t_mask], which must agree: the sum of embeddings times the mask."""
    build = Builder()
    build.weight("table", 11, 6)
    build.weight("w", 6, 6)
    build.weight("v", 6, 3)
    build.integers("last", 2)
    build.integers("axis", 1)
    build.add("Gather", ["table", "ids"], "e")
    build.add("MatMul", ["e", "w"], "h")
    build.add("Relu", ["h"], "r")
    build.add("Cast", ["mask"], "m", to=TensorProto.FLOAT)
    build.add("Unsqueeze", ["m", "last"], "mm")
    build.add("Mul", ["r", "mm"], "k")
    build.add("Add", ["k", "e"], "s")
    build.add("Softmax", ["s"], "p", axis=1)
    build.add("Mul", ["p", "s"], "q")
    build.add("ReduceSum", ["q", "axis"], "pooled", keepdims=0)
    build.add("MatMul", ["pooled", "v"], "y")
    ids = build.tokens(BATCH, 7)
    return build.save(
        folder, "two-lengths",
        [("ids", TensorProto.INT64, ["b", "t"]), ("mask", TensorProto.INT64, ["b", mask_axis])],
        [("y", TensorProto.FLOAT, ["b", 3])], {"ids": ids, "mask": (ids > 2).astype(np.int64)})


def position_table(folder):
    """Positions up to 9 from a table; lengths may only be shorter than that. The axes have no names."""
    build = Builder()
    build.weight("table", 11, 6)
    build.weight("positions", 9, 6)
    build.weight("w", 6, 6)
    build.weight("v", 6, 3)
    for name, number in [("zero", 0), ("one", 1)]:
        build.integers(name, number)
    build.add("Gather", ["table", "ids"], "e")
    build.add("Shape", ["ids"], "shape")
    build.add("Slice", ["shape", "one", "two", "zero"], "t")
    build.integers("two", 2)
    build.add("Slice", ["positions", "zero", "t", "zero"], "p")
    build.add("Add", ["e", "p"], "x")
    build.add("MatMul", ["x", "w"], "h")
    build.add("Tanh", ["h"], "a")
    build.add("Transpose", ["a"], "at", perm=[0, 2, 1])
    build.add("MatMul", ["a", "at"], "scores")
    build.add("Softmax", ["scores"], "share", axis=2)
    build.add("MatMul", ["share", "x"], "c")
    build.add("Add", ["c", "x"], "s")
    build.add("MatMul", ["s", "v"], "y")
    return build.save(
        folder, "position-table", [("ids", TensorProto.INT64, [None, None])],
        [("y", TensorProto.FLOAT, [None, None, 3])], {"ids": build.tokens(BATCH, 9)})


def cached(folder, past=4):
    """One attention layer with a key-value cache: `mask` is as long as the past and the present together."""
    build = Builder()
    build.weight("table", 11, 8)
    for name in ("wq", "wk", "wv", "wo"):
        build.weight(name, 8, 8)
    build.weight("head", 8, 3)
    build.integers("heads", 0, 0, 2, 4)
    build.integers("whole", 0, 0, 8)
    build.integers("mid", 1, 2)
    build.constant("one", np.float32(1))
    build.constant("low", np.float32(-1e4))
    build.add("Gather", ["table", "ids"], "x")
    for name in "qkv":
        build.add("MatMul", ["x", "w" + name], name)
        build.add("Reshape", [name, "heads"], name + "h")
        build.add("Transpose", [name + "h"], name + "t", perm=[0, 2, 1, 3])
    build.add("Concat", ["past.key", "kt"], "present.key", axis=2)
    build.add("Concat", ["past.value", "vt"], "present.value", axis=2)
    build.add("Transpose", ["present.key"], "kk", perm=[0, 1, 3, 2])
    build.add("MatMul", ["qt", "kk"], "scores")
    build.add("Cast", ["mask"], "mf", to=TensorProto.FLOAT)
    build.add("Unsqueeze", ["mf", "mid"], "mu")
    build.add("Sub", ["one", "mu"], "hidden")
    build.add("Mul", ["hidden", "low"], "bias")
    build.add("Add", ["scores", "bias"], "masked")
    build.add("Softmax", ["masked"], "share", axis=3)
    build.add("MatMul", ["share", "present.value"], "o")
    build.add("Transpose", ["o"], "ot", perm=[0, 2, 1, 3])
    build.add("Reshape", ["ot", "whole"], "of")
    build.add("MatMul", ["of", "wo"], "out")
    build.add("Add", ["out", "x"], "s")
    build.add("MatMul", ["s", "head"], "y")
    cache = ["b", 2, "past", 4]
    data = {
        "ids": build.tokens(BATCH, 3), "mask": np.ones((BATCH, past + 3), np.int64),
        "past.key": build.random.normal(size=(BATCH, 2, past, 4)).astype(np.float32),
        "past.value": build.random.normal(size=(BATCH, 2, past, 4)).astype(np.float32)}
    return build.save(
        folder, f"cached-{past}",
        [("ids", TensorProto.INT64, ["b", "t"]), ("mask", TensorProto.INT64, ["b", "all"]),
         ("past.key", TensorProto.FLOAT, cache), ("past.value", TensorProto.FLOAT, cache)],
        [("y", TensorProto.FLOAT, ["b", "t", 3]), ("present.key", TensorProto.FLOAT, ["b", 2, "all", 4])], data)


def detector(folder):
    """Like YOLO's head: boxes and classes joined, then reshaped to sizes that are computed from their own."""
    build = Builder()
    for name, numbers in [("zero", [0]), ("one", [1]), ("six", [6]), ("h", [2]), ("w", [3]), ("parts", [4, 2])]:
        build.integers(name, *numbers)

    def layer(x, name, inputs, outputs, kernel=3, stride=1, ends=True):
        build.weight(name + ".w", outputs, inputs, kernel, kernel)
        build.weight(name + ".b", outputs)
        y = build.add(
            "Conv", [x, name + ".w", name + ".b"], name, strides=[stride] * 2, pads=[kernel // 2] * 4)
        return y if ends else build.add("Relu", [y], name + ".r")

    first = layer("image", "stem", 3, 8, stride=2, ends=False)
    second = layer(first, "down", 8, 8, stride=2, ends=False)
    flat = []
    for name, x in [("p1", first), ("p2", second)]:
        box = layer(layer(x, name + ".box1", 8, 8, ends=False), name + ".box", 8, 4, kernel=1)
        score = layer(layer(x, name + ".cls1", 8, 8, ends=False), name + ".cls", 8, 2, kernel=1)
        build.add("Concat", [box, score], name + ".cat", axis=1)
        build.add("Shape", [name + ".cat"], name + ".shape")
        build.add("Slice", [name + ".shape", "zero", "one", "zero"], name + ".n")
        build.add("Gather", [name + ".shape", "h"], name + ".h")
        build.add("Gather", [name + ".shape", "w"], name + ".width")
        build.add("Mul", [name + ".h", name + ".width"], name + ".hw")
        build.add("Concat", [name + ".n", "six", name + ".hw"], name + ".target", axis=0)
        flat.append(build.add("Reshape", [name + ".cat", name + ".target"], name + ".flat"))
    build.add("Concat", flat, "all", axis=2)
    build.add("Split", ["all", "parts"], ["boxes", "scores"], axis=1)
    build.add("Sigmoid", ["scores"], "likely")
    build.add("Concat", ["boxes", "likely"], "y", axis=1)
    images = build.random.normal(size=(BATCH, 3, 16, 20)).astype(np.float32)
    return build.save(
        folder, "detector", [("image", TensorProto.FLOAT, ["n", 3, "height", "width"])],
        [("y", TensorProto.FLOAT, ["n", 6, None])], {"image": images})


def normalised_attention(folder):
    """Attention by cosine, as in Swin v2: x / max(|x|, ε); without numerator and norm of one side it is 0 / 0."""
    build = Builder()
    for name in ("wq", "wk", "wv"):
        build.weight(name, 6, 6)
    build.weight("head", 6, 3)
    build.constant("floor", np.float32(1e-12))
    build.integers("axis", 1)
    for name in "qk":
        build.add("MatMul", ["x", "w" + name], name)
        build.add("ReduceL2", [name], name + ".norm", axes=[-1], keepdims=1)
        build.add("Max", [name + ".norm", "floor"], name + ".size")
        build.add("Div", [name, name + ".size"], name + ".unit")
    build.add("Transpose", ["k.unit"], "kt", perm=[0, 2, 1])
    build.add("MatMul", ["q.unit", "kt"], "scores")
    build.add("Softmax", ["scores"], "share", axis=2)
    build.add("MatMul", ["x", "wv"], "value")
    build.add("MatMul", ["share", "value"], "mixed")
    build.add("Add", ["mixed", "x"], "s")
    build.add("ReduceMean", ["s"], "pooled", axes=[1], keepdims=0)
    build.add("MatMul", ["pooled", "head"], "y")
    data = build.random.normal(size=(BATCH, 5, 6)).astype(np.float32)
    return build.save(
        folder, "normalised-attention", [("x", TensorProto.FLOAT, ["b", 5, 6])],
        [("y", TensorProto.FLOAT, ["b", 3])], {"x": data})


def half_precision(folder):
    """A residual block with SiLU, all in float16."""
    build = Builder()
    half = {}
    for name, shape in [("w1", (8, 32)), ("b1", (32,)), ("w2", (32, 8)), ("head", (8, 4))]:
        half[name] = (build.random.normal(size=shape) / np.sqrt(shape[0])).astype(np.float16)
        build.constant(name, half[name])
    build.add("MatMul", ["x", "w1"], "a")
    build.add("Add", ["a", "b1"], "h")
    build.add("Sigmoid", ["h"], "g")
    build.add("Mul", ["h", "g"], "silu")
    build.add("MatMul", ["silu", "w2"], "o")
    build.add("Add", ["x", "o"], "s")
    build.add("MatMul", ["s", "head"], "y")
    data = build.random.normal(size=(32, 8)).astype(np.float16)
    return build.save(
        folder, "half-precision", [("x", TensorProto.FLOAT16, ["b", 8])],
        [("y", TensorProto.FLOAT16, ["b", 4])], {"x": data})


def tied(folder):
    """One table as embedding and, transposed, as the last layer's weights, which read a half-removed Concat."""
    build = Builder()
    build.weight("table", 40, 64)
    build.weight("wa", 64, 32)
    build.weight("wb", 64, 32)
    build.add("Gather", ["table", "ids"], "e")
    build.add("MatMul", ["e", "wa"], "a")
    build.add("MatMul", ["e", "wb"], "b")
    build.add("Concat", ["a", "b"], "c", axis=2)
    build.add("ReduceMean", ["c"], "pooled", axes=[1], keepdims=0)
    build.add("Gemm", ["pooled", "table"], "y", transB=1)
    return build.save(
        folder, "tied", [("ids", TensorProto.INT64, ["b", 5])], [("y", TensorProto.FLOAT, ["b", 40])],
        {"ids": build.tokens(BATCH, 5, 40)})
