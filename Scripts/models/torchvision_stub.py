"""Lets torchvision be imported beside a PyTorch that its compiled operators don't match.

torchvision registers shape functions for two of its C++ operators at import time and fails when those
operators are absent (its wheel then belongs to another build of PyTorch). None of the classification
models needs them, so they are declared empty here. Import this module before torchvision or timm.
"""

import torch

_library = torch.library.Library("torchvision", "FRAGMENT")


def _declare(name):
    try:
        _library.define(f"{name}(Tensor x) -> Tensor")
    except RuntimeError:  # the real operators were loaded after all
        pass


try:
    import torchvision  # noqa: F401
except RuntimeError:
    import sys

    for module in [name for name in sys.modules if (name + ".").startswith("torchvision.")]:
        del sys.modules[module]
    for operator in ("nms", "qnms"):
        _declare(operator)
    import torchvision  # noqa: F401
