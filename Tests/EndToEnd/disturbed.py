"""A search whose coordinator and workers are processes to be killed, stopped and cut off, on ipc or on tcp."""

import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import time

from kept import counts, rows
from processes import eventually, is_alive
from program import command, environment, espalier, example

# How long processes may take to notice that the run is over, or that their coordinator is gone.
GRACE = 12
# How long a search may make no progress before it counts as hanging.
PATIENCE = 90


def search(samples=192, steps=3, name="digits-vit"):
    """A search with so many results to keep that disturbances land between them."""
    model, data = example(name)
    return (
        "prune", model, "--data", data, "--samples", samples, "--block-size", 16, "--steps", steps, "--no-bounds")


def undisturbed(arguments, folder):
    """The JSON and the kept results of the search in one process that nobody disturbs."""
    answer = espalier(
        *arguments, "--workers", 0, "--run", "alone", "--json", "-", folder=folder, seconds=500).succeeded()
    return json.loads(answer.output), rows(folder / "alone")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def is_own(process, mark):
    """Whether a process lives and has `mark` in its environment."""
    with contextlib.suppress(OSError):
        return mark in pathlib.Path(f"/proc/{process}/environ").read_bytes() and is_alive(process)
    return False


def own_processes(mark):
    """The living processes that have `mark` in their environment."""
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit() and is_own(entry, mark)]


def children_of(process):
    """The living children, as the kernel keeps them for each thread: looking through all processes takes long."""
    found = []
    for file in pathlib.Path(f"/proc/{process}/task").glob("*/children"):
        with contextlib.suppress(OSError):  # the thread has ended
            found += [int(child) for child in file.read_text().split() if is_alive(child)]
    return found


class Disturbed:
    """One search in `folder`, whose coordinator may have to be started again and again.

    With `address` the coordinator listens there and `start_worker` starts workers; without, it has local ones.
    `at` is what to put before the commands of a host: nothing, or the way to another one.
    """

    def __init__(self, arguments, folder, workers=3, address=None, at=None):
        self.arguments, self.folder, self.count, self.address = arguments, folder, workers, address
        self.at = at or (lambda host: ())
        self.run, self.temporary = folder / "run", folder / "t"
        self.temporary.mkdir()
        self.mark = f"TMPDIR={self.temporary}\0".encode()
        self.errors = folder / "errors.txt"
        self.coordinator, self.workers, self.started = None, {}, 0
        if address:
            espalier("keygen", "keys", folder=folder).succeeded()

    # What runs where

    def spawn(self, host, *arguments):
        with open(self.errors, "ab") as errors:
            return subprocess.Popen(
                [*self.at(host), *command(*arguments)], cwd=self.folder, env=environment(self.temporary),
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors, start_new_session=True)

    def start_coordinator(self, host=None):
        team = ("--bind", f"tcp://{self.address}", "--keys", "keys") if self.address else ("--workers", self.count)
        going_on = ("--resume",) if (self.run / "journal.sqlite").exists() else ()
        self.coordinator = self.spawn(
            host, *self.arguments, *team, "--run", "run", "--json", "found.json", *going_on)
        self.started += 1

    def start_worker(self, slot, host=None):
        """Starts a worker, in place of the last one of this slot."""
        self.workers[slot] = self.spawn(
            host, "worker", "--connect", f"tcp://{self.address}", "--keys", "keys", "--cache", f"cache-{slot}")

    def keep_workers(self, host=lambda slot: None):
        """Starts workers again that ended because they were killed or sent home."""
        for slot, process in list(self.workers.items()):
            code = process.poll()
            if code is not None:
                assert code in (0, -signal.SIGKILL, -signal.SIGTERM), f"worker {slot} exited {code}: {self.said()}"
                self.start_worker(slot, host(slot))

    def worker_processes(self):
        """The worker processes that live, wherever they come from."""
        if self.address:
            return [process.pid for process in self.workers.values() if process.poll() is None]
        return children_of(self.coordinator.pid)

    # How far it is

    def kept(self):
        """The number of results in the journal."""
        return sum(counts(self.run).values())

    def wait_for(self, count, meanwhile=lambda: None):
        """Waits until so many results are kept; whether the search still runs then."""
        best, changed = -1, time.monotonic()
        while (kept := self.kept()) < count:
            meanwhile()
            if self.coordinator.poll() is not None:
                return False
            if kept > best:
                best, changed = kept, time.monotonic()
            assert time.monotonic() < changed + PATIENCE, f"no progress beyond {kept} results: {self.said()}"
            time.sleep(0.01)
        return True

    def finish(self, seconds=240, meanwhile=lambda: None):
        """Waits for the end, which has to be a good one."""
        limit = time.monotonic() + seconds
        while self.coordinator.poll() is None:
            meanwhile()
            assert time.monotonic() < limit, f"the search does not end: {self.said()}"
            time.sleep(0.02)
        assert self.coordinator.returncode == 0, f"exit code {self.coordinator.returncode}: {self.said()}"

    def said(self):
        return self.errors.read_text(errors="replace")[-3000:]

    # What has to hold in the end

    def found_the_same(self, alone):
        """Fails unless base, path, levels and kept results are those of the undisturbed search, to the last bit."""
        wanted, wanted_rows = alone
        found = json.loads((self.folder / "found.json").read_text())
        assert found["path"] == wanted["path"], f"{found['path']}\nis not\n{wanted['path']}"
        assert found["base"] == wanted["base"]
        assert [level["kept"] for level in found["levels"]] == [level["kept"] for level in wanted["levels"]]
        found_rows = rows(self.run)
        assert found_rows.keys() == wanted_rows.keys(), "other results are kept"
        assert all(found_rows[key][1:] == row[1:] for key, row in wanted_rows.items()), "a kept result differs"

    def send_home(self):
        """Ends workers that have not heard that the run is over, and wait for a coordinator."""
        eventually(lambda: all(process.poll() is not None for process in self.workers.values()), 3)
        for slot, process in self.workers.items():
            if process.poll() is None:
                process.terminate()
            assert process.wait(GRACE) in (0, -signal.SIGKILL, -signal.SIGTERM), f"worker {slot}: {self.said()}"

    def leaves_nothing(self):
        """Fails if a process of the search lives on, or a file is left that nobody asked for."""
        assert eventually(lambda: not own_processes(self.mark), GRACE), (
            f"processes live on: {own_processes(self.mark)}; {self.said()}")
        assert eventually(lambda: not os.listdir(self.temporary), GRACE), (
            f"left in the temporary folder: {[str(path) for path in self.temporary.rglob('*')]}")
        result = {"journal.sqlite", "path.csv", "pruned.onnx", "run.lock", "summary.json", "summary.txt"}
        # A coordinator that ended with an error leaves its last events.
        assert set(os.listdir(self.run)) - {"post-mortem.log"} == result, f"the run's folder holds {os.listdir(self.run)}"
        for cache in self.folder.glob("cache-*"):
            files = [path.name for path in cache.rglob("*") if path.is_file()]
            assert not [name for name in files if name.startswith(".") or "part" in name or "tmp" in name], files

    def end(self):
        """Ends whatever still runs."""
        for process in own_processes(self.mark):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        for process in [self.coordinator, *self.workers.values()]:
            if process is not None:
                process.wait()


@contextlib.contextmanager
def disturbed(*arguments, **options):
    running = Disturbed(*arguments, **options)
    try:
        yield running
    finally:
        running.end()
