#!/usr/bin/env python3
"""Checks that files of random masks work at every size that the model's symbolic dimensions allow.

    check_sizes.py MODEL… [--masks 20] [--edges 6] [--seed 1] [--espalier PATH] [--tolerance 1e-4]

The data of NAME.onnx is NAME.npz beside it. Writes the file of each mask with `espalier evaluate --masks`, and compares
it in ONNX Runtime with the masked model: at the data's own sizes, with one sample, and with the other symbolic dimensions
smaller and larger, together and name by name, wherever the original model runs. The data of other sizes is the real data
cut off or repeated. Masks whose outputs are not finite may be refused with exit 65. Prints the faults and one line with
counts for each model; exits 1 when there is a fault. The full check is that of the models that
`Scripts/models/make-models.py --dynamic` writes; Tests/EndToEnd has a small part of it.
"""

import argparse
import os
import pathlib
import random
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime

from check_materialised import dead_faults, port_faults
from masked import load_data, masked_model, session
from wiring import Wiring

onnxruntime.set_default_logger_severity(4)  # sizes at which a model does not run are expected


def symbolic_axes(model):
    """The names of symbolic dimensions with the (input, axis) that have them; a name is made up where there is none."""
    constants = {tensor.name for tensor in model.graph.initializer}
    axes = {}
    for value in model.graph.input:
        if value.name in constants:
            continue
        for axis, dimension in enumerate(value.type.tensor_type.shape.dim):
            if dimension.dim_param:
                axes.setdefault(dimension.dim_param, []).append((value.name, axis))
            elif dimension.dim_value < 0 or not dimension.HasField("dim_value"):
                axes.setdefault(f"{value.name}.{axis}", []).append((value.name, axis))
    return axes


def resized(array, shape):
    """The array cut off or repeated along each axis."""
    for axis, size in enumerate(shape):
        if array.shape[axis] == 0:
            return np.zeros(shape, array.dtype)
        array = np.take(array, np.arange(size) % array.shape[axis], axis)
    return array


def sized_data(model, data, sizes):
    """The model's inputs with the symbolic dimensions of `sizes` (name to number)."""
    feeds = {value.name: data[value.name] for value in model.graph.input if value.name in data}
    shapes = {name: list(array.shape) for name, array in feeds.items()}
    for name, places in symbolic_axes(model).items():
        if name in sizes:
            for value, axis in places:
                shapes[value][axis] = sizes[name]
    return {name: resized(array, shapes[name]) for name, array in feeds.items()}


def other_sizes(model, data):
    """Sizes to try: dictionaries from names of symbolic dimensions to numbers, the data's own first."""
    axes = symbolic_axes(model)
    own = {name: data[places[0][0]].shape[places[0][1]] for name, places in axes.items()}
    first = [name for name, places in axes.items() if any(axis == 0 for _, axis in places)]
    rest = [name for name in axes if name not in first]
    batch = {name: min(own[name], 3) for name in first}
    trials = [{**own, **batch}, {**own, **{name: 1 for name in first}}, {**own, **{name: 5 for name in first}}]

    def scaled(size, factor, more):
        # Of one axis alone a size of 1 would run by broadcasting, and mean nothing.
        return max(2, int(size * factor) + more)

    for names in [rest] + [[name] for name in rest if len(rest) > 1]:
        for factor, more in [(0.5, 0), (1, -1), (2, 1), (1, 3), (1.5, 0), (1, 32), (1, -32)]:
            if names:
                trials.append({**own, **batch, **{name: scaled(own[name], factor, more) for name in names}})
    return trials


def runnable(model, data):
    """Feeds and outputs of the original at every size of `other_sizes` where it runs."""
    ready = session(model)
    found = []
    for sizes in other_sizes(model, data):
        feeds = sized_data(model, data, sizes)
        try:
            ready.run(None, feeds)
        except Exception:  # ONNX Runtime's errors have no common base class
            continue
        found.append((sizes, feeds))
    return found


def random_masks(model, count, most, seed):
    """Masks of up to `most` edges, each legal beside the others."""
    wiring, generator = Wiring(model), random.Random(seed)
    candidates = wiring.candidates()
    masks = []
    for number in range(count):
        mask = frozenset()
        for edge in generator.sample(candidates, min(len(candidates), 1 + number % most)):
            if wiring.legal(mask, edge):
                mask |= {edge}
        masks.append(sorted(mask) or [generator.choice(candidates)])
    return masks


