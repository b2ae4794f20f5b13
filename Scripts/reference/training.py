#!/usr/bin/env python3
"""Training steps of the bundled models by PyTorch alone, in single precision: what Espalier's training is held to.

    training.py [FIXTURE.npz]

Interprets the ONNX files with PyTorch's operators, makes a parameter of every weight, and stores losses, gradients and
stepped parameters of a few cases. Before anything is written, all of it is compared with the same in double precision.

Arrays are `MODEL/CASE/KIND/INITIALISER` with a sample of a tensor's elements (flat indices range(0, n, max(1, n // 64)),
C order), `MODEL/CASE/KIND-norm/INITIALISER` with its L2 norm, `MODEL/CASE/loss` and `MODEL/CASE/losses`; a KIND is
`gradient`, before clipping, or `step1` or `step3`, the parameters after as many steps. `settings` is JSON as bytes.

Parameters that a mask cuts off the loss have a gradient of zeros here, and keep their value: no decay either.
"""

import json
import math
import sys
from pathlib import Path

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import numpy_helper

from gates import OPERATORS, attributes
from wiring import Wiring, parse_edge

ROOT = Path(__file__).resolve().parents[2]
MASKS = {  # two shortcuts, one with a convolution; an attention branch and an MLP branch
    "digits-resnet": "10:1,37:1",
    "digits-vit": "72:1,127:1",
}
SETTINGS = {
    "batch": 32,
    "sgd": {"lr": 0.05, "momentum": 0.9, "weight_decay": 5e-4},
    "adamw": {"lr": 1e-3, "betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0.05},
    "schedule": {"steps": 50, "warmup": 5},
    "temperature": 2.0,
}
CASES = {
    "sgd": {"optimiser": "sgd", "run": True},
    "adamw": {"optimiser": "adamw", "clip": 1.0, "run": True},
    "masked-sgd": {"optimiser": "sgd", "masked": True},
    "masked-adamw": {"optimiser": "adamw", "masked": True},
    "distillation": {"masked": True},
}
OPERATORS = {**OPERATORS, "Relu": torch.relu}  # its slope at zero is 0

# Input slots that are weights when something constant enters there and data elsewhere.
WEIGHT_SLOTS = {
    "Conv": {1, 2}, "ConvTranspose": {1, 2}, "Gemm": {0, 1, 2}, "MatMul": {0, 1}, "BatchNormalization": {1, 2},
    "LayerNormalization": {1, 2}, "GroupNormalization": {1, 2}, "InstanceNormalization": {1, 2}, "Gather": {0},
    "PRelu": {1}, "RNN": {1, 2, 3}, "GRU": {1, 2, 3}, "LSTM": {1, 2, 3, 7}, "Add": {0, 1}, "Mul": {0, 1},
}
PASSING = {"Identity", "Transpose", "Reshape", "Cast"}


def weight_names(model):
    """Names of the initialisers that are weights, in the order of the file's initialisers."""
    tensors = {t.name: t for t in model.graph.initializer if t.data_type == onnx.TensorProto.FLOAT}
    source = {name: name for name in tensors}
    depends, found = Wiring(model).depends, set()
    for node in model.graph.node:
        if node.op_type in PASSING and node.input[0] in source:
            source[node.output[0]] = source[node.input[0]]
        if not depends.intersection(node.input):
            continue
        slots = range(len(node.input)) if node.op_type == "Concat" else WEIGHT_SLOTS.get(node.op_type, ())
        for slot in slots:
            name = source.get(node.input[slot]) if slot < len(node.input) else None
            if name and math.prod(tensors[name].dims) > 1 and (node.op_type != "Gather" or len(tensors[name].dims) > 1):
                found.add(name)
    return [name for name in tensors if name in found]


class Network:
    """A model with its weights as parameters; edges of a mask read zeros."""

    def __init__(self, name, dtype):
        self.graph = (model := onnx.load(ROOT / "Examples" / name / "model.onnx")).graph
        self.constants = {t.name: self._tensor(t, dtype) for t in self.graph.initializer}
        for node in self.graph.node:
            if node.op_type == "Constant":
                self.constants[node.output[0]] = self._tensor(attributes(node)["value"], dtype)
        self.parameters = {n: torch.nn.Parameter(self.constants.pop(n)) for n in weight_names(model)}

    @staticmethod
    def _tensor(proto, dtype):
        tensor = torch.from_numpy(numpy_helper.to_array(proto).copy())
        return tensor.to(dtype) if tensor.is_floating_point() else tensor

    def run(self, image, mask=()):
        values = {**self.constants, **self.parameters, self.graph.input[0].name: image}
        for index, node in enumerate(self.graph.node):
            if node.op_type == "Constant":
                continue
            inputs = [values[name] for name in node.input]
            inputs = [torch.zeros_like(v) if (index, slot) in mask else v for slot, v in enumerate(inputs)]
            values[node.output[0]] = OPERATORS[node.op_type](*inputs, **attributes(node))
        return values[self.graph.output[0].name]


def batch(data, step):
    image, labels = data
    chosen = (step * SETTINGS["batch"] + torch.arange(SETTINGS["batch"])) % len(labels)
    return image[chosen], labels[chosen]


def make_optimiser(kind, parameters):
    decayed = [p for p in parameters if sum(size > 1 for size in p.shape) > 1]
    others = [p for p in parameters if sum(size > 1 for size in p.shape) <= 1]
    groups = [{"params": decayed}, {"params": others, "weight_decay": 0.0}]
    return {"sgd": torch.optim.SGD, "adamw": torch.optim.AdamW}[kind](groups, **SETTINGS[kind])


def scheduled(step):
    """The rate of a step of the long run, as a share of the highest."""
    warmup, steps = SETTINGS["schedule"]["warmup"], SETTINGS["schedule"]["steps"]
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))


