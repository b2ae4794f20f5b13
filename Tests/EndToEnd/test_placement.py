"""What cluster/ gives to Kubernetes, systemd and ssh: valid for them, understood by the program, leaving nothing."""

import contextlib
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import socket
import subprocess
import time

from disturbed import GRACE, Disturbed, free_port, own_processes, search, undisturbed
from needs import need, need_programs, need_root
from processes import eventually
from program import ROOT, command, environment, espalier, scratch, together

RESTS_ON_CLOCK = True

CLUSTER = ROOT / "cluster"
KUBERNETES = sorted(path for path in (CLUSTER / "kubernetes").glob("*.yaml") if path.stem != "kustomization")
UNITS = sorted((CLUSTER / "systemd").glob("*.service"))


# Kubernetes

def manifests():
    try:
        import yaml
    except ImportError:
        need(False, "there is no PyYAML here; Scripts/test installs it into .venv")
    return [(path.name, document) for path in KUBERNETES for document in yaml.safe_load_all(path.read_text())]


def pods():
    found = [
        (document["metadata"]["name"], document["spec"]["template"]["spec"]) for _, document in manifests()
        if document["kind"] in ("Job", "Deployment")]
    assert len(found) == 2
    return found


def test_kubernetes_manifests_are_valid():
    try:
        import kubernetes_validate
    except ImportError:
        need(False, "there is no kubernetes-validate here; Scripts/test installs it into .venv")
    for version in ("1.29", kubernetes_validate.latest_version()):
        for name, document in manifests():
            kubernetes_validate.validate(document, version, strict=True)


def test_kubernetes_pods_have_no_rights_that_they_do_not_need():
    wrong = []
    for name, pod in pods():
        own, = pod["containers"]
        wanted = {
            "non-root": pod["securityContext"].get("runAsNonRoot") is True,
            "seccomp": pod["securityContext"].get("seccompProfile") == {"type": "RuntimeDefault"},
            "read-only": own["securityContext"].get("readOnlyRootFilesystem") is True,
            "escalation": own["securityContext"].get("allowPrivilegeEscalation") is False,
            "capabilities": own["securityContext"].get("capabilities") == {"drop": ["ALL"]},
            "token": pod.get("automountServiceAccountToken") is False,
            "memory": "memory" in own["resources"]["limits"]}
        wrong += [f"{name}: {what}" for what, holds in wanted.items() if not holds]
    together(wrong)


def test_kubernetes_commands_are_those_of_the_program():
    with scratch() as folder:
        espalier("keygen", "keys", folder=folder).succeeded()
        for name, pod in pods():
            arguments = [
                argument.replace("/keys", str(folder / "keys")).replace("/cache", str(folder / "cache"))
                for argument in pod["containers"][0]["args"]]
            if arguments[0] != "worker":
                understood("prune", *arguments[1:], folder=folder)
            else:
                waits(arguments, folder)


def understood(*arguments, folder):
    """Fails unless the program understands the options, and only misses the model."""
    answer = espalier(*arguments, folder=folder)
    assert answer.code == 65 and "model" in answer.errors, f"{answer.command} exited {answer.code}: {answer.errors}"


def threads(process):
    """The names of a process' threads."""
    names = []
    for file in pathlib.Path(f"/proc/{process}/task").glob("*/comm"):
        with contextlib.suppress(OSError):
            names.append(file.read_text())
    return "".join(names)


