"""Stops a search midway, and looks into the journal that it leaves."""

import functools
import json
import os
import signal
import time

from kept import alter_losses, counts as results, rows
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
