#!/usr/bin/env python3
"""Greedy, beam and exhaustive search by ONNX Runtime alone: the outside check of Espalier's answers.

    brute_force.py MODEL --data D [--candidates INSPECT.json | branches | all] [--strategy greedy|beam:K|exhaustive]
                   [--steps N] [--loss cross-entropy|next-token|mse|kl|self-mse] [--objective absolute|signed]

For every mask it builds the masked model, runs all samples in one batch on one thread and takes the mean loss. Every
expansion of every state is measured; nothing is estimated, bounded or reused. `--candidates` takes the output of
`espalier inspect --json` (its `candidates`: objects with `node` and `slot`, tried as they stand), or works them out.

Prints JSON: {"base", "path": [{"step", "edge": "NODE:SLOT", "loss", "lossChange", "margin", "tied"}…], "mask",
"evaluations"}. `margin` is how much worse the best state is that was not kept, `tied` lists masks that come within
1e-6 relative of the chosen one: there two implementations may rightly differ. Ties break by fewer parameters left,
then by canonical edge order.
"""

import argparse
import json
import math
from dataclasses import dataclass

import onnx

from losses import KINDS, mean_loss
from masked import load_data, masked_model, outputs
from wiring import Wiring, parse_edge


@dataclass(frozen=True)
class State:
    """A mask with its loss; `edges` in the order of removal."""

    edges: tuple
    loss: float
    parent: "State | None"

    @property
    def mask(self):
        return frozenset(self.edges)


class BruteForce:
    """Losses of masks, each measured once."""

    def __init__(self, model, data, loss, objective):
        self.model, self.data, self.loss, self.objective = model, data, loss, objective
        self.wiring = Wiring(model)
        self.measured = {}
        self.base_output = None
        self.base = self.measure(frozenset())

    def measure(self, mask):
        if mask not in self.measured:
            name = self.model.graph.output[0].name
            output = outputs(masked_model(self.model, mask), self.data)[name]
            if self.base_output is None:
                self.base_output = output
            self.measured[mask] = mean_loss(output, self.loss, self.data, self.base_output)
        return self.measured[mask]

    def score(self, state):
        """What the search minimises."""
        change = state.loss - self.base
        return abs(change) if self.objective == "absolute" else change

    def rank(self, state):
        score = self.score(state)
        score = float("inf") if score != score else score
        return score, self.wiring.parameters(state.mask), sorted(state.edges)

    def level(self, states, candidates):
        """Every legal expansion of `states` in order of rank, each set of edges once (from its best parent)."""
        found = {}
        for state in states:
            for edge in candidates:
                mask = state.mask | {edge}
                if mask not in found and self.wiring.legal(state.mask, edge):
                    found[mask] = State(state.edges + (edge,), self.measure(mask), state)
        return sorted(found.values(), key=self.rank)

    def search(self, candidates, steps, width):
        """The kept states of every level, best first, and all states of the level; `width` None keeps all."""
        states, levels = [State((), self.base, None)], []
        for _ in range(steps):
            ranked = self.level(states, candidates)
            if not ranked:
                break
            states = ranked[:width]
            levels.append(ranked)
        return levels


def finite(value):
    """`value`, or None where JSON has no number for it."""
    return value if value is not None and math.isfinite(value) else None


def path_of(search, levels, width):
    """The chain of states that ends in the last level's best."""
    chain, state = [], levels[-1][0] if levels else None
    while state is not None and state.parent is not None:
        chain.append(state)
        state = state.parent
    path = []
    for step, state in enumerate(reversed(chain), 1):
        ranked = levels[step - 1]
        scores = [search.score(other) for other in ranked]
        score = search.score(state)
        near = [
            [f"{node}:{slot}" for node, slot in sorted(other.edges)] for other, value in zip(ranked, scores)
            if other.mask != state.mask and abs(value - score) <= 1e-6 * max(abs(state.loss), abs(search.base))]
        kept = width if width is not None else len(ranked)
        margin = scores[kept] - score if kept < len(ranked) else None
        path.append({
            "step": step, "edge": "%d:%d" % state.edges[-1], "loss": finite(state.loss),
            "lossChange": finite(state.loss - search.base), "margin": finite(margin), "tied": near})
    return path


def read_candidates(text, wiring):
    if text == "branches":
        return wiring.branches()
    if text == "all":
        return wiring.candidates()
    with open(text) as file:
        listed = json.load(file)["candidates"]
    return sorted(parse_edge(item) if isinstance(item, str) else (item["node"], item["slot"]) for item in listed)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--data", required=True)
    parser.add_argument("--candidates", default="branches")
    parser.add_argument("--strategy", default="greedy", help="greedy, beam:K or exhaustive")
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--loss", choices=KINDS, default="cross-entropy")
    parser.add_argument("--objective", choices=("absolute", "signed"), default="absolute")
    parser.add_argument("--samples", type=int, help="only the first N samples")
    arguments = parser.parse_args()
    data = {name: array[: arguments.samples] for name, array in load_data(arguments.data).items()}
    search = BruteForce(onnx.load(arguments.model), data, arguments.loss, arguments.objective)
    candidates = read_candidates(arguments.candidates, search.wiring)
    width = {"greedy": 1, "exhaustive": None}.get(arguments.strategy, 0)
    if width == 0:
        width = int(arguments.strategy.removeprefix("beam:"))
    levels = search.search(candidates, arguments.steps, width)
    path = path_of(search, levels, width)
    print(json.dumps({
        "base": search.base, "candidates": len(candidates), "path": path,
        "mask": sorted((step["edge"] for step in path), key=parse_edge), "evaluations": len(search.measured) - 1},
        indent=1))


if __name__ == "__main__":
    main()
