#!/usr/bin/env python3
"""Runs the end-to-end checks: every function test_*() of every file test_*.py in this folder.

    ESPALIER=.build/debug/espalier run.py [FILTER]

A check calls the program that the environment variable ESPALIER names, compares with references from outside and
fails by raising. FILTER is a regular expression on FILE.FUNCTION. A check may run for ESPALIER_TEST_SECONDS (600).
Checks may import Scripts/reference and begin in the repository's folder. Raising unittest.SkipTest skips.
The closing line is 'N passed, N failed'; exits 1 when one failed, or none ran.
"""

import importlib
import os
import pathlib
import re
import shutil
import signal
import sys
import time
import traceback
import unittest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]


def checks(pattern):
    """(name, function) of every check whose name matches; a file that cannot be imported is a check that fails."""
    for path in sorted(HERE.glob("test_*.py")):
        try:
            module = importlib.import_module(path.stem)
        except Exception as error:  # whatever stops the import is what the check reports
            def fail(error=error):
                raise error
            yield path.stem, fail
            continue
        for name, function in list(vars(module).items()):
            if name.startswith("test_") and callable(function) and pattern.search(f"{path.stem}.{name}"):
                yield f"{path.stem}.{name}", function


def timed_out(*_):
    raise TimeoutError("the check ran for too long")


def main():
    if "ESPALIER" not in os.environ:
        os.environ["ESPALIER"] = str(ROOT / ".build/debug/espalier")
    program = shutil.which(os.environ["ESPALIER"])
    if program is None:
        sys.exit(f"run.py: there is no program {os.environ['ESPALIER']}; build it, or set ESPALIER to one")
    os.environ["ESPALIER"] = str(pathlib.Path(program).resolve())
    sys.path[:0] = [str(HERE), str(ROOT / "Scripts/reference")]
    os.chdir(ROOT)
    seconds = int(os.environ.get("ESPALIER_TEST_SECONDS", "600"))
    signal.signal(signal.SIGALRM, timed_out)
    # A shell that starts this in the background has SIGINT ignored, and programs inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)

    counts = {"passed": 0, "failed": 0, "skipped": 0}
    for name, check in checks(re.compile(sys.argv[1] if len(sys.argv) > 1 else "")):
        began = time.monotonic()
        reason, trace = "", ""
        signal.alarm(seconds)
        try:
            check()
            result = "passed"
        except unittest.SkipTest as skip:
            result, reason = "skipped", f": {skip}"
        except (Exception, SystemExit):  # a check that exits has failed too
            result, trace = "failed", "\n" + traceback.format_exc()
        finally:
            signal.alarm(0)
        counts[result] += 1
        print(f"{result:7} {name} ({time.monotonic() - began:.1f} s){reason}{trace}", flush=True)

    skipped = f", {counts['skipped']} skipped" if counts["skipped"] else ""
    print(f"{counts['passed']} passed, {counts['failed']} failed{skipped}")
    return 1 if counts["failed"] or not counts["passed"] else 0


if __name__ == "__main__":
    sys.exit(main())
