"""A full disk: the run waits, says so, loses nothing, and goes on by itself once there is room."""

import contextlib
import errno
import json
import os
import signal
import socket
import subprocess
import time
import unittest.mock
import urllib.request

from interrupted import SEARCH, results, rows, same_result, undisturbed
from needs import need, need_programs, need_root
from processes import eventually, workers_of
from program import espalier, scratch, start
from remote import alone as decided_alone, decided, free_port, stage, succeeds

RESTS_ON_CLOCK = True

SENTENCE = "disk full: paused; goes on when there is room"


@contextlib.contextmanager
def small_disk(folder):
    """A disk of 8 MB."""
    need_root()
    need_programs("mount", "umount")
    disk = folder / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", disk], stderr=subprocess.PIPE, check=False)
    need(mounted.returncode == 0, f"mounting is not permitted here: {mounted.stderr.decode().strip()}")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)


def fill(disk):
    """Leaves no room; returns the file that takes it."""
    filler = disk / "filler"
    with contextlib.suppress(OSError), open(filler, "wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    try:
        with open(disk / "probe", "wb", buffering=0) as file:
            file.write(bytes(4096))
    except OSError as error:
        assert error.errno == errno.ENOSPC, error
    (disk / "probe").unlink()
    return filler


class Search:
    """A search whose run is on the small disk."""

    def __init__(self, folder, disk, *options):
        undisturbed()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = "127.0.0.1:%d" % free.getsockname()[1]
        self.folder, self.run, self.errors = folder, disk / "run", ""
        self.process = start(
            *SEARCH, "--run", self.run, "--json", folder / "found.json", "--metrics", self.address, *options,
            folder=folder)
        os.set_blocking(self.process.stderr.fileno(), False)

    def said(self, text):
        self.errors += (self.process.stderr.read() or b"").decode()
        return text in self.errors

    def status(self, what="status"):
        with urllib.request.urlopen(f"http://{self.address}/{what}", timeout=10) as answer:
            return answer.read().decode()

    def pause(self, disk):
        """Fills the disk midway and waits until the search says that it is paused."""
        assert eventually(lambda: sum(results(self.run).values()) > len(undisturbed()[1]) // 8, 120), "no results"
        filler = fill(disk)
        assert eventually(lambda: self.said(SENTENCE), 60), f"not paused: {self.errors[-800:]}"
        assert str(self.run / "journal.sqlite") in self.errors
        return filler

    def end(self, seconds=180):
        os.set_blocking(self.process.stderr.fileno(), True)
        self.errors += self.process.communicate(timeout=seconds)[1].decode()
        return self.process.returncode


@contextlib.contextmanager
def searching(*options):
    with scratch() as folder, small_disk(folder) as disk:
        search = Search(folder, disk, *options)
        try:
            yield search, disk
        finally:
            if search.process.poll() is None:
                os.killpg(search.process.pid, signal.SIGKILL)
                search.process.wait()


def check_goes_on(workers):
    with searching("--workers", workers) as (search, disk):
        filler = search.pause(disk)
        before, team = rows(search.run), workers_of(search.process.pid)
        assert SENTENCE in json.loads(search.status())["paused"]
        assert "\nespalier_paused 1\n" in search.status("metrics")
        # Longer than any silence that a worker or the coordinator would put up with.
        time.sleep(12)
        assert search.process.poll() is None, f"it ended: {search.errors[-800:]}"
        assert rows(search.run) == before, "results were kept without room"
        assert search.errors.count(SENTENCE) == 1, "it says so too often"
        assert workers_of(search.process.pid) == team, "workers were replaced while nothing was wrong with them"
        filler.unlink()
        assert search.end() == 0, search.errors[-800:]
        assert "there is room on the disk again" in search.errors, search.errors[-800:]
        same_result(json.loads((search.folder / "found.json").read_text()))
        after = rows(search.run)
        assert all(after[key] == value for key, value in before.items()), "a kept result was replaced"
        assert after.keys() == undisturbed()[1].keys()


def test_a_disk_that_is_full_at_the_start_is_waited_for():
    undisturbed()
    with scratch() as folder, small_disk(folder) as disk:
        filler = fill(disk)
        search = Search(folder, disk)
        try:
            assert eventually(lambda: search.said(SENTENCE), 60), search.errors[-800:]
            time.sleep(2)
            assert search.process.poll() is None, search.errors[-800:]
            filler.unlink()
            assert search.end() == 0, search.errors[-800:]
            same_result(json.loads((folder / "found.json").read_text()))
        finally:
            if search.process.poll() is None:
                os.killpg(search.process.pid, signal.SIGKILL)


def test_a_worker_whose_caches_disk_is_full_waits_and_tells_both_sides():
    expected = decided_alone()
    with stage() as here, small_disk(here.folder) as disk:
        filler = fill(disk)
        coordinator = here.prune()
        worker = here.worker(coordinator.endpoint, cache=disk / "cache")
        for side in (worker, coordinator):
            side.says("the cache has no room")
        time.sleep(3)
        assert worker.process.poll() is None and coordinator.process.poll() is None
        assert worker.errors.count("the cache has no room") == 1, worker.errors
        filler.unlink()
        succeeds(coordinator, worker)
        assert "going on" in worker.errors
        assert decided(here.found()) == expected


def test_a_search_in_one_process_waits_for_room_and_finds_the_same():
    check_goes_on(0)


def test_a_search_on_workers_waits_for_room_and_finds_the_same():
    check_goes_on(2)


def check_interruption(workers):
    with searching("--workers", workers) as (search, disk):
        filler = search.pause(disk)
        search.process.send_signal(signal.SIGINT)
        assert search.end(30) == 130, search.errors[-800:]
        filler.unlink()
        answer = espalier(*SEARCH, "--run", search.run, "--resume", "--json", "-", folder=search.folder).succeeded()
        same_result(json.loads(answer.output))


def test_a_paused_search_in_one_process_can_be_interrupted():
    check_interruption(0)


def test_a_paused_search_on_workers_can_be_interrupted():
    check_interruption(2)


# A quota that is used up says another thing than a full disk.
QUOTA = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <sys/types.h>
#define AS_QUOTA(result, name, parameters, arguments)                                   \\
    result name parameters {                                                            \\
        static result (*original) parameters;                                           \\
        if (!original) original = (result (*) parameters) dlsym(RTLD_NEXT, #name);      \\
        result done = original arguments;                                               \\
        if (done < 0 && errno == ENOSPC) errno = EDQUOT;                                \\
        return done;                                                                    \\
    }
AS_QUOTA(ssize_t, write, (int file, const void *bytes, size_t count), (file, bytes, count))
AS_QUOTA(ssize_t, pwrite, (int file, const void *bytes, size_t count, off_t at), (file, bytes, count, at))
AS_QUOTA(ssize_t, pwrite64, (int file, const void *bytes, size_t count, off64_t at), (file, bytes, count, at))
AS_QUOTA(int, fsync, (int file), (file))
"""


@contextlib.contextmanager
def quotas():
    """Programs that are started meanwhile see a used up quota where there is a full disk."""
    need_programs("cc")
    with scratch() as folder:
        (folder / "quota.c").write_text(QUOTA)
        library = str(folder / "quota.so")
        subprocess.run(["cc", "-shared", "-fPIC", "-o", library, folder / "quota.c", "-ldl"], check=True)
        with unittest.mock.patch.dict(os.environ, LD_PRELOAD=library):
            yield


def test_a_quota_that_is_used_up_is_a_full_disk():
    undisturbed()
    with quotas(), searching() as (search, disk):
        filler = search.pause(disk)
        filler.unlink()
        assert search.end() == 0, search.errors[-800:]
        same_result(json.loads((search.folder / "found.json").read_text()))


def test_a_paused_run_answers_those_who_ask_over_the_workers_address():
    address = f"tcp://127.0.0.1:{free_port()}"
    with searching("--bind", address, "--insecure") as (search, disk):
        worker = start(
            "worker", "--connect", address, "--insecure", "--cache", search.folder / "cache", folder=search.folder)
        try:
            filler = search.pause(disk)
            asked = ("status", "--connect", address, "--insecure")
            answer = espalier(*asked, "--json", "-", folder=search.folder).succeeded()
            assert SENTENCE in json.loads(answer.output)["paused"], answer.output
            assert SENTENCE in espalier(*asked, folder=search.folder).succeeded().output
            filler.unlink()
            assert eventually(
                lambda: "paused" not in json.loads(
                    espalier(*asked, "--json", "-", folder=search.folder).output or "{}"), 30)
            assert search.end() == 0, search.errors[-800:]
            same_result(json.loads((search.folder / "found.json").read_text()))
            assert worker.wait(30) == 0
        finally:
            if worker.poll() is None:
                os.killpg(worker.pid, signal.SIGKILL)
                worker.wait()


@contextlib.contextmanager
def full_at_the_end(*results):
    """A search that finds no room for its results; with the disk, and what takes the room."""
    undisturbed()
    with scratch() as folder, small_disk(folder) as disk:
        filler = fill(disk)
        options = [part for option, name in results for part in (option, disk / name)]
        process = start(*SEARCH, "--run", folder / "run", *options, folder=folder)
        os.set_blocking(process.stderr.fileno(), False)
        errors = ""

        def said(text):
            nonlocal errors
            errors += (process.stderr.read() or b"").decode()
            return text in errors

        try:
            for _, name in results[:1]:
                assert eventually(lambda: said(f"{disk / name}: {SENTENCE}"), 120), errors[-800:]
            yield process, disk, filler, folder
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def test_results_wait_for_room_too():
    results = (("--output", "out.onnx"), ("--json", "found.json"))
    for files in (results, results[1:]):
        with full_at_the_end(*files) as (process, disk, filler, _):
            time.sleep(2)
            assert process.poll() is None
            # A try's unfinished file is there while the try lasts; one that stayed would never be gone.
            assert eventually(lambda: os.listdir(disk) == ["filler"], 30), os.listdir(disk)
            filler.unlink()
            assert process.wait(60) == 0
            same_result(json.loads((disk / "found.json").read_text()))
            assert sorted(os.listdir(disk)) == sorted(name for _, name in files)


def test_a_quota_is_recognised_where_results_are_written():
    with quotas(), full_at_the_end(("--output", "out.onnx")) as (process, _, filler, _):
        filler.unlink()
        assert process.wait(60) == 0


def test_a_search_that_waits_for_room_for_its_results_can_be_interrupted():
    with full_at_the_end(("--output", "out.onnx")) as (process, disk, filler, folder):
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
        filler.unlink()
        answer = espalier(
            *SEARCH, "--run", folder / "run", "--output", disk / "out.onnx", "--resume", "--json", "-",
            folder=folder).succeeded()
        same_result(json.loads(answer.output))
        assert os.listdir(disk) == ["out.onnx"]
