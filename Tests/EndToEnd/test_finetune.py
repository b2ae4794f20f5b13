"""Training what is left: the same weights whoever computes, files that ONNX Runtime agrees with, and bad input."""

import hashlib
import json
import pathlib
import signal
import time

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from interrupted import stopped
from program import EXAMPLES, close, espalier, espalier_json, example, scratch, start
from remote import Program, stage, succeeds
from test_full_disk import fill, small_disk

REMOVED = ("--remove", "31:0", "--remove", "5:0")
SHORT = ("--steps", 12, "--batch", 40, "--micro-batch", 8, "--validate-every", 5)


def held_out(name):
    return str(EXAMPLES / name / "held-out.npz")


def answers(path, data):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    archive = np.load(data)
    logits = session.run(None, {port.name: archive[port.name] for port in session.get_inputs()})[0]
    return logits.astype(np.float64), archive["labels"]


def cross_entropy(path, data, samples=None):
    """Loss and accuracy of a file on the first samples, in ONNX Runtime."""
    logits, labels = (array[:samples] for array in answers(path, data))
    largest = logits.max(1, keepdims=True)
    logarithm = largest[:, 0] + np.log(np.exp(logits - largest).sum(1))
    return (logarithm - logits[np.arange(len(labels)), labels]).mean(), (logits.argmax(1) == labels).mean()


def finetune(folder, *options, name="digits-resnet", run="run"):
    model, data = example(name)
    return espalier_json(
        "finetune", model, "--data", data, "--validation", held_out(name), "--run", run, *options, folder=folder)


def test_weights_are_the_same_for_any_number_of_workers():
    with scratch() as folder:
        found = [
            finetune(folder, *REMOVED, *SHORT, "--workers", workers, "--run", f"run{workers}")
            for workers in (0, 1, 2, 3, 8)]
        assert len({own["weights"] for own in found}) == 1, [own["weights"] for own in found]
        assert len({json.dumps(own["curve"]) for own in found}) == 1
        files = {(folder / f"run{workers}" / "trained.onnx").read_bytes() for workers in (0, 1, 2, 3, 8)}
        assert len(files) == 1
        # What the summary says is what the file does.
        chosen = next(p for p in found[0]["curve"]["points"] if p["step"] == found[0]["chosenStep"])
        loss, accuracy = cross_entropy(folder / "run0" / "trained.onnx", held_out("digits-resnet"))
        assert close(loss, chosen["validationLoss"], 1e-4, 1e-6), (loss, chosen)
        assert close(accuracy, chosen["validationAccuracy"])


def test_the_sha256_is_that_of_the_file_s_weights():
    with scratch() as folder:
        found = finetune(folder, *SHORT, "--workers", 0, "--keep", "last")
        told = espalier_json("inspect", example("digits-resnet")[0], "--parameters")["trainable"]
        model = onnx.load(folder / "run" / "trained.onnx")
        weights = {own.name: numpy_helper.to_array(own) for own in model.graph.initializer}
        whole = b"".join(weights[own["name"]].astype("<f4").tobytes() for own in told)
        assert hashlib.sha256(whole).hexdigest() == found["weights"]
        assert sum(int(np.prod(own["shape"])) for own in told) == found["trainedParameters"]


def test_a_killed_training_goes_on_and_ends_in_the_same_weights():
    with scratch() as folder:
        options = (*REMOVED, "--epochs", 12, "--optimizer", "sgd", "--flip", "--shift", 1, "--shards", 2)
        whole = finetune(folder, *options, "--workers", 0, "--run", "whole")
        model, data = example("digits-resnet")
        arguments = (
            "finetune", model, "--data", data, "--validation", held_out("digits-resnet"), *options, "--run", "run")
        for workers, sign in ((2, signal.SIGKILL), (0, signal.SIGTERM)):
            process = start(*arguments, "--workers", workers, *(["--resume"] if workers == 0 else []), folder=folder)
            deadline = time.monotonic() + 60
            before = (folder / "run" / "checkpoint").stat().st_mtime_ns if workers == 0 else 0
            while time.monotonic() < deadline and process.poll() is None:
                path = folder / "run" / "checkpoint"
                if path.exists() and path.stat().st_mtime_ns > before:
                    break
                time.sleep(0.02)
            process.send_signal(sign)
            process.communicate(timeout=60)
        ended = espalier_json(*arguments, "--workers", 1, "--resume", folder=folder)
        assert ended["weights"] == whole["weights"]
        assert ended["curve"] == whole["curve"]
        again = espalier_json(*arguments, "--workers", 0, "--resume", folder=folder)
        assert again["weights"] == whole["weights"]
        other = espalier(*arguments, "--rate", 0.5, "--resume", folder=folder)
        assert other.code == 65 and "rate" in other.errors, other.errors
        path = folder / "run" / "checkpoint"
        path.write_bytes(path.read_bytes()[:-1])
        damaged = espalier(*arguments, "--resume", folder=folder)
        assert damaged.code == 65 and "damaged" in damaged.errors, damaged.errors


