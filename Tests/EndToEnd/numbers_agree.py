"""Comparisons of arrays, with what differs as sentences."""

import numpy as np


def array_faults(name, actual, expected, tolerance):
    """Every way in which the arrays `actual` differ from `expected`: names, shapes, types, values.

    Values may differ by `tolerance` times the largest expected magnitude of the array.
    """
    if list(actual) != list(expected):
        yield f"{name}: arrays {list(actual)}, not {list(expected)}"
        return
    for key, wanted in expected.items():
        given = actual[key]
        if given.shape != wanted.shape or given.dtype != wanted.dtype:
            yield f"{name}: '{key}' is {given.dtype} {given.shape}, not {wanted.dtype} {wanted.shape}"
        elif wanted.dtype.kind != "f":
            if not np.array_equal(given, wanted):
                yield f"{name}: '{key}' differs"
        else:
            difference = np.abs(given.astype(np.float64) - wanted).max(initial=0)
            largest = np.abs(wanted).max(initial=0)
            if not difference <= tolerance * largest:
                yield f"{name}: '{key}' differs by {difference:.3g}, its largest element is {largest:.3g}"
