"""What removed slots read instead: means over the data and bypassed layers, held against ONNX Runtime."""

import copy
import json

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from losses import per_sample
from masked import load_data, outputs
from numbers_agree import array_faults
from program import close, espalier, espalier_json, example, scratch, together

SAMPLES = 96


def run(model, data, names=None):
    """Outputs of a model by name, on the first samples."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    wanted = names or [output.name for output in model.graph.output]
    feeds = {port.name: data[port.name][:SAMPLES] for port in session.get_inputs()}
    return dict(zip(wanted, session.run(wanted, feeds)))


def with_means(model, data, edges):
    """The model in which these slots read their value's mean over the samples."""
    names = [model.graph.node[node].input[slot] for node, slot in edges]
    shown = copy.deepcopy(model)
    known = {output.name for output in shown.graph.output}
    for name in dict.fromkeys(names):
        if name not in known:
            shown.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
    values = run(shown, data, names)
    changed = copy.deepcopy(model)
    for place, ((node, slot), name) in enumerate(zip(edges, names)):
        value = values[name]
        mean = value.astype(np.float64).mean(0, keepdims=True).astype(np.float32)
        # Broadcasting is not enough for every consumer: the value's own shape, with the mean in every row.
        whole = np.repeat(mean, len(value), axis=0)
        changed.graph.initializer.append(numpy_helper.from_array(whole, f"mean_{place}"))
        changed.graph.node[node].input[slot] = f"mean_{place}"
    return changed


def with_bypass(model, node):
    """The model in which whoever reads what a node computes reads what comes into it."""
    changed = copy.deepcopy(model)
    own, passed = changed.graph.node[node].output[0], changed.graph.node[node].input[0]
    for other in changed.graph.node:
        for slot, name in enumerate(other.input):
            if name == own:
                other.input[slot] = passed
    return changed


def loss(model, data):
    logits = next(iter(run(model, data).values()))
    labels = {"labels": data["labels"][:SAMPLES]}
    losses, weights = per_sample(logits, "cross-entropy", labels, None)[:2]
    return float((np.asarray(losses, np.float64) * weights).sum() / np.sum(weights))


def measured(name, *removed):
    model, data = example(name)
    arguments = [word for unit in removed for word in ("--remove", unit)]
    return espalier_json("evaluate", model, "--data", data, "--samples", SAMPLES, *arguments)


