#!/usr/bin/env python3
"""Greedy removal as people write it with ONNX Runtime: a session of the model without a part, run on all data.

    runtime_loop.py MODEL --data NPZ --candidates FILE [--steps 5]

Each masked model is simplified first, as people would: an Add that lost an operand is gone, and so is what nothing
reads any more. Sessions have one thread and all graph optimisations. Prints the path as JSON.
"""

import argparse
import json
import pathlib
import sys
import time

import onnx
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "reference"))
from losses import mean_loss  # noqa: E402
from masked import load_data, masked_model, session  # noqa: E402
from wiring import Wiring  # noqa: E402

BLOCK = 64


def without(model, mask):
    """The masked model, smaller: additions with one operand left are bypassed, dead nodes dropped."""
    nodes = model.graph.node
    constant = {initializer.name for initializer in model.graph.initializer}
    sums = {edge for edge in mask if nodes[edge[0]].op_type == "Add" and not constant & set(nodes[edge[0]].input)}
    # In these models both operands of an addition of two activations have the same shape.
    result = masked_model(model, mask - sums)
    # Nodes by their outputs: `masked_model` inserts some, so that indices move.
    kept = {nodes[node].output[0]: nodes[node].input[1 - slot] for node, slot in sums}
    for node in result.graph.node:
        if node.output[0] in kept:
            name, output = kept[node.output[0]], node.output[0]
            node.CopyFrom(onnx.helper.make_node("Identity", [name], [output]))
    live, alive = {value.name for value in result.graph.output}, []
    for node in reversed(result.graph.node):
        if live & set(node.output):
            live |= set(node.input)
            alive.append(node)
    alive.reverse()
    del result.graph.node[:]
    result.graph.node.extend(alive)
    weights = [initializer for initializer in result.graph.initializer if initializer.name in live]
    del result.graph.initializer[:]
    result.graph.initializer.extend(weights)
    return result


def loss_of(model, mask, data):
    """The mean cross-entropy of the masked model, block by block."""
    runtime = session(without(model, mask), optimised=True)
    names = [port.name for port in runtime.get_inputs()]
    parts = [
        runtime.run(None, {name: data[name][start : start + BLOCK] for name in names})[0]
        for start in range(0, len(data["labels"]), BLOCK)]
    return mean_loss(np.concatenate(parts), "cross-entropy", data, None)


def loop(model, data, candidates, steps):
    """The path of a greedy search that measures everything."""
    wiring = Wiring(model)
    base = loss_of(model, frozenset(), data)
    mask, path, blocks = frozenset(), [], 0
    for _ in range(steps):
        legal = [edge for edge in candidates if edge not in mask and wiring.legal(mask, edge)]
        if not legal:
            break
        losses = {edge: loss_of(model, mask | {edge}, data) for edge in legal}
        blocks += len(legal)
        best = min(legal, key=lambda edge: abs(losses[edge] - base))
        mask |= {best}
        path.append({"edge": "%d:%d" % best, "loss": float(losses[best])})
    return float(base), path, blocks * -(-len(data["labels"]) // BLOCK)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--data", required=True)
    parser.add_argument("--candidates", required=True)
    parser.add_argument("--steps", type=int, default=5)
    arguments = parser.parse_args()
    data = load_data(arguments.data)
    model = onnx.load(arguments.model)
    candidates = [(item["node"], item["slot"]) for item in json.load(open(arguments.candidates))]
    start = time.perf_counter(), time.process_time()
    base, path, blocks = loop(model, data, candidates, arguments.steps)
    print(json.dumps({
        "base": base, "path": path, "blockEvaluations": blocks, "seconds": time.perf_counter() - start[0],
        "cpu": time.process_time() - start[1]}))


if __name__ == "__main__":
    main()
