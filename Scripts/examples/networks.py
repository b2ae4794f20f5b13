"""The two example networks: a ResNet-20 and a small vision transformer on 8x8 images."""

import torch
from torch import nn


class ResidualBlock(nn.Module):
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
        return torch.relu(self.body(x) + self.shortcut(x))


class DigitsResNet(nn.Module):
    """ResNet-20 (He et al. 2016, section 4.2): `image` [N, 1, 8, 8] -> `logits` [N, 10]; 9 residual additions."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU())
        blocks = []
        for stage, (inputs, outputs) in enumerate(((16, 16), (16, 32), (32, 64))):
            for index in range(3):
                first = index == 0
                blocks.append(ResidualBlock(inputs if first else outputs, outputs, 2 if first and stage else 1))
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(64, 10)

    def forward(self, image):
        return self.head(torch.flatten(nn.functional.adaptive_avg_pool2d(self.blocks(self.stem(image)), 1), 1))


class Attention(nn.Module):
    """Multi-head self-attention over `tokens` positions, [N, tokens, width] -> the same."""

    def __init__(self, tokens, width, heads):
        super().__init__()
        self.shape = (-1, tokens, heads, width // heads)
        self.query, self.key, self.value, self.output = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x):
        query, key, value = (
            linear(x).reshape(self.shape).transpose(1, 2) for linear in (self.query, self.key, self.value))
        weights = torch.softmax(query @ key.transpose(2, 3) * self.shape[3] ** -0.5, -1)
        return self.output((weights @ value).transpose(1, 2).reshape(-1, self.shape[1], self.shape[2] * self.shape[3]))


class TransformerBlock(nn.Module):
    """Pre-norm attention and MLP, each with its skip connection (Dosovitskiy et al. 2021, equations 2 and 3)."""

    def __init__(self, tokens, width, heads):
        super().__init__()
        self.attention = nn.Sequential(nn.LayerNorm(width), Attention(tokens, width, heads))
        self.mlp = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x):
        x = x + self.attention(x)
        return x + self.mlp(x)


class DigitsViT(nn.Module):
    """`image` [N, 1, 8, 8] in sixteen 2x2 patches -> `logits` [N, 10]; 4 layers, 8 residual additions."""

    def __init__(self, width=48, layers=4, heads=4):
        super().__init__()
        self.width = width
        self.patches = nn.Conv2d(1, width, 2, 2)
        self.positions = nn.Parameter(0.02 * torch.randn(1, 16, width))
        self.blocks = nn.Sequential(*(TransformerBlock(16, width, heads) for _ in range(layers)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, 10)

    def forward(self, image):
        tokens = self.patches(image).reshape(-1, self.width, 16).transpose(1, 2) + self.positions
        return self.head(self.norm(self.blocks(tokens)).mean(1))
