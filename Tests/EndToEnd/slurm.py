"""A Slurm cluster of three nodes on this machine: munged, slurmctld, and three slurmd with ports of their own."""

import contextlib
import os
import signal
import socket
import subprocess
import time

from processes import eventually, is_alive, status

NODES = ("node1", "node2", "node3")
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol", "squeue", "scancel")

CONFIGURATION = """
ClusterName=espalier
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
MpiDefault=none
SwitchType=switch/none
SchedulerType=sched/backfill
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
ReturnToService=2
SlurmctldTimeout=10
SlurmdTimeout=10
KillWait=5
{nodes}
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def ports(count):
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


class Slurm:
    def __init__(self, folder):
        self.folder = folder / "slurm"
        for name in ("state", "spool", "munge"):
            (self.folder / name).mkdir(mode=0o700, parents=True)
        key = self.folder / "munge/key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        controller, *others = ports(1 + len(NODES))
        host = socket.gethostname()
        nodes = "\n".join(
            f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=4 RealMemory=16000"
            for node, port in zip(NODES, others))
        (self.folder / "slurm.conf").write_text(
            CONFIGURATION.format(host=host, controller=controller, folder=self.folder, nodes=nodes))
        self.environment = {**os.environ, "SLURM_CONF": str(self.folder / "slurm.conf")}
        self.daemons = {}

    def start(self):
        munge = self.folder / "munge"
        # --force: in a test's temporary folder every folder above is writable by others.
        self.daemon(
            "munged", "--foreground", "--force", f"--socket={munge}/socket", f"--key-file={munge}/key",
            f"--log-file={munge}/log", f"--pid-file={munge}/pid", f"--seed-file={munge}/seed")
        assert eventually((munge / "socket").exists, 10), (munge / "log").read_text()
        self.daemon("slurmctld", "-D", "-i")
        for node in NODES:
            self.start_node(node)
        assert eventually(self.is_idle, 30), (
            (self.folder / "slurmctld.log").read_text()[-2000:])

    def is_idle(self):
        """Whether all nodes are there, and none has anything to do."""
        return self.call("sinfo", "-h", "-t", "idle", "-o", "%D").strip() == str(len(NODES))

    def start_node(self, node):
        self.daemon("slurmd", "-D", "-N", node, name=node)

    def daemon(self, program, *arguments, name=None):
        name = name or program
        with open(self.folder / f"{name}.out", "ab") as output:
            self.daemons[name] = subprocess.Popen(
                [program, *arguments], env=self.environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                start_new_session=True)

    def call(self, *command, check=True, environment=None):
        done = subprocess.run(
            command, env={**self.environment, **(environment or {})}, capture_output=True, text=True, timeout=60)
        assert not check or done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def state(self, job):
        """The job's state: RUNNING, COMPLETED, …"""
        words = self.call("scontrol", "-o", "show", "job", job).split()
        return next(word for word in words if word.startswith("JobState="))[len("JobState="):]

    def wait(self, job, state, seconds, said=lambda: ""):
        limit = time.monotonic() + seconds
        while (now := self.state(job)) != state:
            assert time.monotonic() < limit, f"job {job} is {now}, not {state}: {said()}"
            assert now in ("PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "REQUEUED"), (
                f"job {job} is {now}: {said()}")
            time.sleep(0.2)

    def kill_node(self, node):
        """Kills a node's slurmd and everything that it has started, as a power cut would; how many processes."""
        parents = [self.daemons[node].pid, *steps(node)]
        everything = {*parents, *(child for process in parents for child in descendants(process))}
        for process in everything:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        self.daemons[node].wait()
        return len(everything)

    def stop(self):
        for name in reversed(self.daemons):
            self.daemons[name].terminate()
        for process in self.daemons.values():
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def processes():
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit() and is_alive(entry)]


def descendants(process):
    parents = {child: int(status(child).get("PPid", "0")) for child in processes()}
    found, level = [], {process}
    while level:
        level = {child for child, parent in parents.items() if parent in level}
        found += level
    return found


def steps(node):
    """The slurmstepd processes of a node: their variables name it."""
    found = []
    for process in processes():
        if status(process).get("Name") == "slurmstepd":
            children = descendants(process)
            for child in children:
                with contextlib.suppress(OSError):
                    if f"SLURMD_NODENAME={node}\0".encode() in open(f"/proc/{child}/environ", "rb").read():
                        found.append(process)
                        break
    return found
