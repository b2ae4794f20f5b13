#!/usr/bin/env python3
"""Single-node models of operator variants that ONNX's node tests leave out, run by `espalier run --batch` and compared
with ONNX Runtime: directions and activations of recurrent layers, paddings, dilations, rounding, resampling modes.

    operator_variants.py [--espalier PATH] [--seed N] [--cases REGEX]

Exits 1 when an output differs. Cases that ONNX Runtime refuses are counted, not compared.
"""

import argparse
import itertools
import json
import pathlib
import re
import subprocess
import sys
import tempfile

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

RTOL, ATOL = 1e-4, 1e-5


class Case:
    """One node with its inputs; those in `constants` become initialisers."""

    def __init__(self, name, operator, inputs, outputs=1, opset=17, constants=(), **attributes):
        self.name, self.outputs = f"{operator} {name}", [f"out{i}" for i in range(outputs)]
        names = [f"in{i}" if value is not None else "" for i, value in enumerate(inputs)]
        self.inputs = {n: v for i, (n, v) in enumerate(zip(names, inputs)) if n and i not in constants}
        node = helper.make_node(operator, names, self.outputs, **attributes)
        declared = [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(v.dtype), v.shape)
                    for n, v in self.inputs.items()]
        weights = [numpy_helper.from_array(inputs[i], names[i]) for i in constants if inputs[i] is not None]
        kinds = attributes.get("_types", [TensorProto.FLOAT] * outputs)
        if operator == "MaxPool" and outputs == 2:
            kinds = [TensorProto.FLOAT, TensorProto.INT64]
        graph = helper.make_graph(
            [node], "variant", declared, [helper.make_tensor_value_info(n, k, None) for n, k in zip(self.outputs, kinds)],
            weights)
        self.model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)


