"""What a daily user leans on: held-out data along the path, models of any step, an accuracy that is kept, lists of masks."""

import csv
import fcntl
import functools
import hashlib
import json
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import termios

import numpy as np
import onnx
from onnx import TensorProto, helper

from check_materialised import faults
from interrupted import SEARCH, second_level_is_under_way, stopped
from losses import mean_loss
from masked import load_data, masked_model, outputs
from program import EXAMPLES, close, command, environment, edge_of, espalier, espalier_json, example, scratch, text_of, together

MODEL, DATA = example("digits-resnet")
HELD_OUT = str(EXAMPLES / "digits-resnet/held-out.npz")
PRUNE = ("prune", MODEL, "--data", DATA, "--samples", 256)


@functools.cache
def model():
    return onnx.load(MODEL)


def measured(mask, archive, samples=None):
    """ONNX Runtime's loss and number of right predictions of a mask."""
    data = {name: array[:samples] for name, array in load_data(archive).items()}
    logits = outputs(masked_model(model(), mask), data)[model().graph.output[0].name]
    return mean_loss(logits, "cross-entropy", data, logits), int((logits.argmax(1) == data["labels"]).sum())


def masks_of(found):
    """The masks along a path, from the unpruned model on."""
    masks = [()]
    for step in found["path"]:
        masks.append((*masks[-1], edge_of(step["edge"])))
    return masks


def test_validation_data_are_measured_along_the_path_as_onnx_runtime_does_and_choose_nothing():
    with scratch() as folder:
        found = json.loads(espalier(
            *PRUNE, "--steps", 3, "--workers", 0, "--run", "run", "--validation", HELD_OUT, "--json", "-",
            folder=folder).succeeded().output)
        without = json.loads(espalier(
            *PRUNE, "--steps", 3, "--workers", 0, "--run", "other", "--json", "-", folder=folder).succeeded().output)
        labels = len(load_data(HELD_OUT)["labels"])
        wrong = []
        for step, mask in enumerate(masks_of(found)):
            held = (found["path"][step - 1] if step else found["base"])["validation"]
            loss, correct = measured(mask, HELD_OUT)
            if not close(held["loss"], loss) or not close(held["accuracy"], correct / labels):
                wrong.append(f"step {step}: {held}, but ONNX Runtime has {loss} and {correct / labels}")
        rows = list(csv.DictReader((folder / "run/path.csv").read_text().splitlines()))
        for row, entry in zip(rows, [found["base"], *found["path"]], strict=True):
            if float(row["validationLoss"]) != entry["validation"]["loss"]:
                wrong.append(f"path.csv has {row['validationLoss']}, the JSON {entry['validation']}")
        if "held-out  held-out\n" not in (folder / "run/summary.txt").read_text():
            wrong.append("summary.txt has no held-out loss")
        if json.loads((folder / "run/summary.json").read_text())["validation"]["samples"] != labels:
            wrong.append("summary.json does not tell the held-out samples")
        # Nothing else differs by a bit.
        for step, other in zip(found["path"], without["path"], strict=True):
            del step["validation"]
            if step != other:
                wrong.append(f"{step} is not {other}")
        together(wrong)


def test_progress_tells_held_out_numbers_step_by_step():
    with scratch() as folder:
        answer = espalier(
            *PRUNE, "--steps", 2, "--workers", 2, "--run", "run", "--validation", HELD_OUT, folder=folder).succeeded()
        steps = [line for line in answer.errors.splitlines() if line.startswith("step ")]
        assert len(steps) == 2 and all("held-out loss" in line for line in steps), answer.errors


