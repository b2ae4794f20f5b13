"""Workers that come and go."""

import contextlib
import os
import signal
import time

from processes import eventually

# Out of a hundred faults. The worker that stays is only stopped and continued, like the coordinator.
KINDS = {
    ("worker", "killed"): 35, ("worker", "stopped"): 25, ("worker", "sent home"): 20, ("steady worker", "stopped"): 8,
    ("coordinator", "stopped"): 4, ("stranger", "asked"): 8}
# Longer than the three seconds of silence after which each side takes the other for dead, or shorter.
PAUSES = (0.2, 5.0)
# How long a place stays empty.
ABSENCE = (0.0, 4.0)


class Churn:
    """Does faults to the processes of a run, about every so many seconds."""

    def __init__(self, run, workers, every, random):
        self.run, self.every, self.random = run, every, random
        self.places = dict.fromkeys(range(workers))  # a process, or when the next one is due
        self.asleep = {}  # a stopped process → when it goes on
        self.next_fault = time.monotonic() + self.pause()
        self.done = {f"{target} {what}": 0 for target, what in KINDS}
        self.started = 0
        self.problems = []

    def pause(self):
        return self.random.expovariate(1 / self.every)

    def processes(self):
        return {place: process for place, process in self.places.items() if hasattr(process, "poll")}

    def awake_count(self):
        return len([process for process in self.processes().values() if process.pid not in self.asleep])

    def meanwhile(self):
        """Whatever is due: processes go on, places are filled again, a fault happens."""
        now = time.monotonic()
        for process, until in list(self.asleep.items()):
            if now >= until:
                self.wake(process)
        for place, process in self.places.items():
            if hasattr(process, "poll"):
                if process.poll() is not None:
                    self.bury(process)
                    self.places[place] = now + self.random.uniform(*ABSENCE)
            elif process is None or now >= process:
                self.places[place] = self.run.start_worker(place, is_fresh=self.random.random() < 0.5)
                self.started += 1
        if now >= self.next_fault and self.run.goes_on():
            self.fault(now)
            self.next_fault = now + self.pause()

    def bury(self, process):
        self.asleep.pop(process.pid, None)
        if process.returncode not in (0, -signal.SIGKILL, -signal.SIGTERM):
            self.problems.append(f"a worker exited {process.returncode}: {self.run.said()}")

    def wake(self, process):
        del self.asleep[process]
        self.send(process, signal.SIGCONT)

    @staticmethod
    def send(process, number):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, number)

    def fault(self, now):
        target, what = self.random.choices(list(KINDS), list(KINDS.values()))[0]
        if target == "stranger":
            self.run.ask()
        else:
            process = self.victim(target)
            if process is None:
                return
            if what == "stopped":
                self.send(process, signal.SIGSTOP)
                self.asleep[process] = now + self.random.uniform(*PAUSES)
            else:
                self.send(process, signal.SIGKILL if what == "killed" else signal.SIGTERM)
        self.done[f"{target} {what}"] += 1

    def victim(self, target):
        """A process that is neither stopped nor over."""
        coordinator, steady = self.run.watched()
        processes = {
            "worker": [process.pid for process in self.processes().values() if process.poll() is None],
            "steady worker": [steady], "coordinator": [coordinator]}[target]
        awake = [process for process in processes if process not in self.asleep]
        return self.random.choice(awake) if awake else None

    def calm(self):
        """Everybody who was stopped goes on."""
        for process in list(self.asleep):
            self.wake(process)

    def send_home(self):
        """Ends the workers, those too that wait for another coordinator."""
        for process in self.processes().values():
            if process.poll() is None:
                self.send(process.pid, signal.SIGTERM)
            if eventually(lambda process=process: process.poll() is not None, 20):
                self.bury(process)
            else:
                self.problems.append("a worker does not end when it is asked to")
