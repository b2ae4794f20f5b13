"""Stops a search midway, and looks into the journal that it leaves."""

import contextlib
import functools
import json
import os
import signal
import sqlite3
import struct
import time

from program import espalier, example, scratch, start

# Small blocks and no bounds: enough results that a stop lands between them.
SEARCH = (
    "prune", example("digits-vit")[0], "--data", example("digits-vit")[1], "--samples", 192, "--block-size", 16,
    "--steps", 3, "--no-bounds", "--workers", 0)


@functools.cache
def undisturbed():
    """The search's JSON without any disturbance, and its kept results."""
    with scratch() as folder:
        answer = espalier(*SEARCH, "--run", "run", "--json", "-", folder=folder).succeeded()
        return json.loads(answer.output), rows(folder / "run")


def same_result(found):
    """Fails unless base and path are those of the undisturbed search, to the last bit."""
    wanted = undisturbed()[0]
    assert found["path"] == wanted["path"], f"{found['path']}\nis not\n{wanted['path']}"
    assert found["base"] == wanted["base"]


def second_level_is_under_way(counts):
    return counts.get(2, 0) >= 20


def results(run):
    """The number of kept results per level; empty before there is a journal."""
    try:
        with contextlib.closing(sqlite3.connect(f"file:{run}/journal.sqlite?mode=ro", uri=True, timeout=5)) as journal:
            return dict(journal.execute("SELECT level, count(*) FROM results GROUP BY level"))
    except sqlite3.OperationalError:
        return {}


def rows(run):
    """Every kept result, by what it is the result of."""
    with contextlib.closing(sqlite3.connect(f"{run}/journal.sqlite")) as journal:
        return {row[:5]: row[5:] for row in journal.execute(
            "SELECT level, state, ifnull(edge, ''), shard, block, id, losses, correct FROM results")}


def alter_losses(run, level, edge, value):
    """Sets all kept losses of an expansion; returns how many blocks were kept."""
    with contextlib.closing(sqlite3.connect(f"{run}/journal.sqlite")) as journal, journal:
        kept = list(journal.execute(
            "SELECT id, losses FROM results WHERE level = ? AND edge = ?", (level, edge)))
        for identifier, losses in kept:
            journal.execute(
                "UPDATE results SET losses = ? WHERE id = ?",
                (struct.pack("<f", value) * (len(losses) // 4), identifier))
    return len(kept)


def stopped(arguments, run, when, number, folder, seconds=120, temporary=None):
    """Starts a search and sends it signal `number` as soon as `when(results(run))`.

    Returns exit code and standard error. Fails when the search ends before that.
    """
    process = start(*arguments, folder=folder, temporary=temporary)
    try:
        limit = time.monotonic() + seconds
        while not when(results(run)):
            assert process.poll() is None, (
                f"the search ended before it could be stopped: {process.stderr.read().decode()[-500:]}")
            assert time.monotonic() < limit, "the search took too long to get to where it was to be stopped"
            time.sleep(0.005)
        os.kill(process.pid, number)
        errors = process.communicate(timeout=60)[1].decode()
        return process.returncode, errors
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
