"""Bad input ends with one sentence and the documented code; nothing is left behind, and nothing crashes."""

import io
import os
import shutil
import socket
import zipfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx

import hostile_models
from masked import load_data
from program import EXAMPLES, espalier, example, scratch, together


def files_of(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def refusal_faults(name, answer, words, before, folder, code=65):
    """What is wrong with how a call was refused."""
    lines = answer.errors.splitlines()
    if answer.code != code:
        yield f"{name}: exit code {answer.code}, not {code}: {answer.errors[:300]!r}"
    if len(lines) != 1:
        yield f"{name}: {len(lines)} lines on standard error: {answer.errors[:400]!r}"
    if not any(word in answer.errors for word in words):
        yield f"{name}: the error names none of {words}: {answer.errors[:300]!r}"
    if answer.output:
        yield f"{name}: standard output has {answer.output[:200]!r}"
    left = files_of(folder) - before
    if left:
        yield f"{name}: leaves {sorted(left)}"


def refused(name, folder, arguments, words):
    """Calls the program in `folder` and returns the faults of its refusal."""
    before = files_of(folder)
    return list(refusal_faults(name, espalier(*arguments, folder=folder, seconds=120), words, before, folder))


def all_faults(tasks):
    """Runs the calls two at a time; `tasks` are argument lists of `refused`."""
    with ThreadPoolExecutor(2) as pool:
        return [fault for faults in pool.map(lambda task: refused(*task), tasks) for fault in faults]


def test_bad_models_are_refused():
    with scratch() as folder:
        (folder / "outside.bin").write_bytes(bytes(64))
        tasks = []
        for name, content, words in hostile_models.cases():
            home = folder / name
            home.mkdir()
            (home / f"{name}.onnx").write_bytes(content)
            (home / "short.bin").write_bytes(bytes(10))
            np.savez(home / "data.npz", x=np.ones((8, 4), np.float32), labels=np.zeros(8, np.int64))
            tasks.append((name, home, [
                "prune", f"{name}.onnx", "--data", "data.npz", "--candidates", "all", "--steps", 1, "--workers", 0,
                "--run", "run", "--output", "out.onnx"], words))
        together(all_faults(tasks))


def test_inspect_refuses_bad_models_too():
    with scratch() as folder:
        tasks = []
        for name, content, words in hostile_models.cases():
            if name in ("truncated-50", "random-1", "cycle", "absurd-dimensions", "external-outside", "claims-2GiB"):
                home = folder / name
                home.mkdir()
                (home / f"{name}.onnx").write_bytes(content)
                tasks.append((name, home, ["inspect", f"{name}.onnx", "--json", "out.json"], words))
        tasks.append(("missing", folder, ["inspect", "missing.onnx"], ["missing.onnx"]))
        tasks.append(("folder", folder, ["inspect", "cycle"], ["cycle"]))
        together(all_faults(tasks))


def archive(**arrays):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def spliced(image, labels):
    """An archive of images and labels; None leaves an array out."""
    return archive(**{
        name: value for name, value in (("image", image), ("labels", labels)) if value is not None})


def hostile_archive(header):
    """An archive whose array `image` begins with `header`."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        text = header.encode() + b"\n"
        file.writestr("image.npy", b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + bytes(64))
    return buffer.getvalue()


def data_cases():
    """(name, bytes, words of which the error must name one, further options) of every bad data file."""
    whole = load_data(example("digits-resnet")[1])
    image, labels = whole["image"][:32], whole["labels"][:32]
    good = spliced(image, labels)

    def broken(place, value):
        copy = image.copy()
        copy[place] = value
        return copy

    def relabelled(place, value):
        copy = labels.copy()
        copy[place] = value
        return copy

    yield "no-input", archive(picture=image, scan=image, labels=labels), ["image"], []
    yield "wrong-rank", spliced(image[:, 0], labels), ["image"], []
    yield "wrong-size", spliced(image[..., :7], labels), ["image"], []
    yield "wrong-channels", spliced(np.repeat(image, 3, 1), labels), ["image"], []
    yield "complex", spliced(image.astype(np.complex64), labels), ["image"], []
    yield "strings", spliced(np.full(image.shape, "a"), labels), ["image"], []
    yield "objects", spliced(np.array([{}], object), labels), ["image"], []
    yield "not-a-number", spliced(broken((7, 0, 3, 3), np.nan), labels), ["image"], []
    yield "infinite", spliced(broken((7, 0, 3, 3), np.inf), labels), ["image"], []
    yield "no-samples", spliced(image[:0], labels[:0]), ["no-samples.npz"], []
    yield "fewer-labels", spliced(image, labels[:31]), ["labels"], []
    yield "float-labels", spliced(image, labels.astype(np.float32)), ["labels"], []
    yield "label-too-large", spliced(image, relabelled(5, 10)), ["label"], []
    yield "label-negative", spliced(image, relabelled(5, -1)), ["label"], []
    yield "label-rank", spliced(image, np.tile(labels[:, None, None], (1, 2, 2))), ["labels"], []
    yield "too-few-samples", good, ["too-few-samples.npz", "samples"], ["--samples", 33]
    yield "no-labels", spliced(image, None), ["labels"], ["--loss", "cross-entropy"]
    yield "no-targets", good, ["targets"], ["--loss", "mse"]
    yield "too-many-shards", good, ["shards"], ["--shards", 33]
    yield "absurd-blocks", good, ["--block-size"], ["--block-size", 9 * 10**18]
    yield "absurd-shards", good, ["shards"], ["--shards", 9 * 10**18]
    yield "too-little-memory", good, ["memory"], ["--memory", "1M"]
    yield "truncated", good[: len(good) // 2], ["truncated.npz"], []
    yield "random", np.random.default_rng(3).bytes(3000), ["random.npz"], []
    yield "empty", b"", ["empty.npz"], []
    yield "absurd-shape", hostile_archive(
        "{'descr': '<f4', 'fortran_order': False, 'shape': (%d, 1, 8, 8)}" % 2**50), ["image"], []
    yield "code-in-header", hostile_archive("__import__('os').system('touch pwned')"), ["image"], []


def test_bad_data_is_refused():
    model = example("digits-resnet")[0]
    with scratch() as folder:
        tasks = []
        for name, content, words, options in data_cases():
            home = folder / name
            home.mkdir()
            (home / f"{name}.npz").write_bytes(content)
            tasks.append((name, home, [
                "prune", model, "--data", f"{name}.npz", *options, "--steps", 1, "--workers", 0, "--run", "run",
                "--output", "out.onnx"], words))
        tasks.append(("missing", folder, ["evaluate", model, "--data", "missing.npz"], ["missing.npz"]))
        tasks.append(("folder", folder, ["evaluate", model, "--data", "empty"], ["empty"]))
        together(all_faults(tasks))


def test_bad_edges_are_refused():
    model = example("digits-resnet")[0]
    graph = onnx.load(model).graph
    weights = next(index for index, node in enumerate(graph.node) if node.op_type == "Conv")
    # The first convolution reads the image alone: without it no output depends on any input.
    cases = {
        "node-beyond": ("9999:0", "9999:0"), "slot-beyond": ("4:7", "4:7"), "weights": (f"{weights}:1",) * 2,
        "only-input": ("0:0", "0:0")}
    with scratch() as folder:
        data = ["--data", example("digits-resnet")[1], "--samples", 8]
        tasks = [
            (name, folder, ["evaluate", model, *data, "--remove", edge, "--output", "out.onnx"], [word])
            for name, (edge, word) in cases.items()]
        tasks.append(("run", folder, ["run", model, *data, "--remove", "4:7", "--output", "out.npz"], ["4:7"]))
        (folder / "masks.txt").write_text("4:1\nfour:one\n")
        # Every line that is wrong is named, so there is more than one.
        listed = espalier("evaluate", model, *data, "--masks", "masks.txt", folder=folder)
        assert listed.code == 65 and "four:one" in listed.errors and "4:1" in listed.errors, listed.errors
        search = ["prune", model, *data, "--steps", 1, "--workers", 0, "--run", "run"]
        tasks.append(("pattern", folder, [*search, "--candidates", "no-such-name"], ["no-such-name"]))
        tasks.append(("expression", folder, [*search, "--candidates", "blocks.(["], ["blocks.(["]))
        tasks.append(("example", folder, ["inspect", "example:nothing"], ["nothing"]))
        together(all_faults(tasks))


def test_outputs_that_cannot_be_written_are_refused_before_the_work():
    model, data = example("digits-resnet")
    with scratch() as folder:
        shown = ["--data", data, "--samples", 8]
        search = ["prune", model, *shown, "--steps", 1, "--workers", 0]
        cases = [
            ("output in no folder", [*search, "--run", "r1", "--output", "none/out.onnx"], ["none/out.onnx"]),
            ("output is a folder", [*search, "--run", "r2", "--output", "a-folder"], ["a-folder"]),
            ("run is a file", [*search, "--run", "a-file"], ["a-file"]),
            ("run within a file", [*search, "--run", "a-file/run"], ["a-file"]),
            ("arrays in no folder", ["run", model, *shown, "--output", "none/out.npz"], ["none/out.npz"]),
            ("arrays to a folder", ["run", model, *shown, "--output", "a-folder"], ["a-folder"]),
            ("model in no folder", [
                "evaluate", model, *shown, "--remove", "15:0", "--output", "none/out.onnx"], ["none/out.onnx"]),
            ("JSON in no folder", ["inspect", model, "--json", "none/out.json"], ["none/out.json"]),
            ("JSON of a search in no folder", [
                *search, "--run", "r3", "--json", "none/out.json"], ["none/out.json"]),
            ("JSON to a folder", ["evaluate", model, *shown, "--json", "a-folder"], ["a-folder"]),
        ]
        tasks = []
        for name, arguments, words in cases:
            home = folder / name
            (home / "a-folder").mkdir(parents=True)
            (home / "a-file").write_text("")
            tasks.append((name, home, arguments, words))
        together(all_faults(tasks))


def test_bad_usage_is_64():
    model, data = example("digits-resnet")
    calls = [
        ["frobnicate"], ["prune"], ["prune", model], ["prune", model, "--data", data, "--steps", "0"],
        ["prune", model, "--data", data, "--steps", "many"], ["prune", model, "--data", data, "--strategy", "wide"],
        ["prune", model, "--data", data, "--until", "parameters=2"], ["prune", model, "--data", data, "--workers", "-1"],
        ["prune", model, "--data", data, "--max-loss-increase", "nan"],
        ["prune", model, "--data", data, "--memory", "lots"], ["prune", model, "--data", data, "--loss", "hinge"],
        ["prune", model, "--data", data, "--no-such-option"], ["evaluate", model, "--data", data, "--remove", "four"],
        ["evaluate", model, "--data", data, "--remove", "-1:0"], ["run", model, "--data", data], ["inspect"],
        ["inspect", model, "--shape", "image"]]
    with scratch() as folder:
        with ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(lambda call: espalier(*call, folder=folder), calls))
        wrong = [
            f"{answer.command}: exit code {answer.code}: {answer.errors[:200]!r}" for answer in answers
            if answer.code != 64 or not answer.errors or answer.output]
        wrong += [f"left {name}" for name in sorted(os.listdir(folder))]
        # As a table tells it, which has no room for the positions.
        shortened = espalier("evaluate", model, "--data", data, "--remove", "channels@34:0(16)", folder=folder)
        if shortened.code != 64 or "path.csv" not in shortened.errors:
            wrong.append(f"a unit from a table: {shortened.code}, {shortened.errors[:300]!r}")
    together(wrong)


def test_what_the_user_gave_is_never_overwritten():
    with scratch() as folder:
        given = {"model.onnx": EXAMPLES / "digits-resnet/model.onnx", "data.npz": EXAMPLES / "digits-resnet/calibration.npz",
                 "held-out.npz": EXAMPLES / "digits-resnet/held-out.npz"}
        for name, source in given.items():
            shutil.copy(source, folder / name)
        os.symlink("model.onnx", folder / "link.onnx")
        (folder / "masks.txt").write_text("31:0\n")
        small = ("model.onnx", "--data", "data.npz", "--samples", 32)
        prune = ("prune", *small, "--steps", 1, "--workers", 0, "--run", "run")
        espalier(*prune[:-1], "done", folder=folder).succeeded()
        kept = {name: (folder / name).read_bytes() for name in (*given, "masks.txt")}
        for call, path in (
                (prune, ("--output", "model.onnx")), (prune, ("--output", "data.npz")), (prune, ("--json", "link.onnx")),
                (prune, ("--output", folder / ".." / folder.name / "model.onnx")),
                (("prune", *small, "--validation", "held-out.npz", "--run", "run"), ("--json", "held-out.npz")),
                (("evaluate", *small, "--remove", "31:0"), ("--output", "model.onnx")),
                (("evaluate", *small, "--masks", "masks.txt"), ("--json", "masks.txt")),
                (("run", "model.onnx", "--data", "data.npz"), ("--output", "data.npz")),
                (("export", "done"), ("--output", "model.onnx")), (("export", "done"), ("--output", "done/journal.sqlite")),
                (("finetune", *small, "--steps", 1, "--workers", 0, "--run", "run"), ("--output", "model.onnx")),
                (("finetune", *small, "--validation", "held-out.npz", "--steps", 1, "--run", "run"), ("--json", "held-out.npz")),
                (("score", *small), ("--json", "model.onnx")), (("inspect", "model.onnx"), ("--json", "link.onnx")),
                (("compare", *small, "--strategies", "greedy", "--steps", 1, "--workers", 0), ("--csv", "data.npz"))):
            answer = espalier(*call, *path, folder=folder)
            assert answer.code == 65 and "would be overwritten" in answer.errors, (call, path, answer.code, answer.errors)
            assert not (folder / "run").exists(), call
        answer = espalier(*prune, "--output", "x.onnx", "--json", "x.onnx", folder=folder)
        assert answer.code == 65 and "written twice" in answer.errors, answer.errors
        # Nor what lies in a folder that is to keep a run.
        for call, name in ((prune, "pruned.onnx"), (prune, "path.csv"), (("finetune", *small, "--run", "run"), "trained.onnx")):
            (folder / "run").mkdir()
            (folder / "run" / name).write_text("mine")
            answer = espalier(*call, folder=folder)
            assert answer.code == 65 and name in answer.errors, (call, answer.errors)
            assert (folder / "run" / name).read_text() == "mine"
            shutil.rmtree(folder / "run")
        for name, content in kept.items():
            assert (folder / name).read_bytes() == content, name


def test_a_start_that_fails_leaves_nothing_behind():
    with scratch() as folder, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        model, data = example("digits-resnet")
        np.savez(folder / "wide.npz", image=np.zeros((8, 1, 9, 9), np.float32), labels=np.zeros(8, np.int64))
        prune = ("prune", model, "--data", data, "--samples", 32, "--steps", 1, "--run", "run")
        finetune = ("finetune", model, "--data", data, "--steps", 1, "--run", "run")
        for call in (
                (*prune, "--workers", 0, "--metrics", f"127.0.0.1:{port}"), (*prune, "--metrics", "203.0.113.7:9100"),
                (*prune, "--bind", f"tcp://127.0.0.1:{port}", "--insecure"),
                (*finetune, "--workers", 0, "--metrics", f"127.0.0.1:{port}"),
                (*finetune, "--bind", f"tcp://127.0.0.1:{port}", "--insecure"),
                ("finetune", model, "--data", "wide.npz", "--head", 3, "--run", "run")):
            answer = espalier(*call, folder=folder)
            assert answer.code == 65, (call, answer.code, answer.errors)
            assert not (folder / "run").exists(), (call, files_of(folder))
