"""What a run serves over HTTP, to those who ask politely and to others; and what a fine-tuning tells."""

import json
import socket
import urllib.error
import urllib.request

from processes import eventually
from program import espalier, example, scratch
from remote import DATA, MODEL, Program, stage
from test_finetune import held_out


def served(program):
    """The address that a run's metrics are served at."""
    program.says("metrics at http://")
    line = next(line for line in program.lines if line.startswith("metrics at http://"))
    return line.removeprefix("metrics at http://").split("/")[0]


def asked(address, path="status", method="GET"):
    request = urllib.request.Request(f"http://{address}/{path}", method=method)
    with urllib.request.urlopen(request, timeout=5) as answer:
        return answer.read().decode()


def is_answered(address):
    try:
        return bool(asked(address))
    except OSError:
        return False


def connected(address):
    host, port = address.split(":")
    return socket.create_connection((host, int(port)), timeout=5)


def is_dropped(connection, seconds=5):
    connection.settimeout(seconds)
    try:
        while connection.recv(1 << 16):
            pass
        return True
    except ConnectionError:
        return True
    except TimeoutError:
        return False


def evaluations(status):
    return status["finishedBlockEvaluations"] + status.get("level", {}).get("blockEvaluations", 0)


def test_nobody_stops_a_search_by_what_they_send():
    with scratch() as folder:
        # Long enough for all that follows.
        search = Program(
            "prune", MODEL, "--data", DATA, "--steps", 9, "--no-bounds", "--block-size", 1, "--workers", 1, "--metrics",
            "localhost:0", "--run", "run", folder=folder)
        try:
            address = served(search)
            assert not address.endswith(":0"), address
            search.says("unpruned:")
            begun = json.loads(asked(address))
            # Headers without an end, one of them all at once.
            floods = [connected(address) for _ in range(2)]
            for flood in floods:
                try:
                    flood.sendall(b"GET /status HTTP/1.1\r\nx: " + b"a" * (256 << 10))
                except ConnectionError:
                    pass
            assert all(is_dropped(flood) for flood in floods)
            # Connections that say nothing, more than there may be.
            idle = [connected(address) for _ in range(60)]
            assert sum(is_dropped(connection, 0.2) for connection in idle) >= 20
            for connection in idle:
                connection.close()
            assert eventually(lambda: is_answered(address), 20)
            rubbish = connected(address)
            rubbish.sendall(b"\x00\xff\r\n\r\n" * 100)
            assert is_dropped(rubbish)
            # The search went on all the while, and answers.
            now = json.loads(asked(address))
            assert evaluations(now) > evaluations(begun), (begun, now)
            assert "espalier_block_evaluations_total" in asked(address, "metrics")
            assert asked(address, "metrics", "HEAD") == ""
            for path, method, code in (("other", "GET", 404), ("status", "POST", 405)):
                try:
                    asked(address, path, method)
                    raise AssertionError(f"{method} /{path} was answered")
                except urllib.error.HTTPError as error:
                    assert error.code == code
        finally:
            search.kill()


def test_connections_that_take_their_time_are_closed():
    with scratch() as folder:
        training = Program(
            "finetune", MODEL, "--data", DATA, "--steps", 100000, "--workers", 0, "--metrics", "127.0.0.1:0", "--run", "run",
            folder=folder)
        try:
            slow = connected(served(training))
            slow.sendall(b"GET /status HTTP/1.1\r\nx: ")
            assert is_dropped(slow, 30)
            assert training.process.poll() is None
        finally:
            training.kill()


def test_a_fine_tuning_tells_how_far_it_is():
    with stage() as here:
        model, data = example("digits-resnet")
        coordinator = here.started(Program(
            "finetune", model, "--data", data, "--validation", held_out("digits-resnet"), "--steps", 4000, "--validate-every",
            5, "--run", "run", "--metrics", "localhost:0", "--workers", 1, "--bind", "tcp://127.0.0.1:0", "--keys", here.keys,
            folder=here.folder))
        coordinator.says("step 10,")
        training = json.loads(asked(served(coordinator)))["training"]
        assert training["steps"] == 4000 and 10 <= training["step"] < 4000, training
        assert training["loss"] > 0 and 0 < training["rate"] <= 0.001 and training["secondsLeft"] > 0, training
        assert training["validationLoss"] > 0 and 0 < training["validationAccuracy"] <= 1, training
        metrics = asked(served(coordinator), "metrics")
        for name in ("training_steps_total", "training_loss", "learning_rate", "validation_accuracy"):
            assert f"\nespalier_{name} " in metrics, metrics
        answer = espalier(
            "status", "--connect", coordinator.endpoint, "--keys", here.keys / "worker", folder=here.folder).succeeded()
        assert " of 4000, loss " in answer.output and "1 worker" in answer.output, answer.output
        coordinator.kill()
