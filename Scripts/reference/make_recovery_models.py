#!/usr/bin/env python3
"""Writes small random models on which fits of masks are compared.

    make_recovery_models.py FOLDER

FOLDER/NAME/ gets model.onnx, fit.npz (the input `x`, and of classifiers the unpruned model's own classes as `labels`)
and cuts.json: masks, each a list of "NODE:SLOT". Seeds are fixed. `plain` has no sums, so its cuts take parts of
concatenations. `grouped` ends in a chain of two sums, `depthwise` scales a body. In `batchnorm` one channel of a body
has the factor 0, and a batch norm follows the last sum.
"""

import argparse
import json
import math
import pathlib
import zlib

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from least_squares import Network
from wiring import Wiring

SAMPLES, CLASSES, SIZE = 48, 4, 6


class Builder:
    """A graph that grows node by node; `edges` are those that residual blocks name: their body, skip and others."""

    def __init__(self, name, shape):
        self.random = np.random.default_rng(zlib.crc32(name.encode()))
        self.shape, self.nodes, self.initialisers, self.edges = shape, [], [], {}

    def constant(self, array):
        array = np.asarray(array)
        name = f"constant{len(self.initialisers)}"
        kept = array.astype(np.float32) if array.dtype.kind == "f" else array
        self.initialisers.append(numpy_helper.from_array(kept, name))
        return name

    def weight(self, *shape, inputs):
        return self.constant(self.random.normal(size=shape) * math.sqrt(1.5 / inputs))

    def shift(self, *shape):
        return self.constant(self.random.normal(size=shape) * 0.2)

    def add(self, kind, *inputs, **attributes):
        """The name of a new node's output."""
        output = f"{kind.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], output, **attributes))
        return output

    def edge(self, name, slot):
        """Names an input slot of the newest node."""
        self.edges[name] = f"{len(self.nodes) - 1}:{slot}"

    def sum(self, block, body, skip):
        total = self.add("Add", body, skip)
        self.edge(f"body{block}", 0)
        self.edge(f"skip{block}", 1)
        return total

    def conv(self, x, inputs, outputs, size=3, bias=True, group=1, **attributes):
        weight = self.weight(outputs, inputs // group, size, size, inputs=inputs // group * size * size)
        attributes = {"pads": [size // 2] * 4, "group": group} | attributes
        return self.add("Conv", x, weight, *([self.shift(outputs)] if bias else []), **attributes)

    def normalise(self, x, channels, dead=()):
        """A batch norm, the factors of whose channels `dead` are 0."""
        scale = self.random.uniform(0.7, 1.3, channels)
        scale[list(dead)] = 0
        variance = self.constant(self.random.uniform(0.5, 1.5, channels))
        shift, mean = self.shift(channels), self.shift(channels)
        return self.add("BatchNormalization", x, self.constant(scale), shift, mean, variance)

    def layer_norm(self, x, width):
        return self.add("LayerNormalization", x, self.constant(self.random.uniform(0.7, 1.3, width)), self.shift(width))

    def dense(self, x, inputs, outputs, bias=True):
        """A MatMul, and an Add of its bias."""
        product = self.add("MatMul", x, self.weight(inputs, outputs, inputs=inputs))
        return self.add("Add", product, self.shift(outputs)) if bias else product

    def gelu(self, x):
        root, one, half = (self.constant(np.array(value)) for value in (math.sqrt(2), 1.0, 0.5))
        share = self.add("Add", self.add("Erf", self.add("Div", x, root)), one)
        return self.add("Mul", self.add("Mul", x, share), half)

    def classes(self, x, width):
        """A linear head on features [N, width]."""
        return self.add("Gemm", x, self.weight(CLASSES, width, inputs=width), self.shift(CLASSES), transB=1)

    def pooled(self, x, channels):
        return self.classes(self.add("Flatten", self.add("GlobalAveragePool", x)), channels)

    def model(self, output, shape):
        inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", *self.shape])]
        outputs = [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["N", *shape])]
        graph = helper.make_graph(self.nodes, "recovery", inputs, outputs, self.initialisers)
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.checker.check_model(made, full_check=True)
        return made


def residual(b, norm=False):
    """Three blocks; the second halves the image, with a convolution on its skip."""
    def conv(x, *widths, dead=(), **attributes):
        y = b.conv(x, *widths, bias=not norm, **attributes)
        return b.normalise(y, widths[1], dead) if norm else y

    x = b.add("Relu", conv("x", 3, 6))
    for block, (inputs, outputs, stride) in enumerate([(6, 6, 1), (6, 8, 2), (8, 8, 1)], 1):
        y = b.add("Relu", conv(x, inputs, outputs, strides=[stride] * 2))
        y = conv(y, outputs, outputs, dead=[3] if block == 3 else [])
        b.edges[f"last{block}"] = f"{len(b.nodes) - 1 - norm}:0"
        skip = x if stride == 1 else conv(x, inputs, outputs, 1, strides=[stride] * 2)
        x = b.sum(block, y, skip)
        x = b.add("Relu", b.normalise(x, 8) if norm and block == 3 else x)
    masks = [
        "body1", "body2", "body3", "last1", "skip1", "skip2", "body1 body2", "body1 body3", "skip1 body2",
        "body1 skip2 last3"]
    return b.pooled(x, 8), [CLASSES], masks


def batchnorm(b):
    return residual(b, norm=True)


def plain(b):
    """No sums: convolutions side by side, joined by concatenation."""
    x = b.add("Relu", b.conv("x", 3, 4))
    parts = [b.add("Relu", b.conv(x, 4, outputs, size)) for outputs, size in ((4, 3), (3, 1))]
    x = b.add("Concat", *parts, axis=1)
    b.edge("wide", 0)
    b.edge("narrow", 1)
    x = b.add("Relu", b.conv(x, 7, 6, strides=[2, 2]))
    x = b.add("Concat", x, b.add("Sigmoid", b.conv(x, 6, 2)), axis=1)
    b.edge("gate", 1)
    x = b.add("MaxPool", b.add("Relu", b.conv(x, 8, 6)), kernel_shape=[2, 2], strides=[1, 1])
    return b.pooled(b.add("Relu", b.conv(x, 6, 6)), 6), [CLASSES], ["wide", "narrow", "gate", "narrow gate"]


def grouped(b):
    """Residual blocks of grouped and dilated convolutions."""
    x = b.add("Relu", b.conv("x", 3, 8))
    for block, (groups, dilation) in enumerate([(2, 1), (4, 2), (2, 1)], 1):
        y = b.conv(x, 8, 8, group=groups, dilations=[dilation] * 2, pads=[dilation] * 4)
        y = b.conv(b.add("Relu", y), 8, 8, group=2, bias=block != 2)
        if block == 3:
            y = b.add("Add", y, b.conv(x, 8, 8, 1, group=4))
            b.edge("branch", 1)
        x = b.add("Relu", b.sum(block, y, x))
    masks = ["body1", "body2", "skip2", "branch", "body1 body2", "skip1 body3", "body1 branch", "body2 skip3"]
    return b.pooled(x, 8), [CLASSES], masks


def depthwise(b):
    """Inverted residual blocks: wide, a filter for each channel, narrow; no ReLU after the sums."""
    x = b.conv("x", 3, 4)
    for block in range(1, 4):
        y = b.add("Relu", b.conv(x, 4, 8, 1))
        y = b.add("Relu", b.conv(y, 8, 8, group=8, bias=block != 2))
        y = b.conv(y, 8, 4, 1)
        y = b.add("Mul", y, b.constant(b.random.uniform(0.5, 1.5, (4, 1, 1)))) if block == 2 else y
        x = b.sum(block, y, x)
    x = b.add("Relu", b.conv(x, 4, 8, 1))
    return b.pooled(x, 8), [CLASSES], ["body1", "body2", "skip1", "body1 body2", "body1 skip3"]


def attention(b, x, width):
    """One head."""
    query, key, value = (b.dense(x, width, width) for _ in range(3))
    scores = b.add("MatMul", query, b.add("Transpose", key, perm=[0, 2, 1]))
    shares = b.add("Softmax", b.add("Mul", scores, b.constant(np.array(1 / math.sqrt(width)))), axis=-1)
    return b.dense(b.add("MatMul", shares, value), width, width)


def transformer(b, norm_first):
    """Two blocks, in which every second sum is an MLP's."""
    width = 6
    x, block = b.dense("x", 4, width), 0
    for _ in range(2):
        for part in (attention, lambda b, x, width: b.dense(b.gelu(b.dense(x, width, 8)), 8, width)):
            block += 1
            y = part(b, b.layer_norm(x, width) if norm_first else x, width)
            x = b.sum(block, y, x)
            x = x if norm_first else b.layer_norm(x, width)
    x = b.layer_norm(x, width) if norm_first else x
    mean = b.add("ReduceMean", x, axes=[1], keepdims=0)
    masks = ["body1", "body2", "body4", "skip2", "body1 body2", "body1 body4", "skip1 body3", "body2 body3 body4"]
    return b.dense(mean, width, CLASSES), [CLASSES], masks


def postnorm(b):
    return transformer(b, norm_first=False)


def prenorm(b):
    return transformer(b, norm_first=True)


def transposed(b):
    """Down, a residual block, and up again with transposed convolutions, the first of them in groups."""
    early = b.add("Relu", b.conv("x", 3, 4))
    x = b.add("Relu", b.conv(early, 4, 6, strides=[2, 2]))
    x = b.add("Relu", b.sum(1, b.conv(b.add("Relu", b.conv(x, 6, 6)), 6, 6), x))
    weight = b.weight(6, 2, 3, 3, inputs=27)
    x = b.add("Relu", b.add("ConvTranspose", x, weight, b.shift(4), group=2, pads=[1] * 4))
    weight = b.weight(4, 4, 3, 3, inputs=9)
    x = b.add("ConvTranspose", x, weight, strides=[2, 2], pads=[1] * 4, output_padding=[1, 1])
    x = b.add("Relu", b.sum(2, x, early))
    return b.conv(x, 4, 2), [2, SIZE, SIZE], ["body1", "skip1", "skip2", "body1 skip2"]


def left(b):
    """An MLP mixer: weights on the left mix the tokens, those on the right the features; no biases."""
    tokens, width, x = 6, 5, "x"
    for block in (1, 3):
        y = b.add("MatMul", b.weight(8, tokens, inputs=tokens), x)
        y = b.add("MatMul", b.weight(tokens, 8, inputs=8), b.add("Relu", y))
        x = b.sum(block, y, x)
        y = b.add("Relu", b.dense(x, width, 8, bias=False))
        x = b.sum(block + 1, b.dense(y, 8, width, bias=False), x)
    mean = b.add("ReduceMean", x, axes=[1], keepdims=0)
    return b.classes(mean, width), [CLASSES], ["body1", "body2", "skip1", "body1 body2", "skip1 body3", "body1 body4"]


def gemm(b):
    """A residual MLP on the flattened image, in Gemms with factors, with transposed weights and without C."""
    def layer(x, inputs, outputs, bias=True, **attributes):
        shape = (outputs, inputs) if attributes.get("transB") else (inputs, outputs)
        return b.add("Gemm", x, b.weight(*shape, inputs=inputs), *([b.shift(outputs)] if bias else []), **attributes)

    x = layer(b.add("Flatten", "x"), 2 * SIZE * SIZE, 8, transB=1)
    kinds = [({"transB": 1}, {"transB": 1}), ({"alpha": 0.5, "beta": 2.0}, {"alpha": 0.75, "transB": 1, "bias": False}),
             ({"transB": 1, "alpha": 1.5}, {"beta": 0.5})]
    for block, (first, second) in enumerate(kinds, 1):
        y = b.add("Relu", layer(x, 8, 8, **first))
        x = b.sum(block, layer(y, 8, 8, **second), x)
    return b.classes(x, 8), [CLASSES], ["body1", "body2", "skip1", "body1 body2", "skip2 body3"]


IMAGE = (3, SIZE, SIZE)
MODELS = {
    residual: IMAGE, batchnorm: IMAGE, plain: IMAGE, grouped: IMAGE, depthwise: IMAGE, transposed: IMAGE,
    postnorm: (5, 4), prenorm: (5, 4), left: (6, 5), gemm: (2, SIZE, SIZE)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    folder = parser.parse_args().folder
    for make, shape in MODELS.items():
        builder = Builder(make.__name__, shape)
        output, output_shape, masks = make(builder)
        model = builder.model(output, output_shape)
        data = {"x": builder.random.normal(size=(SAMPLES, *shape)).astype(np.float32)}
        if output_shape == [CLASSES]:
            logits = Network(model).output(data)
            data["labels"] = (logits - logits.mean(0)).argmax(1)
            bias = model.graph.initializer[-1]  # the head's, set so that no class wins everywhere
            array = numpy_helper.to_array(bias) - logits.mean(0).astype(np.float32)
            bias.CopyFrom(numpy_helper.from_array(array, bias.name))
        cuts = [[builder.edges[name] for name in mask.split()] for mask in masks]
        for mask in cuts:
            assert Wiring(model).connected({tuple(map(int, edge.split(":"))) for edge in mask}), (make.__name__, mask)
        target = folder / make.__name__
        target.mkdir(parents=True, exist_ok=True)
        onnx.save(model, target / "model.onnx")
        np.savez(target / "fit.npz", **data)
        (target / "cuts.json").write_text(json.dumps(cuts) + "\n")
        print(f"{target}: {len(builder.nodes)} nodes, {len(cuts)} masks")


if __name__ == "__main__":
    main()
