"""Scripts/faults in short: what it does to runs, files and ports changes nothing."""

import json
import os
import subprocess
import sys

from program import ROOT, scratch

RESTS_ON_CLOCK = True

sys.path.append(str(ROOT / "Tests/Faults"))


def faults(kind, rounds, *options):
    """Some rounds, in which nothing may be wrong; the seed is always the same."""
    with scratch() as folder:
        done = subprocess.run(
            [sys.executable, ROOT / "Scripts/faults", kind, "--rounds", str(rounds), "--folder", folder,
             "--espalier", os.environ["ESPALIER"], "--json", "-", *options], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        assert json.loads(done.stdout)["rounds"] == rounds


def test_statistics_recoveries_and_trainings_end_with_the_same_bits_whatever_is_killed():
    faults("kills", 5, "--subjects", "wanda,taylor,train,finetune,means")


def test_damaged_run_folders_give_the_same_bits_or_a_sentence():
    faults("damage", 12, "--subjects", "wanda,fit,finetune")


def test_changed_models_and_data_end_with_a_sentence():
    faults("files", 25)


def test_strangers_and_bad_wires_neither_stop_a_search_nor_change_it():
    faults("junk", 2, "--subjects", "search,wanda")
