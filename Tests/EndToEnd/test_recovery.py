"""`--recover`: weights and losses are those of the reference in NumPy, the same for any number of workers and after a kill."""

import concurrent.futures
import functools
import json
import pathlib
import signal
import subprocess
import sys
import tempfile

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from interrupted import stopped
from least_squares import Fit, Network
from losses import mean_loss
from masked import load_data, outputs
from program import ROOT, close, espalier, espalier_json, example, scratch, together
from wiring import parse_edge

MODELS = ("residual", "batchnorm", "plain", "grouped", "depthwise", "transposed", "postnorm", "prenorm", "left", "gemm")
ALL_ROWS = ("--recover", "least-squares", "--fit-rows", 1000000)


@functools.cache
def made():
    """A folder with the ten small models, which goes away with the process."""
    folder = tempfile.TemporaryDirectory(prefix="espalier-check-")
    subprocess.run(
        [sys.executable, ROOT / "Scripts/reference/make_recovery_models.py", folder.name], check=True,
        stdout=subprocess.DEVNULL)
    return folder


def small(name):
    """A small model, its data, and of its masks the first with one edge and the first with several."""
    folder = pathlib.Path(made().name) / name
    masks = json.loads((folder / "cuts.json").read_text())
    return folder / "model.onnx", folder / "fit.npz", [
        next(mask for mask in masks if (len(mask) > 1) == several) for several in (False, True)]


def removing(mask):
    return [word for edge in mask for word in ("--remove", edge)]


# MARK: against NumPy


def file_names(model, written):
    """The reference's numbers by the name that the file gives them: NODE.bias is what the layer adds, or a new one."""
    nodes, constants = model.graph.node, {tensor.name for tensor in model.graph.initializer}
    named = {}
    for name, array in written.items():
        number, _, part = name.partition(".")
        if not part:
            named[name] = array
            continue
        node = nodes[int(number)]
        if part in ("scale", "shift"):
            named[node.input[1 if part == "scale" else 2]] = array
            continue
        given = node.input[2] if len(node.input) > 2 else ""
        if node.op_type == "MatMul":
            readers = [other for other in nodes if node.output[0] in other.input]
            if len(readers) == 1 and readers[0].op_type == "Add":
                given = next((value for value in readers[0].input if value in constants), "")
        named[given or f"{node.name}/bias"] = array
    return named


def distance(found, expected):
    """How far the arrays are apart. Of a weight that lost inputs, those that are left, wherever they lay."""
    if found.size == expected.size:
        return np.abs(found.reshape(-1) - expected.reshape(-1)).max()
    axis = next(axis for axis in range(found.ndim) if found.shape[axis] != expected.shape[axis])
    size = found.shape[axis]
    return min(
        np.abs(found - expected.take(range(start, start + size), axis)).max()
        for start in range(expected.shape[axis] - size + 1))


def weight_faults(file, named):
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in file.graph.initializer}
    for name, expected in named.items():
        found = weights.get(name, weights.get(f"{name}/kept"))
        if found is None:
            yield f"the file has no {name}, but {sorted(weights)}"
        elif not distance(found, expected) <= 1e-4:
            yield f"{name} is {distance(found, expected)} away"