def waits(arguments, folder):
    """Fails unless a worker with these options waits for a coordinator, which is nowhere, and ends when asked to."""
    arguments = [re.sub(r"tcp://.*", f"tcp://127.0.0.1:{free_port()}", argument) for argument in arguments]
    worker = subprocess.Popen(
        command(*arguments), cwd=folder, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
    try:
        # ZeroMQ's threads are there as soon as it tries to connect.
        assert eventually(lambda: worker.poll() is not None or "ZMQ" in threads(worker.pid), 30), "it does not connect"
        time.sleep(0.5)
        assert worker.poll() is None, f"{arguments} exited {worker.returncode}: {worker.stderr.read().decode()}"
        worker.terminate()
        assert worker.wait(20) == 0, worker.stderr.read().decode()
    finally:
        worker.kill()
        worker.communicate()


def test_probes_see_the_coordinators_port():
    probe = CLUSTER / "kubernetes/port"

    def sees(*arguments):
        return subprocess.run([str(probe), *map(str, arguments)]).returncode == 0

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert sees("listens", port) and not sees("connected", port)
        with socket.create_connection(("127.0.0.1", port)):
            assert sees("connected", port)
    assert not sees("listens", port)


def test_the_image_gets_the_packages_that_the_build_needs():
    listed = re.search(r"^packages=\((.*)\)$", (ROOT / "Scripts/install").read_text(), re.MULTILINE)[1].split()
    words = (CLUSTER / "kubernetes/Containerfile").read_text().split()
    assert listed and set(listed) <= set(words), set(listed) - set(words)


# systemd

def test_systemd_units_are_valid_and_hardened():
    need_programs("systemd-analyze")
    with scratch() as folder:
        for unit in UNITS:
            # Verifying wants the program to be there.
            text = unit.read_text().replace("/usr/local/bin/espalier", os.environ["ESPALIER"])
            (folder / unit.name).write_text(text)
        for unit in UNITS:
            analyze("verify", "--man=no", str(folder / unit.name))
            # Tenths of points of exposure, of 100; 'medium' begins at 50.
            analyze("security", "--offline=yes", "--threshold=15", str(folder / unit.name))


def analyze(*arguments):
    done = subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, f"systemd-analyze {arguments}: {done.stdout}{done.stderr}"


def test_systemd_commands_are_those_of_the_program():
    assert [unit.name for unit in UNITS] == ["espalier-coordinator@.service", "espalier-worker@.service"]
    with scratch() as folder:
        espalier("keygen", "keys", folder=folder).succeeded()
        coordinator, worker = (
            re.search(r"^ExecStart=(.*)$", unit.read_text(), re.MULTILINE)[1].replace(
                "/usr/local/bin/espalier", os.environ["ESPALIER"]).replace("/etc/espalier/keys", "keys")
            for unit in UNITS)
        done = subprocess.run(
            shlex.split(coordinator.replace("$$", "$")), cwd=folder, capture_output=True, text=True, env={
                **os.environ, "MODEL": "missing.onnx", "BIND": f"tcp://127.0.0.1:{free_port()}",
                "OPTIONS": "--data missing.npz --steps 3"})
        assert done.returncode == 65 and "missing.onnx" in done.stderr, (done.returncode, done.stderr)
        words = worker.replace("${COORDINATOR}", "tcp://x").replace("%C", ".")
        waits(shlex.split(words)[1:], folder)


# ssh

@contextlib.contextmanager
def sshd(folder):
    """An sshd on loopback with keys of its own; the options with which a client reaches it."""
    need_root()
    need_programs("sshd", "ssh", "ssh-keygen", "setsid")
    here = folder / "ssh"
    (here / "home").mkdir(parents=True)
    for name in ("host", "client"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(here / name)], check=True)
    shutil.copy(here / "client.pub", here / "authorized")
    pathlib.Path("/run/sshd").mkdir(exist_ok=True)  # sshd's own, where no service has made it
    port = free_port()
    (here / "config").write_text(
        f"ListenAddress 127.0.0.1:{port}\nHostKey {here}/host\nAuthorizedKeysFile {here}/authorized\nStrictModes no\n"
        f"PidFile none\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin prohibit-password\n"
        f"SetEnv TMPDIR={folder}/t HOME={here}/home\n")
    daemon = subprocess.Popen(
        [shutil.which("sshd"), "-D", "-f", str(here / "config"), "-E", str(here / "log")], stdin=subprocess.DEVNULL)
    try:
        (here / "known").write_text(f"[127.0.0.1]:{port} {(here / 'host.pub').read_text()}")
        options = {"Port": port, "IdentityFile": here / "client", "UserKnownHostsFile": here / "known"}
        yield [word for name, value in options.items() for word in ("--ssh-option", f"{name}={value}")]
    finally:
        daemon.terminate()
        daemon.wait()


