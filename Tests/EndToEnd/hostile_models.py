"""Model files that are damaged, hostile or beyond what is known, each with a word that the error has to name."""

import random

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from program import example

FLOAT = TensorProto.FLOAT


def varint(value):
    """A protobuf base-128 number."""
    parts = []
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])


def small(nodes, initialisers=(), output="y", opset=17):
    """A model of `nodes` from x [N, 4] to an output [N, 4]."""
    graph = helper.make_graph(
        nodes, "small", [helper.make_tensor_value_info("x", FLOAT, ["N", 4])],
        [helper.make_tensor_value_info(output, FLOAT, ["N", 4])], list(initialisers))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def weight(name, *shape):
    return numpy_helper.from_array(np.ones(shape, np.float32), name)


def shaped(name, dims, data=b""):
    """A tensor that claims a shape, whatever data it has."""
    return TensorProto(name=name, dims=dims, data_type=FLOAT, raw_data=data)


def external(name, location, **entries):
    tensor = TensorProto(name=name, dims=[4, 4], data_type=FLOAT, data_location=TensorProto.EXTERNAL)
    for key, value in {"location": location, **entries}.items():
        tensor.external_data.add(key=key, value=str(value))
    return tensor


PRODUCT = helper.make_node("MatMul", ["x", "w"], ["y"], name="product")


def cases():
    """(name, bytes, words of which the error must name one) of every case."""
    with open(example("digits-vit")[0], "rb") as file:
        whole = file.read()
    generator = random.Random(11)
    yield "empty", b"", ["empty.onnx"]
    yield "one-byte", whole[:1], ["one-byte.onnx"]
    for share in (3, 50, 97):
        yield f"truncated-{share}", whole[: len(whole) * share // 100], [f"truncated-{share}.onnx"]
    for seed in (1, 2):
        yield f"random-{seed}", generator.randbytes(5000), [f"random-{seed}.onnx"]
    damaged = bytearray(whole)
    for place in generator.sample(range(len(whole) // 20), 40):
        damaged[place] ^= 0xFF
    yield "damaged", bytes(damaged), ["damaged.onnx"]
    yield "text", b"this is no model at all\n" * 10, ["text.onnx"]
    # Field 7 (the graph), which claims 2 GiB in a file of a hundred bytes.
    yield "claims-2GiB", b"\x3a" + varint(2**31 - 8) + bytes(90), ["claims-2GiB.onnx"]
    yield "claims-2^63", b"\x3a" + varint(2**63 - 1) + bytes(90), ["claims-2^63.onnx"]
    yield "nested", b"\x3b" * 20000, ["nested.onnx"]

    def model(name, made, *words):
        return name, made.SerializeToString(), list(words)

    yield model("absurd-dimensions", small([PRODUCT], [shaped("w", [2**40, 2**40])]), "w")
    yield model("dimension-product", small([PRODUCT], [shaped("w", [2**31, 2**31, 4])]), "w")
    yield model("negative-dimension", small([PRODUCT], [shaped("w", [-4, -4], bytes(64))]), "w")
    yield model("2GiB-tensor", small([PRODUCT], [shaped("w", [512 << 20], bytes(8))]), "w")
    yield model("few-bytes", small([PRODUCT], [shaped("w", [4, 4], bytes(60))]), "w")
    yield model("unknown-type", small([PRODUCT], [TensorProto(name="w", dims=[1], data_type=77)]), "w")
    cycle = [
        helper.make_node("Add", ["x", "b"], ["a"], name="first"),
        helper.make_node("Relu", ["a"], ["b"], name="second"), helper.make_node("Relu", ["b"], ["y"], name="third")]
    yield model("cycle", small(cycle), "first", "second", "node 0", "node 1")
    yield model("own-output", small([helper.make_node("Add", ["x", "y"], ["y"], name="own")]), "own")
    yield model("missing-initialiser", small([PRODUCT]), "product")
    yield model("twice-defined", small([
        helper.make_node("Relu", ["x"], ["y"], name="one"), helper.make_node("Relu", ["x"], ["y"], name="two")]), "two")
    yield model("no-such-output", small([PRODUCT], [weight("w", 4, 4)], output="z"), "z")
    yield model("no-graph", onnx.ModelProto(ir_version=8), "no-graph.onnx")
    yield model("unknown-operator", small([helper.make_node("Frobnicate", ["x"], ["y"], name="odd")]), "Frobnicate")
    yield model("unknown-domain", small([
        helper.make_node("Relu", ["x"], ["y"], name="odd", domain="com.example.unknown")]), "com.example.unknown")
    yield model("future-opset", small([PRODUCT], [weight("w", 4, 4)], opset=999), "999")
    yield model("wrong-shapes", small([PRODUCT], [weight("w", 5, 7)]), "product", "w")
    yield model("wrong-attribute", small([
        helper.make_node("Softmax", ["x"], ["y"], name="soft", axis=77)]), "soft")
    yield model("missing-input", small([helper.make_node("Add", ["x"], ["y"], name="lonely")]), "lonely")
    yield model("integer-attribute", small([
        helper.make_node("Transpose", ["x"], ["y"], name="turn", perm=[0, 7])]), "turn")
    yield model("expand-absurdly", small(
        [helper.make_node("Expand", ["x", "s"], ["y"], name="grow")],
        [numpy_helper.from_array(np.array([2**40, 2**20, 4]), "s")]), "grow")
    yield model("external-outside", small([PRODUCT], [external("w", "../outside.bin")]), "outside.bin")
    yield model("external-absolute", small([PRODUCT], [external("w", "/etc/hostname")]), "/etc/hostname")
    yield model("external-missing", small([PRODUCT], [external("w", "missing.bin")]), "missing.bin")
    yield model("external-beyond", small([PRODUCT], [external("w", "short.bin", offset=2**62)]), "short.bin", "w")
    yield model("external-folder", small([PRODUCT], [external("w", ".")]), "w")
    yield model("external-short", small([PRODUCT], [external("w", "short.bin", length=64)]), "short.bin", "w")
