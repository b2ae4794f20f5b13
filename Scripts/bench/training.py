#!/usr/bin/env python3
"""Training throughput: steps of AdamW in Espalier and in eager PyTorch, of the same network on the same images.

    training.py [--networks resnet20,resnet56,encoder6] [--batch 64] [--steps 12,36] [--repeats 3] [--workers 0,1,2]
                [--espalier PATH] [--json FILE]

Both train the exported form, batch norm folded into the convolutions, with one thread. A step's time is that of the longer
run less that of the shorter one, over the steps between them, so that starting up does not count: CPU time beside PyTorch,
and wall time among numbers of workers, whose micro-batches share a step. Runs alternate, and the table has ratios of medians.
Needs torch, onnx and numpy.
"""

import argparse
import pathlib
import sys
import tempfile
import time

import numpy as np
import torch
from torch import nn

from measured import arguments_of, call, finish, machine, median
from switched import NETWORKS


def folded(module):
    """The module without batch norms: each is folded into the convolution before it."""
    if isinstance(module, nn.Sequential):
        layers = [folded(layer) for layer in module]
        merged = []
        for layer in layers:
            if isinstance(layer, nn.BatchNorm2d):
                merged[-1] = nn.utils.fusion.fuse_conv_bn_eval(merged[-1].eval(), layer.eval())
            else:
                merged.append(layer)
        return nn.Sequential(*merged)
    for name, child in module.named_children():
        setattr(module, name, folded(child))
    return module


def pytorch(network, images, labels, batch, steps):
    """CPU seconds of the steps after a few first ones."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, weight_decay=0.01)
    for step in range(steps + 3):
        if step == 3:
            start = time.process_time()
        chosen = [(step * batch + i) % len(labels) for i in range(batch)]
        loss = nn.functional.cross_entropy(network(images[chosen]), labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
    return (time.process_time() - start) / steps


def espalier(program, folder, batch, steps, workers, micro):
    """CPU and wall seconds of a step."""
    calls = []
    for count in steps:
        with tempfile.TemporaryDirectory() as run:
            calls.append(call(
                program, "finetune", folder / "model.onnx", "--data", folder / "data.npz", "--steps", count, "--batch",
                batch, "--micro-batch", micro, "--rate", 1e-4, "--workers", workers, "--validate-every", 10**6, "--run",
                pathlib.Path(run) / "run", "--json", "-"))
    between = steps[1] - steps[0]
    return (calls[1].cpu - calls[0].cpu) / between, (calls[1].wall - calls[0].wall) / between


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", default="resnet20,resnet56,encoder6")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--steps", default="12,36")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--workers", default="1,2")
    arguments = arguments_of(parser)
    torch.set_num_threads(1)
    steps = [int(count) for count in arguments.steps.split(",")]
    figures = {"machine": machine(), "networks": {}}
    for name in arguments.networks.split(","):
        torch.manual_seed(0)
        network = NETWORKS[name]().eval()
        random = np.random.default_rng(0)
        images = random.standard_normal((512, *network.shape)).astype(np.float32)
        labels = random.integers(0, 10, 512)
        with tempfile.TemporaryDirectory() as scratch:
            folder = pathlib.Path(scratch)
            torch.onnx.export(
                network, (torch.zeros(2, *network.shape),), str(folder / "model.onnx"), dynamo=False, opset_version=17,
                input_names=["image"], output_names=["logits"],
                dynamic_axes={"image": {0: "batch"}, "logits": {0: "batch"}})
            np.savez(folder / "data.npz", image=images, labels=labels)
            peer = folded(network)
            tensors = torch.from_numpy(images), torch.from_numpy(labels)
            own, other, shared = [], [], {int(count): [] for count in arguments.workers.split(",")}
            for _ in range(arguments.repeats):
                own.append(espalier(arguments.espalier, folder, arguments.batch, steps, 0, arguments.batch)[0])
                other.append(pytorch(peer, *tensors, arguments.batch, steps[1]))
                for count, times in shared.items():
                    times.append(
                        espalier(arguments.espalier, folder, arguments.batch, steps, count, arguments.batch // 4)[1])
        row = {
            "seconds": median(own), "pytorch": median(other), "ratio": median(other) / median(own),
            "workers": {count: median(times) for count, times in shared.items()}}
        figures["networks"][name] = row
        walls = ", ".join(f"{count} workers {seconds * 1000:.0f} ms" for count, seconds in row["workers"].items())
        print(
            f"{name}: a step of {arguments.batch} takes {row['seconds'] * 1000:.0f} ms of CPU time, {row['ratio']:.2f} times "
            f"PyTorch's throughput; wall time of a step with {walls}", flush=True)
    finish(arguments, figures)


if __name__ == "__main__":
    main()
