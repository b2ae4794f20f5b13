#!/usr/bin/env python3
"""Which recovery ranks removals as a whole training does, and what each is worth when it chooses: tables in Markdown.

    ladder.py [--models digits-resnet,digits-vit,resnet20] [--rungs none,least-squares,train:10%/5,...] [--removals 3,5,7]
              [--structures 24] [--steps N] [--seeds 2] [--parts ranks,searches] [--workers 2] [--espalier PATH] [--json FILE]

**Ranks.** Structures are all single removals, and random ones of five. Each is measured on the selection images after every
rung of the ladder (percentages are of the steps of the whole training), and on the held-out images after the whole training
by `finetune`, with some seeds. The table has Kendall's tau between the two, and between the trainings of two seeds: no rung
can do better than that.

**Searches.** Greedy removes 3, 5 and 7 parts, each rung choosing by the exact loss after it: among all, or with `/N` behind
the rung among the N that lose least at the cut. Random removals stand beside them. All files are then trained alike, and ONNX
Runtime judges them on the held-out images. The last column is the training that the search took, in whole trainings.

Images: what the models were trained on trains, the calibration images choose, the held-out ones judge and nothing else; of the
ResNet-20's held-out MNIST images 400 train, 600 choose and 600 judge, and trainings have a third of the digits' 600 steps.
Needs numpy, onnxruntime and scipy, for the training images torch, onnx and scikit-learn, and for the ResNet-20 the models of
Scripts/bench/make-models.py.
"""

import argparse
import pathlib
import shutil
import sys

import numpy as np
from scipy.stats import kendalltau

from recovery import BODIES, BRANCHES, ROOT, SUMS, images, judged, split, training_images

from measured import call, finish, machine

SUBJECTS = {"digits-resnet": BODIES, "digits-vit": BRANCHES, "resnet20": SUMS}


class Ladder:
    """One model: its files, its images and its calls."""

    def __init__(self, name, arguments):
        self.name, self.arguments = name, arguments
        self.folder = arguments.folder / name
        self.folder.mkdir(parents=True, exist_ok=True)
        self.training, self.selection = self.folder / "training.npz", self.folder / "selection.npz"
        if name == "resnet20":
            self.model = arguments.models_folder / name / "model.onnx"
            select, fit, self.test = split(self.model.parent / "data.npz", 600, 400, 600)
        else:
            self.model = ROOT / "Examples" / name / "model.onnx"
            select, fit = images(ROOT / "Examples" / name / "calibration.npz"), training_images()
            self.test = images(ROOT / "Examples" / name / "held-out.npz")
        self.steps = arguments.steps or (200 if name == "resnet20" else 600)
        np.savez(self.training, **fit)
        np.savez(self.selection, **select)

    def rung(self, text):
        """Options of a rung; percentages become steps, and what follows a slash the length of the shortlist."""
        text, _, shortlist = text.partition("/")
        parts = []
        for part in text.split("+"):
            if part.startswith("train:") and "%" in part:
                share, _, repeats = part[6:].partition("%")
                part = f"train:{max(1, round(self.steps * float(share) / 100))}{repeats}"
            parts.append(part)
        if parts == ["none"]:
            return []
        trains = any(part.startswith("train") for part in parts)
        fitted = any(part not in ("mean",) for part in parts)
        return ["--recover", "+".join(parts)] + ([] if not fitted else
            ["--train-data" if trains else "--fit-data", self.training]) + (
            ["--shortlist", shortlist, "--audit", 0] if shortlist else [])

    def trainings(self, rung, found):
        """The training that a search took, in whole trainings."""
        _, _, tail = rung.partition("train:")
        if not tail:
            return 0.0
        share, _, repeats = tail.partition("/")[0].partition("%")
        levels = found["levels"][1:]
        measured = sum(level["measured"] for level in found["screening"]["levels"]) if "screening" in found else sum(
            level["work"]["candidates"] for level in levels)
        return float(share) / 100 * measured * int(repeats[1:] or 1)

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
            self.steps, "--seed", seed, "--workers", 0, "--micro-batch", 64, "--validate-every", 10**6,
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
                searched = call(
                    self.arguments.espalier, "prune", self.model, "--data", self.selection, "--candidates",
                    SUBJECTS[self.name], "--steps", count, "--workers", self.arguments.workers, "--run", run, "--json", "-",
                    *self.rung(rung)).result
                found = [self.tuned(run / "pruned.onnx", [], seed) for seed in range(self.arguments.seeds)]
                row[rung] = (
                    tuple(np.mean(found, 0)), judged(run / "pruned.onnx", self.test), self.trainings(rung, searched))
            random = np.random.default_rng(count)
            drawn = []
            while len(drawn) < 8:
                chosen = [names[place] for place in random.choice(len(names), count, replace=False)]
                # Body and skip of one block at once leave nothing.
                if len({name.split(":")[0] for name in chosen}) == count:
                    drawn.append(self.tuned(self.model, chosen, 0))
            row["random, mean of 8"] = tuple(np.mean(drawn, 0)), None, 0
            row["random, best of 8"] = min(drawn), None, 0
            table[count] = row
            for rung, ((loss, accuracy), before, took) in row.items():
                at_once = f"{before[0]:.4f}, {before[1]:.1%}" if before else "-"
                print(
                    f"| {self.name} | {count} | {rung} | {at_once} | {loss:.4f}, {accuracy:.1%} | {took:.1f} |", flush=True)
        return table


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words = lambda text: text.split(",")  # noqa: E731
    parser.add_argument("--models", type=words, default=list(SUBJECTS))
    parser.add_argument("--rungs", type=words, default=[
        "none", "mean", "least-squares", "least-squares+train:3%/1", "least-squares+train:10%/1", "train:10%/1",
        "least-squares+train:3%/5", "least-squares+train:10%/5", "train:10%/5"])
    parser.add_argument("--removals", type=lambda text: [int(own) for own in text.split(",")], default=[3, 5, 7])
    parser.add_argument("--structures", type=int, default=24)
    parser.add_argument("--steps", type=int, help="of a whole training")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--parts", type=words, default=["ranks", "searches"])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=pathlib.Path, default=ROOT / "runs/ladder")
    parser.add_argument("--models-folder", type=pathlib.Path, default=ROOT / "runs/bench-models")
    parser.add_argument("--espalier", default=str(ROOT / ".build/release/espalier"))
    parser.add_argument("--json", type=pathlib.Path)
    arguments = parser.parse_args()
    figures = {"machine": machine(), "models": {}}
    for name in arguments.models:
        ladder = Ladder(name, arguments)
        own = figures["models"][name] = {}
        if "ranks" in arguments.parts:
            print("| model | structures | " + " | ".join([*arguments.rungs, "seed to seed"]) + " |", flush=True)
            own["ranks"] = ladder.ranks()
        if "searches" in arguments.parts:
            print("| model | removed | chosen by | at once | after training | trainings |", flush=True)
            own["searches"] = ladder.searches()
        finish(arguments, figures)


if __name__ == "__main__":
    sys.exit(main())
