"""Workers that have an address and keys, and nothing else: the same bits as one process, and named errors."""

import signal
import socket
import time
import unittest

import numpy
import onnx
from onnx import external_data_helper, numpy_helper

from processes import eventually
from program import espalier, espalier_json
from remote import DATA, MEASURE, MODEL, Program, Relay, alone, decided, free_port, stage, succeeds

RESTS_ON_CLOCK = True


def test_bytes_changed_on_the_way_end_no_worker_that_had_been_let_in():
    search = ("--no-bounds", "--block-size", 1, "--steps", 3)
    expected = alone(*MEASURE, *search)[:2]
    for security in (None, ("--insecure",)):
        with stage() as here:
            coordinator = here.prune(*search, security=security)
            # The handshake takes some hundred bytes down; after that one of what comes is changed from time to time.
            relay = Relay(
                int(coordinator.endpoint.split(":")[-1]), lambda sent, changed: sent > 100_000 * (1 + changed) and changed < 4)
            worker = here.worker(relay.endpoint, "--log-level", "info", security=security)
            succeeds(coordinator, worker)
            relay.close()
            assert relay.changed >= 2, f"{relay.changed} bytes were changed"
            assert "wrong server key" not in worker.errors.splitlines()[-1], worker.errors
            assert decided(here.found())[:2] == expected


def test_workers_that_come_before_and_after_find_the_same_bits():
    with stage() as here:
        endpoint = f"tcp://127.0.0.1:{free_port()}"
        early = here.worker(endpoint)
        time.sleep(1)
        coordinator = here.prune("--no-bounds", bind=endpoint)
        late = here.worker(coordinator.endpoint, cache="other")
        succeeds(coordinator)
        # The search is short: either may have looked for its coordinator when the other had done all the work.
        assert any([early.ends(), late.ends()])
        found = here.found()
        assert decided(found)[:2] == alone(*MEASURE, "--no-bounds")[:2]
        assert 1 <= found["workers"] <= 2 and "mixedNumerics" not in found
        # The model, three shards, and the block on which workers prove themselves; who has which is decided as they come.
        assert len({*here.contents(), *here.contents("other")}) == 5, here.contents()


def test_a_system_port_is_told_and_a_second_run_finds_everything_in_the_cache():
    with stage() as here:
        for run in ("one", "two"):
            coordinator = here.prune("--run", run)
            assert not coordinator.endpoint.endswith(":0"), coordinator.endpoint
            worker = here.worker(coordinator.endpoint, "--log-level", "info")
            succeeds(coordinator, worker)
            assert ("fetching content" in worker.errors) == (run == "one"), worker.errors
        assert decided(here.found()) == alone()


def test_workers_with_room_for_one_shard_find_the_same_bits():
    # Many samples of much data for so little memory: 8 shards, of which a worker may hold few.
    measure = ("--samples", 512, "--block-size", 16, "--shards", 8, "--steps", 1)
    with stage() as here:
        coordinator = here.prune("--log-level", "debug", measure=measure)
        # Less than the plan without data takes: one shard must do.
        workers = [here.worker(coordinator.endpoint, "--memory", "1M") for _ in range(2)]
        succeeds(coordinator, *workers)
        assert decided(here.found()) == alone(*measure)
        holds = [line for line in coordinator.lines if "is to hold the shards" in line]
        assert len(holds) >= 8 and all("," not in line.split("shards")[-1] for line in holds), holds


