"""A search that is stopped, however it is stopped, goes on where it was and ends with the same result."""

import json
import os
import shutil
import signal
import sqlite3
import unittest
import unittest.mock

from interrupted import (
    SEARCH, alter_losses, results, rows, same_result, second_level_is_under_way, stopped, undisturbed)
from kept import finished, journal, sum_of
from processes import status
from program import edge_of, espalier, example, scratch, start, text_of

RESTS_ON_CLOCK = True


def resumed(folder):
    return json.loads(espalier(*SEARCH, "--run", "run", "--resume", "--json", "-", folder=folder).succeeded().output)


def check_goes_on(folder):
    """Resumes the stopped run in `folder`: the same result, with every kept result kept as it was."""
    kept = rows(folder / "run")
    assert kept, "nothing was kept"
    same_result(resumed(folder))
    after = rows(folder / "run")
    assert all(after[key] == value for key, value in kept.items()), "a kept result was replaced"
    # The same work in all as without the disturbance: nothing was left out, nothing was done twice.
    expected = undisturbed()[1]
    assert after.keys() == expected.keys(), f"{len(after)} results, not {len(expected)}"
    assert all(after[key][1:] == expected[key][1:] for key in after), "a result has other losses"


def test_an_interrupted_search_says_how_to_go_on_and_goes_on():
    with scratch() as folder:
        code, errors = stopped(
            [*SEARCH, "--run", "run", "--output", "out.onnx"], folder / "run", second_level_is_under_way,
            signal.SIGINT, folder)
        assert code == 130, f"exit code {code}: {errors}"
        assert "--resume" in errors.splitlines()[-1], errors
        assert not (folder / "out.onnx").exists() and not list(folder.glob("*.tmp*"))
        assert 0 < results(folder / "run")[2] < 400, "the search was not stopped midway"
        check_goes_on(folder)


def test_a_terminated_search_goes_on():
    with scratch() as folder:
        code, errors = stopped(
            [*SEARCH, "--run", "run"], folder / "run", lambda counts: counts.get(1, 0) >= 5, signal.SIGTERM, folder)
        assert code == 130 and "--resume" in errors, f"exit code {code}: {errors}"
        check_goes_on(folder)


def signals_of(process, what):
    """The signals that a process ignores (SigIgn) or handles (SigCgt), as a set of bits."""
    return int(status(process).get(what, "0").strip(), 16)


def stopped_at_once(number, *arguments):
    """The exit code of a program that is sent a signal as soon as the signal is not simply its end any more."""
    bit = 1 << (number - 1)
    with scratch() as folder:
        process = start(*arguments, folder=folder)
        while process.poll() is None and not (
                signals_of(process.pid, "SigIgn") | signals_of(process.pid, "SigCgt")) & bit:
            pass
        process.send_signal(number)
        errors = process.communicate(timeout=120)[1].decode()
        return process.returncode, errors


def test_a_signal_is_heeded_from_the_first_moment_on():
    for number in (signal.SIGINT, signal.SIGTERM) * 4:
        code, errors = stopped_at_once(number, *SEARCH, "--run", "run")
        assert code == 130, f"{number.name} was not heeded: exit code {code}: {errors}"
        code, errors = stopped_at_once(
            number, "worker", "--connect", "tcp://127.0.0.1:1", "--insecure", "--coordinator-timeout", 10)
        assert code == 0, f"{number.name} was not heeded: exit code {code}: {errors}"


def test_a_killed_search_goes_on():
    with scratch() as folder:
        for when in (lambda counts: counts.get(0, 0) >= 3, second_level_is_under_way):
            shutil.rmtree(folder / "run", ignore_errors=True)
            code, _ = stopped([*SEARCH, "--run", "run"], folder / "run", when, signal.SIGKILL, folder)
            assert code == -signal.SIGKILL
            check_goes_on(folder)


def test_kept_results_are_used_and_not_computed_again():
    """Kept losses of the level's winner are made worse in the journal: a search that uses them chooses another."""
    winner = edge_of(undisturbed()[0]["path"][1]["edge"])
    with scratch() as folder:
        # On a busy machine the level may be over before it is stopped.
        for _ in range(10):
            shutil.rmtree(folder / "run", ignore_errors=True)
            stopped([*SEARCH, "--run", "run"], folder / "run", second_level_is_under_way, signal.SIGKILL, folder)
            if 2 not in finished(folder / "run"):
                break
        assert alter_losses(folder / "run", 2, text_of(winner), 1000.0), "the winner was not measured yet"
        found = resumed(folder)
        assert found["path"][0] == undisturbed()[0]["path"][0]
        assert edge_of(found["path"][1]["edge"]) != winner, "what was kept was computed again"


