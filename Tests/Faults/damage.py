"""Damages the files of a run's folder, and goes on with it: the same bits, or a sentence that says what is wrong."""

import hashlib
import os
import shutil
import signal
import sqlite3
import subprocess
import time

from program import command, environment
from subjects import SUBJECTS, finished

# Those with something of every kind in their folders: results, statistics, kept weights, fit samples, checkpoints.
DAMAGED = ("search", "wanda", "fit", "train", "finetune")
# Of the processor, for what takes two.
SECONDS = 60


def interrupted(subject, run, folder, seconds):
    """A run that was killed midway, with its log beside the journal."""
    process = subprocess.Popen(
        command(*subject.call(run, 0)), cwd=folder, env=environment(), stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    limit = time.monotonic() + seconds + 60
    while process.poll() is None and time.monotonic() < limit and not is_midway(subject, run):
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()


def is_midway(subject, run):
    if subject.is_training:
        return (run / "checkpoint").exists()
    try:
        with sqlite3.connect(f"file:{run}/journal.sqlite?mode=ro", uri=True) as database:
            return database.execute("SELECT count(*) FROM stages").fetchone()[0] >= 3
    except sqlite3.Error:
        return False


class Pristine:
    """Runs of a subject that are over, or were killed midway, and the files that exports write of them."""

    known = {}

    def __init__(self, subject, folder, references):
        self.subject, self.undisturbed = subject, references.of(subject)
        self.over = references.folder / f"undisturbed-{subject.name}"
        self.midway = references.folder / f"midway-{subject.name}"
        if not self.midway.exists():
            interrupted(subject, self.midway, references.folder, self.undisturbed.seconds)
        self.exports = {}
        if not subject.is_training:
            for run in (self.over, self.midway):
                output = references.folder / "exported.onnx"
                ended = finished(("export", run, "--step", 1, "--output", output), references.folder)
                # A run that was killed has no step yet, or has one.
                self.exports[run] = hashlib.sha256(output.read_bytes()).hexdigest() if ended.code == 0 else None

    @classmethod
    def of(cls, subject, folder, references):
        key = (subject.name, references.folder)
        if key not in cls.known:
            cls.known[key] = cls(subject, folder, references)
        return cls.known[key]


def files(run):
    return sorted(path for path in run.iterdir() if path.is_file())


def damage(path, random):
    """Does one damage to a file; what it was."""
    whole = path.read_bytes()
    kind = random.choices(("bit", "bits", "cut", "gone", "empty", "zeros", "longer"), (40, 10, 15, 10, 5, 15, 5))[0]
    if kind in ("bit", "bits") and whole:
        changed = bytearray(whole)
        places = [random.randrange(8 * len(whole)) for _ in range(1 if kind == "bit" else 40)]
        # The beginnings of files say the most.
        if random.random() < 0.3:
            places = [place % (8 * 200) % (8 * len(whole)) for place in places]
        for place in places:
            changed[place // 8] ^= 1 << place % 8
        path.write_bytes(changed)
        return f"{path.name}: bit {places[0]} flipped" + (f" and {len(places) - 1} more" if len(places) > 1 else "")
    if kind == "cut" and whole:
        length = random.randrange(len(whole))
        path.write_bytes(whole[:length])
        return f"{path.name}: cut to {length} of {len(whole)} bytes"
    if kind == "zeros" and whole:
        start = random.randrange(len(whole)) // 4096 * 4096
        path.write_bytes(whole[:start] + bytes(len(whole[start:start + 4096])) + whole[start + 4096:])
        return f"{path.name}: zeros from {start}"
    if kind == "longer":
        path.write_bytes(whole + random.randbytes(random.choice((1, 100, 5000))))
        return f"{path.name}: longer"
    if kind == "gone":
        path.unlink()
        return f"{path.name}: gone"
    path.write_bytes(b"")
    return f"{path.name}: empty"


def refusal_problem(ended, run):
    """What is wrong with how a call refused a damaged folder; `None` where nothing is."""
    if ended.code != 65:
        return f"exit {ended.code}: {ended.said[-600:]}"
    errors = [line for line in ended.sentences if "warning:" not in line and "going on after" not in line]
    if len(errors) > 1 and not all(line.startswith("espalier: ") for line in errors[-1:]):
        return f"more than a sentence: {ended.said[-600:]}"
    if str(run) not in ended.last:
        return f"the sentence does not name the file: {ended.last}"
    return None


def round_of(number, random, folder, references, subjects=DAMAGED):
    """One damage to a copy of a run's folder, then --resume and export: what was done, and what is wrong."""
    subject = SUBJECTS[subjects[number % len(subjects)]]
    pristine = Pristine.of(subject, folder, references)
    source = random.choice((pristine.over, pristine.midway))
    run = folder / "run"
    shutil.copytree(source, run)
    # What matters most: rarely a file that is only written.
    choice = files(run)
    weights = [1 if path.name.split(".")[0] in ("path", "summary", "pruned", "run", "trained", "curve") else 8 for path in choice]
    done = damage(random.choices(choice, weights)[0], random)
    problems, ends = [], []
    if not subject.is_training:
        output = folder / "exported.onnx"
        ended = finished(("export", run, "--step", 1, "--output", output), folder, SECONDS)
        ends.append(f"export {ended.code}")
        if ended.code == 0:
            found, wanted = hashlib.sha256(output.read_bytes()).hexdigest(), pristine.exports[source]
            if wanted is not None and found != wanted:
                problems.append("export wrote another model")
        # A run that was killed early has no step 1, with or without damage.
        elif not ("there is no step" in ended.last and pristine.exports[source] is None):
            if problem := refusal_problem(ended, run):
                problems.append(f"export: {problem}")
            ends[-1] += f" ({ended.last})"
    ended = finished(subject.call(run, 0, resumes=True), folder, SECONDS)
    ends.append(f"resume {ended.code}")
    if ended.code == 0:
        found = subject.outcome(run)
        problems += [
            f"--resume: {name} differs" for name, value in pristine.undisturbed.outcome.items() if found[name] != value]
    else:
        if problem := refusal_problem(ended, run):
            problems.append(f"--resume: {problem}")
        ends[-1] += f" ({ended.last})"
    where = "over" if source == pristine.over else "midway"
    return f"{subject.name} {where}: {done}; {', '.join(ends)}", problems