def test_wrong_keys_are_named_on_both_sides_and_harm_nobody():
    with stage() as here:
        espalier("keygen", "others", folder=here.folder).succeeded()
        coordinator = here.prune()
        # Another coordinator's key, and a worker that this coordinator does not know.
        wrong = here.worker(coordinator.endpoint, keys=here.folder / "others/worker")
        stranger = here.folder / "stranger"
        stranger.mkdir()
        for name in ("secret.key", "public.key"):
            (stranger / name).write_bytes((here.folder / "others/worker" / name).read_bytes())
        (stranger / "secret.key").chmod(0o600)
        (stranger / "coordinator.key").write_bytes((here.keys / "worker/coordinator.key").read_bytes())
        unknown = here.worker(coordinator.endpoint, keys=stranger)
        plain = here.worker(coordinator.endpoint, security=("--insecure",))
        assert wrong.end(60) == 69 and "another key" in wrong.errors, wrong.errors
        assert unknown.end(60) == 69 and "not on the list" in unknown.errors, unknown.errors
        assert plain.end(60) == 69 and "takes only those with keys" in plain.errors, plain.errors
        coordinator.says("its key is not on the list")
        coordinator.says("wrong server key")
        coordinator.says("it has no keys (--insecure)")
        # A key that is added while the coordinator runs is let in.
        espalier("keygen", "keys", "--worker", "added", folder=here.folder).succeeded()
        time.sleep(3)
        worker = here.worker(coordinator.endpoint, keys=here.keys / "added")
        succeeds(coordinator, worker)
        assert decided(here.found()) == alone()


def test_keys_that_others_can_read_are_refused():
    with stage() as here:
        for name, call in (
                ("coordinator", ("prune", MODEL, "--data", DATA, "--bind", "tcp://127.0.0.1:0", "--keys", "keys")),
                ("worker", ("worker", "--connect", "tcp://127.0.0.1:1", "--keys", "keys/worker"))):
            path = here.keys / name / "secret.key"
            path.chmod(0o644)
            answer = espalier(*call, folder=here.folder, seconds=60)
            assert answer.code == 65, (answer.code, answer.errors)
            assert f"chmod 600 keys/{name}/secret.key" in answer.errors, answer.errors


def test_keygen_overwrites_nothing():
    with stage() as here:
        before = {path: path.read_bytes() for path in here.keys.rglob("*.key")}
        assert len(before) == 6, before
        again = espalier("keygen", "keys", folder=here.folder)
        assert again.code == 65 and "never overwritten" in again.errors, again.errors
        espalier("keygen", "keys", "--worker", "second", folder=here.folder).succeeded()
        assert all(path.read_bytes() == content for path, content in before.items())
        assert oct((here.keys / "second").stat().st_mode)[-3:] == "700"
        assert oct((here.keys / "second/secret.key").stat().st_mode)[-3:] == "600"


def test_no_keys_only_by_name():
    with stage() as here:
        for call in (("prune", MODEL, "--data", DATA, "--bind", "tcp://127.0.0.1:0"),
                     ("worker", "--connect", "tcp://127.0.0.1:1")):
            answer = espalier(*call, folder=here.folder, seconds=60)
            assert answer.code == 64 and "--insecure" in answer.errors, (answer.code, answer.errors)
        coordinator = here.prune(security=("--insecure",))
        keyed = here.worker(coordinator.endpoint)
        assert keyed.end(60) == 69 and "the coordinator runs with --insecure" in keyed.errors, keyed.errors
        coordinator.says("it has keys, and this coordinator runs with --insecure")
        worker = here.worker(coordinator.endpoint, security=("--insecure",))
        succeeds(coordinator, worker)
        assert "warning" in coordinator.errors
        assert decided(here.found()) == alone()


def test_without_any_worker_it_waits_and_says_so_and_gives_up_when_told():
    with stage() as here:
        coordinator = here.prune("--worker-timeout", 2)
        assert coordinator.end(60) == 69, coordinator.errors
        assert "waiting for workers" in coordinator.errors and "no worker" in coordinator.errors, coordinator.errors


def test_an_address_that_cannot_be_listened_on_is_named():
    with stage() as here, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        coordinator = here.prune(bind=f"tcp://127.0.0.1:{port}")
        assert coordinator.end(60) == 65 and str(port) in coordinator.errors, coordinator.errors


