"""Per-sample losses as NumPy computes them: float32 losses with weights, summed in float64 in the data's order."""

import numpy as np

IGNORED = -100
SMALLEST = np.finfo(np.float32).tiny


def log_softmax(logits, axis=-1):
    shifted = logits.astype(np.float64) - logits.max(axis, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis, keepdims=True))


def log_probabilities(output, form, axis=-1):
    """The logarithms of an output's class probabilities."""
    if form == "probabilities":
        return np.log(np.maximum(output.astype(np.float64), SMALLEST))
    return output.astype(np.float64) if form == "log-probabilities" else log_softmax(output, axis)


def sigmoids(output, form):
    """An output as independent probabilities."""
    wide = output.astype(np.float64)
    return 1 / (1 + np.exp(-wide)) if form in ("logits", "values") else wide


def log(shares):
    return np.log(np.maximum(shares, SMALLEST))


def positions(output, kind, form, target, axis):
    """The loss at every position [N, …]; classes and features, in dimension `axis`, are one position."""
    wide, target = output.astype(np.float64), np.asarray(target, np.float64)
    if kind in ("mse", "self-mse"):
        return (wide - target) ** 2
    if kind in ("mae", "self-mae"):
        return np.abs(wide - target)
    if kind == "bce":
        share = sigmoids(output, form)
        return -(target * log(share) + (1 - target) * log(1 - share))
    if kind == "self-bce":
        p, q = sigmoids(target, form), sigmoids(output, form)
        return p * (log(p) - log(q)) + (1 - p) * (log(1 - p) - log(1 - q))
    if kind in ("cosine", "self-cosine"):
        lengths = np.sqrt((wide**2).sum(axis)) * np.sqrt((target**2).sum(axis))
        return 1 - (wide * target).sum(axis) / lengths
    log_p, log_q = log_probabilities(target, form, axis), log_probabilities(output, form, axis)
    # Where both sum to one this is Σ p (log p − log q); it stays exact where rounding leaves the sums a little off.
    return (np.exp(log_p) * (np.expm1(log_q - log_p) - (log_q - log_p))).sum(axis)


def binary_targets(labels, output, axis):
    """Labels as zeros and ones in the output's shape: one each, or the number of the class that is 1."""
    if labels.size == output.size:
        return labels.reshape(output.shape)
    return np.moveaxis(np.eye(output.shape[axis])[labels], -1, axis)


def per_sample(output, kind, data, base, form="logits", axis=None, counts=None):
    """Losses and weights [N] of an output.

    - cross-entropy: `labels` [N], or [N, T] where labels[:, t] is what output[:, t] predicts, or [N, H, W]
    - next-token: `labels` [N, T] are the tokens themselves, so output[:, t] predicts labels[:, t + 1]
    - mse, mae, cosine: from `targets`; bce: from `targets`, or `labels` that are 0 and 1 or class numbers
    - kl: sum over classes of p (log p - log q) from the unpruned probabilities p
    - self-bce: the same of independent sigmoids, element by element
    - self-mse, self-mae, self-cosine: from the unpruned output

    `form` says what the output's numbers are, `axis` where its classes lie: in the second dimension of images, else in
    the last. A sample's loss is the mean over its positions, weighted by `counts` [N, T] where they are given; with
    labels [N, T] over those that are counted, and the sample is weighted by their number.
    """
    count = len(output)
    axis = (1 if output.ndim >= 4 else output.ndim - 1) if axis is None else axis
    weights = np.ones(count)
    if kind in ("cross-entropy", "next-token"):
        labels = data["labels"]
        if kind == "next-token":
            labels = np.concatenate([labels[:, 1:], np.full((count, 1), IGNORED, labels.dtype)], 1)
        labels = labels.reshape(count, -1)
        last = np.moveaxis(output, axis, -1)
        logs = log_probabilities(last, form).reshape(count, labels.shape[1], -1)
        counted = labels != IGNORED
        chosen = -np.take_along_axis(logs, np.where(counted, labels, 0)[..., None], -1)[..., 0]
        losses = (chosen * counted).sum(1) / np.maximum(counted.sum(1), 1)
        weights = counted.sum(1) if labels.shape[1] > 1 else weights
    else:
        target = base
        if kind == "bce" and "targets" not in data:
            target = binary_targets(data["labels"], output, axis)
        elif kind in ("mse", "mae", "bce", "cosine"):
            target = data["targets"].reshape(output.shape)
        found = positions(output, kind, form, target, axis)
        if counts is None:
            losses = found.reshape(count, -1).mean(1)
        else:
            shares = np.broadcast_to(counts.reshape(counts.shape + (1,) * (found.ndim - 2)), found.shape)
            losses = (found * shares).reshape(count, -1).sum(1) / shares.reshape(count, -1).sum(1)
    return np.maximum(losses, 0).astype(np.float32), weights.astype(np.float64)


def weighted_mean(losses, weights):
    total = 0.0
    for loss, weight in zip(losses.astype(np.float64), weights):
        total += float(loss * weight)
    return total / float(weights.sum())


def mean_loss(output, kind, data, base, form="logits", axis=None, counts=None):
    """The weighted mean of the per-sample losses."""
    return weighted_mean(*per_sample(output, kind, data, base, form, axis, counts))


def constant_loss(kind, data, base, form="logits", axis=None):
    """The loss of a model that gives the same for every sample: labels' shares, mean targets, or the mean of `base`."""
    if kind == "cross-entropy":
        labels = data["labels"][data["labels"] != IGNORED]
        shares = np.unique(labels, return_counts=True)[1] / labels.size
        return float(-(shares * np.log(shares)).sum())
    axis = (1 if base.ndim >= 4 else base.ndim - 1) if axis is None else axis
    if kind in ("mse", "mae", "cosine", "bce"):
        known = data["targets"].astype(np.float64)
        form = "sigmoids"
    elif kind == "kl":
        known, form = np.exp(log_probabilities(base, form, axis)), "probabilities"
    elif kind == "self-bce":
        known, form = sigmoids(base, form), "sigmoids"
    else:
        known = base.astype(np.float64)
    mean = np.broadcast_to(known.mean(0, keepdims=True), known.shape)
    return float(positions(mean, kind, form, known, axis).reshape(len(known), -1).mean(1).mean())


KINDS = (
    "cross-entropy", "next-token", "mse", "mae", "bce", "cosine", "kl", "self-mse", "self-mae", "self-bce",
    "self-cosine")
