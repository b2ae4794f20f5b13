"""Exact losses of random masks, and the real models without those edges, against ONNX Runtime."""

import functools
import math
import random

import numpy as np
import onnx
from onnx import TensorProto, helper

from check_materialised import faults
from losses import mean_loss
from masked import load_data, masked_model, outputs
from program import ARCHITECTURES, close, edge_of, espalier_json, fixture, scratch, text_of, together
from wiring import Wiring, parse_edge

MASKS = 204  # 17 for each of the 12 architectures
SEED = 20240607
# The loss that the fixture's data is made for; `Tests/Fixtures/models/README.md` tells what the arrays hold.
LOSSES = {name: "mse" if name == "unet" else "cross-entropy" for name in ARCHITECTURES}


def random_mask(generator, wiring, candidates):
    """1 to 6 edges, one after the other, each into a live node and none that cuts an output off."""
    mask = []
    for _ in range(generator.randint(1, 6)):
        edge = generator.choice(candidates)
        if wiring.legal(frozenset(mask), edge):
            mask.append(edge)
    return mask or random_mask(generator, wiring, candidates)


@functools.cache
def evaluated(name):
    """The masks of one architecture, what `evaluate` says of each, and the models that it wrote: `None` for a mask under
    which ONNX Runtime's outputs are not finite, for no file is written then."""
    model, data = fixture(name)
    wiring = Wiring(onnx.load(model))
    listed = espalier_json("inspect", model, "--candidates", "all")["candidates"]
    candidates = sorted(
        [edge_of(item) for item in listed] + [parse_edge(edge) for item in listed for edge in item["equivalents"]])
    generator = random.Random(f"{SEED} {name}")
    masks = [random_mask(generator, wiring, candidates) for _ in range(MASKS // len(ARCHITECTURES))]
    arrays = load_data(data)
    finite = [
        all(np.isfinite(value).all() for value in outputs(masked_model(wiring.model, mask), arrays).values())
        for mask in masks]
    with scratch() as folder:
        def measured(chosen, *options):
            if not chosen:
                return []
            (folder / "masks.txt").write_text("".join(" ".join(map(text_of, mask)) + "\n" for mask in chosen))
            return espalier_json(
                "evaluate", model, "--data", data, "--loss", LOSSES[name], "--masks", folder / "masks.txt", *options)

        (folder / "pruned").mkdir()
        written = iter(measured(
            [mask for mask, is_finite in zip(masks, finite) if is_finite], "--output", folder / "pruned"))
        others = iter(measured([mask for mask, is_finite in zip(masks, finite) if not is_finite]))
        results = [next(written if is_finite else others) for is_finite in finite]
        numbers = iter(range(len(masks)))
        pruned = [
            onnx.load(folder / "pruned" / f"{next(numbers)}.onnx") if is_finite else None for is_finite in finite]
    return masks, results, pruned


def loss_faults(name, mask, result, expected_loss, wiring):
    what = f"{name} without {' '.join(map(text_of, mask))}"
    if not math.isfinite(expected_loss):
        if result["loss"] is not None or not result["nonFiniteLosses"]:
            yield f"{what}: the loss is {result['loss']}, but ONNX Runtime's is {expected_loss}"
    elif result["loss"] is None or not close(result["loss"], expected_loss):
        yield f"{what}: the loss is {result['loss']}, but ONNX Runtime's is {expected_loss}"
    if sorted(map(parse_edge, result["removed"])) != sorted(mask):
        yield f"{what}: removed {result['removed']}"
    if result["parameters"] > wiring.parameters(frozenset(mask)):
        yield (f"{what}: {result['parameters']} parameters, but live nodes read only "
               f"{wiring.parameters(frozenset(mask))}")


def test_losses_of_random_masks_are_onnx_runtimes():
    wrong = []
    for name in ARCHITECTURES:
        masks, results, _ = evaluated(name)
        path, archive = fixture(name)
        model, data = onnx.load(path), load_data(archive)
        wiring, output = Wiring(model), model.graph.output[0].name
        base = outputs(model, data)[output]
        for mask, result in zip(masks, results, strict=True):
            masked = outputs(masked_model(model, mask), data)[output]
            expected = mean_loss(masked, LOSSES[name], data, base)
            wrong += loss_faults(name, mask, result, expected, wiring)
            if not close(result["base"]["loss"], mean_loss(base, LOSSES[name], data, base)):
                wrong.append(f"{name}: the unpruned loss is {result['base']['loss']}")
    together(wrong)


def test_materialised_models_of_random_masks_are_valid_and_compute_the_masked_outputs():
    wrong = []
    for name in ARCHITECTURES:
        masks, _, pruned = evaluated(name)
        path, archive = fixture(name)
        model, data = onnx.load(path), load_data(archive)
        for mask, small in zip(masks, pruned, strict=True):
            if small is None:
                continue
            what = f"{name} without {' '.join(map(text_of, mask))}"
            wrong += [f"{what}: {fault}" for fault in faults(model, small, data, mask)]
    together(wrong)


def test_losses_without_labels_are_onnx_runtimes():
    wrong = []
    for name, loss in (("convnext-tiny", "kl"), ("lstm", "self-mse"), ("unet", "self-mse"), ("gpt2", "kl")):
        path, archive = fixture(name)
        model, data = onnx.load(path), load_data(archive)
        wiring, output = Wiring(model), model.graph.output[0].name
        base = outputs(model, data)[output]
        generator = random.Random(f"{SEED} {name} {loss}")
        masks = [random_mask(generator, wiring, wiring.candidates()) for _ in range(6)]
        with scratch() as folder:
            (folder / "masks.txt").write_text("".join(" ".join(map(text_of, mask)) + "\n" for mask in masks))
            results = espalier_json(
                "evaluate", path, "--data", archive, "--loss", loss, "--masks", folder / "masks.txt")
        for mask, result in zip(masks, results, strict=True):
            masked = outputs(masked_model(model, mask), data)[output]
            wrong += loss_faults(name, mask, result, mean_loss(masked, loss, data, base), wiring)
            if result["base"]["loss"] != 0:
                wrong.append(f"{name}: the unpruned model differs from itself by {result['base']['loss']}")
    together(wrong)


def quotient(folder):
    """y = x W + (x A) / relu(x B): without the divisor some samples are infinite, without both parts NaN."""
    weights = np.random.default_rng(1)
    arrays = {name: weights.normal(size=(4, 3)).astype(np.float32) for name in "WA"}
    arrays["B"] = np.abs(weights.normal(size=(4, 3))).astype(np.float32)
    nodes = [
        helper.make_node("MatMul", ["x", "W"], ["w"]), helper.make_node("MatMul", ["x", "A"], ["a"]),
        helper.make_node("MatMul", ["x", "B"], ["b"]), helper.make_node("Div", ["a", "b"], ["q"]),
        helper.make_node("Add", ["w", "q"], ["y"])]
    graph = helper.make_graph(
        nodes, "quotient", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 3])],
        [onnx.numpy_helper.from_array(array, name) for name, array in arrays.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, folder / "quotient.onnx")
    data = {"x": weights.uniform(1, 2, (6, 4)).astype(np.float32), "labels": np.arange(6) % 3}
    np.savez(folder / "data.npz", **data)
    return model, data


