#!/usr/bin/env python3
"""Writes ResNet-50, ViT-B/16 and GPT-2 small with random weights, and random data for each, at the sizes that people use.

    make-sizes.py FOLDER [--models resnet50,vit-b16,gpt2] [--samples 16]

Needs torch, torchvision, transformers, onnx and onnxscript. Images are 224 x 224 with one of 1,000 labels, texts 128 of
GPT-2's tokens, whose labels are the tokens that follow.
"""

import argparse
import pathlib

import numpy as np


def images(samples, random):
    return {
        "image": random.standard_normal((samples, 3, 224, 224)).astype(np.float32),
        "labels": random.integers(0, 1000, samples)}


def resnet50(samples, random):
    import torchvision

    return torchvision.models.resnet50(weights=None), images(samples, random)


def vit_b16(samples, random):
    import torch
    import torchvision

    model = torchvision.models.vit_b_16(weights=None)
    # The head starts as zeros: every loss would be log(1000), whatever is removed.
    torch.nn.init.trunc_normal_(model.heads.head.weight, std=0.02)
    return model, images(samples, random)


def gpt2(samples, random):
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    class Logits(torch.nn.Module):
        """A language model without its cache."""

        def __init__(self):
            super().__init__()
            self.model = GPT2LMHeadModel(GPT2Config(attn_implementation="eager", use_cache=False))

        def forward(self, tokens):
            return self.model(input_ids=tokens, use_cache=False).logits

    tokens = random.integers(0, 50257, (samples, 129))
    return Logits(), {"tokens": tokens[:, :-1].copy(), "labels": tokens[:, 1:].copy()}


MODELS = {"resnet50": resnet50, "vit-b16": vit_b16, "gpt2": gpt2}


def main():
    import torch

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--samples", type=int, default=16)
    arguments = parser.parse_args()
    for name in arguments.models.split(","):
        torch.manual_seed(1)
        folder = arguments.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        model, data = MODELS[name](arguments.samples, np.random.default_rng(1))
        model.eval()
        port = next(key for key in data if key != "labels")
        torch.onnx.export(
            model, (torch.from_numpy(data[port][:2]),), str(folder / "model.onnx"), input_names=[port],
            output_names=["logits"], dynamic_shapes=({0: torch.export.Dim("batch")},), dynamo=True, external_data=False,
            verbose=False)
        np.savez(folder / "data.npz", **data)
        print(f"{folder}")


if __name__ == "__main__":
    main()
