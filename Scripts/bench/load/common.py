"""What the four systems' no-op benchmarks share: arguments, CPU time of processes, and the answer as JSON."""

import argparse
import json
import time
from types import SimpleNamespace

import psutil


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--tasks", type=int, default=2000)
    return parser.parse_args()


class Threads:
    """Threads of this process as if they were a process; psutil's interface."""

    def __init__(self, identifiers):
        self.identifiers = set(identifiers)

    def cpu_times(self):
        own = [thread for thread in psutil.Process().threads() if thread.id in self.identifiers]
        return SimpleNamespace(
            user=sum(thread.user_time for thread in own), system=sum(thread.system_time for thread in own))


class Stopwatch:
    """Wall time, and CPU time of processes that were there from the start on."""

    def __init__(self, coordinators, client=None):
        self.coordinators = list(coordinators)
        self.client = [client or psutil.Process()]
        self.started = time.perf_counter()
        self.before = self._cpu(self.coordinators), self._cpu(self.client)

    @staticmethod
    def _cpu(processes):
        times = [process.cpu_times() for process in processes]
        return sum(each.user + each.system for each in times)

    def report(self, system, given, connected, note=""):
        """Prints what running all tasks took; `client` is the process that submits them and takes the results."""
        seconds = time.perf_counter() - self.started
        coordinator = self._cpu(self.coordinators) - self.before[0]
        client = self._cpu(self.client) - self.before[1]
        print(json.dumps({
            "system": system, "workers": connected, "tasks": given.tasks, "seconds": seconds,
            "tasksPerSecond": given.tasks / seconds, "coordinatorMicroseconds": coordinator / given.tasks * 1e6,
            "clientMicroseconds": client / given.tasks * 1e6, "note": note}))
