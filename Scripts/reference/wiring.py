"""A model's wiring, worked out from the file alone: which edges exist, what is dead, what depends on an input.

An edge is a pair (node, slot): the consumer's index in the file's `graph.node` and its input slot.
"""

from dataclasses import dataclass, field

import onnx
from onnx import TensorProto

FLOATS = {TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16}
SHAPE_READERS = {"Shape", "Size"}


def parse_edge(text):
    """`NODE:SLOT` as a pair."""
    node, _, slot = text.partition(":")
    return int(node), int(slot)


def captured_names(node):
    """Names that a node's subgraphs read from outside themselves (or may read: inner names count too)."""
    names = []
    for attribute in node.attribute:
        for graph in [attribute.g] if attribute.HasField("g") else attribute.graphs:
            for inner in graph.node:
                names += [*inner.input, *captured_names(inner)]
            names += [output.name for output in graph.output]
    return names


@dataclass
class Wiring:
    """The parts of a model that decide which sets of edges may be removed."""

    model: onnx.ModelProto
    producer: dict = field(init=False)
    constants: dict = field(init=False)
    inputs: list = field(init=False)
    depends: set = field(init=False)

    def __post_init__(self):
        graph = self.model.graph
        self.producer = {name: index for index, node in enumerate(graph.node) for name in node.output if name}
        self.constants = {tensor.name: tensor for tensor in graph.initializer}
        self.inputs = [value.name for value in graph.input if value.name not in self.constants]
        self.captured = [captured_names(node) for node in graph.node]
        self.types = element_types(self.model)
        self.depends = self.dependent(frozenset())

    def dependent(self, mask):
        """Names of the values whose elements depend on a model input through edges that `mask` leaves."""
        found = set(self.inputs)
        for index, node in enumerate(self.model.graph.node):  # the file's order is topological
            if node.op_type in SHAPE_READERS:
                continue
            reads = [name for slot, name in enumerate(node.input) if (index, slot) not in mask]
            if any(name in found for name in reads + self.captured[index]):
                found.update(name for name in node.output if name)
        return found

    def live(self, mask):
        """Indices of the nodes something of which reaches an output through edges that `mask` leaves."""
        needed = {value.name for value in self.model.graph.output}
        found = set()
        for index in reversed(range(len(self.model.graph.node))):
            node = self.model.graph.node[index]
            if any(name in needed for name in node.output if name):
                found.add(index)
                needed.update(name for slot, name in enumerate(node.input) if (index, slot) not in mask)
                needed.update(self.captured[index])
        return found

    def connected(self, mask):
        """Whether every output that depends on a model input still does."""
        depends = self.dependent(mask)
        return all(value.name in depends or value.name not in self.depends for value in self.model.graph.output)

    def legal(self, mask, edge):
        """Whether `edge` may be removed beside `mask`: its consumer is live, and every output stays connected."""
        return edge not in mask and edge[0] in self.live(mask) and self.connected(mask | {edge})

    def candidates(self):
        """Every edge that may be removed from the whole model, in canonical order."""
        live = self.live(frozenset())
        return [edge for edge in self._activations() if edge[0] in live and self.connected(frozenset([edge]))]

    def branches(self):
        """The candidates that enter a node with two or more live activations."""
        entering = {}
        for node, _ in self._activations():
            entering[node] = entering.get(node, 0) + 1
        return [edge for edge in self.candidates() if entering[edge[0]] >= 2]

    def _activations(self):
        for index, node in enumerate(self.model.graph.node):
            for slot, name in enumerate(node.input):
                if name in self.depends and self.types.get(name) in FLOATS and node.op_type not in SHAPE_READERS:
                    yield index, slot

    def parameters(self, mask):
        """Elements of the floating-point constants that live nodes read under `mask`, each counted once."""
        live = self.live(mask)
        names = set()
        for index in live:
            node = self.model.graph.node[index]
            names.update(name for slot, name in enumerate(node.input) if (index, slot) not in mask)
            names.update(self.captured[index])
        count = 0
        for name in names & set(self.constants):
            if self.constants[name].data_type in FLOATS:
                size = 1
                for extent in self.constants[name].dims:
                    size *= extent
                count += size
        return count


def element_types(model):
    """The element type of every value that ONNX's type inference can tell, by name."""
    inferred = onnx.shape_inference.infer_shapes(model)
    types = {tensor.name: tensor.data_type for tensor in inferred.graph.initializer}
    for value in [*inferred.graph.input, *inferred.graph.output, *inferred.graph.value_info]:
        if value.type.HasField("tensor_type"):
            types[value.name] = value.type.tensor_type.elem_type
    return types