def test_accuracy_never_falls_below_what_was_allowed_and_the_path_is_the_same_for_any_workers():
    with scratch() as folder:
        paths, allowed = [], 2  # of 256 labels; 2 / 256 is exact
        for number, options in enumerate((["--workers", 0], ["--workers", 2], ["--workers", 0, "--no-bounds"])):
            found = json.loads(espalier(
                *PRUNE, "--max-accuracy-drop", allowed / 256, "--run", f"run{number}", "--json", "-", *options,
                folder=folder).succeeded().output)
            paths.append(found["path"])
        wrong = [f"{path} is not {paths[0]}" for path in paths if path != paths[0]]
        base = measured((), DATA, 256)[1]
        masks = masks_of(found)
        for step, mask in enumerate(masks):
            correct = measured(mask, DATA, 256)[1]
            if correct < base - allowed:
                wrong.append(f"step {step}: {correct} right, {base} before")
        # Where it stops, every further removal misses more.
        data = espalier_json("inspect", MODEL)["candidates"]
        for candidate in map(edge_of, data):
            if candidate in masks[-1]:
                continue
            answer = espalier(
                "evaluate", MODEL, "--data", DATA, "--samples", 256, "--json", "-",
                *[word for edge in (*masks[-1], candidate) for word in ("--remove", text_of(edge))])
            if answer.code == 0 and measured((*masks[-1], candidate), DATA, 256)[1] >= base - allowed:
                # It may be no candidate any more, being dead.
                small = json.loads(answer.output)
                if small["flops"] < found["path"][-1]["flops"]:
                    wrong.append(f"the path ended although {text_of(candidate)} keeps the accuracy")
        assert 1 <= len(masks) - 1 < 18, f"the limit was not tried: {len(masks) - 1} steps"
        together(wrong)


def test_an_accuracy_to_keep_needs_labels():
    with scratch() as folder:
        data = load_data(DATA)
        np.savez(folder / "bare.npz", image=data["image"][:64])
        answer = espalier(
            "prune", MODEL, "--data", "bare.npz", "--max-accuracy-drop", 0.1, "--run", "run", folder=folder)
        assert answer.code == 65 and "labels" in answer.errors, answer
        for share in (-0.1, 1.5, "nan"):
            answer = espalier(*PRUNE, "--max-accuracy-drop", share, "--run", "run", folder=folder)
            assert answer.code == 64 and "max-accuracy-drop" in answer.errors, answer


def test_models_of_any_step_are_written_during_and_after_a_run():
    with scratch() as folder:
        found = json.loads(espalier(
            *PRUNE, "--steps", 3, "--workers", 0, "--run", "run", "--export-step", 1, "--json", "-",
            folder=folder).succeeded().output)
        data = {name: array[:32] for name, array in load_data(DATA).items()}
        masks = masks_of(found)
        wrong = [f"--export-step 1: {fault}" for fault in faults(
            model(), onnx.load(folder / "run/step-1.onnx"), data, masks[1])]
        for step, mask in enumerate(masks):
            told = json.loads(espalier(
                "export", "run", "--step", step, "--output", "out.onnx", "--json", "-", folder=folder
            ).succeeded().output)
            small = onnx.load(folder / "out.onnx")
            wrong += [f"export --step {step}: {fault}" for fault in faults(model(), small, data, mask)]
            if sorted(told["removed"]) != sorted(map(text_of, mask)) or told["steps"] != 3 or not told["isComplete"]:
                wrong.append(f"export --step {step} says {told}")
        last = espalier("export", "run", "--output", "last.onnx", folder=folder).succeeded()
        if hashlib.sha256((folder / "last.onnx").read_bytes()).digest() != hashlib.sha256(
                (folder / "run/pruned.onnx").read_bytes()).digest():
            wrong.append(f"without --step it is not the last model: {last.output}")
        together(wrong)