def faults(name, mask, ridge):
    """What is wrong with a fit of a small model: weights, losses, the file, its cost and its loss."""
    model_path, data_path, _ = small(name)
    model, data = onnx.load(model_path), load_data(data_path)
    fit = Fit(Network(model), data, [parse_edge(edge) for edge in mask], ridge)
    kind, (unpruned, cut, fitted) = fit.losses(data)
    with scratch() as folder:
        answer = espalier(
            "evaluate", model_path, "--data", data_path, "--fit-data", data_path, *ALL_ROWS, "--ridge", ridge, "--loss",
            kind, *removing(mask), "--output", folder / "out.onnx", "--json", folder / "found.json").succeeded()
        found = json.loads((folder / "found.json").read_text())
        file = onnx.load(folder / "out.onnx")
        if "fitted on 48 samples that are also among those that the loss is measured on" not in answer.errors:
            yield f"no word of the overlap: {answer.errors}"
        yield from weight_faults(file, file_names(model, fit.written))
        for what, value, expected in (
                ("the unpruned loss", found["base"]["loss"], unpruned), ("the loss", found["loss"], fitted),
                ("the loss at the cut", found["atCut"]["loss"], cut)):
            if not abs(value - expected) <= 1e-5:
                yield f"{what} is {value}, not {expected}"
        base = next(iter(outputs(model, data).values()))
        judged = mean_loss(next(iter(outputs(file, data).values())), kind, data, base)
        if not close(judged, found["loss"]):
            yield f"ONNX Runtime's loss of the file is {judged}, not {found['loss']}"
        counted = espalier_json("inspect", folder / "out.onnx")
        for quantity in ("parameters", "flops"):
            if counted[quantity] != found[quantity]:
                yield f"the file has {counted[quantity]} {quantity}, not {found[quantity]}"
        if kind == "cross-entropy":
            again = espalier_json("evaluate", folder / "out.onnx", "--data", data_path)["loss"]
            if not close(again, found["loss"]):
                yield f"evaluate says {again} of the file, and said {found['loss']}"


def all_faults(names, ridge):
    fits = [(name, mask) for name in names for mask in small(name)[2]]
    # Most of the time goes into starting the program.
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for (name, mask), found in zip(fits, pool.map(lambda fit: list(faults(*fit, ridge)), fits)):
            yield from (f"{name} without {' '.join(mask)}, ridge {ridge}: {fault}" for fault in found)


def test_fits_are_those_of_numpy_and_files_are_what_was_measured():
    together(all_faults(MODELS, 1e-3))


def test_fits_without_a_ridge_are_those_of_numpy():
    together(all_faults(("residual", "gemm"), 0))


def test_weights_that_are_constant_nodes_are_fitted_like_others():
    """As PaddlePaddle's exporter writes them: in nodes before the others, so that edges have other numbers."""
    for name in ("batchnorm", "gemm"):
        model, data, (mask, _) = small(name)
        proto = onnx.load(model)
        constants = [
            helper.make_node("Constant", [], [tensor.name], value=tensor) for tensor in proto.graph.initializer]
        nodes = constants + list(proto.graph.node)
        del proto.graph.initializer[:], proto.graph.node[:]
        proto.graph.node.extend(nodes)
        moved = [f"{int(node) + len(constants)}:{slot}" for node, slot in (edge.split(":") for edge in mask)]
        with scratch() as folder:
            onnx.save(proto, folder / "constants.onnx")
            measure = ("--data", data, "--fit-data", data, *ALL_ROWS, "--ridge", 1e-3)
            expected = espalier_json("evaluate", model, *measure, *removing(mask), "--output", folder / "one.onnx")
            found = espalier_json(
                "evaluate", folder / "constants.onnx", *measure, *removing(moved), "--output", folder / "other.onnx")
            for key in ("loss", "parameters", "flops"):
                assert found[key] == expected[key], f"{name}: {key} is {found[key]}, not {expected[key]}"
            one, other = (outputs(onnx.load(folder / f"{file}.onnx"), load_data(data)) for file in ("one", "other"))
            together(
                f"{name}: the files' {key} differ" for key in one if not np.array_equal(one[key], other[key]))


def test_masks_of_a_list_are_recovered_here_and_on_workers():
    model, data, masks = small("batchnorm")
    with scratch() as folder:
        (folder / "masks.txt").write_text("".join(" ".join(mask) + "\n" for mask in masks))
        measure = ("evaluate", model, "--data", data, "--fit-data", data, *ALL_ROWS, "--ridge", 1e-3)
        alone = espalier_json(*measure, "--masks", folder / "masks.txt")
        assert espalier_json(*measure, "--masks", folder / "masks.txt", "--workers", 2) == alone
        for mask, found in zip(masks, alone):
            single = espalier_json(*measure, *removing(mask))
            assert (found["loss"], found["atCut"]) == (single["loss"], single["atCut"]), (mask, found, single)


