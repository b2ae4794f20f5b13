"""Kills, stops, continues and interrupts coordinators and workers at random moments, and goes on with --resume."""

import contextlib
import os
import signal
import subprocess
import time

from disturbed import children_of, is_own, own_processes
from processes import eventually
from program import command, environment
from subjects import ALSO, SUBJECTS, names

# Longer than the three seconds of silence after which each side takes the other for dead, or shorter.
PAUSES = (0.1, 0.6, 4.0)
# Out of a hundred faults. After SIGINT and SIGTERM the run can be resumed as after SIGKILL.
KINDS = {
    ("worker", signal.SIGKILL): 30, ("worker", signal.SIGSTOP): 18, ("worker", signal.SIGTERM): 5,
    ("coordinator", signal.SIGKILL): 27, ("coordinator", signal.SIGSTOP): 8, ("coordinator", signal.SIGINT): 8,
    ("coordinator", signal.SIGTERM): 4}
# What a run says that lost too many workers: it is resumable like the others.
LOST = ("ended before they could compute", "workers that were given", "workers ended", "lost")
GRACE = 15
PATIENCE = 240


class Killed:
    """One run of a subject with faults."""

    def __init__(self, subject, folder, random, workers=2):
        self.subject, self.folder, self.random, self.workers = subject, folder, random, workers
        self.run, self.temporary = folder / "run", folder / "t"
        self.temporary.mkdir(parents=True)
        self.mark = f"TMPDIR={self.temporary}\0".encode()
        self.errors = folder / "errors.txt"
        self.asleep, self.done, self.process, self.started = {}, [], None, 0

    def start(self):
        resumes = (self.run / "journal.sqlite").exists()
        with open(self.errors, "ab") as errors:
            errors.write(f"--- start {self.started}, {'resumes' if resumes else 'new'}\n".encode())
            self.process = subprocess.Popen(
                command(*self.subject.call(self.run, self.workers, resumes)), cwd=self.folder,
                env=environment(self.temporary), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors,
                start_new_session=True)
        self.started += 1

    def said(self):
        return self.errors.read_text(errors="replace")[-2000:]

    def send(self, process, number):
        if is_own(process, self.mark):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, number)
            return True
        return False

    def wake(self, everything=False):
        for process, until in list(self.asleep.items()):
            if everything or time.monotonic() >= until:
                del self.asleep[process]
                self.send(process, signal.SIGCONT)

    def pass_time(self, seconds):
        """Waits so long, or until the coordinator ends."""
        limit = time.monotonic() + seconds
        while time.monotonic() < limit and self.process.poll() is None:
            self.wake()
            time.sleep(0.005)

    def fault(self):
        target, number = self.random.choices(list(KINDS), list(KINDS.values()))[0]
        processes = [self.process.pid] if target == "coordinator" else sorted(children_of(self.process.pid))
        awake = [process for process in processes if process not in self.asleep]
        if not awake:
            return
        process = self.random.choice(awake)
        if not self.send(process, number):
            return
        self.done.append(f"{number.name} to a {target}")
        if number == signal.SIGSTOP:
            self.asleep[process] = time.monotonic() + self.random.choice(PAUSES)
        elif target == "coordinator":
            limit = time.monotonic() + 60
            while self.process.poll() is None and time.monotonic() < limit:
                self.wake()
                time.sleep(0.005)

    def goes_on(self):
        """Whether the run is not over; starts it again where it was stopped. Fails where it ended as it should not."""
        code = self.process.poll()
        if code is None:
            return True
        if code == 0:
            return False
        was_sent = {f"{number.name} to a coordinator" for number in (signal.SIGKILL, signal.SIGINT, signal.SIGTERM)}
        # A program that is asked to stop before it listens ends like any other.
        stopped = code in (-signal.SIGKILL, -signal.SIGINT, -signal.SIGTERM, 130) and was_sent & set(self.done)
        lost = code in (65, 69, 70) and any(word in self.said().splitlines()[-1] for word in LOST)
        assert stopped or lost, f"exit {code} after {self.done}: {self.said()}"
        self.wake(everything=True)
        self.start()
        return True

    def disturb(self, faults, seconds):
        """So many faults, between which about so many seconds pass."""
        self.start()
        for _ in range(faults):
            self.pass_time(self.random.uniform(0, seconds))
            if not self.goes_on():
                return
            self.fault()
        self.wake(everything=True)
        limit = time.monotonic() + PATIENCE
        while self.goes_on():
            assert time.monotonic() < limit, f"the run does not end after {self.done}: {self.said()}"
            self.pass_time(1)

    def problems(self, wanted):
        """What differs from the undisturbed run, and what is left behind."""
        found = self.subject.outcome(self.run)
        for name, value in wanted.outcome.items():
            if found[name] != value:
                yield f"{name} differs: {found[name]} is not {value}"
        if more := names(self.run) - wanted.files - ALSO:
            yield f"left in the run's folder: {sorted(more)}"
        if missing := wanted.files - names(self.run):
            yield f"missing in the run's folder: {sorted(missing)}"
        if not eventually(lambda: not own_processes(self.mark), GRACE):
            yield f"processes live on: {own_processes(self.mark)}"
        if not eventually(lambda: not os.listdir(self.temporary), 3):
            yield f"left in the temporary folder: {[str(path) for path in self.temporary.rglob('*')]}"

    def end(self):
        for process in own_processes(self.mark):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        if self.process is not None:
            self.process.wait()


def round_of(number, random, folder, references, subjects=tuple(SUBJECTS), faults=(3, 9)):
    """One run under faults: what was done, and what is wrong."""
    subject = SUBJECTS[subjects[number % len(subjects)]]
    wanted = references.of(subject)
    killed = Killed(subject, folder, random)
    try:
        # Some runs are hit early and often, others late: also while results are written.
        killed.disturb(random.randint(*faults), random.choice((0.3, 1, 1.2)) * wanted.seconds)
        problems = list(killed.problems(wanted))
    except AssertionError as error:
        problems = [str(error)]
    finally:
        killed.end()
    return f"{subject.name}: {killed.started} coordinators, {', '.join(killed.done) or 'no fault'}", problems
