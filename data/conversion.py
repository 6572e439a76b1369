"""Convert decoded pictures: to 8 bits, to RGB, and to a part that may reach beyond the edges."""

import numpy as np
from PIL import Image, ImageChops

BACKGROUND = (255, 255, 255)  # white, as most image viewers show behind transparent pixels


def to_8_bits(image: Image.Image) -> Image.Image:
    """Convert a picture to 8-bit samples, in mode L, RGB, LA or RGBA."""
    key = image.info.get("transparency")  # in a PNG, the colour that is transparent
    if image.mode.startswith("I"):  # 16-bit grey, which Pillow may store in 32 bits
        samples = np.asarray(image)
        grey = Image.fromarray((samples >> 8).astype(np.uint8))
        if key is not None:
            grey.putalpha(Image.fromarray(np.where(samples == key, 0, 255).astype(np.uint8)))
        return grey
    if image.mode in {"L", "RGB", "LA", "RGBA"} and key is None:
        return image
    if isinstance(key, tuple):
        image.info["transparency"] = tuple(sample & 255 for sample in key)  # the bits that count in 8-bit samples
    return image.convert("RGBA" if image.has_transparency_data else "RGB")


def make_transparent(high: Image.Image, low: Image.Image, key: tuple[int, int, int]) -> Image.Image:
    """Return a picture of 16-bit RGB samples in 8 bits, in mode RGBA, with the pixels of one colour made transparent.

    Args:
        high, low: its upper and lower bytes, each in mode RGB.
        key: the transparent colour, each sample in [0, 65535].
    """
    alpha = Image.new("L", high.size, 0)
    for channel, sample in enumerate(key):
        for samples, wanted in ((high, sample >> 8), (low, sample & 255)):
            differs = samples.getchannel(channel).point([255 * (value != wanted) for value in range(256)])
            alpha = ImageChops.lighter(alpha, differs)
    result = high.convert("RGB")
    result.info.clear()
    result.putalpha(alpha)
    return result


def flatten(image: Image.Image) -> Image.Image:
    """Convert a picture to RGB, with transparent pixels composited onto `BACKGROUND`."""
    if not image.has_transparency_data:
        return image.convert("RGB")
    return Image.alpha_composite(Image.new("RGBA", image.size, BACKGROUND), image.convert("RGBA")).convert("RGB")


def cut(image: Image.Image, left: int, top: int, right: int, bottom: int) -> Image.Image:
    """Return a part of a picture that is not empty, in its pixels; pixels at the edges are repeated beyond them."""
    columns, rows = image.size
    # At least one row and one column of the picture, however far away the box is.
    known = (
        min(max(left, 0), columns - 1),
        min(max(top, 0), rows - 1),
        min(max(right, 1), columns),
        min(max(bottom, 1), rows),
    )
    part = image.crop(known)
    if known == (left, top, right, bottom):
        return part
    across = np.clip(np.arange(left, right), 0, columns - 1) - known[0]
    down = np.clip(np.arange(top, bottom), 0, rows - 1) - known[1]
    return Image.fromarray(np.asarray(part)[down[:, None], across])
