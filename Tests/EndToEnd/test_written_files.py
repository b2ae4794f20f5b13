"""Files of masks load in ONNX Runtime and work at every size that the model's symbolic dimensions allow."""

import os

import numpy as np
import onnx

import written_models
from check_sizes import random_masks, runnable, size_faults, write_files
from masked import load_data, masked_model, outputs, session
from numbers_agree import array_faults
from program import ROOT, espalier, fixture, scratch, text_of, together
from wiring import Wiring


def file_faults(model, data, masks, tolerance=1e-4):
    """What is wrong with the files of `masks`, in ONNX Runtime at the data's and other sizes."""
    faults, files, compared, refused = size_faults(os.environ["ESPALIER"], model, data, masks, tolerance)
    assert files + refused == len(masks) and (compared or not files), (files, compared, refused)
    return [f"{os.path.basename(model)}: {fault}" for fault in faults]


def every_edge(model):
    return [[edge] for edge in Wiring(onnx.load(model)).candidates()]


def consumer(model, tensor, slot):
    """The edge into input `slot` of the node that computes `tensor`."""
    return next(index for index, node in enumerate(onnx.load(model).graph.node) if tensor in node.output), slot


def written(model, data, folder, *edges):
    """The file without `edges`."""
    removed = [word for edge in edges for word in ("--remove", text_of(edge))]
    espalier("evaluate", model, "--data", data, *removed, "--output", f"{folder}/written.onnx").succeeded()
    return onnx.load(f"{folder}/written.onnx")


def test_a_length_under_two_names_changes_in_every_file():
    with scratch() as folder:
        model, data = written_models.two_lengths(folder)
        lengths = {sizes["t"] for sizes, _ in runnable(onnx.load(model), load_data(data))}
        assert min(lengths) < 7 < max(lengths), lengths
        together(file_faults(model, data, every_edge(model) + random_masks(onnx.load(model), 8, 3, 1)))


def test_a_length_without_a_name_changes_in_every_file():
    with scratch() as folder:
        model, data = written_models.two_lengths(folder, mask_axis=-1)
        together(file_faults(model, data, every_edge(model)))


def test_a_length_that_a_table_bounds_is_shorter_in_every_file():
    with scratch() as folder:
        model, data = written_models.position_table(folder)
        together(file_faults(model, data, every_edge(model) + random_masks(onnx.load(model), 8, 3, 1)))


def cache_faults(folder, past):
    """Faults of files at other lengths of past and present, which only change with the mask's."""
    model, data = written_models.cached(folder, past)
    proto, random, faults = onnx.load(model), np.random.default_rng(5), []
    masks = every_edge(model)
    with scratch() as place:
        files, said = write_files(os.environ["ESPALIER"], model, data, masks, place)
        assert not said, said
        for number, path in files.items():
            ready, reference = session(onnx.load(path)), session(masked_model(proto, masks[number]))
            for old, new in [(0, 3), (2, 1), (6, 3), (9, 5), (1, 1)]:
                feeds = {
                    "ids": random.integers(0, 11, (2, new)), "mask": np.ones((2, old + new), np.int64),
                    "past.key": random.normal(size=(2, 2, old, 4)).astype(np.float32),
                    "past.value": random.normal(size=(2, 2, old, 4)).astype(np.float32)}
                for wanted, given in zip(reference.run(None, feeds), ready.run(None, feeds)):
                    if wanted.shape != given.shape or not np.allclose(wanted, given, rtol=1e-4, atol=1e-5):
                        faults.append(f"past {past}: {masks[number]} at {old} + {new} differs")
    return faults


def test_files_with_a_key_value_cache_run_at_other_past_lengths():
    with scratch() as folder:
        together(cache_faults(folder, 4) + cache_faults(folder, 0))


