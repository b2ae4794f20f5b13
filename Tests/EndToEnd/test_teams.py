"""Workers of the coordinator's own beside those from elsewhere; caches with a limit; what only looks like a coordinator."""

import contextlib
import os
import signal
import socket
import threading
import time

from processes import workers_of
from program import espalier
from remote import DATA, MEASURE, MODEL, alone, decided, free_port, stage, succeeds

RESTS_ON_CLOCK = True


def test_local_workers_beside_remote_ones_find_the_same_bits():
    # Long enough for all of them to come, and for one to be killed.
    search = ("--no-bounds", "--block-size", 1, "--steps", 4)
    with stage() as here:
        coordinator = here.prune(*search, "--workers", 2, "--log-level", "info")
        remote = here.worker(coordinator.endpoint)
        coordinator.says("3 workers are ready")
        local = workers_of(coordinator.process.pid)
        assert len(local) == 2, local
        os.kill(local[0], signal.SIGKILL)
        succeeds(coordinator, remote)
        assert "ended with signal 9" in coordinator.errors, "no local worker was replaced"
        found = here.found()
        assert decided(found)[:2] == alone(*MEASURE, *search)[:2]
        assert found["workers"] >= 3, found["workers"]
        assert not workers_of(coordinator.process.pid)


def test_local_workers_do_without_any_remote_one_and_strangers_stay_out():
    with stage() as here:
        espalier("keygen", "others", folder=here.folder).succeeded()
        # Long enough for both to knock, however fast the machine is.
        search = ("--no-bounds", "--block-size", 1, "--steps", 4)
        coordinator = here.prune(*search, "--workers", 1)
        here.worker(coordinator.endpoint, keys=here.folder / "others/worker")
        here.worker(coordinator.endpoint, security=("--insecure",))
        succeeds(coordinator)
        assert "wrong server key" in coordinator.errors, coordinator.errors
        assert coordinator.errors.count("a peer could not connect") >= 2, coordinator.errors
        assert here.found()["workers"] == 1
        assert decided(here.found())[:2] == alone(*MEASURE, *search)[:2]


def test_a_cache_with_a_limit_lets_go_of_what_was_used_longest_ago():
    with stage() as here:
        contents = here.folder / "cache/contents"
        contents.mkdir(parents=True)
        for name, age in (("a" * 64, 3000), ("b" * 64, 2000)):
            (contents / name).write_bytes(bytes(3 << 20))
            os.utime(contents / name, (time.time() - age,) * 2)
        coordinator = here.prune("--run", "one")
        succeeds(coordinator, here.worker(coordinator.endpoint))
        first = here.contents()
        assert len(first) == 7, "nothing was to go within the standard limit"
        size = sum(here.sizes()) - (6 << 20)
        coordinator = here.prune("--run", "two")
        succeeds(coordinator, here.worker(coordinator.endpoint, "--cache-limit", size + (4 << 20)))
        assert here.contents() == [name for name in first if name != "a" * 64]
        # What the run needs is more than that, and stays while it does.
        coordinator = here.prune("--run", "three")
        succeeds(coordinator, here.worker(coordinator.endpoint, "--cache-limit", 1))
        assert here.contents() == [name for name in first if name not in ("a" * 64, "b" * 64)]
        assert decided(here.found()) == alone()


class Tunnel:
    """Takes connections and hangs up at once, as a tunnel does whose far end is not there."""

    def __init__(self, port, says=b""):
        self.says, self.taken = says, 0
        self.listener = socket.create_server(("127.0.0.1", port))
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                self.taken += 1
                with contextlib.suppress(OSError):
                    connection.sendall(self.says)
                connection.close()

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()


def test_a_tunnel_without_its_far_end_is_no_wrong_key():
    with stage() as here:
        port = free_port()
        tunnel = Tunnel(port)
        worker = here.worker(f"tcp://127.0.0.1:{port}")
        worker.says("a tunnel without its far end?", 90)
        asked = espalier(
            "status", "--connect", f"tcp://127.0.0.1:{port}", "--keys", here.keys / "worker", "--timeout", 15,
            folder=here.folder)
        assert asked.code == 69 and "tunnel" in asked.errors, asked.errors
        assert tunnel.taken > 6 and worker.process.poll() is None, worker.errors
        tunnel.close()
        coordinator = here.prune(bind=f"tcp://127.0.0.1:{port}")
        succeeds(coordinator, worker)
        assert decided(here.found()) == alone()


def test_something_else_that_listens_is_told():
    with stage() as here:
        port = free_port()
        tunnel = Tunnel(port, b"SSH-2.0-OpenSSH_9.2\r\n")
        worker = here.worker(f"tcp://127.0.0.1:{port}")
        code = worker.end(90)
        assert code == 69 and "another key" not in worker.errors, (code, worker.errors)
        tunnel.close()


def test_an_address_for_metrics_that_is_not_this_machines_is_told_in_words():
    with stage() as here:
        answer = espalier(
            "prune", MODEL, "--data", DATA, *MEASURE, "--metrics", "203.0.113.7:9100", folder=here.folder)
        assert answer.code == 65, (answer.code, answer.errors)
        last = answer.errors.strip().splitlines()[-1]
        assert "this machine has no address 203.0.113.7" in last and "failed(" not in last, last
