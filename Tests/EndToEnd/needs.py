"""What a check needs of the machine: told where it is missing, and never missing in CI."""

import os
import shutil
import unittest

# Where Debian puts daemons, which is not on everybody's PATH.
for folder in ("/usr/sbin", "/sbin"):
    if folder not in os.environ["PATH"].split(":"):
        os.environ["PATH"] += f":{folder}"


def need(condition, sentence):
    """Skips with `sentence` unless `condition`; fails in CI, which installs everything."""
    if not condition:
        assert not os.environ.get("CI"), sentence
        raise unittest.SkipTest(sentence)


def need_programs(*names):
    missing = [name for name in names if shutil.which(name) is None]
    need(not missing, f"there is no {', '.join(missing)} here; 'Scripts/install --test-extras' installs it")


def need_root():
    need(os.geteuid() == 0, "needs root")
