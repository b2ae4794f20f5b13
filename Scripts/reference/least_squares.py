#!/usr/bin/env python3
"""The least-squares fit of a mask by NumPy alone, in double precision: what `--recover least-squares` is held to.

    least_squares.py MODEL FIT.npz --remove 31:0 12:1 [--ridge X] --output WEIGHTS.npz [--evaluate DATA.npz]

Interprets the ONNX file with its own few operators. Cut edges (NODE:SLOT) read zeros. In the file's order, every live
linear layer behind a cut is refitted by ridge regression, from what the pruned model now gives it towards the unpruned
model's output; where its output enters a sum, towards what makes the sum whole again. A normalisation after a sum that
no refitted layer feeds gets a new scale and shift per channel.

Writes the refitted weights under their initialisers' names in the file's layout, and flat: NODE.bias as the file would
hold it, NODE.scale and NODE.shift of a normalisation. NODE is the index of the layer, also where a following Add holds
the bias of a MatMul. Prints a line for each: rows, features (of one group or channel; the bias counts as one), and the
squared residuals before and after. `--evaluate` prints the mean cross-entropy of the first output where DATA has
`labels`, else its mean squared difference from the unpruned one.
"""

import argparse
import math
from dataclasses import dataclass

import numpy as np
import onnx

from double_precision import (
    OPERATORS, Convolution, Gemm, LeftProduct, Network, RightProduct, TransposedConvolution, along)
from losses import mean_loss
from masked import load_data
from wiring import parse_edge


@dataclass
class Layer:
    """A linear layer's regression, the constant edges that hold its weight and bias, and its output's name."""

    form: object
    weight: tuple
    bias: tuple
    output: str


def solve(x, y, start, ridge):
    """The coefficients that minimise |y - x w|² + λ |w - start|², λ being `ridge` times the mean diagonal of x'x;
    without a ridge the least change of `start` that minimises |y - x w|."""
    missing = y - x @ start
    if ridge == 0:
        return start + np.linalg.pinv(x, rcond=1e-6) @ missing  # singular values of x'x are their squares
    gram = x.T @ x
    strength = ridge * np.diagonal(gram).mean()
    return start + np.linalg.solve(gram + strength * np.eye(len(gram)), x.T @ missing)


def with_ones(x):
    return np.concatenate([x, np.ones((len(x), 1))], 1)


