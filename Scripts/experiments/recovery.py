#!/usr/bin/env python3
"""What recovery by least squares is worth: held-out loss and accuracy of pruned models, as a table in Markdown.

    recovery.py [--models digits-resnet,digits-vit,resnet20,resnet20-sums] [--removals 3,5,7] [--budgets 0.7,0.5,0.3]
                [--contestants cut,after,search,random,cut-trained,search-trained] [--trained-at 5,0.5]
                [--recover least-squares] [--ridge R] [--fit-rows N] [--fit-samples N] [--espalier PATH] [--json FILE]

Contestants, all with the same images: `cut`, greedy by the exact loss at the cut; `after`, the same removals refitted once
in the end; `search`, greedy by the exact loss after the refit of every expansion; `random`, random removals refitted, the
mean of some seeds; `cut-trained` and `search-trained`, the files of `cut` and `search` fine-tuned in PyTorch on the fit's
images with their labels (SGD, momentum 0.9, cosine schedule), the mean of some seeds.

Images that fit, that choose and that judge are disjoint. The digits' calibration images are halved, and their held-out
ones judge; with `--training-images` all of them choose, and what fits are the images that the models were trained on. The
held-out MNIST images of Scripts/bench/make-models.py are split into 400 to fit on, 600 that choose and 600 that judge.
ONNX Runtime judges the written files, and the losses that the program told are compared with what its files lose there.
`resnet20-sums` may lose either operand of a sum, the other models their residual bodies or branches; under a budget,
whatever `--candidates blocks` lists.

Needs numpy and onnxruntime, for what is trained torch, torchvision and onnx2torch, and for `--training-images` torch, onnx
and scikit-learn.
"""

import argparse
import pathlib
import sys
from dataclasses import dataclass

import numpy as np
import onnxruntime

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "Scripts/bench"))

from measured import call, finish, machine  # noqa: E402

CONTESTANTS = {
    "cut": "greedy at the cut", "after": "the same, fitted in the end", "search": "fitted in the search",
    "random": "random, fitted", "cut-trained": "greedy at the cut, trained",
    "search-trained": "fitted in the search, trained"}
BODIES, BRANCHES, SUMS = r"blocks\.\d+\.body", "blocks", r"/blocks/blocks\.\d+/Add$"


@dataclass(frozen=True)
class Subject:
    """A trained model, what may be removed of it, and its images by their part."""

    name: str
    model: pathlib.Path
    candidates: str
    parts: dict
    steps: int  # of SGD


def subject(name, arguments):
    if name.startswith("digits"):
        folder = ROOT / "Examples" / name
        if arguments.training_images:
            fit, select = training_images(), images(folder / "calibration.npz")
        else:
            fit, select = split(folder / "calibration.npz", 256, 256)
        parts = {"fit": fit, "select": select, "test": images(folder / "held-out.npz")}
        return Subject(name, folder / "model.onnx", BODIES if "resnet" in name else BRANCHES, parts, 600)
    folder = arguments.models_folder / "resnet20"
    select, fit, test = split(folder / "data.npz", 600, 400, 600)
    parts = {"fit": fit, "select": select, "test": test}
    return Subject(name, folder / "model.onnx", SUMS if name.endswith("sums") else BODIES, parts, 200)


def training_images():
    """What the digits' models were trained on."""
    sys.path.insert(0, str(ROOT / "Scripts/examples"))
    import train

    return dict(zip(("image", "labels"), train.split()["train"]))


def images(path):
    with np.load(path) as archive:
        return {key: archive[key] for key in ("image", "labels")}


def split(path, *sizes):
    """Parts of an archive, drawn with a fixed seed."""
    arrays = images(path)
    order = np.random.default_rng(0).permutation(len(arrays["labels"]))
    ends = np.cumsum(sizes)
    return [
        {key: array[order[end - size : end]] for key, array in arrays.items()} for size, end in zip(sizes, ends)]


def cross_entropy(logits, labels):
    """Mean cross-entropy and accuracy."""
    logits = logits.astype(np.float64)
    logits -= logits.max(1, keepdims=True)
    losses = np.log(np.exp(logits).sum(1)) - logits[np.arange(len(labels)), labels]
    return float(losses.mean()), float((logits.argmax(1) == labels).mean())


