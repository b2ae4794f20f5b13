"""Tasks that compute nothing, for the soak: as many as coordinator and connections can bear."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess

from disturbed import children_of
from processes import eventually, is_alive

# Tasks of a level: what is kept of a level must be little beside the rest.
TASKS = 2000
# Connections of each process of workers.
CONNECTIONS = 2


class IdleRun:
    """espalier-load, level after level, and more processes of workers beside its own."""

    def __init__(self, arguments):
        self.program = str(arguments.espalier_load.resolve())
        self.folder, self.seconds = arguments.folder, arguments.minutes * 60
        self.errors = self.folder / "errors.txt"
        self.coordinator, self.processes = None, []
        self.last_progress = 0

    def spawn(self, *arguments):
        with open(self.errors, "ab") as errors, open(self.folder / "output.txt", "ab") as output:
            process = subprocess.Popen(
                [self.program, *(str(argument) for argument in arguments)], cwd=self.folder, stdin=subprocess.DEVNULL,
                stdout=output, stderr=errors, start_new_session=True)
        self.processes = [other for other in self.processes if other.poll() is None] + [process]
        return process

    def start(self):
        """Starts the coordinator with its own workers: the process that stays."""
        self.coordinator = self.spawn(
            "--seconds", int(self.seconds) + 15, "--tasks", TASKS, "--workers", CONNECTIONS, "--json", "result.json")
        assert eventually(lambda: self.progress() > 0, 60), f"the tasks do not begin: {self.said()}"
        self.endpoint = re.search(r"listening at (tcp://\S+)", self.errors.read_text())[1]
        self.steady = children_of(self.coordinator.pid)[0]

    def start_worker(self, place, is_fresh):
        return self.spawn("--connect", self.endpoint, "--workers", CONNECTIONS)

    def ask(self):
        """Somebody connects and says nothing that anybody understands."""
        host, port = self.endpoint.removeprefix("tcp://").rsplit(":", 1)
        with contextlib.suppress(OSError), socket.create_connection((host, port), 1) as peer:
            peer.sendall(b"GET / HTTP/1.1\r\n\r\n")

    def watched(self):
        return self.coordinator.pid, self.steady

    def goes_on(self):
        return self.coordinator.poll() is None and is_alive(self.steady)

    def progress(self):
        """Tasks so far."""
        told = re.findall(rb"(\d+) tasks\n", self.errors.read_bytes()[-3000:])
        self.last_progress = int(told[-1]) if told else self.last_progress
        return self.last_progress

    def said(self):
        return self.errors.read_text(errors="replace")[-1500:]

    def finish(self):
        """Waits for the end, at which the program has looked at every level's loss."""
        code = self.coordinator.wait(120)
        assert code == 0, f"the coordinator exited {code}: {self.said()}"
        result = json.loads((self.folder / "result.json").read_text())
        return {
            "tasks": result["tasks"], "tasksPerSecond": result["tasksPerSecond"],
            "coordinatorMicroseconds": result["coordinatorSeconds"] / result["tasks"] * 1e6,
            "verdict": f"{result['tasksPerSecond']:.0f} tasks a second; every level's loss is right"}

    def problems(self):
        return []

    def end(self):
        """Ends whatever still runs."""
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                process.wait()
        if self.coordinator and is_alive(getattr(self, "steady", 0)):
            os.kill(self.steady, signal.SIGKILL)
