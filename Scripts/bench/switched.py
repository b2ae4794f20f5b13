"""The networks of the benchmarks in eager PyTorch, with a switch on every edge that Espalier may remove.

A switch is how the loops that people write remove a part (SLEB's `sleb.py` and its like): the module keeps a set of
names that are off and, in `forward`, does not compute what is off. `NETWORKS` names them all; `switch_of` tells which
switch an edge of the exported model is.
"""

import re

import torch
from torch import nn


class Switched(nn.Module):
    """A module some of whose edges can be off."""

    def __init__(self):
        super().__init__()
        self.off = set()

    def sum_of(self, names, first, second):
        """first() + second(), without what is off; both are functions, so that nothing is computed in vain."""
        kept = [part for name, part in zip(names, (first, second)) if name not in self.off]
        return kept[0]() + kept[1]() if len(kept) == 2 else kept[0]()


class ResidualBlock(Switched):
    """Two 3x3 convolutions and a shortcut (He et al. 2016, figure 2; a 1x1 convolution where shapes change)."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs))
        self.shortcut = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        return torch.relu(self.sum_of(("Add:0", "Add:1"), lambda: self.body(x), lambda: self.shortcut(x)))


class ResNet(nn.Module):
    """He et al. 2016, section 4.2, for CIFAR: `image` [N, 3, 32, 32] -> `logits` [N, 10]; 6 * `blocks` + 2 layers."""

    shape = (3, 32, 32)

    def __init__(self, blocks):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU())
        layers = []
        for stage, (inputs, outputs) in enumerate(((16, 16), (16, 32), (32, 64))):
            for index in range(blocks):
                first = index == 0
                layers.append(ResidualBlock(inputs if first else outputs, outputs, 2 if first and stage else 1))
        self.blocks = nn.Sequential(*layers)
        self.head = nn.Linear(64, 10)

    def forward(self, image):
        return self.head(torch.flatten(nn.functional.adaptive_avg_pool2d(self.blocks(self.stem(image)), 1), 1))


class Attention(Switched):
    """Multi-head self-attention, [N, tokens, width] -> the same."""

    def __init__(self, width, heads):
        super().__init__()
        self.shape = (heads, width // heads)
        self.query, self.key, self.value, self.output = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x):
        count, tokens, width = x.shape
        query, key, value = (
            linear(x).reshape(-1, tokens, *self.shape).transpose(1, 2)
            for linear in (self.query, self.key, self.value))
        if "MatMul:0" in self.off:
            scores = x.new_zeros(count, self.shape[0], tokens, tokens)
        else:
            scores = query @ key.transpose(2, 3) * self.shape[1] ** -0.5
        if "MatMul_1:0" in self.off:
            return self.output(torch.zeros_like(x))
        return self.output((torch.softmax(scores, -1) @ value).transpose(1, 2).reshape(-1, tokens, width))


class GELU(Switched):
    """x / 2 * (1 + erf(x / sqrt 2))."""

    def forward(self, x):
        return torch.zeros_like(x) if "Mul:0" in self.off else nn.functional.gelu(x)


class EncoderBlock(Switched):
    """Pre-norm attention and MLP, each with its skip connection (Dosovitskiy et al. 2021, equations 2 and 3)."""

    def __init__(self, width, heads):
        super().__init__()
        self.attention = nn.Sequential(nn.LayerNorm(width), Attention(width, heads))
        self.mlp = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 4 * width), GELU(), nn.Linear(4 * width, width))

    def forward(self, x):
        x = self.sum_of(("Add:0", "Add:1"), lambda: x, lambda: self.attention(x))
        return self.sum_of(("Add_1:0", "Add_1:1"), lambda: x, lambda: self.mlp(x))


class Encoder(nn.Module):
    """A transformer encoder that classifies: `image` [N, 1, 28, 28] in sixteen 7x7 patches -> `logits` [N, 10]."""

    shape = (1, 28, 28)

    def __init__(self, width=128, layers=6, heads=4, patch=7):
        super().__init__()
        self.width, self.tokens = width, (28 // patch) ** 2
        self.patches = nn.Conv2d(1, width, patch, patch)
        self.positions = nn.Parameter(0.02 * torch.randn(1, self.tokens, width))
        self.blocks = nn.Sequential(*(EncoderBlock(width, heads) for _ in range(layers)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, 10)

    def forward(self, image):
        tokens = self.patches(image).reshape(-1, self.width, self.tokens).transpose(1, 2) + self.positions
        return self.head(self.norm(self.blocks(tokens)).mean(1))


NETWORKS = {"resnet20": lambda: ResNet(3), "resnet56": lambda: ResNet(9), "encoder6": Encoder}


def switch_of(network, candidate):
    """The switch of a candidate that `espalier inspect --json` lists, as the module to turn and the name in its set.

    The exporter names a node after its module: /blocks/blocks.2/attention/attention.1/MatMul_1 is the second MatMul
    of `blocks.2.attention.1`.
    """
    *modules, operator = candidate["consumer"].strip("/").split("/")
    path = []
    for name in modules:
        # Sequential modules come twice: once by their own name, and once with the index of the member.
        path = path[:-1] + name.split(".") if re.fullmatch(r"\w+\.\d+", name) else path + [name]
    return network.get_submodule(".".join(path)), f"{operator}:{candidate['slot']}"