def test_removed_edges_read_their_values_means():
    faults = []
    for name, choices in (("digits-resnet", [[(31, 0)], [(31, 0), (47, 0)]]), ("digits-vit", [None])):
        path, archive = example(name)
        model, data = onnx.load(path), load_data(archive)
        for edges in choices:
            if edges is None:
                additions = [i for i, node in enumerate(model.graph.node) if node.op_type == "Add"]
                joins = [
                    i for i in additions
                    if all(value not in {x.name for x in model.graph.initializer} for value in model.graph.node[i].input)
                ]
                edges = [(joins[len(joins) // 2], 1)]
            found = measured(name, *(f"{node}:{slot}=mean" for node, slot in edges))
            expected = loss(with_means(model, data, edges), data)
            if not close(found["loss"], expected, 1e-4, 1e-6):
                faults.append(f"{name} {edges}: {found['loss']}, by ONNX Runtime {expected}")
            if close(found["loss"], found["base"]["loss"], 1e-6):
                faults.append(f"{name} {edges}: nothing changed")
    together(faults)


def test_a_written_file_holds_the_means():
    path, archive = example("digits-resnet")
    model, data = onnx.load(path), load_data(archive)
    edges = [(31, 0), (47, 0)]
    with scratch() as folder:
        espalier(
            "evaluate", path, "--data", archive, "--samples", SAMPLES, "--remove", "31:0", "--remove", "47:0",
            "--replace", "mean", "--output", folder / "out.onnx").succeeded()
        written = onnx.load(folder / "out.onnx")
        onnx.checker.check_model(written, full_check=True)
        together(array_faults("means", run(written, data), run(with_means(model, data, edges), data), 1e-4))
        # And runs at other batch sizes.
        assert len(next(iter(outputs(written, load_data(archive), 5).values()))) == 5


def bypassable(model, data):
    """Convolutions whose input has their output's shape."""
    names = [n for node in model.graph.node if node.op_type == "Conv" for n in (node.input[0], node.output[0])]
    shown = copy.deepcopy(model)
    inputs = {port.name for port in model.graph.input}
    for name in dict.fromkeys(names):
        if name not in inputs:
            shown.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
    values = run(shown, data, [n for n in dict.fromkeys(names) if n not in inputs])
    values.update({name: data[name][:SAMPLES] for name in inputs})
    return [
        i for i, node in enumerate(model.graph.node)
        if node.op_type == "Conv" and values[node.input[0]].shape == values[node.output[0]].shape
    ]


def test_a_bypassed_layer_passes_its_input_on():
    path, archive = example("digits-resnet")
    model, data = onnx.load(path), load_data(archive)
    nodes = bypassable(model, data)
    assert len(nodes) >= 4
    faults = []
    for node in nodes[:4]:
        found = measured("digits-resnet", f"layer@{node}:0=bypass")
        expected = loss(with_bypass(model, node), data)
        if not close(found["loss"], expected, 1e-4, 1e-6):
            faults.append(f"{node}: {found['loss']}, by ONNX Runtime {expected}")
    together(faults)


def test_a_layer_that_changes_the_shape_cannot_be_bypassed():
    path, archive = example("digits-resnet")
    model, data = onnx.load(path), load_data(archive)
    nodes = set(bypassable(model, data))
    other = next(i for i, node in enumerate(model.graph.node) if node.op_type == "Conv" and i not in nodes and i > 0)
    answer = espalier(
        "evaluate", path, "--data", archive, "--samples", SAMPLES, "--remove", f"layer@{other}:0=bypass")
    assert answer.code == 65
    assert f"layer@{other}:0=bypass cannot be removed" in answer.errors and "shape" in answer.errors


def test_a_value_too_large_for_a_mean_is_refused_by_name():
    # 2510² = 6,300,100 elements; a result of 48 MB holds sums of 6,291,456.
    size = 2510
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "row"], ["wide"]), helper.make_node("Relu", ["wide"], ["high"]),
         helper.make_node("Add", ["high", "wide"], ["sum"]),
         helper.make_node("ReduceMean", ["sum"], ["y"], axes=[1, 2], keepdims=0)],
        "large", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", size, 1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N"])],
        [numpy_helper.from_array(np.ones((1, size), np.float32), "row")])
    with scratch() as folder:
        onnx.save(
            helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), folder / "m.onnx")
        np.savez(folder / "d.npz", x=np.ones((2, size, 1), np.float32))
        answer = espalier(
            "evaluate", folder / "m.onnx", "--data", folder / "d.npz", "--loss", "self-mse", "--remove", "1:0=mean")
        assert answer.code == 65, answer.errors
        assert "'wide' has 6300100 elements" in answer.errors, answer.errors


def test_searches_over_layers_and_means_are_the_same_for_any_number_of_workers():
    model, data = example("digits-resnet")
    with scratch() as folder:
        for number, options in enumerate(
                (["--replace", "mean"], ["--units", "edges,layers", "--replace", "bypass"])):
            seen = []
            for workers in (0, 2):
                report, file = folder / f"{number}-{workers}.json", folder / f"{number}-{workers}.onnx"
                espalier(
                    "prune", model, "--data", data, "--samples", SAMPLES, "--block-size", 16, "--steps", 2, *options,
                    "--workers", workers, "--run", folder / f"run-{number}-{workers}", "--output", file, "--json",
                    report).succeeded()
                seen.append((json.loads(report.read_text())["path"], file.read_bytes()))
            assert seen[0] == seen[1], options
            assert len(seen[0][0]) == 2


def test_a_list_of_masks_is_the_same_on_workers():
    model, data = example("digits-resnet")
    with scratch() as folder:
        masks = folder / "masks.txt"
        masks.write_text("31:0\n\n31:0 47:0=mean\nlayer@12:0\n999:0\nnonsense\n")
        answers = []
        for workers in (0, 2):
            report = folder / f"{workers}.json"
            answer = espalier(
                "evaluate", model, "--data", data, "--samples", SAMPLES, "--block-size", 16, "--masks", masks,
                "--workers", workers, "--json", report)
            assert answer.code == 65, answer.errors
            answers.append(json.loads(report.read_text()))
        assert answers[0] == answers[1]
        assert [("error" in line) for line in answers[0]] == [False, False, False, False, True, True]


def test_export_uses_the_means_of_the_run():
    model, data = example("digits-resnet")
    with scratch() as folder:
        run_folder = folder / "run"
        espalier(
            "prune", model, "--data", data, "--samples", SAMPLES, "--steps", 1, "--replace", "mean", "--workers", 0,
            "--run", run_folder, "--output", folder / "a.onnx").succeeded()
        espalier("export", run_folder, "--output", folder / "b.onnx").succeeded()
        assert (folder / "a.onnx").read_bytes() == (folder / "b.onnx").read_bytes()
