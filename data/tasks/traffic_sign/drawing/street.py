"""Draw whole street scenes with several signs: samples for the page."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from data.tasks.traffic_sign.drawing.render import draw_sign

WIDTH, HEIGHT = 1200, 800
HORIZON = 430  # pixels from the top
FINE = 2  # the scene is drawn this many times as large and then reduced
METAL = (150, 153, 155)
WALLS = ((214, 196, 168), (190, 170, 150), (222, 214, 200), (176, 120, 96), (200, 188, 150))
ROOFS = ((120, 62, 48), (96, 70, 62), (84, 84, 90))

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Post:
    """A post with signs on it, from the top down.

    Attributes:
        x: pixels from the left.
        top: of the uppermost sign, in pixels from the top.
        side: of the signs, in pixels.
        signs: class indices.
    """

    x: int
    top: int
    side: int
    signs: tuple[int, ...]


TOWN = (Post(260, 330, 44, (1,)), Post(980, 210, 104, (12, 38)), Post(700, 372, 26, (17,)), Post(160, 286, 62, (27,)))
COUNTRY = (Post(960, 200, 112, (23,)), Post(250, 334, 48, (7, 9)), Post(800, 340, 40, (31,)), Post(690, 388, 22, (10,)))


def draw_street(posts: Sequence[Post], seed: int, *, houses: bool) -> Image.Image:
    """Draw a street, 1200 × 800 pixels, RGB.

    Args:
        posts: the posts with the signs.
        seed: random seed of everything else.
        houses: whether there are houses on both sides; otherwise there are trees and fields.
    """
    rng = np.random.default_rng(seed)
    image = _sky(rng)
    canvas = ImageDraw.Draw(image)
    _ground(canvas, houses)
    if houses:
        _houses(canvas, rng)
    _trees(image, rng, 8 if houses else 26)
    _road(canvas)
    for post in sorted(posts, key=lambda post: post.side):
        _post(image, post, rng)
    return _photograph(image, rng)


def _sky(rng: np.random.Generator) -> Image.Image:
    size = WIDTH * FINE, HEIGHT * FINE
    ramp = np.linspace(0, 1, HEIGHT * FINE)[:, None, None]
    colours = np.array([104, 150, 205]) * (1 - ramp) + np.array([226, 234, 240]) * np.minimum(1.6 * ramp, 1)
    sky = Image.fromarray(np.clip(np.broadcast_to(colours, (HEIGHT * FINE, WIDTH * FINE, 3)), 0, 255).astype(np.uint8))
    cells = (rng.random((9, 14)) * 255).astype(np.uint8)
    clouds = (
        Image.fromarray(cells).resize(size, Image.Resampling.BICUBIC).point(lambda level: max(0, (level - 120) * 1.5))
    )
    return Image.composite(Image.new("RGB", size, (245, 247, 250)), sky, clouds)


def _ground(canvas: ImageDraw.ImageDraw, houses: bool) -> None:
    colour = (148, 146, 142) if houses else (112, 132, 74)
    canvas.rectangle(_fine(0, HORIZON, WIDTH, HEIGHT), fill=colour)
    if not houses:
        hills = [(0, HORIZON), (0, 400), (240, 372), (520, 404), (800, 380), (1200, 396), (1200, HORIZON)]
        canvas.polygon([(x * FINE, y * FINE) for x, y in hills], fill=(98, 120, 92))


def _road(canvas: ImageDraw.ImageDraw) -> None:
    def across(share: float, y: int) -> float:
        """Return x at a share of the road's width, which grows from the horizon towards the viewer."""
        near = (y - HORIZON) / (HEIGHT - HORIZON)
        return 610 + (share - 0.5) * (16 + 1150 * near)

    def stripe(left: float, right: float, top: int, bottom: int, colour: Colour) -> None:
        corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
        canvas.polygon([(across(share, y) * FINE, y * FINE) for share, y in corners], fill=colour)

    stripe(0, 1, HORIZON, HEIGHT, (88, 88, 92))
    for share in (0.035, 0.965):
        stripe(share - 0.008, share + 0.008, HORIZON, HEIGHT, (226, 226, 222))
    y = HORIZON + 8.0
    while y < HEIGHT:
        length = (y - HORIZON) * 0.35
        stripe(0.494, 0.506, round(y), min(round(y + length), HEIGHT), (230, 230, 226))
        y += 2.6 * length