def test_export_of_an_interrupted_run_goes_as_far_as_that_got():
    with scratch() as folder:
        code, errors = stopped(
            [*SEARCH, "--run", "run"], folder / "run", second_level_is_under_way, signal.SIGINT, folder)
        assert code == 130, errors
        told = json.loads(espalier(
            "export", "run", "--step", 1, "--output", "one.onnx", "--json", "-", folder=folder).succeeded().output)
        assert told["isComplete"] is False and told["steps"] >= 1 and len(told["removed"]) == 1, told
        assert not faults(
            onnx.load(example("digits-vit")[0]), onnx.load(folder / "one.onnx"),
            {name: array[:16] for name, array in load_data(example("digits-vit")[1]).items()},
            [tuple(map(int, told["removed"][0].split(":")))])
        answer = espalier("export", "run", "--step", told["steps"] + 1, "--output", "two.onnx", folder=folder)
        assert answer.code == 65 and f"no step {told['steps'] + 1}" in answer.errors and not (folder / "two.onnx").exists(), answer


def test_export_refuses_another_model_and_finds_one_that_moved():
    with scratch() as folder:
        shutil.copy(MODEL, folder / "model.onnx")
        shutil.copy(DATA, folder / "data.npz")
        espalier(
            "prune", "model.onnx", "--data", "data.npz", "--samples", 64, "--steps", 1, "--workers", 0, "--run", "run",
            folder=folder).succeeded()
        (folder / "model.onnx").rename(folder / "moved.onnx")
        (folder / "data.npz").unlink()
        (folder / "other.onnx").write_bytes((EXAMPLES / "digits-vit/model.onnx").read_bytes())
        wrong = []
        for arguments, code, word in (
                ([], 65, "--model"), (["--model", "other.onnx"], 65, "SHA-256"),
                (["--model", "missing.onnx"], 65, "missing.onnx"), (["--model", "moved.onnx"], 65, "--data"),
                (["--step", "-1"], 64, "--step"), (["--model", "moved.onnx", "--data", DATA], 0, "")):
            answer = espalier("export", "run", "--output", "out.onnx", *arguments, folder=folder)
            if answer.code != code or word not in answer.errors:
                wrong.append(f"{arguments}: {answer.code} {answer.errors}")
            if (folder / "out.onnx").exists() != (code == 0):
                wrong.append(f"{arguments}: out.onnx")
        answer = espalier("export", "nowhere", "--output", "out.onnx", folder=folder)
        if answer.code != 65 or "holds no run" not in answer.errors:
            wrong.append(f"{answer}")
        together(wrong)


def test_a_list_of_masks_goes_on_past_bad_lines_and_names_them():
    with scratch() as folder:
        (folder / "masks.txt").write_text("31:0\nrubbish\n\n9999:0\n31:0 47:0\n")
        answer = espalier(
            "evaluate", MODEL, "--data", DATA, "--samples", 128, "--masks", "masks.txt", "--json", "out.json",
            "--output", "pruned", folder=folder)
        assert answer.code == 65, answer
        errors = answer.errors.splitlines()
        assert any("masks.txt, line 2" in line and "rubbish" in line for line in errors), answer.errors
        assert any("masks.txt, line 4" in line and "9999:0" in line for line in errors), answer.errors
        results = json.loads((folder / "out.json").read_text())
        assert [entry["line"] for entry in results] == [1, 2, 3, 4, 5]
        assert [("error" in entry) for entry in results] == [False, True, False, True, False], results
        for entry, mask in ((results[0], [(31, 0)]), (results[2], []), (results[4], [(31, 0), (47, 0)])):
            assert close(entry["loss"], measured(mask, DATA, 128)[0]), entry
            assert text_of(mask[-1]) in answer.output if mask else True
        assert sorted(path.name for path in (folder / "pruned").iterdir()) == ["0.onnx", "2.onnx", "4.onnx"]
        for name, word in (("missing.txt", "no such file"), (".", "folder")):
            answer = espalier("evaluate", MODEL, "--data", DATA, "--masks", name, folder=folder)
            assert answer.code == 65 and word in answer.errors, answer
        (folder / "empty.txt").write_text("")
        answer = espalier("evaluate", MODEL, "--data", DATA, "--masks", "empty.txt", folder=folder)
        assert answer.code == 65 and "holds no masks" in answer.errors, answer


