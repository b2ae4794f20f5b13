#!/usr/bin/env python3
"""Gate gradients, Hessians and weight criteria by PyTorch alone, in double precision: what `espalier score` is held
to.

    gates.py MODEL --data D --samples N --output FIXTURE.json

Interprets the ONNX file with its own few operators, multiplies the value on every branch candidate by a gate, and
differentiates the mean cross-entropy. Before anything is written, gradients and Hessian are compared with central
finite differences, and gradients with sums over weights where the edge feeds a layer that is linear in them.

Writes {"model", "samples", "edges", "loss", "gradients", "fisher", "perSample", "hessian", "gaussNewton",
"changes", "magnitude", "synflow", "flow"}; lists follow "edges", "changes" are exact (the gate set to 0).
"""

import argparse
import json
import math

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import numpy_helper

from wiring import Wiring

LAYERS = {"Conv", "Gemm", "MatMul"}


def attributes(node):
    return {item.name: onnx.helper.get_attribute_value(item) for item in node.attribute}


def convolution(x, w, b=None, *, pads=(0, 0, 0, 0), strides=(1, 1), dilations=(1, 1), group=1, **_):
    top, left, bottom, right = pads
    return F.conv2d(F.pad(x, (left, right, top, bottom)), w, b, tuple(strides), 0, tuple(dilations), group)


def gemm(a, b, c=None, *, alpha=1.0, beta=1.0, transA=0, transB=0):
    product = alpha * ((a.T if transA else a) @ (b.T if transB else b))
    return product if c is None else product + beta * c


def layer_norm(x, scale, bias=None, *, axis=-1, epsilon=1e-5, **_):
    return F.layer_norm(x, x.shape[axis:], scale, bias, epsilon)


def reshape(x, shape, allowzero=0):
    sizes = [x.shape[i] if size == 0 and not allowzero else size for i, size in enumerate(shape.tolist())]
    return x.reshape(sizes)


def reduce_mean(x, *, axes=None, keepdims=1):
    return x.mean(tuple(axes), keepdim=bool(keepdims))


OPERATORS = {
    "Add": lambda a, b: a + b,
    "Mul": lambda a, b: a * b,
    "Div": lambda a, b: a / b,
    "Conv": convolution,
    "Relu": lambda x: x.clamp_min(0),
    "Erf": torch.erf,
    "Gemm": gemm,
    "MatMul": lambda a, b: a @ b,
    "LayerNormalization": layer_norm,
    "Softmax": lambda x, axis=-1: torch.softmax(x, axis),
    "Transpose": lambda x, perm: x.permute(tuple(perm)),
    "Reshape": reshape,
    "Flatten": lambda x, axis=1: x.flatten(axis),
    "GlobalAveragePool": lambda x: x.mean((2, 3), keepdim=True),
    "ReduceMean": reduce_mean,
}


class Interpreter:
    """Runs a model in double precision, with gates on edges and weights replaced at will."""

    def __init__(self, path):
        self.model = onnx.load(path)
        self.constants = {t.name: self._tensor(t) for t in self.model.graph.initializer}
        self.initialisers = set(self.constants)
        for node in self.model.graph.node:
            if node.op_type == "Constant":
                self.constants[node.output[0]] = self._tensor(attributes(node)["value"])

    @staticmethod
    def _tensor(proto):
        tensor = torch.from_numpy(numpy_helper.to_array(proto).copy())
        return tensor.double() if tensor.is_floating_point() else tensor

    def run(self, image, gates=None, constants=None, watch=None):
        """The first output. `gates` maps edges to tensors that broadcast over the samples; `watch` is called with
        each node's index and inputs."""
        values = dict(constants or self.constants)
        values[self.model.graph.input[0].name] = image
        for index, node in enumerate(self.model.graph.node):
            if node.op_type == "Constant":
                continue
            inputs = [values[name] for name in node.input]
            for slot, value in enumerate(inputs):
                if gates and (index, slot) in gates:
                    gate = gates[index, slot]
                    inputs[slot] = value * gate.reshape(gate.shape + (1,) * (value.ndim - gate.ndim))
            if watch:
                watch(index, inputs)
            values[node.output[0]] = OPERATORS[node.op_type](*inputs, **attributes(node))
        return values[self.model.graph.output[0].name]


