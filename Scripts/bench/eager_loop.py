#!/usr/bin/env python3
"""Greedy removal as people write it in eager PyTorch: switch a part off, run all data, switch it on, keep the best.

    eager_loop.py NETWORK --weights FILE --model FILE --data NPZ --candidates FILE [--steps 5]

NETWORK is one of switched.py, in evaluation mode, one thread, batch norm as trained. The exported model only tells which
switches may still be turned off: none that is dead already, and none that would cut the input off. Prints the path as
JSON.
"""

import argparse
import json
import pathlib
import sys
import time

import numpy as np
import onnx
import torch

from switched import NETWORKS, switch_of

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "reference"))
from wiring import Wiring  # noqa: E402

BLOCK = 64


@torch.no_grad()
def loss_of(network, images, labels):
    """The mean cross-entropy, block by block."""
    total = 0.0
    for start in range(0, len(labels), BLOCK):
        logits = network(images[start : start + BLOCK])
        total += torch.nn.functional.cross_entropy(logits, labels[start : start + BLOCK], reduction="sum").item()
    return total / len(labels)


def loop(network, wiring, images, labels, candidates, steps):
    """The path of a greedy search that measures everything."""
    base = loss_of(network, images, labels)
    switches = {(item["node"], item["slot"]): switch_of(network, item) for item in candidates}
    mask, path, blocks = frozenset(), [], 0
    for _ in range(steps):
        best = None
        for edge, (module, name) in switches.items():
            if not wiring.legal(mask, edge):
                continue
            module.off.add(name)
            loss = loss_of(network, images, labels)
            module.off.remove(name)
            blocks += -(-len(labels) // BLOCK)
            if best is None or abs(loss - base) < abs(best[1] - base):
                best = edge, loss
        if best is None:
            break
        mask |= {best[0]}
        module, name = switches[best[0]]
        module.off.add(name)
        path.append({"edge": "%d:%d" % best[0], "loss": best[1]})
    return base, path, blocks


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", choices=NETWORKS)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--candidates", required=True)
    parser.add_argument("--steps", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    network = NETWORKS[arguments.network]()
    network.load_state_dict(torch.load(arguments.weights))
    network.eval()
    with np.load(arguments.data) as archive:
        images, labels = (torch.from_numpy(archive[name]) for name in ("image", "labels"))
    candidates = json.load(open(arguments.candidates))
    wiring = Wiring(onnx.load(arguments.model))
    start = time.perf_counter(), time.process_time()
    base, path, blocks = loop(network, wiring, images, labels, candidates, arguments.steps)
    print(json.dumps({
        "base": base, "path": path, "blockEvaluations": blocks, "seconds": time.perf_counter() - start[0],
        "cpu": time.process_time() - start[1]}))


if __name__ == "__main__":
    main()
