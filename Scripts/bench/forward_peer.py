#!/usr/bin/env python3
"""Time of full forward passes, one thread, in eager PyTorch or on ONNX Runtime; or the peak of a matrix product.

    forward_peer.py eager|runtime|peak NETWORK --folder DIR --data NPZ [--blocks 16,32,64,128] [--repeats 3]

Prints the samples per second of CPU time for each block size, the best of the repeats after a first pass, as JSON.
"""

import argparse
import json
import pathlib
import sys
import time

import numpy as np


def eager(network, folder):
    import torch
    from switched import NETWORKS

    torch.set_num_threads(1)
    model = NETWORKS[network]()
    model.load_state_dict(torch.load(folder / "weights.pt"))
    model.eval()

    def run(block):
        with torch.inference_mode():
            model(torch.from_numpy(block))

    return run


def runtime(_, folder):
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "reference"))
    import onnx
    from masked import session

    ready = session(onnx.load(folder / "model.onnx"), optimised=True)
    return lambda block: ready.run(None, {"image": block})


def peak(repeats, size=1024):
    """FLOP/s of a square matrix product in PyTorch."""
    import torch

    torch.set_num_threads(1)
    a, b = torch.randn(size, size), torch.randn(size, size)
    torch.mm(a, b)
    best = 0.0
    for _ in range(repeats):
        start = time.process_time()
        for _ in range(10):
            torch.mm(a, b)
        best = max(best, 10 * 2 * size**3 / (time.process_time() - start))
    return best


def rates(run, images, blocks, repeats):
    """Samples per second of CPU time by block size."""
    found = {}
    for block in blocks:
        parts = [images[start : start + block] for start in range(0, len(images), block)]
        run(parts[0])
        run(parts[-1])
        best = float("inf")
        for _ in range(repeats):
            start = time.process_time()
            for part in parts:
                run(part)
            best = min(best, time.process_time() - start)
        found[block] = len(images) / best
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=("eager", "runtime", "peak"))
    parser.add_argument("network")
    parser.add_argument("--folder", type=pathlib.Path, required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--blocks", default="16,32,64,128")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    if arguments.kind == "peak":
        print(json.dumps({"flops": peak(3 * arguments.repeats)}))
        return
    with np.load(arguments.data) as archive:
        images = archive["image"]
    run = {"eager": eager, "runtime": runtime}[arguments.kind](arguments.network, arguments.folder)
    blocks = [int(block) for block in arguments.blocks.split(",")]
    print(json.dumps({"rates": rates(run, images, blocks, arguments.repeats)}))


if __name__ == "__main__":
    main()
