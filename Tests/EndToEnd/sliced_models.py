"""Small models whose channels, heads or neurons are coupled in one way each, with what the removal of some must compute.

A subject's `readers` are the weights that read the channels: the model without channels computes what the whole one does with
those weights zeroed, as (name, axis, positions), where `positions` turns the positions that a unit names into those of the
weight. `groups` tells how many positions of the layer go together.
"""

from dataclasses import dataclass, field
from typing import Callable

import numpy as np
from onnx import TensorProto

from written_models import Builder

FLOAT = TensorProto.FLOAT


@dataclass(frozen=True)
class Subject:
    model: str
    data: str
    layer: str
    kind: str
    readers: list
    together: int = 1
    sizes: list = field(default_factory=list)  # other input shapes that the model takes
    options: tuple = ()


def same(positions):
    return positions


def shifted(offset) -> Callable:
    return lambda positions: [position + offset for position in positions]


class Images(Builder):
    """Images [n, 3, h, w] and what becomes of them."""

    def conv(self, data, output, channels, depth, kernel=3, bias=True, **attributes):
        self.weight(f"{output}.w", channels, depth, *[kernel] * 2)
        inputs = [data, f"{output}.w"]
        if bias:
            self.constant(f"{output}.b", self.random.normal(size=channels).astype(np.float32))
            inputs.append(f"{output}.b")
        pads = [kernel // 2] * 4
        return self.add("Conv", inputs, output, pads=pads, **attributes)

    def norm(self, data, output, channels):
        for name, numbers in [
                ("scale", self.random.uniform(0.5, 1.5, channels)), ("shift", self.random.normal(size=channels)),
                ("mean", self.random.normal(size=channels)), ("variance", self.random.uniform(0.5, 1.5, channels))]:
            self.constant(f"{output}.{name}", numbers.astype(np.float32))
        return self.add(
            "BatchNormalization", [data] + [f"{output}.{name}" for name in ("scale", "shift", "mean", "variance")], output)

    def head(self, data, channels, classes=5):
        self.weight("fc", classes, channels)
        self.constant("fc.b", self.random.normal(size=classes).astype(np.float32))
        self.add("GlobalAveragePool", [data], "pooled")
        self.add("Flatten", ["pooled"], "flat")
        return self.add("Gemm", ["flat", "fc", "fc.b"], "y", transB=1)

    def finish(self, folder, name, layer, readers, kind="channels", size=8, sizes=((3, 3, 7, 9),), **more):
        height, width = ("h", "w") if sizes and sizes[0][2] != size else (size, size)
        paths = self.save(
            folder, name, [("x", FLOAT, ["n", 3, height, width])], [("y", FLOAT, ["n", 5])],
            {"x": self.random.normal(size=(12, 3, size, size)).astype(np.float32)}, opset=more.pop("opset", 17))
        return Subject(*paths, layer, kind, readers, sizes=list(sizes), **more)


def plain(folder):
    """Convolution, normalisation, activation, convolution; the file runs at odd sizes."""
    build = Images()
    build.conv("x", "a", 8, 3)
    build.norm("a", "an", 8)
    build.add("Relu", ["an"], "ar")
    build.conv("ar", "b", 6, 8)
    build.add("Relu", ["b"], "br")
    build.head("br", 6)
    return build.finish(folder, "plain", "a", [("b.w", 1, same)])


def shared_vectors(folder):
    """Layers that have nothing to do with each other read the same bias and the same scale, as exporters store equal tensors."""
    build = Images()
    build.constant("equal", build.random.normal(size=8).astype(np.float32))
    build.constant("scale", build.random.uniform(0.5, 1.5, size=(8, 1, 1)).astype(np.float32))
    before = "x"
    for name, depth in (("a", 3), ("b", 8), ("c", 8)):
        build.conv(before, f"{name}.conv", 8, depth, bias=False)
        build.add("Mul", [f"{name}.conv", "scale"], f"{name}.scaled")
        build.add("BatchNormalization", [f"{name}.scaled", "equal", "equal", "equal", "positive"], f"{name}.normed")
        before = build.add("Relu", [f"{name}.normed"], name)
    build.constant("positive", build.random.uniform(0.5, 1.5, size=8).astype(np.float32))
    build.head("c", 8)
    return build.finish(folder, "shared_vectors", "b.conv", [("c.conv.w", 1, same)])


def residual(folder):
    """A stream that three layers write and two read: one group."""
    build = Images()
    build.conv("x", "stem", 8, 3)
    build.conv("stem", "a", 6, 8)
    build.add("Relu", ["a"], "ar")
    build.conv("ar", "b", 8, 6)
    build.add("Add", ["stem", "b"], "s")
    build.add("Relu", ["s"], "sr")
    build.conv("sr", "c", 8, 8, kernel=1)
    build.add("Add", ["c", "sr"], "t")
    build.head("t", 8)
    return build.finish(folder, "residual", "stem", [("a.w", 1, same), ("c.w", 1, same), ("fc", 1, same)])


def grouped(folder):
    """What a grouped convolution reads goes in whole groups, and what it writes with it."""
    build = Images()
    build.conv("x", "a", 8, 3)
    build.add("Relu", ["a"], "ar")
    build.conv("ar", "g", 12, 2, group=4)
    build.add("Relu", ["g"], "gr")
    build.conv("gr", "b", 6, 12)
    build.head("b", 6)
    wide = lambda positions: sorted({3 * (position // 2) + member for position in positions for member in range(3)})
    return build.finish(folder, "grouped", "a", [("b.w", 1, wide)], together=2)


def depthwise(folder):
    build = Images()
    build.conv("x", "a", 8, 3, kernel=1)
    build.norm("a", "an", 8)
    build.add("Clip", ["an", build.constant("zero", np.float32(0)), build.constant("six", np.float32(6))], "ar")
    build.conv("ar", "d", 8, 1, group=8, strides=[2, 2])
    build.norm("d", "dn", 8)
    build.add("Relu", ["dn"], "dr")
    build.conv("dr", "b", 6, 8, kernel=1)
    build.head("b", 6)
    return build.finish(folder, "depthwise", "a", [("b.w", 1, same)])


def single_output(folder):
    """A convolution with one output channel is no depthwise one; its channel scales all others."""
    build = Images()
    build.conv("x", "a", 8, 3)
    build.add("Relu", ["a"], "ar")
    build.conv("ar", "map", 1, 8)
    build.add("Sigmoid", ["map"], "gate")
    build.add("Mul", ["ar", "gate"], "m")
    build.conv("m", "b", 6, 8)
    build.head("b", 6)
    return build.finish(folder, "single-output", "a", [("map.w", 1, same), ("b.w", 1, same)])


def concatenated(folder):
    """The second of three parts: its channels lie behind those of the first."""
    build = Images()
    for name, channels in [("a", 4), ("b", 8), ("c", 3)]:
        build.conv("x", name, channels, 3)
        build.add("Relu", [name], f"{name}r")
    build.add("Concat", ["ar", "br", "cr"], "all", axis=1)
    build.norm("all", "alln", 15)
    build.conv("alln", "d", 6, 15)
    build.head("d", 6)
    return build.finish(folder, "concatenated", "b", [("d.w", 1, shifted(4))])


def split(folder):
    """C2f of YOLO: a convolution split into halves, of which one goes on through a bottleneck, and all joined again."""
    build = Images()
    build.conv("x", "a", 16, 3)
    build.add("Relu", ["a"], "ar")
    build.add("Split", ["ar", build.integers("halves", 8, 8)], ["left", "right"], axis=1)
    build.conv("right", "b", 8, 8)
    build.add("Add", ["right", "b"], "sum")
    build.add("Concat", ["left", "right", "sum"], "all", axis=1)
    build.conv("all", "c", 6, 24)
    build.head("c", 6)
    # The first group of `a` is its left half, which goes by itself.
    return build.finish(folder, "split", "a", [("c.w", 1, same)])


def computed_bounds(folder):
    """Halves whose bounds are worked out from a shape, and padding that is, as the older exporter writes them."""
    build = Images()
    build.conv("x", "a", 8, 3)
    build.add("Shape", ["a"], "sizes")
    build.add("Gather", ["sizes", build.integers("one", 1)], "channels")
    build.add("Div", ["channels", build.integers("two", 2)], "half")
    build.add("Mul", ["half", build.integers("two.again", 2)], "all")
    build.add("Slice", ["a", build.integers("zero", 0), "half", "one"], "left")
    build.add("Slice", ["a", "half", "all", "one"], "right")
    build.add("Sigmoid", ["right"], "open")
    build.add("Mul", ["left", "open"], "g")
    build.add("Slice", ["sizes", build.integers("start", 2), build.integers("end", 4), build.integers("axis", 0)], "image")
    build.add("Mod", ["image", "two"], "odd")
    build.add("Concat", [build.integers("nothing", 0, 0, 0, 0, 0, 0), "odd"], "pads", axis=0)
    build.add("Pad", ["g", "pads"], "padded")
    build.conv("padded", "b", 6, 4)
    build.head("b", 6)
    return build.finish(
        folder, "computed-bounds", "a", [("b.w", 1, lambda ps: sorted({p % 4 for p in ps}))], together=2)


def flattened(folder):
    """Every channel is a stretch of what a matrix reads."""
    build = Images()
    build.conv("x", "a", 8, 3)
    build.add("Relu", ["a"], "ar")
    build.add("MaxPool", ["ar"], "p", kernel_shape=[2, 2], strides=[2, 2])
    build.add("Reshape", ["p", build.integers("flat.shape", -1, 128)], "flat")
    build.weight("w", 128, 5)
    build.add("MatMul", ["flat", "w"], "y")
    stretch = lambda positions: [16 * position + place for position in positions for place in range(16)]
    return build.finish(folder, "flattened", "a", [("w", 0, stretch)], sizes=[(3, 3, 8, 8)])


def viewed(folder):
    """A shape that is computed when the model runs, with the number of channels from the data."""
    build = Images()
    build.conv("x", "a", 8, 3)
    build.add("Relu", ["a"], "ar")
    build.add("Shape", ["ar"], "shape")
    for name, place in [("n", 0), ("c", 1)]:
        build.add("Gather", ["shape", build.integers(f"{name}.place", place)], f"{name}.size", axis=0)
    build.add("Concat", ["n.size", "c.size", build.integers("rest", -1)], "target", axis=0)
    build.add("Reshape", ["ar", "target"], "v")
    build.add("Transpose", ["v"], "t", perm=[0, 2, 1])
    build.weight("w", 8, 5)
    build.add("MatMul", ["t", "w"], "m")
    build.add("ReduceMean", ["m"], "y", axes=[1], keepdims=0)
    return build.finish(folder, "viewed", "a", [("w", 0, same)])


def pixel_shuffle(folder):
    """Four channels become a block of one channel's pixels."""
    build = Images()
    build.conv("x", "a", 32, 3)
    build.add("DepthToSpace", ["a"], "up", blocksize=2, mode="CRD")
    build.add("Relu", ["up"], "r")
    build.conv("r", "b", 6, 8)
    build.head("b", 6)
    return build.finish(
        folder, "pixel-shuffle", "a", [("b.w", 1, lambda positions: sorted({p // 4 for p in positions}))], together=4)


def space_to_depth(folder):
    """One channel becomes four, a stretch apart."""
    build = Images()
    build.conv("x", "a", 8, 3)
    build.add("Relu", ["a"], "r")
    build.add("SpaceToDepth", ["r"], "down", blocksize=2)
    build.conv("down", "b", 6, 32)
    build.head("b", 6)
    apart = lambda positions: [8 * block + position for block in range(4) for position in positions]
    return build.finish(folder, "space-to-depth", "a", [("b.w", 1, apart)], sizes=[(3, 3, 6, 10)])


def channel_shuffle(folder):
    """ShuffleNet: channels of two groups are interleaved, and a grouped convolution reads them."""
    build = Images()
    build.conv("x", "a", 8, 3)
    build.add("Relu", ["a"], "ar")
    build.add("Reshape", ["ar", build.integers("s1", 0, 2, 4, 8, 8)], "r1")
    build.add("Transpose", ["r1"], "t", perm=[0, 2, 1, 3, 4])
    build.add("Reshape", ["t", build.integers("s2", -1, 8, 8, 8)], "r2")
    build.conv("r2", "g", 8, 1, group=8)
    build.conv("g", "b", 6, 8)
    build.head("b", 6)
    # Of the interleaved channels, those of the first group are at the even places.
    shuffle = [2 * (p % 4) + p // 4 for p in range(8)]
    return build.finish(
        folder, "channel-shuffle", "a", [("b.w", 1, lambda positions: [shuffle[p] for p in positions])],
        together=4, sizes=[(3, 3, 8, 8)])


def squeeze_excite(folder):
    build = Images()
    build.conv("x", "a", 8, 3)
    build.norm("a", "an", 8)
    build.add("Relu", ["an"], "ar")
    build.add("GlobalAveragePool", ["ar"], "squeezed")
    build.conv("squeezed", "down", 4, 8, kernel=1)
    build.add("Relu", ["down"], "downr")
    build.conv("downr", "up", 8, 4, kernel=1)
    build.add("HardSigmoid", ["up"], "gate")
    build.add("Mul", ["gate", "ar"], "m")
    build.conv("m", "b", 6, 8)
    build.head("b", 6)
    return build.finish(folder, "squeeze-excite", "a", [("down.w", 1, same), ("b.w", 1, same)])


def padded(folder):
    """Zeros around the image."""
    build = Images()
    build.conv("x", "a", 6, 3)
    build.add("Relu", ["a"], "ar")
    build.add("Pad", ["ar", build.integers("around", 0, 0, 1, 1, 0, 0, 1, 1)], "wide")
    build.weight("b.w", 8, 6, 3, 3)
    build.add("Conv", ["wide", "b.w"], "b")
    build.head("b", 8)
    return build.finish(folder, "padded", "a", [("b.w", 1, same)])


def padded_channels(folder):
    """A shortcut that pads channels with zeros: those of the padding go too."""
    build = Images()
    build.conv("x", "a", 6, 3)
    build.add("Pad", ["a", build.integers("behind", 0, 1, 0, 0, 0, 1, 0, 0)], "wide")
    build.conv("a", "b", 8, 6)
    build.add("Add", ["wide", "b"], "s")
    build.add("Relu", ["s"], "sr")
    build.head("sr", 8)
    return build.finish(folder, "padded-channels", "a", [("b.w", 1, same), ("fc", 1, shifted(1))])


def group_normalised(folder):
    """A normalisation mixes the channels of a group: groups go as a whole."""
    build = Images()
    build.conv("x", "a", 8, 3)
    build.constant("scale", build.random.uniform(0.5, 1.5, 8).astype(np.float32))
    build.constant("shift", build.random.normal(size=8).astype(np.float32))
    build.add("GroupNormalization", ["a", "scale", "shift"], "an", num_groups=4)
    build.add("Relu", ["an"], "ar")
    build.conv("ar", "b", 6, 8)
    build.head("b", 6)
    return build.finish(folder, "group-normalised", "a", [("b.w", 1, same)], together=2, opset=21)


def transposed(folder):
    """Transposed convolutions have their channels the other way round."""
    build = Images()
    build.conv("x", "a", 6, 3)
    build.add("Relu", ["a"], "ar")
    build.weight("up.w", 6, 8, 2, 2)
    build.add("ConvTranspose", ["ar", "up.w"], "up", strides=[2, 2])
    build.add("Resize", ["up", "", build.constant("scales", np.array([1, 1, 2, 2], np.float32))], "large", mode="nearest")
    build.conv("large", "b", 6, 8)
    build.head("b", 6)
    return build.finish(folder, "transposed", "up", [("b.w", 1, same)])


def tied(folder):
    """One weight that two layers share: its channels go from both."""
    build = Images()
    build.conv("x", "a", 3, 3)
    build.weight("shared", 8, 3, 3, 3)
    build.add("Conv", ["x", "shared"], "left", pads=[1] * 4)
    build.add("Conv", ["a", "shared"], "right", pads=[1] * 4)
    build.add("Relu", ["left"], "lr")
    build.add("Relu", ["right"], "rr")
    build.conv("lr", "b", 6, 8)
    build.conv("rr", "c", 6, 8)
    build.add("Add", ["b", "c"], "s")
    build.head("s", 6)
    return build.finish(folder, "tied", "left", [("b.w", 1, same), ("c.w", 1, same)])


class Tokens(Builder):
    """Sequences [n, t, 12] and attention over them."""

    width, heads, size = 12, 4, 6

    def projection(self, data, name, width, columns):
        self.weight(f"{name}.w", width, columns)
        self.constant(f"{name}.b", self.random.normal(size=columns).astype(np.float32))
        return self.add("Add", [self.add("MatMul", [data, f"{name}.w"], f"{name}.m"), f"{name}.b"], name)

    def in_heads(self, data, name, heads, perm=(0, 2, 1, 3)):
        self.add("Reshape", [data, self.integers(f"{name}.shape", 0, -1, heads, self.size)], f"{name}.r")
        return self.add("Transpose", [f"{name}.r"], name, perm=list(perm))

    def attend(self, q, k, v, output):
        """Of q and v [n, h, t, d] and k [n, h, d, t]."""
        self.add("MatMul", [q, k], f"{output}.s")
        self.add("Mul", [f"{output}.s", self.constant(f"{output}.scale", np.float32(self.size**-0.5))], f"{output}.scaled")
        self.add("Softmax", [f"{output}.scaled"], f"{output}.p", axis=-1)
        self.add("MatMul", [f"{output}.p", v], f"{output}.o")
        self.add("Transpose", [f"{output}.o"], f"{output}.t", perm=[0, 2, 1, 3])
        total = self.heads * self.size
        return self.add("Reshape", [f"{output}.t", self.integers(f"{output}.shape", 0, -1, total)], output)

    def finish(self, folder, name, data, layer, readers, kind="heads", together=None, opset=17):
        self.projection(data, "out", self.heads * self.size, self.width)
        self.add("Add", ["out", "x"], "stream")
        self.constant("ln.scale", self.random.uniform(0.5, 1.5, self.width).astype(np.float32))
        self.add("LayerNormalization", ["stream", "ln.scale"], "ln")
        self.projection("ln", "up", self.width, 16)
        self.add("Relu", ["up"], "act")
        self.weight("down.w", 16, 5)
        self.add("MatMul", ["act", "down.w"], "y")
        paths = self.save(
            folder, name, [("x", FLOAT, ["n", "t", self.width])], [("y", FLOAT, ["n", "t", 5])],
            {"x": self.random.normal(size=(12, 7, self.width)).astype(np.float32)}, opset=opset)
        return Subject(*paths, layer, kind, readers, together=together or self.size, sizes=[(3, 5, self.width), (2, 9, 12)])


def attention(folder):
    """Heads of separate projections, in four dimensions."""
    build = Tokens()
    total = build.heads * build.size
    for name, perm in [("q", (0, 2, 1, 3)), ("k", (0, 2, 3, 1)), ("v", (0, 2, 1, 3))]:
        build.projection("x", name, build.width, total)
        build.in_heads(name, f"{name}h", build.heads, perm)
    build.attend("qh", "kh", "vh", "a")
    return build.finish(folder, "attention", "a", "q.m", [("out.w", 0, same)])


def fused_attention(folder):
    """One projection for queries, keys and values: a head is three stretches of it."""
    build = Tokens()
    build.projection("x", "qkv", build.width, 3 * build.heads * build.size)
    build.add("Reshape", ["qkv", build.integers("shape", 0, -1, 3, build.heads, build.size)], "r")
    build.add("Transpose", ["r"], "t", perm=[2, 0, 3, 1, 4])
    for place, name in enumerate("qkv"):
        build.add("Gather", ["t", build.constant(f"{name}.place", np.int64(place))], f"{name}h", axis=0)
    build.add("Transpose", ["kh"], "kt", perm=[0, 1, 3, 2])
    build.attend("qh", "kt", "vh", "a")
    total = build.heads * build.size
    return build.finish(
        folder, "fused-attention", "a", "qkv.m", [("out.w", 0, lambda ps: sorted({p % total for p in ps}))],
        together=3 * build.size)


def measured_attention(folder):
    """Heads folded into the axis of samples. All sizes are computed when the model runs, from those of other tensors too, and so
    is the scale."""
    build = Tokens()
    build.projection("x", "qkv", build.width, 3 * build.heads * build.size)
    build.add("Shape", ["x"], "sizes")
    for name, axis in [("n", 0), ("t", 1), ("narrow", 2)]:
        build.add("Gather", ["sizes", build.integers(f"{name}.axis", axis)], name)
    build.add("Mul", ["narrow", build.integers("two", 2)], "wide")
    build.add("Mul", ["n", build.integers("heads", build.heads)], "folded")
    build.add("Concat", ["n", "t", build.integers("three", 3), "wide"], "apart", axis=0)
    build.add("Concat", ["t", "folded", build.integers("size", build.size)], "in heads", axis=0)
    build.add("Concat", ["t", "n", "wide"], "together", axis=0)
    build.add("Reshape", ["qkv", "apart"], "r")
    build.add("Transpose", ["r"], "tr", perm=[2, 1, 0, 3])
    for place, (name, perm) in enumerate([("q", [1, 0, 2]), ("k", [1, 2, 0]), ("v", [1, 0, 2])]):
        build.add("Gather", ["tr", build.constant(f"{name}.place", np.int64(place))], f"{name}g", axis=0)
        build.add("Reshape", [f"{name}g", "in heads"], f"{name}r")
        build.add("Transpose", [f"{name}r"], f"{name}h", perm=perm)
    build.add("Shape", ["qh"], "q sizes")
    build.add("Gather", ["q sizes", build.constant("last", np.int64(2))], "head")
    build.add("Cast", ["head"], "head.f", to=int(FLOAT))
    build.add("Sqrt", ["head.f"], "root")
    build.add("MatMul", ["qh", "kh"], "a.s")
    build.add("Div", ["a.s", "root"], "a.scaled")
    build.add("Softmax", ["a.scaled"], "a.p", axis=-1)
    build.add("MatMul", ["a.p", "vh"], "a.o")
    build.add("Transpose", ["a.o"], "a.t", perm=[1, 0, 2])
    build.add("Reshape", ["a.t", "together"], "a.r")
    build.add("Transpose", ["a.r"], "a", perm=[1, 0, 2])
    total = build.heads * build.size
    return build.finish(
        folder, "measured-attention", "a", "qkv.m", [("out.w", 0, lambda ps: sorted({p % total for p in ps}))],
        together=3 * build.size)


def regained_batch(folder):
    """Heads folded into the axis of samples, whose number is regained from them: their product over the number of heads."""
    build = Tokens()
    total = build.heads * build.size
    build.add("Shape", ["x"], "sizes")
    for name, axis in [("n", 0), ("t", 1)]:
        build.add("Gather", ["sizes", build.integers(f"{name}.axis", axis)], name)
    build.add("Mul", ["n", build.integers("heads", build.heads)], "folded")
    build.add("Concat", ["folded", build.integers("any", -1), build.integers("size", build.size)], "in heads", axis=0)
    for name, perm in [("q", [0, 1, 2]), ("k", [0, 2, 1]), ("v", [0, 1, 2])]:
        build.projection("x", name, build.width, total)
        build.add("Reshape", [name, build.integers(f"{name}.shape", 0, 0, build.heads, build.size)], f"{name}r")
        build.add("Transpose", [f"{name}r"], f"{name}t", perm=[0, 2, 1, 3])
        build.add("Reshape", [f"{name}t", "in heads"], f"{name}f")
        build.add("Transpose", [f"{name}f"], f"{name}h", perm=perm)
    build.add("MatMul", ["qh", "kh"], "a.s")
    build.add("Softmax", ["a.s"], "a.p", axis=-1)
    build.add("MatMul", ["a.p", "vh"], "a.o")
    build.add("Shape", ["a.o"], "a.sizes")
    build.add("Gather", ["a.sizes", build.integers("first", 0)], "a.folded")
    build.add("Div", ["a.folded", "heads"], "regained")
    build.add("Concat", ["regained", "heads", "t", "size"], "apart", axis=0)
    build.add("Concat", ["regained", "t", build.integers("total", total)], "together", axis=0)
    build.add("Reshape", ["a.o", "apart"], "a.r")
    build.add("Transpose", ["a.r"], "a.t", perm=[0, 2, 1, 3])
    build.add("Reshape", ["a.t", "together"], "a")
    return build.finish(folder, "regained-batch", "a", "q.m", [("out.w", 0, same)])


def head_sizes(folder):
    """One head, of which places go: the scale follows from its size when the model runs, and stays what it was."""
    build = Tokens()
    build.heads, build.size = 1, 8
    for name in "qkv":
        build.projection("x", name, build.width, build.size)
    build.add("Transpose", ["k"], "kt", perm=[0, 2, 1])
    build.add("Shape", ["q"], "q sizes")
    build.add("Gather", ["q sizes", build.integers("last", 2)], "head")
    build.add("Cast", ["head"], "head.f", to=int(FLOAT))
    build.add("Sqrt", ["head.f"], "root")
    build.add("MatMul", ["q", "kt"], "a.s")
    build.add("Div", ["a.s", "root"], "a.scaled")
    build.add("Softmax", ["a.scaled"], "a.p", axis=-1)
    build.add("MatMul", ["a.p", "v"], "a")
    return build.finish(
        folder, "head-sizes", "a", "q.m", [("k.w", 1, same), ("k.b", 0, same)], kind="neurons", together=1)


def grouped_queries(folder):
    """Two queries share a key and are turned by their position: they go together."""
    build = Tokens()
    shared = build.heads // 2
    half = build.size // 2
    build.constant("cos", build.random.normal(size=(1, 1, 1, build.size)).astype(np.float32))
    build.constant("sin", build.random.normal(size=(1, 1, 1, build.size)).astype(np.float32))
    for name, heads in [("q", build.heads), ("k", shared), ("v", shared)]:
        build.projection("x", name, build.width, heads * build.size)
        build.in_heads(name, f"{name}h", heads)
    for name in "qk":
        for part, (start, end) in [("first", (0, half)), ("second", (half, build.size))]:
            build.add(
                "Slice", [f"{name}h", build.integers(f"{name}.{part}.start", start),
                          build.integers(f"{name}.{part}.end", end), build.integers(f"{name}.{part}.axis", 3)],
                f"{name}.{part}")
        build.add("Neg", [f"{name}.second"], f"{name}.minus")
        build.add("Concat", [f"{name}.minus", f"{name}.first"], f"{name}.turned", axis=-1)
        build.add("Mul", [f"{name}h", "cos"], f"{name}.c")
        build.add("Mul", [f"{name}.turned", "sin"], f"{name}.s")
        build.add("Add", [f"{name}.c", f"{name}.s"], f"{name}.rotated")
    for name, data in [("k", "k.rotated"), ("v", "vh")]:
        build.add("Unsqueeze", [data, build.integers(f"{name}.place", 2)], f"{name}.u")
        build.add("Expand", [f"{name}.u", build.integers(f"{name}.copies", 1, 1, 2, 1, 1)], f"{name}.e")
        build.add("Reshape", [f"{name}.e", build.integers(f"{name}.all", 0, build.heads, -1, build.size)], f"{name}.heads")
    build.add("Transpose", ["k.heads"], "kt", perm=[0, 1, 3, 2])
    build.attend("q.rotated", "kt", "v.heads", "a")
    return build.finish(
        folder, "grouped-queries", "a", "q.m", [("out.w", 0, same)], together=2 * build.size)


def operator_attention(folder):
    """The Attention operator, in three dimensions, with shared keys: its numbers of heads change."""
    build = Tokens()
    shared = build.heads // 2
    for name, heads in [("q", build.heads), ("k", shared), ("v", shared)]:
        build.projection("x", name, build.width, heads * build.size)
    build.add("Attention", ["q", "k", "v"], "a", q_num_heads=build.heads, kv_num_heads=shared)
    return build.finish(
        folder, "operator-attention", "a", "q.m", [("out.w", 0, same)], together=2 * build.size, opset=23)


def standardised(folder):
    """The second convolution's kernels are standardised whenever the model runs: their means run over the channels that they read."""
    build = Images()
    build.conv("x", "a", 8, 3)
    build.add("Relu", ["a"], "ar")
    build.weight("raw", 6, 8, 3, 3)
    axes = build.integers("kernel", 1, 2, 3)
    build.add("ReduceMean", ["raw", axes], "mean")
    build.add("Sub", ["raw", "mean"], "centred")
    build.add("Mul", ["centred", "centred"], "squares")
    build.add("ReduceMean", ["squares", axes], "variance")
    build.add("Sqrt", ["variance"], "deviation")
    build.add("Div", ["centred", "deviation"], "unit")
    build.add("Conv", ["ar", "unit"], "b", pads=[1] * 4)
    build.add("Relu", ["b"], "br")
    build.head("br", 6)
    # The raw kernels zeroed would have other means: the layer that writes the channels is zeroed instead.
    return build.finish(folder, "standardised", "a", [("a.w", 0, same), ("a.b", 0, same)], opset=18)


def stream(folder, name, norm, readers, opset=18):
    """A residual stream that normalised branches read and write."""
    build = Tokens()
    wide = 16
    build.projection("x", "in", build.width, wide)
    for place, before in (("first", "in"), ("last", "stream")):
        build.constant(f"{place}.scale", build.random.uniform(0.5, 1.5, wide).astype(np.float32))
        norm(build, before, place)
        if place == "first":
            build.projection("first", "up", wide, 10)
            build.add("Relu", ["up"], "act")
            build.projection("act", "down", 10, wide)
            build.add("Add", ["in", "down"], "stream")
    build.weight("out.w", wide, 5)
    build.add("MatMul", ["last", "out.w"], "y")
    paths = build.save(
        folder, name, [("x", FLOAT, ["n", "t", build.width])], [("y", FLOAT, ["n", "t", 5])],
        {"x": build.random.normal(size=(12, 7, build.width)).astype(np.float32)}, opset=opset)
    written = [(weight, axis, same) for weight, axis in (("in.w", 1), ("in.b", 0), ("down.w", 1), ("down.b", 0))]
    return Subject(*paths, "in.m", "channels", written + readers, sizes=[(3, 5, build.width)])


def layer_normalised(folder):
    """Channels of a residual stream go, and mean and variance stay those of all, of zeros in their place."""
    def norm(build, before, output):
        shift = build.constant(f"{output}.shift", build.random.normal(size=16).astype(np.float32))
        build.add("LayerNormalization", [before, f"{output}.scale", shift], output)

    return stream(folder, "layer-normalised", norm, [("up.w", 0, same), ("out.w", 0, same)])


def mean_square_normalised(folder):
    """The same where exporters write the normalisation as the mean of squares: it stays that of all."""
    def norm(build, before, output):
        build.add("Mul", [before, before], f"{output}.squares")
        build.add("ReduceMean", [f"{output}.squares", build.integers(f"{output}.axis", -1)], f"{output}.mean")
        build.add("Sqrt", [f"{output}.mean"], f"{output}.root")
        build.add("Div", [before, f"{output}.root"], f"{output}.unit")
        build.add("Mul", [f"{output}.unit", f"{output}.scale"], output)

    return stream(folder, "mean-square-normalised", norm, [])


def operator_mean_square_normalised(folder):
    """The same as one operator, which operator set 23 has."""
    def norm(build, before, output):
        build.add("RMSNormalization", [before, f"{output}.scale"], output, axis=-1)

    return stream(
        folder, "operator-mean-square-normalised", norm, [("up.w", 0, same), ("out.w", 0, same)], opset=23)


def neurons(folder):
    """Neurons of a gated layer: both halves of one projection."""
    build = Tokens()
    build.projection("x", "in", build.width, 48)
    build.add("Split", ["in"], ["gate", "value"], axis=-1)
    build.add("Sigmoid", ["gate"], "open")
    build.add("Mul", ["gate", "open"], "silu")
    build.add("Mul", ["silu", "value"], "g")
    return build.finish(
        folder, "neurons", "g", "in.m", [("out.w", 0, lambda ps: sorted({p % 24 for p in ps}))], kind="neurons",
        together=2)


def recurrent(folder):
    """Channels of columns that a recurrent layer reads, in both directions, as text recognisers have them."""
    build = Images()
    build.conv("x", "a", 8, 3)
    build.add("Relu", ["a"], "ar")
    build.add("ReduceMean", ["ar"], "columns", axes=[2], keepdims=0)
    build.add("Transpose", ["columns"], "sequence", perm=[2, 0, 1])
    build.weight("lstm.w", 2, 20, 8)
    build.weight("lstm.r", 2, 20, 5)
    build.constant("lstm.b", build.random.normal(size=(2, 40)).astype(np.float32))
    build.add("LSTM", ["sequence", "lstm.w", "lstm.r", "lstm.b"], "both", hidden_size=5, direction="bidirectional")
    build.add("Transpose", ["both"], "together", perm=[0, 2, 1, 3])
    build.add("Reshape", ["together", build.integers("joined", 0, 0, -1)], "features")
    build.add("ReduceMean", ["features"], "mean", axes=[0], keepdims=0)
    build.weight("fc", 10, 5)
    build.add("MatMul", ["mean", "fc"], "y")
    return build.finish(folder, "recurrent", "a", [("lstm.w", 2, same)])


ALL = [
    plain, shared_vectors, residual, grouped, depthwise, single_output, concatenated, split, computed_bounds, flattened, viewed,
    pixel_shuffle, space_to_depth, channel_shuffle, squeeze_excite, padded, padded_channels, group_normalised, transposed, tied,
    attention, fused_attention, measured_attention, regained_batch, head_sizes, grouped_queries, operator_attention, neurons,
    standardised, layer_normalised, mean_square_normalised, operator_mean_square_normalised, recurrent,
]
