#!/usr/bin/env python3
"""Compares `espalier run` with ONNX Runtime on whole models.

    conformance_models.py FOLDER [--espalier PATH]

FOLDER is what `Scripts/models/make-models.py` writes: NAME.onnx, NAME.npz and NAME.expected.npz for each model. An output
agrees when it differs by at most 1e-4 of its largest value. Exits 1 when one does not.
"""

import argparse
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

TOLERANCE = 1e-4


def difference(given, expected):
    """The largest difference, relative to the largest expected value."""
    if given.shape != expected.shape:
        return float("inf")
    largest = max(float(np.abs(expected).max(initial=0)), 1e-30)
    return float(np.abs(given.astype(np.float64) - expected).max(initial=0)) / largest


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--espalier", default=".build/release/espalier")
    arguments = parser.parse_args()
    passed = failed = 0
    for model in sorted(arguments.folder.glob("*.onnx")):
        with tempfile.TemporaryDirectory() as scratch:
            output = f"{scratch}/output.npz"
            done = subprocess.run(
                [arguments.espalier, "run", str(model), "--data", str(model.with_suffix(".npz")), "--output", output],
                capture_output=True, text=True)
            if done.returncode != 0:
                print(f"{model.stem}: {done.stderr.strip()}")
                failed += 1
                continue
            given = np.load(output)
            expected = np.load(model.with_suffix(".expected.npz"))
            worst = max(difference(given[name], expected[name]) for name in expected.files)
        print(f"{model.stem}: differs by {worst:.1e} of the largest output")
        if worst <= TOLERANCE:
            passed += 1
        else:
            failed += 1
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed or not passed else 0)


if __name__ == "__main__":
    main()
