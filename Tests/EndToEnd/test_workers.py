"""Worker processes: the same bits for any number of them, whatever happens to them, and nothing left behind."""

import contextlib
import json
import os
import pathlib
import random
import signal
import time

from interrupted import SEARCH, results, rows, same_result, undisturbed
from processes import eventually, is_alive, kibibytes, workers_of
from program import espalier, espalier_json, example, scratch, start

RESTS_ON_CLOCK = True

# How long workers may take to notice that their coordinator is gone.
GRACE = 8


def prune(workers, *options):
    model, data = example("digits-resnet")
    with scratch() as folder:
        return espalier_json(
            "prune", model, "--data", data, "--samples", 160, "--block-size", 16, "--shards", 3, "--workers", workers,
            "--run", folder / "run", *options)


def decided(found):
    """What has to be the same to the last bit: JSON brings back every bit of a double."""
    return found["base"], found["path"], [level["kept"] for level in found["levels"]]


def test_any_number_of_workers_gives_the_same_bits():
    alone = prune(0, "--steps", 3)
    for workers in (1, 2, 2, 3, 8):
        found = prune(workers, "--steps", 3)
        assert found["workers"] == workers
        assert decided(found) == decided(alone), f"{workers} workers: {found['path']}\nis not\n{alone['path']}"


def test_a_beam_on_workers_gives_the_same_bits_with_and_without_bounds():
    options = ("--steps", 2, "--strategy", "beam", "--beam-width", 3, "--objective", "signed")
    alone = prune(0, *options)
    for workers, bounds in ((2, ()), (3, ("--no-bounds",))):
        assert decided(prune(workers, *options, *bounds)) == decided(alone)


class Running:
    """A search on worker processes that is under way."""

    def __init__(self, workers, folder, *options):
        undisturbed()  # measured before, not while the search runs
        self.run, self.temporary = folder / "run", folder / "t"
        self.temporary.mkdir(exist_ok=True)
        self.folder = folder
        self.process = start(
            *SEARCH, "--workers", workers, "--run", "run", "--json", "found.json", *options, folder=folder,
            temporary=self.temporary)

    @property
    def kept(self):
        return sum(results(self.run).values())

    @property
    def workers(self):
        return workers_of(self.process.pid)

    def wait_for(self, count, seconds=120):
        """Waits until so many results are kept."""
        limit = time.monotonic() + seconds
        while self.kept < count:
            assert self.process.poll() is None, f"it ended too soon: {self.process.stderr.read().decode()[-800:]}"
            assert time.monotonic() < limit, f"only {self.kept} results after {seconds} s"
            time.sleep(0.01)

    def end(self, seconds=180):
        """Waits for the end; the exit code and standard error."""
        errors = self.process.communicate(timeout=seconds)[1].decode()
        return self.process.returncode, errors

    def found(self):
        return json.loads((self.folder / "found.json").read_text())

    def leaves_nothing(self, workers):
        assert eventually(lambda: not any(map(is_alive, workers)), GRACE), (
            f"worker processes live on: {[worker for worker in workers if is_alive(worker)]}")
        assert eventually(lambda: not os.listdir(self.temporary), GRACE), (
            f"left in the temporary folder: {[str(path) for path in self.temporary.rglob('*')]}")


@contextlib.contextmanager
def running(workers, folder, *options):
    search = Running(workers, folder, *options)
    try:
        yield search
    finally:
        if search.process.poll() is None:
            search.process.kill()
            search.process.communicate()


def total():
    return len(undisturbed()[1])


def test_killed_workers_change_nothing():
    generator = random.Random(5)
    with scratch() as folder, running(3, folder) as search:
        seen = set()
        for share in (0.1, 0.3, 0.5, 0.7):
            search.wait_for(int(share * total()))
            seen.update(search.workers)
            os.kill(generator.choice(search.workers), signal.SIGKILL)
        code, errors = search.end()
        assert code == 0, errors
        assert len(seen) >= 4, "no worker was replaced"
        same_result(search.found())
        assert rows(search.run).keys() == undisturbed()[1].keys()
        search.leaves_nothing(seen)