def derivatives(scalar, gates):
    return torch.autograd.grad(scalar, gates, retain_graph=True, allow_unused=True)


def curvatures(net, image, labels, edges):
    """Loss, gradient, Hessian and Gauss-Newton matrix of the mean cross-entropy, the gates being numbers."""
    ones = torch.ones(len(edges), dtype=torch.double)

    def loss(z):
        return F.cross_entropy(net.run(image, {e: z[i] for i, e in enumerate(edges)}), labels)

    def logits(z):
        return net.run(image, {e: z[i] for i, e in enumerate(edges)})

    z = ones.clone().requires_grad_()
    value = loss(z)
    gradient, = torch.autograd.grad(value, z, create_graph=True)
    hessian = torch.stack([torch.autograd.grad(gradient[i], z, retain_graph=True)[0] for i in range(len(edges))])
    output = logits(ones)
    columns = []
    for i in range(len(edges)):  # forward mode by central differences would do; autograd's own is exact
        direction = torch.zeros_like(ones)
        direction[i] = 1
        columns.append(torch.autograd.functional.jvp(logits, ones, direction)[1])
    jacobian = torch.stack(columns, -1)  # N, C, E
    p = torch.softmax(output, -1)
    curvature = torch.diag_embed(p) - p[:, :, None] * p[:, None, :]
    gauss = torch.einsum("nce,ncd,ndf->ef", jacobian, curvature, jacobian) / len(image)
    check_differences(loss, ones, gradient.detach(), hessian)
    return value.item(), gradient.detach(), hessian, gauss


def check_differences(loss, ones, gradient, hessian):
    """Central differences of the loss for the gradient, and of the gradient for the Hessian. The Hessian of a network
    with ReLU is that of one linear piece, so the step has to stay inside it."""
    step, piece = 1e-6, 1e-9
    for i in range(len(ones)):
        direction = torch.zeros_like(ones)
        direction[i] = 1
        slope = (loss(ones + step * direction) - loss(ones - step * direction)) / (2 * step)
        assert abs(slope - gradient[i]) < 1e-5 * gradient.abs().max(), (i, slope, gradient[i])
        rows = []
        for sign in (1, -1):
            z = (ones + sign * piece * direction).requires_grad_()
            rows.append(torch.autograd.grad(loss(z), z)[0])
        row = (rows[0] - rows[1]) / (2 * piece)
        assert (row - hessian[i]).abs().max() < 1e-4 * hessian.abs().max(), (i, row, hessian[i])


def per_sample(net, image, labels, edges):
    gates = {e: torch.ones(len(image), dtype=torch.double, requires_grad=True) for e in edges}
    loss = F.cross_entropy(net.run(image, gates), labels, reduction="sum")
    return torch.stack(torch.autograd.grad(loss, list(gates.values())))


def exact_changes(net, image, labels, edges):
    def loss(gates):
        return F.cross_entropy(net.run(image, gates), labels).item()

    zero = torch.zeros((), dtype=torch.double)
    return [loss({e: zero}) - loss({}) for e in edges]


def check_weights(net, image, labels, edges, gradient):
    """Where an edge feeds a matrix or kernel, its gate gradient is the sum of weight times weight gradient."""
    checked = 0
    linear = {(i, 0): n.input[1] for i, n in enumerate(net.model.graph.node)
              if n.op_type in LAYERS and n.input[1] in net.initialisers}
    for edge, name in list(linear.items())[:6]:
        weights = dict(net.constants)
        weights[name] = net.constants[name].clone().requires_grad_()
        gate = torch.ones((), dtype=torch.double, requires_grad=True)
        loss = F.cross_entropy(net.run(image, {edge: gate}, weights), labels)
        by_gate, by_weight = torch.autograd.grad(loss, (gate, weights[name]))
        total = (by_weight * weights[name]).sum()
        readers = sum(name in n.input for n in net.model.graph.node)
        if readers == 1:
            assert abs(total - by_gate) < 1e-9 * max(1, abs(total)), (edge, total, by_gate)
            checked += 1
    assert checked


