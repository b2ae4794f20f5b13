"""Changes models and data as someone would who knows their formats, and gives them to inspect, evaluate and prune."""

import io
import struct
import zipfile

import numpy as np
import onnx
from onnx import AttributeProto, TensorProto, helper

from program import EXAMPLES, fixture
from subjects import finished

# What one small file may take.
SECONDS = 20
KIBIBYTES = 2 << 20
NUMBERS = (0, 1, 2, 3, 5, 7, -1, -2, 64, 255, 65536, 2**31 - 1, 2**31, 2**32, 2**40, 2**62, 2**63 - 1, -2**31, -2**63)
FRACTIONS = (0.0, -0.0, 1.0, -1.0, float("inf"), -float("inf"), float("nan"), 1e38, 1e-45, 0.5)
WORDS = ("SAME_UPPER", "VALID", "reflect", "cubic", "bidirectional", "", "x" * 5000, "\x1b[2J\n", "i,i->", "ij,jk->ik")
OPERATORS = (
    "Add", "Mul", "Div", "Relu", "Softmax", "MatMul", "Gemm", "Conv", "Concat", "Transpose", "Reshape", "Flatten", "Slice",
    "Gather", "Split", "Shape", "Expand", "Tile", "Pad", "ReduceMean", "MaxPool", "GlobalAveragePool", "BatchNormalization",
    "LayerNormalization", "Where", "Range", "ConstantOfShape", "Unsqueeze", "Cast", "Einsum", "Resize", "TopK", "LSTM", "If",
    "Loop", "Einsum", "NonZero", "Frobnicate")


def pairs():
    """Models of a few hundred kilobytes at most, with their data."""
    for name in ("digits-resnet", "digits-vit"):
        yield EXAMPLES / name / "model.onnx", EXAMPLES / name / "calibration.npz"
    for name in ("lstm", "gpt2", "mobilenetv3-small", "squeezenet"):
        yield fixture(name)


# Models

def change_attribute(model, random):
    nodes = [node for node in model.graph.node if node.attribute]
    if not nodes:
        return "nothing"
    node = random.choice(nodes)
    attribute = random.choice(node.attribute)
    if random.random() < 0.1:
        node.attribute.remove(attribute)
        return f"{node.op_type} without {attribute.name}"
    if attribute.type == AttributeProto.INT:
        attribute.i = random.choice(NUMBERS)
    elif attribute.type == AttributeProto.FLOAT:
        attribute.f = random.choice(FRACTIONS)
    elif attribute.type == AttributeProto.INTS and attribute.ints and random.random() < 0.7:
        attribute.ints[random.randrange(len(attribute.ints))] = random.choice(NUMBERS)
    elif attribute.type == AttributeProto.INTS:
        attribute.ints.append(random.choice(NUMBERS))
    elif attribute.type == AttributeProto.STRING:
        attribute.s = random.choice(WORDS).encode()
    else:
        attribute.type = random.randrange(15)
    return f"{node.op_type}'s {attribute.name}"


def change_wire(model, random):
    graph = model.graph
    names = [name for node in graph.node for name in node.output] + [port.name for port in graph.input]
    names += [tensor.name for tensor in graph.initializer] + ["", "nowhere"]
    node = random.choice(graph.node)
    if random.random() < 0.15:
        node.output[random.randrange(len(node.output))] = random.choice(names)
        return f"{node.op_type} writes something else"
    if random.random() < 0.2 or not node.input:
        node.input.append(random.choice(names))
        return f"{node.op_type} reads one more"
    if random.random() < 0.1:
        del node.input[-1]
        return f"{node.op_type} reads one less"
    node.input[random.randrange(len(node.input))] = random.choice(names)
    return f"{node.op_type} reads something else"


