"""Reads the results that a run's journal keeps: the payloads and results of the kind `losses`, taken apart by hand."""

import contextlib
import hashlib
import sqlite3
import struct

NUMBER = struct.Struct("<I")


def finished(run):
    """The stages that are over."""
    with contextlib.closing(sqlite3.connect(f"file:{run}/journal.sqlite?mode=ro", uri=True)) as database:
        return {number for number, in database.execute("SELECT number FROM stages")}


class Reader:
    def __init__(self, data):
        self.data, self.place = data, 0

    def take(self, count):
        self.place += count
        assert self.place <= len(self.data), "the bytes end too early"
        return self.data[self.place - count:self.place]

    def number(self):
        return NUMBER.unpack(self.take(4))[0]

    def text(self):
        return self.take(self.number()).decode()

    def numbers(self):
        count = self.number()
        return struct.unpack(f"<{count}I", self.take(4 * count))


def item(payload):
    """State, shard, block, samples and units of a payload."""
    reader = Reader(payload)
    assert reader.take(1) == b"\x01", "another version"
    state = reader.text()
    for _ in range(2 if " recover=" in state else 1):
        if reader.number():
            reader.take(32)  # the hash of the table of means, or of the data that layers are fitted on
    shard, block, samples = reader.number(), reader.number(), reader.numbers()
    units = [reader.text() for _ in range(reader.number())]
    assert reader.place == len(payload)
    return state, shard, block, samples, units


def scores(result, units, samples):
    """The bytes of losses and, where labels are counted, of correct predictions: one pair per unit."""
    size = 4 * len(samples)
    whole = size * len(units)
    assert len(result) == 1 + whole * (2 if result[0] else 1)
    return [
        (result[1 + place * size:1 + (place + 1) * size],
         result[1 + whole + place * size:1 + whole + (place + 1) * size] if result[0] else None)
        for place in range(len(units))]


def sum_of(*columns):
    """What a row has to carry: BLAKE2b of its columns, texts and blobs with their length before them."""
    parts = [
        struct.pack("<q", column) if isinstance(column, int) else struct.pack("<q", len(column)) + column
        for column in columns]
    return hashlib.blake2b(b"".join(parts), digest_size=16).digest()


def checksum(stage, kind, payload, result):
    """Of a row of results."""
    return sum_of(stage, kind.encode(), payload, result)


@contextlib.contextmanager
def journal(run, mode="ro"):
    with contextlib.closing(
            sqlite3.connect(f"file:{run}/journal.sqlite?mode={mode}", uri=True, timeout=5)) as database, database:
        yield database


def rows(run):
    """Every kept loss list, by level, state, unit, shard and block: the row's number, losses and correct predictions."""
    found = {}
    with journal(run) as database:
        kept = database.execute(
            "SELECT id, stage, payload, result FROM results WHERE kind = 'losses' ORDER BY id").fetchall()
    for identifier, stage, payload, result in kept:
        state, shard, block, samples, units = item(payload)
        for unit, (losses, correct) in zip(units, scores(result, units, samples)):
            found.setdefault((stage - 1, state, unit, shard, block), (identifier, losses, correct))
    return found


def counts(run):
    """The number of kept loss lists per level; empty before there is a journal."""
    try:
        with journal(run) as database:
            kept = database.execute("SELECT stage, payload FROM results WHERE kind = 'losses'").fetchall()
    except sqlite3.OperationalError:
        return {}
    numbers = {}
    for stage, payload in kept:
        numbers[stage - 1] = numbers.get(stage - 1, 0) + len(item(payload)[4])
    return numbers


def alter_losses(run, level, unit, value):
    """Sets all kept losses of an expansion, with a right checksum; returns how many blocks were kept."""
    altered = 0
    with journal(run, "rw") as database:
        kept = database.execute(
            "SELECT id, payload, result FROM results WHERE kind = 'losses' AND stage = ?", (level + 1,)).fetchall()
        for identifier, payload, result in kept:
            _, _, _, samples, units = item(payload)
            if unit not in units:
                continue
            size = 4 * len(samples)
            start = 1 + units.index(unit) * size
            changed = result[:start] + struct.pack("<f", value) * len(samples) + result[start + size:]
            database.execute(
                "UPDATE results SET result = ?, checksum = ? WHERE id = ?",
                (changed, checksum(level + 1, "losses", payload, changed), identifier))
            altered += 1
    return altered