def test_workers_that_come_from_elsewhere_and_die_change_nothing():
    with stage() as here:
        options = (*REMOVED, "--steps", 60, "--batch", 48, "--micro-batch", 8, "--shards", 2)
        model, data = example("digits-resnet")
        alone = espalier_json(
            "finetune", model, "--data", data, *options, "--workers", 0, "--run", "alone", folder=here.folder)
        coordinator = here.started(Program(
            "finetune", model, "--data", data, *options, "--run", "run", "--json", "found.json",
            "--bind", "tcp://127.0.0.1:0", "--keys", here.keys, folder=here.folder))
        first, second = here.worker(coordinator.endpoint), here.worker(coordinator.endpoint)
        coordinator.says("step 6")
        first.kill()
        third = here.worker(coordinator.endpoint)
        succeeds(coordinator, second, third)
        found = json.loads((here.folder / "found.json").read_text())
        assert found["weights"] == alone["weights"]


def test_a_pruned_model_regains_its_accuracy_from_its_teacher():
    with scratch() as folder:
        model, data = example("digits-resnet")
        espalier(
            "prune", model, "--data", data, "--steps", 5, "--workers", 0, "--run", "pruned", folder=folder).succeeded()
        pruned = folder / "pruned" / "pruned.onnx"
        before = cross_entropy(pruned, held_out("digits-resnet"))
        found = espalier_json(
            "finetune", pruned, "--data", data, "--validation", held_out("digits-resnet"), "--teacher", model,
            "--epochs", 20, "--workers", 0, "--output", "trained.onnx", folder=folder)
        loss, accuracy = cross_entropy(folder / "trained.onnx", held_out("digits-resnet"))
        whole = cross_entropy(model, held_out("digits-resnet"))
        assert accuracy >= whole[1] and loss < before[0], (before, (loss, accuracy), whole)
        assert found["teacher"] == model


def test_without_labels_the_teacher_alone_teaches():
    with scratch() as folder:
        model, data = example("digits-vit")
        inputs = {name: own for name, own in np.load(data).items() if name != "labels"}
        np.savez(folder / "unlabelled.npz", **inputs)
        held = np.load(held_out("digits-vit"))
        np.savez(folder / "held.npz", **{name: held[name] for name in inputs})
        removed = ("--remove", "127:1")
        found = espalier_json(
            "finetune", model, "--data", "unlabelled.npz", "--validation", "held.npz", *removed, "--epochs", 5,
            "--workers", 0, folder=folder)
        points = found["curve"]["points"]
        assert points[-1]["validationLoss"] < points[0]["validationLoss"] / 2, points
        assert found["recipe"]["objective"]["distillation"] == 1
        # A pruned file and another teacher come to the same as --remove, but for rounding.
        espalier(
            "evaluate", model, "--data", "unlabelled.npz", *removed, "--output", "pruned.onnx",
            folder=folder).succeeded()
        other = espalier_json(
            "finetune", "pruned.onnx", "--data", "unlabelled.npz", "--validation", "held.npz", "--teacher", model,
            "--epochs", 5, "--workers", 2, "--run", "other", folder=folder)
        for own, its in zip(points, other["curve"]["points"]):
            assert close(own["validationLoss"], its["validationLoss"], 1e-2, 1e-4), (own, its)
        # Its own teacher has nothing to say.
        nothing = espalier("finetune", model, "--data", "unlabelled.npz", "--run", "no", folder=folder)
        assert nothing.code == 65 and "nothing to learn" in nothing.errors, nothing.errors


