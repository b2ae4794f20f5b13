"""Scripts/soak in short, and whether it would see a leak."""

import json
import os
import random
import subprocess
import sys

from program import ROOT, scratch

sys.path.append(str(ROOT / "Tests/Soak"))
from flatness import growth  # noqa: E402

RESTS_ON_CLOCK = True


def test_a_short_soak_gives_the_same_path():
    with scratch() as folder:
        done = subprocess.run(
            [ROOT / "Scripts/soak", "--minutes", "0.2", "--every", "0.7", "--workers", "2", "--folder", folder / "soak",
             "--espalier", os.environ["ESPALIER"], "--json", "-"], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        report = json.loads(done.stdout)
    assert report["samePath"] and report["resultsCompared"] > 0 and report["problems"] == []
    assert report["levels"] >= 1 and sum(report["faults"].values()) > 0


def hour(value):
    """A sample every two seconds: a level's memory comes and goes, now and then there is a peak."""
    draw = random.Random(5)
    times = [2.0 * index for index in range(1800)]
    return times, [
        value(time) + 10 * (time % 97) / 97 + draw.gauss(0, 1) + (200 if draw.random() < 0.01 else 0) for time in times]


def test_memory_that_comes_and_goes_is_flat():
    found = growth(*hour(lambda time: 200), is_memory=True)
    assert found["isFlat"] and abs(found["growth"]) < 1


def test_a_leak_of_five_kilobytes_a_second_is_seen():
    found = growth(*hour(lambda time: 200 + time * 5 / 1024), is_memory=True)
    # 1,800 s at 5 KiB are 8.8 MiB.
    assert not found["isFlat"] and 7.8 < found["growth"] < 9.8


def test_a_descriptor_that_is_lost_every_ten_minutes_is_seen_and_more_connections_are_not():
    draw = random.Random(6)
    times = [2.0 * index for index in range(1800)]
    connected = [draw.randrange(5) for _ in times]
    assert not growth(times, [30 + time // 600 + now for time, now in zip(times, connected)], is_memory=False)["isFlat"]
    # In the end mostly four are connected, and now and then nobody.
    busier = [now if time < 2700 or draw.random() < 0.05 else 4 for time, now in zip(times, connected)]
    assert growth(times, [30 + now for now in busier], is_memory=False)["isFlat"]