# MARK: searches

SMALL = ("--samples", 128, "--block-size", 16)
RECOVERED = ("--recover", "least-squares", "--fit-samples", 64, "--fit-rows", 2)


def search(name, *options):
    model, data = example(name)
    return ("prune", model, "--data", data, *SMALL, *RECOVERED, *options)


def files(run):
    """What a run decided: its path and its model."""
    return [(run / name).read_bytes() for name in ("path.csv", "pruned.onnx")]


@functools.cache
def undisturbed(name):
    """Path, model and first step's model of a search in one process."""
    with scratch() as folder:
        espalier(*search(name, "--steps", 3, "--workers", 0, "--run", "run", "--export-step", 1), folder=folder).succeeded()
        espalier("export", "run", "--step", 1, "--output", "step.onnx", folder=folder).succeeded()
        step = (folder / "run/step-1.onnx").read_bytes()
        assert step == (folder / "step.onnx").read_bytes(), "export writes another file than --export-step"
        return files(folder / "run"), step


def same_for_any_number_of_workers(name):
    expected = undisturbed(name)[0]
    with scratch() as folder:
        for workers in (1, 2, 3, 8):
            espalier(*search(name, "--steps", 3, "--workers", workers, "--run", f"run-{workers}"), folder=folder).succeeded()
            assert files(folder / f"run-{workers}") == expected, f"{workers} workers find something else"


def test_a_recovered_search_is_the_same_for_any_number_of_workers():
    same_for_any_number_of_workers("digits-resnet")


def test_a_recovered_search_of_a_transformer_is_the_same_for_any_number_of_workers():
    same_for_any_number_of_workers("digits-vit")


def test_a_killed_search_goes_on_and_a_path_has_the_losses_at_the_cut():
    expected, step = undisturbed("digits-resnet")
    header, *lines = expected[0].decode().splitlines()
    column = header.split(",").index("lossAtCut")
    cells = [line.split(",")[column] for line in lines]
    assert cells[0] == "" and all(float(cell) >= 0 for cell in cells[1:]) and len(cells) == 4, cells
    with scratch() as folder:
        run = folder / "run"
        arguments = search("digits-resnet", "--steps", 3, "--workers", 2, "--run", run)
        code, _ = stopped(arguments, run, lambda counts: counts.get(2, 0) >= 5, signal.SIGKILL, folder)
        assert code == -signal.SIGKILL
        espalier(*arguments, "--resume", folder=folder).succeeded()
        assert files(run) == expected
        espalier("export", run, "--step", 1, "--output", "step.onnx", folder=folder).succeeded()
        assert (folder / "step.onnx").read_bytes() == step


def test_a_resumed_search_keeps_its_recovery():
    with scratch() as folder:
        arguments = search("digits-resnet", "--steps", 1, "--workers", 0, "--run", "run")
        espalier(*arguments, folder=folder).succeeded()
        kept = files(folder / "run")
        for changed in (("--fit-samples", 32), ("--ridge", 0.5), ("--recover", "norm")):
            answer = espalier(*arguments, "--resume", *changed, folder=folder)
            assert answer.code == 65 and len(answer.errors.splitlines()) <= 2, (changed, answer.code, answer.errors)
        assert files(folder / "run") == kept


