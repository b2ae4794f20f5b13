"""Channels, heads and neurons go with all that is coupled to them, and the file computes what is left."""

import json
import pathlib
import re

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, numpy_helper

import sliced_models
from program import espalier, example, scratch, together

UNIT = re.compile(r"(channels|heads|neurons)@(\d+):(\d+)\[(\d+):(.*)\]")


def positions_of(unit):
    """The positions that a unit names."""
    ranges = UNIT.fullmatch(unit).group(5).split("+")
    ends = [tuple(int(end) for end in text.split("..<")) for text in ranges]
    return [position for first, end in ends for position in range(first, end)]


def inspected(model, units, *more):
    """What inspect tells of a model's groups."""
    return json.loads(espalier("inspect", model, "--units", units, *more, "--json", "-").succeeded().output)


def run(model, inputs):
    """What ONNX Runtime gives for a file or a model."""
    given = model if isinstance(model, str) else model.SerializeToString()
    return onnxruntime.InferenceSession(given, providers=["CPUExecutionProvider"]).run(None, inputs)


def zeroed(path, readers, positions):
    """The model with weights zeroed where they read positions."""
    model = onnx.load(path)
    for name, axis, place in readers:
        tensor = next(tensor for tensor in model.graph.initializer if tensor.name == name)
        array = numpy_helper.to_array(tensor).copy()
        np.moveaxis(array, axis, 0)[place(positions)] = 0
        tensor.CopyFrom(numpy_helper.from_array(array, name))
    return model