def large_model(folder):
    """The example with its weights, and a hundred megabytes that nothing reads, in files of their own."""
    model = onnx.load(MODEL)
    numbers = numpy.random.default_rng(1).integers(0, 1 << 20, 25_000_000).astype(numpy.float32)
    model.graph.initializer.append(numpy_helper.from_array(numbers, "unread"))
    path = folder / "model" / "large.onnx"
    path.parent.mkdir()
    external_data_helper.convert_model_to_external_data(model, all_tensors_to_one_file=False, size_threshold=4096)
    onnx.save(model, path)
    assert len(list(path.parent.iterdir())) > 3
    return path


def test_a_worker_that_is_killed_while_it_streams_leaves_what_the_next_one_goes_on_with():
    with stage() as here:
        model = large_model(here.folder)
        coordinator = here.prune("--memory", "4G", model=model)
        endpoint = coordinator.endpoint
        cuts = []

        def largest():
            return (here.partial() or [0])[0] if (here.partial() or [0])[0] > 2 << 20 else 0

        def is_complete():
            return any(size == 100_000_000 for size in here.sizes())

        for _ in range(4):
            worker = here.worker(endpoint)
            limit = time.monotonic() + 60
            before = largest()
            while largest() <= before and not is_complete() and time.monotonic() < limit:
                time.sleep(0.001)
            worker.kill()
            if not is_complete():
                cuts.append(largest())
        assert cuts and cuts == sorted(set(cuts)), f"workers were killed with these bytes fetched: {cuts}"
        worker = here.worker(endpoint, "--log-level", "info")
        succeeds(coordinator, worker)
        if len(cuts) == 4:  # the last one was killed before the end too
            assert f"from byte {cuts[-1]} on" in worker.errors, (cuts, worker.errors)
        assert decided(here.found()) == alone()
        assert not here.partial() and not list((here.folder / "cache/models").iterdir())


def test_a_worker_streams_on_from_the_coordinator_that_takes_over():
    with stage() as here:
        model = large_model(here.folder)
        endpoint = f"tcp://127.0.0.1:{free_port()}"
        coordinator = here.prune("--memory", "4G", bind=endpoint, model=model)
        worker = here.worker(endpoint, "--log-level", "info")
        assert eventually(lambda: any(size > 2 << 20 for size in here.partial()), 60)
        coordinator.kill()
        assert here.partial(), "the model was there before the coordinator was killed"
        again = here.prune("--memory", "4G", "--resume", bind=endpoint, model=model)
        succeeds(again, worker)
        assert decided(here.found()) == alone()
        fetched = [line.split("content ")[1].split()[0] for line in worker.lines if "fetching content" in line]
        assert len(fetched) == len(set(fetched)), "a fetch was begun again"


def test_a_worker_gives_up_when_told_that_no_coordinator_comes():
    with stage() as here:
        worker = here.worker(f"tcp://127.0.0.1:{free_port()}", "--coordinator-timeout", 2)
        assert worker.end(60) == 69 and "no coordinator" in worker.errors, worker.errors


def test_a_host_that_nobody_knows_is_told():
    address = ("--connect", "tcp://nobody.invalid:5555", "--insecure")
    asked = espalier("status", *address)
    assert asked.code == 69 and "there is no such host" in asked.errors, asked.errors
    worker = espalier("worker", *address, "--coordinator-timeout", "8")
    assert worker.code == 69 and worker.errors.count("there is no such host") == 1, worker.errors


def test_workers_of_one_machine_share_what_one_of_them_fetches():
    with stage() as here:
        model = large_model(here.folder)
        coordinator = here.prune("--memory", "4G", model=model)
        workers = [here.worker(coordinator.endpoint, "--log-level", "info") for _ in range(3)]
        succeeds(coordinator, *workers)
        fetched = [line.split("content ")[1].split()[0] for worker in workers for line in worker.lines
                   if "fetching content" in line]
        assert len(fetched) == len(set(fetched)) > 0, fetched
        assert decided(here.found()) == alone()


