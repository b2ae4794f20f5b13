"""Worker processes as the system sees them."""

import os
import pathlib
import time


def status(process):
    """The fields of a process' status; empty when it has ended."""
    try:
        lines = pathlib.Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return {}
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def is_alive(process):
    return status(process).get("State", "Z")[0] not in "ZX"


def workers_of(coordinator):
    """The processes that a coordinator started and that live."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit() and status(entry).get("PPid", "").strip() == str(coordinator) and is_alive(entry):
            found.append(int(entry))
    return sorted(found)


def kibibytes(process, field):
    """VmRSS or VmHWM; None when the process has ended."""
    text = status(process).get(field)
    return int(text.split()[0]) if text else None


def eventually(condition, seconds):
    """Whether `condition` holds within `seconds`."""
    limit = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > limit:
            return False
        time.sleep(0.05)
    return True
