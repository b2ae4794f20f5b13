"""What a model computes and how long it takes in ONNX Runtime, and whether Espalier's numbers describe its file."""

import statistics
import time

import numpy as np
import onnxruntime


def session(path, threads=1):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = threads
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def outputs(runtime, inputs, batch=16):
    """The first output for all samples."""
    count = len(next(iter(inputs.values())))
    parts = [
        runtime.run(None, {name: array[start : start + batch] for name, array in inputs.items()})[0]
        for start in range(0, count, batch)]
    return np.concatenate(parts)


def latencies(original, pruned, inputs, rounds, batch=1):
    """Seconds per call of two sessions that take turns: medians, and median and quartiles of the pairs' ratios."""
    feed = {name: array[:batch] for name, array in inputs.items()}
    seconds = ([], [])
    for turn in range(rounds + 2):
        pair = [0.0, 0.0]
        for which in (0, 1) if turn % 2 else (1, 0):
            start = time.perf_counter()
            (original, pruned)[which].run(None, feed)
            pair[which] = time.perf_counter() - start
        if turn >= 2:  # the first calls allocate
            seconds[0].append(pair[0])
            seconds[1].append(pair[1])
    ratios = sorted(after / before for before, after in zip(*seconds))
    quartiles = statistics.quantiles(ratios, n=4)
    return {
        "before": statistics.median(seconds[0]), "after": statistics.median(seconds[1]),
        "ratio": statistics.median(ratios), "quartiles": [quartiles[0], quartiles[2]]}


def other_size(original, pruned, inputs):
    """What happens at another size, in a phrase.

    A pruned model has other outputs than the original, so only shapes, finite values and samples' independence of their
    batch are looked at.
    """
    try:
        together, expected = outputs(pruned, inputs), outputs(original, inputs)
        alone = outputs(pruned, inputs, 1)
    except Exception as error:  # ONNX Runtime's own types are many
        return f"does not run: {str(error).splitlines()[0][:160]}"
    if together.shape != expected.shape:
        return f"has shape {together.shape}, not {expected.shape}"
    if not np.isfinite(together).all():
        return "is not finite"
    difference = float(np.abs(together - alone).max())
    return "runs" if difference <= 1e-3 else f"depends on the batch by {difference:.2g}"
