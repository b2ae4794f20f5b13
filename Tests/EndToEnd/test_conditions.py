"""Conditions that constants and shapes decide are resolved, and what cannot be run is told at once."""

import json

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from masked import load_data, masked_model, outputs
from numbers_agree import array_faults
from program import espalier, scratch, together

X = np.random.default_rng(0).normal(size=(8, 1, 6)).astype(np.float32)


def branch(nodes, output, initializers=()):
    value = helper.make_tensor_value_info(output, TensorProto.FLOAT, None)
    return helper.make_graph(nodes, "branch", [], [value], list(initializers))


def numbers(name, values, kind=np.int64):
    return numpy_helper.from_array(np.array(values, kind), name)


def model(nodes, shape, initializers=(), domains=()):
    """`nodes` make z of x; then y = relu(z · W) + z."""
    weights = np.random.default_rng(1).normal(size=(6, 6))
    tail = [
        helper.make_node("MatMul", ["z", "W"], ["m"], name="product"), helper.make_node("Relu", ["m"], ["r"]),
        helper.make_node("Add", ["r", "z"], ["y"], name="sum")]
    graph = helper.make_graph(
        nodes + tail, "model", [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numbers("W", weights, np.float32), *initializers])
    sets = [helper.make_opsetid("", 17), *(helper.make_opsetid(domain, 1) for domain in domains)]
    return helper.make_model(graph, opset_imports=sets, ir_version=8)


def squeezing(comparison, dimension, number, shape):
    """Squeezes where a dimension of x compares so with a number, as exporters write it."""
    nodes = [
        helper.make_node("Shape", ["x"], ["sizes"]), helper.make_node("Gather", ["sizes", "dimension"], ["size"]),
        helper.make_node(comparison, ["size", "number"], ["condition"]),
        helper.make_node(
            "If", ["condition"], ["z"], name="branch",
            then_branch=branch([helper.make_node("Squeeze", ["x", "axes"], ["t"])], "t"),
            else_branch=branch([helper.make_node("Identity", ["x"], ["t"])], "t"))]
    return model(
        nodes, shape, [numbers("dimension", dimension), numbers("number", number), numbers("axes", [1])])


def nested():
    """An If in a branch, an initialiser in a branch, and one branch that hands on a value from outside."""
    inner = helper.make_node(
        "If", ["no"], ["t"], name="inner", then_branch=branch([helper.make_node("Neg", ["q"], ["n"])], "n"),
        else_branch=branch([helper.make_node("Abs", ["q"], ["n"])], "n"))
    then = branch(
        [helper.make_node("Mul", ["x", "two"], ["q"]), inner], "t", [numbers("two", [2], np.float32)])
    outer = helper.make_node(
        "If", ["yes"], ["z"], name="outer", then_branch=then,
        else_branch=branch([helper.make_node("Identity", ["x"], ["n"])], "n"))
    return model([outer], ["n", 1, 6], [numbers("yes", True, bool), numbers("no", False, bool)])


def test_conditions_that_constants_and_shapes_decide_are_resolved():
    cases = {
        "of a fixed dimension": squeezing("Equal", 1, 1, ["n", 1, 6]),
        "the other way": squeezing("Greater", 1, 1, ["n", 1, 6]),
        "the same at every size": squeezing("Less", 0, 1, ["n", 1, 6]),
        "of constants, nested": nested(),
    }
    faults = []
    with scratch() as folder:
        np.savez(folder / "data.npz", x=X)
        for name, made in cases.items():
            onnx.save(made, folder / "model.onnx")
            expected = outputs(made, {"x": X})
            espalier(
                "run", "model.onnx", "--data", "data.npz", "--output", "out.npz", folder=folder).succeeded()
            faults += array_faults(name, load_data(folder / "out.npz"), expected, 1e-5)
            espalier(
                "evaluate", "model.onnx", "--data", "data.npz", "--remove", edge_of_sum(folder), "--output",
                "pruned.onnx", folder=folder).succeeded()
            pruned = onnx.load(folder / "pruned.onnx")
            if {node.domain for node in pruned.graph.node} | {node.op_type for node in pruned.graph.node} & {"If"} != {""}:
                faults.append(f"{name}: the written model has {[node.op_type for node in pruned.graph.node]}")
            place = [node.name for node in made.graph.node].index("sum")
            for count in (1, 3):
                wanted = outputs(masked_model(made, [(place, 0)]), {"x": X[:count]})
                faults += array_faults(f"{name}, {count} samples", outputs(pruned, {"x": X[:count]}), wanted, 1e-5)
    together(faults)


