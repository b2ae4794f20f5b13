#!/usr/bin/env python3
"""What an exact choice between layers is worth for channels: held-out accuracy against FLOPs, as a table in Markdown.

    channels.py [--models digits-resnet,digits-vit,resnet20] [--budgets 0.8,0.6,0.4] [--units channels:8,neurons:8,heads]
                [--contestants exact,renewed,global,uniform,random] [--recover none,least-squares] [--trained-at 0.4]
                [--espalier PATH] [--json FILE]

All contestants remove the same chunks of channels, heads and neurons (`espalier inspect --units`); they differ in which layer
loses its next one. `exact`: greedy by the exact loss, inside layers by magnitude. `renewed`: the same with the first Taylor
term of what is left inside layers (`--within taylor1 --renew-order`). `global`: the chunk with the smallest magnitude of all
layers, where a layer's chunks are divided by their mean, as DepGraph does. `uniform`: a chunk of each layer in turn. `random`:
the mean of some seeds. Each without recovery and fitted by least squares: in the search for `exact` and `renewed`, in the end
for the others. With `--trained-at` their files are fine-tuned in PyTorch on the fit's images with their labels too, the mean of
some seeds. Data and judgement are those of recovery.py: images that fit, that choose and that judge are disjoint, and ONNX
Runtime judges the written files; their time there is on one thread, in turn with the unpruned model's.

Needs numpy and onnxruntime, and for what is trained torch, torchvision and onnx2torch.
"""

import argparse
import json
import pathlib
import random
import sys

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from recovery import ROOT, call, cell, finish, judged, listed, machine, subject, trained  # noqa: E402

sys.path.insert(0, str(ROOT / "Scripts/bench/real"))

from judging import latencies, session  # noqa: E402

CONTESTANTS = {
    "exact": "exact between layers, magnitude inside", "renewed": "exact between layers, Taylor renewed inside",
    "global": "magnitude, global", "uniform": "magnitude, uniform", "random": "random layers"}


