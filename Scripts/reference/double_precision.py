"""ONNX networks by NumPy in double precision, and their layers with weights as regressions.

Knows the operators that small networks of convolutions and transformers need.
"""

import math

import numpy as np
import onnx
from onnx import numpy_helper

from wiring import SHAPE_READERS, Wiring


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