def test_resuming_a_finished_run_gives_its_result_again_at_once():
    with scratch() as folder:
        espalier(*SEARCH, "--run", "run", folder=folder).succeeded()
        before = rows(folder / "run")
        same_result(resumed(folder))
        assert rows(folder / "run") == before


def refused(arguments, folder, *words):
    answer = espalier(*arguments, folder=folder)
    assert answer.code == 65, f"{answer.command}: exit code {answer.code}: {answer.errors}"
    assert len(answer.errors.splitlines()) == 1, answer.errors
    for word in words:
        assert word in answer.errors, f"'{word}' is not in: {answer.errors}"


def test_a_folder_that_holds_a_run_is_not_started_over_and_not_resumed_with_other_settings():
    model, data = example("digits-resnet")
    search = ["prune", model, "--data", data, "--samples", "64", "--steps", "1", "--workers", "0", "--run", "run"]
    with scratch() as folder:
        refused([*search, "--resume"], folder, "run", "no run")
        assert not (folder / "run").exists(), "a refused --resume makes the folder"
        espalier(*search, folder=folder).succeeded()
        kept = rows(folder / "run")
        refused(search, folder, "run", "--resume")
        # An option, its other value and the words that have to name it.
        other = {
            "--samples": ("128", "samples"), "--block-size": ("8", "block"),
            "--shards": ("2", "shards"), "--objective": ("signed", "objective"), "--loss": ("kl", "loss"),
            "--candidates": ("all", "candidates"), "--strategy": ("beam", "--strategy"), "--per": ("flops", "--per"),
            "--recover": ("norm", "--recover"), "--step-removals": ("2", "--step-removals")}
        for option, (value, word) in other.items():
            refused([*search, "--resume", option, value], folder, "run", word, value)
        shutil.copy(model, folder / "copy.onnx")
        with open(folder / "copy.onnx", "ab") as file:
            file.write(b"\x12\x03abc")  # another producer name: another file, though the same graph
        refused(["prune", "copy.onnx", *search[2:], "--resume"], folder, "model")
        refused(["prune", model, "--data", str(example("digits-vit")[1]).replace("calibration", "held-out"),
                 *search[4:], "--resume"], folder, "data")
        assert rows(folder / "run") == kept


FILES = ("path.csv", "pruned.onnx")


def same_files(one, other):
    for name in FILES:
        assert (one / name).read_bytes() == (other / name).read_bytes(), f"{name} is another"


def test_a_finished_run_goes_on_further_from_its_folder_alone():
    model, data = example("digits-resnet")
    search = ["prune", model, "--data", "data.npz", "--samples", "64", "--workers", "0"]
    with scratch() as folder:
        (folder / "elsewhere").mkdir()
        shutil.copy(data, folder / "data.npz")
        espalier(*search, "--steps", "2", "--run", "run", folder=folder).succeeded()
        espalier(*search, "--steps", "4", "--run", "long", folder=folder).succeeded()
        before = rows(folder / "run")
        # From another folder, in which the data's name would lead nowhere.
        further = espalier(
            "prune", "--resume", "--run", "../run", "--steps", "4", "--output", "here.onnx",
            folder=folder / "elsewhere").succeeded()
        assert "--steps 4 in the place of 2" in further.errors, further.errors
        same_files(folder / "run", folder / "long")
        assert (folder / "elsewhere/here.onnx").read_bytes() == (folder / "long/pruned.onnx").read_bytes()
        after = rows(folder / "run")
        assert all(after[key] == value for key, value in before.items()), "what was kept was done again"
        # Back to fewer steps, and with nothing said: as it was last.
        espalier("prune", "--resume", "--run", "run", "--steps", "3", folder=folder).succeeded()
        steps = len(json.loads((folder / "run/summary.json").read_text())["path"])
        assert steps == 3, steps
        espalier("prune", "--resume", "--run", "run", folder=folder).succeeded()
        assert len(json.loads((folder / "run/summary.json").read_text())["path"]) == 3


