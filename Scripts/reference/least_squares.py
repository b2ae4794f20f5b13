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
from onnx import numpy_helper

from losses import mean_loss
from masked import load_data
from wiring import SHAPE_READERS, Wiring, parse_edge


def windows(x, kernel, strides=None, dilations=None, pads=None, fill=0.0):
    """What a kernel of any dimension sees of x [N, C, …]: [N, C, *positions, *kernel]."""
    rank = len(kernel)
    pads, dilations = pads or [0] * 2 * rank, dilations or [1] * rank
    padded = np.pad(x, [(0, 0), (0, 0), *zip(pads[:rank], pads[rank:])], constant_values=fill)
    extents = [(size - 1) * dilation + 1 for size, dilation in zip(kernel, dilations)]
    view = np.lib.stride_tricks.sliding_window_view(padded, extents, tuple(range(2, 2 + rank)))
    steps = [1, 1, *(strides or [1] * rank), *dilations]
    return view[tuple(slice(None, None, step) for step in steps)]


def explicit(auto_pad=b"NOTSET", ceil_mode=0, output_shape=None, **rest):
    """The attributes of a convolution or pooling, whose padding has to be spelled out."""
    if auto_pad not in (b"NOTSET", b"VALID") or ceil_mode or output_shape:
        raise SystemExit("least_squares.py needs explicit pads and no ceil_mode")
    return rest


