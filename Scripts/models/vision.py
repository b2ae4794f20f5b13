"""Image models of the zoo: `full=False` gives the architecture's own wiring at a fraction of its width."""

import torchvision_stub  # noqa: F401  (first: it repairs the import of torchvision)
import timm
import torch
from timm.models import efficientnet
from torch import nn
from torchvision.models import convnext, densenet, mobilenetv3, resnet, squeezenet
from torchvision.models.swin_transformer import SwinTransformer


class NarrowResNet18(nn.Module):
    """torchvision's `resnet18` with the four stages `widths` wide (its constructor fixes 64 to 512)."""

    def __init__(self, widths, classes):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, widths[0], 7, 2, 3, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU(), nn.MaxPool2d(3, 2, 1))
        blocks, inputs = [], widths[0]
        for stage, width in enumerate(widths):
            for stride in (1 if stage == 0 else 2, 1):
                shortcut = None
                if stride != 1 or inputs != width:
                    shortcut = nn.Sequential(resnet.conv1x1(inputs, width, stride), nn.BatchNorm2d(width))
                blocks.append(resnet.BasicBlock(inputs, width, stride, shortcut))
                inputs = width
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(inputs, classes)

    def forward(self, image):
        return self.head(torch.flatten(nn.functional.adaptive_avg_pool2d(self.blocks(self.stem(image)), 1), 1))


class UNet(nn.Module):
    """`image` [N, 3, H, W] -> `logits` [N, 1, H, W]; one level up by ConvTranspose, the others by Resize."""

    def __init__(self, widths):
        super().__init__()
        self.down = nn.ModuleList(self.block(i, o) for i, o in zip((3,) + widths, widths))
        self.transpose = nn.ConvTranspose2d(widths[-1], widths[-2], 2, 2)
        self.up = nn.ModuleList()
        inputs = widths[-2]
        for width in reversed(widths[:-1]):
            self.up.append(self.block(inputs + width, width))
            inputs = width
        self.head = nn.Conv2d(inputs, 1, 1)

    @staticmethod
    def block(inputs, outputs):
        return nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.LeakyReLU(0.1))

    def forward(self, image):
        skips, value = [], image
        for level, block in enumerate(self.down):
            value = block(value if level == 0 else nn.functional.max_pool2d(value, 2))
            skips.append(value)
        for level, block in enumerate(self.up):
            if level == 0:
                value = self.transpose(value)
            else:
                value = nn.functional.interpolate(value, scale_factor=2, mode="bilinear", align_corners=False)
            value = block(torch.cat([value, skips[-2 - level]], 1))
        return self.head(value)


def resnet18(full):
    return resnet.resnet18() if full else NarrowResNet18((4, 8, 16, 32), 10)


def mobilenet_v3_small(full):
    if full:
        return mobilenetv3.mobilenet_v3_small()
    settings, last = mobilenetv3._mobilenet_v3_conf("mobilenet_v3_small", width_mult=0.05)
    return mobilenetv3.MobileNetV3(settings, last, num_classes=10)


def densenet121(full):
    if full:
        return densenet.densenet121()
    return densenet.DenseNet(growth_rate=6, block_config=(2, 3, 4, 2), num_init_features=12, bn_size=4, num_classes=10)


class NarrowSqueezeNet(squeezenet.SqueezeNet):
    """SqueezeNet 1.1's fire modules at a quarter of their width or less."""

    def __init__(self, classes):
        super().__init__("1_1", classes)
        fire, pool = squeezenet.Fire, lambda: nn.MaxPool2d(3, 2, ceil_mode=True)
        self.features = nn.Sequential(
            nn.Conv2d(3, 16, 3, 2), nn.ReLU(inplace=True), pool(), fire(16, 8, 16, 16), fire(32, 8, 16, 16), pool(),
            fire(32, 12, 24, 24), fire(48, 12, 24, 24), pool(), fire(48, 16, 32, 32), fire(64, 16, 32, 32))
        self.classifier = nn.Sequential(
            nn.Dropout(), nn.Conv2d(64, classes, 1), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d((1, 1)))


def squeezenet1_1(full):
    return squeezenet.squeezenet1_1() if full else NarrowSqueezeNet(10)


def efficientnet_b0(full):
    if full:
        return timm.create_model("efficientnet_b0")
    return efficientnet._gen_efficientnet("efficientnet_b0", 0.08, 0.5, num_classes=10)


def convnext_tiny(full):
    if full:
        return convnext.convnext_tiny()
    setting = convnext.CNBlockConfig
    stages = [setting(8, 16, 2), setting(16, 24, 2), setting(24, 32, 3), setting(32, None, 1)]
    return convnext.ConvNeXt(stages, layer_scale=0.5, num_classes=10)


def vit(full):
    if full:
        return timm.create_model("vit_base_patch16_224")
    return timm.create_model(
        "vit_tiny_patch16_224", img_size=32, patch_size=8, embed_dim=32, depth=3, num_heads=4, num_classes=10)


def swin(full):
    if full:
        return SwinTransformer([4, 4], 96, [2, 2, 6, 2], [3, 6, 12, 24], [7, 7])
    return SwinTransformer([2, 2], 12, [2, 2], [2, 4], [4, 4], num_classes=10)


def unet(full):
    return UNet((64, 128, 256, 512)) if full else UNet((6, 10, 16))
