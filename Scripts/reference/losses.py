"""Per-sample losses as NumPy computes them: float32 losses with weights, summed in float64 in the data's order."""

import numpy as np

IGNORED = -100


def log_softmax(logits):
    shifted = logits.astype(np.float64) - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def per_sample(output, kind, data, base):
    """Losses and weights [N] of the first output.

    - cross-entropy: `labels` [N], or [N, T] where labels[:, t] is what output[:, t] predicts
    - next-token: `labels` [N, T] are the tokens themselves, so output[:, t] predicts labels[:, t + 1]
    - mse: mean squared difference from `targets`
    - kl: sum over classes of p (log p - log q) from the unpruned softmax p, mean over a sample's other positions
    - self-mse: mean squared difference from the unpruned output

    For labels [N, T] a sample's loss is the mean over its counted positions, weighted by their number.
    """
    count = len(output)
    if output.ndim >= 4:  # images have their classes second
        output, base = np.moveaxis(output, 1, -1), np.moveaxis(base, 1, -1)
    weights = np.ones(count)
    if kind in ("cross-entropy", "next-token"):
        labels = data["labels"]
        if kind == "next-token":
            labels = np.concatenate([labels[:, 1:], np.full((count, 1), IGNORED, labels.dtype)], 1)
        labels = labels.reshape(count, -1)
        logs = log_softmax(output).reshape(count, labels.shape[1], -1)
        counted = labels != IGNORED
        chosen = -np.take_along_axis(logs, np.where(counted, labels, 0)[..., None], -1)[..., 0]
        losses = (chosen * counted).sum(1) / np.maximum(counted.sum(1), 1)
        weights = counted.sum(1) if labels.shape[1] > 1 else weights
    elif kind == "kl":
        log_p, log_q = log_softmax(base), log_softmax(output)
        losses = (np.exp(log_p) * (log_p - log_q)).sum(-1).reshape(count, -1).mean(1)
    else:
        target = data["targets"] if kind == "mse" else base
        target = np.moveaxis(target, 1, -1) if kind == "mse" and output.ndim >= 4 else target
        difference = output.astype(np.float64).reshape(count, -1) - target.reshape(count, -1)
        losses = (difference**2).mean(1)
    return np.maximum(losses, 0).astype(np.float32), weights.astype(np.float64)


def mean_loss(output, kind, data, base):
    """The weighted mean of the per-sample losses."""
    losses, weights = per_sample(output, kind, data, base)
    total = 0.0
    for loss, weight in zip(losses.astype(np.float64), weights):
        total += float(loss * weight)
    return total / float(weights.sum())


KINDS = ("cross-entropy", "next-token", "mse", "kl", "self-mse")
