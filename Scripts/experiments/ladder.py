#!/usr/bin/env python3
"""Which recovery ranks removals as a whole training does, and what each is worth when it chooses: tables in Markdown.

    ladder.py [--models digits-resnet,digits-vit] [--rungs none,mean,least-squares,train:3%,train:10%,...] [--removals 3,5,7]
              [--structures 24] [--steps 600] [--seeds 2] [--parts ranks,searches] [--workers 2] [--espalier PATH] [--json FILE]

**Ranks.** Structures are all single removals, and random ones of five. Each is measured on the selection images after every
rung of the ladder (percentages are of the steps of the whole training), and on the held-out images after the whole training
by `finetune`, with some seeds. The table has Kendall's tau between the two, and between the trainings of two seeds: no rung
can do better than that.

**Searches.** Greedy removes 3, 5 and 7 parts, each rung choosing by the exact loss after it; random removals stand beside
them. All files are then trained alike, and ONNX Runtime judges them on the held-out images.

Images: what the models were trained on trains, the calibration images choose, the held-out ones judge and nothing else.
Needs numpy, onnxruntime and scipy, and for the training images torch, onnx and scikit-learn.
"""

import argparse
import pathlib
import shutil
import sys

import numpy as np
from scipy.stats import kendalltau

from recovery import BODIES, BRANCHES, ROOT, images, judged, training_images

from measured import call, finish, machine

SUBJECTS = {"digits-resnet": BODIES, "digits-vit": BRANCHES}