def edge_of_sum(folder):
    listed = espalier("inspect", "model.onnx", "--json", "-", folder=folder).succeeded()
    return next(f"{node['index']}:0" for node in json.loads(listed.output)["nodes"] if node["name"] == "sum")


def test_a_condition_that_is_not_known_is_told_with_its_reason():
    data = [
        helper.make_node("ReduceSum", ["x"], ["total"], keepdims=0),
        helper.make_node("Greater", ["total", "zero"], ["condition"]),
        squeezing("Equal", 1, 1, ["n", 1, 6]).graph.node[3]]
    cases = [
        (squeezing("Equal", 0, 1, ["n", 1, 6]), "true with symbolic sizes of 1, but false with symbolic sizes of 2"),
        (model(data, ["n", 1, 6], [numbers("zero", 0, np.float32), numbers("axes", [1])]), "values of the inputs"),
        # The same at all sizes that are tried, but not at the data's.
        (squeezing("Less", 2, 1000, ["n", 1, "width"]), "another branch at these sizes"),
    ]
    faults = []
    with scratch() as folder:
        wide = np.zeros((4, 1, 1200), np.float32)
        for made, reason in cases:
            onnx.save(made, folder / "model.onnx")
            np.savez(folder / "data.npz", x=wide if "another" in reason else X)
            answer = espalier("run", "model.onnx", "--data", "data.npz", "--output", "out.npz", folder=folder)
            if answer.code != 65 or reason not in answer.errors:
                faults.append(f"{answer.command}: {answer.code}, {answer.errors} instead of '{reason}'")
    together(faults)


def unsupported():
    nodes = [
        helper.make_node("FusedMatMul", ["x", "W"], ["a"], name="first", domain="com.microsoft"),
        helper.make_node("FusedMatMul", ["a", "W"], ["b"], name="second", domain="com.microsoft"),
        helper.make_node("RandomNormalLike", ["b"], ["c"], name="noise"),
        helper.make_node("Dropout", ["c", "ratio", "training"], ["d"], name="drop"),
        helper.make_node("BatchNormalization", ["d", "one", "one", "one", "one"], ["z", "mean", "spread"],
                         name="norm", training_mode=1)]
    return model(
        nodes, ["n", 1, 6],
        [numbers("ratio", 0.5, np.float32), numbers("training", True, bool), numbers("one", [1], np.float32)],
        ["com.microsoft"])


def test_every_command_names_all_operators_that_cannot_be_run():
    wanted = [
        "com.microsoft::FusedMatMul is not supported (2 nodes, the first is node 0, 'first')",
        "RandomNormalLike is not supported (node 2, 'noise')", "Dropout is in training mode (node 3, 'drop')",
        "BatchNormalization is in training mode (node 4, 'norm')", "prune the model before it is optimised",
        "after calling its eval()"]
    faults = []
    with scratch() as folder:
        onnx.save(unsupported(), folder / "model.onnx")
        np.savez(folder / "data.npz", x=X)
        commands = [["inspect", "model.onnx"]] + [
            [command, "model.onnx", "--data", "data.npz", *more]
            for command, more in (
                ("evaluate", []), ("prune", []), ("run", ["--output", "o.npz"]), ("compare", []),
                ("score", ["--criterion", "taylor1"]))]
        for arguments in commands:
            answer = espalier(*arguments, folder=folder)
            missing = [text for text in wanted if text not in answer.errors]
            if answer.code != 65 or missing:
                faults.append(f"{answer.command}: {answer.code}, {answer.errors} without {missing}")
    together(faults)


def test_inspect_lists_no_candidates_of_a_model_that_cannot_be_run():
    with scratch() as folder:
        onnx.save(unsupported(), folder / "model.onnx")
        answer = espalier("inspect", "model.onnx", "--json", "-", folder=folder)
        told = json.loads(answer.output)
        assert answer.code == 65 and told["candidates"] == [] and told.get("flops") is None
        assert [(found["name"], found["count"], found["firstNode"], found["isTraining"])
                for found in told["unsupported"]] == [
            ("com.microsoft::FusedMatMul", 2, 0, False), ("RandomNormalLike", 1, 2, False),
            ("Dropout", 1, 3, True), ("BatchNormalization", 1, 4, True)]
        assert "candidates" not in espalier("inspect", "model.onnx", folder=folder).output
