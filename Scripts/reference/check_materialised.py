#!/usr/bin/env python3
"""Checks a materialised model against the masked one, by ONNX Runtime and ONNX's own checker.

    check_materialised.py MODEL DATA PRUNED --remove EDGE… [--tolerance 1e-5]

The pruned model must give the masked model's outputs at two batch sizes to the tolerance relative to the largest
output, pass onnx.checker with shape inference, keep the inputs and outputs, and hold neither an unused initialiser
nor a dead node. Prints one line per fault and exits 1, or one line with the sizes and exits 0.
"""

import argparse
import sys

import numpy as np
import onnx

from masked import load_data, masked_model, outputs
from wiring import captured_names, parse_edge


def port_faults(original, pruned):
    """Inputs (initialisers aside) and outputs keep their names, order and types."""
    for kind in ("input", "output"):
        ports = []
        for model in (original, pruned):
            constants = {tensor.name for tensor in model.graph.initializer}
            ports.append([
                (value.name, value.type.tensor_type.elem_type) for value in getattr(model.graph, kind)
                if value.name not in constants])
        if ports[0] != ports[1]:
            yield f"the {kind}s were {ports[0]} and are {ports[1]}"


def dead_faults(model):
    """Initialisers that nothing reads, and nodes nothing of which reaches an output."""
    needed = {value.name for value in model.graph.output}
    for index in reversed(range(len(model.graph.node))):
        node = model.graph.node[index]
        if any(name in needed for name in node.output if name):
            needed.update([*node.input, *captured_names(node)])
        else:
            yield f"node {index} ({node.op_type} '{node.name}') is dead"
    for tensor in model.graph.initializer:
        if tensor.name not in needed:
            yield f"initialiser '{tensor.name}' is unused"


def value_faults(masked, pruned, data, tolerance):
    """Differences between the outputs at two batch sizes."""
    total = len(next(iter(data.values())))
    for count in (min(3, total - 1), total):
        expected, actual = outputs(masked, data, count), outputs(pruned, data, count)
        for name, wanted in expected.items():
            value = actual.get(name)
            if value is None or value.shape != wanted.shape or value.dtype != wanted.dtype:
                got = "missing" if value is None else f"{value.dtype} {list(value.shape)}"
                yield f"batch of {count}: output '{name}' is {got}, not {wanted.dtype} {list(wanted.shape)}"
                continue
            if wanted.dtype.kind != "f":
                if not np.array_equal(value, wanted):
                    yield f"batch of {count}: output '{name}' differs"
                continue
            if not np.isfinite(wanted).all():
                if not np.array_equal(np.isfinite(value), np.isfinite(wanted)):
                    yield f"batch of {count}: output '{name}' is not finite at the same places"
                continue
            scale = max(np.abs(wanted).max(initial=0), 1e-30)
            difference = np.abs(value.astype(np.float64) - wanted).max(initial=0) / scale
            if not difference <= tolerance:
                yield f"batch of {count}: output '{name}' differs by {difference:.2e} of the largest element"


def faults(original, pruned, data, edges, tolerance=1e-5):
    """Every fault of `pruned` as `original` without `edges`, as sentences."""
    found = [*port_faults(original, pruned), *dead_faults(pruned)]
    try:
        onnx.checker.check_model(pruned, full_check=True)
    except Exception as error:  # the checker's and shape inference's errors share no base class
        found.append(f"onnx.checker: {error}")
    try:
        found += value_faults(masked_model(original, edges), pruned, data, tolerance)
    except Exception as error:  # ONNX Runtime's errors have no common base class either
        found.append(f"ONNX Runtime: {error}")
    return found


def parameters(model):
    return sum(int(np.prod(tensor.dims)) for tensor in model.graph.initializer)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("data")
    parser.add_argument("pruned")
    parser.add_argument("--remove", nargs="*", action="extend", default=[], type=parse_edge)
    parser.add_argument("--tolerance", type=float, default=1e-5)
    arguments = parser.parse_args()
    original, pruned = onnx.load(arguments.model), onnx.load(arguments.pruned)
    found = faults(original, pruned, load_data(arguments.data), arguments.remove, arguments.tolerance)
    for fault in found:
        print(f"{arguments.pruned}: {fault}")
    if not found:
        print(f"{arguments.pruned}: {len(original.graph.node)} -> {len(pruned.graph.node)} nodes, "
              f"{parameters(original)} -> {parameters(pruned)} parameters, outputs agree")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
