"""Calls the program under test, each call in a folder of its own, and reads what it answers."""

import contextlib
import json
import os
import pathlib
import subprocess
import tempfile
from dataclasses import dataclass

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODELS = ROOT / "Tests/Fixtures/models"
EXAMPLES = ROOT / "Examples"
ARCHITECTURES = sorted(path.stem for path in MODELS.glob("*.onnx"))


def fixture(name):
    """The paths of a fixture's model and data."""
    return str(MODELS / f"{name}.onnx"), str(MODELS / f"{name}.npz")


def example(name):
    """The paths of an example's model and calibration data."""
    return str(EXAMPLES / name / "model.onnx"), str(EXAMPLES / name / "calibration.npz")


@dataclass(frozen=True)
class Answer:
    """How a call ended."""

    arguments: tuple
    code: int
    output: str
    errors: str

    def succeeded(self):
        """Itself; fails unless the call succeeded."""
        assert self.code == 0, f"{self.command} exited {self.code}: {self.errors[-2000:]}"
        return self

    @property
    def command(self):
        return "espalier " + " ".join(self.arguments)


def environment(temporary=None):
    """The environment of a call; `temporary` is the folder for its sockets and other temporary files."""
    variables = {**os.environ, "ESPALIER_EXAMPLES": str(EXAMPLES)}
    if temporary is not None:
        variables.pop("XDG_RUNTIME_DIR", None)
        variables["TMPDIR"] = str(temporary)
    return variables


def command(*arguments):
    return [os.environ["ESPALIER"], *(str(argument) for argument in arguments)]


def espalier(*arguments, folder=None, seconds=300, temporary=None):
    """Calls the program and waits for it; a negative code is the signal that ended it."""
    done = subprocess.run(
        command(*arguments), cwd=folder, env=environment(temporary), stdin=subprocess.DEVNULL, capture_output=True,
        timeout=seconds)
    return Answer(
        tuple(str(argument) for argument in arguments), done.returncode, done.stdout.decode(errors="replace"),
        done.stderr.decode(errors="replace"))


def espalier_json(*arguments, folder=None):
    """What a call that has to succeed writes with `--json -`."""
    return json.loads(espalier(*arguments, "--json", "-", folder=folder).succeeded().output)


def start(*arguments, folder=None, temporary=None):
    """Starts the program in a process group of its own and goes on."""
    return subprocess.Popen(
        command(*arguments), cwd=folder, env=environment(temporary), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, start_new_session=True)


@contextlib.contextmanager
def scratch():
    """A folder that goes away."""
    with tempfile.TemporaryDirectory(prefix="espalier-check-") as folder:
        yield pathlib.Path(folder)


def edge_of(candidate):
    """A candidate or path edge of JSON as the pair (node, slot)."""
    return candidate["node"], candidate["slot"]


def text_of(edge):
    return f"{edge[0]}:{edge[1]}"


def together(failures):
    """Fails with all of `failures` at once, so that one run shows everything that is wrong."""
    failures = list(failures)
    assert not failures, f"{len(failures)} wrong:\n" + "\n".join(failures[:40])


def close(actual, expected, relative=1e-5, absolute=1e-7):
    return abs(actual - expected) <= absolute + relative * abs(expected)
