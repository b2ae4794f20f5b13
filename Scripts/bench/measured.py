"""Runs programs and says what they took; shared by the benchmarks."""

import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODELS = ROOT / "runs/bench-models"


@dataclass(frozen=True)
class Call:
    """What a program printed as JSON, and its whole process: wall time and CPU time with that of its children."""

    result: dict
    wall: float
    cpu: float


def call(*command):
    """Runs a program that prints JSON; what it says on standard error is shown when it fails."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        start = time.perf_counter()
        process = subprocess.Popen([str(part) for part in command], stdout=output, stderr=errors)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        errors.seek(0)
        if process.returncode:
            sys.exit(f"{' '.join(map(str, command))} exited {process.returncode}:\n{errors.read().decode()[-3000:]}")
        return Call(json.loads(output.read()), wall, usage.ru_utime + usage.ru_stime)


def peer(script, *arguments):
    """Runs one of the Python programs beside this file."""
    return call(sys.executable, pathlib.Path(__file__).parent / script, *arguments)


def candidates(espalier, model, pattern="branches"):
    """The edges that Espalier tries (of those whose removal computes the same, one), as `inspect` lists them."""
    return call(espalier, "inspect", model, "--candidates", pattern, "--json", "-").result["candidates"]


def text(edge):
    return f"{edge['node']}:{edge['slot']}"


def median(values):
    return statistics.median(values)


def machine():
    """One line about this machine, for tables."""
    names = [line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")]
    return f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"


def subset(path, samples, folder):
    """An .npz with the first samples of another, for the peers and Espalier alike."""
    import numpy as np

    with np.load(path) as archive:
        arrays = {name: archive[name][:samples] for name in archive.files}
    result = pathlib.Path(folder) / "data.npz"
    np.savez(result, **arrays)
    return result


def arguments_of(parser):
    """Parses with what all benchmarks take."""
    parser.add_argument("--models", type=pathlib.Path, default=MODELS, help="what make-models.py wrote")
    parser.add_argument("--espalier", default=str(ROOT / ".build/release/espalier"))
    parser.add_argument("--json", type=pathlib.Path, help="write the figures")
    return parser.parse_args()


def finish(arguments, figures):
    """Writes the figures if a file was asked for."""
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": machine(), **figures}, indent=1) + "\n")
