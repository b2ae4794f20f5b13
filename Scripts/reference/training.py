#!/usr/bin/env python3
"""Training steps of the bundled models by PyTorch alone, in single precision: what Espalier's training is held to.

    training.py [FIXTURE.npz]

Interprets the ONNX files with PyTorch's operators, makes a parameter of every weight, and stores losses, gradients and
stepped parameters of a few cases, after a comparison with the same in double precision.

Arrays are `MODEL/CASE/KIND/INITIALISER` with a sample of a tensor's elements (flat indices range(0, n, max(1, n // 64))
in C order) and `MODEL/CASE/KIND-norm/INITIALISER` with the L2 norm of all; a KIND is `gradient` (of the first step,
before clipping), or `step1` or `step3`, the parameters after as many steps at the full rate. `MODEL/CASE/loss` is the
first step's; `.../norms` are the gradients' norms of three steps before clipping; `.../losses` are those of the long
run with warm-up and cosine, `.../losses-double` the same in double precision.

`settings` is JSON as bytes. It says for each case which parameters are `unreached` (the mask cuts them off the loss:
their gradient is stored as zeros, and they keep their value, without decay), which have a gradient of `rounding` alone
(it is zero in exact arithmetic, and what AdamW makes of it means nothing), and which other arrays are `unsteady`:
single and double precision differ by more than 1e-5 of the largest element of the tensor.
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
CASES = {  # the long run by "sgd" diverges at its rate, the one by "sgd-slow" does not
    "sgd": {"optimiser": "sgd", "run": True},
    "sgd-slow": {"optimiser": "sgd", "lr": 0.005, "run": True, "tensors": False},
    "adamw": {"optimiser": "adamw", "clip": 1.0, "run": True},
    "masked-sgd": {"optimiser": "sgd", "masked": True},
    "masked-adamw": {"optimiser": "adamw", "masked": True},
    "distillation": {"masked": True},
}
STEADY = 1e-5
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
        self.model = onnx.load(ROOT / "Examples" / name / "model.onnx")
        self.graph = self.model.graph
        self.constants = {t.name: self._tensor(t, dtype) for t in self.graph.initializer}
        for node in self.graph.node:
            if node.op_type == "Constant":
                self.constants[node.output[0]] = self._tensor(attributes(node)["value"], dtype)
        self.parameters = {n: torch.nn.Parameter(self.constants.pop(n)) for n in weight_names(self.model)}

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


def is_decayed(parameter):
    """Whether weight decay applies: matrices and kernels, not vectors that are shaped to broadcast."""
    return sum(size > 1 for size in parameter.shape) > 1


def make_optimiser(case, parameters):
    kind = case["optimiser"]
    groups = [{"params": [p for p in parameters if is_decayed(p)]},
              {"params": [p for p in parameters if not is_decayed(p)], "weight_decay": 0.0}]
    options = {**SETTINGS[kind], "lr": case.get("lr", SETTINGS[kind]["lr"])}
    return {"sgd": torch.optim.SGD, "adamw": torch.optim.AdamW}[kind](groups, **options)


def scheduled(step):
    """The rate of a step of the long run, as a share of the highest."""
    warmup, steps = SETTINGS["schedule"]["warmup"], SETTINGS["schedule"]["steps"]
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))


def train(net, data, case, mask, steps, share=lambda step: 1.0, after=None):
    """Losses and, when they are clipped, the gradients' norms of all steps. `after` is called with the number of steps
    done, the first time with 0, when there are gradients."""
    parameters = list(net.parameters.values())
    optimiser, losses, norms = make_optimiser(case, parameters), [], []
    rate = optimiser.param_groups[0]["lr"]
    for step in range(steps):
        image, labels = batch(data, step)
        loss = F.cross_entropy(net.run(image, mask), labels)
        optimiser.zero_grad()
        loss.backward()
        losses.append(loss.item())
        if after and step == 0:
            after(0)
        if "clip" in case:
            norms.append(torch.nn.utils.clip_grad_norm_(parameters, case["clip"]).item())
        for group in optimiser.param_groups:
            group["lr"] = rate * share(step)
        optimiser.step()
        if after:
            after(step + 1)
    return losses, norms


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
    """Whole tensors and losses of a case, by their kind and name, and the names of parameters without a gradient."""
    case, result, unreached = CASES[name], {}, []
    net = Network(model, dtype)
    with np.load(ROOT / "Examples" / model / "calibration.npz") as archive:
        image = torch.from_numpy(archive[net.graph.input[0].name]).to(dtype)
        data = image, torch.from_numpy(archive["labels"])
    mask = {parse_edge(edge) for edge in MASKS[model].split(",")} if case.get("masked") else set()

    def keep(kind, tensors):
        result.update({(kind, n): t.detach().numpy().copy() for n, t in tensors.items()})

    def after(steps):
        if steps == 0:
            unreached.extend(n for n, p in net.parameters.items() if p.grad is None)
            keep("gradient", {n: torch.zeros_like(p) if p.grad is None else p.grad for n, p in net.parameters.items()})
        elif steps in (1, 3):
            keep(f"step{steps}", net.parameters)

    if "optimiser" in case:
        losses, norms = train(net, data, case, mask, 3, after=after if case.get("tensors", True) else None)
        result["loss",] = losses[0]
        if norms:
            result["norms",] = norms
        if case.get("run"):
            run = SETTINGS["schedule"]["steps"]
            result["losses",], _ = train(Network(model, dtype), data, case, mask, run, scheduled)
    else:
        result["loss",] = distillation(net, Network(model, dtype), data, mask)
        after(0)
    return result, unreached


def sample(tensor):
    flat = tensor.reshape(-1)
    return flat[:: max(1, flat.size // 64)]


def norm(tensor):
    return np.sqrt((tensor.astype(np.float64) ** 2).sum())


def stored(result):
    arrays = {}
    for (kind, *name), value in result.items():
        if name:
            arrays[f"{kind}/{name[0]}"] = sample(value)
            arrays[f"{kind}-norm/{name[0]}"] = norm(value)
        else:
            arrays[kind] = np.asarray(value, np.float64)
    return arrays


def disagreement(single, double, largest=None):
    """The largest difference relative to the largest element, of the elements that are finite in both."""
    single, double = np.atleast_1d(single).astype(np.float64), np.atleast_1d(double).astype(np.float64)
    finite = np.isfinite(single) & np.isfinite(double)
    difference = np.abs(single - double)[finite].max()
    largest = np.abs(double[finite]).max() if largest is None else largest
    return float(difference / largest) if largest else float(difference)


def compare(single, double, unreached):
    """Prints how far all of it is from double precision, and returns what to say of the case in the settings."""
    gradients = {name[0]: np.abs(value).max() for (kind, *name), value in double.items() if kind == "gradient"}
    floor = 1e-9 * max(gradients.values(), default=0)
    rounding = [name for name, largest in gradients.items() if largest < floor and name not in unreached]
    worst, unsteady = {}, {}
    for (kind, *name), exact in double.items():
        if name and name[0] in rounding:
            continue
        found = single[kind, *name]
        apart = disagreement(found, exact)
        worst.setdefault(kind, []).append((apart, *name))
        pairs = {kind: apart}
        if name:
            pairs = {f"{kind}/{name[0]}": disagreement(sample(found), sample(exact), np.abs(exact).max()),
                     f"{kind}-norm/{name[0]}": disagreement(norm(found), norm(exact))}
        unsteady.update({key: float(f"{value:.2g}") for key, value in pairs.items() if value > STEADY})
    for kind, found in worst.items():
        above = sum(value > STEADY for value, *_ in found)
        largest, *where = max(found)
        print(f"    {kind}: {' '.join([f'{largest:.1e}', *where])}, {above} of {len(found)} above {STEADY:.0e}")
    print(f"    unreached: {' '.join(unreached) or 'none'}\n    rounding: {' '.join(rounding) or 'none'}")
    print(f"    unsteady as stored: {unsteady or 'none'}")
    return {"unreached": unreached, "rounding": rounding, "unsteady": unsteady}


def main():
    output = sys.argv[1] if len(sys.argv) > 1 else ROOT / "Tests" / "Fixtures" / "training.npz"
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    arrays, settings = {}, {**SETTINGS, "models": {}}
    for model, mask in MASKS.items():
        net = Network(model, torch.float32)
        wiring, edges = Wiring(net.model), {parse_edge(edge) for edge in mask.split(",")}
        assert edges <= set(wiring.branches()) and wiring.connected(edges)
        table = [{"name": n, "shape": list(p.shape), "decayed": is_decayed(p)} for n, p in net.parameters.items()]
        print(f"{model}: {len(table)} parameters, mask {mask}")
        for row in table:
            print(f"    {row['name']} {row['shape']}{' decayed' if row['decayed'] else ''}")
        settings["models"][model] = {"parameters": table, "cases": {}}
        for name, case in CASES.items():
            single, unreached = compute(model, name, torch.float32)
            double, _ = compute(model, name, torch.float64)
            last = f", last of the long run {single['losses',][-1]:.6g}" if case.get("run") else ""
            print(f"  {name}: loss {single['loss',]:.8g}{last}")
            notes = compare(single, double, unreached)
            settings["models"][model]["cases"][name] = {**case, "mask": mask if case.get("masked") else "", **notes}
            if case.get("run"):
                arrays[f"{model}/{name}/losses-double"] = np.asarray(double["losses",])
            arrays |= {f"{model}/{name}/{key}": value for key, value in stored(single).items()}
    arrays["settings"] = np.frombuffer(json.dumps(settings).encode(), np.uint8)
    np.savez_compressed(output, **arrays)
    print(f"{output}: {len(arrays)} arrays, {Path(output).stat().st_size} bytes")


if __name__ == "__main__":
    main()
