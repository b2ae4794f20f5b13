"""Budgets, what a change is divided by, and what files cost, seen from the command line."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from program import espalier, espalier_json, example, scratch

MODEL, DATA = example("digits-resnet")
FEW = ("--data", DATA, "--samples", 64, "--workers", 0)


def prune(folder, *options, model=MODEL, data=FEW):
    return espalier("prune", model, *data, "--run", folder / "run", *options)


def weights(rng, name, *shape):
    return numpy_helper.from_array(rng.normal(size=shape).astype(np.float32), name)


def gated(folder, in_nodes):
    """Two gated MLPs beside skip connections, their weights as initialisers or in Constant nodes, and data."""
    rng = np.random.default_rng(3)
    tensors, nodes, last = [], [], "x"
    for block in range(2):
        tensors += [weights(rng, f"{part}{block}", *shape) for part, shape in
                    (("gate", (8, 16)), ("up", (8, 16)), ("down", (16, 8)))]
        nodes += [
            helper.make_node("MatMul", [last, f"gate{block}"], [f"g{block}"]),
            helper.make_node("Sigmoid", [f"g{block}"], [f"s{block}"]),
            helper.make_node("Mul", [f"g{block}", f"s{block}"], [f"a{block}"]),
            helper.make_node("MatMul", [last, f"up{block}"], [f"u{block}"]),
            helper.make_node("Mul", [f"a{block}", f"u{block}"], [f"m{block}"]),
            helper.make_node("MatMul", [f"m{block}", f"down{block}"], [f"d{block}"]),
            helper.make_node("Add", [last, f"d{block}"], [f"y{block}"])]
        last = f"y{block}"
    tensors.append(weights(rng, "head", 8, 4))
    nodes.append(helper.make_node("MatMul", [last, "head"], ["logits"]))
    if in_nodes:
        nodes = [helper.make_node("Constant", [], [tensor.name], value=tensor) for tensor in tensors] + nodes
    graph = helper.make_graph(
        nodes, "gated", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 8])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 4])], [] if in_nodes else tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, folder / "model.onnx")
    np.savez(folder / "data.npz", x=rng.normal(size=(32, 8)).astype(np.float32), labels=rng.integers(0, 4, 32))
    return folder / "model.onnx", ("--data", folder / "data.npz")


def test_a_half_of_a_gated_mlp_costs_what_its_file_costs():
    for in_nodes in (False, True):
        with scratch() as folder:
            model, data = gated(folder, in_nodes)
            # 2 · (8 · 16 + 8 · 16 + 16 · 8) + 8 · 4 numbers; without one factor of a gate its block is zero.
            for mask, left in (((), 800), (("4",), 416), (("4", "11"), 32)):
                first = 7 if in_nodes else 0
                edges = [f"{int(node) + first}:0" for node in mask]
                found = espalier_json(
                    "evaluate", model, *data, *(word for edge in edges for word in ("--remove", edge)), "--output",
                    folder / "o.onnx")
                file = espalier_json("inspect", folder / "o.onnx") if mask else espalier_json("inspect", model)
                assert found["parameters"] == file["parameters"] == left, (in_nodes, mask, found["parameters"])
                assert found["flops"] == file["flops"], (in_nodes, mask)


def test_an_output_is_never_left_constant():
    """exp(l) / Σ exp(l) by hand: without the numerator every probability is 0, whatever enters."""
    rng = np.random.default_rng(4)
    with scratch() as folder:
        graph = helper.make_graph(
            [helper.make_node("MatMul", ["x", "w"], ["l"]), helper.make_node("Exp", ["l"], ["e"]),
             helper.make_node("ReduceSum", ["e", "axis"], ["s"], keepdims=1),
             helper.make_node("Div", ["e", "s"], ["p"]), helper.make_node("MatMul", ["x", "v"], ["other"]),
             helper.make_node("Add", ["l", "other"], ["sum"])],
            "dead", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 8])],
            [helper.make_tensor_value_info("p", TensorProto.FLOAT, ["n", 4]),
             helper.make_tensor_value_info("sum", TensorProto.FLOAT, ["n", 4])],
            [weights(rng, "w", 8, 4), weights(rng, "v", 8, 4), numpy_helper.from_array(np.array([1]), "axis")])
        onnx.save(
            helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), folder / "m.onnx")
        listed = {f"{c['node']}:{c['slot']}"
                  for c in espalier_json("inspect", folder / "m.onnx", "--candidates", "all")["candidates"]}
        # 3:0 is the numerator, 1:0 makes every probability a quarter; of 4:0 and 5:1, which are the same, the first stands.
        assert "3:0" not in listed and "1:0" not in listed, listed
        assert {"5:0", "4:0"} <= listed, listed


def test_a_budget_out_of_reach_is_refused_before_the_search():
    with scratch() as folder:
        answer = prune(folder, "--until", "flops=0.01")
        assert answer.code == 65, answer.errors
        assert "flops=0.01 cannot be reached" in answer.errors and "--best-effort" in answer.errors, answer.errors
        assert not (folder / "run").exists()
        # What it names can be reached, to three digits.
        reach = float(answer.errors.split("about flops=")[1].split(" ")[0])
        assert prune(folder, "--until", f"flops={reach}", "--samples", 16).code == 0


def test_best_effort_goes_as_far_as_it_goes_and_says_that_it_missed():
    with scratch() as folder:
        answer = prune(
            folder, "--until", "flops=0.01", "--best-effort", "--samples", 16, "--steps", 2, "--json",
            folder / "found.json").succeeded()
        assert "BUDGET NOT REACHED" in answer.output and "--steps" in answer.output, answer.output
        found = espalier_json("prune", MODEL, *FEW, "--samples", 16, "--run", folder / "second", "--until",
                              "flops=0.95", "--max-loss-increase", 0)
        assert found["end"] == "loss" and found["budget"]["isMet"] is False, found["budget"]


def test_a_change_is_divided_by_what_its_removal_saves():
    """The first removal is that of the least rise for a share of the FLOPs, of all that evaluate measures one by one."""
    with scratch() as folder:
        found = espalier_json("prune", MODEL, *FEW, "--run", folder / "run", "--until", "flops=0.85")
        edges = [f"{c['node']}:{c['slot']}" for c in espalier_json("inspect", MODEL)["candidates"]]
        (folder / "masks").write_text("".join(f"{edge}\n" for edge in edges))
        measured = espalier_json(
            "evaluate", MODEL, "--data", DATA, "--samples", 64, "--masks", folder / "masks")
        base = found["base"]
        wanted = 0.15 * base["flops"]

        def rank(item):
            rise = abs(item["lossChange"])
            saving = min(base["flops"] - item["flops"], wanted) / base["flops"]
            return rise / saving if rise > 0 else -saving

        best = min(measured, key=rank)
        first = found["path"][0]["edge"]
        assert best["removed"] == [f"{first['node']}:{first['slot']}"], (best["removed"], first)
        assert found["settings"]["per"] == "flops" and found["end"] == "budget" and found["budget"]["isMet"]
        assert found["path"][-1]["flops"] <= 0.85 * base["flops"]
        assert found["path"][-1]["flops"] == espalier_json("inspect", folder / "run/pruned.onnx")["flops"]
