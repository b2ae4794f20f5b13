"""A real search for the soak: a beam search without bounds, in blocks of one sample, over TCP with CURVE."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.request

from disturbed import free_port, own_processes
from kept import journal, rows
from processes import eventually
from program import command, environment, espalier, example

# The time is shared among so many levels, far fewer than the model has removable edges: the search must not end before.
LEVELS = 12
# What a process may take, so that the base passes that workers keep reach their limit early.
MEMORY = "450M"


class SearchRun:
    """The processes of a search, in a folder."""

    def __init__(self, arguments):
        os.environ["ESPALIER"] = str(arguments.espalier.resolve())
        self.folder, self.minutes = arguments.folder, arguments.minutes
        self.temporary = self.folder / "t"
        self.temporary.mkdir()
        self.mark = f"TMPDIR={self.temporary}\0".encode()
        self.errors = self.folder / "errors.txt"
        self.address, self.metrics = (f"127.0.0.1:{free_port()}" for _ in range(2))
        model, data = example("digits-vit")
        samples = min(256, max(16, round(16 * self.minutes)))
        self.search = (
            "prune", model, "--data", data, "--samples", samples, "--block-size", 1, "--candidates",
            "all", "--memory", MEMORY)
        width = self.width(samples, min(arguments.workers + 1, os.cpu_count()))
        self.search += ("--strategy", "beam", "--beam-width", width)
        self.coordinator = self.steady = None
        self.askers = []
        self.last_progress = 0

    def width(self, samples, processors):
        """A beam so wide that the search has work for the whole time: measured on one level, with local workers."""
        measured = json.loads(espalier(
            *self.search[:4], "--samples", 16, *self.search[6:], "--steps", 1, "--no-bounds", "--workers", processors,
            "--run", "trial", "--json", "-", folder=self.folder).succeeded().output)
        shutil.rmtree(self.folder / "trial")
        rate = measured["work"]["blockEvaluations"] / measured["seconds"]
        level = rate * self.minutes * 60 / LEVELS
        return max(2, round(level / samples / measured["work"]["candidates"]))

    def spawn(self, *arguments):
        with open(self.errors, "ab") as errors:
            return subprocess.Popen(
                command(*arguments), cwd=self.folder, env=environment(self.temporary), stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=errors, start_new_session=True)

    def start(self):
        """Starts the coordinator, and the worker that stays."""
        espalier("keygen", "keys", folder=self.folder).succeeded()
        self.coordinator = self.spawn(
            *self.search, "--no-bounds", "--bind", f"tcp://{self.address}", "--keys", "keys", "--run", "run",
            "--metrics", self.metrics)
        self.steady = self.start_worker("steady", is_fresh=True)
        assert eventually(lambda: self.progress() > 0, 60), f"the search does not begin: {self.said()}"

    def start_worker(self, place, is_fresh):
        """Starts a worker; a fresh one has nothing in its cache."""
        cache = f"cache-{place}"
        if is_fresh:
            shutil.rmtree(self.folder / cache, ignore_errors=True)
        return self.spawn(
            "worker", "--connect", f"tcp://{self.address}", "--keys", "keys", "--cache", cache, "--stream")

    def ask(self):
        """Somebody asks how far the run is, and does not wait for the answer."""
        process = self.spawn("status", "--connect", f"tcp://{self.address}", "--keys", "keys")
        self.askers = [asker for asker in self.askers if asker.poll() is None] + [process]

    def watched(self):
        return self.coordinator.pid, self.steady.pid

    def goes_on(self):
        return self.coordinator.poll() is None and self.steady.poll() is None

    def progress(self):
        """Block evaluations so far; the last that were known while the coordinator does not answer."""
        with contextlib.suppress(OSError, ValueError):
            with urllib.request.urlopen(f"http://{self.metrics}/status", timeout=0.5) as answer:
                status = json.load(answer)
            self.last_progress = status["finishedBlockEvaluations"] + status.get("level", {}).get("blockEvaluations", 0)
        return self.last_progress

    def said(self):
        return self.errors.read_text(errors="replace")[-1500:]

    # The end

    def finish(self):
        """Interrupts the search, and compares what it found with the same search in one process."""
        self.coordinator.send_signal(signal.SIGINT)
        code = self.coordinator.wait(60)
        assert code in (0, 130), f"the coordinator exited {code}: {self.said()}"
        self.steady.terminate()
        assert self.steady.wait(20) in (0, -signal.SIGTERM), f"the worker that stays did not stay: {self.said()}"
        found = levels(self.folder / "run")
        steps = max(found)
        assert steps > 0, "no level was finished: the time is too short"
        print(f"{steps} levels; the same search in one process begins", file=sys.stderr, flush=True)
        espalier(
            *self.search, "--steps", steps, "--workers", 0, "--run", "alone", folder=self.folder,
            seconds=max(600, 240 * self.minutes)).succeeded()
        alone = levels(self.folder / "alone")
        self.differing = [level for level in found if found[level]["states"] != alone[level]["states"]]
        compared, others = self.compared()
        same = not self.differing and not others
        return {
            "tasks": sum(level["work"]["tasks"] for level in found.values()), "levels": steps,
            "blockEvaluations": self.last_progress, "resultsCompared": compared, "resultsThatDiffer": others,
            "samePath": same,
            "verdict": (
                f"the path of {steps} levels and {compared} results "
                f"{'are those' if same else 'ARE NOT those'} of one process, to the last bit")}

    def compared(self):
        """Results that both runs kept, and how many of them differ. The one with bounds keeps fewer."""
        alone, soaked = rows(self.folder / "alone"), rows(self.folder / "run")
        common = alone.keys() & soaked.keys()
        return len(common), sum(alone[key][1:] != soaked[key][1:] for key in common)

    def problems(self):
        """What is wrong besides."""
        problems = [f"level {level} has other states" for level in self.differing]
        if not eventually(lambda: not own_processes(self.mark), 12):
            problems.append("processes live on")
        left = [path.name for path in self.temporary.rglob("*")]
        return problems + ([f"temporary files are left: {left}"] if left else [])

    def end(self):
        """Ends whatever still runs."""
        for process in own_processes(self.mark):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)


def levels(run):
    """The finished levels of a run: their states, losses included, and their work."""
    with journal(run) as database:
        return {
            number: {"states": json.loads(outcome), "work": json.loads(notes)["work"]}
            for number, outcome, notes in database.execute("SELECT number, outcome, notes FROM stages")}
