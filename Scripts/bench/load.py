#!/usr/bin/env python3
"""Throughput of tasks that do nothing, and what they cost the coordinator: Espalier, Dask, Ray, ipyparallel, HyperQueue.

    load.py [--workers 2] [--tasks 2000] [--repeats 3] [--systems dask,ray,ipyparallel,hyperqueue]
            [--espalier-load PATH] [--venv DIR]

Each system runs on this machine with so many worker connections over local TCP and gets all tasks at once; start-up is
not counted, and a few tasks go first. "Coordinator" is CPU time of the processes that schedule, "client" of the one that
submits the tasks and takes their results (in Espalier one process does both). Their packages come from PyPI into
a virtual environment that is made on the first call. `PATH --workers W --tasks N --json -` is expected to run Espalier's
coordinator with W connected workers and N no-op tasks, and to answer with `tasks`, `seconds`, `coordinatorSeconds`
(CPU) and `workers`.
"""

import argparse
import pathlib
import subprocess
import sys
import venv

from measured import ROOT, call, finish, machine, median

PACKAGES = ["distributed==2026.8.0", "ray==2.60.0", "ipyparallel==9.2.0", "hyperqueue==0.27.0", "psutil"]
SYSTEMS = ("dask", "ray", "ipyparallel", "hyperqueue")


def python(folder):
    """The interpreter of the environment with the peers, made if need be."""
    interpreter = folder / "bin/python"
    if not interpreter.exists():
        venv.create(folder, with_pip=True)
        subprocess.run([interpreter, "-m", "pip", "install", "--quiet", *PACKAGES], check=True, stdout=sys.stderr)
    return interpreter


def own(program, workers, tasks):
    """Espalier's figures in the same form."""
    result = call(program, "--workers", workers, "--tasks", tasks, "--json", "-").result
    return {
        "system": "Espalier", "workers": result["workers"], "tasks": result["tasks"], "seconds": result["seconds"],
        "tasksPerSecond": result["tasks"] / result["seconds"], "clientMicroseconds": 0.0,
        "coordinatorMicroseconds": result["coordinatorSeconds"] / result["tasks"] * 1e6, "note": ""}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--tasks", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--systems", default=",".join(SYSTEMS))
    parser.add_argument("--espalier-load", type=pathlib.Path)
    parser.add_argument("--venv", type=pathlib.Path, default=ROOT / "runs/bench-load-venv")
    parser.add_argument("--json", type=pathlib.Path, help="write the figures")
    arguments = parser.parse_args()
    names = [name for name in arguments.systems.split(",") if name]
    runs = {}
    for _ in range(arguments.repeats):
        if arguments.espalier_load:
            runs.setdefault("espalier", []).append(own(arguments.espalier_load, arguments.workers, arguments.tasks))
        for name in names:
            script = pathlib.Path(__file__).parent / "load" / f"{name}_tasks.py"
            done = call(python(arguments.venv), script, "--workers", arguments.workers, "--tasks", arguments.tasks)
            runs.setdefault(name, []).append(done.result)
            print(f"  {done.result}", file=sys.stderr, flush=True)
    print(f"{arguments.tasks} tasks, {arguments.workers} workers, median of {arguments.repeats}; {machine()}")
    print(f"{'':14}{'workers':>9}{'tasks/s':>10}{'coordinator':>14}{'client':>12}")
    for results in runs.values():
        figures = {
            key: median(result[key] for result in results)
            for key in ("tasksPerSecond", "coordinatorMicroseconds", "clientMicroseconds")}
        print(
            f"{results[0]['system']:14}{results[0]['workers']:>9}{figures['tasksPerSecond']:>10.0f}"
            f"{figures['coordinatorMicroseconds']:>11.0f} µs{figures['clientMicroseconds']:>9.0f} µs  "
            f"{results[0]['note']}")
    finish(arguments, {"workers": arguments.workers, "tasks": arguments.tasks, "runs": runs})


if __name__ == "__main__":
    main()
