#!/usr/bin/env python3
"""What a beam search costs in greedy searches: block evaluations, wall and CPU time.

    beam.py [--model resnet20] [--samples 1024] [--steps 5] [--width 8] [--workers 2] [--repeats 3]

Both run with the same workers, in turns; times are of the search alone, medians.
"""

import argparse
import tempfile

from measured import arguments_of, call, finish, machine, median, subset, text


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="resnet20")
    parser.add_argument("--samples", type=int, default=1024)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--width", type=int, default=8)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = arguments_of(parser)
    strategies = {"greedy": ["--strategy", "greedy"],
                  "beam": ["--strategy", "beam", "--beam-width", arguments.width]}
    runs, ends = {name: [] for name in strategies}, {}
    with tempfile.TemporaryDirectory() as scratch:
        data = subset(arguments.models / arguments.model / "data.npz", arguments.samples, scratch)
        for repeat in range(arguments.repeats):
            for name, options in strategies.items():
                with tempfile.TemporaryDirectory() as place:
                    done = call(
                        arguments.espalier, "prune", arguments.models / arguments.model / "model.onnx", "--candidates",
                        "branches", "--data", data,
                        *options, "--steps", arguments.steps, "--workers", arguments.workers, "--run", f"{place}/run",
                        "--json", "-")
                work = done.result["work"]
                runs[name].append({
                    "blocks": work["blockEvaluations"], "clairvoyant": work["clairvoyantBlockEvaluations"],
                    "brute": work["bruteForceBlockEvaluations"], "seconds": done.result["seconds"], "cpu": done.cpu})
                last = done.result["path"][-1]
                ends[name] = f"loss {last['loss']:.6f} after {' '.join(text(step['edge']) for step in done.result['path'])}"
    figures = {name: {key: median(run[key] for run in runs[name]) for key in runs[name][0]} for name in strategies}
    print(
        f"{arguments.model}, {arguments.samples} samples, {arguments.steps} steps, {arguments.workers} workers, median of "
        f"{arguments.repeats}; {machine()}")
    print(f"{'':12}{'blocks':>8}{'clairvoyant':>13}{'brute force':>13}{'search':>10}{'CPU':>10}")
    for name, values in figures.items():
        title = f"beam {arguments.width}" if name == "beam" else name
        print(
            f"{title:12}{values['blocks']:>8.0f}{values['clairvoyant']:>13.0f}{values['brute']:>13.0f}"
            f"{values['seconds']:>8.2f} s{values['cpu']:>8.2f} s   {ends[name]}")
    ratio = {key: figures["beam"][key] / figures["greedy"][key] for key in ("blocks", "seconds", "cpu")}
    print(
        f"beam {arguments.width} takes {ratio['blocks']:.2f} times the block evaluations, {ratio['seconds']:.2f} times the "
        f"wall time and {ratio['cpu']:.2f} times the CPU time of greedy; 5 greedy searches take 5")
    finish(arguments, {"model": arguments.model, "medians": figures, "runs": runs, "ratios": ratio})


if __name__ == "__main__":
    main()