def judged(file, part):
    """Loss and accuracy of a file by ONNX Runtime."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    batches = np.array_split(part["image"], max(1, len(part["image"]) // 64))
    return cross_entropy(np.concatenate([session.run(None, {"image": batch})[0] for batch in batches]), part["labels"])


def trained(file, part, test, steps, seed, rate):
    """Loss and accuracy of a file after fine-tuning in PyTorch."""
    import torch
    from onnx2torch import convert

    torch.manual_seed(seed)
    network = convert(str(file))
    # Weights of matrix products are buffers.
    weights = [*network.parameters()] + [
        tensor.requires_grad_() for tensor in network.buffers() if tensor.is_floating_point() and tensor.numel() > 1]
    optimizer = torch.optim.SGD(weights, rate, momentum=0.9)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    inputs, labels = torch.from_numpy(part["image"]), torch.from_numpy(part["labels"])
    for _ in range(steps):
        chosen = torch.randint(len(labels), (64,))
        loss = torch.nn.functional.cross_entropy(network(inputs[chosen]), labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        logits = torch.cat([network(batch) for batch in torch.from_numpy(test["image"]).split(64)])
    return cross_entropy(logits.numpy(), test["labels"])


class Experiment:
    """The runs of one model. Every run keeps its files, which later contestants start from."""

    def __init__(self, which, arguments):
        self.subject, self.arguments = which, arguments
        self.folder = arguments.folder / which.name
        self.folder.mkdir(parents=True, exist_ok=True)
        for name, part in which.parts.items():
            np.savez(self.folder / f"{name}.npz", **part)
        self.recovery = ["--recover", arguments.recover, "--fit-data", self.folder / "fit.npz"]
        for option in ("ridge", "fit_rows", "fit_samples"):
            if (value := getattr(arguments, option)) is not None:
                self.recovery += [f"--{option.replace('_', '-')}", value]
        self.kept = {}

    def prune(self, level, *options):
        """A search to a number of removals (an integer) or a share of the FLOPs: the run and its file.

        One search gives all numbers of removals: each is a step of its path.
        """
        counts = self.arguments.removals
        goal = "removals" if isinstance(level, int) else level
        if (goal, options) not in self.kept:
            run = self.folder / f"run-{len(self.kept)}"
            if isinstance(level, int):
                limits = ["--candidates", self.subject.candidates, "--steps", max(counts)]
                limits += [part for count in counts for part in ("--export-step", count)]
            else:
                limits = ["--candidates", "blocks", "--until", f"flops={level:g}"]
            for old in run.glob("*"):
                old.unlink()
            done = self.espalier(
                "prune", self.subject.model, *limits, *options, "--workers", self.arguments.workers, "--run", run,
                *self.arguments.options.split())
            self.kept[goal, options] = done, run
        done, run = self.kept[goal, options]
        steps = done.result["path"][: level if isinstance(level, int) else None]
        return done, steps, run / (f"step-{level}.onnx" if isinstance(level, int) else "pruned.onnx")

    def espalier(self, command, model, *options):
        return call(
            self.arguments.espalier, command, model, "--data", self.folder / "select.npz", *options, "--json", "-")

    def contestant(self, name, level):
        """What a contestant comes to: mean loss and accuracy on held-out images, and what else is worth keeping."""
        test = self.subject.parts["test"]
        if name == "after":
            _, steps, _ = self.prune(level)
            file = self.folder / f"after-{level}.onnx"
            removed = [f"{step['edge']['node']}:{step['edge']['slot']}" for step in steps]
            done = self.espalier(
                "evaluate", self.subject.model, *(part for edge in removed for part in ("--remove", edge)),
                *self.recovery, "--output", file)
            return self.scored([judged(file, test)], done, file, told=done.result["loss"])
        if name == "random":
            runs = [
                self.prune(level, "--strategy", "random", "--seed", seed, *self.recovery)
                for seed in range(self.arguments.seeds)]
            done, steps, first = runs[0]
            return self.scored([judged(file, test) for _, _, file in runs], done, first, told=steps[-1]["loss"])
        done, steps, file = self.prune(level, *(self.recovery if name.startswith("search") else ()))
        if name.endswith("trained"):
            scores = [
                trained(file, self.subject.parts["fit"], test, self.subject.steps, seed, self.arguments.rate)
                for seed in range(self.arguments.trained_seeds)]
            return self.scored(scores, done, file)
        edges = [step["edge"] for step in steps]
        return self.scored(
            [judged(file, test)], done, file, told=steps[-1]["loss"],
            removed=[edge.get("block") or f"{edge['node']}:{edge['slot']}" for edge in edges],
            flops=steps[-1]["flops"] / done.result["base"]["flops"])

    def scored(self, scores, done, file, told=None, **more):
        loss, accuracy = np.mean(scores, 0)
        off = told and abs(told - judged(file, self.subject.parts["select"])[0])
        return {
            "loss": loss, "accuracy": accuracy, "all": scores, "seconds": done.wall, "cpu": done.cpu, "told": told,
            "offFromRuntime": off, **more}


def show(name, unpruned, levels, rows):
    """One table: contestants below each other, levels side by side."""
    heads = [f"{level} out" if isinstance(level, int) else f"{level:.0%} of the FLOPs" for level in levels]
    print(f"\n| {name} | {' | '.join(heads)} |\n|---{'|---' * len(levels)}|")
    print(f"| unpruned {'| ' + cell(*unpruned) + ' '}{'| ' * (len(levels) - 1)}|")
    for contestant, row in rows.items():
        cells = [cell(row[level]["loss"], row[level]["accuracy"]) if level in row else "" for level in levels]
        print(f"| {CONTESTANTS[contestant]} | {' | '.join(cells)} |", flush=True)


def cell(loss, accuracy):
    return f"{loss:.4f}, {accuracy:.1%}"


def listed(kind):
    return lambda text: [kind(part) for part in text.split(",") if part]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=listed(str), default="digits-resnet,digits-vit,resnet20,resnet20-sums")
    parser.add_argument("--removals", type=listed(int), default="3,5,7")
    parser.add_argument("--budgets", type=listed(float), default="0.7,0.5,0.3", help="shares of the FLOPs")
    parser.add_argument("--contestants", type=listed(str), default=",".join(CONTESTANTS))
    parser.add_argument("--trained-at", type=listed(float), default="5,0.5", help="where training is worth its time")
    parser.add_argument("--training-images", action="store_true", help="fit the digits' models on what trained them")
    parser.add_argument("--recover", default="least-squares")
    parser.add_argument("--ridge", type=float)
    parser.add_argument("--fit-rows", type=int)
    parser.add_argument("--fit-samples", type=int)
    parser.add_argument("--options", default="", help="more options for `espalier prune`, in one string")
    parser.add_argument("--seeds", type=int, default=3, help="of random removals")
    parser.add_argument("--trained-seeds", type=int, default=2)
    parser.add_argument("--rate", type=float, default=0.01, help="the highest learning rate")
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--models-folder", type=pathlib.Path, default=ROOT / "runs/bench-models")
    parser.add_argument("--folder", type=pathlib.Path, default=ROOT / "runs/recovery", help="for data and runs")
    parser.add_argument("--espalier", default=str(ROOT / ".build/release/espalier"))
    parser.add_argument("--json", type=pathlib.Path, help="write the figures")
    arguments = parser.parse_args()
    if unknown := set(arguments.contestants) - set(CONTESTANTS):
        parser.error(f"no contestant is called {', '.join(unknown)}; there are {', '.join(CONTESTANTS)}")
    levels, figures = arguments.removals + arguments.budgets, {}
    print(machine())
    for name in arguments.models:
        experiment = Experiment(subject(name, arguments), arguments)
        unpruned = judged(experiment.subject.model, experiment.subject.parts["test"])
        rows = {contestant: {} for contestant in arguments.contestants}
        for level in levels:
            for contestant, row in rows.items():
                if contestant.endswith("trained") and level not in arguments.trained_at:
                    continue
                row[level] = found = experiment.contestant(contestant, level)
                off = f", told loss off by {found['offFromRuntime']:.1e}" if found["told"] is not None else ""
                print(
                    f"  {name}, {level:g}, {contestant}: {cell(found['loss'], found['accuracy'])}; "
                    f"{found['seconds']:.1f} s{off}; {' '.join(found.get('removed', ()))}", file=sys.stderr, flush=True)
        show(name, unpruned, levels, rows)
        figures[name] = {"unpruned": unpruned, "contestants": rows}
    finish(arguments, figures)


if __name__ == "__main__":
    main()
