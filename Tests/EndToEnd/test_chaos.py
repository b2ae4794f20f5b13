"""Kills, stops and continues workers and the coordinator at random: the path stays, and nothing is left behind.

CHAOS_FAULTS (30) is the number of faults in each search, CHAOS_SEED which ones. The long form of the check:

    CHAOS_FAULTS=200 ESPALIER_TEST_SECONDS=1800 run.py test_chaos
"""

import contextlib
import os
import random
import signal
import time

from disturbed import disturbed, free_port, is_own, search, undisturbed
from processes import eventually
from program import scratch

RESTS_ON_CLOCK = True

FAULTS = int(os.environ.get("CHAOS_FAULTS", "30"))
SEED = int(os.environ.get("CHAOS_SEED", "7"))
# Longer than the three seconds of silence after which each side takes the other for dead, or shorter.
PAUSES = (0.2, 4.5)
# Out of a hundred faults. SIGINT asks a coordinator to stop; it is resumed, as after SIGKILL.
KINDS = {
    ("worker", signal.SIGKILL): 40, ("worker", signal.SIGSTOP): 30, ("worker", signal.SIGTERM): 8,
    ("coordinator", signal.SIGSTOP): 10, ("coordinator", signal.SIGKILL): 9, ("coordinator", signal.SIGINT): 3}


class Chaos:
    """Does one fault after the other to a search."""

    def __init__(self, running, seed, last):
        """`last`: as many results as leave a search little enough to end before a signal reaches it."""
        self.running, self.random, self.last = running, random.Random(seed), last
        self.asleep = {}  # stopped process → when it goes on
        self.done = dict.fromkeys(KINDS, 0)

    def meanwhile(self, everything=False):
        """Lets processes go on whose time has come, and starts again what was killed."""
        for process, until in list(self.asleep.items()):
            if everything or time.monotonic() >= until:
                del self.asleep[process]
                self.send(process, signal.SIGCONT)
        if self.running.coordinator.poll() is not None:
            self.resume()
        self.running.keep_workers()

    def resume(self):
        """Starts the coordinator again, unless it ended because the search is done."""
        code = self.running.coordinator.returncode
        if code == 0:
            return
        # Too many workers in a row that were killed before they could compute: told, and resumable like the others.
        told = "ended before they could compute" in self.running.said()
        # A program that is asked to stop before it listens ends like any other.
        assert code in (-signal.SIGKILL, -signal.SIGINT, 130) or (code in (69, 70) and told), (
            f"exit {code}: {self.running.said()}")
        self.running.start_coordinator()

    def send(self, process, number):
        if is_own(process, self.running.mark):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, number)
            return True
        return False

    def fault(self):
        """One more fault; whether there was a process to do it to."""
        target, number = self.random.choices(list(KINDS), list(KINDS.values()))[0]
        processes = [self.running.coordinator.pid] if target == "coordinator" else self.running.worker_processes()
        awake = [process for process in sorted(processes) if process not in self.asleep]
        if not awake:
            return False
        process = self.random.choice(awake)
        had = self.running.kept()
        if not self.send(process, number):
            return False
        if number == signal.SIGSTOP:
            self.asleep[process] = time.monotonic() + self.random.uniform(*PAUSES)
        elif target == "coordinator":
            code = self.running.coordinator.wait(60)
            # Were it not heeded, the search would go on and come to its end; where that is reached already, it has.
            assert code != 0 or had >= self.last, f"{number.name} was not heeded: {self.running.said()}"
        self.done[target, number] += 1
        return True


def chaos(address):
    # So many results that two or three dozen lie between two faults.
    arguments = search() if FAULTS <= 40 else search(samples=512, steps=3 + FAULTS // 25)
    with scratch() as folder:
        alone = undisturbed(arguments, folder)
        total = len(alone[1])
        with disturbed(arguments, folder, address=address) as running:
            running.start_coordinator()
            for slot in range(3 if address else 0):
                running.start_worker(slot)
            chaos = Chaos(running, SEED, last=0.9 * total)
            for number in range(FAULTS):
                if running.coordinator.poll() == 0 and number > 0.8 * FAULTS:
                    break
                while True:
                    due = int(0.95 * total * number / FAULTS)
                    running.wait_for(due, chaos.meanwhile)
                    assert running.coordinator.poll() != 0, (
                        f"the search ended after {number} faults, with {running.kept()} of {total} results")
                    if running.kept() < due + total // FAULTS:  # unless the search is ahead
                        time.sleep(chaos.random.uniform(0, 0.05))
                    chaos.meanwhile()
                    if chaos.fault():
                        break
            chaos.meanwhile(everything=True)
            while running.coordinator.poll() != 0:
                chaos.meanwhile()
                running.wait_for(total, chaos.meanwhile)
                eventually(lambda: running.coordinator.poll() is not None, 20)
            running.found_the_same(alone)
            running.send_home()
            running.leaves_nothing()
            said = ", ".join(
                f"{count} {number.name} to {target}s" for (target, number), count in chaos.done.items())
            print(f"        {said}; {running.started} coordinators", flush=True)


def test_local_workers_under_random_faults():
    chaos(None)


def test_workers_on_tcp_under_random_faults():
    chaos(f"127.0.0.1:{free_port()}")
