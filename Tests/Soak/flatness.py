"""Whether a series of samples grows."""

import statistics

# A line through the second half may rise by so much of the median, or by so many MiB where that is more.
SHARE, LEAST_MIB = 0.03, 2.0
# Descriptors and threads: one that is there at times and at times not is no growth.
LEAST_COUNT = 1.5
# Descriptors come and go with connections. What is never given back raises the lowest count of every window of time.
WINDOWS = 20
# More samples are thinned: the number of slopes is the square.
MOST_SAMPLES = 1200


def slope(times, values):
    """The median of the slopes between all pairs of samples (Theil 1950, Sen 1968): few outliers do not move it."""
    pairs = list(zip(times, values))[::len(times) // MOST_SAMPLES + 1]
    slopes = [
        (later - earlier) / (until - since)
        for index, (since, earlier) in enumerate(pairs) for until, later in pairs[index + 1:] if until > since]
    return statistics.median(slopes) if slopes else 0.0


def lowest(times, values):
    """The lowest sample of each window, at the window's middle."""
    width = max(1, len(times) // WINDOWS)
    starts = range(0, len(times) - width + 1, width)
    return [statistics.mean(times[start:start + width]) for start in starts], [
        min(values[start:start + width]) for start in starts]


def growth(times, values, is_memory):
    """By how much the fitted line rises over the second half, and whether that is flat."""
    half = len(times) // 2
    times, values = times[half:], values[half:]
    rise = slope(*((times, values) if is_memory else lowest(times, values))) * (times[-1] - times[0])
    median = statistics.median(values)
    limit = max(SHARE * median, LEAST_MIB) if is_memory else LEAST_COUNT
    return {
        "median": median, "highest": max(values), "growth": rise, "limit": limit, "isFlat": rise < limit}
