#!/usr/bin/env python3
"""Trains the bundled examples and writes Examples/digits-resnet and Examples/digits-vit.

    train.py [--output Examples] [--threads 1] [--only digits-resnet|digits-vit]

Data: scikit-learn's copy of the UCI digits, 1,797 images, split by class with a fixed seed into 925 to train on,
512 for calibration (what Espalier measures losses on) and 360 held out; no image is in two of them. Each folder
gets model.onnx, calibration.npz and held-out.npz (`image` float32 [N, 1, 8, 8] in 0...1, `labels` int64 [N]).
Needs torch, onnx, onnxruntime, numpy and scikit-learn; takes a few minutes on one core.
"""

import argparse
import pathlib
import time
import warnings

import numpy as np
import onnx
import onnxruntime
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from networks import DigitsResNet, DigitsViT

MODELS = {"digits-resnet": (DigitsResNet, 60, 5e-3, 5e-2), "digits-vit": (DigitsViT, 400, 2e-3, 5e-2)}


def split():
    """The three disjoint, stratified parts as {name: (images [N, 1, 8, 8], labels [N])}."""
    images, labels = load_digits(return_X_y=True)
    images = (images / 16).astype(np.float32).reshape(-1, 1, 8, 8)
    labels = labels.astype(np.int64)
    rest, held_out = train_test_split(np.arange(len(labels)), test_size=360, stratify=labels, random_state=0)
    train, calibration = train_test_split(rest, test_size=512, stratify=labels[rest], random_state=0)
    parts = {"train": train, "calibration": calibration, "held-out": held_out}
    return {name: (images[part], labels[part]) for name, part in parts.items()}


def augment(images, generator):
    """Shifts by up to a pixel, turns by up to 12 degrees, scales by up to 10 %, changes contrast and adds noise."""
    count = len(images)

    def uniform(limit):
        return (2 * torch.rand(count, generator=generator) - 1) * limit

    angle, scale = uniform(0.21), 1 + uniform(0.1)
    shift = torch.stack([uniform(0.25), uniform(0.25)], 1)
    cosine, sine = torch.cos(angle) * scale, torch.sin(angle) * scale
    transform = torch.stack([cosine, -sine, shift[:, 0], sine, cosine, shift[:, 1]], 1).reshape(-1, 2, 3)
    grid = torch.nn.functional.affine_grid(transform, images.shape, align_corners=False)
    moved = torch.nn.functional.grid_sample(images, grid, align_corners=False)
    contrast = (1 + uniform(0.15)).reshape(-1, 1, 1, 1)
    return moved * contrast + 0.03 * torch.randn(images.shape, generator=generator)


def train(model, images, labels, epochs, rate, decay):
    """AdamW with a one-cycle learning rate on cross-entropy; returns the model in evaluation mode."""
    generator = torch.Generator().manual_seed(0)
    images, labels = torch.from_numpy(images), torch.from_numpy(labels)
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=decay)
    batch = 64
    steps = len(images) // batch
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, epochs * steps, pct_start=0.15)
    for _ in range(epochs):
        order = torch.randperm(len(images), generator=generator)
        for step in range(steps):
            chosen = order[step * batch : (step + 1) * batch]
            loss = torch.nn.functional.cross_entropy(model(augment(images[chosen], generator)), labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    return model.eval()


def export(model, path):
    torch.onnx.export(
        model, (torch.zeros(2, 1, 8, 8),), str(path), dynamo=False, opset_version=17, input_names=["image"],
        output_names=["logits"], dynamic_axes={"image": {0: "batch"}, "logits": {0: "batch"}})
    onnx.checker.check_model(onnx.load(path), full_check=True)


def measure(path, images, labels):
    """Accuracy and mean cross-entropy by ONNX Runtime."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    logits = session.run(["logits"], {"image": images})[0].astype(np.float64)
    logits -= logits.max(1, keepdims=True)
    losses = np.log(np.exp(logits).sum(1)) - logits[np.arange(len(labels)), labels]
    return (logits.argmax(1) == labels).mean(), losses.mean()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("Examples"))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", choices=MODELS)
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(arguments.threads)
    torch.use_deterministic_algorithms(True)
    parts = split()
    for name, (build, epochs, rate, decay) in MODELS.items():
        if arguments.only in (None, name):
            started = time.monotonic()
            torch.manual_seed(0)
            model = train(build(), *parts["train"], epochs, rate, decay)
            folder = arguments.output / name
            folder.mkdir(parents=True, exist_ok=True)
            export(model, folder / "model.onnx")
            report = []
            for part in ("calibration", "held-out"):
                images, labels = parts[part]
                np.savez_compressed(folder / f"{part}.npz", image=images, labels=labels)
                accuracy, loss = measure(folder / "model.onnx", images, labels)
                report.append(f"{part} accuracy {accuracy:.2%}, loss {loss:.5f}")
            parameters = sum(p.numel() for p in model.parameters())
            print(f"{name}: {parameters} parameters; {'; '.join(report)}; {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