def test_a_teacher_teaches_features_and_single_logits():
    """A softmax over one class says nothing: such outputs are taught by their numbers, or as sigmoids."""
    random = np.random.default_rng(3)
    with scratch() as folder:
        x = random.normal(size=(256, 6)).astype(np.float32)
        for name, width, shape in (("features", 8, [-1, 1, 1, 8]), ("logit", 1, [-1, 1])):
            first, last = (random.normal(size=size).astype(np.float32) for size in ((6, 12), (12, width)))
            for role, given in (("teacher", last), ("student", last * 0.5)):
                nodes = [
                    helper.make_node("MatMul", ["x", "w"], ["h"]), helper.make_node("Relu", ["h"], ["r"]),
                    helper.make_node("MatMul", ["r", "v"], ["m"]), helper.make_node("Reshape", ["m", "s"], ["y"])]
                graph = helper.make_graph(
                    nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 6])],
                    [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", *shape[1:]])],
                    [numpy_helper.from_array(array, key) for key, array in (
                        ("w", first), ("v", given), ("s", np.array(shape)))])
                onnx.save(helper.make_model(
                    graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), folder / f"{name}-{role}.onnx")
            labels = (np.maximum(x @ first, 0) @ last > 0).astype(np.int64)
            np.savez(folder / "x.npz", x=x)
            np.savez(folder / "labelled.npz", x=x, labels=labels[:, 0])
            for data, options in (("x.npz", ()), *((("labelled.npz", ("--loss", "bce", "--distill", "1")),) if width == 1 else ())):
                points = espalier_json(
                    "finetune", f"{name}-student.onnx", "--teacher", f"{name}-teacher.onnx", "--data", data, "--validation",
                    "x.npz" if data == "x.npz" else data, "--steps", 150, "--rate", 0.03, "--workers", 0,
                    "--run", f"{name}-{data}-run", *options, folder=folder)["curve"]["points"]
                # The labels are the signs of the teacher's logits, which itself loses something by them.
                assert points[-1]["validationLoss"] < points[0]["validationLoss"] * (0.5 if data == "x.npz" else 0.7), points


def test_a_fresh_head_learns_other_classes():
    with scratch() as folder:
        for name in ("digits-resnet", "digits-vit"):
            model, data = example(name)
            for part, path in (("train", data), ("held", held_out(name))):
                archive = np.load(path)
                chosen = archive["labels"] >= 5
                np.savez(
                    folder / f"{part}.npz",
                    **{k: own[chosen] - (5 if k == "labels" else 0) for k, own in archive.items()})
            found = espalier_json(
                "finetune", model, "--data", "train.npz", "--validation", "held.npz", "--head", 5, "--epochs", 20,
                "--workers", 0, "--run", f"run-{name}", folder=folder)
            trained = folder / f"run-{name}" / "trained.onnx"
            assert onnx.load(trained).graph.output[0].type.tensor_type.shape.dim[-1].dim_value == 5
            loss, accuracy = cross_entropy(trained, folder / "held.npz")
            assert accuracy > 0.9, (name, accuracy)
            points = found["curve"]["points"]
            assert points[0]["validationAccuracy"] < 0.6
            espalier("run", trained, "--data", "held.npz", "--output", "out.npz", folder=folder).succeeded()
            # Another head in the same folder is refused, and what is there stays.
            begun = (folder / f"run-{name}" / "start.onnx").read_bytes()
            other = espalier(
                "finetune", model, "--data", "train.npz", "--head", 7, "--run", f"run-{name}", folder=folder)
            assert other.code == 65 and "--resume" in other.errors, other.errors
            assert (folder / f"run-{name}" / "start.onnx").read_bytes() == begun


def test_chosen_parameters_are_trained_and_others_stay():
    with scratch() as folder:
        finetune(folder, *SHORT, "--workers", 0, "--train", "^head", "--keep", "last")
        before = {own.name: numpy_helper.to_array(own) for own in onnx.load(example("digits-resnet")[0]).graph.initializer}
        after = {
            own.name: numpy_helper.to_array(own)
            for own in onnx.load(folder / "run" / "trained.onnx").graph.initializer}
        changed = {name for name in before if not np.array_equal(before[name], after[name])}
        assert changed == {"head.weight", "head.bias"}, changed