def on_a_terminal(
        *arguments, folder, columns=200, interrupt_at=None, narrow_at=None, code=0, stream="stderr"):
    """The lines that a call writes to a standard stream where that is a terminal, those that were written over too.

    Where `interrupt_at` has been said Ctrl-C is pressed, which the terminal shows; at `narrow_at`, a text and a number, it gets
    other columns.
    """
    def resize(columns):
        fcntl.ioctl(own, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    own, theirs = pty.openpty()
    resize(columns)
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, stream: theirs}
    process = subprocess.Popen(
        command(*arguments), cwd=folder, env=environment(), stdin=subprocess.DEVNULL, **streams)
    os.close(theirs)
    text = b""
    while True:
        try:
            part = os.read(own, 1 << 16)
        except OSError:  # The other end is closed.
            break
        if not part:
            break
        text += part
        if narrow_at and narrow_at[0].encode() in text:
            resize(narrow_at[1])
            narrow_at = None
        if interrupt_at and interrupt_at.encode() in text:
            interrupt_at = None
            text += b"^C"
            process.send_signal(signal.SIGINT)
    os.close(own)
    assert process.wait() == code, text
    return re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9]*[A-Z]", "", text.decode()))


def test_progress_fits_the_terminal_and_an_interruption_is_told_on_a_line_of_its_own():
    with scratch() as folder:
        search = (
            "prune", MODEL, "--data", DATA, "--samples", 128, "--candidates", "all", "--block-size", 1, "--no-bounds",
            "--workers", 0)
        lines = on_a_terminal(
            *search, "--steps", 30, "--run", "run", folder=folder, columns=70, narrow_at=("step 1: ", 50),
            interrupt_at="step 3: ", code=130)
        progress = [line for line in lines if re.match(r"step \d: [0-9,]+ of ", line)]
        wide, narrow = ([line.removesuffix("^C") for line in progress if line.startswith(step)] for step in ("step 1", "step 2"))
        assert any("% " in line or "%)" in line for line in wide) and all(len(line) < 70 for line in wide), wide[:3]
        # What matters least goes; the rest stays whole.
        assert narrow and all(len(line) < 50 and "…" not in line for line in narrow), narrow
        assert any(line.endswith(" s left") for line in narrow), narrow
        assert any(line.startswith("espalier: interrupted") for line in lines), lines[-3:]
        # The block's name, four digits and how much was skipped.
        step = next(line for line in lines if line.startswith("step 1: removed"))
        assert re.fullmatch(
            r"step 1: removed \d+:\d+ \(.+\): loss [0-9.e-]{1,9} \([+-][0-9.e-]{1,10}\), \d+ candidates, \d+ % skipped", step), step


def test_tables_fit_the_terminal_or_a_hundred_columns():
    # Names of up to 70 characters, in every table that `inspect` has, and in those of a search with much to tell.
    shown = ("inspect", example("digits-vit")[0], "--candidates", "all", "--nodes", "--parameters", "--units", "edges,heads,neurons")
    searched = (
        "prune", MODEL, "--data", DATA, "--samples", 64, "--steps", 1, "--workers", 0, "--recover", "bias", "--validation",
        HELD_OUT)
    with scratch() as folder:
        for arguments in (shown, (*searched, "--run", "run")):
            whole = espalier(*arguments, folder=folder).succeeded().output.splitlines()
            lengths = {None: max(len(line) for line in whole)}
            for columns in (80, 160):
                call = arguments if arguments is shown else (*searched, "--run", f"run-{columns}")
                lines = on_a_terminal(*call, folder=folder, columns=columns, stream="stdout")
                lengths[columns] = max(len(line) for line in lines)
            assert lengths[None] <= 100 and lengths[80] <= 80 and lengths[160] <= 160, (arguments[0], lengths)
        assert max(len(line) for line in (folder / "run/summary.txt").read_text().splitlines()) <= 100
        # Edges are what commands take: all are there, whole.
        words = set(" ".join(on_a_terminal(*shown, folder=folder, columns=80, stream="stdout")).split())
        edges = {
            text for found in espalier_json(*shown, folder=folder)["candidates"]
            for text in (text_of(edge_of(found)), *found["equivalents"])}
        assert edges <= words, edges - words


