#!/usr/bin/env python3
"""Runs the end-to-end checks: every function test_*() of every file test_*.py in this folder.

    ESPALIER=.build/debug/espalier run.py [--lanes N] [FILTER]

A check calls the program that the environment variable ESPALIER names, compares with references from outside and
fails by raising. FILTER is a regular expression on FILE.FUNCTION. A check may run for ESPALIER_TEST_SECONDS (600).
Checks may import Scripts/reference and begin in the repository's folder. Raising unittest.SkipTest skips.

Files run N at a time (one for each processor, at most two), each in a process of its own; what they say comes in
their order. Of those that say RESTS_ON_CLOCK = True, because they disturb processes in time or need what the machine has
once, one runs at a time. A line tells the seconds, and those of the processors that the check and its programs took.
The closing line is 'N passed, N failed'; exits 1 when one failed, or none ran.
"""

import argparse
import functools
import importlib
import os
import pathlib
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import unittest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
RESULTS = ("passed", "failed", "skipped")


# One file

def checks(file, pattern):
    """(name, function) of every check of a file whose name matches; one that cannot be imported is a check that fails."""
    try:
        module = importlib.import_module(file)
    except Exception as error:  # whatever stops the import is what the check reports
        def fail(error=error):
            raise error
        yield file, fail
        return
    for name, function in list(vars(module).items()):
        if name.startswith("test_") and callable(function) and pattern.search(f"{file}.{name}"):
            yield f"{file}.{name}", function


def processor_seconds():
    """What the checks so far and the programs that they started took of the processors."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_CHILDREN, resource.RUSAGE_SELF)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def timed_out(*_):
    raise TimeoutError("the check ran for too long")


def run(file, pattern):
    """Runs the checks of one file and prints a line for each; how many had which result."""
    seconds = int(os.environ.get("ESPALIER_TEST_SECONDS", "600"))
    signal.signal(signal.SIGALRM, timed_out)
    # A shell that starts this in the background has SIGINT ignored, and programs inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    counts = dict.fromkeys(RESULTS, 0)
    for name, check in checks(file, pattern):
        began, used = time.monotonic(), processor_seconds()
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
        took = f"{time.monotonic() - began:.1f} s, {processor_seconds() - used:.1f} s CPU"
        print(f"{result:7} {name} ({took}){reason}{trace}", flush=True)
    return counts


def closing(counts):
    skipped = f", {counts['skipped']} skipped" if counts["skipped"] else ""
    return f"{counts['passed']} passed, {counts['failed']} failed{skipped}"


# Many files

class Lane:
    """A process that runs the checks of one file."""

    def __init__(self, file, pattern):
        self.file, self.said, self.told = file, tempfile.TemporaryFile("a+"), []
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--file", file, pattern.pattern], stdin=subprocess.DEVNULL, stdout=self.said,
            stderr=subprocess.STDOUT)

    @property
    def has_ended(self):
        return self.process.poll() is not None

    def tell(self, everything=False):
        """Prints the lines that are new; the last one may be the closing one, and waits."""
        self.said.seek(0)
        lines = self.said.read().splitlines()
        new = lines[len(self.told):None if everything else -1]
        self.told += new
        if new:
            print("\n".join(new), flush=True)
        return lines[-1] if lines else ""

    def counts(self):
        """Tells the rest; the numbers of the closing line, which is not told."""
        closed = re.fullmatch(r"(\d+) passed, (\d+) failed(?:, (\d+) skipped)?", self.tell())
        if closed:
            return dict(zip(RESULTS, (int(number or 0) for number in closed.groups())))
        self.tell(everything=True)
        print(f"failed  {self.file}: it ended with status {self.process.returncode} before its checks did", flush=True)
        return {"failed": 1}


def run_all(files, pattern, lanes):
    """Runs files side by side; how many checks had which result."""
    # What is asked to end ends its lanes too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    counts = dict.fromkeys(RESULTS, 0)
    waiting, running, untold = list(files), {}, list(files)
    try:
        while untold:
            active = [file for file, lane in running.items() if not lane.has_ended]
            while waiting and len(active) < lanes and (file := following(waiting, active)):
                waiting.remove(file)
                running[file] = Lane(file, pattern)
                active.append(file)
            time.sleep(0.05)
            if lane := running.get(untold[0]):
                if not lane.has_ended:
                    lane.tell()
                    continue
                for result, count in lane.counts().items():
                    counts[result] += count
                del running[untold.pop(0)]
    finally:
        for lane in running.values():
            lane.process.terminate()
            lane.process.wait()
    return counts


def following(waiting, active):
    """The file that comes next: one that rests on the clock if none of those that run does, else another one."""
    timed = [file for file in waiting if rests_on_clock(file)]
    others = [file for file in waiting if file not in timed]
    return next(iter((others if any(map(rests_on_clock, active)) else timed + others)), None)


@functools.cache
def rests_on_clock(file):
    return re.search(r"^RESTS_ON_CLOCK = True$", (HERE / f"{file}.py").read_text(), re.MULTILINE) is not None


def files(pattern):
    """The files with a check whose name matches."""
    for path in sorted(HERE.glob("test_*.py")):
        names = re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE)
        if any(pattern.search(f"{path.stem}.{name}") for name in names):
            yield path.stem


def main():
    # A shell starts what runs in the background with SIGINT ignored, and so would every program be that is interrupted here
    # before it listens.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lanes", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--file", help="run the checks of this file alone, in this process")
    parser.add_argument("filter", nargs="?", default="", type=re.compile)
    arguments = parser.parse_args()
    if "ESPALIER" not in os.environ:
        os.environ["ESPALIER"] = str(ROOT / ".build/debug/espalier")
    program = shutil.which(os.environ["ESPALIER"])
    if program is None:
        sys.exit(f"run.py: there is no program {os.environ['ESPALIER']}; build it, or set ESPALIER to one")
    os.environ["ESPALIER"] = str(pathlib.Path(program).resolve())
    sys.path[:0] = [str(HERE), str(ROOT / "Scripts/reference")]
    os.chdir(ROOT)
    pattern = re.compile(arguments.filter)
    wanted = [arguments.file] if arguments.file else list(files(pattern))
    counts = run(wanted[0], pattern) if len(wanted) == 1 else run_all(wanted, pattern, max(1, arguments.lanes))
    print(closing(counts))
    return 1 if counts["failed"] or not counts["passed"] else 0


if __name__ == "__main__":
    sys.exit(main())
