"""Coordinators and workers that run apart from each other, for checks of workers on other machines."""

import contextlib
import json
import signal
import socket
import subprocess
import threading

from processes import eventually
from program import command, environment, espalier, espalier_json, example, scratch

MODEL, DATA = example("digits-resnet")
MEASURE = ("--samples", 160, "--block-size", 16, "--shards", 3, "--steps", 2)


def decided(found):
    """What has to be the same to the last bit."""
    return found["base"], found["path"], [level["kept"] for level in found["levels"]]


def alone(*options, model=MODEL):
    """What one process finds without any worker."""
    with scratch() as folder:
        return decided(espalier_json(
            "prune", model, "--data", DATA, *(options or MEASURE), "--workers", 0, "--run", folder / "run"))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Program:
    """The program while it runs; its standard error is read as it comes."""

    def __init__(self, *arguments, folder, variables=()):
        self.lines = []
        self.process = subprocess.Popen(
            command(*arguments), cwd=folder, env={**environment(), **dict(variables)}, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, text=True)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stderr:
            self.lines.append(line)

    @property
    def errors(self):
        return "".join(self.lines)

    def says(self, text, seconds=60):
        assert eventually(lambda: text in self.errors or self.process.poll() is not None, seconds), self.errors
        assert text in self.errors, f"'{text}' was never said: {self.errors}"

    @property
    def endpoint(self):
        """Where a coordinator listens, as it says."""
        self.says("listening on ")
        return next(line for line in self.lines if line.startswith("listening on ")).split()[-1]

    def end(self, seconds=120):
        """Waits for the end; the exit code."""
        self.process.wait(timeout=seconds)
        self.reader.join(timeout=10)
        return self.process.returncode

    def ends(self):
        """Whether a worker ended by itself; one that came after the run's end waits for another, and is asked to end."""
        by_itself = eventually(lambda: self.process.poll() is not None, 10)
        if not by_itself:
            self.process.send_signal(signal.SIGTERM)
        assert self.end(30) == 0, self.errors
        return by_itself

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


class Stage:
    """A folder with keys, in which coordinators and workers run apart from each other."""

    def __init__(self, folder, cleanup):
        self.folder, self.cleanup, self.count = folder, cleanup, 0
        espalier("keygen", "keys", folder=folder).succeeded()
        self.keys = folder / "keys"

    def started(self, program):
        self.cleanup.callback(program.kill)
        return program

    def prune(self, *options, bind="tcp://127.0.0.1:0", model=MODEL, measure=MEASURE, security=None):
        security = ("--keys", self.keys) if security is None else security
        return self.started(Program(
            "prune", model, "--data", DATA, *measure, "--run", "run", "--json", "found.json", "--bind", bind,
            *security, *options, folder=self.folder))

    def worker(self, endpoint, *options, keys=None, cache="cache", security=None, variables=()):
        """A worker in an empty folder, which takes nothing from the coordinator's paths."""
        self.count += 1
        folder = self.folder / f"worker{self.count}"
        folder.mkdir()
        security = ("--keys", keys or self.keys / "worker") if security is None else security
        return self.started(Program(
            "worker", "--connect", endpoint, *security, "--stream", "--cache", self.folder / cache, *options,
            folder=folder, variables=variables))

    def found(self):
        return json.loads((self.folder / "found.json").read_text())

    def contents(self, cache="cache"):
        folder = self.folder / cache / "contents"
        return sorted(path.name for path in folder.iterdir()) if folder.exists() else []

    def sizes(self, cache="cache"):
        folder = self.folder / cache / "contents"
        return [path.stat().st_size for path in folder.iterdir()] if folder.exists() else []

    def partial(self, cache="cache"):
        """The bytes of unfinished contents, the largest first."""
        folder = self.folder / cache / "partial"
        with contextlib.suppress(OSError):
            return sorted((path.stat().st_size for path in folder.iterdir()), reverse=True)
        return []


class Relay:
    """Forwards connections, and changes a byte of what goes down to the worker whenever `flips` says so."""

    def __init__(self, target, flips):
        self.target, self.flips, self.changed, self.open = target, flips, 0, True
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"tcp://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                near, _ = self.listener.accept()
                far = socket.create_connection(("127.0.0.1", self.target))
                for source, sink, goes_down in ((near, far, False), (far, near, True)):
                    threading.Thread(target=self.forward, args=(source, sink, goes_down), daemon=True).start()

    def forward(self, source, sink, goes_down):
        sent = 0
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                if goes_down and self.flips(sent, self.changed):
                    data = bytearray(data)
                    data[len(data) // 2] ^= 1
                    self.changed += 1
                sent += len(data)
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self):
        self.listener.close()


@contextlib.contextmanager
def stage():
    with scratch() as folder, contextlib.ExitStack() as cleanup:
        yield Stage(folder, cleanup)


def succeeds(coordinator, *workers):
    assert coordinator.end() == 0, coordinator.errors
    for worker in workers:
        assert worker.end(30) == 0, worker.errors