def train(net, data, case, mask, steps, share=lambda step: 1.0, after=None):
    """The loss of every step; `after` is called with the number of steps done."""
    parameters = list(net.parameters.values())
    optimiser = make_optimiser(case["optimiser"], parameters)
    rate, losses, norms = SETTINGS[case["optimiser"]]["lr"], [], []
    for step in range(steps):
        image, labels = batch(data, step)
        loss = F.cross_entropy(net.run(image, mask), labels)
        optimiser.zero_grad()
        loss.backward()
        losses.append(loss.item())
        if step == 0 and after:
            after(0)
        if "clip" in case:
            norms.append(torch.nn.utils.clip_grad_norm_(parameters, case["clip"]).item())
        for group in optimiser.param_groups:
            group["lr"] = rate * share(step)
        optimiser.step()
        if after:
            after(step + 1)
    if norms:
        print(f"  gradient norms before clipping: {', '.join('%.3g' % n for n in norms[:6])} ..., max {max(norms):.3g}")
    return losses


def distillation(net, teacher, data, mask):
    """The loss against the whole model's probabilities at a temperature, with its gradients left on the parameters."""
    image, _ = batch(data, 0)
    t = SETTINGS["temperature"]
    with torch.no_grad():
        wanted = F.log_softmax(teacher.run(image) / t, -1)
    found = F.log_softmax(net.run(image, mask) / t, -1)
    loss = t * t * F.kl_div(found, wanted, reduction="batchmean", log_target=True)
    loss.backward()
    return loss.item()


def compute(model, name, dtype):
    """Whole tensors and losses of a case, by their keys, and the names of the parameters without a gradient."""
    case, result = CASES[name], {}
    with np.load(ROOT / "Examples" / model / "calibration.npz") as archive:
        net = Network(model, dtype)
        image = torch.from_numpy(archive[net.graph.input[0].name]).to(dtype)
        data = image, torch.from_numpy(archive["labels"])
    mask = {parse_edge(edge) for edge in MASKS[model].split(",")} if case.get("masked") else set()
    unreached = []

    def keep(kind, tensors):
        result.update({(kind, n): t.detach().numpy().copy() for n, t in tensors.items()})

    def after(steps):
        if steps == 0:
            unreached.extend(n for n, p in net.parameters.items() if p.grad is None)
            keep("gradient", {n: torch.zeros_like(p) if p.grad is None else p.grad for n, p in net.parameters.items()})
        elif steps in (1, 3):
            keep(f"step{steps}", net.parameters)

    if "optimiser" in case:
        result["loss"] = train(net, data, case, mask, 3, after=after)[0]
        if case.get("run"):
            result["losses"] = train(Network(model, dtype), data, case, mask, SETTINGS["schedule"]["steps"], scheduled)
    else:
        result["loss"] = distillation(net, Network(model, dtype), data, mask)
        after(0)
    return result, unreached


def disagreement(single, double):
    """Largest difference relative to the largest element."""
    single, double = np.asarray(single, np.float64), np.asarray(double, np.float64)
    largest = np.abs(double).max()
    return np.abs(single - double).max() / largest if largest else float(np.abs(single).max())


def stored(result):
    """What is stored of whole tensors: a sample of the elements, and the norm."""
    arrays = {}
    for key, value in result.items():
        if isinstance(key, str):
            arrays[key] = np.asarray(value, np.float64)
            continue
        kind, name = key
        flat = value.reshape(-1)
        arrays[f"{kind}/{name}"] = flat[:: max(1, flat.size // 64)]
        arrays[f"{kind}-norm/{name}"] = np.asarray(np.sqrt((flat.astype(np.float64) ** 2).sum()))
    return arrays


def main():
    output = sys.argv[1] if len(sys.argv) > 1 else ROOT / "Tests" / "Fixtures" / "training.npz"
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    arrays, settings = {}, {**SETTINGS, "models": {}}
    for model, mask in MASKS.items():
        parameters = Network(model, torch.float32).parameters
        print(f"{model}: {len(parameters)} parameters")
        for name, parameter in parameters.items():
            print(f"  {name} {list(parameter.shape)}")
        for name, case in CASES.items():
            result, unreached = compute(model, name, torch.float32)
            double, _ = compute(model, name, torch.float64)
            arrays |= {f"{model}/{name}/{key}": value for key, value in stored(result).items()}
            worst = {}
            for key in result:
                worst.setdefault(key if isinstance(key, str) else key[0], []).append((disagreement(result[key], double[key]), key))
            print(model, name, result["loss"], result.get("losses", [None])[-1], unreached)
            for k, v in worst.items(): print("   ", k, [(("%.2g"%a), b) for a,b in sorted(v, key=lambda x:-x[0])[:14] if a>1e-5 or b=="loss"], max(v)[0])
    np.savez_compressed(output, **arrays)


if __name__ == "__main__":
    main()
