#!/usr/bin/env python3
"""Forward passes and searches of models at the sizes that people use, beside ONNX Runtime. Not part of CI.

    sizes.py FOLDER [--of resnet50,vit-b16,gpt2] [--block 4] [--repeats 3] [--search-samples 8] [--steps 3]

FOLDER is what make-sizes.py wrote. One thread each, CPU seconds. Espalier is timed from outside, by what `evaluate` of all
samples takes more than `evaluate` of one block, so that start-up and loading do not count; ONNX Runtime by a pass over a
block, after a first one. Both compute a model whose output is the logits of eight classes, after all of them were computed,
so that the loss takes no time. The two take turns, and the least of the repeats counts. Then three greedy steps of the whole
model with Espalier's default --memory, and the same steps by the loop that people write on ONNX Runtime, which must find the
same path. --search-samples 0 leaves the searches out.
"""

import argparse
import json
import pathlib
import sys
import tempfile
import time

import numpy as np
import onnx

from measured import ROOT, call, candidates, machine, peer, subset, text


CLASSES = 8


def narrowed(folder, scratch):
    """A folder with the model whose output is the logits of a few classes, and labels among them."""
    model = onnx.load(folder / "model.onnx")
    graph, name = model.graph, model.graph.output[0].name
    for key, value in (("starts", 0), ("ends", CLASSES), ("axes", -1)):
        graph.initializer.append(onnx.numpy_helper.from_array(np.array([value], np.int64), f"part {key}"))
    graph.node.append(onnx.helper.make_node("Slice", [name, "part starts", "part ends", "part axes"], ["part"]))
    graph.output[0].name = "part"
    graph.output[0].type.tensor_type.shape.dim[-1].dim_value = CLASSES
    result = pathlib.Path(scratch) / folder.name
    result.mkdir()
    onnx.save(model, result / "model.onnx")
    with np.load(folder / "data.npz") as archive:
        arrays = {key: archive[key] for key in archive.files}
    np.savez(result / "data.npz", **arrays | {"labels": arrays["labels"] % CLASSES})
    return result


def runtime(folder, block):
    """CPU seconds of one pass over a block, per sample."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(folder / "model.onnx", options, providers=["CPUExecutionProvider"])
    with np.load(folder / "data.npz") as data:
        inputs = {port.name: data[port.name][:block] for port in session.get_inputs()}
    session.run(None, inputs)
    times = []
    for _ in range(3):
        start = time.process_time()
        session.run(None, inputs)
        times.append(time.process_time() - start)
    return min(times) / block


def engine(espalier, folder, block):
    """CPU seconds of one pass, per sample."""
    with np.load(folder / "data.npz") as data:
        samples = len(data["labels"]) // block * block

    def seconds(count):
        return call(
            espalier, "evaluate", folder / "model.onnx", "--data", folder / "data.npz", "--samples", count,
            "--block-size", block, "--json", "-").cpu

    return (seconds(samples) - seconds(block)) / (samples - block)


def searches(espalier, folder, samples, steps):
    """Seconds of a greedy search and of the loop on ONNX Runtime, with the path of both."""
    with tempfile.TemporaryDirectory() as scratch:
        data = subset(folder / "data.npz", samples, scratch)
        edges = pathlib.Path(scratch) / "edges.json"
        edges.write_text(json.dumps(candidates(espalier, folder / "model.onnx", "blocks")))
        own = call(
            espalier, "prune", folder / "model.onnx", "--data", data, "--candidates", "blocks", "--steps", steps,
            "--workers", 0, "--run", f"{scratch}/run", "--json", "-")
        loop = peer(
            "runtime_loop.py", folder / "model.onnx", "--data", data, "--candidates", edges, "--steps", steps)
    path = [text(step["edge"]) for step in own.result["path"]]
    expected = [step["edge"] for step in loop.result["path"]]
    if path != expected:
        sys.exit(f"{folder.name}: Espalier found the path {path}, the loop {expected}")
    return {
        "path": path, "espalier": own.result["seconds"], "process": own.wall, "loop": loop.result["seconds"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--of", default="resnet50,vit-b16,gpt2")
    parser.add_argument("--block", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--search-samples", type=int, default=8)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--espalier", default=str(ROOT / ".build/release/espalier"))
    parser.add_argument("--json", type=pathlib.Path, help="write the figures")
    arguments = parser.parse_args()
    figures = {"machine": machine()}
    print(f"seconds of CPU time per sample, one thread; {machine()}")
    print(f"{'':12}{'ONNX Runtime':>14}{'Espalier':>12}{'ratio':>8}")
    for name in arguments.of.split(","):
        times = {"runtime": [], "espalier": []}
        with tempfile.TemporaryDirectory() as scratch:
            folder = narrowed(arguments.folder / name, scratch)
            for _ in range(arguments.repeats):
                times["runtime"].append(runtime(folder, arguments.block))
                times["espalier"].append(engine(arguments.espalier, folder, arguments.block))
        least = {kind: min(values) for kind, values in times.items()}
        figures[name] = {"forward": least}
        print(
            f"{name:12}{least['runtime']:>14.4f}{least['espalier']:>12.4f}"
            f"{least['runtime'] / least['espalier']:>8.2f}", flush=True)
    for name in arguments.of.split(",") if arguments.search_samples else []:
        found = searches(arguments.espalier, arguments.folder / name, arguments.search_samples, arguments.steps)
        figures[name]["search"] = found
        print(
            f"{name}: {arguments.steps} greedy steps on {arguments.search_samples} samples in {found['espalier']:.1f} s, "
            f"the loop on ONNX Runtime in {found['loop']:.1f} s", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
