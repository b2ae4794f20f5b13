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
    """Seconds per call of two sessions that take turns.

    Sessions have one thread, the caller's: its CPU time is the latency of an idle machine, also while others compute.
    `wall` tells the ratio by the clock.
    """
    feed = {name: array[:batch] for name, array in inputs.items()}
    pairs = []
    for turn in range(rounds + 2):
        pair = [None, None]
        for which in (0, 1) if turn % 2 else (1, 0):
            start = time.thread_time(), time.perf_counter()
            (original, pruned)[which].run(None, feed)
            pair[which] = time.thread_time() - start[0], time.perf_counter() - start[1]
        if turn >= 2:  # the first calls allocate
            pairs.append(pair)
    ratios = [after[0] / before[0] for before, after in pairs]
    quartiles = statistics.quantiles(ratios, n=4)
    return {
        "before": statistics.median(before[0] for before, _ in pairs),
        "after": statistics.median(after[0] for _, after in pairs),
        "ratio": statistics.median(ratios), "quartiles": [quartiles[0], quartiles[2]],
        "wall": statistics.median(after[1] / before[1] for before, after in pairs)}


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
