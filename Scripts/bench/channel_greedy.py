#!/usr/bin/env python3
"""Time to the same greedy path over channels: Espalier against the loop that people write on ONNX Runtime.

    channel_greedy.py [--model resnet56] [--samples 512] [--steps 3] [--units channels:8] [--workers 0]

The loop zeroes the filters of the next chunk of each layer in turn, in every layer that writes these channels, makes a session of
one thread, runs all samples in blocks of 64, keeps the chunk whose mean loss changed least, and goes on. Model, data and chunks
are the same, in the order that `espalier inspect --units` lists them. The paths must be the same and the losses agree to 1e-5.
Wall and CPU time are of the whole processes, but for the loop's imports.
"""

import argparse
import json
import pathlib
import re
import sys
import tempfile
import time

import numpy as np
import onnx
from onnx import numpy_helper

from measured import arguments_of, call, finish, machine, subset

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "reference"))
from losses import mean_loss  # noqa: E402
from masked import load_data, session  # noqa: E402

BLOCK = 64


class Filters:
    """A model whose filters can be zeroed."""

    def __init__(self, path):
        self.model = onnx.load(path)
        self.weights = {tensor.name: tensor for tensor in self.model.graph.initializer}
        self.nodes = {node.name: node for node in self.model.graph.node}

    def without(self, layers, positions):
        """What the filters were, after they are zeroed."""
        kept = []
        for name in (name for layer in layers for name in self.nodes[layer].input[1:]):
            kept.append((name, self.weights[name].raw_data))
            array = numpy_helper.to_array(self.weights[name]).copy()
            array[positions] = 0
            self.weights[name].raw_data = array.tobytes()
        return kept

    def restore(self, kept):
        for name, data in kept:
            self.weights[name].raw_data = data

    def loss(self, data):
        """The mean cross-entropy, block by block."""
        runtime = session(self.model, optimised=True)
        names = [port.name for port in runtime.get_inputs()]
        parts = [
            runtime.run(None, {name: data[name][start : start + BLOCK] for name in names})[0]
            for start in range(0, len(data["labels"]), BLOCK)]
        return float(mean_loss(np.concatenate(parts), "cross-entropy", data, None))


def positions(unit):
    ranges = re.search(r"\[\d+:(.*)\]", unit).group(1).split("+")
    return [place for text in ranges for place in range(*map(int, text.split("..<")))]


def loop(path, data, groups, steps):
    """(unit, loss) of each step of a greedy search that measures everything."""
    filters = Filters(path)
    base = filters.loss(data)
    left = [[unit["unit"] for unit in group["units"]] for group in groups]
    found = []
    for _ in range(steps):
        losses = {}
        for number, units in enumerate(left):
            if units:
                kept = filters.without(groups[number]["layers"], positions(units[0]))
                losses[number] = filters.loss(data)
                filters.restore(kept)
        best = min(losses, key=lambda number: abs(losses[number] - base))
        unit = left[best].pop(0)
        filters.without(groups[best]["layers"], positions(unit))
        found.append((unit, losses[best]))
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="resnet56", help="resnet20 or resnet56")
    parser.add_argument("--samples", type=int, default=512)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--units", default="channels:8")
    parser.add_argument("--workers", type=int, default=0)
    arguments = arguments_of(parser)
    model = arguments.models / arguments.model / "model.onnx"
    with tempfile.TemporaryDirectory() as scratch:
        path = subset(model.with_name("data.npz"), arguments.samples, scratch)
        data = load_data(path)
        shape = "image=" + "x".join(str(size) for size in (1, *data["image"].shape[1:]))
        groups = call(
            arguments.espalier, "inspect", model, "--shape", shape, "--units", arguments.units, "--json", "-").result["groups"]
        done = call(
            arguments.espalier, "prune", model, "--data", path, "--units", arguments.units, "--steps", arguments.steps,
            "--workers", arguments.workers, "--run", f"{scratch}/run", "--json", "-")
        start = time.perf_counter(), time.process_time()
        found = loop(model, data, groups, arguments.steps)
        wall, cpu = time.perf_counter() - start[0], time.process_time() - start[1]
    own = [(step["edge"]["unit"], step["loss"]) for step in done.result["path"]]
    if [unit for unit, _ in own] != [unit for unit, _ in found]:
        sys.exit(f"other paths: {own}, {found}")
    apart = max(abs(mine - other) for (_, mine), (_, other) in zip(own, found))
    if apart > 1e-5:
        sys.exit(f"other losses: {own}, {found}")
    work = done.result["work"]
    print(
        f"{arguments.model}, {arguments.samples} samples, {len(groups)} layers with {sum(len(g['units']) for g in groups)} chunks, "
        f"{arguments.steps} steps; {machine()}")
    print(f"the same path, losses at most {apart:.1e} apart")
    print(f"ONNX Runtime {wall:.1f} s, CPU {cpu:.1f} s; Espalier {done.wall:.1f} s, CPU {done.cpu:.1f} s; "
          f"ratio {wall / done.wall:.1f}, CPU {cpu / done.cpu:.1f}")
    print(f"block evaluations {work['blockEvaluations']} of {work['bruteForceBlockEvaluations']}")
    finish(arguments, {
        "model": arguments.model, "samples": arguments.samples, "path": own, "work": work, "runtime": [wall, cpu],
        "espalier": [done.wall, done.cpu]})


if __name__ == "__main__":
    main()
