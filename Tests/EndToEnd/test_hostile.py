"""Files that are made to crash, to hang or to fill the memory: one sentence and exit 65, or an answer, soon."""

import os
import resource
import subprocess
import time

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from program import command, environment, espalier, espalier_json, scratch

FLOAT = TensorProto.FLOAT


def model(path, nodes, arrays=(), outputs=("y",), width=4):
    """A model of x [?, width] that nobody would train."""
    graph = helper.make_graph(
        nodes, "hostile", [helper.make_tensor_value_info("x", FLOAT, [None, width])],
        [helper.make_tensor_value_info(name, FLOAT, None) for name in outputs],
        [numpy_helper.from_array(array, name) for name, array in arrays])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def data(folder, samples=8):
    np.savez(folder / "x.npz", x=np.random.default_rng(0).random((samples, 4)).astype(np.float32))


def bounded(*arguments, folder, seconds=60, memory=6 << 30):
    """Code, sentence and seconds of a call that may take so much time and address space."""
    begun = time.monotonic()
    try:
        done = subprocess.run(
            command(*arguments), cwd=folder, env=environment(), capture_output=True, text=True, timeout=seconds,
            errors="replace", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (memory, memory)))
    except subprocess.TimeoutExpired:
        raise AssertionError(f"{arguments} took more than {seconds} seconds") from None
    return done.returncode, done.stderr, time.monotonic() - begun


def doubling(count):
    nodes = [helper.make_node("Concat", [f"k{i}" if i else "k"] * 2, [f"k{i + 1}"], axis=0) for i in range(count)]
    return nodes + [
        helper.make_node("ReduceSum", [f"k{count}"], ["d"], keepdims=0), helper.make_node("Add", ["x", "d"], ["y"])]


def test_models_that_cannot_be_are_told_in_a_sentence():
    with scratch() as folder:
        data(folder)
        model(folder / "none.onnx", [helper.make_node("Relu", ["x"], ["y"])], outputs=())
        model(folder / "doubling.onnx", doubling(40), [("k", np.ones(4, np.float32))])
        for name, reason in (("none", "the model has none"), ("doubling", "more than a model may grow to")):
            for call in (("inspect", f"{name}.onnx"), ("evaluate", f"{name}.onnx", "--data", "x.npz")):
                code, errors, _ = bounded(*call, folder=folder)
                assert code in ((65,) if name == "none" or call[0] == "evaluate" else (0, 65)), (call, code, errors)
                assert code == 0 or reason in errors, (call, errors)
                assert "Backtrace" not in errors and len(errors) < 4000, errors[:500]


def test_models_that_never_ran_are_told_in_a_sentence():
    """What the rules read of a file that no run has checked: found by fuzzing whole inspects."""
    huge = helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[2 ** 40, 2 ** 40])
    beyond = helper.make_node("ReduceSum", ["k", "axes"], ["r"], keepdims=1)
    beyond_softmax = helper.make_node("Softmax", ["k"], ["r"], axis=7)
    indices = helper.make_node("Gather", ["x", "x"], ["y"], name="picked")
    growing = [
        helper.make_node("Cast", ["x"], ["i0"], to=TensorProto.INT64), *(
            helper.make_node("Concat", [f"i{step}"] * 64, [f"i{step + 1}"], axis=1) for step in range(6)),
        helper.make_node("ReduceMax", ["i6"], ["y"])]
    added = helper.make_node("Add", ["x", "r"], ["y"])
    constant = [("k", np.ones((2, 4), np.float32)), ("axes", np.array([5]))]
    empty = [
        helper.make_node("ConstantOfShape", ["s"], ["none"]), helper.make_node("Flatten", ["none"], ["flat"], axis=3),
        helper.make_node("ReduceSum", ["flat"], ["r"], keepdims=1), helper.make_node("Add", ["x", "r"], ["y"])]
    with scratch() as folder:
        data(folder)
        for name, nodes, arrays, reason in (
                ("huge", [huge], [], "MaxPool"), ("beyond", [beyond, added], constant, "ReduceSum"),
                ("softmax", [beyond_softmax, added], constant, "Softmax"), ("indices", [indices], [], "picked"),
                ("growing", growing, [], "Concat"),
                ("empty", empty, [("s", np.array([0, 2**40, 2**40]))], "ConstantOfShape")):
            model(folder / f"{name}.onnx", nodes, arrays)
            code, errors, _ = bounded(
                "inspect", f"{name}.onnx", "--units", "edges,layers,channels", "--json", "told.json", folder=folder,
                memory=40 << 30)
            told = (folder / "told.json").read_text() if code == 0 else errors
            assert code in (0, 65) and reason in told and "Backtrace" not in errors, (name, code, errors[:500], told[:500])
            code, errors, _ = bounded("evaluate", f"{name}.onnx", "--data", "x.npz", folder=folder)
            assert code in (65, 71) and reason in errors and "Backtrace" not in errors, (name, code, errors[:500])