def faults(subject, folder):
    """What is wrong with the smallest unit of a subject's layer, and with half of its units."""
    name = subject.model.split("/")[-1]
    shapes = [f"--shape=x={'x'.join(str(size) for size in (1, *np.load(subject.data)['x'].shape[1:]))}"]
    group = next(
        (group for group in inspected(subject.model, "channels:100,heads,neurons:100", *shapes)["groups"]
         if group["layers"][0] == subject.layer), None)
    if group is None:
        return [f"{name}: '{subject.layer}' has no group"]
    if group["kind"] != subject.kind:
        return [f"{name}: {group['kind']}, not {subject.kind}"]
    found = []
    units = [unit["unit"] for unit in group["units"]]
    sizes = {len(positions_of(unit)) for unit in units}
    if sizes != {subject.together}:
        found.append(f"{name}: {sizes} positions go together, not {subject.together}")
    subsets = (units[:1], units[: (len(units) + 1) // 2])
    masks, written = pathlib.Path(folder, "masks.txt"), pathlib.Path(folder, f"{name}.written")
    masks.write_text("".join(" ".join(chosen) + "\n" for chosen in subsets))
    # One start for both: starting takes longer than any of these models.
    answer = espalier(
        "evaluate", subject.model, "--data", subject.data, "--masks", masks, "--output", written, "--json", "-")
    if answer.code:
        return [*found, f"{name}: {answer.errors[-500:]}"]
    for number, (chosen, told) in enumerate(zip(subsets, json.loads(answer.output), strict=True)):
        positions = sorted(position for unit in chosen for position in positions_of(unit))
        file = str(written / f"{number}.onnx")
        onnx.checker.check_model(onnx.load(file), full_check=True)
        nodes = onnx.load(file).graph.node
        read = {name for node in nodes for name in node.input} | {port.name for port in onnx.load(file).graph.output}
        assert all(read.intersection(node.output) for node in nodes), "a node is left that nothing reads"
        whole = sum(np.prod(tensor.dims) for tensor in onnx.load(subject.model).graph.initializer)
        left = sum(np.prod(tensor.dims) for tensor in onnx.load(file).graph.initializer)
        if not left < whole:
            found.append(f"{name}: the file is not smaller")
        again = json.loads(espalier("inspect", file, *shapes, "--json", "-").succeeded().output)
        if again["parameters"] != told["parameters"] or again["flops"] != told["flops"]:
            found.append(f"{name}: {told['parameters']}, {told['flops']} are not the file's {again['parameters']}, {again['flops']}")
        reference = zeroed(subject.model, subject.readers, positions)
        random = np.random.default_rng(1)
        for shape in [np.load(subject.data)["x"].shape, *subject.sizes]:
            inputs = {"x": random.normal(size=shape).astype(np.float32)}
            for wanted, given in zip(run(reference, inputs), run(file, inputs)):
                difference = np.abs(wanted - given).max() / np.abs(wanted).max()
                if not difference < 1e-5:
                    found.append(f"{name}: without {len(positions)} positions differs by {difference} at {shape}")
    return found


def test_what_is_coupled_goes_together_and_the_file_computes_the_rest():
    with scratch() as folder:
        together([fault for make in sliced_models.ALL for fault in faults(make(folder), folder)])


def test_an_exhaustive_search_over_channels_is_brute_force():
    """Every pair of chunks that may go, its loss worked out from the whole model with weights zeroed."""
    with scratch() as folder:
        subject = sliced_models.plain(folder)
        readers = {"a": [("b.w", 1)], "b": [("fc", 1)]}
        images = np.load(subject.data)["x"]
        labels = np.random.default_rng(4).integers(0, 5, len(images))
        data = f"{folder}/labelled.npz"
        np.savez(data, x=images, labels=labels)
        chunks = {
            group["layers"][0]: [unit["unit"] for unit in group["units"]]
            for group in inspected(subject.model, "channels:4", "--shape=x=1x3x8x8")["groups"]}
        assert set(chunks) == set(readers), chunks

        def loss(counts):
            model = onnx.load(subject.model)
            for layer, count in counts.items():
                gone = [position for unit in chunks[layer][:count] for position in positions_of(unit)]
                for name, axis in readers[layer]:
                    tensor = next(tensor for tensor in model.graph.initializer if tensor.name == name)
                    array = numpy_helper.to_array(tensor).copy()
                    np.moveaxis(array, axis, 0)[gone] = 0
                    tensor.CopyFrom(numpy_helper.from_array(array, name))
            logits = run(model, {"x": images})[0].astype(np.float64)
            logits -= logits.max(1, keepdims=True)
            return float((np.log(np.exp(logits).sum(1)) - logits[np.arange(len(labels)), labels]).mean())

        whole = loss({})
        pairs = [{"a": 2 - count, "b": count} for count in range(3)]
        best = min(pairs, key=lambda counts: abs(loss(counts) - whole))
        found = json.loads(espalier(
            "prune", subject.model, "--data", data, "--units", "channels:4", "--strategy", "exhaustive", "--steps", 2,
            "--workers", 0, "--run", f"{folder}/run", "--json", "-").succeeded().output)
        wanted = sorted(unit for layer, count in best.items() for unit in chunks[layer][:count])
        assert sorted(step["edge"]["unit"] for step in found["path"]) == wanted, (found["path"], wanted)
        assert abs(found["path"][-1]["loss"] - loss(best)) < 1e-5, (found["path"][-1]["loss"], loss(best))


def criteria(hidden, weights, bias, labels):
    """By name, what the criteria say of the neurons that a linear layer reads, worked out by hand in float64."""
    logits = hidden @ weights + bias
    shares = np.exp(logits - logits.max(1, keepdims=True))
    shares /= shares.sum(1, keepdims=True)
    shares[np.arange(len(labels)), labels] -= 1
    terms = hidden * (shares @ weights.T)
    return {
        "taylor1": np.abs(terms).sum(0), "fisher": (terms**2).sum(0) / 2,
        "wanda": (weights**2).sum(1) * (hidden**2).sum(0)}


def perceptron(folder):
    """Two layers with twelve neurons between: the model, its data, what the neurons give, and what reads them."""
    random = np.random.default_rng(19)
    first, second = random.normal(size=(6, 12)), random.normal(size=(12, 5))
    bias = random.normal(size=5)
    x = random.normal(size=(40, 6))
    labels = random.integers(0, 5, len(x))
    build = sliced_models.Builder()
    for name, numbers in (("first", first), ("second", second), ("bias", bias)):
        build.constant(name, numbers.astype(np.float32))
    build.add("MatMul", ["x", "first"], "wide")
    build.add("Relu", ["wide"], "hidden")
    build.add("Gemm", ["hidden", "second", "bias"], "y")
    paths = build.save(
        folder, "mlp", [("x", TensorProto.FLOAT, ["n", 6])], [("y", TensorProto.FLOAT, ["n", 5])],
        {"x": x.astype(np.float32), "labels": labels})
    return *paths, np.maximum(x @ first, 0), second, bias, labels


def test_the_layer_that_reads_what_goes_is_refitted_as_numpy_does():
    """Channel reconstruction: what is left of its input gives what all of it gave."""
    with scratch() as folder:
        model, data, hidden, second, bias, _ = perceptron(folder)
        unit = inspected(model, "neurons:3", "--shape=x=1x6")["groups"][0]["units"][0]["unit"]
        espalier(
            "evaluate", model, "--data", data, "--fit-data", data, "--recover", "least-squares", "--ridge", 0, "--fit-rows",
            1000000, "--remove", unit, "--output", f"{folder}/file.onnx").succeeded()
        kept = sorted(set(range(12)) - set(positions_of(unit)))
        features = np.hstack([hidden[:, kept], np.ones((len(hidden), 1))])
        wanted = np.linalg.lstsq(features, hidden @ second + bias, rcond=None)[0]
        written = {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(f"{folder}/file.onnx").graph.initializer}
        assert np.abs(wanted[:-1] - second[kept]).max() > 0.1
        for name, expected in (("second", wanted[:-1]), ("bias", wanted[-1])):
            assert np.abs(written[name] - expected).max() < 1e-4, (name, written[name], expected)


def test_criteria_order_neurons_as_they_do_by_hand():
    """A third of the neurons at a time, in the order of the whole model and of every state; workers change no bit."""
    changed = 0
    with scratch() as folder:
        model, data, hidden, second, bias, labels = perceptron(folder)
        for criterion, scores in criteria(hidden, second, bias, labels).items():
            order = np.argsort(scores)
            left = hidden.copy()
            left[:, order[:4]] = 0
            again = criteria(left, second, bias, labels)[criterion]
            again[order[:4]] = np.inf
            wanted = {(): sorted(order[4:8]), ("--renew-order",): sorted(np.argsort(again)[:4])}
            changed += wanted[()] != wanted["--renew-order",]
            for more, next_ones in wanted.items():
                paths = set()
                for workers in (0, 2):
                    target = f"{folder}/{criterion}-{len(more)}-{workers}"
                    found = json.loads(espalier(
                        "prune", model, "--data", data, "--units", "neurons:3", "--within", criterion, *more, "--steps", 2,
                        "--workers", workers, "--block-size", 16, "--run", target, "--json", "-").succeeded().output)
                    paths.add(open(f"{target}/path.csv").read())
                    removed = [positions_of(step["edge"]["unit"]) for step in found["path"]]
                    assert removed == [sorted(order[:4]), next_ones], (criterion, more, removed, order, next_ones)
                assert len(paths) == 1, f"the number of workers changed the path of {criterion}"
    assert changed, "renewing makes no difference here: the test shows nothing"


def test_wanda_of_channels_that_a_grouped_convolution_reads():
    random = np.random.default_rng(8)
    build = sliced_models.Images()
    build.conv("x", "a", 8, 3)
    build.add("Relu", ["a"], "ar")
    build.conv("ar", "b", 6, 4, group=2)
    build.head("b", 6)
    with scratch() as folder:
        subject = build.finish(folder, "grouped", "a", [])
        images = np.load(subject.data)["x"]
        looked = onnx.load(subject.model)
        looked.graph.output.append(onnx.helper.make_tensor_value_info("ar", TensorProto.FLOAT, None))
        weight = next(numpy_helper.to_array(w) for w in looked.graph.initializer if w.name == "b.w").astype(np.float64)
        activation = run(looked, {"x": images})[1].astype(np.float64)
        energy = (activation**2).sum((0, 2, 3)) * (weight**2).reshape(2, 3, 4, -1).sum((1, 3)).reshape(-1)
        # A channel of one group goes with one of the other, by their places.
        groups = [group for group in inspected(subject.model, "channels:100", "--shape=x=1x3x8x8")["groups"]
                  if group["layers"][0] == "a"]
        assert len(groups) == 1, groups
        atoms = [positions_of(unit["unit"]) for unit in groups[0]["units"]]
        atoms.append(sorted(set(range(8)) - {position for atom in atoms for position in atom}))
        least = min(atoms, key=lambda atom: energy[atom].sum())
        data = f"{folder}/labelled.npz"
        np.savez(data, x=images, labels=random.integers(0, 5, len(images)))
        found = json.loads(espalier(
            "prune", subject.model, "--data", data, "--units", "channels:100", "--within", "wanda", "--candidates", "^a$",
            "--steps", 1, "--workers", 0, "--run", f"{folder}/run", "--json", "-").succeeded().output)
        assert positions_of(found["path"][0]["edge"]["unit"]) == least, (found["path"], least, energy)


def test_biases_take_up_what_channels_gave_on_average():
    """Layer by layer, each from what the layers before it give now; the weights that are left are the very ones."""
    with scratch() as folder:
        subject = sliced_models.plain(folder)
        images = np.load(subject.data)["x"]
        group = inspected(subject.model, "channels:4", "--shape=x=1x3x8x8")["groups"][0]
        unit = group["units"][0]["unit"]
        espalier(
            "evaluate", subject.model, "--data", subject.data, "--fit-data", subject.data, "--recover", "bias", "--ridge", 0,
            "--fit-rows", 1000000, "--remove", unit, "--output", f"{folder}/file.onnx").succeeded()

        def values(model):
            model = onnx.load(model) if isinstance(model, str) else model
            looked = onnx.ModelProto()
            looked.CopyFrom(model)
            looked.graph.output.append(onnx.helper.make_tensor_value_info("b", TensorProto.FLOAT, None))
            return [array.astype(np.float64) for array in run(looked, {"x": images})]

        def shifted(model, name, change):
            tensor = next(tensor for tensor in model.graph.initializer if tensor.name == name)
            bias = numpy_helper.to_array(tensor) + change
            tensor.CopyFrom(numpy_helper.from_array(bias.astype(np.float32), name))

        wanted = values(subject.model)
        model = zeroed(subject.model, subject.readers, positions_of(unit))
        shifted(model, "b.b", (wanted[1] - values(model)[1]).mean((0, 2, 3)))
        shifted(model, "fc.b", (wanted[0] - values(model)[0]).mean(0))
        written = onnx.load(f"{folder}/file.onnx")
        for name in ("b.b", "fc.b", "fc"):
            found, expected = (
                next(numpy_helper.to_array(tensor) for tensor in graph.graph.initializer if tensor.name == name)
                for graph in (written, model))
            assert np.abs(found - expected).max() <= (0 if name == "fc" else 1e-5), (name, found, expected)


def test_workers_change_no_bit_of_a_search_over_channels():
    model, data = example("digits-resnet")
    with scratch() as folder:
        results = set()
        for workers in (0, 1, 3):
            target = f"{folder}/{workers}"
            espalier(
                "prune", model, "--data", data, "--samples", 96, "--units", "channels:4,edges", "--steps", 2,
                "--step-removals", 2, "--recover", "least-squares", "--workers", workers, "--run", target).succeeded()
            results.add(tuple(open(f"{target}/{name}", "rb").read() for name in ("path.csv", "pruned.onnx")))
        assert len(results) == 1, "the number of workers changed path.csv or pruned.onnx"
        assert b"channels@" in results.pop()[0]