class Variants:
    def __init__(self, seed):
        self.random = np.random.default_rng(seed)

    def floats(self, *shape):
        return self.random.standard_normal(shape).astype(np.float32)

    def convolutions(self):
        for rank, pad, auto, dilation, stride, group in itertools.product(
                (1, 2, 3), ((0, 0), (1, 1), (2, 0), (0, 3)), ("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"), (1, 2), (1, 2),
                (1, 2)):
            if auto != "NOTSET" and pad != (0, 0) or rank == 3 and stride == 2:
                continue
            size = (9, 7, 6)[:rank]
            attributes = dict(strides=[stride] * rank, dilations=[dilation] * rank, group=group)
            attributes.update({"pads": [pad[0]] * rank + [pad[1]] * rank} if auto == "NOTSET" else {"auto_pad": auto})
            name = f"{rank}-D pads {pad} {auto} dilation {dilation} stride {stride} group {group}"
            x, b = self.floats(2, 4, *size), self.floats(6)
            if not (auto.startswith("SAME") and dilation > 1 and stride > 1):
                yield Case(name, "Conv", [x, self.floats(6, 4 // group, *(3, 2, 3)[:rank]), b], constants=(1, 2), **attributes)
            for extra in (None, 1) if stride == 2 else (None,):
                more = {} if extra is None else {"output_padding": [extra] * rank}
                if auto.startswith("SAME") and (dilation > 1 or extra):
                    continue
                yield Case(
                    f"{name} extra {extra}", "ConvTranspose",
                    [x, self.floats(4, 6 // group, *(3, 2, 3)[:rank]), b], constants=(1, 2), **attributes, **more)
        for size, auto in itertools.product((4, 6, 7, 8), ("NOTSET", "SAME_UPPER", "SAME_LOWER")):
            yield Case(f"output_shape {size} {auto}", "ConvTranspose", [self.floats(1, 2, 3), self.floats(2, 3, 3)],
                       strides=[2], output_shape=[size], **({} if auto == "NOTSET" else {"auto_pad": auto}))

    def poolings(self):
        for rank, pad, ceil, stride, kernel in itertools.product(
                (1, 2, 3), ((0, 0), (1, 1), (1, 0), (0, 1)), (0, 1), (1, 2, 3), (2, 3)):
            size, base = (10, 7, 8)[:rank], dict(kernel_shape=[kernel] * rank, strides=[stride] * rank, ceil_mode=ceil)
            base["pads"] = [pad[0]] * rank + [pad[1]] * rank
            name = f"{rank}-D pads {pad} ceil {ceil} stride {stride} kernel {kernel}"
            x = self.floats(2, 3, *size)
            for include in (0, 1):
                yield Case(f"{name} include {include}", "AveragePool", [x], count_include_pad=include, **base)
                if rank > 1:
                    yield Case(f"{name} include {include} dilated", "AveragePool", [x], opset=19,
                               count_include_pad=include, dilations=[2] * rank, **base)
            yield Case(name, "MaxPool", [x], outputs=2, **base)
            yield Case(f"{name} dilated", "MaxPool", [x], outputs=2, dilations=[2] * rank, **base)
            yield Case(f"{name} columns", "MaxPool", [x], outputs=2, storage_order=1, **base)
            if not ceil:
                yield Case(name, "LpPool", [x], p=3, **{k: v for k, v in base.items() if k != "ceil_mode"})
        for auto, kernel, stride in itertools.product(("SAME_UPPER", "SAME_LOWER", "VALID"), (2, 3), (1, 2)):
            for operator in ("MaxPool", "AveragePool", "LpPool"):
                yield Case(f"{auto} {kernel} {stride}", operator, [self.floats(1, 2, 7, 8)], auto_pad=auto,
                           kernel_shape=[kernel] * 2, strides=[stride] * 2)
        yield Case("3", "GlobalLpPool", [self.floats(2, 3, 4, 5)], p=3)
        yield Case("", "GlobalMaxPool", [self.floats(2, 3, 4, 5, 2)])
        rois = np.array([[0, 1, 1, 6, 7], [1, 0, 0, 3, 2], [1, 5, 5, 5, 5], [0, -3, -3, 20, 4]], np.float32)
        yield Case("", "MaxRoiPool", [self.floats(2, 3, 8, 9), rois], pooled_shape=[2, 3], spatial_scale=0.8)
        for mode, ratio, coordinates in itertools.product(("avg", "max"), (0, 2), ("half_pixel", "output_half_pixel")):
            yield Case(f"{mode} {ratio} {coordinates}", "RoiAlign",
                       [self.floats(2, 3, 8, 9), rois[:, 1:], rois[:, 0].astype(np.int64)], mode=mode,
                       sampling_ratio=ratio, coordinate_transformation_mode=coordinates, output_height=3, output_width=2,
                       spatial_scale=0.7)

    def recurrent(self):
        functions = {
            "LSTM": (4, 3, [["Sigmoid", "Tanh", "Tanh"], ["HardSigmoid", "ScaledTanh", "Softsign"], ["Sigmoid", "Relu", "Elu"]]),
            "GRU": (3, 2, [["Sigmoid", "Tanh"], ["HardSigmoid", "LeakyRelu"], ["Sigmoid", "Affine"]]),
            "RNN": (1, 1, [["Tanh"], ["Relu"], ["ThresholdedRelu"], ["Softsign"]])}
        steps, batch, size, hidden = 5, 3, 4, 6
        for operator, (gates, _, choices) in functions.items():
            for direction, chosen, lengths, bias, state, special in itertools.product(
                    ("forward", "reverse", "bidirectional"), choices, (False, True), (False, True), (False, True), range(3)):
                count = 2 if direction == "bidirectional" else 1
                inputs = [
                    self.floats(steps, batch, size), self.floats(count, gates * hidden, size),
                    self.floats(count, gates * hidden, hidden), self.floats(count, 2 * gates * hidden) if bias else None,
                    np.array([2, 5, 3], np.int32) if lengths else None,
                    self.floats(count, batch, hidden) if state else None]
                attributes = dict(direction=direction, hidden_size=hidden, activations=chosen * count)
                if special == 1:
                    attributes["clip"] = 0.5
                if operator == "GRU" and special != 1:
                    attributes["linear_before_reset"] = special // 2
                if operator == "LSTM":
                    inputs += [self.floats(count, batch, hidden) if state else None,
                               self.floats(count, 3 * hidden) if special == 2 else None]
                    attributes["input_forget"] = 1 if special == 2 and lengths else 0
                alphas = {"HardSigmoid": .3, "ScaledTanh": 1.2, "LeakyRelu": .1, "Affine": .5, "ThresholdedRelu": .2, "Elu": .8}
                betas = {"HardSigmoid": .4, "ScaledTanh": .7, "Affine": .1}
                if any(f in alphas for f in chosen):
                    attributes["activation_alpha"] = [alphas[f] for f in chosen if f in alphas] * count
                    if any(f in betas for f in chosen):
                        attributes["activation_beta"] = [betas[f] for f in chosen if f in betas] * count
                yield Case(f"{direction} {chosen} lengths {lengths} bias {bias} state {state} special {special}", operator,
                           inputs, outputs=3 if operator == "LSTM" else 2, opset=14, constants=(1, 2, 3), **attributes)

    def resampling(self):
        coordinates = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "tf_crop_and_resize",
                       "half_pixel_symmetric")
        roi = np.array([0, 0, .1, -.2, 1, 1, .9, 1.07], np.float32)
        empty = np.array([], np.float32)
        for mode, coordinate, (low, high) in itertools.product(
                ("nearest", "linear", "cubic"), coordinates, ((2, 2), (1.7, 2.3), (.6, .45), (.5, 3))):
            if mode == "nearest" and "symmetric" in coordinate and low != 2:
                continue  # halves that single precision rounds either way
            x, scales = self.floats(2, 3, 7, 6), np.array([1, 1, low, high], np.float32)
            base = dict(mode=mode, coordinate_transformation_mode=coordinate, opset=19 if "symmetric" in coordinate else 13)
            region = roi if coordinate == "tf_crop_and_resize" else empty
            for rounding in ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil") if mode == "nearest" else ("floor",):
                yield Case(f"{mode} {coordinate} {low} {high} {rounding}", "Resize", [x, region, scales],
                           constants=(1, 2), nearest_mode=rounding, **base)
            sizes = np.array([2, 3, round(7 * low), round(6 * high)], np.int64)
            yield Case(f"{mode} {coordinate} sizes {sizes}", "Resize", [x, region, None, sizes], constants=(1, 3), **base)
            if mode == "cubic":
                yield Case(f"{mode} {coordinate} {low} {high} exclude", "Resize", [x, region, scales], constants=(1, 2),
                           exclude_outside=1, cubic_coeff_a=-0.5, **base)
            if mode == "linear" and "crop" not in coordinate:
                yield Case(f"1-D {mode} {coordinate} {low}", "Resize", [self.floats(2, 3, 7), empty, scales[1:3].repeat([2, 1])],
                           constants=(1, 2), **base)
                yield Case(f"3-D {mode} {coordinate} {low}", "Resize",
                           [self.floats(2, 3, 4, 7, 6), empty, np.array([1, 1, high, low, high], np.float32)],
                           constants=(1, 2), **base)
        for mode, factor, version in itertools.product(("nearest", "linear"), (.5, .7, 1.5, 2), (9, 10)):
            operator = "Upsample" if version == 9 else "Resize"
            if factor >= 1 or version == 10:
                yield Case(f"{mode} {factor} opset {version}", operator,
                           [self.floats(1, 2, 6, 5), np.array([1, 1, factor, factor], np.float32)], opset=version,
                           constants=(1,), mode=mode)
        for mode, padding, corners in itertools.product(
                ("bilinear", "nearest", "bicubic"), ("zeros", "border", "reflection"), (0, 1)):
            grid = (self.random.random((2, 5, 4, 2)) * 3 - 1.5).astype(np.float32)
            yield Case(f"{mode} {padding} {corners}", "GridSample", [self.floats(2, 3, 6, 7), grid], opset=16, mode=mode,
                       padding_mode=padding, align_corners=corners)

    def others(self):
        x = self.floats(2, 6, 5, 4)
        yield Case("", "BatchNormalization", [x, self.floats(6), self.floats(6), self.floats(6), abs(self.floats(6))])
        yield Case("", "InstanceNormalization", [x, self.floats(6), self.floats(6)])
        for axis in (-1, 1, 2, 0):
            yield Case(f"axis {axis}", "LayerNormalization", [x, self.floats(*x.shape[axis:]), self.floats(*x.shape[axis:])],
                       axis=axis)
        yield Case("groups 3", "GroupNormalization", [x, self.floats(6), self.floats(6)], opset=21, num_groups=3)
        for size in (1, 2, 3, 4, 5):
            yield Case(f"size {size}", "LRN", [x], size=size, alpha=.3, beta=.7, bias=1.5)
        for p, axis in itertools.product((1, 2), (0, 1, -1)):
            yield Case(f"p {p} axis {axis}", "LpNormalization", [x], p=p, axis=axis)
        yield Case("", "MeanVarianceNormalization", [x], axes=[0, 2])
        for left, right in (((4,), (4,)), ((3, 4), (4,)), ((4,), (2, 4, 5)), ((2, 1, 3, 4), (5, 4, 2)), ((0, 4), (4, 2))):
            yield Case(f"{left} {right}", "MatMul", [self.floats(*left), self.floats(*right)])
        for shape in ((), (1,), (3,), (2, 1), (2, 3)):
            yield Case(f"C {shape}", "Gemm", [self.floats(4, 2), self.floats(3, 4), np.asarray(self.floats(*shape), np.float32)],
                       transA=1, transB=1, alpha=.5, beta=2.)
        for equation, shapes in (("...ij,...jk->...ik", ((2, 3, 4), (2, 4, 5))), ("bhqd, bhkd -> bhqk", ((1, 2, 3, 4), (1, 2, 5, 4))),
                                 ("ij->ji", ((2, 3),)), ("i,j->ij", ((2,), (3,))), ("ii->i", ((3, 3),)), ("ij,jk", ((2, 3), (3, 4)))):
            yield Case(equation, "Einsum", [self.floats(*s) for s in shapes], equation=equation)
        yield Case("", "Det", [self.floats(2, 3, 3)])
        blocks = self.floats(1, 8, 15)
        yield Case("pads", "Col2Im", [blocks, np.array([4, 3]), np.array([2, 2])], opset=18, pads=[1, 1, 1, 2], constants=(1, 2))
        for axis, inverse, one, width in itertools.product((1, 2), (0, 1), (0, 1), (1, 2)):
            if not (one and (inverse or width == 2)):
                yield Case(f"axis {axis} inverse {inverse} onesided {one} width {width}", "DFT",
                           [self.floats(2, 8, 6, width), np.array(7)], axis=axis, inverse=inverse, onesided=one, constants=(1,))
        yield Case("window", "STFT", [self.floats(2, 40, 1), np.array(5), self.floats(16), np.array(16)], constants=(1, 3))

    def all(self):
        for family in (self.convolutions, self.poolings, self.recurrent, self.resampling, self.others):
            yield from family()


def compare(case, path):
    """None, or how Espalier's outputs differ from ONNX Runtime's."""
    try:
        with np.load(path) as archive:
            actual = {name: archive[name] for name in archive.files}
    except (OSError, ValueError) as error:
        return str(error)
    for name, expected in zip(case.outputs, case.expected):
        value = actual.get(name)
        if value is None or value.shape != expected.shape or value.dtype != expected.dtype:
            return f"{name}: {value.shape if value is not None else 'missing'} where {expected.shape} {expected.dtype} is expected"
        if not np.allclose(value, expected, rtol=RTOL, atol=ATOL, equal_nan=True):
            return f"{name} differs by up to {np.nanmax(np.abs(value - expected)):.3g}"
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--espalier", default=".build/release/espalier")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cases", default="", help="only cases whose name matches this regular expression")
    arguments = parser.parse_args()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    cases, refused = [], []
    for case in Variants(arguments.seed).all():
        if not re.search(arguments.cases, case.name):
            continue
        try:
            session = onnxruntime.InferenceSession(case.model.SerializeToString(), options)
            case.expected = session.run(case.outputs, case.inputs)
            cases.append(case)
        except Exception as error:  # every kind of refusal has a class of its own
            refused.append(f"{case.name}: {str(error).splitlines()[0][:150]}")
    with tempfile.TemporaryDirectory() as temporary:
        folder, lines = pathlib.Path(temporary), []
        for index, case in enumerate(cases):
            paths = {key: str(folder / f"{index}.{ending}") for key, ending in
                     (("model", "onnx"), ("data", "npz"), ("output", "out.npz"))}
            pathlib.Path(paths["model"]).write_bytes(case.model.SerializeToString())
            np.savez(paths["data"], **case.inputs)
            lines.append(json.dumps(paths))
        (folder / "batch.jsonl").write_text("\n".join(lines) + "\n")
        run = subprocess.run([arguments.espalier, "run", "--batch", str(folder / "batch.jsonl")], stdout=subprocess.PIPE, text=True)
        answers = [json.loads(line) for line in run.stdout.splitlines() if line.startswith("{")]
        failures = []
        for index, case in enumerate(cases):
            answer = answers[index] if index < len(answers) else {"ok": False, "error": "no answer"}
            found = compare(case, folder / f"{index}.out.npz") if answer.get("ok") else answer.get("error")
            if found:
                failures.append(f"{case.name}: {found}")
    for line in refused:
        print("refused by ONNX Runtime:", line)
    for line in failures:
        print("FAILED", line)
    print(f"{len(cases) - len(failures)} of {len(cases)} variants agree with ONNX Runtime; it refused {len(refused)}")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
