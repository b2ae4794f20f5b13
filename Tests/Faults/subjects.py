"""The runs that faults are done to, and what each has to end with: the bits that an undisturbed run ends with."""

import hashlib
import json
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass

from program import EXAMPLES, command, environment

# What a run's folder may hold in the end, beside the files of the undisturbed one: a coordinator that ended with an error
# leaves its last events.
ALSO = {"post-mortem.log"}


@dataclass(frozen=True)
class Subject:
    """A command that keeps a run, without its folder and its workers."""

    name: str
    arguments: tuple

    @property
    def is_training(self):
        return self.arguments[0] == "finetune"

    @property
    def results(self):
        return ("trained.onnx", "curve.csv") if self.is_training else ("path.csv", "pruned.onnx")

    def call(self, run, workers, resumes=False):
        return (*self.arguments, "--workers", workers, "--run", run, *(("--resume",) if resumes else ()))

    def outcome(self, run):
        """The SHA-256 of everything that has to be the same to the bit."""
        found = {name: hashlib.sha256((run / name).read_bytes()).hexdigest() for name in self.results}
        summary = json.loads((run / "summary.json").read_text())
        found["weights"] = summary.get("weights") or [step.get("weights") for step in summary["path"]]
        found["losses"] = summary["curve"] if self.is_training else [step["loss"] for step in summary["path"]]
        return found


def on(model, *options, verb="prune"):
    folder = EXAMPLES / model
    return (verb, str(folder / "model.onnx"), "--data", str(folder / "calibration.npz"), *options)


SMALL = ("--samples", 128, "--block-size", 16)
FIT = (
    "--samples", 96, "--block-size", 16, "--fit-samples", 24, "--fit-rows", 1, "--candidates", r"blocks\.[5-8]\..*",
    "--steps", 2)
SUBJECTS = {subject.name: subject for subject in (
    Subject("search", on("digits-vit", *SMALL, "--steps", 3, "--no-bounds")),
    Subject("means", on("digits-resnet", *SMALL, "--units", "edges,layers", "--replace", "mean", "--steps", 3)),
    Subject("wanda", on("digits-resnet", *SMALL, "--units", "channels:8", "--within", "wanda", "--steps", 4)),
    Subject("taylor", on(
        "digits-resnet", *SMALL, "--units", "channels:8,edges", "--within", "taylor1", "--renew-order", "--steps", 3)),
    Subject("fisher", on("digits-vit", *SMALL, "--units", "heads,neurons", "--within", "fisher", "--steps", 3)),
    Subject("fit", on("digits-resnet", *FIT, "--recover", "least-squares")),
    Subject("train", on("digits-resnet", *FIT, "--recover", "least-squares,train:4")),
    Subject("finetune", on(
        "digits-resnet", "--remove", "31:0", "--remove", "5:0", "--validation",
        str(EXAMPLES / "digits-resnet/held-out.npz"), "--samples", 256, "--steps", 24, "--batch", 32, "--micro-batch", 8,
        "--shards", 2, "--validate-every", 4, "--flip", verb="finetune")),
)}


@dataclass(frozen=True)
class Undisturbed:
    """What an undisturbed run of a subject gave."""

    outcome: dict
    files: frozenset
    seconds: float


class References:
    """Undisturbed runs in one process, each made once."""

    def __init__(self, folder):
        self.folder, self.known = pathlib.Path(folder), {}

    def of(self, subject):
        if subject.name not in self.known:
            run = self.folder / f"undisturbed-{subject.name}"
            shutil.rmtree(run, ignore_errors=True)
            ended = finished(subject.call(run, 0), self.folder)
            assert ended.code == 0, f"the undisturbed run failed: {ended.said}"
            self.known[subject.name] = Undisturbed(subject.outcome(run), frozenset(names(run)), ended.seconds)
        return self.known[subject.name]


def names(run):
    return {str(path.relative_to(run)) for path in run.rglob("*")}


@dataclass(frozen=True)
class Ended:
    """How a call ended; a negative code is a signal."""

    code: int
    said: str
    seconds: float  # of the clock
    processor: float  # seconds of the processor
    memory: int  # KiB at most, resident

    @property
    def sentences(self):
        return [line for line in self.said.splitlines() if line.strip()]

    @property
    def last(self):
        return self.sentences[-1] if self.sentences else ""


# How long a call may take by the clock, on a machine that may be busy; what hangs without computing is seen by that alone.
PATIENCE = 600


def finished(arguments, folder, seconds=240, patience=PATIENCE):
    """Calls the program and waits. A negative code if it takes more than `seconds` of the processor, or hangs."""

    begun = time.monotonic()
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            command(*arguments), cwd=folder, env=environment(), stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=errors, start_new_session=True,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds)))
        late = threading.Event()

        def give_up():
            late.set()
            os.killpg(process.pid, signal.SIGKILL)

        timer = threading.Timer(patience, give_up)
        timer.start()
        _, status, used = os.wait4(process.pid, 0)
        timer.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        errors.seek(0)
        said = errors.read().decode(errors="replace")
    if late.is_set():
        said += f"\nespalier did not end within {patience} seconds"
    return Ended(
        process.returncode, said, time.monotonic() - begun, used.ru_utime + used.ru_stime, used.ru_maxrss)