def test_a_shortlist_says_what_it_left_out():
    options = ("--steps", 2, "--shortlist", 2, "--audit", 3)
    with scratch() as folder:
        alone = espalier_json(*search("digits-resnet", *options, "--workers", 0, "--run", "alone"), folder=folder)
        others = espalier_json(*search("digits-resnet", *options, "--workers", 3, "--run", "others"), folder=folder)
        for key in ("base", "path", "screening", "exact"):
            assert alone[key] == others[key], f"{key}: {alone[key]} and {others[key]}"
        assert alone["exact"] is False and "not exact" in (folder / "alone/summary.txt").read_text()
        assert [level["measured"] for level in alone["screening"]["levels"]] == [2, 2]
        assert all(level["skipped"] > 3 and level["audited"] == 3 for level in alone["screening"]["levels"])
        # The exact search measures everything; one that audits everything knows what it missed.
        header, _, first, *_ = undisturbed("digits-resnet")[0][0].decode().splitlines()
        exact = float(first.split(",")[header.split(",").index("lossChange")])
        audited = espalier_json(
            *search("digits-resnet", "--steps", 1, "--shortlist", 1, "--audit", 1000, "--workers", 0, "--run", "audited"),
            folder=folder)
        missed = audited["path"][0]["lossChange"] - exact
        assert abs(audited["screening"]["levels"][0]["regret"] - missed) <= 1e-12


def test_samples_that_serve_twice_are_told():
    model, data = example("digits-resnet")
    held_out = str(data).replace("calibration", "held-out")
    common = ("prune", model, "--data", data, *SMALL, "--recover", "least-squares", "--fit-rows", 1, "--steps", 1,
              "--workers", 0)
    with scratch() as folder:
        answer = espalier(
            *common, "--fit-data", held_out, "--fit-samples", 32, "--validation", held_out, "--run", "both",
            folder=folder).succeeded()
        assert f"fitted on 32 samples that are also among those of {held_out}" in answer.errors, answer.errors
        assert "loss is measured on" not in answer.errors, answer.errors
        answer = espalier(*common, "--fit-samples", 32, "--validation", held_out, "--run", "apart", folder=folder).succeeded()
        assert "also among" not in answer.errors, answer.errors
        assert "32 of the 128 samples" in (folder / "apart/summary.txt").read_text()


# MARK: what does not go


def refused(code, *arguments, folder, words=()):
    """Fails unless a call is refused with one sentence, and leaves nothing behind."""
    before = sorted(folder.rglob("*"))
    answer = espalier(*arguments, folder=folder)
    text = answer.errors.strip()
    fault = f"{answer.command}: exit code {answer.code}: {text}"
    assert answer.code == code, fault
    # The usage follows what is wrong with the command line.
    lines = [line for line in text.splitlines() if line.startswith(("espalier:", "Error:"))]
    assert len(lines) == 1 and (code == 64 or len(text.splitlines()) == 1), fault
    for word in words:
        assert word in lines[0], f"'{word}' is not in: {fault}"
    assert sorted(folder.rglob("*")) == before, f"{answer.command} left {sorted(folder.rglob('*'))}"


def test_options_that_make_no_sense_are_refused():
    model, data, (mask, _) = small("residual")
    with scratch() as folder:
        measure = ("evaluate", model, "--data", data, *removing(mask), "--output", "out.onnx")
        prune = ("prune", model, "--data", data, "--steps", 1, "--workers", 0, "--run", "run")
        for options in (
                ("--recover", "rubbish"), ("--recover", "none,norm"), ("--recover", "norm,"),
                ("--recover", "least-squares", "--ridge=-1"), ("--recover", "least-squares", "--ridge", "nan"),
                ("--recover", "least-squares", "--fit-samples", 0), ("--recover", "least-squares", "--fit-rows", 0),
                ("--fit-data", data), ("--recover", "none", "--ridge", 1), ("--recover", "mean", "--fit-samples", 8)):
            refused(64, *measure, *options, folder=folder)
        for options in (("--recover", "rubbish"), ("--ridge", 1), ("--shortlist", 2),
                        ("--recover", "least-squares", "--shortlist", 0),
                        ("--recover", "least-squares", "--shortlist", 2, "--strategy", "exhaustive"),
                        ("--recover", "least-squares", "--shortlist", 2, "--screen", 2)):
            refused(64, *prune, *options, folder=folder)


