#!/usr/bin/env python3
"""How many architectures can lose half of their channels, heads and neurons: exports them with made-up weights, and tries.

    coverage.py [--only REGEX] [--families torchvision,timm,transformers,other] [--exporters dynamo,torchscript]
                [--largest PARAMETERS] [--chunks 2] [--espalier PATH] [--json FILE]

For each model and exporter: `espalier inspect --units channels:2,heads,neurons:2` lists the groups; half of the units of
each go at once with `espalier evaluate --remove … --output`. A model counts when ONNX Runtime loads the file, its outputs are
those of `espalier run --remove …` on the whole model to 1e-5 of the largest, and its parameters and FLOPs, as `espalier inspect`
counts them, are those that were told. Layers that keep their channels are listed with the reason; a model none of whose layers
can lose any is counted by itself, as refused.

Weights are random, but as lively as trained ones: what starts as zeros or ones is drawn too, weak layers are scaled up, and batch
normalisations know what they really get. Otherwise outputs would hardly depend on what is removed.

Needs torch, torchvision, timm, transformers, onnx, onnxscript and onnxruntime. Nothing is downloaded.
"""

import argparse
import collections
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import warnings

import numpy as np
import onnx
import onnxruntime

TIMM = """beit_base_patch16_224 botnet26t_256 cait_xxs24_224 coat_tiny coatnet_nano_rw_224 convit_tiny convmixer_768_32
convnextv2_atto crossvit_9_240 cs3darknet_m cspresnet50 davit_tiny deit3_small_patch16_224 densenet121 dla34 dm_nfnet_f0 dpn68
edgenext_xx_small efficientformer_l1 efficientnetv2_rw_t efficientvit_b0 eva02_tiny_patch14_224 fastvit_t8 fbnetc_100
focalnet_tiny_srf gcresnet33ts gernet_s ghostnetv2_100 hardcorenas_a hgnet_tiny hrnet_w18_small inception_next_tiny
inception_v4 lcnet_050 levit_128s maxvit_rmlp_pico_rw_256 mixer_s32_224 mixnet_s mobileone_s0 mobilevitv2_050 nest_tiny
nf_resnet50 pit_ti_224 poolformer_s12 pvt_v2_b0 regnetz_c16 repghostnet_050 repvgg_a0 res2net50_14w_8s resmlp_12_224
resnest14d rexnet_100 selecsls42b semnasnet_075 seresnext26d_32x4d skresnet18 tinynet_e tnt_s_patch16_224 twins_svt_small
visformer_tiny volo_d1_224 xception41 xcit_nano_12_p16_224""".split()
TRANSFORMERS = """bert distilbert roberta electra albert mpnet gpt2 opt bloom gpt_neox llama mistral qwen2 gemma phi t5_encoder
deberta_v2 convbert""".split()


def torchvision_models(torch):
    from torchvision import models

    for name in models.list_models(module=models):
        size = {"inception_v3": 96, "maxvit_t": 224, "alexnet": 224}.get(name, 224 if name.startswith("vgg") else 64)
        options = {"image_size": 64} if name.startswith("vit_") else {}
        if name in ("inception_v3", "googlenet"):
            options |= {"aux_logits": False, "init_weights": False}

        def make(name=name, options=options):
            return models.get_model(name, weights=None, **options)

        yield f"torchvision/{name}", make, lambda size=size: torch.randn(2, 3, size, size)


