#!/usr/bin/env python3
"""The same greedy search by different numbers of workers: time, block evaluations, and that the result is the same.

    workers.py [--model resnet20] [--samples 1024] [--steps 5] [--workers 1,2,8] [--repeats 3]

Times are of the search alone, medians of repeats that take turns. More workers than cores tell nothing about speed, but
how much work is done in vain when more is under way. The path and all losses have to be the same to the last bit.
"""

import argparse
import sys
import tempfile

from measured import arguments_of, call, finish, machine, median, subset, text


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
    runs = {number: [] for number in numbers}
    with tempfile.TemporaryDirectory() as scratch:
        data = subset(arguments.models / arguments.model / "data.npz", arguments.samples, scratch)
        for repeat in range(arguments.repeats):
            for number in numbers:
                with tempfile.TemporaryDirectory() as place:
                    done = call(
                        arguments.espalier, "prune", arguments.models / arguments.model / "model.onnx", "--data", data,
                        "--steps", arguments.steps, "--workers", number, "--block-size", arguments.block_size, "--run",
                        f"{place}/run", "--json", "-")
                found = [(text(step["edge"]), step["loss"]) for step in done.result["path"]]
                expected = expected or found
                if found != expected:
                    sys.exit(f"{number} workers found {found}, not {expected}")
                work = done.result["work"]
                runs[number].append({
                    "search": done.result["seconds"], "wall": done.wall, "cpu": done.cpu,
                    "blockEvaluations": work["blockEvaluations"], "clairvoyant": work["clairvoyantBlockEvaluations"]})
    print(
        f"{arguments.model}, {arguments.samples} samples in blocks of {arguments.block_size}, {arguments.steps} steps, "
        f"median of {arguments.repeats}, the same path and losses to the bit; {machine()}")
    print(f"{'workers':>8}{'search':>10}{'speed-up':>10}{'CPU':>10}{'blocks':>8}{'/ clairvoyant':>15}{'/ brute force':>15}")
    figures = {}
    for number in numbers:
        values = {key: median(run[key] for run in runs[number]) for key in runs[number][0]}
        figures[number] = values
        first = figures[numbers[0]]
        print(
            f"{number:>8}{values['search']:>8.2f} s{first['search'] / values['search']:>10.2f}{values['cpu']:>8.2f} s"
            f"{values['blockEvaluations']:>8.0f}{values['blockEvaluations'] / values['clairvoyant']:>15.2f}"
            f"{values['blockEvaluations'] / work['bruteForceBlockEvaluations']:>15.2f}")
    finish(arguments, {"model": arguments.model, "medians": figures, "runs": runs})


if __name__ == "__main__":
    main()
