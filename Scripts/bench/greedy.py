#!/usr/bin/env python3
"""Wall time to the same greedy path: Espalier against the loop on ONNX Runtime that people write today.

    greedy.py [--model example:NAME] [--steps 5] [--repeats 3] [--espalier PATH]

The loop removes each candidate in turn (a session of the masked model, all graph optimisations on, one thread), runs
all samples in blocks of 64, keeps the removal whose mean loss changed least, and goes on. Espalier runs the same search
on the same cores, data (the example's calibration and held-out parts together) and candidates, with one thread in its own
process (--workers 0). The two take turns; every repeat's ratio is printed, and the paths must be the same.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np
import onnx

root = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(root / "Scripts/reference"))
from losses import mean_loss  # noqa: E402
from masked import load_data, masked_model, session  # noqa: E402
from wiring import Wiring  # noqa: E402

BLOCK = 64


def loss_of(model, mask, data):
    """The mean cross-entropy of the masked model, block by block."""
    runtime = session(masked_model(model, mask), optimised=True)
    names = [port.name for port in runtime.get_inputs()]
    count = len(data["labels"])
    parts = [
        runtime.run(None, {name: data[name][start:start + BLOCK] for name in names})[0]
        for start in range(0, count, BLOCK)]
    return mean_loss(np.concatenate(parts), "cross-entropy", data, None)


def candidates_of(espalier, path):
    """The edges that Espalier tries: of those whose removal computes the same, one."""
    printed = subprocess.run([espalier, "inspect", str(path), "--json", "-"], check=True, capture_output=True, text=True)
    return [(item["node"], item["slot"]) for item in json.loads(printed.stdout)["candidates"]]


def loop(model, data, candidates, steps):
    """The path of a greedy search that measures everything."""
    wiring = Wiring(model)
    base = loss_of(model, frozenset(), data)
    mask, path = frozenset(), []
    for _ in range(steps):
        legal = [edge for edge in candidates if edge not in mask and wiring.legal(mask, edge)]
        if not legal:
            break
        best = min(legal, key=lambda edge: abs(loss_of(model, mask | {edge}, data) - base))
        mask |= {best}
        path.append("%d:%d" % best)
    return path


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="digits-resnet", help="an example's name")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--espalier", default=str(root / ".build/release/espalier"))
    arguments = parser.parse_args()
    folder = root / "Examples" / arguments.model
    parts = [load_data(folder / f"{part}.npz") for part in ("calibration", "held-out")]
    data = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    model = onnx.load(folder / "model.onnx")
    candidates = candidates_of(arguments.espalier, folder / "model.onnx")
    ratios = []
    with tempfile.TemporaryDirectory() as scratch:
        np.savez(f"{scratch}/all.npz", **data)
        for repeat in range(arguments.repeats):
            start = time.perf_counter()
            expected = loop(model, data, candidates, arguments.steps)
            peer = time.perf_counter() - start
            start = time.perf_counter()
            printed = subprocess.run(
                [arguments.espalier, "prune", str(folder / "model.onnx"), "--data", f"{scratch}/all.npz", "--steps",
                 str(arguments.steps), "--workers", "0", "--run", f"{scratch}/run{repeat}", "--json", "-"],
                check=True, capture_output=True, text=True).stdout
            own = time.perf_counter() - start
            result = json.loads(printed)
            path = ["%d:%d" % (step["edge"]["node"], step["edge"]["slot"]) for step in result["path"]]
            if path != expected:
                sys.exit(f"the paths differ: {path} and {expected}")
            work = result["work"]
            ratios.append(peer / own)
            print(
                f"ONNX Runtime {peer:.2f} s, Espalier {own:.2f} s (the search {result['seconds']:.2f} s): "
                f"{peer / own:.1f} times, the search alone {peer / result['seconds']:.1f} times; "
                f"{work['blockEvaluations']} of {work['bruteForceBlockEvaluations']} block evaluations, "
                f"clairvoyant {work['clairvoyantBlockEvaluations']}")
    print(
        f"{arguments.model}, {len(data['labels'])} samples, {arguments.steps} steps, median of {arguments.repeats}: "
        f"{sorted(ratios)[len(ratios) // 2]:.1f} times as fast as the loop on ONNX Runtime")


if __name__ == "__main__":
    main()