def test_progress_inside_a_level_counts_what_is_likely_left_and_not_brute_force():
    with scratch() as folder:
        lines = on_a_terminal(
            "prune", MODEL, "--data", DATA, "--candidates", "all", "--block-size", 2, "--steps", 8, "--workers", 0,
            "--run", "run", folder=folder)
        found = json.loads((folder / "run/summary.json").read_text())
        level = found["levels"][1]["work"]
        shown = [re.match(r"step 1: ([0-9,]+) of about ([0-9,]+) block evaluations", line) for line in lines]
        numbers = [tuple(int(text.replace(",", "")) for text in match.groups()) for match in shown if match]
        assert len(numbers) >= 3, lines
        # From halfway on the total is nearer to what it came to than to brute force.
        late = [told for done, told in numbers if 2 * done >= level["blockEvaluations"]]
        done, brute = level["blockEvaluations"], level["bruteForceBlockEvaluations"]
        assert brute > 2 * done, "bounds save nothing here: the check shows nothing"
        assert late and all(told < (done + brute) / 2 for told in late), (late, done, brute)
        assert any(re.search(r"about [0-9.]+ (s|min .*) left", line) for line in lines), lines


def test_lists_scores_and_comparisons_show_progress():
    with scratch() as folder:
        (folder / "masks.txt").write_text("31:0\n47:0\n42:0\n")
        measure = (MODEL, "--data", DATA, "--block-size", 4, "--samples", 256)
        lines = on_a_terminal("evaluate", *measure, "--masks", "masks.txt", folder=folder)
        assert any(re.match(r"masks: [123] of 3 masks", line) for line in lines), lines
        lines = on_a_terminal("score", *measure, "--exact", folder=folder)
        assert any(line.startswith("measuring every candidate: ") for line in lines), lines
        assert any(line.startswith("gradients: ") for line in lines), lines
        lines = on_a_terminal(
            "compare", *measure, "--strategies", "greedy,random:1", "--steps", 1, "--workers", 0, folder=folder)
        assert any("== random:1 (2 of 2)" in line for line in lines), lines
        assert any(re.match(r"step 1: [0-9,]+ of about [0-9,]+ block evaluations", line) for line in lines), lines


def test_inspect_finds_sizes_that_a_model_runs_at_or_names_the_shape_option_for_its_inputs():
    def told(side, *options):
        """What inspect says of a convolution with a kernel of so many rows and columns."""
        graph = helper.make_graph(
            [helper.make_node("Conv", ["photo", "w"], ["y"])], "g",
            [helper.make_tensor_value_info("photo", TensorProto.FLOAT, ["n", 3, "h", "w"])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
            [onnx.numpy_helper.from_array(np.ones((4, 3, side, side), np.float32), "w")])
        with scratch() as folder:
            onnx.save(helper.make_model(
                graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), folder / "m.onnx")
            text = espalier("inspect", "m.onnx", *options, folder=folder).succeeded().output
            return text, espalier_json("inspect", "m.onnx", *options, folder=folder)

    # 4 · 3 · 31² products at 2² places, each with its sum.
    text, found = told(31)
    assert "are for --shape photo=1x3x32x32" in text and found["flops"] == 2 * 4 * 3 * 31 ** 2 * 2 ** 2, text
    assert found.get("flopsHint") is None, found["flopsHint"]
    # Larger than the sizes that are tried.
    text, found = told(231)
    assert "FLOPs unknown" in text and "--shape photo=1x3x" in text and found.get("flops") is None, text
    text, found = told(231, "--shape", "photo=1x3x240x240")
    assert found["flops"] == 2 * 4 * 3 * 231 ** 2 * 10 ** 2, text