def magnitudes(net, edges):
    """The L2 norm of the weights of the nearest layers that feed the edge, or else of those that read it."""
    nodes = net.model.graph.node
    producer = {name: i for i, node in enumerate(nodes) for name in node.output}
    depends = Wiring(net.model).depends

    def weights(index):
        node = nodes[index]
        return {name for name in node.input if node.op_type in LAYERS and name in net.constants
                and net.constants[name].is_floating_point() and net.constants[name].ndim >= 2}

    def before(name):
        if name not in producer:
            return set()
        own = weights(producer[name])
        return own or set().union(*[before(x) for x in nodes[producer[name]].input if x in depends], set())

    def after(index):
        readers = [i for i, n in enumerate(nodes) if set(n.input) & set(nodes[index].output)]
        return weights(index) or set().union(*[after(i) for i in readers], set())

    result = []
    for node, slot in edges:
        names = before(nodes[node].input[slot]) or after(node)
        result.append(math.sqrt(sum((net.constants[n] ** 2).sum().item() for n in sorted(names))))
    return result


def synaptic_flow(net, image, edges):
    positive = {name: value.abs() if name in net.initialisers and value.is_floating_point() and value.ndim else value
                for name, value in net.constants.items()}
    gates = {e: torch.ones((), dtype=torch.double, requires_grad=True) for e in edges}
    total = net.run(torch.ones_like(image[:1]), gates, positive).sum()
    return [g.item() for g in torch.autograd.grad(total, list(gates.values()))]


def information_flow(net, image, edges):
    """Coding rates 1/2 log det(I + Z Z' / (n eps^2 sigma^2)), eps = 1/2, by NumPy."""
    wanted, rates = set(edges), {}
    depends = Wiring(net.model).depends

    def watch(index, inputs):
        names = net.model.graph.node[index].input
        energy = sum((v.numpy() ** 2).mean() for v, name in zip(inputs, names) if name in depends)
        for slot, value in enumerate(inputs):
            if (index, slot) in wanted:
                rows = value.numpy().reshape(len(image), -1)
                matrix = np.eye(len(rows)) + rows @ rows.T / (len(rows) * 0.25 * energy)
                rates[index, slot] = np.linalg.slogdet(matrix)[1] / 2

    net.run(image, watch=watch)
    return [float(rates[e]) for e in edges]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--data", required=True)
    parser.add_argument("--samples", type=int, default=32)
    parser.add_argument("--output", required=True)
    arguments = parser.parse_args()
    net = Interpreter(arguments.model)
    with np.load(arguments.data) as archive:
        image = torch.from_numpy(archive["image"][: arguments.samples]).double()
        labels = torch.from_numpy(archive["labels"][: arguments.samples])
    edges = Wiring(net.model).branches()
    loss, gradient, hessian, gauss = curvatures(net, image, labels, edges)
    rows = per_sample(net, image, labels, edges)
    assert (rows.mean(1) - gradient).abs().max() < 1e-12
    check_weights(net, image, labels, edges, gradient)
    result = {
        "model": arguments.model, "samples": len(image), "edges": ["%d:%d" % e for e in edges], "loss": loss,
        "gradients": gradient.tolist(), "fisher": (rows**2).mean(1).div(2).tolist(), "perSample": rows.tolist(),
        "hessian": hessian.tolist(), "gaussNewton": gauss.tolist(),
        "changes": exact_changes(net, image, labels, edges), "magnitude": magnitudes(net, edges),
        "synflow": synaptic_flow(net, image, edges), "flow": information_flow(net, image, edges)}
    with open(arguments.output, "w") as file:
        json.dump(result, file, indent=None, separators=(",", ":"))
        file.write("\n")
    print(f"{arguments.output}: {len(edges)} edges, loss {loss:.6f}")


if __name__ == "__main__":
    main()