def test_a_limit_that_is_raised_reopens_the_levels_that_it_ended():
    model, data = example("digits-resnet")
    search = [
        "prune", model, "--data", data, "--samples", "64", "--workers", "0", "--strategy", "beam", "--beam-width", "3",
        "--steps", "3"]
    with scratch() as folder:
        espalier(*search, "--max-loss-increase", "0.004", "--run", "run", folder=folder).succeeded()
        assert len(json.loads((folder / "run/summary.json").read_text())["path"]) < 3, "the limit ended nothing"
        espalier(*search, "--max-loss-increase", "0.5", "--run", "long", folder=folder).succeeded()
        espalier("prune", "--resume", "--run", "run", "--max-loss-increase", "0.5", folder=folder).succeeded()
        same_files(folder / "run", folder / "long")
        espalier("export", "run", "--step", "2", "--output", "two.onnx", folder=folder).succeeded()


def test_what_a_resumed_run_lacks_or_is_not_is_told():
    model, data = example("digits-resnet")
    with scratch() as folder:
        refused(["prune", "--resume", "--run", "nothing"], folder, "nothing", "holds no run")
        espalier(
            "prune", model, "--data", data, "--samples", "32", "--steps", "1", "--run", "run", folder=folder).succeeded()
        refused(["finetune", "--resume", "--run", "run"], folder, "run", "'prune'", "'finetune'")
        unknown = espalier("prune", "--resume", "--run", "run", "--nosuch", folder=folder)
        assert unknown.code == 64 and "--nosuch" in unknown.errors, unknown.errors
        with sqlite3.connect(folder / "run/journal.sqlite") as database:
            database.execute("UPDATE run SET version = '0.0.9'")
        answer = espalier("prune", "--resume", "--run", "run", folder=folder)
        assert answer.code == 65 and "checksum of the table 'run'" in answer.errors, answer.errors


def test_a_comparison_keeps_its_results_and_goes_on_with_other_strategies():
    model, data = example("digits-resnet")
    compare = ["compare", model, "--data", data, "--samples", "64", "--seeds", "2", "--workers", "0"]
    with scratch() as folder:
        espalier(*compare, "--steps", "2", "--strategies", "greedy,random", "--run", "run", folder=folder).succeeded()
        refused([*compare, "--run", "run"], folder, "run", "--resume")
        kept = rows(folder / "run")
        more = ("--steps", "3", "--strategies", "greedy,beam:2,random")
        espalier("compare", "--resume", "--run", "run", *more, folder=folder).succeeded()
        espalier(*compare, *more, "--run", "fresh", folder=folder).succeeded()
        after = rows(folder / "run")
        assert all(after[key] == value for key, value in kept.items()), "what was kept was measured again"
        for name in ("greedy", "beam-2", "random-0", "random-1"):
            one, other = (folder / place / f"{name}.onnx" for place in ("run", "fresh"))
            assert one.read_bytes() == other.read_bytes(), f"{name}: another model"
            assert f">run/{name}.onnx</td>" in (folder / "run/report.html").read_text()
        losses = [
            [step["measured"]["loss"] for entry in json.loads((folder / place / "comparison.json").read_text())["strategies"]
             for step in entry["path"]] for place in ("run", "fresh")]
        assert losses[0] == losses[1]
        espalier("prune", model, "--data", data, "--samples", "64", "--steps", "3", "--run", "alone", folder=folder).succeeded()
        assert (folder / "alone/pruned.onnx").read_bytes() == (folder / "run/greedy.onnx").read_bytes()
        refused(["compare", "--resume", "--run", "run", "--samples", "32"], folder, "--samples", "64", "32")


def test_only_one_search_works_in_a_folder():
    with scratch() as folder:
        first = start(*SEARCH, "--run", "run", folder=folder)
        try:
            while not results(folder / "run"):
                assert first.poll() is None, first.stderr.read().decode()
            # It must not end before the other one has looked.
            os.kill(first.pid, signal.SIGSTOP)
            refused([*SEARCH, "--run", "run", "--resume"], folder, "run", str(first.pid))
        finally:
            first.kill()
            first.communicate()


def test_a_damaged_journal_is_refused():
    with scratch() as folder:
        search = [*SEARCH, "--run", "run", "--resume"]
        for content in (b"", b"not a database at all" * 300):
            shutil.rmtree(folder / "run", ignore_errors=True)
            (folder / "run").mkdir()
            (folder / "run" / "journal.sqlite").write_bytes(content)
            refused(search, folder, "journal.sqlite")


# Kernels for the oldest processors, in place of those that libtorch chooses here.
OLD_KERNELS = {"ATEN_CPU_CAPABILITY": "default", "DNNL_MAX_CPU_ISA": "SSE41", "ONEDNN_MAX_CPU_ISA": "SSE41",
               "OPENBLAS_CORETYPE": "Prescott"}