class Experiment:
    """The files of one model."""

    def __init__(self, which, arguments):
        self.subject, self.arguments = which, arguments
        self.folder = arguments.folder / which.name
        self.folder.mkdir(parents=True, exist_ok=True)
        for name, part in which.parts.items():
            np.savez(self.folder / f"{name}.npz", **part)
        shape = "x".join(str(size) for size in (1, *which.parts["select"]["image"].shape[1:]))
        found = self.espalier("inspect", "--shape", f"image={shape}", "--units", arguments.units).result
        self.flops = found["flops"]
        self.layers = [
            [(unit["unit"], unit["magnitude"]) for unit in group["units"]] for group in found["groups"]]

    def espalier(self, command, *options):
        return call(self.arguments.espalier, command, self.subject.model, *options, "--json", "-")

    def order(self, contestant, seed):
        """All chunks in the order in which a contestant removes them."""
        if contestant == "uniform":
            # The share of a layer that is gone once a chunk is: layers of few chunks wait for their turn.
            turns = [
                ((place + 1) / (len(layer) + 1), number, unit)
                for number, layer in enumerate(self.layers) for place, (unit, _) in enumerate(layer)]
            return [unit for *_, unit in sorted(turns)]
        if contestant == "global":
            weighed = [
                (weight / np.mean([weight for _, weight in layer]), number, place, unit)
                for number, layer in enumerate(self.layers) for place, (unit, weight) in enumerate(layer)]
            return [unit for *_, unit in sorted(weighed)]
        draw, left, order = random.Random(seed), [list(layer) for layer in self.layers if layer], []
        while left:
            layer = draw.choice(left)
            order.append(layer.pop(0)[0])
            left = [layer for layer in left if layer]
        return order

    def file(self, contestant, budget, recover, seed=0):
        """A contestant's file within a budget, and what was told of it."""
        file = self.folder / f"{contestant}-{budget:g}-{recover}-{seed}.onnx"
        data = ["--data", self.folder / "select.npz", "--output", file]
        if recover != "none":
            data += ["--recover", recover, "--fit-data", self.folder / "fit.npz"]
        if contestant in ("exact", "renewed"):
            run = file.with_suffix("")
            for old in run.glob("*"):
                old.unlink()
            more = ["--within", "taylor1", "--renew-order"] if contestant == "renewed" else []
            done = self.espalier(
                "prune", *data, "--units", self.arguments.units, "--until", f"flops={budget:g}", *more, "--run", run,
                "--workers", self.arguments.workers, *self.arguments.options.split())
            return file, done.result["path"][-1]["flops"] / self.flops, done.wall
        order = self.order(contestant, seed)
        # The least number of chunks within the budget.
        low, high = 1, len(order)
        while low < high:
            middle = (low + high) // 2
            if self.evaluated(order[:middle], data[:2])["flops"] <= budget * self.flops:
                high = middle
            else:
                low = middle + 1
        return file, self.evaluated(order[:low], data)["flops"] / self.flops, 0.0

    def evaluated(self, units, options):
        done = self.espalier("evaluate", *options, *(word for unit in units for word in ("--remove", unit)))
        return done.result.get("pruned", done.result)

    def contestant(self, name, budget, recover):
        seeds = range(self.arguments.seeds if name == "random" else 1)
        found = [self.file(name, budget, recover, seed) for seed in seeds]
        test, parts = self.subject.parts["test"], self.subject.parts
        row = {
            "scores": [judged(file, test) for file, *_ in found], "flops": float(np.mean([flops for _, flops, _ in found])),
            "seconds": found[0][2], "latency": self.latency(found[0][0], test)}
        row["loss"], row["accuracy"] = np.mean(row["scores"], 0).tolist()
        if budget in self.arguments.trained_at:
            scores = [
                trained(file, parts["fit"], test, self.subject.steps, seed, self.arguments.rate)
                for file, *_ in found[:1] for seed in range(self.arguments.trained_seeds)]
            row["trainedLoss"], row["trainedAccuracy"] = np.mean(scores, 0).tolist()
        return row

    def latency(self, file, part):
        """The time of a file, as a share of the unpruned model's."""
        return latencies(
            session(self.subject.model), session(file), {"image": part["image"]}, self.arguments.rounds, batch=64)["ratio"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=listed(str), default="digits-resnet,digits-vit,resnet20")
    parser.add_argument("--budgets", type=listed(float), default="0.8,0.6,0.4", help="shares of the FLOPs")
    parser.add_argument("--units", default="channels:8,neurons:8,heads")
    parser.add_argument("--contestants", type=listed(str), default=",".join(CONTESTANTS))
    parser.add_argument("--recover", type=listed(str), default="none,least-squares")
    parser.add_argument("--trained-at", type=listed(float), default="", help="budgets where training is worth its time")
    parser.add_argument("--training-images", action="store_true", help="fit the digits' models on what trained them")
    parser.add_argument("--options", default="", help="more options for `espalier prune`, in one string")
    parser.add_argument("--seeds", type=int, default=3, help="of random removals")
    parser.add_argument("--trained-seeds", type=int, default=3)
    parser.add_argument("--rate", type=float, default=0.01, help="the highest learning rate")
    parser.add_argument("--rounds", type=int, default=40, help="pairs of calls whose time is compared")
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--models-folder", type=pathlib.Path, default=ROOT / "runs/bench-models")
    parser.add_argument("--folder", type=pathlib.Path, default=ROOT / "runs/channels", help="for data and files")
    parser.add_argument("--espalier", default=str(ROOT / ".build/release/espalier"))
    parser.add_argument("--json", type=pathlib.Path, help="write the figures")
    arguments = parser.parse_args()
    if unknown := set(arguments.contestants) - set(CONTESTANTS):
        parser.error(f"no contestant is called {', '.join(unknown)}; there are {', '.join(CONTESTANTS)}")
    figures = {}
    print(machine())
    for name in arguments.models:
        experiment = Experiment(subject(name, arguments), arguments)
        unpruned = judged(experiment.subject.model, experiment.subject.parts["test"])
        heads = [f"{budget:.0%} of the FLOPs" for budget in arguments.budgets]
        print(f"\n| {name}: held-out loss, accuracy; time | {' | '.join(heads)} |\n|---{'|---' * len(heads)}|")
        print(f"| unpruned | {cell(*unpruned)} {'| ' * (len(heads) - 1)}|", flush=True)
        rows = figures[name] = {"unpruned": unpruned}
        for contestant in arguments.contestants:
            for recover in arguments.recover:
                row = rows[f"{contestant}, {recover}"] = {}
                for budget in arguments.budgets:
                    row[budget] = found = experiment.contestant(contestant, budget, recover)
                    print(f"  {name}, {budget:g}, {contestant}, {recover}: {json.dumps(found)}", file=sys.stderr, flush=True)
                    finish(arguments, figures)
                title = CONTESTANTS[contestant] + ("" if recover == "none" else f", {recover}")
                cells = [
                    cell(found["loss"], found["accuracy"])
                    + (f" (trained {found['trainedAccuracy']:.1%})" if "trainedAccuracy" in found else "")
                    + f"; {found['latency']:.2f}" for found in row.values()]
                print(f"| {title} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