def other_models(torch):
    """Segmentation and detection heads, recurrent layers: written here, or torchvision's."""
    from torch import nn
    from torch.nn import functional as F
    from torchvision import models

    def conv(before, after, kernel=3, stride=1, groups=1):
        return nn.Sequential(
            nn.Conv2d(before, after, kernel, stride, kernel // 2, groups=groups, bias=False), nn.BatchNorm2d(after), nn.SiLU())

    class Segmented(nn.Module):
        def __init__(self, name):
            super().__init__()
            self.inner = models.get_model(name, weights=None, weights_backbone=None, num_classes=5)

        def forward(self, image):
            return self.inner(image)["out"]

    class UNet(nn.Module):
        def __init__(self, transposed):
            super().__init__()
            self.first, self.second, self.third = conv(3, 16), conv(16, 32, stride=2), conv(32, 64, stride=2)
            self.up = nn.ModuleList(
                [nn.ConvTranspose2d(64, 32, 2, 2), nn.ConvTranspose2d(32, 16, 2, 2)] if transposed else
                [nn.Sequential(nn.Upsample(scale_factor=2, mode="bilinear"), conv(wide, wide // 2)) for wide in (64, 32)])
            self.join, self.out = nn.ModuleList([conv(64, 32), conv(32, 16)]), nn.Conv2d(16, 4, 1)

        def forward(self, image):
            first = self.first(image)
            second = self.second(first)
            joined = self.join[0](torch.cat([self.up[0](self.third(second)), second], 1))
            return self.out(self.join[1](torch.cat([self.up[1](joined), first], 1)))

    class C2f(nn.Module):
        def __init__(self, before, after, times=2):
            super().__init__()
            self.half = after // 2
            self.first, self.last = conv(before, 2 * self.half, 1), conv((2 + times) * self.half, after, 1)
            self.inner = nn.ModuleList(nn.Sequential(conv(self.half, self.half), conv(self.half, self.half)) for _ in range(times))

        def forward(self, x):
            parts = list(self.first(x).chunk(2, 1))
            for inner in self.inner:
                parts.append(parts[-1] + inner(parts[-1]))
            return self.last(torch.cat(parts, 1))

    class Detector(nn.Module):
        """A backbone, pooling at three widths, features of three sizes, and a head that spreads distances over bins."""

        def __init__(self, bins=8, classes=6):
            super().__init__()
            self.bins, self.classes = bins, classes
            self.stem, self.a, self.b, self.c = conv(3, 16, 3, 2), C2f(16, 16), C2f(32, 32), C2f(64, 64)
            self.to_b, self.to_c = conv(16, 32, 3, 2), conv(32, 64, 3, 2)
            self.before_pools, self.after_pools = conv(64, 32, 1), conv(128, 64, 1)
            self.mix_b, self.mix_a = C2f(96, 32), C2f(48, 16)
            self.boxes = nn.ModuleList(nn.Sequential(conv(wide, 16), nn.Conv2d(16, 4 * bins, 1)) for wide in (16, 32, 64))
            self.scores = nn.ModuleList(
                nn.Sequential(conv(wide, 16, groups=8), nn.Conv2d(16, classes, 1)) for wide in (16, 32, 64))

        def forward(self, image):
            a = self.a(self.stem(image))
            b = self.b(self.to_b(a))
            pools = [self.before_pools(self.c(self.to_c(b)))]
            for _ in range(3):
                pools.append(F.max_pool2d(pools[-1], 5, 1, 2))
            c = self.after_pools(torch.cat(pools, 1))
            b = self.mix_b(torch.cat([F.interpolate(c, scale_factor=2.0), b], 1))
            a = self.mix_a(torch.cat([F.interpolate(b, scale_factor=2.0), a], 1))
            rows = [
                torch.cat([box(x), score(x)], 1).flatten(2) for x, box, score in zip((a, b, c), self.boxes, self.scores)]
            boxes, scores = torch.cat(rows, 2).split((4 * self.bins, self.classes), 1)
            places = torch.arange(self.bins, dtype=torch.float32)
            distances = (boxes.unflatten(1, (4, self.bins)).softmax(2) * places.view(1, 1, -1, 1)).sum(2)
            return torch.cat([distances, scores.sigmoid()], 1)

    class Recurrent(nn.Module):
        def __init__(self, kind, both):
            super().__init__()
            self.conv = nn.Sequential(nn.Conv1d(12, 24, 3, padding=1), nn.ReLU(), nn.Conv1d(24, 16, 3, padding=1), nn.ReLU())
            self.inner = kind(16, 20, batch_first=True, bidirectional=both)
            self.up, self.down = nn.Linear(40 if both else 20, 32), nn.Linear(32, 5)

        def forward(self, image):
            states, _ = self.inner(self.conv(image).transpose(1, 2))
            return self.down(torch.relu(self.up(states[:, -1])))

    for name in ("fcn_resnet50", "deeplabv3_mobilenet_v3_large", "deeplabv3_resnet50", "lraspp_mobilenet_v3_large"):
        yield f"other/{name}", lambda name=name: Segmented(name), lambda: torch.randn(2, 3, 64, 64)
    yield "other/unet_transposed", lambda: UNet(True), lambda: torch.randn(2, 3, 32, 32)
    yield "other/unet_resized", lambda: UNet(False), lambda: torch.randn(2, 3, 32, 32)
    yield "other/c2f_detector", Detector, lambda: torch.randn(2, 3, 64, 64)
    for kind in (nn.LSTM, nn.GRU, nn.RNN):
        name = kind.__name__.lower()
        yield f"other/{name}", lambda kind=kind: Recurrent(kind, False), lambda: torch.randn(2, 12, 9)
    yield "other/lstm_both_ways", lambda: Recurrent(nn.LSTM, True), lambda: torch.randn(2, 12, 9)


def timm_models(torch):
    import timm

    for name in TIMM:
        def make(name=name):
            return timm.create_model(name, pretrained=False, exportable=True)

        def data(name=name):
            size = timm.get_pretrained_cfg(name).input_size
            fixed = any(word in name for word in ("224", "240", "256", "vit", "coat", "former", "levit", "nest", "volo", "pit", "eva"))
            return torch.randn(2, 3, *(size[1:] if fixed or size[1] % 32 else (96, 96)))

        yield f"timm/{name}", make, data


def transformers_models(torch):
    import transformers as t

    small = {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 96, "vocab_size": 101}
    shared = small | {"num_key_value_heads": 2}
    kinds = {
        "bert": (t.BertModel, t.BertConfig(**small)),
        "distilbert": (t.DistilBertModel, t.DistilBertConfig(vocab_size=101, dim=48, n_layers=2, n_heads=4, hidden_dim=96)),
        "roberta": (t.RobertaModel, t.RobertaConfig(**small)), "electra": (t.ElectraModel, t.ElectraConfig(**small)),
        "albert": (t.AlbertModel, t.AlbertConfig(**small, embedding_size=24)), "mpnet": (t.MPNetModel, t.MPNetConfig(**small)),
        "gpt2": (t.GPT2Model, t.GPT2Config(vocab_size=101, n_embd=48, n_layer=2, n_head=4, n_positions=64)),
        "opt": (t.OPTModel, t.OPTConfig(vocab_size=101, hidden_size=48, num_hidden_layers=2, num_attention_heads=4, ffn_dim=96,
                                        word_embed_proj_dim=48)),
        "bloom": (t.BloomModel, t.BloomConfig(vocab_size=101, hidden_size=48, n_layer=2, n_head=4)),
        "gpt_neox": (t.GPTNeoXModel, t.GPTNeoXConfig(**small)), "llama": (t.LlamaModel, t.LlamaConfig(**shared)),
        "mistral": (t.MistralModel, t.MistralConfig(**shared)), "qwen2": (t.Qwen2Model, t.Qwen2Config(**shared)),
        "gemma": (t.GemmaModel, t.GemmaConfig(**shared, head_dim=12)), "phi": (t.PhiModel, t.PhiConfig(**small)),
        "t5_encoder": (t.T5EncoderModel, t.T5Config(vocab_size=101, d_model=48, d_kv=12, d_ff=96, num_layers=2, num_heads=4)),
        "deberta_v2": (t.DebertaV2Model, t.DebertaV2Config(**small)),
        "convbert": (t.ConvBertModel, t.ConvBertConfig(**small, embedding_size=48)),
    }
    for name in TRANSFORMERS:
        def make(name=name):
            model, config = kinds[name]
            config.use_cache = False
            inner = model(config)

            class States(torch.nn.Module):
                def __init__(self):
                    super().__init__()
                    self.inner = inner

                def forward(self, ids):
                    return self.inner(input_ids=ids).last_hidden_state

            return States()

        yield f"transformers/{name}", make, lambda: torch.randint(1, 101, (2, 9))


FAMILIES = {
    "torchvision": torchvision_models, "timm": timm_models, "transformers": transformers_models, "other": other_models}


def enliven(torch, model, data):
    """Draws weights that a model starts without, so that its outputs depend on every layer."""
    model.eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if not weight.dtype.is_floating_point:
                continue
            if weight.numel() == 1:
                if abs(float(weight)) < 1e-3:
                    weight.fill_(0.7)
            elif weight.min() == weight.max():
                if weight.max() == 0 and not name.endswith(("weight", "gamma", "gain", "layer_scale")):
                    weight.normal_(0, 0.1)
                else:
                    weight.uniform_(0.5, 1.5)
        for module in model.modules():
            if isinstance(module, (torch.nn.Linear, torch.nn.modules.conv._ConvNd)) and module.weight.numel() > 1:
                inputs = module.weight[0].numel()
                if float(module.weight.std()) * inputs**0.5 < 0.7:
                    module.weight.normal_(0, inputs**-0.5)
        norms = [
            module for module in model.modules()
            if isinstance(module, torch.nn.modules.batchnorm._BatchNorm) and module.track_running_stats]
        for module in norms:
            module.train()
            module.momentum = 1.0
        if norms:
            model(torch.cat([data, torch.randn_like(data)]))
        for module in norms:
            module.running_var.clamp_(min=1e-6)
    model.eval()


def export(torch, model, data, path, exporter):
    """Writes the model with a free number of samples, and four samples."""
    model.eval()
    name = "ids" if data.dtype == torch.int64 else "image"
    more = (
        {"dynamo": True, "dynamic_shapes": ({0: torch.export.Dim("batch", min=1, max=64)},), "optimize": True}
        if exporter == "dynamo" else {"dynamo": False, "dynamic_axes": {name: {0: "batch"}, "out": {0: "batch"}}})
    torch.onnx.export(
        model, (data,), str(path), input_names=[name], output_names=["out"], opset_version=18, external_data=False,
        **more)
    given = onnx.load(path).graph.input[0].name
    np.savez(path.with_suffix(".npz"), **{given: torch.cat([data, data.flip(0)]).numpy()})
    return given


def call(espalier, *arguments, seconds=900):
    done = subprocess.run(
        [espalier, *(str(argument) for argument in arguments)], capture_output=True, text=True, timeout=seconds)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        raise RuntimeError(f"exit {done.returncode}: {' '.join(said[-2:])[-600:]}")
    return done.stdout


def attempt(espalier, path, name, chunks):
    """Half of everything goes; what came of it."""
    samples = np.load(path.with_suffix(".npz"))[name]
    shape = f"{name}=" + "x".join(str(size) for size in (1, *samples.shape[1:]))
    found = json.loads(call(
        espalier, "inspect", path, "--shape", shape, "--units", f"channels:{chunks},heads,neurons:{chunks}", "--json", "-"))
    if "groups" not in found:
        raise RuntimeError(f"the sizes are not known: {found.get('flopsUnknownBecause')}")
    groups, fixed = found["groups"], found["fixedLayers"]
    kinds = collections.Counter(group["kind"] for group in groups)
    result = {"groups": dict(kinds), "fixed": fixed}
    units = [unit["unit"] for group in groups for unit in group["units"][: (len(group["units"]) + 1) // 2]]
    if not units:
        reasons = collections.Counter(re.sub(r"'[^']*'", "'…'", layer["reason"]) for layer in fixed)
        return result | {"refused": "; ".join(f"{count} layers: {reason}" for reason, count in reasons.most_common())}
    removed = [word for unit in units for word in ("--remove", unit)]
    file = path.with_name("pruned.onnx")
    file.unlink(missing_ok=True)
    told = json.loads(call(
        espalier, "evaluate", path, "--data", path.with_suffix(".npz"), *removed, "--output", file, "--json", "-"))
    told = told.get("pruned", told)
    masked = path.with_name("masked.npz")
    call(espalier, "run", path, "--data", path.with_suffix(".npz"), *removed, "--output", masked)
    wanted = np.load(masked)
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    worst = 0.0
    for port, given in zip(session.get_outputs(), session.run(None, {name: samples})):
        if port.name in wanted and given.dtype.kind == "f":
            worst = max(worst, float(np.abs(given - wanted[port.name]).max() / max(np.abs(wanted[port.name]).max(), 1e-9)))
    again = json.loads(call(espalier, "inspect", file, "--shape", shape, "--json", "-"))
    result |= {
        "difference": worst, "parameters": again["parameters"] / found["parameters"],
        "flops": again["flops"] / found["flops"]}
    if worst > 1e-5:
        result["error"] = f"differs by {worst:.1e}"
    elif (again["parameters"], again["flops"]) != (told["parameters"], told["flops"]):
        result["error"] = f"costs {again['parameters']}, {again['flops']}, not {told['parameters']}, {told['flops']}"
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="a regular expression on FAMILY/NAME")
    parser.add_argument("--families", default="torchvision,timm,transformers,other")
    parser.add_argument("--exporters", default="dynamo,torchscript")
    parser.add_argument("--largest", type=int, default=100_000_000, help="parameters of the largest model that is tried")
    parser.add_argument("--chunks", type=int, default=2)
    parser.add_argument("--espalier", default="espalier")
    parser.add_argument("--json", type=pathlib.Path)
    arguments = parser.parse_args()
    import torch

    warnings.simplefilter("ignore")
    rows = []
    for family in arguments.families.split(","):
        for name, make, data in FAMILIES[family](torch):
            if not re.search(arguments.only, name):
                continue
            for exporter in arguments.exporters.split(","):
                torch.manual_seed(0)
                row = {"model": name, "exporter": exporter}
                started = time.monotonic()
                with tempfile.TemporaryDirectory() as folder:
                    path = pathlib.Path(folder) / "model.onnx"
                    try:
                        model = make()
                        count = sum(tensor.numel() for tensor in model.parameters())
                        if count > arguments.largest:
                            row["skipped"] = f"{count} parameters"
                        else:
                            example = data()
                            enliven(torch, model, example)
                            port = export(torch, model, example, path, exporter)
                    except Exception as error:  # what cannot be exported tells nothing
                        row["skipped"] = f"not exported: {type(error).__name__}: {error}"[:300]
                    if "skipped" not in row:
                        try:
                            row |= attempt(arguments.espalier, path, port, arguments.chunks)
                        except Exception as error:
                            row["error"] = f"{type(error).__name__}: {error}"[:700]
                row["seconds"] = time.monotonic() - started
                rows.append(row)
                state = row.get("skipped") or row.get("error") or row.get("refused") or (
                    f"parameters {row['parameters']:.2f}, FLOPs {row['flops']:.2f}, {row['groups']}, "
                    f"{len(row['fixed'])} layers keep theirs")
                print(f"{name} ({exporter}, {row['seconds']:.0f} s): {state}", flush=True)
                if arguments.json:
                    arguments.json.write_text(json.dumps(rows, indent=1))
    for family in arguments.families.split(","):
        tried = [row for row in rows if row["model"].startswith(family) and "skipped" not in row]
        good = [row for row in tried if "error" not in row and "refused" not in row]
        refused = [f"{row['model']} ({row['exporter']})" for row in tried if "refused" in row]
        print(f"{family}: {len(good)} of {len(tried)}, refused {len(refused)} {' '.join(refused)}")
    reasons = collections.Counter(
        re.sub(r"'[^']*'", "'…'", layer["reason"]) for row in rows for layer in row.get("fixed", []))
    for reason, count in reasons.most_common():
        print(f"{count:6} layers: {reason}")


if __name__ == "__main__":
    sys.exit(main())
