#!/usr/bin/env python3
"""Writes small decoders with key-value caches, as text generation exports them.

    make-caches.py OUT [--only NAME]...

Inputs are `input_ids` [batch, sequence], `attention_mask` [batch, total], `position_ids` [batch, sequence] and for every
layer `past_key_values.I.key` and `.value` [batch, heads, past, size]; outputs are `logits` and `present.I.key` and
`.value` [batch, heads, total, size], where total = past + sequence. Beside each NAME.onnx it writes NAME-pastP.npz for
P = 0 and 5 (6 samples of every input, and `labels` [6, sequence]) and NAME-pastP.expected.npz (ONNX Runtime's outputs by
name). Weights are random with a fixed seed. Needs torch, transformers, onnx, onnxscript, onnxruntime and numpy.
"""

import argparse
import pathlib
import warnings

import numpy as np
import onnx
import onnxruntime
import torch
from torch import nn
from transformers import DynamicCache, GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

SAMPLES, SEQUENCE, VOCABULARY, LAYERS = 6, 4, 48, 2
PASTS = (0, 5)
HEADS = {"gpt2-cache": (2, 8), "llama-cache": (2, 4)}  # of keys, and their size


class WithCache(nn.Module):
    """A decoder with the cache as flat tensors."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_ids, attention_mask, position_ids, *past):
        cache = DynamicCache([(past[2 * layer], past[2 * layer + 1]) for layer in range(LAYERS)])
        result = self.model(
            input_ids=input_ids, attention_mask=attention_mask, position_ids=position_ids, past_key_values=cache,
            use_cache=True)
        present = [part for layer in result.past_key_values.layers for part in (layer.keys, layer.values)]
        return (result.logits, *present)


def build(name):
    if name == "gpt2-cache":
        config = GPT2Config(
            vocab_size=VOCABULARY, n_positions=32, n_embd=16, n_layer=LAYERS, n_head=2, bos_token_id=0, eos_token_id=0,
            attn_implementation="eager")
        return GPT2LMHeadModel(config)
    config = LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=16, intermediate_size=24, num_hidden_layers=LAYERS, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=32, bos_token_id=0, eos_token_id=0, attn_implementation="sdpa")
    return LlamaForCausalLM(config)


def randomise(model):
    """Random parameters under which every layer matters (see make-models.py)."""
    for parameter in model.parameters():
        if parameter.ndim == 1:
            nn.init.uniform_(parameter, 0.7, 1.3)
        else:
            nn.init.normal_(parameter, 0, 1.4 / parameter.shape[-1] ** 0.5)


def make_inputs(name, past, generator):
    heads, size = HEADS[name]
    mask = np.ones((SAMPLES, past + SEQUENCE), np.int64)
    if past:
        mask[::2, :2] = 0  # padding on the left
    positions = np.maximum(mask.cumsum(1) - 1, 0)[:, past:]
    inputs = {
        "input_ids": generator.integers(0, VOCABULARY, (SAMPLES, SEQUENCE)), "attention_mask": mask,
        "position_ids": positions}
    for layer in range(LAYERS):
        for part in ("key", "value"):
            inputs[f"past_key_values.{layer}.{part}"] = generator.normal(
                size=(SAMPLES, heads, past, size)).astype(np.float32).round(2)
    return inputs


def axes(name):
    if name.startswith("past_key_values"):
        return {0: "batch", 2: "past"}
    if name.startswith("present"):
        return {0: "batch", 2: "total"}
    return {0: "batch", 1: "total" if name == "attention_mask" else "sequence"}


def export(name, model, inputs, path):
    outputs = ["logits"] + [f"present.{layer}.{part}" for layer in range(LAYERS) for part in ("key", "value")]
    arguments = tuple(torch.from_numpy(value) for value in inputs.values())
    if name == "gpt2-cache":
        torch.onnx.export(
            model, arguments, path, dynamo=False, opset_version=17, input_names=list(inputs), output_names=outputs,
            dynamic_axes={name: axes(name) for name in [*inputs, *outputs]})
    else:
        sizes = {size: torch.export.Dim(size) for size in ("batch", "sequence", "past", "total")}
        shapes = [{axis: sizes[size] for axis, size in axes(name).items()} for name in inputs]
        torch.onnx.export(
            model, arguments, path, dynamo=True, opset_version=23, input_names=list(inputs), output_names=outputs,
            external_data=False, verbose=False, dynamic_shapes=(*shapes[:3], tuple(shapes[3:])))
    written = onnx.load(path)
    for item in [written.graph, *written.graph.node, *written.graph.value_info]:
        item.ClearField("doc_string")
        if "metadata_props" in item.DESCRIPTOR.fields_by_name:
            item.ClearField("metadata_props")
    onnx.checker.check_model(written, full_check=True)
    onnx.save(written, path)


def make(name, folder):
    torch.manual_seed(2)
    generator = np.random.default_rng(2)
    model = WithCache(build(name)).eval()
    randomise(model)
    path = folder / f"{name}.onnx"
    export(name, model, make_inputs(name, 3, generator), str(path))
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for past in PASTS:
        inputs = make_inputs(name, past, generator)
        expected = dict(zip([output.name for output in session.get_outputs()], session.run(None, inputs)))
        with torch.no_grad():
            torchs = model(*[torch.from_numpy(value) for value in inputs.values()])[0].numpy()
        difference = np.abs(torchs - expected["logits"]).max() / np.abs(torchs).max()
        assert difference < 1e-4, f"{name}: ONNX Runtime and PyTorch differ by {difference} relative"
        labels = expected["logits"].argmax(-1)
        labels[::2] = generator.integers(0, VOCABULARY, labels[::2].shape)
        np.savez_compressed(folder / f"{name}-past{past}.npz", labels=labels, **inputs)
        np.savez_compressed(folder / f"{name}-past{past}.expected.npz", **expected)
        print(f"{name}, past {past}: {path.stat().st_size / 1000:.0f} kB, {difference:.1e} from PyTorch", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--only", action="append", choices=HEADS, help="just this model (may be repeated)")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for name in arguments.only or HEADS:
        make(name, arguments.folder)


if __name__ == "__main__":
    main()
