"""Strangers at a coordinator's ports, and wires that flip and cut: the search goes on and finds the same."""

import contextlib
import signal
import socket
import struct
import threading
import time
import urllib.request

from processes import eventually, kibibytes
from program import espalier
from remote import Program
from strangers import HTTP, ZEROMQ
from subjects import SUBJECTS

# One process takes half a gigabyte; what strangers send must not add to that.
KIBIBYTES = 3 << 20
PATIENCE = 300


class Strangers:
    """Some threads that send what they should not, each for a while and then anew."""

    def __init__(self, port, kinds, random, count=3):
        self.port, self.done, self.over = port, dict.fromkeys((kind.__name__ for kind in kinds), 0), threading.Event()
        seeds = [random.getrandbits(64) for _ in range(count)]
        self.threads = [threading.Thread(target=self.go, args=(kinds, type(random)(seed)), daemon=True) for seed in seeds]
        for thread in self.threads:
            thread.start()

    def go(self, kinds, random):
        while not self.over.is_set():
            kind = random.choice(kinds)
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=2) as wire:
                wire.settimeout(1)
                kind(wire, random)
            self.done[kind.__name__] += 1
            self.over.wait(random.uniform(0, 0.1))

    def end(self):
        self.over.set()
        for thread in self.threads:
            thread.join(20)


class Wire:
    """A proxy before a coordinator's port, which now and then flips a bit or cuts a connection."""

    def __init__(self, port, random, flips=0.1, cuts=0.04):
        self.port, self.random, self.flips, self.cuts = port, random, flips, cuts
        self.flipped = self.cut = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                near, _ = self.listener.accept()
                try:
                    far = socket.create_connection(("127.0.0.1", self.port))
                except OSError:
                    near.close()
                    continue
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self.carry, args=(source, sink), daemon=True).start()

    def carry(self, source, sink):
        with contextlib.suppress(OSError):
            while piece := bytearray(source.recv(1 << 16)):
                if self.random.random() < self.flips:
                    piece[self.random.randrange(len(piece))] ^= 1 << self.random.randrange(8)
                    self.flipped += 1
                if self.random.random() < self.cuts:
                    # Within a message, and perhaps with what was sent lost.
                    sink.sendall(piece[: self.random.randrange(len(piece) + 1)])
                    reset = struct.pack("ii", 1, 0)
                    sink.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
                    self.cut += 1
                    break
                sink.sendall(piece)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def end(self):
        self.listener.close()


class Besieged:
    """One run whose workers come over TCP, one of them over a bad wire."""

    def __init__(self, subject, folder, random, encrypts):
        self.subject, self.folder, self.random = subject, folder, random
        espalier("keygen", "keys", folder=folder).succeeded()
        self.security = (lambda side: ("--keys", folder / "keys" / side)) if encrypts else (lambda side: ("--insecure",))
        self.run, self.workers, self.ends = folder / "run", {}, []
        self.coordinator = Program(
            *subject.arguments, "--run", self.run, "--bind", "tcp://127.0.0.1:0", *self.security("coordinator"),
            "--metrics", "127.0.0.1:0", folder=folder)
        self.endpoint = self.coordinator.endpoint
        self.coordinator.says("metrics at ")
        self.metrics = next(line for line in self.coordinator.lines if "metrics at " in line).split()[-1]
        self.answered = 0

    def work(self, place, endpoint):
        """Starts a worker, in place of the one that was there and has ended."""
        self.workers[place] = (endpoint, Program(
            "worker", "--connect", endpoint, *self.security("worker"), "--stream", "--cache", self.folder / f"cache-{place}",
            folder=self.folder))

    def keep_workers(self):
        for place, (endpoint, program) in list(self.workers.items()):
            code = program.process.poll()
            # One that heard that the run is over ends, and others are not awaited.
            if code is not None and self.coordinator.process.poll() is None and "the run is over" not in program.errors:
                self.ends.append((place, code, program.errors[-300:]))
                self.work(place, endpoint)

    def ask(self):
        """One honest question after the status."""
        with contextlib.suppress(OSError), urllib.request.urlopen(
                self.metrics.replace("/metrics", "/status"), timeout=2) as answer:
            self.answered += answer.status == 200

    def wait(self):
        limit = time.monotonic() + PATIENCE
        most = 0
        while self.coordinator.process.poll() is None:
            assert time.monotonic() < limit, f"the run does not end: {self.coordinator.errors[-1500:]}"
            most = max(most, kibibytes(self.coordinator.process.pid, "VmHWM") or 0)
            self.keep_workers()
            self.ask()
            time.sleep(0.05)
        return most

    def problems(self, wanted, most):
        if code := self.coordinator.end():
            yield f"exit {code}: {self.coordinator.errors[-1500:]}"
            return
        found = self.subject.outcome(self.run)
        yield from (f"{name} differs" for name, value in wanted.outcome.items() if found[name] != value)
        if most > KIBIBYTES:
            yield f"the coordinator took {most >> 10} MiB"
        if not self.answered:
            yield "the metrics never answered an honest question"
        for place, code, said in self.ends:
            # What is flipped on a wire that nobody encrypts may end a worker with a sentence; nothing may with a signal.
            if code < 0 or place == "near" and code != 0:
                yield f"the {place} worker exited {code}: {said}"

    def end(self):
        for _, program in self.workers.values():
            if not eventually(lambda: program.process.poll() is not None, 1):
                program.process.send_signal(signal.SIGTERM)
            eventually(lambda: program.process.poll() is not None, 10)
            program.kill()
        self.coordinator.kill()


def round_of(number, random, folder, references, subjects=("search", "wanda", "finetune", "fit")):
    """One run under siege: what came, and what is wrong."""
    subject, encrypts = SUBJECTS[subjects[number % len(subjects)]], random.random() < 0.5
    wanted = references.of(subject)
    besieged = Besieged(subject, folder, random, encrypts)
    port = int(besieged.endpoint.rsplit(":", 1)[1])
    strangers = [
        Strangers(port, ZEROMQ, random),
        Strangers(int(besieged.metrics.split("/")[2].rsplit(":", 1)[1]), HTTP, random)]
    wire = Wire(port, random)
    try:
        besieged.ask()
        besieged.work("near", besieged.endpoint)
        besieged.work("far", f"tcp://{wire.address}")
        problems = list(besieged.problems(wanted, besieged.wait()))
    except AssertionError as error:
        problems = [str(error)]
    finally:
        for one in (*strangers, wire, besieged):
            one.end()
    came = {kind: count for stranger in strangers for kind, count in stranger.done.items() if count}
    ends = [f"{place} {code} ({said.strip().splitlines()[-1] if said.strip() else ''})" for place, code, said in besieged.ends]
    return (
        f"{subject.name}, {'CURVE' if encrypts else 'no keys'}: {wire.flipped} flips, {wire.cut} cuts, "
        f"{besieged.answered} answers, {sum(came.values())} strangers, workers that ended: {ends or 'none'}"), problems
