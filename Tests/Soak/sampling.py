"""What the system says of coordinator and steady worker, every few seconds, in a CSV file."""

import csv
import os
import sys
import time

from processes import kibibytes, status

PROCESSES = ("coordinator", "worker")
QUANTITIES = ("mib", "descriptors", "threads")


def look(process):
    """Resident memory in MiB, open descriptors, threads; nothing of a process that has ended."""
    try:
        descriptors = len(os.listdir(f"/proc/{process}/fd"))
        return kibibytes(process, "VmRSS") / 1024, descriptors, int(status(process)["Threads"])
    except (OSError, TypeError, KeyError):
        return ()


class Samples:
    """Samples of a run, as they are written down."""

    quantities = [f"{process} {quantity}" for process in PROCESSES for quantity in QUANTITIES]

    def __init__(self, path, run, minutes):
        self.path, self.run, self.seconds = path, run, minutes * 60
        self.pause = min(2.0, self.seconds / 60)
        self.times, self.rows = [], []

    def of(self, quantity):
        return [row[self.quantities.index(quantity)] for row in self.rows]

    def take_until_over(self, churn):
        """Samples until the time is over, or the run; meanwhile faults happen."""
        began = time.monotonic()
        due, told = 0.0, 60.0
        with open(self.path, "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["seconds", "done", "workers", *self.quantities])
            while (now := time.monotonic() - began) < self.seconds and self.run.goes_on():
                churn.meanwhile()
                if now >= due:
                    due = now + self.pause
                    row = [value for process in self.run.watched() for value in look(process)]
                    if len(row) < len(self.quantities):
                        break
                    self.times.append(now)
                    self.rows.append(row)
                    shown = [round(value, 2) for value in row]
                    writer.writerow([round(now, 1), self.run.progress(), churn.awake_count(), *shown])
                    file.flush()
                    if now >= told:
                        told += 60
                        print(
                            f"{now / 60:.0f} min: {self.run.progress()} done, {sum(churn.done.values())} faults, "
                            f"{row[0]:.0f} and {row[3]:.0f} MiB", file=sys.stderr, flush=True)
                time.sleep(0.05)