class Fit:
    """The fit of a mask. `edges` holds the new weights by the edge that reads them, `written` by the name to write."""

    def __init__(self, network, data, cuts, ridge):
        self.network, self.nodes, self.cuts, self.ridge = network, network.nodes, frozenset(cuts), ridge
        self.edges, self.written, self.lines = {}, {}, []
        self.live, self.behind = network.wiring.live(self.cuts), network.behind(self.cuts)
        self.fed = set()  # sums that a refitted layer is to make whole
        self.unpruned = network.run(data)
        network.run(data, self.cuts, self.edges, self.visit)

    def visit(self, index, inputs, values):
        if index not in self.live:
            return
        if self.nodes[index].op_type in ("LayerNormalization", "BatchNormalization"):
            if self.changed(index, 0):
                self.fit_norm(index, inputs)
            return
        layer = self.layer(index)
        if layer and self.changed(index, layer.form.data):
            self.fit_layer(index, layer, inputs, values)

    def changed(self, index, slot):
        return (index, slot) not in self.cuts and self.nodes[index].input[slot] in self.behind

    def layer(self, index):
        """The linear layer that a node is, or None."""
        node, network = self.nodes[index], self.network
        kinds = {"Conv": [Convolution], "ConvTranspose": [TransposedConvolution], "Gemm": [Gemm],
                 "MatMul": [RightProduct, LeftProduct]}
        for kind in kinds.get(node.op_type, []):
            name = node.input[kind.weight]
            array = network.initialisers.get(name)
            if array is None or len(network.readers[name]) != 1 or node.op_type == "MatMul" and array.ndim != 2:
                continue
            form = kind(array.shape, **network.attributes[index])
            layer = Layer(form, (index, form.weight), (index, 2), node.output[0])
            if node.op_type == "MatMul":
                return self.with_added_bias(layer)
            bias = next((name for name in node.input[2:] if name), None)
            extents = self.unpruned[bias].shape if bias else (1,)
            scaled = node.op_type != "Gemm" or form.alpha and form.bias_factor
            if scaled and bias not in network.depends and {*extents[:-1]} <= {1} and extents[-1:] in (
                    (), (1,), (form.channels,)):
                return layer
        return None

    def with_added_bias(self, layer):
        """The layer together with the Add of a constant per output feature that alone reads it."""
        readers = self.network.readers.get(layer.output, [])
        alone = len(readers) == 1 and layer.output not in self.network.outputs
        if alone and self.nodes[readers[0][0]].op_type == "Add":
            index, slot = readers[0]
            array = self.network.initialisers.get(self.nodes[index].input[1 - slot])
            rank = self.unpruned[layer.output].ndim
            if (array is not None and array.ndim <= rank and array.size == layer.form.channels
                    and along(array, layer.form.axis, rank).shape[rank - array.ndim :] == array.shape):
                return Layer(layer.form, layer.weight, (index, 1 - slot), self.nodes[index].output[0])
        return layer

    def fit_layer(self, index, layer, inputs, values):
        form, (holder, slot) = layer.form, layer.bias
        old = form.matrix(inputs[form.weight])
        names = self.nodes[holder].input
        bias = np.zeros(form.channels)
        if slot < len(names) and names[slot]:
            bias += form.bias_factor * self.unpruned[names[slot]].reshape(-1)
        rows = form.rows(inputs[form.data])
        rows = rows.reshape(form.groups, -1, rows.shape[-1])
        target = np.moveaxis(self.target(layer, values), form.axis, -1)
        target = target.reshape(-1, form.groups, form.channels // form.groups).swapaxes(0, 1)
        start = np.concatenate([old, bias.reshape(form.groups, 1, -1)], 1)
        x = [with_ones(part) for part in rows]
        new = np.stack([solve(*group, self.ridge) for group in zip(x, target, start)])
        weight, bias = form.kept(new[:, :-1]), new[:, -1].reshape(-1) / form.bias_factor
        self.edges[layer.weight] = weight
        self.edges[layer.bias] = bias.reshape(-1, 1) if form.axis == -2 else bias
        self.written[self.nodes[index].input[form.weight]] = weight
        self.written[f"{index}.bias"] = bias
        self.report(index, x, target, start, new)

    def route(self, layer):
        """The edges that the layer's output passes, as their only reader each time, up to the last sum."""
        network, name, route, end = self.network, layer.output, [], 0
        shape = self.unpruned[name].shape
        axis = layer.form.axis % len(shape)
        while name not in network.outputs and len(network.readers.get(name, [])) == 1:
            index, slot = network.readers[name][0]
            name = self.nodes[index].output[0]
            adds = network.is_sum(index)
            if self.unpruned[name].shape != shape or not adds and self.affine(index, slot, axis, len(shape)) is None:
                break
            route.append((index, slot))
            end = len(route) if adds else end
        return route[:end]

    def affine(self, index, slot, axis, rank):
        """Factor and offset per channel where the node is an affine step with constants, else None."""
        node, kind = self.nodes[index], self.nodes[index].op_type
        if kind in ("Identity", "Dropout"):
            return np.ones(()), np.zeros(())
        if kind == "BatchNormalization" and slot == 0 and axis == 1:
            scale, shift, mean, variance = (along(self.unpruned[name], 1, rank) for name in node.input[1:])
            factor = scale / np.sqrt(variance + self.network.attributes[index].get("epsilon", 1e-5))
            return factor, shift - mean * factor
        if kind not in ("Add", "Sub", "Mul", "Div") or node.input[1 - slot] in self.network.depends:
            return None
        value = self.unpruned[node.input[1 - slot]]
        extents = (1,) * (rank - value.ndim) + value.shape
        if (kind, slot) == ("Div", 1) or math.prod(extents) != extents[axis]:
            return None
        if kind in ("Add", "Sub"):
            sign = -1.0 if kind == "Sub" else 1.0
            return (np.ones(()), sign * value) if slot == 0 else (np.full((), sign), value)
        return (value if kind == "Mul" else 1 / value), np.zeros(())

    def target(self, layer, values):
        """What the layer should give: the unpruned output, or what makes the last sum on its route whole again."""
        own, route = self.unpruned[layer.output], self.route(layer)
        if not route:
            return own
        target, lost = self.unpruned[self.nodes[route[-1][0]].output[0]], np.zeros((), bool)
        for index, slot in reversed(route):
            if self.network.is_sum(index):
                self.fed.add(index)
                for other in range(len(self.nodes[index].input)):
                    if other != slot:
                        target = target - self.present(index, other, values)
            else:
                factor, offset = self.affine(index, slot, layer.form.axis % own.ndim, own.ndim)
                lost = lost | (factor == 0)
                target = (target - offset) / np.where(factor == 0, 1, factor)
        return np.where(lost, own, target)

    def present(self, index, slot, values):
        """What an addend gives now, or the unpruned value where that is not known yet."""
        name = self.nodes[index].input[slot]
        return 0.0 if (index, slot) in self.cuts else values.get(name, self.unpruned[name])

    def fit_norm(self, index, inputs):
        node = self.nodes[index]
        source = self.network.wiring.producer.get(node.input[0])
        if source is None or not self.network.is_sum(source) or source in self.fed:
            return
        scale, shift = inputs[1], inputs[2] if len(inputs) > 2 and inputs[2] is not None else np.zeros_like(inputs[1])
        plain = [inputs[0], np.ones_like(scale), np.zeros_like(shift), *inputs[3:]]
        normalised = OPERATORS[node.op_type](*plain, **self.network.attributes[index])
        z, y = (self.by_channel(value, node, scale.size) for value in (normalised, self.unpruned[node.output[0]]))
        start = np.stack([scale.reshape(-1), shift.reshape(-1)], 1)[:, :, None]
        x = [with_ones(column[:, None]) for column in z.T]
        new = np.stack([solve(*channel, self.ridge) for channel in zip(x, y.T[:, :, None], start)])
        for slot, name in ((1, "scale"), (2, "shift")):
            self.edges[index, slot] = new[:, slot - 1, 0].reshape(scale.shape)
            self.written[f"{index}.{name}"] = new[:, slot - 1, 0]
        self.report(index, x, y.T[:, :, None], start, new)

    @staticmethod
    def by_channel(value, node, channels):
        """[R, C]; the channels of a batch norm lie in dimension 1, those of a layer norm in the last ones."""
        return (np.moveaxis(value, 1, -1) if node.op_type == "BatchNormalization" else value).reshape(-1, channels)

    def report(self, index, x, target, start, new):
        before, after = (
            sum(float(((y - rows @ w) ** 2).sum()) for rows, y, w in zip(x, target, coefficients))
            for coefficients in (start, new))
        rows, features = x[0].shape
        self.lines.append(f"{index} {self.nodes[index].op_type}: {rows} rows, {features} features, "
                          f"residual {before:.6g} -> {after:.6g}")

    def losses(self, data):
        """The kind of loss, and the losses of the unpruned model, at the cut and after the fit."""
        kind = "cross-entropy" if "labels" in data else "self-mse"
        variants = [(), (self.cuts,), (self.cuts, self.edges)]
        results = [self.network.output(data, *variant) for variant in variants]
        return kind, [mean_loss(result, kind, data, results[0]) for result in results]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("fit")
    parser.add_argument("--remove", nargs="+", type=parse_edge, required=True)
    parser.add_argument("--ridge", type=float, default=1e-3, help="times the mean diagonal of the Gram matrix")
    parser.add_argument("--output", required=True)
    parser.add_argument("--evaluate")
    arguments = parser.parse_args()
    network = Network(onnx.load(arguments.model))
    for node, slot in arguments.remove:
        if not (0 <= node < len(network.nodes) and 0 <= slot < len(network.nodes[node].input)):
            raise SystemExit(f"{arguments.model} has no edge {node}:{slot}")
    fit = Fit(network, load_data(arguments.fit), arguments.remove, arguments.ridge)
    np.savez(arguments.output, **fit.written)
    print(*fit.lines, sep="\n")
    if arguments.evaluate:
        kind, losses = fit.losses(load_data(arguments.evaluate))
        print("%s: unpruned %.9f, at the cut %.9f, fitted %.9f" % (kind, *losses))


if __name__ == "__main__":
    main()