def processor_ticks(process):
    fields = pathlib.Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def test_workers_that_die_at_their_start_do_not_stop_one_that_computes():
    with scratch() as folder, running(2, folder) as search:
        search.wait_for(total() // 10)
        survivor = max(search.workers, key=processor_ticks)
        # The first may have been ready, so four make three in a row for certain.
        seen = {survivor}
        while len(seen) < 5 and search.process.poll() is None:
            for worker in set(search.workers) - seen:
                seen.add(worker)
                os.kill(worker, signal.SIGKILL)
            time.sleep(0.01)
        code, errors = search.end()
        assert code == 0 and "in a row ended before they could compute; the next one starts in 10 seconds" in errors, errors
        same_result(search.found())
        search.leaves_nothing(seen)


def test_a_worker_that_hangs_is_not_waited_for():
    with scratch() as folder, running(2, folder) as search:
        search.wait_for(total() // 5)
        workers = search.workers
        os.kill(workers[0], signal.SIGSTOP)
        code, errors = search.end()
        assert code == 0, errors
        same_result(search.found())
        search.leaves_nothing(workers)


def test_the_only_worker_that_hangs_is_replaced():
    with scratch() as folder, running(1, folder) as search:
        search.wait_for(total() // 5)
        workers = search.workers
        os.kill(workers[0], signal.SIGSTOP)
        code, errors = search.end()
        assert code == 0, errors
        assert f"worker process {workers[0]} hangs" in errors, errors
        same_result(search.found())
        search.leaves_nothing(workers)


def test_a_killed_coordinator_leaves_nothing_and_its_run_goes_on():
    with scratch() as folder:
        with running(3, folder) as search:
            search.wait_for(total() // 3)
            workers = search.workers
            assert len(workers) == 3, workers
            search.process.kill()
            search.end()
            kept = rows(search.run)
            search.leaves_nothing(workers)
        with running(2, folder, "--resume") as search:
            code, errors = search.end()
            assert code == 0, errors
            same_result(search.found())
            after = rows(search.run)
            assert all(after[key] == value for key, value in kept.items()), "a kept result was replaced"


def test_an_interrupted_coordinator_sends_its_workers_home():
    with scratch() as folder:
        with running(2, folder) as search:
            search.wait_for(total() // 4)
            workers = search.workers
            search.process.send_signal(signal.SIGINT)
            code, errors = search.end(30)
            assert code == 130 and "--resume" in errors.splitlines()[-1], f"exit code {code}: {errors}"
            search.leaves_nothing(workers)
        answer = espalier(*SEARCH, "--run", "run", "--resume", "--json", "-", folder=folder).succeeded()
        same_result(json.loads(answer.output))


def test_a_finished_search_leaves_nothing_and_replaces_no_worker_that_went_home():
    for _ in range(2):
        with scratch() as folder, running(2, folder) as search:
            search.wait_for(total() // 5)
            workers = search.workers
            assert len(workers) == 2, workers
            code, errors = search.end()
            assert code == 0, errors
            assert "ended with" not in errors, errors
            search.leaves_nothing(workers)


def test_a_local_worker_that_is_killed_is_told_with_its_signal_and_replaced():
    with scratch() as folder, running(2, folder) as search:
        search.wait_for(total() // 5)
        os.kill(search.workers[0], signal.SIGKILL)
        code, errors = search.end()
        assert code == 0, errors
        assert "ended with signal 9 (SIGKILL)" in errors, errors
        same_result(json.loads((folder / "found.json").read_text()))


def most_memory(budget):
    """The most that the only worker of a wide search ever held, in KiB, with so many MiB to spend."""
    model, data = example("digits-resnet")
    with scratch() as folder:
        temporary = folder / "t"
        temporary.mkdir()
        process = start(
            "prune", model, "--data", data, "--candidates", "all", "--no-bounds", "--strategy", "beam",
            "--beam-width", 8, "--steps", 2, "--workers", 1, "--memory", f"{budget}M", "--run", "run",
            folder=folder, temporary=temporary)
        most = 0
        while process.poll() is None:
            for worker in workers_of(process.pid):
                most = max(most, kibibytes(worker, "VmHWM") or 0)
            time.sleep(0.02)
        errors = process.communicate()[1].decode()
        assert process.returncode == 0, errors
        return most


def test_a_worker_stays_within_its_memory():
    """Whether memory grows over time is the soak's to see. With room to spend the same search takes more than the budget."""
    budget = 340
    assert 0 < most_memory(budget) <= budget << 10 < most_memory(4 << 10)


def test_bad_usage_of_workers_is_told():
    assert espalier("worker").code == 64
    answer = espalier("worker", "--connect", "nonsense", seconds=30)
    assert answer.code in (64, 65) and len(answer.errors.splitlines()) >= 1, (answer.code, answer.errors)
    assert "nonsense" in answer.errors, answer.errors
