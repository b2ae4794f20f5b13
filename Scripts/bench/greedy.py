#!/usr/bin/env python3
"""Time to the same greedy path: Espalier against the loops that people write in eager PyTorch and on ONNX Runtime.

    greedy.py [--model resnet20] [--samples 1024] [--steps 5] [--repeats 3] [--workers 0,2] [--skip eager,runtime]

The loops (eager_loop.py, runtime_loop.py) remove each candidate in turn, run all samples in blocks of 64, keep the removal
whose mean loss changed least, and go on. All have one thread, the same cores, model, data and candidates. They take
turns; a repeat runs each once, and the medians of the repeats are printed: wall and CPU time of the whole process, and
of the search alone (without loading programs, model and data). The paths must be the same and the losses agree to 1e-5.
"""

import argparse
import json
import pathlib
import sys
import tempfile

from measured import arguments_of, call, candidates, finish, machine, median, peer, subset, text

BLOCK = 64


def agree(name, path, losses, expected):
    """Stops unless a path is the one of the first program, with its losses."""
    if path != expected[0]:
        sys.exit(f"{name} found another path: {path}, not {expected[0]}")
    differences = [abs(mine - other) for mine, other in zip(losses, expected[1])]
    if max(differences) > 1e-5:
        sys.exit(f"{name} measured other losses: {losses}, not {expected[1]}")
    return max(differences)


def run(name, arguments, folder, data, edges, scratch):
    """One run as (the call, its path, its losses, seconds of the search)."""
    if name == "eager":
        done = peer(
            "eager_loop.py", arguments.model, "--weights", folder / "weights.pt", "--model", folder / "model.onnx",
            "--data", data, "--candidates", edges, "--steps", arguments.steps)
    elif name == "runtime":
        done = peer(
            "runtime_loop.py", folder / "model.onnx", "--data", data, "--candidates", edges, "--steps", arguments.steps)
    else:
        done = call(
            arguments.espalier, "prune", folder / "model.onnx", "--candidates", "branches", "--data", data, "--steps",
            arguments.steps, "--workers",
            name, "--run", f"{scratch}/run", "--json", "-")
    path = done.result["path"]
    edges = [step["edge"] if isinstance(step["edge"], str) else text(step["edge"]) for step in path]
    return done, edges, [step["loss"] for step in path], done.result["seconds"]


def show(programs, figures, own):
    """The table of medians, and the ratios to Espalier in its own process."""
    print(f"{'':22}{'process':>16}{'CPU':>16}{'search alone':>16}")
    for name in programs:
        line = f"{label(name):22}"
        for measure in ("wall", "cpu", "search"):
            value = figures[name][measure]
            cell = f"{value:.2f} s" + (f" ({value / figures[own][measure]:.1f})" if own in figures else "")
            line += f"{cell:>16}"
        print(line)


def label(name):
    names = {"eager": "eager PyTorch", "runtime": "ONNX Runtime"}
    return names.get(name, f"Espalier, {name} workers" if name != "0" else "Espalier")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="resnet20", help="resnet20, resnet56 or encoder6")
    parser.add_argument("--samples", type=int, default=1024)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--workers", default="0,2")
    parser.add_argument("--skip", default="", help="eager or runtime, to leave one out")
    arguments = arguments_of(parser)
    folder = arguments.models / arguments.model
    programs = [name for name in ("eager", "runtime") if name not in arguments.skip.split(",")]
    programs += arguments.workers.split(",")
    runs, expected, apart = {name: [] for name in programs}, None, 0.0
    with tempfile.TemporaryDirectory() as scratch:
        data = subset(folder / "data.npz", arguments.samples, scratch)
        tried = candidates(arguments.espalier, folder / "model.onnx")
        edges = pathlib.Path(scratch) / "candidates.json"
        edges.write_text(json.dumps(tried))
        for repeat in range(arguments.repeats):
            for name in programs:
                with tempfile.TemporaryDirectory() as place:
                    done, path, losses, seconds = run(name, arguments, folder, data, edges, place)
                expected = expected or (path, losses)
                apart = max(apart, agree(label(name), path, losses, expected))
                runs[name].append((done.wall, done.cpu, seconds))
                print(
                    f"  {repeat + 1}: {label(name)}: {done.wall:.2f} s, CPU {done.cpu:.2f} s, search {seconds:.2f} s",
                    file=sys.stderr, flush=True)
                if name == arguments.workers.split(",")[0]:
                    work = done.result["work"]
                    levels = [level["work"] for level in done.result["levels"]]
                    flops = done.result["base"]["flops"]
        peak = peer(
            "forward_peer.py", "peak", arguments.model, "--folder", folder, "--data", data).result["flops"]
    figures = {
        name: dict(zip(("wall", "cpu", "search"), (median(values) for values in zip(*runs[name])))) for name in programs}
    print(f"{arguments.model}, {arguments.samples} samples, {len(tried)} candidates, {arguments.steps} steps; {machine()}")
    print(f"the same path {' '.join(expected[0])}, losses at most {apart:.1e} apart; median of {arguments.repeats} "
          "repeats, in brackets the ratio to Espalier without workers")
    show(programs, figures, "0")
    own = figures.get("0", figures[programs[-1]])["cpu"]
    rate = work["blockEvaluations"] * BLOCK * flops / own
    print(
        f"block evaluations: {work['blockEvaluations']}, clairvoyant {work['clairvoyantBlockEvaluations']}, "
        f"brute force {work['bruteForceBlockEvaluations']}; by level "
        + ", ".join(f"{level['blockEvaluations']} ({level['clairvoyantBlockEvaluations']}) of "
                    f"{level['bruteForceBlockEvaluations']}" for level in levels))
    print(
        f"{work['blockEvaluations']} block evaluations, counted as full passes though they share much, by the process's "
        f"CPU time: {rate / 1e9:.1f} GFLOP/s, {rate / peak:.0%} of a matrix product's {peak / 1e9:.1f}")
    finish(arguments, {
        "model": arguments.model, "samples": arguments.samples, "path": expected[0], "work": work, "levels": levels,
        "medians": figures, "runs": runs})


if __name__ == "__main__":
    main()