class Ladder:
    """One model: its files, its images and its calls."""

    def __init__(self, name, arguments):
        self.name, self.arguments = name, arguments
        self.folder = arguments.folder / name
        self.folder.mkdir(parents=True, exist_ok=True)
        self.model = ROOT / "Examples" / name / "model.onnx"
        self.selection = ROOT / "Examples" / name / "calibration.npz"
        self.test = images(ROOT / "Examples" / name / "held-out.npz")
        self.training = self.folder / "training.npz"
        np.savez(self.training, **training_images())

    def rung(self, text):
        """Options of a rung; percentages become steps."""
        parts = []
        for part in text.split("+"):
            if part.startswith("train:") and part.endswith("%"):
                part = f"train:{max(1, round(self.arguments.steps * float(part[6:-1]) / 100))}"
            parts.append(part)
        if parts == ["none"]:
            return []
        trains = any(part.startswith("train") for part in parts)
        fitted = any(part not in ("mean",) for part in parts)
        return ["--recover", "+".join(parts)] + ([] if not fitted else
            ["--train-data" if trains else "--fit-data", self.training])

    def candidates(self):
        found = call(
            self.arguments.espalier, "inspect", self.model, "--candidates", SUBJECTS[self.name], "--json", "-").result
        return [f"{own['node']}:{own['slot']}" for own in found["candidates"]]

    def losses(self, structures, rung):
        """By structure, the loss on the selection images after a rung."""
        masks = self.folder / "masks.txt"
        masks.write_text("\n".join(" ".join(own) for own in structures) + "\n")
        found = call(
            self.arguments.espalier, "evaluate", self.model, "--data", self.selection, "--masks", masks, "--workers",
            self.arguments.workers, *self.rung(rung), "--json", "-").result
        return [own["loss"] for own in found]

    def tuned(self, model, removed, seed, more=()):
        """The held-out loss and accuracy after the whole training."""
        output, run = self.folder / "tuned.onnx", self.folder / "run-tuned"
        shutil.rmtree(run, ignore_errors=True)
        call(
            self.arguments.espalier, "finetune", model, "--data", self.training, "--teacher", self.model, "--steps",
            self.arguments.steps, "--seed", seed, "--workers", 0, "--micro-batch", 64, "--validate-every", 10**6,
            "--run", run, "--output", output, "--json", "-", *more,
            *(word for unit in removed for word in ("--remove", unit)))
        return judged(output, self.test)

    def ranks(self):
        """Kendall's tau of every rung with the trained loss, for single removals and random structures."""
        random = np.random.default_rng(0)
        names = self.candidates()
        structures = {"single": [[name] for name in names], "five at random": []}
        while len(structures["five at random"]) < self.arguments.structures:
            own = [names[place] for place in sorted(random.choice(len(names), 5, replace=False))]
            if own not in structures["five at random"]:
                structures["five at random"].append(own)
        table = {}
        for kind, own in structures.items():
            trained = np.array([
                [self.tuned(self.model, removed, seed)[0] for seed in range(self.arguments.seeds)] for removed in own])
            mean = trained.mean(1)
            row = {rung: float(kendalltau(self.losses(own, rung), mean)[0]) for rung in self.arguments.rungs}
            row["seed to seed"] = float(kendalltau(trained[:, 0], trained[:, -1])[0])
            table[kind] = row
            print(f"| {self.name} | {kind}, {len(own)} | " + " | ".join(f"{own:.2f}" for own in row.values()), flush=True)
        return table

    def searches(self):
        """Held-out loss and accuracy after the same training, of what each rung chose."""
        table = {}
        names = self.candidates()
        for count in self.arguments.removals:
            row = {}
            for rung in self.arguments.rungs:
                run = self.folder / "run-search"
                shutil.rmtree(run, ignore_errors=True)
                call(
                    self.arguments.espalier, "prune", self.model, "--data", self.selection, "--candidates",
                    SUBJECTS[self.name], "--steps", count, "--workers", self.arguments.workers, "--run", run, "--json", "-",
                    *self.rung(rung))
                found = [self.tuned(run / "pruned.onnx", [], seed) for seed in range(self.arguments.seeds)]
                row[rung] = tuple(np.mean(found, 0)), judged(run / "pruned.onnx", self.test)
            random = np.random.default_rng(count)
            drawn = [
                self.tuned(self.model, [names[place] for place in random.choice(len(names), count, replace=False)], 0)
                for _ in range(8)]
            row["random, mean of 8"] = tuple(np.mean(drawn, 0)), None
            row["random, best of 8"] = min(drawn), None
            table[count] = row
            for rung, ((loss, accuracy), before) in row.items():
                at_once = f"{before[0]:.4f}, {before[1]:.1%}" if before else "-"
                print(f"| {self.name} | {count} | {rung} | {at_once} | {loss:.4f}, {accuracy:.1%} |", flush=True)
        return table


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words = lambda text: text.split(",")  # noqa: E731
    parser.add_argument("--models", type=words, default=["digits-resnet", "digits-vit"])
    parser.add_argument("--rungs", type=words, default=[
        "none", "mean", "least-squares", "train:3%", "train:10%", "least-squares+train:3%", "least-squares+train:10%"])
    parser.add_argument("--removals", type=lambda text: [int(own) for own in text.split(",")], default=[3, 5, 7])
    parser.add_argument("--structures", type=int, default=24)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--parts", type=words, default=["ranks", "searches"])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=pathlib.Path, default=ROOT / "runs/ladder")
    parser.add_argument("--espalier", default=str(ROOT / ".build/release/espalier"))
    parser.add_argument("--json", type=pathlib.Path)
    arguments = parser.parse_args()
    figures = {"machine": machine(), "steps": arguments.steps, "models": {}}
    for name in arguments.models:
        ladder = Ladder(name, arguments)
        own = figures["models"][name] = {}
        if "ranks" in arguments.parts:
            print("| model | structures | " + " | ".join([*arguments.rungs, "seed to seed"]) + " |", flush=True)
            own["ranks"] = ladder.ranks()
        if "searches" in arguments.parts:
            print("| model | removed | chosen by | at once | after training |", flush=True)
            own["searches"] = ladder.searches()
        finish(arguments, figures)


if __name__ == "__main__":
    sys.exit(main())
