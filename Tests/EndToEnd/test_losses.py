"""Losses by form and output, sample axes, shared inputs and mixed samples, against NumPy and ONNX Runtime."""

import json

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from losses import constant_loss, mean_loss
from masked import load_data, masked_model, outputs
from program import close, espalier, espalier_json, scratch, text_of, together

FLOAT = TensorProto.FLOAT
RANDOM = np.random.default_rng(20)


def weights(*shape, scale=0.7):
    return (RANDOM.normal(size=shape) * scale).astype(np.float32)


def saved(folder, nodes, inputs, results, constants, name="model", opset=17):
    """Writes a model; inputs and results are (name, type, shape)."""
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info(*item) for item in inputs],
        [helper.make_tensor_value_info(*item) for item in results],
        [numpy_helper.from_array(array, key) for key, array in constants.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.checker.check_model(model)
    path = folder / f"{name}.onnx"
    onnx.save(model, path)
    return path, model


def residual(tail, result=("y", FLOAT, ["batch", 4])):
    """x W1 + relu(x W1) W2 -> W3, then `tail` from 's'; the edge 3:1 is the branch."""
    nodes = [
        helper.make_node("MatMul", ["x", "W1"], ["h"]), helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("MatMul", ["r", "W2"], ["b"]), helper.make_node("Add", ["h", "b"], ["a"]),
        helper.make_node("MatMul", ["a", "W3"], ["s"])] + tail
    # Small numbers: where a sigmoid is 1 to the last bit or two, its logarithm is the implementation's.
    last = weights(6, result[2][-1] if len(result[2]) == 2 else 4, scale=0.15)
    constants = {"W1": weights(5, 6), "W2": weights(6, 6), "W3": last}
    return nodes, [("x", FLOAT, ["batch", 5])], [result], constants


def node(kind, inputs, results, **attributes):
    return helper.make_node(kind, inputs.split(), results.split(), **attributes)


TAILS = {
    "softmax": [node("Softmax", "s", "y")],
    "identity": [node("Softmax", "s", "p"), node("Identity", "p", "y")],
    "double cast": [
        node("Softmax", "s", "p"), node("Cast", "p", "d", to=TensorProto.DOUBLE), node("Cast", "d", "y", to=FLOAT)],
    "clip": [node("Softmax", "s", "p"), node("Clip", "p low high", "y")],
    "reshape": [node("Softmax", "s", "p"), node("Reshape", "p shape", "q"), node("Reshape", "q shape", "y")],
    "transposes": [
        node("Transpose", "s", "t", perm=[1, 0]), node("Softmax", "t", "p", axis=0),
        node("Transpose", "p", "y", perm=[1, 0])],
    "written out": [
        node("Exp", "s", "e"), node("ReduceSum", "e one", "z", keepdims=1), node("Div", "e z", "y")],
    "written out, shifted": [
        node("ReduceMax", "s", "m", axes=[1], keepdims=1), node("Sub", "s m", "d"), node("Exp", "d", "e"),
        node("ReduceSum", "e one", "z", keepdims=1), node("Div", "e z", "y")],
    "written out and spread": [
        node("Exp", "s", "e"), node("ReduceSum", "e one", "z", keepdims=0), node("Reshape", "z column", "c"),
        node("Expand", "c wide", "b4"), node("Div", "e b4", "y")],
    "log softmax": [node("LogSoftmax", "s", "y")],
    "log of softmax": [node("Softmax", "s", "p"), node("Log", "p", "y")],
    "sigmoid": [node("Sigmoid", "s", "y")],
    "written-out sigmoid": [
        node("Neg", "s", "n"), node("Exp", "n", "e"), node("Add", "e unit", "z"), node("Div", "unit z", "y")],
    "logits": [node("Add", "s bias", "y")],
}
FORMS = {"log softmax": "log-probabilities", "log of softmax": "log-probabilities", "sigmoid": "sigmoids",
         "written-out sigmoid": "sigmoids", "logits": "logits"}
EXTRAS = {
    "low": np.float32(0), "high": np.float32(1), "shape": np.array([-1, 4]), "one": np.array([1]),
    "column": np.array([-1, 1]), "wide": np.array([1, 4]), "unit": np.float32(1), "bias": weights(4)}


def test_the_form_of_an_output_is_found_through_casts_reshapes_and_written_out_softmaxes():
    faults = []
    for name, tail in TAILS.items():
        with scratch() as folder:
            parts = residual(tail)
            used = {item for part in parts[0] for item in part.input}
            constants = {**parts[3], **{key: value for key, value in EXTRAS.items() if key in used}}
            path, model = saved(folder, parts[0], parts[1], parts[2], constants)
            form = FORMS.get(name, "probabilities")
            told = espalier_json("inspect", path)["outputs"][0]["form"]
            if told != form:
                faults.append(f"{name}: inspect says {told}, not {form}")
            data = {"x": weights(24, 5, scale=1), "labels": RANDOM.integers(0, 4, 24)}
            np.savez(folder / "d.npz", **data)
            base = outputs(model, data)["y"]
            cut = outputs(masked_model(model, [(3, 1)]), data)["y"]
            for loss in ("bce", "self-bce") if form == "sigmoids" else ("cross-entropy", "kl"):
                found = espalier_json(
                    "evaluate", path, "--data", folder / "d.npz", "--loss", loss, "--remove", "3:1")
                if found["measuredOutputs"][0]["form"] != form:
                    faults.append(f"{name}: measured as {found['measuredOutputs'][0]['form']}")
                for what, loss_is, output in (("base", found["base"]["loss"], base), ("cut", found["loss"], cut)):
                    expected = mean_loss(output, loss, data, base, form)
                    if not close(loss_is, expected, 2e-5):
                        faults.append(f"{name}, {loss}, {what}: {loss_is}, but NumPy says {expected}")
    together(faults)


def test_a_softmax_that_is_rounded_to_float16_is_measured_before_that():
    with scratch() as folder:
        # The last class is improbable: float16 rounds 3.3e-8 to 6.0e-8.
        nodes = [
            node("MatMul", "x W", "s"), node("Softmax", "s", "p"), node("Cast", "p", "h", to=TensorProto.FLOAT16),
            node("Cast", "h", "y", to=FLOAT)]
        path, model = saved(
            folder, nodes, [("x", FLOAT, ["b", 2])], [("y", FLOAT, ["b", 2])], {"W": np.float32([[1, 0], [0, 1]])})
        data = {"x": np.float32([[17.2, 0], [1, 0]]), "labels": np.array([1, 0])}
        np.savez(folder / "d.npz", **data)
        found = espalier_json("evaluate", path, "--data", folder / "d.npz")["base"]["loss"]
        expected = mean_loss(data["x"], "cross-entropy", data, data["x"])
        assert close(found, expected, 1e-5), (found, expected)


def test_a_divergence_near_zero_keeps_its_digits():
    with scratch() as folder:
        # y = x + 1e-3 · z: removing the second part changes the logits a little.
        nodes = [node("Mul", "z small", "t"), node("Add", "x t", "y")]
        path, model = saved(
            folder, nodes, [("x", FLOAT, ["b", 10]), ("z", FLOAT, ["b", 10])], [("y", FLOAT, ["b", 10])],
            {"small": np.float32(1e-3)})
        data = {"x": weights(64, 10, scale=2), "z": weights(64, 10, scale=0.5)}
        np.savez(folder / "d.npz", **data)
        found = espalier_json(
            "evaluate", path, "--data", folder / "d.npz", "--loss", "kl", "--output-is", "logits", "--remove", "1:1")
        base, cut = outputs(model, data)["y"], outputs(masked_model(model, [(1, 1)]), data)["y"]
        expected = mean_loss(cut, "kl", data, base)
        assert 1e-8 < expected < 3e-7, expected
        assert close(found["loss"], expected, 1e-4, 0), (found["loss"], expected)


def refusal(*arguments):
    answer = espalier("evaluate", *arguments)
    assert answer.code == 65, (answer.code, answer.errors, answer.output)
    return answer.errors


def test_losses_without_a_meaning_are_refused_with_what_to_use():
    with scratch() as folder:
        nodes, inputs, results, constants = residual(TAILS["sigmoid"])
        path, _ = saved(folder, nodes, inputs, results, constants)
        np.savez(folder / "d.npz", x=weights(12, 5), labels=RANDOM.integers(0, 4, 12))
        errors = refusal(path, "--data", folder / "d.npz", "--loss", "kl")
        assert "independent sigmoids" in errors and "self-bce" in errors, errors
        assert "bce" in refusal(path, "--data", folder / "d.npz", "--loss", "cross-entropy")
        errors = refusal(path, "--data", folder / "d.npz", "--output-is", "probabilities")
        assert "no dimension of it sums to 1" in errors, errors
        # One class: softmax over it is 1 whatever the model computes.
        nodes, inputs, results, constants = residual([node("Identity", "s", "y")], ("y", FLOAT, ["batch", 1]))
        path, _ = saved(folder, nodes, inputs, results, constants)
        np.savez(folder / "d.npz", x=weights(12, 5))
        errors = refusal(path, "--data", folder / "d.npz", "--loss", "kl")
        assert "one class" in errors and "self-mse" in errors, errors
        measured = espalier_json("evaluate", path, "--data", folder / "d.npz")["measuredOutputs"]
        assert [output["loss"] for output in measured] == ["self-mse"], measured
        answer = espalier("evaluate", path, "--data", folder / "d.npz", "--loss", "nonsense")
        assert answer.code == 64 and "self-cosine" in answer.errors, answer.errors


def test_a_single_sample_whose_dimension_is_squeezed_away_counts_too():
    """The last block has one sample: its output has no dimension, or that of its features alone."""
    with scratch() as folder:
        for name, width, shape in (("score", 1, ["n"]), ("features", 3, ["n", 3])):
            nodes = [
                node("MatMul", "x W1", "h"), node("Relu", "h", "r"), node("MatMul", "r W2", "b"), node("Add", "h b", "a"),
                node("MatMul", "a W3", "s"), node("Unsqueeze", "s one", "u"), node("Squeeze", "u", "y")]
            path, model = saved(
                folder, nodes, [("x", FLOAT, ["n", 5])], [("y", FLOAT, shape)],
                {"W1": weights(5, 6), "W2": weights(6, 6), "W3": weights(6, width), "one": np.array([1])}, name=name)
            data = {"x": weights(17, 5, scale=1)}
            np.savez(folder / "d.npz", **data)
            base, cut = outputs(model, data), outputs(masked_model(model, [(3, 1)]), data)
            answer = espalier(
                "evaluate", path, "--data", folder / "d.npz", "--remove", "3:1", "--block-size", 16, "--loss",
                "self-mse", "--json", "-")
            found = json.loads(answer.succeeded().output)
            assert "not measured" not in answer.errors, answer.errors
            unit = found["measuredOutputs"][0]["unit"]
            assert close(found["loss"], np.mean((cut["y"] - base["y"]) ** 2) / unit, 2e-5), found


def test_an_output_of_a_single_sample_without_its_dimension_is_measured():
    """A batch of one by the file, squeezed away: nothing says that it is not measured."""
    with scratch() as folder:
        nodes = [
            node("MatMul", "x W1", "h"), node("Relu", "h", "r"), node("MatMul", "r W2", "b"), node("Add", "h b", "a"),
            node("Squeeze", "a", "y")]
        path, model = saved(
            folder, nodes, [("x", FLOAT, [1, 5])], [("y", FLOAT, [6])], {"W1": weights(5, 6), "W2": weights(6, 6)})
        data = {"x": weights(9, 5, scale=1)}
        np.savez(folder / "d.npz", **data)
        one = [{"x": data["x"][index:index + 1]} for index in range(9)]
        base, cut = (np.stack([outputs(m, sample)["y"] for sample in one]) for m in (model, masked_model(model, [(3, 1)])))
        answer = espalier("evaluate", path, "--data", folder / "d.npz", "--remove", "3:1", "--json", "-").succeeded()
        found = json.loads(answer.output)
        assert "not measured" not in answer.errors, answer.errors
        assert close(found["loss"], np.mean((cut - base) ** 2) / found["measuredOutputs"][0]["unit"], 2e-5), found


def test_a_state_that_all_samples_share_begins_each_of_them():
    with scratch() as folder:
        nodes = [
            node("Transpose", "x", "t", perm=[1, 0, 2]),
            helper.make_node("GRU", ["t", "W", "R", "B", "", "h"], ["y"], hidden_size=4),
            node("Gather", "y last", "s", axis=0), node("Squeeze", "s axis", "q"), node("MatMul", "q V", "b"),
            node("Add", "q b", "z")]
        path, model = saved(
            folder, nodes, [("x", FLOAT, ["n", 6, 5]), ("h", FLOAT, [1, 1, 4])], [("z", FLOAT, ["n", 4])],
            {"W": weights(1, 12, 5), "R": weights(1, 12, 4), "B": weights(1, 24), "V": weights(4, 4),
             "last": np.array(-1), "axis": np.array([0])})
        data = {"x": weights(12, 6, 5, scale=1), "h": weights(1, 1, 4, scale=1)}
        np.savez(folder / "d.npz", **data)
        one = [{"x": data["x"][index:index + 1], "h": data["h"]} for index in range(12)]
        base = np.concatenate([outputs(model, sample)["z"] for sample in one])
        cut = np.concatenate([outputs(masked_model(model, [(5, 1)]), sample)["z"] for sample in one])
        found = espalier_json("evaluate", path, "--data", folder / "d.npz", "--remove", "5:1")
        unit = found["measuredOutputs"][0]["unit"]
        assert found["measuredOutputs"][0]["loss"] == "self-mse", found["measuredOutputs"]
        assert close(found["loss"], np.mean((cut - base) ** 2) / unit, 2e-5), found


def detector(folder):
    """Boxes [N, 3, 4] and sigmoid scores [N, 3] from shared layers; edges 3:1 of the branch."""
    nodes = [
        node("MatMul", "x W1", "h"), node("Relu", "h", "r"), node("MatMul", "r W2", "b"), node("Add", "h b", "a"),
        node("MatMul", "a W3", "f"), node("Reshape", "f shape", "boxes"), node("MatMul", "a W4", "s"),
        node("Sigmoid", "s", "scores"), node("ArgMax", "scores", "best", axis=1, keepdims=0)]
    return saved(
        folder, nodes, [("x", FLOAT, ["batch", 5])],
        [("boxes", FLOAT, ["batch", 3, 4]), ("scores", FLOAT, ["batch", 3]), ("best", TensorProto.INT64, ["batch"])],
        {"W1": weights(5, 6), "W2": weights(6, 6), "W3": weights(6, 12) * 100, "W4": weights(6, 3, scale=0.2),
         "shape": np.array([-1, 3, 4])})


def test_all_outputs_count_by_default_each_in_units_of_its_own_variation():
    with scratch() as folder:
        path, model = detector(folder)
        data = {"x": weights(40, 5, scale=1)}
        np.savez(folder / "d.npz", **data)
        found = espalier_json("evaluate", path, "--data", folder / "d.npz", "--remove", "3:1")
        base, cut = outputs(model, data), outputs(masked_model(model, [(3, 1)]), data)
        expected = 0
        for told, (name, loss, form) in zip(
                found["measuredOutputs"], (("boxes", "self-mse", "logits"), ("scores", "self-bce", "sigmoids")), strict=True):
            assert told["name"] == name and told["loss"] == loss, told
            constant = constant_loss(loss, data, base[name], told["form"])
            assert close(told["unit"], constant, 6e-3), (told, constant)
            expected += mean_loss(cut[name], loss, data, base[name], told["form"]) / told["unit"]
        assert close(found["loss"], expected, 2e-5), (found["loss"], expected)
        assert close(found["constantPredictorLoss"], 2, 1e-2), found["constantPredictorLoss"]
        assert close(found["relativeLoss"], found["loss"] / found["constantPredictorLoss"])
        share = float((base["best"] != cut["best"]).mean())
        assert not share or [item["name"] for item in found["unmeasuredOutputs"]] == ["best"], found


def joined(folder, tail):
    """One output that joins 4 coordinates and 3 sigmoids for each of 2 + 3 places, as detectors write it."""
    nodes = [
        node("MatMul", "x W1", "h"), node("Relu", "h", "r"), node("MatMul", "r W2", "b"), node("Add", "h b", "a")]
    constants = {"W1": weights(5, 6), "W2": weights(6, 6), "stride": np.float32(80)}
    for scale, places in enumerate((2, 3)):
        nodes += [
            node("MatMul", f"a P{scale}", f"p{scale}"), node("Reshape", f"p{scale} grid{scale}", f"g{scale}"),
            node("Conv", f"g{scale} box", f"raw{scale}"), node("Mul", f"raw{scale} stride", f"boxes{scale}"),
            node("Conv", f"g{scale} class", f"s{scale}"), node("Sigmoid", f"s{scale}", f"scores{scale}")]
        constants |= {f"P{scale}": weights(6, 6 * places), f"grid{scale}": np.array([-1, 6, 1, places])}
    constants |= {"box": weights(4, 6, 1, 1), "class": weights(3, 6, 1, 1, scale=0.2)}
    if tail == "scales last":
        for scale in (0, 1):
            nodes += [
                node("Concat", f"boxes{scale} scores{scale}", f"all{scale}", axis=1),
                node("Reshape", f"all{scale} rows", f"flat{scale}")]
        nodes += [node("Concat", "flat0 flat1", "t", axis=2), node("Transpose", "t", "y", perm=[0, 2, 1])]
        constants["rows"] = np.array([0, 7, -1])
        shape = ["batch", 5, 7]
    else:
        nodes += [
            node("Concat", "boxes0 boxes1", "boxes", axis=3), node("Concat", "scores0 scores1", "scores", axis=-1),
            node("Concat", "boxes scores", "t", axis=1), node("Squeeze", "t two", "y")]
        constants["two"] = np.array([2])
        shape = ["batch", 7, 5]
    return saved(folder, nodes, [("x", FLOAT, ["batch", 5])], [("y", FLOAT, shape)], constants)


def test_each_kind_of_numbers_that_an_output_joins_counts_in_units_of_its_own():
    for tail, axis in (("scales last", 2), ("scales first", 1)):
        with scratch() as folder:
            path, model = joined(folder, tail)
            data = {"x": weights(40, 5, scale=1)}
            np.savez(folder / "d.npz", **data)
            base, cut = outputs(model, data)["y"], outputs(masked_model(model, [(3, 1)]), data)["y"]
            found = espalier_json("evaluate", path, "--data", folder / "d.npz", "--remove", "3:1")
            expected = 0
            wanted = ((0, 4, "self-mse", "values"), (4, 7, "self-bce", "sigmoids"))
            for told, (lower, upper, loss, form) in zip(found["measuredOutputs"], wanted, strict=True):
                assert told["part"] == {"axis": axis, "lower": lower, "upper": upper}, told
                assert (told["name"], told["loss"], told["form"]) == ("y", loss, form), told
                part = [np.take(array, range(lower, upper), axis) for array in (base, cut)]
                constant = constant_loss(loss, data, part[0], form)
                assert close(told["unit"], constant, 6e-3), (told, constant)
                expected += mean_loss(part[1], loss, data, part[0], form) / told["unit"]
            assert close(found["loss"], expected, 2e-5), (tail, found["loss"], expected)
            # The same for workers, who are told the loss as a text; and the whole output where somebody says so.
            run = ("prune", path, "--data", folder / "d.npz", "--steps", "1", "--workers")
            paths = [
                espalier_json(*run, workers, "--run", folder / f"run{workers}")["path"] for workers in (0, 2)]
            assert paths[0] == paths[1], paths
            whole = espalier_json("evaluate", path, "--data", folder / "d.npz", "--loss", "self-mse", "--remove", "3:1")
            assert close(whole["loss"], mean_loss(cut, "self-mse", data, base, "values"), 2e-5), whole["loss"]
            # A part by hand, as the program names it.
            said = espalier_json(
                "evaluate", path, "--data", folder / "d.npz", "--remove", "3:1", "--loss", f"y[{axis}:4..<7]=self-mae:2")
            scores = [np.take(array, range(4, 7), axis) for array in (base, cut)]
            assert close(said["loss"], 2 * np.abs(scores[1] - scores[0]).mean(), 2e-5), said["loss"]
            for wrong, word in ((f"y[{axis}:4..<8]=self-mae", "no numbers"), ("y[4..<7]=self-mae", "y[1:0..<4]")):
                refused = espalier("evaluate", path, "--data", folder / "d.npz", "--loss", wrong)
                assert refused.code in (64, 65) and word in refused.errors, refused.errors


def test_losses_of_outputs_add_up_with_their_weights_and_arrays_of_their_own():
    with scratch() as folder:
        path, model = detector(folder)
        data = {
            "x": weights(40, 5, scale=1), "targets.boxes": weights(40, 3, 4), "labels.scores": RANDOM.integers(0, 2, (40, 3))}
        np.savez(folder / "d.npz", **data)
        found = espalier_json(
            "evaluate", path, "--data", folder / "d.npz", "--loss", "boxes=mae:0.1,scores=bce", "--remove", "3:1")
        cut = outputs(masked_model(model, [(3, 1)]), {"x": data["x"]})
        expected = 0.1 * mean_loss(cut["boxes"], "mae", {"targets": data["targets.boxes"]}, None)
        expected += mean_loss(cut["scores"], "bce", {"labels": data["labels.scores"]}, None, "sigmoids")
        assert close(found["loss"], expected, 2e-5), (found["loss"], expected)
        base = outputs(model, {"x": data["x"]})
        # A loss with an array beside one that compares with the unpruned model.
        mixed = espalier_json(
            "evaluate", path, "--data", folder / "d.npz", "--loss", "boxes=mae,scores=self-bce", "--remove", "3:1")
        expected = mean_loss(cut["boxes"], "mae", {"targets": data["targets.boxes"]}, None)
        expected += mean_loss(cut["scores"], "self-bce", data, base["scores"], "sigmoids")
        assert close(mixed["loss"], expected, 2e-5), (mixed["loss"], expected)
        one = espalier_json(
            "evaluate", path, "--data", folder / "d.npz", "--loss", "self-bce", "--measure-output", "scores", "--remove",
            "3:1")
        assert close(one["loss"], mean_loss(cut["scores"], "self-bce", data, base["scores"], "sigmoids"), 2e-5)
        assert "boxes" in [item["name"] for item in one["unmeasuredOutputs"]], one
        assert "no output 'nothing'" in refusal(path, "--data", folder / "d.npz", "--measure-output", "nothing")


def test_losses_with_targets_are_numpys():
    faults = []
    with scratch() as folder:
        for name, kinds in (("logits", ("mse", "mae", "cosine", "bce")), ("sigmoid", ("bce", "mse"))):
            parts = residual(TAILS[name])
            constants = {**parts[3], **({"bias": EXTRAS["bias"]} if name == "logits" else {})}
            path, model = saved(folder, parts[0], parts[1], parts[2], constants)
            data = {"x": weights(24, 5), "targets": RANDOM.uniform(size=(24, 4)).astype(np.float32)}
            np.savez(folder / "d.npz", **data)
            cut = outputs(masked_model(model, [(3, 1)]), {"x": data["x"]})["y"]
            for kind in kinds:
                found = espalier_json(
                    "evaluate", path, "--data", folder / "d.npz", "--loss", kind, "--remove", "3:1")
                expected = mean_loss(cut, kind, data, None, FORMS[name])
                if not close(found["loss"], expected, 2e-5):
                    faults.append(f"{name}, {kind}: {found['loss']}, but NumPy says {expected}")
                constant = constant_loss(kind, data, cut)
                if not close(found["constantPredictorLoss"], constant, 1e-5):
                    faults.append(f"{name}, {kind}: constant {found['constantPredictorLoss']}, not {constant}")
    together(faults)


def test_labels_of_pixels_are_those_of_a_segmentation():
    with scratch() as folder:
        nodes = [
            node("Conv", "x K1", "h", pads=[1, 1, 1, 1]), node("Relu", "h", "r"),
            node("Conv", "r K2", "b", pads=[1, 1, 1, 1]), node("Add", "h b", "a"), node("Conv", "a K3", "y")]
        path, model = saved(
            folder, nodes, [("x", FLOAT, ["batch", 3, 6, 5])], [("y", FLOAT, ["batch", 4, 6, 5])],
            {"K1": weights(8, 3, 3, 3), "K2": weights(8, 8, 3, 3), "K3": weights(4, 8, 1, 1)})
        data = {"x": weights(10, 3, 6, 5), "labels": RANDOM.integers(0, 4, (10, 6, 5))}
        data["labels"][0, 0] = -100
        np.savez(folder / "d.npz", **data)
        found = espalier_json("evaluate", path, "--data", folder / "d.npz", "--remove", "3:1")
        cut = outputs(masked_model(model, [(3, 1)]), {"x": data["x"]})["y"]
        assert close(found["loss"], mean_loss(cut, "cross-entropy", data, None), 2e-5)
        assert close(found["constantPredictorLoss"], constant_loss("cross-entropy", data, cut), 1e-6)


def test_an_attention_mask_weighs_positions():
    with scratch() as folder:
        nodes = [
            node("MatMul", "x W1", "h"), node("Relu", "h", "r"), node("MatMul", "r W2", "b"), node("Add", "h b", "a"),
            node("Unsqueeze", "attention_mask last", "m"), node("Cast", "m", "f", to=FLOAT), node("Mul", "a f", "y")]
        path, model = saved(
            folder, nodes, [("x", FLOAT, ["batch", "t", 5]), ("attention_mask", TensorProto.INT64, ["batch", "t"])],
            [("y", FLOAT, ["batch", "t", 6])], {"W1": weights(5, 6), "W2": weights(6, 6), "last": np.array([-1])})
        mask = (np.arange(7)[None] < RANDOM.integers(2, 8, (12, 1))).astype(np.int64)
        data = {"x": weights(12, 7, 5), "attention_mask": mask}
        np.savez(folder / "d.npz", **data)
        base, cut = outputs(model, data)["y"], outputs(masked_model(model, [(3, 1)]), data)["y"]
        for options, counts in (((), mask), (("--position-weights", "none"), None)):
            found = espalier_json(
                "evaluate", path, "--data", folder / "d.npz", "--loss", "self-mse", "--remove", "3:1", *options)
            expected = mean_loss(cut, "self-mse", data, base, counts=counts)
            assert close(found["loss"], expected, 2e-5), (options, found["loss"], expected)
            assert found.get("positionWeights") == (None if counts is None else "attention_mask")


def recurrent(folder, symbols=("time", "batch")):
    """An LSTM with samples in dimension 1 of input, state and output; edge 1:1 adds the input to what it gives."""
    nodes = [
        helper.make_node("LSTM", ["x", "W", "R", "", "", "h0", "c0"], ["l", "hn", "cn"], hidden_size=4),
        node("Squeeze", "l axis", "q"), node("Add", "q x", "y")]
    return saved(
        folder, nodes,
        [("x", FLOAT, [*symbols, 4]), ("h0", FLOAT, [1, symbols[1], 4]), ("c0", FLOAT, [1, symbols[1], 4])],
        [("y", FLOAT, [*symbols, 4])],
        {"W": weights(1, 16, 4), "R": weights(1, 16, 4), "axis": np.array([1])})


def test_samples_lie_where_the_declared_symbols_say():
    with scratch() as folder:
        path, model = recurrent(folder)
        data = {"x": weights(7, 30, 4), "h0": weights(1, 30, 4), "c0": weights(1, 30, 4)}
        np.savez(folder / "d.npz", **data, targets=weights(30, 7, 4))
        base, cut = outputs(model, data)["y"], outputs(masked_model(model, [(2, 1)]), data)["y"]
        first = [np.moveaxis(array, 1, 0) for array in (base, cut)]
        targets = np.load(folder / "d.npz")["targets"]
        for loss in ("self-mse", "mse"):
            found = espalier_json("evaluate", path, "--data", folder / "d.npz", "--loss", loss, "--remove", "2:1")
            expected = mean_loss(first[1], loss, {"targets": targets}, first[0])
            assert found["samples"] == 30 and close(found["loss"], expected, 2e-5), (found, expected)
            assert found["measuredOutputs"][0]["sampleAxis"] == 1
        # Without telling names the wrong dimension is noticed, and the right one can be given.
        path, _ = recurrent(folder, ("s0", "s1"))
        np.savez(folder / "square.npz", **{key: array[:, :7] for key, array in data.items()})
        answer = espalier("evaluate", path, "--data", folder / "d.npz", "--loss", "self-mse")
        assert answer.code == 65, answer.output
        axes = [word for name in data for word in ("--batch-axis", f"{name}=1")]
        found = espalier_json(
            "evaluate", path, "--data", folder / "d.npz", "--loss", "self-mse", "--remove", "2:1", *axes)
        assert close(found["loss"], mean_loss(first[1], "self-mse", data, first[0]), 2e-5)


def scalar_model(folder):
    nodes = [
        node("MatMul", "x W1", "h"), node("Relu", "h", "r"), node("Mul", "r alpha", "m"), node("MatMul", "m W2", "b"),
        node("Add", "h b", "a"), node("MatMul", "a W3", "y")]
    return saved(
        folder, nodes, [("x", FLOAT, ["b", 5]), ("alpha", FLOAT, [])], [("y", FLOAT, ["b", 4])],
        {"W1": weights(5, 6), "W2": weights(6, 6), "W3": weights(6, 4)})


def test_an_input_without_samples_is_the_same_for_all():
    with scratch() as folder:
        path, model = scalar_model(folder)
        x, labels = weights(20, 5), RANDOM.integers(0, 4, 20)
        found = []
        for alpha in (np.float32(0.5), np.full(20, 0.5, np.float32)):
            np.savez(folder / "d.npz", x=x, alpha=alpha, labels=labels)
            found.append(espalier_json("evaluate", path, "--data", folder / "d.npz", "--remove", "4:1", "--block-size", 8))
        expected = mean_loss(
            outputs(masked_model(model, [(4, 1)]), {"x": x, "alpha": np.float32(0.5)})["y"], "cross-entropy",
            {"labels": labels}, None)
        assert close(found[0]["loss"], expected, 2e-5), (found[0], expected)
        assert found[0]["loss"] == found[1]["loss"]
        np.savez(folder / "d.npz", x=x, alpha=np.arange(20, dtype=np.float32), labels=labels)
        assert "all samples share" in refusal(path, "--data", folder / "d.npz")


def test_bfloat16_inputs_take_float32_arrays():
    with scratch() as folder:
        nodes = [node("Cast", "x", "f", to=FLOAT), node("MatMul", "f W", "y")]
        path, _ = saved(
            folder, nodes, [("x", TensorProto.BFLOAT16, ["b", 3])], [("y", FLOAT, ["b", 2])], {"W": np.eye(3, 2, dtype=np.float32)})
        x = np.float32([[1.001, 2.5, 0], [-3.1415927, 1e-3, 1]])
        np.savez(folder / "d.npz", x=x)
        espalier("run", path, "--data", folder / "d.npz", "--output", folder / "o.npz").succeeded()
        # A bfloat16 is the upper half of a float32; to the nearest, these are, by hand: 1, 2.5, -3.140625, 0.00099945.
        found = load_data(folder / "o.npz")["y"]
        assert np.allclose(found, [[1, 2.5], [-3.140625, 0.00099945068359375]], rtol=0, atol=0), found


def test_a_model_that_mixes_samples_is_refused_by_the_outputs_name():
    with scratch() as folder:
        nodes = [
            node("ReduceMean", "x", "mean", axes=[0], keepdims=1), node("Sub", "x mean", "c"),
            node("MatMul", "c W1", "h"), node("MatMul", "x W1", "k"), node("Add", "h k", "mixed"),
            node("MatMul", "x W1", "apart")]
        path, model = saved(
            folder, nodes, [("x", FLOAT, ["b", 5])], [("mixed", FLOAT, ["b", 4]), ("apart", FLOAT, ["b", 4])],
            {"W1": weights(5, 4)})
        data = {"x": weights(32, 5)}
        np.savez(folder / "d.npz", **data)
        errors = refusal(path, "--data", folder / "d.npz")
        assert "'mixed'" in errors and "--allow-mixed-samples" in errors, errors
        espalier("evaluate", path, "--data", folder / "d.npz", "--measure-output", "apart").succeeded()
        found = espalier_json(
            "evaluate", path, "--data", folder / "d.npz", "--allow-mixed-samples", "--measure-output", "mixed", "--loss",
            "self-mse", "--block-size", 32, "--remove", "4:1")
        base, cut = outputs(model, data)["mixed"], outputs(masked_model(model, [(4, 1)]), data)["mixed"]
        assert close(found["loss"], mean_loss(cut, "self-mse", data, base), 2e-5)


def test_two_workers_find_the_bits_of_none_with_losses_per_output_and_samples_in_another_dimension():
    with scratch() as folder:
        for name, make, arrays, options in (
                ("detector", detector, {"x": weights(64, 5)}, ("--shards", 2)),
                ("weighted", detector, {"x": weights(64, 5)}, ("--loss", "boxes=self-mae:0.1,scores=self-bce")),
                ("lstm", recurrent, {"x": weights(7, 48, 4), "h0": weights(1, 48, 4), "c0": weights(1, 48, 4)},
                 ("--shards", 3)),
                ("scalar", scalar_model, {"x": weights(48, 5), "alpha": np.float32(0.3)}, ("--loss", "self-cosine"))):
            path, _ = make(folder)
            np.savez(folder / f"{name}.npz", **arrays)
            found = []
            for workers in (0, 2):
                result = espalier_json(
                    "prune", path, "--data", folder / f"{name}.npz", "--candidates", "all", "--steps", 2, "--block-size", 8,
                    "--workers", workers, "--run", folder / f"run-{name}-{workers}", *options)
                found.append([(step["edge"], step["loss"]) for step in result["path"]])
                assert result["measuredOutputs"] and "constantPredictorLoss" in result
            assert found[0] == found[1] and found[0], (name, found)


def test_a_run_is_not_resumed_with_another_form_of_its_output():
    with scratch() as folder:
        nodes, inputs, results, constants = residual(TAILS["softmax"])
        path, _ = saved(folder, nodes, inputs, results, constants)
        np.savez(folder / "d.npz", x=weights(24, 5))
        call = ("prune", path, "--data", folder / "d.npz", "--steps", 1, "--workers", 0, "--run", folder / "run")
        espalier(*call).succeeded()
        answer = espalier(*call, "--resume", "--output-is", "logits")
        assert answer.code != 0 and "loss" in answer.errors, answer.errors
        settings = json.loads(json.dumps(espalier_json(*call, "--resume")))["measuredOutputs"]
        assert settings[0]["form"] == "probabilities"
