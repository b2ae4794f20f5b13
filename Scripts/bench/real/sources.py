"""Words, sentences and files: from Python's documentation, by rules and from this machine. Two parts, disjoint."""

import ast
import hashlib
import itertools
import os
import pathlib
import pydoc_data.topics
import re
import sysconfig

import numpy as np

PARTS = ("selection", "held-out")
CONTENT = {  # file name endings and the label that Magika's model has for them
    ".py": "python", ".pyc": "pythonbytecode", ".c": "c", ".h": "c", ".cpp": "cpp", ".hpp": "cpp", ".rs": "rust",
    ".go": "go", ".java": "java", ".js": "javascript", ".ts": "typescript", ".css": "css", ".scss": "scss",
    ".html": "html", ".xml": "xml", ".svg": "svg", ".json": "json", ".yaml": "yaml", ".yml": "yaml", ".toml": "toml",
    ".ini": "ini", ".md": "markdown", ".rst": "rst", ".tex": "latex", ".sh": "shell", ".pl": "perl", ".pm": "perl",
    ".rb": "ruby", ".php": "php", ".lua": "lua", ".r": "r", ".sql": "sql", ".swift": "swift", ".cmake": "cmake",
    ".m4": "m4", ".el": "lisp", ".tcl": "tcl", ".awk": "awk", ".vim": "vim", ".bat": "batch", ".asm": "asm",
    ".png": "png", ".jpg": "jpeg", ".gif": "gif", ".bmp": "bmp", ".ico": "ico", ".ttf": "ttf", ".otf": "otf",
    ".woff": "woff", ".woff2": "woff2", ".pdf": "pdf", ".ps": "postscript", ".gz": "gzip", ".bz2": "bzip",
    ".xz": "xz", ".zip": "zip", ".jar": "jar", ".whl": "zip", ".tar": "tar", ".deb": "deb", ".npy": "npy",
    ".npz": "npz", ".pkl": "pickle", ".onnx": "onnx", ".so": "elf", ".o": "elf", ".wasm": "wasm", ".csv": "csv",
    ".pem": "pem", ".crt": "pem", ".diff": "diff", ".patch": "diff", ".po": "po", ".proto": "proto", ".wav": "wav",
    ".tsv": "tsv", ".dtd": "dtd", ".sqlite": "sqlite", ".exe": "pebin", ".dll": "pebin", ".pyx": "python",
    ".cu": "cpp", ".cuh": "cpp", ".modulemap": "txt", ".f90": "fortran", ".hs": "haskell", ".jinja": "jinja",
    ".j2": "jinja", ".ipynb": "ipynb",
}
PLACES = ("/usr/share", "/usr/lib", "/usr/include", "/usr/bin", "/etc", sysconfig.get_paths()["purelib"])


def part_of(text):
    """The part that a text belongs to, by its hash: always the same one."""
    return PARTS[hashlib.sha256(text.encode(errors="replace")).digest()[0] % 2]


def words(part):
    """English words of 2 to 12 letters, in order; no word is in both parts."""
    found = set(re.findall(r"\b[A-Za-z][a-z]{1,11}\b", " ".join(pydoc_data.topics.topics.values())))
    return sorted(word for word in found if part_of(word.lower()) == part)


def phrase(vocabulary, random, longest):
    """A few words, numbers, prices and dates as they stand in documents, at most so many characters."""
    pieces = []
    for _ in range(int(random.integers(1, 5))):
        kind, number = random.random(), int(random.integers(1, 10_000))
        if kind < 0.12:
            pieces.append(str(number))
        elif kind < 0.18:
            pieces.append(f"${number / 100:.2f}")
        elif kind < 0.24:
            pieces.append(f"{number % 28 + 1:02d}/{number % 12 + 1:02d}/20{number % 30:02d}")
        else:
            word = vocabulary[random.integers(len(vocabulary))]
            style = random.random()
            pieces.append(word.upper() if style < 0.15 else word.capitalize() if style < 0.4 else word)
    text = " ".join(pieces)
    while len(text) > longest and " " in text:
        text = text.rsplit(" ", 1)[0]
    return text[:longest]


def documentation(count):
    """First sentences of docstrings in Python's standard library: technical English, in an order that hashes give."""
    found = set()
    for path in sorted(pathlib.Path(sysconfig.get_paths()["stdlib"]).glob("**/*.py")):
        if {"site-packages", "test", "tests", "idlelib"} & set(path.parts):
            continue
        try:
            tree = ast.parse(path.read_text(errors="replace"))
        except (SyntaxError, ValueError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                sentence = " ".join((ast.get_docstring(node) or "").split("\n\n")[0].split())
                if 20 <= len(sentence) <= 240 and " " in sentence:
                    found.add(sentence)
    return sorted(found, key=lambda text: hashlib.sha256(text.encode()).digest())[:count]


def everyday(count):
    """Pairs of sentences that say the same in other words, nothing technical; each pair differs from all others."""
    who = [
        ("my neighbour", "the man next door"), ("the teacher", "the woman who gives lessons"),
        ("a little girl", "a small child"), ("our grandmother", "mum's mother"), ("the doctor", "the physician"),
        ("a farmer", "a man who works in the fields"), ("the cook", "the chef"),
        ("a tourist", "a visitor from abroad")]
    what = [
        ("bought a bicycle", "got himself a new bike"), ("baked an apple pie", "made a cake with fruit"),
        ("lost the house keys", "could not find what opens the front door"),
        ("planted tomatoes", "put vegetables into the soil"), ("missed the last train", "was too late for the railway"),
        ("painted the fence", "gave the garden wall new colour"),
        ("fed the ducks", "threw bread to the birds on the water"), ("caught a bad cold", "fell ill and sneezed a lot"),
        ("played the violin", "made music on a string instrument"), ("cleaned the windows", "washed the glass")]
    when = [
        ("on a rainy morning", "before noon while it poured"), ("last summer", "during the warm months of last year"),
        ("after dinner", "late, when the meal was over"), ("on Christmas Eve", "on the twenty-fourth of December"),
        ("during the holidays", "in the vacation")]
    every = list(itertools.product(who, what, when))
    order = np.random.default_rng(7).permutation(len(every))[:count]
    return [
        (f"{a[0][0].capitalize()} {a[1][0]} {a[2][0]}.", f"{a[2][1].capitalize()}, {a[0][1]} {a[1][1]}.")
        for a in (every[index] for index in order)]


def files(part, labels, count, most_of_one=40):
    """(path, label) of files on this machine whose ending tells their type, evenly over types; folders are whole."""
    by_label, seen = {}, set()
    for place in PLACES:
        for folder, below, names in os.walk(place):
            below.sort()
            if part_of(folder) != part:
                continue
            for name in sorted(names):
                label = CONTENT.get(pathlib.Path(name).suffix.lower())
                path = pathlib.Path(folder, name)
                if label not in labels or path.is_symlink() or len(by_label.get(label, ())) >= 4 * most_of_one:
                    continue
                try:
                    if not 64 <= path.stat().st_size <= 20_000_000:
                        continue
                    with path.open("rb") as file:
                        start = file.read(4096)
                except OSError:
                    continue
                if (mark := hashlib.sha256(start).digest()) not in seen:
                    seen.add(mark)
                    by_label.setdefault(label, []).append((path, label))
    for label, found in by_label.items():
        found.sort(key=lambda pair: hashlib.sha256(str(pair[0]).encode()).digest())
        by_label[label] = found[:most_of_one]
    rounds = itertools.zip_longest(*(by_label[label] for label in sorted(by_label)))
    return [pair for one in rounds for pair in one if pair is not None][:count]