def test_bad_input_is_one_sentence():
    with scratch() as folder:
        model, data = example("digits-resnet")
        archive = dict(np.load(data))

        def refused(text, *options, data=data, model=model, code=65):
            answer = espalier("finetune", model, "--data", data, "--run", "run", *options, folder=folder)
            assert answer.code == code and text in answer.errors, (text, answer.code, answer.errors)
            assert answer.errors.count("\n") <= 4 or code == 64, answer.errors
            assert not (folder / "run" / "trained.onnx").exists()

        refused("outside the model's 5 classes", "--head", 5)
        name = next(name for name in archive if name != "labels")
        np.savez(folder / "wide.npz", **{**archive, name: archive[name][:, :, :, :6]})
        refused("wide.npz", data="wide.npz")
        refused("the patterns leave none of its 44 parameters", "--freeze", ".")
        refused("no regular expression", "--train", "(")
        refused("diverges", "--optimizer", "sgd", "--rate", 1e9, "--clip", 0, "--workers", 0)
        refused("--distill needs a teacher", "--distill", 0.5, "--run", "other")
        refused("--epochs and --steps exclude each other", "--epochs", 2, "--steps", 3, code=64)
        refused("exclude each other", "--head", 5, "--teacher", model, code=64)
        # Quantised weights are whole numbers, which no gradient changes.
        graph = helper.make_graph(
            [
                helper.make_node("DequantizeLinear", ["w", "scale"], ["weight"]),
                helper.make_node("MatMul", ["x", "weight"], ["y"])],
            "quantised", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 4])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 3])],
            [
                numpy_helper.from_array(np.arange(12, dtype=np.int8).reshape(4, 3), "w"),
                numpy_helper.from_array(np.float32(0.1), "scale")])
        onnx.save(
            helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8),
            folder / "quantised.onnx")
        np.savez(folder / "x.npz", x=np.ones((8, 4), np.float32), labels=np.zeros(8, np.int64))
        refused("quantised", data="x.npz", model="quantised.onnx", *())


def test_samples_that_serve_twice_are_told():
    with scratch() as folder:
        model, data = example("digits-resnet")
        answer = espalier(
            "finetune", model, "--data", data, "--validation", data, *SHORT, "--workers", 0, folder=folder).succeeded()
        assert "512 of the 512 validation samples are trained on" in answer.errors
        assert "512 of the 512 validation samples are trained on" in answer.output


def loss_on_128(path):
    """Loss on the first 128 held-out digits, in ONNX Runtime."""
    return cross_entropy(path, held_out("digits-resnet"), 128)[0]


def test_a_short_training_decides_in_the_search():
    with scratch() as folder:
        model, data = example("digits-resnet")
        options = (
            "--recover", "least-squares+train:10", "--train-data", data, "--shortlist", 2, "--audit", 1, "--steps", 2,
            "--samples", 128)
        found = [
            espalier_json(
                "prune", model, "--data", held_out("digits-resnet"), *options, "--workers", workers, "--run",
                f"run{workers}", folder=folder)
            for workers in (0, 2)]
        assert (folder / "run0" / "path.csv").read_bytes() == (folder / "run2" / "path.csv").read_bytes()
        pruned = folder / "run0" / "pruned.onnx"
        assert pruned.read_bytes() == (folder / "run2" / "pruned.onnx").read_bytes()
        # The file has the trained weights: it loses on the same samples what the search says.
        loss, told = loss_on_128(pruned), found[0]["path"][-1]["loss"]
        assert close(loss, told, 1e-3, 1e-5), (loss, told)
        # A coordinator that is killed when the first step's weights are known goes on from them.
        killed = (
            "prune", model, "--data", held_out("digits-resnet"), *options, "--workers", 2, "--run", "killed")
        code, _ = stopped(killed, folder / "killed", lambda counts: counts.get(2, 0) >= 1, signal.SIGKILL, folder)
        assert code == -signal.SIGKILL
        espalier(*killed, "--resume", folder=folder).succeeded()
        assert (folder / "killed" / "pruned.onnx").read_bytes() == pruned.read_bytes()
        exported = espalier("export", "run0", "--step", 2, "--output", "again.onnx", folder=folder).succeeded()
        assert (folder / "again.onnx").read_bytes() == pruned.read_bytes(), exported.errors