def test_losses_that_are_no_number_are_reported_and_never_chosen():
    with scratch() as folder:
        model, data = quotient(folder)
        path, archive = folder / "quotient.onnx", folder / "data.npz"
        wrong = []
        for mask in ([(3, 1)], [(3, 0), (3, 1)], [(3, 0)]):
            remove = [word for edge in mask for word in ("--remove", text_of(edge))]
            result = espalier_json("evaluate", path, "--data", archive, *remove)
            masked = outputs(masked_model(model, mask), data)["y"]
            infinite = int((~np.isfinite(masked).all(1)).sum())
            with np.errstate(invalid="ignore"):
                expected = mean_loss(masked, "cross-entropy", data, masked)
            wrong += loss_faults("quotient", mask, result, expected, Wiring(model))
            # A finite loss needs finite logits; infinite logits may cancel only in the label's own favour.
            if result["nonFiniteLosses"] != infinite:
                wrong.append(f"{mask}: {result['nonFiniteLosses']} samples are not finite, not {infinite}")
        found = espalier_json(
            "prune", path, "--data", archive, "--candidates", "all", "--steps", "3", "--workers", "0", "--run",
            folder / "run")
        for step in found["path"]:
            if step["loss"] is None:
                wrong.append(f"step {step['step']} removes {step['edge']} although the loss is no number")
        together(wrong)