def test_operands_of_two_types_are_refused():
    """Found by fuzzing: a file that the standard forbids, whose numbers hung on which of the two was removed."""
    levels = helper.make_node("DynamicQuantizeLinear", ["x"], ["levels", "scale", "zero"])
    with scratch() as folder:
        data(folder)
        for name, node in {
            "Sub": helper.make_node("Sub", ["x", "levels"], ["y"]),
            "Where": helper.make_node("Where", ["flags", "x", "levels"], ["y"]),
            "Concat": helper.make_node("Concat", ["x", "levels"], ["y"], axis=0),
            "Max": helper.make_node("Max", ["x", "levels"], ["y"]),
            "PRelu": helper.make_node("PRelu", ["x", "levels"], ["y"]),
        }.items():
            model(
                folder / "mixed.onnx", [
                    helper.make_node("Greater", ["x", "x"], ["flags"]), levels, node])
            code, errors, _ = bounded("evaluate", "mixed.onnx", "--data", "x.npz", folder=folder)
            assert code == 65 and name in errors and "float32" in errors and "uint8" in errors, (name, code, errors)
        for operation, operands, wanted in (
                ("And", ["x", "x"], "truth values"), ("Log", ["levels"], "floating-point numbers"),
                ("Softmax", ["levels"], "floating-point numbers"), ("BitwiseNot", ["x"], "whole numbers")):
            model(
                folder / "mixed.onnx", [
                    levels, helper.make_node(operation, operands, ["z"]),
                    helper.make_node("Cast", ["z"], ["y"], to=FLOAT)])
            code, errors, _ = bounded("evaluate", "mixed.onnx", "--data", "x.npz", folder=folder)
            assert code == 65 and operation in errors and wanted in errors, (operation, code, errors)
        model(
            folder / "mixed.onnx", [helper.make_node("Gemm", ["x", "x", "c"], ["y"], transB=1, beta=0.0)],
            [("c", np.ones(5, np.float32))])
        code, errors, _ = bounded("run", "mixed.onnx", "--data", "x.npz", "--output", "y.npz", folder=folder)
        assert code == 65 and "Gemm" in errors and "[5]" in errors, (code, errors)


def test_a_model_of_nans_is_told_from_a_defect():
    """Found by fuzzing: a removed factor times NaN is NaN, and the pruned file has no product."""
    with scratch() as folder:
        np.savez(folder / "x.npz", x=np.random.default_rng(0).standard_normal((8, 4)).astype(np.float32))
        model(folder / "roots.onnx", [
            helper.make_node("Sqrt", ["x"], ["root"]), helper.make_node("Mul", ["x", "root"], ["y"])])
        code, errors, _ = bounded(
            "evaluate", "roots.onnx", "--data", "x.npz", "--remove", "1:0", "--output", "out.onnx", folder=folder)
        assert code == 65 and "'y'" in errors and "NaN" in errors and "defect" not in errors, (code, errors)
        assert not (folder / "out.onnx").exists()