def test_a_step_starts_from_the_weights_of_the_one_before():
    with scratch() as folder:
        model, data = example("digits-resnet")
        found = espalier_json(
            "prune", model, "--data", held_out("digits-resnet"), "--train-data", data, "--recover", "train:6",
            "--shortlist", 1, "--audit", 0, "--steps", 2, "--samples", 128, "--export-step", 1, "--run", "run",
            folder=folder)
        first, second = found["path"]
        assert first["weights"] != second["weights"], found["path"]
        # The same by hand: the first step's file, without what the second removes, trained by the same recipe.
        node = second["edge"]["consumer"]
        edges = espalier_json("inspect", "run/step-1.onnx", "--candidates", "all", folder=folder)["candidates"]
        unit = next(
            f"{own['node']}:{own['slot']}" for own in edges
            if own["consumer"] == node and own["slot"] == second["edge"]["slot"])
        recipe = (
            "--steps", 6, "--batch", 64, "--micro-batch", 64, "--optimizer", "adamw", "--rate", 0.001, "--warmup", 0,
            "--weight-decay", 0.01, "--clip", 1, "--distill", 0.5, "--temperature", 2, "--seed", 0, "--keep", "last")
        espalier(
            "finetune", "run/step-1.onnx", "--remove", unit, "--data", data, "--teacher", model, *recipe, "--workers", 0,
            "--run", "by-hand", "--output", "by-hand.onnx", folder=folder).succeeded()
        told = [first["loss"], second["loss"]]
        assert close(loss_on_128(folder / "run" / "step-1.onnx"), told[0], 1e-4, 1e-6), told
        assert close(loss_on_128(folder / "run" / "pruned.onnx"), told[1], 1e-4, 1e-6), told
        assert close(loss_on_128(folder / "by-hand.onnx"), told[1], 2e-3, 1e-6), (loss_on_128(folder / "by-hand.onnx"), told)
        # From the model's own weights it comes to something else.
        alone = espalier_json(
            "evaluate", model, "--data", held_out("digits-resnet"), "--samples", 128, "--train-data", data, "--recover",
            "train:6", *(
                word for step in (first, second)
                for word in ("--remove", f"{step['edge']['node']}:{step['edge']['slot']}")),
            folder=folder)
        assert not close(alone["loss"], told[1], 2e-2, 1e-6), (alone["loss"], told)


def test_repeats_choose_by_their_mean_and_leave_the_first_weights():
    with scratch() as folder:
        model, data = example("digits-resnet")
        common = (
            "prune", model, "--data", held_out("digits-resnet"), "--samples", 128, "--train-data", data, "--recover",
            "train:4x3", "--shortlist", 4, "--audit", 0, "--steps", 1)
        found = [
            espalier_json(*common, "--workers", workers, "--run", f"run{workers}", folder=folder)
            for workers in (0, 2)]
        step = found[0]["path"][0]
        assert step == found[1]["path"][0]
        assert (folder / "run0" / "pruned.onnx").read_bytes() == (folder / "run2" / "pruned.onnx").read_bytes()
        assert close(loss_on_128(folder / "run0" / "pruned.onnx"), step["loss"], 1e-4, 1e-6), step
        assert step["meanLoss"] != step["loss"], step
        rung, = found[0]["screening"]["levels"][0]["rungs"]
        assert rung["from"] == "at the cut" and rung["to"] == "train:4x3" and rung["compared"] == 4, rung
        assert -1 <= rung["kendall"] <= 1 and rung["regret"] >= 0, rung


def test_what_no_gradient_reaches_is_named():
    with scratch() as folder:
        random = np.random.default_rng(0)
        graph = helper.make_graph(
            [
                helper.make_node("MatMul", ["x", "first"], ["h"]), helper.make_node("Round", ["h"], ["r"], name="steps"),
                helper.make_node("MatMul", ["r", "second"], ["y"])],
            "rounded", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 4])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 3])],
            [
                numpy_helper.from_array(random.standard_normal((4, 5)).astype(np.float32) * 3, "first"),
                numpy_helper.from_array(random.standard_normal((5, 3)).astype(np.float32), "second")])
        onnx.save(
            helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), folder / "model.onnx")
        np.savez(
            folder / "data.npz", x=random.standard_normal((32, 4)).astype(np.float32),
            labels=random.integers(0, 3, 32))
        options = ("finetune", "model.onnx", "--data", "data.npz", "--steps", 3, "--workers", 0, "--run")
        answer = espalier(*options, "run", folder=folder).succeeded()
        assert "no gradient reaches 1 of 2 parameters, 'first' among them: node 1 (steps, Round)" in answer.errors, (
            answer.errors)


