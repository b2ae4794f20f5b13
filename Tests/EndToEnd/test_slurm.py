"""cluster/slurm on a real Slurm of three nodes: a node dies, the job is queued again, and the path stays."""

import contextlib
import os
import time

from disturbed import Disturbed, free_port, search, undisturbed
from needs import need_programs, need_root
from processes import eventually
from program import ROOT, scratch
from slurm import NODES, PROGRAMS, Slurm

RESTS_ON_CLOCK = True

SCRIPT = ROOT / "cluster/slurm/espalier.sbatch"


@contextlib.contextmanager
def slurm(folder):
    need_root()
    need_programs(*PROGRAMS)
    cluster = Slurm(folder)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


class Job:
    """A search in a job of two workers per node."""

    def __init__(self, cluster, folder, arguments):
        self.cluster, self.folder = cluster, folder
        # Only for what it knows of journals and results: the job starts the processes.
        self.search = Disturbed(arguments, folder)
        self.log = folder / "job.log"
        self.number = cluster.call(
            "sbatch", "--parsable", f"--chdir={folder}", f"--output={self.log}", "--nodes=3", "--ntasks=6",
            "--ntasks-per-node=2", "--mem-per-cpu=1G", str(SCRIPT), *map(str, arguments[1:]), "--run", "run", "--json",
            "found.json", environment={
                "ESPALIER": os.environ["ESPALIER"], "ESPALIER_KEYS": str(folder / "keys"),
                "ESPALIER_CACHE": str(folder / "cache"), "ESPALIER_PORT": str(free_port()),
                "TMPDIR": str(folder / "t")}).strip()

    def said(self):
        return self.log.read_text(errors="replace")[-3000:] if self.log.exists() else ""

    def wait_for_results(self, count, seconds=90):
        limit = time.monotonic() + seconds
        while self.search.kept() < count:
            assert time.monotonic() < limit, f"only {self.search.kept()} results: {self.said()}"
            time.sleep(0.02)

    def finish(self, alone, seconds=150):
        self.cluster.wait(self.number, "COMPLETED", seconds, self.said)
        self.search.found_the_same(alone)
        self.search.leaves_nothing()


def test_a_node_that_dies_and_a_job_that_is_queued_again_change_nothing():
    with scratch() as folder, slurm(folder) as cluster:
        arguments = search()
        alone = undisturbed(arguments, folder)
        job = Job(cluster, folder, arguments)
        job.wait_for_results(len(alone[1]) // 5)
        first = cluster.call("squeue", "-h", "-j", job.number, "-o", "%B").strip()
        other = next(node for node in NODES if node != first)
        assert cluster.kill_node(other) >= 4, "two workers, what started them, and slurmd"
        job.wait_for_results(len(alone[1]) // 2)
        assert cluster.state(job.number) == "RUNNING", job.said()
        # The node comes back. And what Slurm says when the time is nearly up: stop, and begin again.
        cluster.start_node(other)
        cluster.call("scancel", "--batch", "--signal=USR1", job.number)
        assert eventually(lambda: cluster.state(job.number) == "PENDING", 60), job.said()
        kept = job.search.kept()
        assert eventually(cluster.is_idle, 60), "the first attempt does not end"
        # Without the two minutes that Slurm waits otherwise; but nodes refuse a job in the second in which it was ended.
        time.sleep(3)
        cluster.call("scontrol", "update", f"JobId={job.number}", "StartTime=now")
        job.finish(alone)
        assert len(alone[1]) > kept > 0 and "attempt 2" in job.log.read_text()
        assert (folder / "keys").stat().st_mode & 0o077 == 0, "others can read the keys"