def write_files(program, model, data, masks, folder):
    """The file of each mask by number, and what the program said where it wrote none."""
    environment = dict(os.environ)
    texts = [" ".join("%d:%d" % edge for edge in mask) for mask in masks]
    listed = pathlib.Path(folder, "masks.txt")
    listed.write_text("\n".join(texts) + "\n")
    pathlib.Path(folder, "all").mkdir()
    done = subprocess.run(
        [program, "evaluate", model, "--data", data, "--masks", str(listed), "--output", f"{folder}/all"],
        capture_output=True, text=True, env=environment)
    files, said = {}, {}
    for number, mask in enumerate(masks):
        path = pathlib.Path(folder, "all", f"{number}.onnx")
        if not path.exists() and done.returncode != 0:
            path = pathlib.Path(folder, f"{number}.onnx")
            removed = [word for edge in mask for word in ("--remove", "%d:%d" % edge)]
            one = subprocess.run(
                [program, "evaluate", model, "--data", data, *removed, "--output", str(path)],
                capture_output=True, text=True, env=environment)
            if one.returncode != 0:
                said[number] = (one.returncode, one.stderr.strip())
                continue
        files[number] = path
    return files, said


def differences(wanted, given, tolerance):
    """Sentences about outputs that differ."""
    for index, (left, right) in enumerate(zip(wanted, given)):
        if left.shape != right.shape or left.dtype != right.dtype:
            yield f"output {index} is {right.dtype} {list(right.shape)}, not {left.dtype} {list(left.shape)}"
        elif left.dtype.kind != "f":
            continue
        elif not (np.isnan(left) == np.isnan(right)).all() or not (np.isinf(left) == np.isinf(right)).all():
            yield f"output {index} is not finite at other places"
        else:
            finite = np.isfinite(left)
            scale = max(np.abs(left[finite].astype(np.float64)).max(initial=0), 1e-30)
            worst = np.abs(left[finite].astype(np.float64) - right[finite]).max(initial=0) / scale
            if not worst <= tolerance:
                yield f"output {index} differs by {worst:.1e} of the largest element"


def size_faults(program, model_path, data_path, masks, tolerance):
    """(sentences about faults, files checked, runs compared, masks refused)."""
    model, data = onnx.load(model_path), load_data(data_path)
    trials = runnable(model, data)
    faults, compared = [], 0
    with tempfile.TemporaryDirectory() as folder:
        files, said = write_files(program, model_path, data_path, masks, folder)
        for number, (code, words) in said.items():
            reference = session(masked_model(model, masks[number])).run(None, trials[0][1])
            isfinite = all(np.isfinite(value).all() for value in reference if value.dtype.kind == "f")
            if code != 65 or isfinite:
                faults.append(f"{masks[number]}: exit {code}: {words}")
        for number, path in files.items():
            pruned = onnx.load(path)
            found = [*port_faults(model, pruned), *dead_faults(pruned)]
            names = [node.name for node in pruned.graph.node if node.name]
            found += [f"two nodes are called {name}" for name in set(names) if names.count(name) > 1]
            try:
                onnx.checker.check_model(pruned, full_check=True)
                written, reference = session(pruned), session(masked_model(model, masks[number]))
            except Exception as error:
                faults.append(f"{masks[number]}: {error}")
                continue
            for sizes, feeds in trials:
                try:
                    wanted = reference.run(None, feeds)
                except Exception:
                    continue
                try:
                    given = written.run(None, feeds)
                except Exception as error:
                    found.append(f"at {sizes}: {error}")
                    continue
                compared += 1
                found += [f"at {sizes}: {fault}" for fault in differences(wanted, given, tolerance)]
            faults += [f"{masks[number]}: {fault}" for fault in found[:3]]
    return faults, len(files), compared, len(said)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", type=pathlib.Path)
    parser.add_argument("--masks", type=int, default=20)
    parser.add_argument("--edges", type=int, default=6)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tolerance", type=float, default=1e-4)
    parser.add_argument("--espalier", default=".build/release/espalier")
    arguments = parser.parse_args()
    failed = 0
    for model in arguments.models:
        masks = random_masks(onnx.load(model), arguments.masks, arguments.edges, arguments.seed)
        faults, files, compared, refused = size_faults(
            arguments.espalier, str(model), str(model.with_suffix(".npz")), masks, arguments.tolerance)
        for fault in faults:
            print(f"{model.stem}: {fault}")
        print(f"{model.stem}: {files} files, {compared} comparisons, {refused} refused, {len(faults)} faults", flush=True)
        failed += bool(faults) or not compared
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