def test_a_full_disk_pauses_a_training():
    with scratch() as folder, small_disk(folder) as disk:
        model, data = example("digits-resnet")
        options = (
            "finetune", model, "--data", data, "--steps", 40, "--batch", 256, "--validate-every", 2, "--workers", 0)
        whole = espalier_json(*options, "--run", "whole", folder=folder)
        coordinator = Program(*options, "--run", disk / "run", "--json", folder / "found.json", folder=folder)
        coordinator.says("step 2")
        filler = fill(disk)
        coordinator.says("disk full: paused")
        assert coordinator.process.poll() is None
        filler.unlink()
        assert coordinator.end(120) == 0, coordinator.errors
        found = json.loads((folder / "found.json").read_text())
        assert found["weights"] == whole["weights"] and found["curve"] == whole["curve"]


def test_strategies_have_recoveries_of_their_own_in_a_comparison():
    with scratch() as folder:
        model, data = example("digits-resnet")
        common = ("--data", held_out("digits-resnet"), "--samples", 96, "--steps", 2, "--workers", 0)
        rungs = {"": (), "+least-squares": ("--fit-data", data), "+train:5": ("--train-data", data)}
        compared = espalier_json(
            "compare", model, *common, "--train-data", data, "--recover", "train:5", "--objective", "signed",
            "--strategies", "greedy+none,greedy+least-squares,greedy+train:5", "--report", "page.html", folder=folder)
        found = {own["strategy"]: [step["measured"]["loss"] for step in own["path"]] for own in compared["strategies"]}
        for suffix, options in rungs.items():
            alone = espalier_json(
                "prune", model, *common, *options, "--recover", suffix[1:] or "none", "--objective", "signed", "--run",
                f"run{suffix}", folder=folder)
            expected = [step["loss"] for step in alone["path"]]
            assert found["greedy" + (suffix or "+none")] == expected, (suffix, found, expected)
        # The report says what adapts, and has the losses before that and how criteria agree with those after it.
        page = (folder / "page.html").read_text()
        assert "adapts to its removals by train:5" in page and "Kendall's τ compares two orders" in page
        for entry in compared["strategies"]:
            for step in entry["path"]:
                cut = step.get("lossAtCut")
                assert cut is None or f'<td class="number">{cut:.4g}</td>' in page, (entry["strategy"], step)
        for agreement in compared["agreements"]:
            assert f">{agreement['criterion']}</td>" in page, agreement


def test_a_long_training_leaves_no_weights_behind():
    with stage() as here:
        model, data = example("digits-resnet")
        coordinator = here.started(Program(
            "finetune", model, "--data", data, "--steps", 60, "--batch", 16, "--micro-batch", 8, "--run", "run",
            "--bind", "tcp://127.0.0.1:0", "--keys", here.keys, folder=here.folder))
        workers = [here.worker(coordinator.endpoint, "--log-level", "info") for _ in range(2)]
        coordinator.says("step 30")
        opened = [len(list(pathlib.Path(f"/proc/{worker.process.pid}/fd").iterdir())) for worker in workers]
        coordinator.says("step 54")
        later = [len(list(pathlib.Path(f"/proc/{worker.process.pid}/fd").iterdir())) for worker in workers]
        assert all(end <= begin + 6 for begin, end in zip(opened, later)), (opened, later)
        succeeds(coordinator, *workers)
        # The model, the data, the reference block and its weights, and those of the last steps.
        kept = list((here.folder / "cache" / "contents").iterdir())
        assert len(kept) < 12, kept