def test_a_worker_that_is_asked_to_end_says_goodbye_and_others_go_on():
    with stage() as here:
        coordinator = here.prune("--no-bounds")
        first = here.worker(coordinator.endpoint)
        coordinator.says("unpruned")
        began = time.monotonic()
        first.process.send_signal(signal.SIGTERM)
        assert first.end(30) == 0, first.errors
        assert time.monotonic() - began < 10
        # Both sides tell, at the log level that there is by default.
        coordinator.says("left: it was asked to end")
        assert "the worker was asked to end" in first.errors, first.errors
        second = here.worker(coordinator.endpoint)
        succeeds(coordinator, second)
        assert decided(here.found())[:2] == alone(*MEASURE, "--no-bounds")[:2]


def test_workers_wait_for_a_killed_coordinator_and_work_for_the_next():
    with stage() as here:
        endpoint = f"tcp://127.0.0.1:{free_port()}"
        coordinator = here.prune("--no-bounds", bind=endpoint)
        workers = [here.worker(endpoint) for _ in range(2)]
        coordinator.says("unpruned")
        coordinator.kill()
        time.sleep(4)
        assert all(worker.process.poll() is None for worker in workers), "a worker did not wait"
        again = here.prune("--no-bounds", "--resume", bind=endpoint)
        succeeds(again)
        ended = [worker.ends() for worker in workers]
        assert any(ended), "none of the workers worked for the next coordinator"
        assert decided(here.found())[:2] == alone(*MEASURE, "--no-bounds")[:2]


def test_a_worker_that_rounds_otherwise_is_refused_unless_it_is_allowed():
    # Kernels for the oldest processors, in place of those that libtorch chooses here.
    other = {"ATEN_CPU_CAPABILITY": "default", "DNNL_MAX_CPU_ISA": "SSE41", "ONEDNN_MAX_CPU_ISA": "SSE41",
             "OPENBLAS_CORETYPE": "Prescott", "MKL_DEBUG_CPU_TYPE": "4"}
    with stage() as here:
        coordinator = here.prune()
        worker = here.worker(coordinator.endpoint, variables=other)
        eventually(lambda: worker.process.poll() is not None or "ready" in coordinator.errors, 60)
        if worker.process.poll() in (None, 0):
            raise unittest.SkipTest("all kernels of this processor round alike")
        assert worker.end() == 69 and "differ in the last bits" in worker.errors, worker.errors
        coordinator.says("is refused: its losses differ in the last bits")
        assert "libtorch" in coordinator.errors
        succeeds(coordinator, here.worker(coordinator.endpoint))
        assert decided(here.found()) == alone()
        coordinator = here.prune("--allow-mixed-numerics", "--run", "mixed")
        succeeds(coordinator, here.worker(coordinator.endpoint, variables=other))
        named = here.found()["mixedNumerics"]
        assert len(named) == 1
        assert named[0] in (here.folder / "mixed/summary.txt").read_text()
        # The mark stays with the run: nobody with other bits is there any more, their results are.
        again = here.prune("--run", "mixed", "--resume")
        assert again.end() == 65 and named[0] in again.errors, again.errors
        again = here.prune("--allow-mixed-numerics", "--run", "mixed", "--resume")
        assert again.end() == 0, again.errors
        assert here.found()["mixedNumerics"] == named


def test_strategies_compare_on_remote_workers():
    with stage() as here:
        options = ("compare", MODEL, "--data", DATA, "--samples", 96, "--block-size", 16, "--steps", 1, "--strategies",
                   "greedy,beam:2")
        coordinator = here.started(Program(
            *options, "--bind", "tcp://127.0.0.1:0", "--keys", here.keys, "--json", "found.json", folder=here.folder))
        succeeds(coordinator, here.worker(coordinator.endpoint))
        wanted = espalier_json(*options, "--workers", 0)
        paths = [[entry["path"] for entry in found["strategies"]] for found in (here.found(), wanted)]
        assert paths[0] == paths[1]