def test_files_of_exported_decoders_run_at_other_past_lengths():
    faults = []
    for name in ("gpt2-cache", "llama-cache"):
        proto = onnx.load(ROOT / f"Tests/Fixtures/caches/{name}.onnx")
        masks = random_masks(proto, 3, 3, 4)
        for past, other in [(0, 5), (5, 0)]:
            data = [f"{ROOT}/Tests/Fixtures/caches/{name}-past{length}.npz" for length in (past, other)]
            with scratch() as folder:
                files, said = write_files(
                    os.environ["ESPALIER"], f"{ROOT}/Tests/Fixtures/caches/{name}.onnx", data[0], masks, folder)
                assert all(code == 65 for code, _ in said.values()) and len(files) > 1, said
                for number, path in files.items():
                    for inputs in map(load_data, data):
                        wanted = outputs(masked_model(proto, masks[number]), inputs)
                        given = outputs(onnx.load(path), inputs)
                        faults += array_faults(f"{name}, {masks[number]} from past {past}", given, wanted, 1e-4)
    together(faults)


def test_a_half_removed_concat_before_a_reshape_leaves_no_dead_layer():
    with scratch() as folder:
        model, data = written_models.detector(folder)
        together(file_faults(model, data, every_edge(model) + random_masks(onnx.load(model), 6, 4, 2)))
        for part, gone in [(0, "box"), (1, "cls")]:
            file = written(model, data, folder, consumer(model, "p1.cat", part))
            assert not any(gone in tensor.name for tensor in file.graph.initializer if "p1." in tensor.name)
        file = written(model, data, folder, consumer(model, "p2.cat", 0), consumer(model, "p2.cat", 1))
        assert not any(tensor.name.startswith(("p2.", "down")) for tensor in file.graph.initializer)


def test_nothing_over_nothing_is_no_number_and_is_not_written():
    with scratch() as folder:
        model, data = written_models.normalised_attention(folder)
        sides = [[consumer(model, f"{name}.unit", 0), consumer(model, f"{name}.size", 0)] for name in "qk"]
        divided = [[consumer(model, f"{name}.unit", 0), consumer(model, f"{name}.unit", 1)] for name in "qk"]
        product = consumer(model, "scores", 0)
        for mask in [*divided, divided[1] + [product], divided[0] + divided[1], [consumer(model, "k.unit", 1), product]]:
            reference = outputs(masked_model(onnx.load(model), mask), load_data(data))["y"]
            assert np.isnan(reference).all(), mask
            removed = [word for edge in mask for word in ("--remove", text_of(edge))]
            answer = espalier("evaluate", model, "--data", data, *removed, "--output", folder / "nan.onnx")
            assert answer.code == 65 and "not finite" in answer.errors, (mask, answer)
            assert not (folder / "nan.onnx").exists()
        # 0 / max(0, ε) is 0.
        together(file_faults(model, data, sides))


def test_float16_models_are_written_within_float16s_rounding():
    with scratch() as folder:
        model, data = written_models.half_precision(folder)
        together(file_faults(model, data, every_edge(model), tolerance=1e-2))
        espalier(
            "prune", model, "--data", data, "--candidates", "all", "--steps", 2, "--workers", 0, "--run",
            folder / "run").succeeded()
        assert (folder / "run" / "pruned.onnx").exists()


def test_a_tied_weight_is_not_written_twice():
    with scratch() as folder:
        model, data = written_models.tied(folder)
        mask = [consumer(model, "c", 0)]
        together(file_faults(model, data, [mask]))
        file = written(model, data, folder, *mask)
        elements = sum(int(np.prod(tensor.dims)) for tensor in file.graph.initializer)
        assert elements < 40 * 64 + 64 * 32 + 64, elements


def test_files_of_random_masks_work_at_other_sizes():
    # CI's part of Scripts/reference/check_sizes.py, which is run on all architectures with 20 masks each.
    faults = []
    for name in ("bert", "densenet", "gpt2", "mobilenetv3-small"):
        model, data = fixture(name)
        faults += file_faults(model, data, random_masks(onnx.load(model), 3, 4, 3))
    together(faults)