def test_halving_drops_what_shorter_trainings_leave_behind():
    with scratch() as folder:
        model, data = example("digits-resnet")
        common = (
            "prune", model, "--data", held_out("digits-resnet"), "--samples", 96, "--train-data", data, "--recover",
            "train:8", "--objective", "signed", "--steps", 1, "--shortlist", 4, "--audit", 0)
        found = [
            espalier_json(*common, "--halving", "2,4", "--workers", workers, "--run", f"run{workers}", folder=folder)
            for workers in (0, 2)]
        assert found[0]["path"] == found[1]["path"]
        level = found[0]["screening"]["levels"][0]
        # By hand: the four best at the cut, two of them after two steps, one after four.
        edges = [
            f"{own['node']}:{own['slot']}"
            for own in espalier_json("inspect", model, "--candidates", "blocks")["candidates"]]
        assert level["measured"] == 1 and level["measured"] + level["skipped"] == len(edges), level
        left = edges
        for rung, count in (("none", 4), ("train:2", 2), ("train:4", 1)):
            (folder / "masks.txt").write_text("\n".join(left) + "\n")
            trained = () if rung == "none" else ("--recover", rung, "--train-data", data)
            measured = espalier_json(
                "evaluate", model, "--data", held_out("digits-resnet"), "--samples", 96, "--masks", "masks.txt", *trained,
                folder=folder)
            order = sorted(zip((own["loss"] for own in measured), left))
            left = [edge for _, edge in order[:count]]
        step = found[0]["path"][0]["edge"]
        assert f"{step['node']}:{step['slot']}" == left[0], (step, left)
        refused = espalier(*common, "--halving", "4,2", folder=folder)
        assert refused.code == 64 and "ascending" in refused.errors


def test_gradients_of_large_models_travel():
    with scratch() as folder:
        random = np.random.default_rng(0)
        # NonZero gives a value whose size nobody knows beforehand.
        graph = helper.make_graph(
            [
                helper.make_node("MatMul", ["x", "wide"], ["h"]), helper.make_node("MatMul", ["h", "narrow"], ["y"]),
                helper.make_node("NonZero", ["x"], ["places"]), helper.make_node("Shape", ["places"], ["size"]),
                helper.make_node("Cast", ["size"], ["numbers"], to=TensorProto.FLOAT),
                helper.make_node("ReduceSum", ["numbers"], ["number"], keepdims=0),
                helper.make_node("Mul", ["number", "nothing"], ["zero"]), helper.make_node("Add", ["y", "zero"], ["z"])],
            "large", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 2000])],
            [helper.make_tensor_value_info("z", TensorProto.FLOAT, [None, 3])],
            [
                numpy_helper.from_array(random.standard_normal((2000, 7000)).astype(np.float32) / 50, "wide"),
                numpy_helper.from_array(random.standard_normal((7000, 3)).astype(np.float32) / 90, "narrow"),
                numpy_helper.from_array(np.float32(0), "nothing")])
        onnx.save(
            helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), folder / "model.onnx")
        np.savez(
            folder / "data.npz", x=random.standard_normal((8, 2000)).astype(np.float32),
            labels=random.integers(0, 3, 8))
        found = [
            espalier_json(
                "finetune", "model.onnx", "--data", "data.npz", "--steps", 2, "--batch", 4, "--micro-batch", 2, "--workers",
                workers, "--run", f"run{workers}", folder=folder)
            for workers in (0, 1)]
        assert found[0]["weights"] == found[1]["weights"]


def batch_norm_network(folder, random, is_folded):
    """A network of one convolution, with its batch normalisation folded into it or behind it, and its data."""
    arrays = {
        "kernel": random.standard_normal((5, 3, 1, 1)), "matrix": random.standard_normal((4, 5)) / 2,
        "offset": random.standard_normal(4) / 2}
    if is_folded:
        arrays["bias"] = random.standard_normal(5)
        nodes = [helper.make_node("Conv", ["x", "kernel", "bias"], ["n"])]
    else:
        arrays |= {
            "scale": random.uniform(0.5, 1.5, 5), "shift": random.standard_normal(5), "mean": random.standard_normal(5),
            "variance": random.uniform(0.5, 1.5, 5)}
        nodes = [
            helper.make_node("Conv", ["x", "kernel"], ["c"]),
            helper.make_node("BatchNormalization", ["c", "scale", "shift", "mean", "variance"], ["n"], epsilon=1e-3)]
    nodes += [
        helper.make_node("Relu", ["n"], ["r"]), helper.make_node("GlobalAveragePool", ["r"], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"]), helper.make_node("Gemm", ["f", "matrix", "offset"], ["y"], transB=1)]
    arrays = {name: array.astype(np.float32) for name, array in arrays.items()}
    graph = helper.make_graph(
        nodes, "normalised", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 3, 4, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 4])],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()])
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), folder / "model.onnx")
    images, labels = random.standard_normal((8, 3, 4, 4)).astype(np.float32), random.integers(0, 4, 8)
    np.savez(folder / "data.npz", x=images, labels=labels)
    return {name: array.astype(np.float64) for name, array in arrays.items()}, images.astype(np.float64), labels


