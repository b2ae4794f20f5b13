"""No-op tasks through Ray on one node; its raylet and GCS server coordinate, this driver submits."""

import os
import time

import psutil
import ray
from common import Stopwatch, arguments

os.environ.setdefault("RAY_DISABLE_IMPORT_WARNING", "1")
given = arguments()
ray.init(num_cpus=given.workers, include_dashboard=False, log_to_driver=False, logging_level="error")


@ray.remote(num_cpus=1)
def nothing(_):
    """The task."""


@ray.remote(num_cpus=1)
def process(pause):
    time.sleep(pause)
    return os.getpid()


# Ray starts its workers when tasks wait for them; these keep each of them busy until all are there.
seen, pause = set(), 1.0
for _ in range(8):
    seen = set(ray.get([process.remote(pause) for _ in range(given.workers)]))
    if len(seen) == given.workers:
        break
    pause = min(2 * pause, 30)
names = ("raylet", "gcs_server")
coordinators = [child for child in psutil.Process().children(recursive=True) if child.name() in names]
watch = Stopwatch(coordinators)
ray.get([nothing.remote(index) for index in range(given.tasks)])
watch.report("Ray", given, len(seen), "the driver leases workers and sends them tasks itself")
ray.shutdown()