def _houses(canvas: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    for start, direction in ((560, -1), (660, 1)):
        x, size = float(start), 40.0
        while -260 < x < WIDTH + 260:
            height, width = size * rng.uniform(1.5, 2.1), size * rng.uniform(1.0, 1.4)
            bottom = HORIZON + size * 0.28
            left, right = (x - width, x) if direction < 0 else (x, x + width)
            wall = WALLS[rng.integers(len(WALLS))]
            roof = ROOFS[rng.integers(len(ROOFS))]
            canvas.rectangle(_fine(left, bottom - height, right, bottom), fill=wall)
            ridge = [(left - 0.06 * width, bottom - height), ((left + right) / 2, bottom - 1.45 * height)]
            ridge.append((right + 0.06 * width, bottom - height))
            canvas.polygon([(px * FINE, py * FINE) for px, py in ridge], fill=roof)
            for row in range(int(rng.integers(2, 4))):
                for column in range(3):
                    px, py = left + (0.14 + 0.27 * column) * width, bottom - height * (0.9 - 0.3 * row)
                    canvas.rectangle(_fine(px, py, px + 0.16 * width, py + 0.15 * height), fill=(70, 84, 100))
            x += direction * width * 1.04
            size *= 1.32


def _trees(image: Image.Image, rng: np.random.Generator, count: int) -> None:
    for distance in np.sort(rng.random(count)):
        size = 24 + 190 * distance**2
        side = rng.choice([-1, 1])
        x = 610 + side * (60 + 560 * distance * rng.uniform(0.75, 1.25))
        bottom = HORIZON + 2 + 70 * distance**2
        canvas = ImageDraw.Draw(image)
        canvas.rectangle(_fine(x - size * 0.03, bottom - size * 0.5, x + size * 0.03, bottom), fill=(78, 64, 50))
        green = np.array([70, 96, 48]) + rng.integers(-14, 15, 3)
        for _ in range(150):
            dx, dy = rng.normal(0, 0.17, 2) * size
            radius = size * rng.uniform(0.03, 0.07)
            colour = tuple(int(each) for each in np.clip(green + rng.integers(-18, 26) - dy / size * 50, 0, 255))
            spot = _fine(
                x + dx - radius, bottom - 0.72 * size + dy - radius, x + dx + radius, bottom - 0.72 * size + dy + radius
            )
            canvas.ellipse(spot, fill=colour)


def _post(image: Image.Image, post: Post, rng: np.random.Generator) -> None:
    canvas = ImageDraw.Draw(image)
    gap = round(post.side * 1.06)
    foot = HORIZON + post.side * 2.6
    canvas.rectangle(_fine(post.x - post.side * 0.035, post.top, post.x + post.side * 0.035, foot), fill=METAL)
    for number, class_index in enumerate(post.signs):
        sign = draw_sign(class_index, post.side * FINE).rotate(float(rng.normal(0, 1.5)), Image.Resampling.BICUBIC)
        shade = Image.new("RGB", sign.size, (round(255 * rng.uniform(0.82, 0.97)),) * 3)
        lit = ImageChops.multiply(sign.convert("RGB"), shade)
        image.paste(lit, ((post.x * FINE) - sign.width // 2, (post.top + number * gap) * FINE), sign.getchannel("A"))


def _photograph(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Reduce the drawing, blur it a little and add light fall-off and noise."""
    image = image.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS).filter(ImageFilter.GaussianBlur(0.6))
    y, x = np.mgrid[-1 : 1 : HEIGHT * 1j, -1 : 1 : WIDTH * 1j]
    pixels = np.asarray(image) * (1 - 0.12 * (x**2 + y**2))[..., None] + rng.normal(0, 3.5, (HEIGHT, WIDTH, 3))
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _fine(*values: float) -> list[float]:
    return [value * FINE for value in values]
