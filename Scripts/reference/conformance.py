#!/usr/bin/env python3
"""ONNX's backend node tests, run by `espalier run --batch` and compared as ONNX's own test runner compares.

Every case of the `onnx` package counts in the pass rate. Cases whose inputs or outputs are no plain tensors, or tensors
of strings, count as unsupported without being run. Element types that NumPy lacks travel in the next larger one that
holds all their numbers, as `espalier run` reads and writes them: bfloat16, float8 and float4 as float32, int4 and int2
as int8. Their expected values are compared in that type, and bfloat16 with the tolerance that ONNX's runner gives it.
"""

import argparse
import collections
import json
import os
import pathlib
import queue
import re
import subprocess
import sys
import tempfile
import threading
import warnings
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper
from onnx.backend.test.loader import load_model_tests

NUMPY_TYPES = {
    TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BOOL, TensorProto.INT8, TensorProto.INT16,
    TensorProto.INT32, TensorProto.INT64, TensorProto.UINT8, TensorProto.UINT16, TensorProto.UINT32,
    TensorProto.UINT64, TensorProto.COMPLEX64, TensorProto.COMPLEX128}
# Element types that NumPy lacks, and what their numbers travel in.
CARRIERS = {
    TensorProto.BFLOAT16: np.float32, TensorProto.FLOAT8E4M3FN: np.float32, TensorProto.FLOAT8E4M3FNUZ: np.float32,
    TensorProto.FLOAT8E5M2: np.float32, TensorProto.FLOAT8E5M2FNUZ: np.float32, TensorProto.FLOAT8E8M0: np.float32,
    TensorProto.FLOAT4E2M1: np.float32, TensorProto.INT4: np.int8, TensorProto.UINT4: np.uint8,
    TensorProto.INT2: np.int8, TensorProto.UINT2: np.uint8}
BFLOAT16_TOLERANCE = 2.0 ** -6  # two units in the last place, as in ONNX's runner
SILENCE = 120  # seconds without a finished case after which the process counts as hanging


@dataclass
class Case:
    """One data set of one test: what to run and what must come out."""

    name: str
    operator: str
    model: str
    data: str
    output: str
    expected: dict
    rtol: float
    atol: float


@dataclass
class Outcome:
    """`status` is passed, failed or unsupported; `reason` is a sentence for the latter two."""

    name: str
    operator: str
    status: str
    reason: str = ""


class NoPlainTensor(Exception):
    """A value of a case that an .npz file can't carry."""


def as_array(tensor, value, kind):
    """One tensor of a data set as an array that an .npz file can carry."""
    holder = value.type.WhichOneof("value")
    if holder != "tensor_type":
        raise NoPlainTensor(f"{kind} '{value.name}' is a {(holder or 'untyped value').replace('_type', '')}")
    declared = value.type.tensor_type.elem_type
    array = numpy_helper.to_array(tensor) if isinstance(tensor, TensorProto) else np.asarray(tensor)
    if declared in CARRIERS:
        return array.astype(CARRIERS[declared])
    if declared not in NUMPY_TYPES:
        raise NoPlainTensor(f"{kind} '{value.name}' has type {TensorProto.DataType.Name(declared)}")
    return array


def read_tensors(tensors, kind, values):
    """A data set's tensors, named after the graph's inputs or outputs."""
    return {value.name: as_array(tensor, value, kind) for tensor, value in zip(tensors, values)}


def operator_of(test, models):
    """The operator under test; an expanded case belongs to the operator that it expands."""
    graph = models.get(re.sub(r"_expanded.*$", "", test.name), models[test.name]).graph
    types = list(dict.fromkeys(node.op_type for node in graph.node))
    return types[0] if len(types) == 1 else "several"