class OverSSH(Disturbed):
    """A search with two 'boxes', both this one, and a box that is not there."""

    def start(self, ssh, *options):
        hosts = self.folder / "hosts"
        program = os.environ["ESPALIER"]
        boxes = [f"127.0.0.1 workers=2 program={program}", f"root@127.0.0.1 workers=1 program={program}", "127.0.0.9"]
        # One box has one end of a tunnel.
        hosts.write_text("# boxes\n\n" + "\n".join(boxes[:1] if "--tunnel" in options else boxes) + "\n")
        going_on = ("--resume",) if (self.run / "journal.sqlite").exists() else ()
        with open(self.errors, "ab") as errors:
            self.coordinator = subprocess.Popen(
                [str(part) for part in (
                    CLUSTER / "ssh/espalier-ssh", "--hosts", hosts, "--listen", f"127.0.0.1:{free_port()}", "--keys",
                    "keys", *ssh, *options, "--", *self.arguments[1:], "--run", "run", "--json", "found.json",
                    *going_on)],
                cwd=self.folder, env=environment(self.temporary), stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=errors, start_new_session=True)


def left_keys():
    return sorted(path for path in pathlib.Path("/dev/shm").glob("espalier-*"))


@contextlib.contextmanager
def over_ssh(folder):
    before = left_keys()
    arguments = search()
    alone = undisturbed(arguments, folder)
    running = OverSSH(arguments, folder)
    try:
        with sshd(folder) as ssh:
            yield running, ssh, alone
            assert eventually(lambda: left_keys() == before, GRACE), f"keys are left: {left_keys()}"
    finally:
        running.end()


def test_ssh_workers_compute_and_go_home():
    with scratch() as folder, over_ssh(folder) as (running, ssh, alone):
        running.start(ssh)
        running.finish()
        running.found_the_same(alone)
        running.leaves_nothing()


def test_ssh_ends_with_69_where_no_box_can_be_reached():
    need_programs("ssh", "setsid")
    with scratch() as folder:
        (folder / "hosts").write_text("127.0.0.8\n127.0.0.9\n")
        answer = subprocess.run(
            [CLUSTER / "ssh/espalier-ssh", "--hosts", "hosts", "--listen", "127.0.0.1:9", "--keys", "keys",
             "--ssh-option", "Port=1", "--", "model.onnx", "--data", "data.npz"],
            cwd=folder, env=environment(folder), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        assert answer.returncode == 69, (answer.returncode, answer.stderr)
        assert "no box of hosts can be reached" in answer.stderr.splitlines()[-1], answer.stderr
        assert answer.stderr.count("is left out") == 2, answer.stderr


def test_ssh_workers_end_with_their_coordinator_however_it_ends():
    with scratch() as folder, over_ssh(folder) as (running, ssh, alone):
        # With a copied program and through the connections themselves; a kill, Ctrl-C, and then to the end.
        for number, share in ((signal.SIGKILL, 0.2), (signal.SIGINT, 0.5)):
            running.start(ssh, "--tunnel", "--copy")
            assert running.wait_for(int(share * len(alone[1]))), running.said()
            assert len(own_processes(running.mark)) >= 3, running.said()
            os.killpg(running.coordinator.pid, number)
            code = running.coordinator.wait(30)
            assert code in (-signal.SIGKILL, 130), f"exit code {code}: {running.said()}"
            assert eventually(lambda: not own_processes(running.mark), GRACE), own_processes(running.mark)
        running.start(ssh, "--tunnel", "--copy")
        running.finish()
        running.found_the_same(alone)
        running.leaves_nothing()
