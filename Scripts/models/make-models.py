#!/usr/bin/env python3
"""Writes the reference models: well-known architectures through both of PyTorch's ONNX exporters.

    make-models.py OUT [--only NAME]...   narrow models (tens of kilobytes each), the test fixtures
    make-models.py --full OUT             the same at their published sizes, for checks outside CI
    make-models.py --dynamic OUT          narrow models with symbolic lengths, heights and widths too, each through both
                                          exporters where both can: NAME-torchscript.onnx, NAME-dynamo.onnx

Beside each NAME.onnx it writes NAME.npz (8 samples of every input, plus `labels`, or `targets` for the
U-Net) and NAME.expected.npz (ONNX Runtime's outputs by name). Weights are random with a fixed seed.
Needs torch, torchvision, timm, transformers, onnx, onnxscript, onnxruntime and numpy.
"""

import argparse
import pathlib
import warnings
from dataclasses import dataclass, replace
from typing import Callable

import numpy as np
import onnx
import onnxruntime
import torch
from torch import nn

import language
import vision

SAMPLES = 8


@dataclass
class Entry:
    """One model: how to build it, which exporter and opset write it, and its narrow and full image size or length."""

    build: Callable[[bool], nn.Module]
    dynamo: bool
    opset: int
    kind: str  # "image", "ids", "ids+mask", "next-token"
    narrow: int
    full: int
    keep_batch_norm: bool = False


ZOO = {
    "resnet18": Entry(vision.resnet18, False, 11, "image", 32, 224),
    "mobilenetv3-small": Entry(vision.mobilenet_v3_small, True, 18, "image", 32, 224),
    "densenet": Entry(vision.densenet121, False, 13, "image", 32, 224),
    "squeezenet": Entry(vision.squeezenet1_1, False, 11, "image", 48, 224),
    "efficientnet-b0": Entry(vision.efficientnet_b0, False, 17, "image", 32, 224, keep_batch_norm=True),
    "convnext-tiny": Entry(vision.convnext_tiny, True, 20, "image", 32, 224),
    "vit": Entry(vision.vit, False, 17, "image", 32, 224),
    "swin": Entry(vision.swin, True, 18, "image", 16, 224),
    "bert": Entry(language.bert, False, 14, "ids+mask", 12, 128),
    "gpt2": Entry(language.gpt2, True, 18, "next-token", 12, 128),
    "unet": Entry(vision.unet, False, 13, "image", 16, 256),
    "lstm": Entry(language.lstm, False, 17, "ids", 12, 64),
}

# Architectures whose image size is part of their weights.
FIXED_SIZES = {"vit", "swin"}


def randomise(model):
    """Random parameters under which every layer matters.

    Published initialisations keep attention almost uniform and residual branches almost zero; then removing an edge
    changes next to nothing, and an error does too. Normalisation layers get non-trivial scales and shifts.
    """
    for module in model.modules():
        if isinstance(module, (nn.BatchNorm2d, nn.LayerNorm)):
            if module.weight is not None:
                nn.init.uniform_(module.weight, 0.7, 1.3)
                nn.init.normal_(module.bias, 0, 0.2)
        elif isinstance(module, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)) or type(module).__name__ == "Conv1D":
            weight = module.weight
            fan_in = weight.shape[0] if weight.ndim == 2 and type(module).__name__ == "Conv1D" else weight[0].numel()
            nn.init.normal_(weight, 0, 1.4 / fan_in**0.5)
            if module.bias is not None:
                nn.init.normal_(module.bias, 0, 0.05)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, 0, 1)


def settle(model, inputs, spread):
    """Sets batch norm's running statistics from the data (then disturbs them) and scales the head.

    The last linear or convolution is scaled to logits whose standard deviation over the samples is `spread`.
    """
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    model.eval()
    with torch.no_grad():
        for norm in norms:
            norm.momentum = None
            norm.reset_running_stats()
            norm.train()
        model(*inputs)
        for norm in norms:
            norm.eval()
            norm.running_mean += 0.1 * torch.randn_like(norm.running_mean)
            norm.running_var = norm.running_var * (0.7 + 0.6 * torch.rand_like(norm.running_var)) + 1e-3
        head = [m for m in model.modules() if isinstance(m, (nn.Linear, nn.Conv2d))][-1]
        for _ in range(6):  # more than once, because a ReLU may follow the head
            output = model(*inputs)
            head.weight *= spread / max((output - output.mean(0)).std().item(), 1e-3)
            if head.bias is not None:
                output = model(*inputs)
                classes = output.movedim(1, -1) if output.ndim == 4 else output
                head.bias -= classes.flatten(0, -2).mean(0) - (spread if output.min() >= 0 else 0)


