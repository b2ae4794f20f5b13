"""Masked models, built with the onnx package alone: what removing edges means, before anything is simplified."""

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

from wiring import element_types

onnxruntime.set_default_logger_severity(3)


def masked_model(model, edges):
    """The model in which every edge of `edges` delivers zeros of the same shape and type; nothing else changes.

    Each cut slot gets a tensor name of its own, made of the shape of what it read (multiplying by zero instead would
    turn infinite values, as in attention masks, into NaN). The other consumers of the same value keep reading it.
    """
    result = onnx.ModelProto()
    result.CopyFrom(model)
    types = element_types(model)
    cuts = sorted(set(edges))
    nodes = []
    for index, node in enumerate(result.graph.node):
        for consumer, slot in cuts:
            if consumer == index:
                value = node.input[slot]
                zero = helper.make_tensor("zero", types.get(value, TensorProto.FLOAT), [1], [0])
                shape, zeros = f"masked_{index}_{slot}_shape", f"masked_{index}_{slot}"
                nodes.append(helper.make_node("Shape", [value], [shape], name=shape))
                nodes.append(helper.make_node("ConstantOfShape", [shape], [zeros], name=zeros, value=zero))
                node.input[slot] = zeros
        nodes.append(node)
    del result.graph.node[:]
    result.graph.node.extend(nodes)
    return result


def session(model, optimised=False):
    """A single-threaded session of a ModelProto; without ONNX Runtime's own graph rewriting unless asked for."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    if not optimised:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def outputs(model, data, count=None, optimised=False):
    """Outputs by name for the first `count` samples of `data` (a dictionary of arrays; names that are no input are
    ignored), all in one batch."""
    ready = session(model, optimised)
    arrays = {value.name: np.asarray(data[value.name]) for value in ready.get_inputs()}
    feeds = {name: array[:count] if array.ndim else array for name, array in arrays.items()}
    return dict(zip([value.name for value in ready.get_outputs()], ready.run(None, feeds)))


def load_data(path):
    """The arrays of an .npz by name."""
    with np.load(path) as archive:
        return {name: archive[name] for name in archive.files}