def test_what_only_looks_impossible_is_computed_as_elsewhere():
    with scratch() as folder:
        rows = np.array([[1, 2, 3, 5], [0, 7, 2, 9]], np.float32)
        np.savez(folder / "x.npz", x=rows)
        least = np.array([-2**63], np.int64)
        integers = [
            ("least", least), ("one", np.array([-1], np.int64)), ("two", np.array([2], np.int64)),
            ("start", np.array([3], np.int64)), ("axis", np.array([1], np.int64)), ("shift", np.array([200], np.uint32)),
            ("odd", np.array([2**24 + 1], np.int64)), ("even", np.array([2**24], np.int64)),
            ("large", np.array([2**60], np.int64))]
        cases = {
            "slice": [helper.make_node("Slice", ["x", "start", "least", "axis", "one"], ["y"])],
            "step": [helper.make_node("Slice", ["x", "start", "two", "axis", "least"], ["y"])],
            "remainder": [
                helper.make_node("Mod", ["odd", "large"], ["r"]), helper.make_node("Sub", ["r", "even"], ["s"]),
                helper.make_node("Cast", ["s"], ["c"], to=FLOAT), helper.make_node("Mul", ["x", "c"], ["y"])],
            "shift": [
                helper.make_node("Cast", ["x"], ["u"], to=TensorProto.UINT32),
                helper.make_node("BitShift", ["u", "shift"], ["w"], direction="LEFT"),
                helper.make_node("Cast", ["w"], ["y"], to=FLOAT)]}
        for name, nodes in cases.items():
            model(folder / f"{name}.onnx", nodes, integers)
            espalier("run", f"{name}.onnx", "--data", "x.npz", "--output", f"{name}.npz", folder=folder).succeeded()
            options = onnxruntime.SessionOptions()
            options.log_severity_level = 3
            session = onnxruntime.InferenceSession(str(folder / f"{name}.onnx"), options)
            wanted = session.run(None, {"x": rows})[0]
            assert np.array_equal(np.load(folder / f"{name}.npz")["y"], wanted), name
        # ONNX Runtime itself ends with a signal here: the least whole number has no opposite.
        for operation, wanted in (("Div", -2.0**63), ("Mod", 0)):
            model(
                folder / "least.onnx", [
                    helper.make_node(operation, ["least", "one"], ["q"]), helper.make_node("Cast", ["q"], ["c"], to=FLOAT),
                    helper.make_node("Mul", ["x", "zero"], ["z"]), helper.make_node("Add", ["z", "c"], ["y"])],
                [*integers, ("zero", np.float32(0))])
            espalier("inspect", "least.onnx", folder=folder).succeeded()
            espalier("run", "least.onnx", "--data", "x.npz", "--output", "least.npz", folder=folder).succeeded()
            assert np.array_equal(np.load(folder / "least.npz")["y"], np.full((2, 4), wanted, np.float32)), operation


def test_time_and_memory_grow_with_the_file():
    with scratch() as folder:
        data(folder)
        # 40,000 by 40,000 ones, of which one number is kept.
        model(
            folder / "ones.onnx", [
                helper.make_node("ConstantOfShape", ["shape"], ["c"]), helper.make_node("ReduceSum", ["c"], ["d"], keepdims=0),
                helper.make_node("Add", ["x", "d"], ["y"])], [("shape", np.array([40000, 40000], np.int64))])
        model(
            folder / "concat.onnx", [
                helper.make_node("Concat", ["x"] * 500_000, ["c"], axis=1),
                helper.make_node("ReduceMean", ["c"], ["y"], axes=[1])])
        chain = []
        for step in range(20_000):
            before = f"a{step - 1}" if step else "x"
            chain += [
                helper.make_node("Relu", [before], [f"r{step}"]), helper.make_node("Add", [before, f"r{step}"], [f"a{step}"])]
        model(folder / "chain.onnx", [*chain, helper.make_node("Identity", ["a19999"], ["y"])])
        for name in ("ones", "concat", "chain"):
            for call in (("inspect", f"{name}.onnx"), ("evaluate", f"{name}.onnx", "--data", "x.npz")):
                code, errors, took = bounded(*call, folder=folder)
                # An hour of quadratic growth is far beyond; a loaded machine is not.
                assert code == 0, (call, code, errors, took)


def test_values_that_double_stop_within_the_memory_named():
    with scratch() as folder:
        data(folder)
        chain = [
            helper.make_node("Concat", [f"d{step}" if step else "x"] * 2, [f"d{step + 1}"], axis=1) for step in range(34)]
        model(folder / "double.onnx", [*chain, helper.make_node("ReduceMax", ["d34"], ["y"], axes=[1])])
        # Without that limit the values would fill nine tenths of the machine's memory first.
        code, errors, _ = bounded("evaluate", "double.onnx", "--data", "x.npz", "--memory", "1GiB", folder=folder, memory=4 << 30)
        assert code == 65 and "more than the budget of 1 GiB (--memory)" in errors and "Concat" in errors, (code, errors)
        code, errors, _ = bounded("evaluate", "double.onnx", "--data", "x.npz", folder=folder, memory=5 << 30)
        assert code == 65 and "more than a model may grow to" in errors and "Concat" in errors, (code, errors)


def test_archives_that_inflate_to_nothing_but_zeros_are_refused():
    with scratch() as folder:
        model(folder / "model.onnx", [helper.make_node("Relu", ["x"], ["y"])])
        np.savez_compressed(folder / "bomb.npz", x=np.broadcast_to(np.zeros((1, 4), np.float32), (90_000_000, 4)))
        code, errors, _ = bounded("evaluate", "model.onnx", "--data", "bomb.npz", folder=folder)
        assert code == 65 and "inflates" in errors and "bomb.npz" in errors, errors