def collect(pattern, folder):
    """Writes the inputs of every case that `pattern` finds; returns the cases and the unsupported ones' outcomes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the cases are computed here, and some overflow on purpose
        tests = load_model_tests(kind="node")
    models = {test.name: test.model for test in tests}
    cases, outcomes = [], []
    for test in tests:
        if not re.search(pattern, test.name):
            continue
        operator, model = operator_of(test, models), models[test.name]
        for number, (given, wanted) in enumerate(test.data_sets):
            name = test.name if number == 0 else f"{test.name}#{number}"
            try:
                inputs = read_tensors(given, "input", model.graph.input)
                expected = read_tensors(wanted, "output", model.graph.output)
            except NoPlainTensor as error:
                outcomes.append(Outcome(name, operator, "unsupported", str(error)))
                continue
            path, data = folder / f"{name}.onnx", folder / f"{name}.npz"
            onnx.save(model, path)
            np.savez(data, **inputs)
            narrow = any(value.type.tensor_type.elem_type == TensorProto.BFLOAT16 for value in model.graph.output)
            cases.append(Case(
                name, operator, str(path), str(data), str(folder / f"{name}.output.npz"), expected,
                max(test.rtol, BFLOAT16_TOLERANCE) if narrow else test.rtol, test.atol))
    return cases, outcomes


def run_once(espalier, cases, folder):
    """One process for `cases`: yields the answers in order; ends early when the process dies or hangs."""
    listing = folder / "batch.jsonl"
    listing.write_text("".join(
        json.dumps({"model": case.model, "data": case.data, "output": case.output}) + "\n" for case in cases))
    with open(folder / "stderr.txt", "w") as errors:
        process = subprocess.Popen(
            [espalier, "run", "--batch", str(listing)], stdout=subprocess.PIPE, stderr=errors, text=True)
    lines = queue.Queue()

    def read():
        for line in process.stdout:
            lines.put(line)
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    try:
        while True:
            line = lines.get(timeout=SILENCE)
            if line is None:
                return
            if line.startswith("{"):
                yield json.loads(line)
    except queue.Empty:
        return
    finally:
        process.kill()
        process.wait()


def run_all(espalier, cases, folder):
    """An answer for every case; a case that ends the process fails, and a new process takes the rest."""
    answers, crashes = [], 0
    while len(answers) < len(cases):
        before = len(answers)
        for answer in run_once(espalier, cases[before:], folder):
            answers.append(answer)
            if len(answers) == len(cases):
                break
        if len(answers) < len(cases):
            tail = (folder / "stderr.txt").read_text().strip().splitlines()[-1:]
            answers.append({"ok": False, "error": "the process ended or hung: " + " ".join(tail)})
            crashes = crashes + 1 if len(answers) == before + 1 else 0
            if crashes == 20:
                sys.exit(f"{espalier} ended before its first answer 20 times in a row: {' '.join(tail)}")
    return answers


def difference(case):
    """None where the outputs agree, otherwise what differs (NaNs are equal, as in ONNX's runner)."""
    try:
        with np.load(case.output) as archive:
            actual = {name: archive[name] for name in archive.files}
    except (OSError, ValueError) as error:
        return f"its output file can't be read: {error}"
    for name, expected in case.expected.items():
        if name not in actual:
            return f"output '{name}' is missing"
        value = actual[name]
        if value.dtype != expected.dtype:
            return f"output '{name}' is {value.dtype}, not {expected.dtype}"
        if value.shape != expected.shape:
            return f"output '{name}' has shape {list(value.shape)}, not {list(expected.shape)}"
        if not np.allclose(value, expected, rtol=case.rtol, atol=case.atol, equal_nan=True):
            with np.errstate(all="ignore"):
                largest = np.nanmax(np.abs(value.astype(np.complex128) - expected.astype(np.complex128)))
            return f"output '{name}' differs by up to {largest:.3g}"
    return None


def judge(case, answer):
    if answer.get("ok"):
        found = difference(case)
        return Outcome(case.name, case.operator, "failed" if found else "passed", found or "")
    status = "unsupported" if answer.get("unsupported") else "failed"
    return Outcome(case.name, case.operator, status, str(answer.get("error", "no reason given")))


def report(outcomes):
    """Prints the table by operator, every failure with its reason, and the total; returns the pass rate."""
    table = collections.defaultdict(collections.Counter)
    for outcome in outcomes:
        table[outcome.operator][outcome.status] += 1
    print(f"{'operator':32} passed failed unsupported")
    for operator in sorted(table):
        row = table[operator]
        print(f"{operator:32} {row['passed']:6} {row['failed']:6} {row['unsupported']:11}")
    for status in ("unsupported", "failed"):
        chosen = [outcome for outcome in outcomes if outcome.status == status]
        if chosen:
            print(f"\n{status}:")
        for outcome in sorted(chosen, key=lambda outcome: outcome.name):
            print(f"  {outcome.name}: {outcome.reason}")
    total = collections.Counter(outcome.status for outcome in outcomes)
    rate = total["passed"] / max(1, len(outcomes))
    print(f"\n{total['passed']} passed, {total['failed']} failed, {total['unsupported']} unsupported "
          f"of {len(outcomes)} cases: {rate:.1%}")
    return rate


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--espalier", default=".build/release/espalier", help="the program to test")
    parser.add_argument("--minimum", type=float, default=0.92, help="pass rate below which the exit status is 1")
    parser.add_argument("--cases", default="", help="only cases whose name matches this regular expression")
    parser.add_argument("--json", help="also write every outcome to this file")
    parser.add_argument("--keep", type=pathlib.Path, help="write inputs and outputs here and leave them")
    arguments = parser.parse_args()
    if not os.access(arguments.espalier, os.X_OK):
        sys.exit(f"{arguments.espalier} is not a program; build it first: swift build -c release")
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or pathlib.Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        cases, outcomes = collect(arguments.cases, folder)
        answers = run_all(arguments.espalier, cases, folder)
        outcomes += [judge(case, answer) for case, answer in zip(cases, answers)]
    rate = report(outcomes)
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump([vars(outcome) for outcome in outcomes], file, indent=1)
    sys.exit(0 if rate >= arguments.minimum else 1)


if __name__ == "__main__":
    main()