def stopped_midway(folder):
    code, errors = stopped(
        [*SEARCH, "--run", "run"], folder / "run", lambda counts: counts.get(1, 0) >= 5, signal.SIGINT, folder)
    assert code == 130, errors


def numerics(folder, change=None):
    with journal(folder / "run", "rw") as database:
        if change:
            database.execute(change)
        return list(database.execute("SELECT digest, machine FROM numerics"))


def test_a_run_goes_on_where_other_bits_are_computed_only_if_that_is_allowed():
    with scratch() as folder:
        stopped_midway(folder)
        before = rows(folder / "run")
        (digest, machine), = numerics(folder)
        assert len(digest) == 32 and "libtorch" in machine, machine
        numerics(
            folder, "UPDATE numerics SET digest = zeroblob(32), machine = 'an abacus', "
            f"checksum = x'{sum_of(bytes(32), b'an abacus').hex()}'")
        answer = espalier(*SEARCH, "--run", "run", "--resume", folder=folder)
        assert answer.code == 65, (answer.code, answer.errors)
        last = answer.errors.strip().splitlines()[-1]
        assert "an abacus" in last and "--allow-mixed-numerics" in last, last
        assert rows(folder / "run") == before, "the refused run was written to"
        answer = espalier(
            *SEARCH, "--run", "run", "--resume", "--allow-mixed-numerics", "--json", "-", folder=folder).succeeded()
        found = json.loads(answer.output)
        assert found["mixedNumerics"] == ["an abacus"] and "an abacus" in answer.errors
        same_result(found)
        assert [name for _, name in numerics(folder)] == ["an abacus", machine]


def damaged(search, folder, row):
    """Fails unless the last line says which row is damaged, and what to do."""
    answer = espalier(*search, folder=folder)
    assert answer.code == 65, answer.errors
    last = answer.errors.splitlines()[-1]
    assert all(word in last for word in ("journal.sqlite", f"row {row} of the results is damaged", "DELETE FROM results")), last


def test_a_flipped_bit_in_a_kept_result_is_told_by_its_row_and_can_be_taken_out():
    with scratch() as folder:
        stopped_midway(folder)
        search = [*SEARCH, "--run", "run", "--resume"]
        for column in ("payload", "result"):
            with journal(folder / "run", "rw") as database:
                row, whole = database.execute(
                    f"SELECT id, {column} FROM results WHERE stage = 2 ORDER BY id LIMIT 1").fetchone()
                flipped = bytearray(whole)
                flipped[len(flipped) // 2] ^= 1
                database.execute(f"UPDATE results SET {column} = ? WHERE id = ?", (bytes(flipped), row))
            damaged(search, folder, row)
            with journal(folder / "run", "rw") as database:
                database.execute(f"UPDATE results SET {column} = ? WHERE id = ?", (whole, row))
        with journal(folder / "run", "rw") as database:
            database.execute("UPDATE results SET result = zeroblob(length(result)) WHERE id = ?", (row,))
        damaged(search, folder, row)
        # What the message says to do.
        with journal(folder / "run", "rw") as database:
            database.execute("DELETE FROM results WHERE id = ?", (row,))
        same_result(resumed(folder))


def test_a_journal_of_an_older_version_is_refused_as_such():
    with scratch() as folder:
        stopped_midway(folder)
        with journal(folder / "run", "rw") as database:
            database.execute("PRAGMA user_version = 2")
        answer = espalier(*SEARCH, "--run", "run", "--resume", folder=folder)
        assert answer.code == 65 and "older version" in answer.errors and "damaged" not in answer.errors, answer.errors


def test_a_run_that_was_begun_with_other_kernels_is_refused():
    with scratch() as folder, unittest.mock.patch.dict(os.environ, OLD_KERNELS):
        stopped_midway(folder)
        old = numerics(folder)
        for name in OLD_KERNELS:
            del os.environ[name]
        answer = espalier(*SEARCH, "--run", "run", "--resume", folder=folder)
        if answer.code == 0:
            assert numerics(folder) == old, "another digest was taken for the same"
            raise unittest.SkipTest("all kernels of this processor round alike")
        assert answer.code == 65 and "differ in the last bits" in answer.errors, (answer.code, answer.errors)


def test_mixed_numerics_need_something_to_be_mixed_with():
    answer = espalier(*SEARCH, "--allow-mixed-numerics")
    assert answer.code == 64 and "--resume" in answer.errors, (answer.code, answer.errors)
