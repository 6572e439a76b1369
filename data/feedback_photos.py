"""The photos that feedback is about, with their labelled boxes: further scenes for the training of a detector.

`data.feedback` stores them. About the rest of such a photo, nothing is known.
"""

import hashlib
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from data.errors import ImageError, SourceError
from data.feedback import BOXES_SUFFIX, LabelledBox, read_boxes
from data.files import Folder, read_file
from data.images import DECODER_VERSION, Picture, Pixels, lies_inside, read_size
from data.prepare import ShowProgress, save_array
from data.task import Task


@dataclass(frozen=True)
class LabelledPhoto:
    """A photo with labelled boxes.

    Attributes:
        name: name of the file.
        size: (height, width) of the upright photo in pixels.
        boxes: at least one.
    """

    name: str
    size: tuple[int, int]
    boxes: tuple[LabelledBox, ...]


@dataclass(frozen=True)
class DecodedPhoto:
    """A decoded photo with labelled boxes; about the rest of the photo, nothing is known.

    Attributes:
        pixels: shape (rows, columns, 3), uint8 in [0, 255], read-only.
        signs: boxes that show a class: left, top, right, bottom in these pixels.
        others: boxes that show none of the classes.
    """

    pixels: Pixels
    signs: tuple[tuple[float, float, float, float], ...]
    others: tuple[tuple[float, float, float, float], ...]


@dataclass(frozen=True)
class PhotoSource:
    """Labelled photos in a folder.

    Attributes:
        files: the files in the folder.
        photos: sorted by name; may be empty.
    """

    files: Folder
    photos: tuple[LabelledPhoto, ...]

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the boxes and bytes of all photos; hexadecimal.

        Raises:
            SourceError: a file is missing or cannot be read.
        """
        digest = hashlib.sha256()
        for photo in self.photos:
            known = [(each.box, each.class_index) for each in photo.boxes]
            digest.update(f"{known} {_digest(read_file(self.files, photo.name))}\n".encode())
        return digest.hexdigest()

    def decode(
        self,
        cache: Path,
        max_pixels: int,
        show_progress: ShowProgress[DecodedPhoto] = lambda items, _total: items,
    ) -> list[DecodedPhoto]:
        """Decode all photos as for recognition, or map them from the cache into memory.

        Args:
            cache: folder of the cache.
            max_pixels: larger photos are reduced; see `data.images.Picture.decode_photo`.
            show_progress: shows a progress bar.

        Raises:
            SourceError: a photo is missing, or cannot be read or decoded.
            OSError: the cache cannot be written.
        """
        cache.mkdir(parents=True, exist_ok=True)
        decoded = (self._decode(photo, cache, max_pixels) for photo in self.photos)
        return list(show_progress(decoded, len(self.photos)))

    def _decode(self, photo: LabelledPhoto, cache: Path, max_pixels: int) -> DecodedPhoto:
        payload = read_file(self.files, photo.name)
        path = cache / f"photo-{_digest(payload)[:16]}-{max_pixels}-decoder{DECODER_VERSION}.npy"
        if not path.exists():
            try:
                pixels = Picture(payload).decode_photo(max_pixels).pixels
            except ImageError as error:
                raise SourceError(f"{self.files.location}/{photo.name}: {error}") from error
            with tempfile.TemporaryDirectory(dir=cache) as folder:
                save_array(Path(folder, path.name), pixels)
                Path(folder, path.name).rename(path)
        pixels = np.load(path, mmap_mode="r")
        (height, width), (rows, columns) = photo.size, pixels.shape[:2]
        across, down = columns / width, rows / height
        scaled = [
            ((left * across, top * down, right * across, bottom * down), each.class_index is not None)
            for each in photo.boxes
            for left, top, right, bottom in [each.box]
        ]
        return DecodedPhoto(
            pixels,
            signs=tuple(box for box, is_sign in scaled if is_sign),
            others=tuple(box for box, is_sign in scaled if not is_sign),
        )


def open_photos(location: Path, task: Task) -> PhotoSource:
    """Open the labelled photos in a folder; none if it does not exist.

    Raises:
        SourceError: a file is damaged, a photo is missing, a box is outside its photo, or there is no such class.
    """
    files = Folder(location)
    photos = []
    for path in sorted(location.glob(f"*{BOXES_SUFFIX}")):
        name, boxes = path.name.removesuffix(BOXES_SUFFIX), read_boxes(path)
        try:
            size = read_size(read_file(files, name))
        except ImageError as error:
            raise SourceError(f"{location}/{name}: {error}") from error
        for each in boxes:
            if each.class_index is not None and not 0 <= each.class_index < len(task.labels):
                raise SourceError(f"{path}: there is no class {each.class_index}")
            if not lies_inside(each.box, size):
                raise SourceError(f"{path}: the box {each.box} is empty or not inside the photo")
        photos.append(LabelledPhoto(name, size, boxes))
    return PhotoSource(files, tuple(photos))


def _digest(payload: bytes) -> str:
    return hashlib.sha256(payload).hexdigest()
