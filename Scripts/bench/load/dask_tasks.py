"""No-op tasks through Dask's distributed: a scheduler process, worker processes with one thread each, this client."""

import subprocess
import sys
import tempfile

import psutil
from common import Stopwatch, arguments
from distributed import Client, wait

given = arguments()


def nothing(_):
    """The task; of this very file, so that it travels by value."""


with tempfile.TemporaryDirectory() as scratch:
    file, log = f"{scratch}/scheduler.json", open(f"{scratch}/log", "w")
    scheduler = subprocess.Popen(
        [sys.executable, "-m", "dask", "scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", file,
         "--no-dashboard"], stderr=log)
    workers = subprocess.Popen(
        [sys.executable, "-m", "dask", "worker", "--scheduler-file", file, "--nworkers", str(given.workers),
         "--nthreads", "1", "--no-dashboard", "--memory-limit", "0", "--local-directory", scratch], stderr=log)
    try:
        with Client(scheduler_file=file, timeout=60) as client:
            client.wait_for_workers(given.workers, timeout=500)
            wait(client.map(nothing, range(4 * given.workers), pure=False))
            watch = Stopwatch([psutil.Process(scheduler.pid)])
            client.gather(client.map(nothing, range(given.tasks), pure=False))
            watch.report("Dask", given, len(client.scheduler_info(n_workers=-1)["workers"]))
            client.shutdown()
    finally:
        workers.terminate()
        scheduler.terminate()
        workers.wait()
        scheduler.wait()