def test_pipes_and_numbers_that_are_none_are_refused():
    with scratch() as folder:
        data(folder)
        model(folder / "model.onnx", [helper.make_node("Relu", ["x"], ["y"])])
        model(
            folder / "layer.onnx", [helper.make_node("MatMul", ["x", "w"], ["y"])], [("w", np.eye(4, dtype=np.float32))])
        os.mkfifo(folder / "pipe")
        for call in (
                ("prune", "model.onnx", "--data", "pipe"), ("inspect", "pipe"), ("evaluate", "pipe", "--data", "x.npz"),
                ("prune", "model.onnx", "--data", "x.npz", "--validation", "pipe"),
                ("finetune", "layer.onnx", "--data", "x.npz", "--teacher", "pipe")):
            code, errors, _ = bounded(*call, folder=folder, seconds=30)
            assert code == 65 and "regular file" in errors, (call, code, errors)
        for options in (
                ("--memory", "inf"), ("--memory", "0"), ("--until", "flops=inf"), ("--until", "flops=nan"),
                ("--max-loss-increase", "inf"), ("--max-loss-increase", "nan"), ("--steps", "inf"),
                ("--metrics", "127.0.0.1:22x"), ("--metrics", "nowhere"),
                ("--bind", "tcp://127.0.0.1:22x", "--insecure"), ("--bind", "tcp://127.0.0.1:99999", "--insecure")):
            answer = espalier("prune", "model.onnx", "--data", "x.npz", *options, folder=folder)
            assert answer.code == 64, (options, answer.code, answer.errors)
        for options in (("worker", "--connect", "tcp://127.0.0.1:22x"), ("status", "--connect", "tcp://127.0.0.1:99999")):
            answer = espalier(*options, "--insecure", folder=folder)
            assert answer.code == 64, (options, answer.code, answer.errors)


def test_names_cannot_steer_the_terminal():
    with scratch() as folder:
        data(folder)
        name = "red\x1b[31m\x07\r\n\u202enode"
        model(
            folder / "model.onnx", [
                helper.make_node("MatMul", ["x", "w"], ["h" + name], name=name),
                helper.make_node("Add", ["x", "h" + name], ["y"], name="add" + name)],
            [("w", np.eye(4, dtype=np.float32))])
        shown = []
        for call in (("inspect", "model.onnx", "--nodes"), ("inspect", "model.onnx", "--parameters"),
                     ("prune", "model.onnx", "--data", "x.npz", "--candidates", "all", "--workers", 0, "--steps", 1)):
            answer = espalier(*call, folder=folder)
            assert answer.code == 0, answer.errors
            shown.append(answer.output + answer.errors)
        long = "n" * 100_000
        model(folder / "long.onnx", [helper.make_node("Foo" + long, ["x"], ["y"], name=long)])
        for call in (("inspect", "long.onnx"), ("evaluate", "long.onnx", "--data", "x.npz")):
            answer = espalier(*call, folder=folder)
            assert answer.code == 65 and len(answer.output + answer.errors) < 4000, len(answer.output + answer.errors)
            shown.append(answer.output + answer.errors)
        for text in shown:
            assert not {"\x1b", "\x07", "\r", "\u202e"} & set(text), text[:500]
            assert "aten::" not in text and "c10::" not in text


def test_sizes_and_shares_are_read_as_people_write_them():
    with scratch() as folder:
        data(folder)
        model(folder / "model.onnx", [helper.make_node("Relu", ["x"], ["y"])])
        for size in ("512M", "1G", "2GB", "2GiB", "50%", "600mb"):
            espalier("evaluate", "model.onnx", "--data", "x.npz", "--memory", size, folder=folder).succeeded()
        for size in ("2X", "GB", "101%", "-1", "1.5.2"):
            answer = espalier("evaluate", "model.onnx", "--data", "x.npz", "--memory", size, folder=folder)
            assert answer.code == 64, (size, answer.code)
        common = ("prune", "example:digits-resnet", "--samples", 64, "--workers", 0)
        whole = [
            espalier_json(*common, "--until", share, "--run", f"run{place}", folder=folder)["path"]
            for place, share in enumerate(("flops=0.8", "flops=80%"))]
        assert whole[0] == whole[1]