def test_fit_data_that_do_not_fit_are_refused():
    model, data, (mask, _) = small("residual")
    arrays = load_data(data)
    broken = arrays["x"].copy()
    broken[3, 1, 2, 2] = np.nan
    with scratch() as folder:
        for name, content, words in (
                ("shape", {"x": arrays["x"][:, :2]}, ("x",)), ("rank", {"x": arrays["x"].reshape(48, -1)}, ("x",)),
                ("missing", {"y": arrays["x"], "z": arrays["x"]}, ("x",)), ("nan", {"x": broken}, ("x", "NaN")),
                ("empty", {"x": arrays["x"][:0]}, ("no samples",))):
            np.savez(folder / f"{name}.npz", **content)
            refused(
                65, "evaluate", model, "--data", data, "--recover", "least-squares", "--fit-data", f"{name}.npz",
                *removing(mask), "--output", "out.onnx", folder=folder, words=(f"{name}.npz", *words))
        refused(
            65, "prune", model, "--data", data, "--recover", "least-squares", "--fit-data", "shape.npz", "--steps", 1,
            "--workers", 0, "--run", "run", folder=folder, words=("shape.npz", "x"))
        (folder / "text.npz").write_text("no archive")
        for name in ("text.npz", "absent.npz"):
            refused(
                65, "evaluate", model, "--data", data, "--recover", "least-squares", "--fit-data", name, *removing(mask),
                folder=folder, words=(name,))


def test_a_single_sample_is_not_divided_but_can_be_fitted_on():
    model, data, (mask, _) = small("residual")
    arrays = load_data(data)
    with scratch() as folder:
        np.savez(folder / "one.npz", **{name: array[:1] for name, array in arrays.items()})
        refused(
            65, "evaluate", model, "--data", "one.npz", "--recover", "least-squares", *removing(mask), "--output",
            "out.onnx", folder=folder, words=("one.npz", "--fit-data"))
        found = espalier_json(
            "evaluate", model, "--data", data, "--fit-data", folder / "one.npz", "--recover", "least-squares",
            *removing(mask), "--output", folder / "out.onnx")
        assert np.isfinite(found["loss"])
        file = onnx.load(folder / "out.onnx")
        assert all(np.isfinite(numpy_helper.to_array(tensor)).all() for tensor in file.graph.initializer)


def without_layers(folder):
    """y = relu(conv(x) + x): nothing that could be refitted comes after the sum."""
    random = np.random.default_rng(3)
    weight = numpy_helper.from_array(random.normal(size=(3, 3, 1, 1)).astype(np.float32), "w")
    shape = ["N", 3, 4, 4]
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["c"], "c"), helper.make_node("Add", ["c", "x"], ["s"], "s"),
         helper.make_node("Relu", ["s"], ["y"], "y")], "plain",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)], [weight])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), folder / "model.onnx")
    np.savez(folder / "data.npz", x=random.normal(size=(24, *shape[1:])).astype(np.float32))


def test_a_model_without_layers_behind_the_cut_is_what_it_is_at_the_cut():
    with scratch() as folder:
        without_layers(folder)
        measure = ("evaluate", "model.onnx", "--data", "data.npz", "--remove", "1:0")
        found = espalier_json(
            *measure, "--fit-data", "data.npz", "--recover", "least-squares,norm", "--output", "out.onnx", folder=folder)
        plain = espalier_json(*measure, "--output", "plain.onnx", folder=folder)
        assert found["loss"] == found["atCut"]["loss"] == plain["loss"]
        assert (found["parameters"], found["flops"]) == (plain["parameters"], plain["flops"])
        assert (folder / "out.onnx").read_bytes() == (folder / "plain.onnx").read_bytes()