def make_inputs(entry, size, vocabulary, generator):
    """Random inputs by name; images are blotches in multiples of 1/16, so that they compress well."""
    if entry.kind == "image":
        coarse = generator.normal(size=(SAMPLES, 3, 4, 4))
        image = np.kron(coarse, np.ones((1, 1, size // 4, size // 4))) * generator.uniform(0.5, 1.5, (SAMPLES, 1, 1, 1))
        image = image + 0.3 * generator.normal(size=image.shape)
        return {"image": (np.round(image * 16) / 16).astype(np.float32)}
    ids = generator.integers(0, vocabulary, (SAMPLES, size))
    if entry.kind != "ids+mask":
        return {"input_ids": ids}
    lengths = generator.integers(size // 2, size + 1, (SAMPLES, 1))
    mask = (np.arange(size)[None] < lengths).astype(np.int64)
    return {"input_ids": ids * mask, "attention_mask": mask}


def make_labels(entry, name, inputs, output, generator):
    """Half of the labels are what the model says, so that its loss is neither 0 nor that of guessing."""
    if entry.kind == "next-token":
        labels = np.full(inputs["input_ids"].shape, -100, np.int64)
        labels[:, :-1] = inputs["input_ids"][:, 1:]
        labels[-1, -3:] = -100
        return {"labels": labels}
    if name.startswith("unet"):
        return {"targets": (output + 0.5 * generator.normal(size=output.shape)).astype(np.float32).round(2)}
    labels = output.argmax(-1).astype(np.int64)
    labels[::2] = generator.integers(0, output.shape[-1], labels[::2].shape)
    return {"labels": labels}


def export(model, inputs, entry, path, dynamic=False):
    names = list(inputs)
    arguments = tuple(torch.from_numpy(value) for value in inputs.values())
    axes = {0: "batch"}
    if dynamic:
        axes |= {2: "height", 3: "width"} if entry.kind == "image" else {1: "length"}
    common = dict(input_names=names, output_names=["logits"], opset_version=entry.opset)
    if entry.dynamo:
        dimensions = {axis: torch.export.Dim(name, min=1, max=4096) for axis, name in axes.items()}
        if dynamic:
            dimensions = {axis: torch.export.Dim.DYNAMIC for axis in axes}
        torch.onnx.export(
            model, arguments, path, dynamo=True, external_data=False, verbose=False,
            dynamic_shapes=tuple(dimensions for _ in arguments), **common)
    else:
        training = torch.onnx.TrainingMode.PRESERVE if entry.keep_batch_norm else torch.onnx.TrainingMode.EVAL
        torch.onnx.export(
            model, arguments, path, dynamo=False, training=training,
            dynamic_axes={name: axes for name in names} | {"logits": {0: "batch"}}, **common)
    written = onnx.load(path)
    strip(written.graph)
    for function in written.functions:
        strip(function)
    onnx.checker.check_model(written, full_check=True)
    onnx.save(written, path)


def strip(graph):
    """Drops the exporter's stack traces: they hold paths of the machine that exported."""
    for item in [graph, *graph.node, *getattr(graph, "value_info", []), *getattr(graph, "initializer", [])]:
        item.ClearField("doc_string")
        if "metadata_props" in item.DESCRIPTOR.fields_by_name:
            item.ClearField("metadata_props")


def run(path, inputs):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return dict(zip([o.name for o in session.get_outputs()], session.run(None, inputs)))


def make_dynamic(name, entry, folder):
    """The narrow model with every size symbolic that its architecture takes at other values, by both exporters."""
    for exporter in ("torchscript", "dynamo"):
        chosen = replace(entry, dynamo=exporter == "dynamo", opset=max(entry.opset, 18 if exporter == "dynamo" else 0))
        try:
            make(f"{name}-{exporter}", chosen, folder, False, dynamic=name not in FIXED_SIZES)
        except Exception as error:  # exporters raise whatever they meet
            print(f"{name}-{exporter}: not exported: {str(error).splitlines()[0][:200]}", flush=True)


def make(name, entry, folder, full, dynamic=False):
    torch.manual_seed(1)
    generator = np.random.default_rng(1)
    size = entry.full if full else entry.narrow
    model = entry.build(full)
    inputs = make_inputs(entry, size, 1000 if full else 64, generator)
    tensors = [torch.from_numpy(value) for value in inputs.values()]
    randomise(model)
    settle(model, tensors, 1 if entry.kind == "next-token" else 2)
    path = folder / f"{name}.onnx"
    export(model, inputs, entry, str(path), dynamic)
    expected = run(path, inputs)
    with torch.no_grad():
        torchs = model(*tensors).numpy()
    scale = np.abs(torchs).max()
    difference = np.abs(expected["logits"] - torchs).max() / scale
    alone = run(path, {k: v[:1] for k, v in inputs.items()})["logits"]
    assert difference < 1e-3, f"{name}: ONNX Runtime and PyTorch differ by {difference} relative"
    assert np.abs(alone - expected["logits"][:1]).max() / scale < 1e-4, f"{name}: batch of one differs"
    labels = make_labels(entry, name, inputs, expected["logits"], generator)
    np.savez_compressed(folder / f"{name}.npz", **inputs, **labels)
    np.savez_compressed(folder / f"{name}.expected.npz", **expected)
    spread = (expected["logits"] - expected["logits"].mean(0)).std()
    print(
        f"{name}: {path.stat().st_size / 1000:.0f} kB, {len(onnx.load(path).graph.node)} nodes, "
        f"spread over samples {spread:.2f}, relative difference to PyTorch {difference:.1e}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--full", action="store_true", help="published sizes instead of narrow ones")
    parser.add_argument("--dynamic", action="store_true", help="symbolic sizes, both exporters")
    parser.add_argument("--only", action="append", choices=ZOO, help="just this model (may be repeated)")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for name, entry in ZOO.items():
        if not arguments.only or name in arguments.only:
            if arguments.dynamic:
                make_dynamic(name, entry, arguments.folder)
            else:
                make(name, entry, arguments.folder, arguments.full)


if __name__ == "__main__":
    main()