class Convolution:
    """A linear layer as a regression: rows(x) [G, *places, F] times matrix(w) [G, F, M / G], in G groups, give its M
    output channels, which lie in dimension `axis` of the output, at all places."""

    data, weight, axis, bias_factor = 0, 1, 1, 1.0

    def __init__(self, shape, group=1, output_padding=None, kernel_shape=None, **attributes):
        self.shape, self.kernel, self.groups, self.padding = shape, shape[2:], group, output_padding
        self.attributes = explicit(**attributes)
        self.channels = shape[0]

    def windows(self, x):
        return windows(x, self.kernel, **self.attributes)

    def rows(self, x):
        view = self.windows(x)
        view = view.reshape(len(x), self.groups, -1, *view.shape[2:])
        rank = len(self.kernel)
        view = np.moveaxis(view, (1, 2), (0, rank + 2))  # [G, N, *positions, C / G, *kernel]
        return view.reshape(*view.shape[: rank + 2], -1)

    def matrix(self, w):
        return w.reshape(self.groups, self.channels // self.groups, -1).swapaxes(1, 2)

    def kept(self, matrix):
        """A matrix in the file's layout."""
        return matrix.swapaxes(1, 2).reshape(self.shape)

    def __call__(self, x, w):
        y = np.einsum("g...f,gfm->...gm", self.rows(x), self.matrix(w))
        return np.moveaxis(y.reshape(*y.shape[:-2], -1), -1, 1)


class TransposedConvolution(Convolution):
    """The convolution of an input with zeros between its elements."""

    def __init__(self, shape, **attributes):
        super().__init__(shape, **attributes)
        self.channels = shape[1] * self.groups

    def windows(self, x):
        rank = len(self.kernel)
        strides, dilations, pads = (
            self.attributes.get(key) or [value] * count
            for key, value, count in (("strides", 1, rank), ("dilations", 1, rank), ("pads", 0, 2 * rank)))
        spread = np.zeros(x.shape[:2] + tuple((n - 1) * step + 1 for n, step in zip(x.shape[2:], strides)))
        spread[(..., *(slice(None, None, step) for step in strides))] = x
        reach = [dilation * (size - 1) for dilation, size in zip(dilations, self.kernel)]
        more = [0] * rank + list(self.padding or [0] * rank)
        view = windows(spread, self.kernel, None, dilations, [r - p + m for r, p, m in zip(reach * 2, pads, more)])
        return np.flip(view, tuple(range(-rank, 0)))

    def matrix(self, w):
        split = w.reshape(self.groups, -1, self.shape[1], math.prod(self.kernel))
        return split.swapaxes(2, 3).reshape(self.groups, -1, self.shape[1])

    def kept(self, matrix):
        split = matrix.reshape(self.groups, -1, math.prod(self.kernel), self.shape[1])
        return split.swapaxes(2, 3).reshape(self.shape)


class Gemm:
    """alpha A B' + beta C; the regression is for alpha B' and beta C."""

    data, weight, axis, groups = 0, 1, 1, 1

    def __init__(self, shape, alpha=1.0, beta=1.0, transA=0, transB=0):
        self.alpha, self.bias_factor, self.flip_data, self.flip = alpha, beta, transA, transB
        self.channels = shape[0 if transB else 1]

    def rows(self, a):
        return (a.T if self.flip_data else a)[None]

    def matrix(self, b):
        return self.alpha * (b.T if self.flip else b)[None]

    def kept(self, matrix):
        return (matrix[0].T if self.flip else matrix[0]) / self.alpha


class RightProduct:
    """X W, the features of X and of the output in the last dimension."""

    data, weight, axis, groups, bias_factor = 0, 1, -1, 1, 1.0

    def __init__(self, shape):
        self.channels = shape[1]

    def rows(self, x):
        return x[None]

    def matrix(self, w):
        return w[None]

    def kept(self, matrix):
        return matrix[0]


class LeftProduct:
    """W X: the columns of X are the rows of the regression."""

    data, weight, axis, groups, bias_factor = 1, 0, -2, 1, 1.0

    def __init__(self, shape):
        self.channels = shape[0]

    def rows(self, x):
        return x.swapaxes(-1, -2)[None]

    def matrix(self, w):
        return w.T[None]

    def kept(self, matrix):
        return matrix[0].T


def convolution(kind):
    def operator(x, w, b=None, **attributes):
        y = kind(w.shape, **attributes)(x, w)
        return y if b is None else y + along(b, 1, y.ndim)

    return operator


def along(vector, axis, rank):
    """A vector laid along one dimension of `rank`."""
    return vector.reshape([-1 if dimension == axis % rank else 1 for dimension in range(rank)])


def gemm(a, b, c=None, *, alpha=1.0, beta=1.0, transA=0, transB=0):
    product = alpha * ((a.T if transA else a) @ (b.T if transB else b))
    return product if c is None else product + beta * c


def layer_norm(x, scale, shift=None, *, axis=-1, epsilon=1e-5, **_):
    axes = tuple(range(axis % x.ndim, x.ndim))
    centred = x - x.mean(axes, keepdims=True)
    z = centred / np.sqrt((centred**2).mean(axes, keepdims=True) + epsilon)
    return z * scale + (0 if shift is None else shift)


def batch_norm(x, scale, shift, mean, variance, *, epsilon=1e-5, **_):
    scale, shift, mean, variance = (along(v, 1, x.ndim) for v in (scale, shift, mean, variance))
    return (x - mean) / np.sqrt(variance + epsilon) * scale + shift


def average_pool(x, *, kernel_shape, count_include_pad=0, **attributes):
    seen = explicit(**attributes)
    axes = tuple(range(-len(kernel_shape), 0))
    inside = windows(np.ones_like(x), kernel_shape, fill=float(count_include_pad), **seen)
    return windows(x, kernel_shape, **seen).sum(axes) / inside.sum(axes)


def max_pool(x, *, kernel_shape, storage_order=0, **attributes):
    axes = tuple(range(-len(kernel_shape), 0))
    return windows(x, kernel_shape, fill=-np.inf, **explicit(**attributes)).max(axes)


def softmax(x, *, axis=-1):
    powers = np.exp(x - x.max(axis, keepdims=True))
    return powers / powers.sum(axis, keepdims=True)


def erf(x):
    return np.frompyfunc(math.erf, 1, 1)(x).astype(np.float64)


def gelu(x, *, approximate=b"none"):
    if approximate == b"tanh":
        return x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    return x / 2 * (1 + erf(x / math.sqrt(2)))


def reduce_mean(x, axes=None, *, keepdims=1, **_):
    return x.mean(None if axes is None else tuple(int(axis) for axis in axes), keepdims=bool(keepdims))


def reshape(x, shape, *, allowzero=0):
    return x.reshape([x.shape[i] if size == 0 and not allowzero else size for i, size in enumerate(shape.tolist())])


def constant(**attributes):
    (value,) = attributes.values()
    return np.asarray(numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value)


OPERATORS = {
    "Add": lambda a, b: a + b,
    "Sub": lambda a, b: a - b,
    "Mul": lambda a, b: a * b,
    "Div": lambda a, b: a / b,
    "Pow": lambda a, b: a**b,
    "Sum": lambda *addends: sum(addends[1:], addends[0]),
    "Sqrt": np.sqrt,
    "Relu": lambda x: np.maximum(x, 0),
    "Sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "Tanh": np.tanh,
    "Erf": erf,
    "Gelu": gelu,
    "Softmax": softmax,
    "Identity": lambda x: x,
    "Dropout": lambda x, *_, **__: x,
    "Constant": constant,
    "Conv": convolution(Convolution),
    "ConvTranspose": convolution(TransposedConvolution),
    "Gemm": gemm,
    "MatMul": lambda a, b, bias=0: a @ b + bias,  # a bias that a fit adds is the third input
    "BatchNormalization": batch_norm,
    "LayerNormalization": layer_norm,
    "GlobalAveragePool": lambda x: x.mean(tuple(range(2, x.ndim)), keepdims=True),
    "AveragePool": average_pool,
    "MaxPool": max_pool,
    "ReduceMean": reduce_mean,
    "Flatten": lambda x, axis=1: x.reshape(math.prod(x.shape[:axis]), -1),
    "Reshape": reshape,
    "Transpose": lambda x, perm=None: x.transpose(perm),
    "Concat": lambda *parts, axis: np.concatenate(parts, axis),
}


def double(array):
    return array.astype(np.float64) if array.dtype.kind == "f" else array


class Network:
    """Runs a model in double precision, with edges cut and weights replaced at will."""

    def __init__(self, model):
        self.wiring = Wiring(model)
        self.nodes, self.depends = model.graph.node, self.wiring.depends
        self.outputs = [value.name for value in model.graph.output]
        self.initialisers = {t.name: double(numpy_helper.to_array(t)) for t in model.graph.initializer}
        self.attributes = [
            {item.name: onnx.helper.get_attribute_value(item) for item in node.attribute} for node in self.nodes]
        self.readers = {}
        for index, node in enumerate(self.nodes):
            if node.op_type not in OPERATORS:
                raise SystemExit(f"least_squares.py does not know the operator {node.op_type} (node {index})")
            for slot, name in enumerate(node.input):
                self.readers.setdefault(name, []).append((index, slot))

    def run(self, data, cuts=(), weights=None, visit=None):
        """All values by name. `weights` maps edges to what is read there in place of the file's constants, and may grow
        while the model runs: `visit` is called with a node's index, its inputs and the values so far, before it runs.
        """
        weights = {} if weights is None else weights
        values = dict(self.initialisers)
        values.update({name: double(np.asarray(data[name])) for name in self.wiring.inputs})
        for index, node in enumerate(self.nodes):
            if visit:
                visit(index, self.inputs(index, values, cuts, weights), values)
            inputs = self.inputs(index, values, cuts, weights)
            values[node.output[0]] = double(OPERATORS[node.op_type](*inputs, **self.attributes[index]))
        return values

    def inputs(self, index, values, cuts, weights):
        inputs = [values[name] if name else None for name in self.nodes[index].input]
        for slot in range(len(inputs)):
            if (index, slot) in cuts:
                inputs[slot] = np.zeros_like(inputs[slot])
        for (reader, slot), weight in weights.items():
            if reader == index:
                inputs[slot : slot + 1] = [weight]  # after the last one where the file has none
        return inputs

    def output(self, data, cuts=(), weights=None):
        return self.run(data, cuts, weights)[self.outputs[0]]

    def is_sum(self, index):
        """Whether a node adds two or more values that depend on the model's inputs."""
        node = self.nodes[index]
        return node.op_type in ("Add", "Sum") and sum(name in self.depends for name in node.input) >= 2

    def behind(self, cuts):
        """Names of the values that depend on a cut edge through edges that are left."""
        found = set()
        for index, node in enumerate(self.nodes):
            slots = range(len(node.input)) if node.op_type not in SHAPE_READERS else ()
            if any((index, slot) in cuts or node.input[slot] in found for slot in slots):
                found.update(node.output)
        return found


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