def change_tensor(model, random):
    if not model.graph.initializer:
        return "nothing"
    tensor = random.choice(model.graph.initializer)
    kind = random.randrange(8)
    if kind == 0 and tensor.dims:
        tensor.dims[random.randrange(len(tensor.dims))] = random.choice(NUMBERS)
    elif kind == 1:
        tensor.dims.append(random.choice((0, 1, 1, 2)))
    elif kind == 2:
        tensor.data_type = random.randrange(26)
    elif kind == 3:
        tensor.raw_data = tensor.raw_data[: random.randrange(len(tensor.raw_data) + 1)]
    elif kind == 4:
        model.graph.initializer.append(tensor)
    elif kind == 5:
        tensor.data_location = TensorProto.EXTERNAL
        del tensor.external_data[:]
        location = random.choice(("gone.bin", "../model.onnx", "/etc/hostname", "model.onnx", ".", "", "a/../model.onnx"))
        for key, value in (("location", location), ("offset", str(random.choice(NUMBERS))), ("length", random.choice(WORDS))):
            tensor.external_data.add(key=key, value=value)
    elif kind == 6 and tensor.data_type == TensorProto.FLOAT and tensor.raw_data:
        place = random.randrange(len(tensor.raw_data) // 4) * 4
        tensor.raw_data = (
            tensor.raw_data[:place] + struct.pack("<f", random.choice(FRACTIONS)) + tensor.raw_data[place + 4:])
    elif tensor.data_type == TensorProto.INT64 and tensor.raw_data:
        place = random.randrange(len(tensor.raw_data) // 8) * 8
        tensor.raw_data = (
            tensor.raw_data[:place] + struct.pack("<q", random.choice(NUMBERS)) + tensor.raw_data[place + 8:])
    else:
        tensor.name = random.choice(model.graph.node).output[0]
    return f"the tensor {tensor.name[:40]}, {kind}"


def change_port(model, random):
    ports = random.choice((model.graph.input, model.graph.output))
    port = random.choice(ports)
    kind = random.randrange(7)
    tensor = port.type.tensor_type
    if kind == 0:
        tensor.elem_type = random.randrange(26)
    elif kind == 1:
        tensor.shape.dim.add().dim_value = random.choice(NUMBERS)
    elif kind == 2:
        tensor.ClearField("shape")
    elif kind == 3:
        port.name = random.choice(WORDS + (random.choice(model.graph.node).output[0],))
    elif kind == 4:
        ports.append(port)
    elif kind == 5:
        port.ClearField("type")
    elif tensor.shape.dim:
        random.choice(tensor.shape.dim).dim_value = random.choice(NUMBERS)
    return f"the port {port.name[:40]}, {kind}"


def change_nodes(model, random):
    nodes = model.graph.node
    place = random.randrange(len(nodes))
    kind = random.randrange(6)
    name = nodes[place].op_type
    if kind == 0:
        nodes[place].op_type = random.choice(OPERATORS)
    elif kind == 1:
        del nodes[place]
    elif kind == 2:
        nodes.append(nodes[place])
    elif kind == 3:
        nodes[place].domain = random.choice(("com.microsoft", "ai.onnx.ml", "x"))
    elif kind == 4:
        # A ring: it reads what the last node writes.
        nodes[place].input[:] = [nodes[-1].output[0], *list(nodes[place].input)[1:]]
    else:
        branch = helper.make_graph([nodes[place]], "branch", [], [])
        nodes[place].attribute.append(helper.make_attribute("then_branch", branch))
    return f"{name}, {kind}"


def change_versions(model, random):
    if random.random() < 0.5 and model.opset_import:
        model.opset_import[0].version = random.choice((1, 6, 7, 11, 13, 18, 28, 29, 1000) + NUMBERS)
    else:
        model.ir_version = random.choice(NUMBERS)
    return "a version"


CHANGES = (change_attribute, change_attribute, change_wire, change_wire, change_tensor, change_tensor, change_port, change_nodes,
           change_nodes, change_versions)


def mutated_model(whole, random):
    """Bytes of a changed model, and what was changed."""
    if random.random() < 0.2:
        changed = bytearray(whole)
        # Beyond the weights lies what says the most.
        for _ in range(random.choice((1, 1, 10, 100))):
            changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
        if random.random() < 0.3:
            del changed[random.randrange(len(changed)):]
        return bytes(changed), "bytes of the model"
    model = onnx.load_model_from_string(whole)
    said = [random.choice(CHANGES)(model, random) for _ in range(random.choice((1, 1, 1, 2, 4)))]
    return model.SerializeToString(), "; ".join(said)


# Data

def header(array, random):
    """An .npy file whose header says something else than its data are."""
    shape, order, kind = array.shape, False, array.dtype.str
    choice = random.randrange(7)
    if choice == 0 and shape:
        shape = (random.choice(NUMBERS), *shape[1:])
    elif choice == 1:
        shape = (*shape, random.choice((0, 1, 2, -1)))
    elif choice == 2:
        kind = random.choice(("<f2", ">f4", "<f8", "|O", "<c8", "|V3", "<U7", "<M8[s]", "|b1", "<i8", "", "<f99", "f4"))
    elif choice == 3:
        order = random.choice((True, 7, "no"))
    text = f"{{'descr': {kind!r}, 'fortran_order': {order}, 'shape': {shape}, }}"
    if choice == 4:
        text = random.choice((text[:-4], text * 3, "{" * 3000, "__import__('os')", "{'shape': (" + "1," * 5000 + ")}", ""))
    text = text.encode() + b" " * 7 + b"\n"
    length = random.choice(NUMBERS) & 0xFFFF if choice == 5 else len(text) & 0xFFFF
    version = random.choice((b"\x01\x00", b"\x02\x00", b"\x09\x09")) if choice == 6 else b"\x01\x00"
    return b"\x93NUMPY" + version + struct.pack("<H", length) + text + array.tobytes()


def array_changed(array, random):
    choice = random.randrange(8)
    if choice == 0:
        return array[:0]
    if choice == 1:
        return array.reshape(-1)
    if choice == 2:
        return array.astype(random.choice((np.float16, np.float64, np.int8, np.uint64, bool, np.complex64)))
    if choice == 3 and array.dtype.kind == "f":
        changed = array.copy()
        changed.reshape(-1)[random.randrange(changed.size)] = random.choice(FRACTIONS)
        return changed
    if choice == 3:
        changed = array.copy()
        changed.reshape(-1)[random.randrange(changed.size)] = random.choice((-1, 10, 10**6, -100, -2**63, 2**62))
        return changed
    if choice == 4:
        return array[..., None]
    if choice == 5:
        return array[: len(array) // 2 + 1]
    if choice == 6:
        return np.asfortranarray(array)
    return np.broadcast_to(array[:1], array.shape)


def mutated_data(path, random):
    arrays = {name: array[:24] for name, array in np.load(path).items()}
    name = random.choice(sorted(arrays))
    if random.random() < 0.4:
        kind = random.randrange(4)
        if kind == 0:
            del arrays[name]
        elif kind == 1:
            arrays[random.choice(("labels", "targets", "weights", "x" * 300, "../x"))] = np.ones(24, np.float32)
        elif kind == 2:
            arrays["labels"] = np.array(random.choice(NUMBERS), np.int64)
        else:
            arrays[name] = array_changed(arrays[name], random)
        archive = io.BytesIO()
        np.savez(archive, **{key: value for key, value in arrays.items() if "/" not in key})
        return archive.getvalue(), f"the array {name[:20]}, {kind}"
    if random.random() < 0.5:
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w", random.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2))) as file:
            for key, value in arrays.items():
                whole = io.BytesIO()
                np.save(whole, value)
                file.writestr(f"{key}.npy", header(value, random) if key == name else whole.getvalue())
        return archive.getvalue(), f"the header of {name}"
    archive = io.BytesIO()
    (np.savez if random.random() < 0.5 else np.savez_compressed)(archive, **arrays)
    changed = bytearray(archive.getvalue())
    # The directory is at the end, the headers at the beginnings.
    places = (lambda: random.randrange(len(changed)), lambda: len(changed) - 1 - random.randrange(min(400, len(changed))),
              lambda: random.randrange(min(200, len(changed))))
    place = random.choice(places)
    for _ in range(random.choice((1, 1, 4, 30))):
        changed[place()] ^= 1 << random.randrange(8)
    if random.random() < 0.2:
        del changed[random.randrange(len(changed)):]
    return bytes(changed), "bytes of the data"


# Calls

def drawn_call(random, reads_data):
    """What the pair of files is given to: one of the commands, in one process."""
    kind = random.choice(("evaluate", "evaluate", "prune") if reads_data else ("inspect", "evaluate", "evaluate", "prune"))
    if kind == "inspect":
        return ("inspect", "model.onnx", *random.choice(((), ("--units", "channels,heads,neurons"), ("--candidates", "all"))))
    common = ("--data", "data.npz", "--memory", "512M")
    if kind == "evaluate":
        return ("evaluate", "model.onnx", *common)
    more = random.choice(((), ("--units", "channels:4,layers"), ("--candidates", "all"), ("--replace", "mean")))
    return ("prune", "model.onnx", *common, "--workers", 0, "--steps", 1, "--run", "run", *more)


def problems_of(ended):
    if ended.code not in (0, 65):
        yield f"exit {ended.code}: {ended.said[-800:]}"
    if ended.processor > SECONDS:
        yield f"{ended.processor:.1f} seconds of the processor"
    if ended.memory > KIBIBYTES:
        yield f"{ended.memory >> 10} MiB"
    if ended.code == 65 and not ended.last.startswith("espalier: "):
        yield f"no sentence: {ended.said[-800:]}"
    if any(word in ended.said for word in ("Fatal error", "Backtrace", "terminate called", "\x1b", "libtorch", "c10::")):
        yield f"no words for a user: {ended.said[-800:]}"


def round_of(number, random, folder, references, subjects=None):
    """A model or its data changed, given to one command."""
    sources = list(pairs())
    model, data = sources[number % len(sources)]
    with open(model, "rb") as file:
        whole = file.read()
    arrays = {name: array[:24] for name, array in np.load(data).items()}
    np.savez(folder / "data.npz", **arrays)
    changes_data = random.random() < 0.35
    if not changes_data:
        whole, said = mutated_model(whole, random)
    else:
        changed, said = mutated_data(data, random)
        (folder / "data.npz").write_bytes(changed)
    (folder / "model.onnx").write_bytes(whole)
    call = drawn_call(random, changes_data)
    ended = finished(call, folder, seconds=3 * SECONDS)
    told = said.encode("unicode_escape").decode()[:200]
    return f"{call[0]}: {told}; exit {ended.code} {ended.last[:160] if ended.code else ''}", list(problems_of(ended))
