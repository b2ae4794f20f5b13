"""No-op tasks through ipyparallel's load-balanced view; its controller's processes coordinate, this client submits."""

import logging

import ipyparallel
import psutil
from common import Stopwatch, arguments

given = arguments()


def nothing(_):
    """The task; of this very file, so that it travels by value."""


with ipyparallel.Cluster(n=given.workers, log_level=logging.ERROR, send_engines_connections=True) as client:
    client.wait_for_engines(given.workers, timeout=500)
    view = client.load_balanced_view()
    view.map_sync(nothing, range(4 * given.workers), chunksize=1)
    coordinators = [
        child for child in psutil.Process().children(recursive=True)
        if any("controller" in part for part in child.cmdline())
        or any("controller" in part for parent in child.parents() for part in parent.cmdline())]
    watch = Stopwatch(coordinators)
    view.map_sync(nothing, range(given.tasks), chunksize=1)
    watch.report("ipyparallel", given, len(client.ids))
