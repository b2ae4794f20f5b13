"""No-op tasks through HyperQueue: its tasks are programs, so each starts /bin/true. Server and workers are threads here."""

import contextlib
import io
import os
import tempfile
import threading

import psutil
from common import Stopwatch, Threads, arguments
from hyperqueue import Job, LocalCluster
from hyperqueue.cluster import WorkerConfig

given = arguments()
answer = os.dup(1)
os.dup2(2, 1)  # the server prints about itself


def run(client, count):
    job = Job()
    for _ in range(count):
        job.program(["/bin/true"], stdout=None, stderr=None)
    with contextlib.redirect_stderr(io.StringIO()):
        client.wait_for_jobs([client.submit(job)])


with tempfile.TemporaryDirectory() as scratch:
    os.chdir(scratch)
    with LocalCluster() as cluster:
        server = {thread.id for thread in psutil.Process().threads()} - {threading.get_native_id()}
        for _ in range(given.workers):
            cluster.start_worker(WorkerConfig(cores=1))
        client = cluster.client()
        run(client, 4 * given.workers)
        watch = Stopwatch([Threads(server)], Threads([threading.get_native_id()]))
        run(client, given.tasks)
        os.dup2(answer, 1)
        watch.report("HyperQueue", given, given.workers, "every task starts a program; the client looks once a second")
