"""Rendered text: lines and pages in several typefaces, sizes, colours and rotations, with noise. Pixels: BGR, 0-255."""

import math
import pathlib
import sysconfig

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

# Families by the wheel that brings them; what is judged is set in none of the typefaces that a search sees.
FAMILIES = {
    "selection": ("font_roboto", "font_source_serif_pro", "font_caladea", "font_manrope"),
    "held-out": ("font_source_sans_pro", "font_hanken_grotesk", "font_lato"),
}
UNREADABLE = ("Thin", "ExtraLight")  # weights that vanish at the sizes used here


def typefaces(part):
    """The font files of a part of the data."""
    site = pathlib.Path(sysconfig.get_paths()["purelib"])
    found = [
        path for family in FAMILIES[part] for path in sorted((site / family / "files").glob("*.[ot]tf"))
        if not any(word in path.stem for word in UNREADABLE)]
    by_name = {path.stem: path for path in found}  # some come as both .otf and .ttf
    if not by_name:
        raise FileNotFoundError(f"no font files of {', '.join(FAMILIES[part])} in {site}")
    return [str(by_name[name]) for name in sorted(by_name)]


def colours(random):
    """Two RGB colours with a contrast that can be read: of the ground, of the letters."""
    light, dark = random.uniform(170, 255, 3), random.uniform(0, 90, 3)
    return (light, dark) if random.random() < 0.8 else (dark, light)


def noisy(image, random):
    """Blurs a little, adds a gradient and noise."""
    pixels = np.asarray(image, np.float32)
    height, width = pixels.shape[:2]
    if random.random() < 0.4:
        pixels = cv2.GaussianBlur(pixels, (0, 0), random.uniform(0.3, 0.9))
    slope = random.uniform(-25, 25)
    pixels = pixels + slope * np.linspace(-1, 1, width)[None, :, None]
    pixels = pixels + random.normal(0, random.uniform(1, 9), (height, width, 1))
    return np.clip(pixels, 0, 255).astype(np.uint8)[:, :, ::-1]


def line(text, fonts, random):
    """An image [H, W, 3] of a line of text, cut closely like a detector's boxes, turned by two degrees at most."""
    font = ImageFont.truetype(fonts[random.integers(len(fonts))], int(random.integers(22, 44)))
    left, top, right, bottom = font.getbbox(text)
    margin = int(random.integers(2, 7))
    ground, ink = colours(random)
    size = (right - left + 2 * margin, bottom - top + 2 * margin)
    image = Image.new("RGB", size, tuple(int(value) for value in ground))
    ImageDraw.Draw(image).text((margin - left, margin - top), text, font=font, fill=tuple(int(value) for value in ink))
    angle = random.uniform(-1.5, 1.5) if random.random() < 0.5 else 0
    image = image.rotate(angle, Image.Resampling.BICUBIC, fillcolor=tuple(int(value) for value in ground))
    return noisy(image, random)


def page(texts, fonts, random, height, width):
    """An image [height, width, 3] with some of the texts, and the corners [4, 2] of each one's box, in pixels."""
    ground, ink = colours(random)
    image = Image.new("RGB", (width, height), tuple(int(value) for value in ground))
    draw = ImageDraw.Draw(image)
    boxes, y = [], int(random.integers(8, 30))
    for text in texts:
        size = int(random.integers(13, 34))
        font = ImageFont.truetype(fonts[random.integers(len(fonts))], size)
        while font.getlength(text) > width - 16 and " " in text:
            text = text.rsplit(" ", 1)[0]
        left, top, right, bottom = font.getbbox(text)
        if right - left > width - 16:
            continue
        if y + bottom - top > height - 16:
            break
        x = int(random.integers(8, width - 8 - (right - left) + 1))
        draw.text((x - left, y - top), text, font=font, fill=tuple(int(value) for value in ink))
        boxes.append([[x, y], [x + right - left, y], [x + right - left, y + bottom - top], [x, y + bottom - top]])
        y += bottom - top + int(random.integers(8, 26))
    angle = random.uniform(-6, 6) if random.random() < 0.5 else 0.0
    image = image.rotate(angle, Image.Resampling.BICUBIC, fillcolor=tuple(int(value) for value in ground))
    return noisy(image, random), turned(np.array(boxes, np.float32).reshape(-1, 4, 2), angle, height, width)


def turned(boxes, angle, height, width):
    """Corners after Pillow has turned the image counter-clockwise about its centre."""
    cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    centre = np.array([width / 2, height / 2], np.float32)
    return (boxes - centre) @ np.array([[cosine, -sine], [sine, cosine]], np.float32) + centre


def normalised(image):
    """[3, H, W] float32 in -1...1, as the text models read it."""
    return (image.astype(np.float32).transpose(2, 0, 1) / 255 - 0.5) / 0.5


def strip(image, height, width):
    """A line as RapidOCR's classifier and recogniser get it: scaled to the height, zeros behind it."""
    scaled = min(width, math.ceil(height * image.shape[1] / image.shape[0]))
    result = np.zeros((3, height, width), np.float32)
    result[:, :, :scaled] = normalised(cv2.resize(image, (scaled, height)))
    return result