def test_batch_normalisation_is_put_back_and_folded_again():
    """Against NumPy in double precision: PyTorch's layer in training, gradients by finite differences."""
    for is_folded in (True, False):
        with scratch() as folder:
            epsilon, rate, momentum = (1e-5 if is_folded else 1e-3), 0.1, 0.9
            arrays, images, labels = batch_norm_network(folder, np.random.default_rng(3), is_folded)
            options = (
                "finetune", "model.onnx", "--data", "data.npz", "--batch", 8, "--micro-batch", 8, "--optimizer", "sgd",
                "--rate", rate, "--momentum", momentum, "--schedule", "constant", "--warmup", 0, "--weight-decay", 0, "--clip",
                0, "--batch-norm", "--workers", 0)
            steps = 3
            espalier(*options, "--steps", steps, "--run", "run", "--output", "trained.onnx", folder=folder).succeeded()

            def convolved(own):
                return np.einsum("oi,nihw->nohw", own["kernel"][:, :, 0, 0], images)

            def loss(own):
                values = convolved(own)
                mean, variance = values.mean((0, 2, 3)), values.var((0, 2, 3))
                normal = (values - mean[:, None, None]) / np.sqrt(variance + epsilon)[:, None, None]
                values = np.maximum(normal * own["scale"][:, None, None] + own["shift"][:, None, None], 0).mean((2, 3))
                logits = values @ own["matrix"].T + own["offset"]
                return (np.log(np.exp(logits).sum(1)) - logits[np.arange(8), labels]).mean()

            if is_folded:
                # What makes the normalisation nothing on the data.
                values = convolved(arrays)
                arrays["mean"], arrays["variance"] = values.mean((0, 2, 3)), values.var((0, 2, 3), ddof=1)
                arrays["scale"] = np.sqrt(arrays["variance"] + epsilon)
                arrays["shift"] = arrays["mean"] + arrays.pop("bias")
            trained = ("kernel", "matrix", "offset", "scale", "shift")
            velocity = {name: np.zeros_like(arrays[name]) for name in trained}
            for _ in range(steps):
                slopes = {}
                for name in trained:
                    slopes[name] = np.zeros_like(arrays[name])
                    for place in np.ndindex(arrays[name].shape):
                        change = {**arrays, name: arrays[name].copy()}
                        change[name][place] += 1e-6
                        above = loss(change)
                        change[name][place] -= 2e-6
                        slopes[name][place] = (above - loss(change)) / 2e-6
                values = convolved(arrays)
                arrays["mean"] += 0.1 * (values.mean((0, 2, 3)) - arrays["mean"])
                arrays["variance"] += 0.1 * (values.var((0, 2, 3), ddof=1) - arrays["variance"])
                for name in trained:
                    velocity[name] = momentum * velocity[name] + slopes[name]
                    arrays[name] = arrays[name] - rate * velocity[name]
            if is_folded:
                factor = arrays["scale"] / np.sqrt(arrays["variance"] + epsilon)
                arrays["kernel"] = arrays["kernel"] * factor[:, None, None, None]
                arrays["bias"] = arrays["shift"] - arrays["mean"] * factor
            found = {
                tensor.name: numpy_helper.to_array(tensor)
                for tensor in onnx.load(folder / "trained.onnx").graph.initializer}
            assert ("bias" in found) == is_folded and ("variance" in found) != is_folded, found.keys()
            for name, array in found.items():
                assert np.abs(array - arrays[name]).max() < 2e-5, (name, array, arrays[name])


def test_batch_normalisation_needs_a_layer():
    with scratch() as folder:
        model, data = example("digits-vit")
        answer = espalier("finetune", model, "--data", data, "--batch-norm", "--freeze", "embed|patch", folder=folder)
        assert answer.code == 65 and "--batch-norm has nothing to do" in answer.errors, answer.errors


def test_batch_statistics_are_the_same_for_any_number_of_workers():
    with scratch() as folder:
        found = [
            finetune(folder, "--steps", 8, "--batch-norm", "--workers", workers, run=f"run{workers}")
            for workers in (0, 1, 3)]
        assert found[0]["batchNorms"] > 0
        assert len({own["weights"] for own in found}) == 1, [own["weights"] for own in found]
