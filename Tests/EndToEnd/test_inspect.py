"""`espalier inspect` tells the wiring that the file has, worked out independently in Python."""

import functools
import math
import subprocess

import numpy as np
import onnx

from masked import load_data, masked_model, outputs
from program import ARCHITECTURES, command, edge_of, espalier_json, example, fixture, together
from wiring import FLOATS, Wiring, parse_edge


def models():
    return [fixture(name)[0] for name in ARCHITECTURES] + [example("digits-resnet")[0], example("digits-vit")[0]]


@functools.cache
def inspect(model, selection):
    return espalier_json("inspect", model, "--candidates", selection)


@functools.cache
def wiring_of(model):
    return Wiring(onnx.load(model))


def candidate_faults(model, selection, expected):
    """Representatives and equivalents together are the expected edges, each named once, with the right names."""
    found = inspect(model, selection)
    name = model.rsplit("/", 2)[-1] + f" ({selection})"
    graph = wiring_of(model).model.graph
    edges = []
    for candidate in found["candidates"]:
        edge = edge_of(candidate)
        edges += [edge, *map(parse_edge, candidate["equivalents"])]
        if candidate["tensor"] != graph.node[edge[0]].input[edge[1]]:
            yield f"{name}: {edge} carries '{candidate['tensor']}'"
        if graph.node[edge[0]].name and candidate["consumer"] != graph.node[edge[0]].name:
            yield f"{name}: {edge} enters '{candidate['consumer']}'"
    if len(edges) != len(set(edges)):
        yield f"{name}: an edge is listed twice"
    missing, extra = set(expected) - set(edges), set(edges) - set(expected)
    # What leaves an output the same for all samples is no candidate, by ONNX Runtime's numbers.
    missing = {edge for edge in missing if not leaves_constant(model, edge)}
    if missing:
        yield f"{name}: misses {sorted(missing)[:8]}"
    if extra:
        yield f"{name}: has too many: {sorted(extra)[:8]}"


@functools.cache
def leaves_constant(model, edge):
    data = load_data(model.replace(".onnx", ".npz") if "Fixtures" in model else model.replace("model.onnx", "calibration.npz"))
    found = outputs(masked_model(wiring_of(model).model, [edge]), data, 6)
    return any(np.ptp(value, axis=0).max() == 0 for value in found.values())


def test_branches_are_those_of_the_file():
    together(
        fault for model in models()
        for fault in candidate_faults(model, "branches", wiring_of(model).branches()))


def test_all_candidates_are_those_of_the_file():
    together(
        fault for model in models()
        for fault in candidate_faults(model, "all", wiring_of(model).candidates()))


def test_a_pattern_selects_by_names_and_operators():
    model, _ = example("digits-resnet")
    wiring = wiring_of(model)
    graph = wiring.model.graph
    expected = [edge for edge in wiring.candidates() if graph.node[edge[0]].op_type == "Add"]
    together(candidate_faults(model, "^Add$", expected))


def parameters(model):
    """Elements of the floating-point initialisers of rank 1 and up, without batch normalisation's running statistics,
    which no training step changes."""
    read = {
        name for node in model.graph.node for slot, name in enumerate(node.input)
        if node.op_type != "BatchNormalization" or slot < 3}
    return sum(
        math.prod(tensor.dims) for tensor in model.graph.initializer
        if tensor.dims and tensor.data_type in FLOATS and tensor.name in read)


def test_parameters_inputs_outputs_and_sizes_are_those_of_the_file():
    faults = []
    for model in models():
        found = inspect(model, "branches")
        wiring = wiring_of(model)
        file = wiring.model
        expected = {
            "parameters": parameters(file), "vertices": len(file.graph.node),
            "edges": sum(bool(name) for node in file.graph.node for name in node.input),
            "operatorSet": next(item.version for item in file.opset_import if item.domain in ("", "ai.onnx")),
        }
        faults += [
            f"{model}: {key} is {found[key]}, not {value}" for key, value in expected.items() if found[key] != value]
        for key, names in (("inputs", wiring.inputs), ("outputs", [value.name for value in file.graph.output])):
            if [port["name"] for port in found[key]] != names:
                faults.append(f"{model}: {key} are {found[key]}, not {names}")
    together(faults)


def test_output_that_cannot_be_written_is_no_success():
    with open("/dev/full", "wb") as full:
        for options in ([], ["--json", "-"]):
            done = subprocess.run(
                command("inspect", fixture("resnet18")[0], *options), stdout=full, stderr=subprocess.PIPE, text=True)
            assert done.returncode == 65, done
            assert "standard output" in done.stderr and "no space left" in done.stderr.lower(), done.stderr
            assert done.stderr.count("\n") == 1, done.stderr
