#!/usr/bin/env python3
"""The same greedy search by different numbers of workers: time, block evaluations, and that the result is the same.

    workers.py [--model resnet20] [--samples 1024] [--steps 5] [--workers 1,2,8] [--repeats 3]

Times are of the search alone, medians of repeats that take turns. More workers than cores tell nothing about speed, but
how much work is done in vain when more is under way. The path and all losses have to be the same to the last bit.

The ceiling is what this machine gives to as many processes that have nothing to do with each other: searches by one
process each, side by side, against one alone. Memory, caches and the host under a virtual machine are shared by them too.
"""

import argparse
import os
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

from measured import arguments_of, call, finish, machine, median, subset, text


def search(arguments, data, workers):
    """One search in a folder of its own."""
    with tempfile.TemporaryDirectory() as place:
        return call(
            arguments.espalier, "prune", arguments.models / arguments.model / "model.onnx", "--candidates",
            "branches", "--data", data, "--steps",
            arguments.steps, "--workers", workers, "--block-size", arguments.block_size, "--run", f"{place}/run", "--json",
            "-")


def side_by_side(arguments, data, count):
    """Seconds that each of so many independent searches took, without workers."""
    with ThreadPoolExecutor(count) as pool:
        return [done.result["seconds"] for done in pool.map(lambda _: search(arguments, data, 0), range(count))]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="resnet20")
    parser.add_argument("--samples", type=int, default=1024)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--workers", default="1,2,8")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--block-size", type=int, default=64)
    arguments = arguments_of(parser)
    numbers, expected = arguments.workers.split(","), None
    crowds = {number: [] for number in ["1", *numbers] if 1 <= int(number) <= os.cpu_count()}
    runs = {number: [] for number in numbers}
    with tempfile.TemporaryDirectory() as scratch:
        data = subset(arguments.models / arguments.model / "data.npz", arguments.samples, scratch)
        for repeat in range(arguments.repeats):
            for number in numbers:
                done = search(arguments, data, number)
                found = [(text(step["edge"]), step["loss"]) for step in done.result["path"]]
                expected = expected or found
                if found != expected:
                    sys.exit(f"{number} workers found {found}, not {expected}")
                work = done.result["work"]
                runs[number].append({
                    "search": done.result["seconds"], "wall": done.wall, "cpu": done.cpu,
                    "blockEvaluations": work["blockEvaluations"], "clairvoyant": work["clairvoyantBlockEvaluations"]})
            for number, seconds in crowds.items():
                seconds += side_by_side(arguments, data, int(number))
    print(
        f"{arguments.model}, {arguments.samples} samples in blocks of {arguments.block_size}, {arguments.steps} steps, "
        f"median of {arguments.repeats}, the same path and losses to the bit; {machine()}")
    print(f"{'workers':>8}{'search':>10}{'speed-up':>10}{'ceiling':>10}{'CPU':>10}{'blocks':>8}{'/ clairvoyant':>15}{'/ brute force':>15}")
    figures = {}
    for number in numbers:
        values = {key: median(run[key] for run in runs[number]) for key in runs[number][0]}
        figures[number] = values
        first = figures[numbers[0]]
        ceiling = f"{int(number) * median(crowds['1']) / median(crowds[number]):.2f}" if number in crowds else ""
        print(
            f"{number:>8}{values['search']:>8.2f} s{first['search'] / values['search']:>10.2f}{ceiling:>10}{values['cpu']:>8.2f} s"
            f"{values['blockEvaluations']:>8.0f}{values['blockEvaluations'] / values['clairvoyant']:>15.2f}"
            f"{values['blockEvaluations'] / work['bruteForceBlockEvaluations']:>15.2f}")
    finish(arguments, {"model": arguments.model, "medians": figures, "runs": runs, "sideBySide": crowds})


if __name__ == "__main__":
    main()
