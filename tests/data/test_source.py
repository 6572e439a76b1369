"""Data sets: finding, reading, downloading, splitting and preparing them."""

import hashlib
import http.server
import shutil
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.download import download
from data.errors import SourceError, SplitError
from data.images import decode
from data.prepare import prepare
from data.source import DRAWN, Source, describe_gaps, find_source, open_labelled, open_source
from data.split import split_by_group
from data.task import Download, Task
from data.tasks.traffic_sign.drawing.render import write_drawn
from tests.conftest import drawing, encoded


@pytest.fixture(scope="module")
def kaggle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data set in Kaggle's layout with two pictures per class, not marked as drawn."""
    folder = tmp_path_factory.mktemp("kaggle") / "gtsrb"
    write_drawn(folder, 2, seed=1)
    (folder / "ORIGIN").unlink()
    return folder


@pytest.fixture(scope="module")
def official(kaggle: Path, tmp_path_factory: pytest.TempPathFactory, task: Task) -> Path:
    """Return the same pictures in the layout of the official archive."""
    root = tmp_path_factory.mktemp("official")
    images = root / "GTSRB" / "Final_Training" / "Images"
    source = open_source(kaggle, task)
    for example in source.examples:
        name = Path(example.path).stem[6:] + ".ppm"
        folder = images / f"{example.class_index:05d}"
        folder.mkdir(parents=True, exist_ok=True)
        pixels = decode(source.read(example), example.size)
        header = f"P6\n{example.size[1]} {example.size[0]}\n255\n".encode()
        (folder / name).write_bytes(header + pixels.tobytes())
        with (folder / f"GT-{example.class_index:05d}.csv").open("a") as table:
            if table.tell() == 0:
                table.write("Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId\n")
            cells = (name, example.size[1], example.size[0], *example.box, example.class_index)
            table.write(";".join(map(str, cells)) + "\n")
    return root


def write_test_set(source: Source, table: Path, picture: str, header: str) -> None:
    """Write the first ten classes of a source as a test set; `picture` is the path of a file relative to the table."""
    delimiter = ";" if ";" in header else ","
    lines = [header]
    for number, example in enumerate(e for e in source.examples if e.class_index < 10):
        path = table.parent / picture.format(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(source.read(example))
        cells = {"Path": picture.format(number), "Filename": path.name, "ClassId": example.class_index}
        cells |= dict(zip(("Roi.X1", "Roi.Y1", "Roi.X2", "Roi.Y2"), example.box, strict=True))
        cells |= {"Height": example.size[0], "Width": example.size[1]}
        lines.append(delimiter.join(str(cells[column]) for column in header.split(delimiter)))
    table.write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def kaggle_with_test(kaggle: Path, tmp_path_factory: pytest.TempPathFactory, task: Task) -> Path:
    """Return a data set in Kaggle's layout with a training table and a test table."""
    folder = Path(shutil.copytree(kaggle, tmp_path_factory.mktemp("kaggle_with_test") / "gtsrb"))
    header = "Width,Height,Roi.X1,Roi.Y1,Roi.X2,Roi.Y2,ClassId,Path"
    write_test_set(open_source(kaggle, task), folder / "Test.csv", "Test/{:05d}.png", header)
    return folder


@pytest.fixture(scope="module")
def official_test(official: Path, tmp_path_factory: pytest.TempPathFactory, task: Task) -> Path:
    """Return the extracted official test set: labels at the top, pictures deeper, next to a table without classes."""
    folder = tmp_path_factory.mktemp("official_test")
    header = "Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2"
    picture, source = "GTSRB/Final_Test/Images/{:05d}.ppm", open_source(official, task)
    write_test_set(source, folder / "GT-final_test.csv", picture, f"{header};ClassId")
    write_test_set(source, folder / Path(picture).with_name("GT-final_test.test.csv"), "{:05d}.ppm", header)
    return folder


def zip_folder(folder: Path, path: Path, compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder))
    return path


def copy_folder(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def test_kaggle_folder_lists_class_track_and_box(kaggle: Path, task: Task) -> None:
    source = open_source(kaggle, task)
    assert len(source.examples) == 86
    example = next(e for e in source.examples if e.path == "Train/14/00014_00001_00000.png")
    assert (example.class_index, example.group) == (14, "00014/00001")
    assert example.box[2] <= example.size[1]


def test_both_layouts_give_the_same_examples_as_folder_and_archive(
    kaggle: Path, official: Path, tmp_path: Path, task: Task
) -> None:
    def contents(location: Path) -> list[tuple[object, ...]]:
        source = open_source(location, task)
        return sorted(
            (e.class_index, e.group, e.box, decode(source.read(e), e.size).tobytes()) for e in source.examples
        )

    expected = contents(kaggle)
    assert contents(official) == expected
    assert contents(zip_folder(kaggle, tmp_path / "archive.zip")) == expected
    assert contents(zip_folder(official, tmp_path / "official.zip")) == expected


def contents_of_test_set(source: Source) -> list[tuple[object, ...]]:
    assert not source.grouped
    assert [e.group for e in source.examples] == [e.path for e in source.examples]
    contents = (
        (Path(e.path).stem, e.class_index, e.box, decode(source.read(e), e.size).tobytes()) for e in source.examples
    )
    return sorted(contents)


def test_training_uses_the_training_table_and_evaluation_the_test_table(
    kaggle_with_test: Path, tmp_path: Path, task: Task
) -> None:
    archive = zip_folder(kaggle_with_test, tmp_path / "archive.zip")
    for location in (kaggle_with_test, archive, tmp_path):
        training, test = open_source(location, task), open_labelled(location, task)
        assert (len(training.examples), training.grouped) == (86, True)
        assert len(test.examples) == 20
        assert {e.class_index for e in test.examples} == set(range(10))
        assert contents_of_test_set(test) == contents_of_test_set(open_labelled(kaggle_with_test, task))


def test_official_test_set_is_read_from_any_arrangement(official_test: Path, tmp_path: Path, task: Task) -> None:
    images = official_test / "GTSRB"
    (tmp_path / "archives").mkdir()
    zip_folder(images, tmp_path / "archives" / "GTSRB_Final_Test_Images.zip")
    with zipfile.ZipFile(tmp_path / "archives" / "GTSRB_Final_Test_GT.zip", "w") as archive:
        archive.write(official_test / "GT-final_test.csv", "GT-final_test.csv")
    shutil.copytree(images / "Final_Test" / "Images", tmp_path / "together")
    shutil.copy(official_test / "GT-final_test.csv", tmp_path / "together")
    shutil.copytree(images, tmp_path / "apart" / "pictures")
    (tmp_path / "apart" / "labels").mkdir()
    shutil.copy(official_test / "GT-final_test.csv", tmp_path / "apart" / "labels")
    expected = contents_of_test_set(open_labelled(official_test, task))
    assert len(expected) == 20
    archive_of_all = zip_folder(official_test, tmp_path / "all.zip")
    for location in (tmp_path / "archives", tmp_path / "together", tmp_path / "apart", archive_of_all):
        assert contents_of_test_set(open_labelled(location, task)) == expected, location


def test_contest_pictures_are_not_mistaken_for_the_official_test_set(
    official_test: Path, tmp_path: Path, task: Task
) -> None:
    """Contest pictures have the same names but are fewer, and their folder comes first."""
    folder = copy_folder(official_test, tmp_path)
    (folder / "Contest").mkdir()
    for number in range(15):
        (folder / "Contest" / f"{number:05d}.ppm").write_bytes(encoded(drawing(), "PPM"))
    assert {Path(e.path).parts[0] for e in open_labelled(folder, task).examples} == {"GTSRB"}


def test_official_test_table_without_classes_is_ignored(official_test: Path, tmp_path: Path, task: Task) -> None:
    folder = copy_folder(official_test, tmp_path)
    (folder / "GT-final_test.csv").unlink()
    with pytest.raises(SourceError, match=r"00000\.ppm: the class of this picture is unknown"):
        open_labelled(folder, task)


def test_error_names_the_missing_picture_of_a_test_set(official_test: Path, tmp_path: Path, task: Task) -> None:
    folder = copy_folder(official_test, tmp_path)
    (folder / "GTSRB/Final_Test/Images/00007.ppm").unlink()
    with pytest.raises(SourceError, match=r"Images/00007\.ppm: listed in the table, but missing"):
        open_labelled(folder, task)


def test_table_without_rows_is_rejected(kaggle_with_test: Path, tmp_path: Path, task: Task) -> None:
    table = tmp_path / "Test.csv"
    table.write_text((kaggle_with_test / "Test.csv").read_text().splitlines()[0])
    with pytest.raises(SourceError, match="lists no pictures"):
        open_labelled(tmp_path, task)


def test_training_set_without_some_classes_can_be_evaluated(kaggle: Path, tmp_path: Path, task: Task) -> None:
    folder = copy_folder(kaggle, tmp_path)
    table = folder / "Train.csv"
    table.write_text("".join(line for line in table.read_text().splitlines(True) if "/14/" not in line))
    source = open_labelled(folder, task)
    assert (len(source.examples), source.grouped) == (84, True)
    assert len(open_labelled(zip_folder(folder, tmp_path / "archive.zip"), task).examples) == 84


@pytest.mark.parametrize("row", [",,,,\n", ",,,,,,,\n,,,,,,,\n", ",,,,,,,,,,,,\n", "\n\n"])
def test_empty_rows_of_a_table_are_skipped(kaggle: Path, tmp_path: Path, task: Task, row: str) -> None:
    """Spreadsheets leave them at the end."""
    folder = copy_folder(kaggle, tmp_path)
    with (folder / "Train.csv").open("a") as table:
        table.write(row)
    assert open_source(folder, task).examples == open_source(kaggle, task).examples


def write_class_folders(folder: Path) -> Path:
    """Write pictures of 60 × 40 pixels to folders with every kind of class name, and unrelated files."""
    wide, exif = drawing().resize((60, 40)), Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    files = {
        "14/a.png": encoded(wide),
        "00014/a.PNG": encoded(wide),
        "Stop/photo of a sign.jpg": encoded(wide, "JPEG"),
        "Stop/turned.jpeg": encoded(wide, "JPEG", exif=exif),
        "Speed limit (20km/h)/a.webp": encoded(wide, "WEBP"),  # two folders, because of the slash
        "deeper/1/a.ppm": encoded(wide, "PPM"),
        "1/a.bmp": encoded(wide, "BMP"),
        "14/.DS_Store": b"\0",
        "__MACOSX/14/._a.png": b"\0",
        "notes.txt": b"mine",
    }
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def test_class_folders_are_read(tmp_path: Path, task: Task) -> None:
    folder = write_class_folders(tmp_path / "mine")
    source = open_labelled(folder, task)
    assert [(e.path, e.class_index) for e in source.examples] == [
        ("00014/a.PNG", 14),
        ("1/a.bmp", 1),
        ("14/a.png", 14),
        ("Speed limit (20km/h)/a.webp", 0),
        ("Stop/photo of a sign.jpg", 14),
        ("Stop/turned.jpeg", 14),
        ("deeper/1/a.ppm", 1),
    ]
    assert {(e.size, e.box) for e in source.examples if "turned" not in e.path} == {((40, 60), (0, 0, 60, 40))}
    assert [(e.size, e.box) for e in source.examples if "turned" in e.path] == [((60, 40), (0, 0, 40, 60))]
    assert source.origin == "mine"
    archive = open_labelled(zip_folder(folder, tmp_path / "archive.zip"), task)
    assert contents_of_test_set(archive) == contents_of_test_set(source)


@pytest.mark.parametrize("name", ["stopp", "43", "-1", "²", "9" * 200])
def test_error_names_the_folder_that_is_not_a_class(tmp_path: Path, task: Task, name: str) -> None:
    write_class_folders(tmp_path)
    (tmp_path / name).mkdir()
    (tmp_path / name / "a.png").write_bytes(encoded(drawing()))
    with pytest.raises(
        SourceError, match=rf"{name}/a\.png: .* '{name}' is neither a class index, 0 to 42, nor the name"
    ):
        open_labelled(tmp_path, task)


def test_error_names_the_unreadable_picture_in_a_class_folder(tmp_path: Path, task: Task) -> None:
    write_class_folders(tmp_path)
    (tmp_path / "14" / "b.jpg").write_bytes(b"no picture")
    with pytest.raises(SourceError, match=r"14/b\.jpg: these bytes are not a picture"):
        open_labelled(tmp_path, task)


def test_location_without_labelled_pictures_is_rejected(tmp_path: Path, task: Task) -> None:
    with pytest.raises(SourceError, match="no such folder or archive"):
        open_labelled(tmp_path / "nowhere", task)
    with pytest.raises(SourceError, match="no labelled pictures in a known layout"):
        open_labelled(tmp_path, task)
    (tmp_path / "broken.zip").write_bytes(b"PK nothing")
    with pytest.raises(SourceError, match=r"broken\.zip: cannot be opened"):
        open_labelled(tmp_path, task)


def test_archive_in_the_store_is_found(kaggle: Path, tmp_path: Path, task: Task) -> None:
    zip_folder(kaggle, tmp_path / "archive.zip")
    assert find_source(task, tmp_path).origin == task.data.name


def test_error_for_an_empty_store_lists_the_ways_to_get_data(tmp_path: Path, task: Task) -> None:
    with pytest.raises(SourceError, match=r"--download[\s\S]*--data PATH[\s\S]*--data drawn"):
        find_source(task, tmp_path)


def test_drawings_are_never_picked_automatically(tmp_path: Path, task: Task) -> None:
    write_drawn(tmp_path / DRAWN, 1, seed=0)
    write_drawn(tmp_path / "elsewhere", 1, seed=0)
    with pytest.raises(SourceError, match="Ways to get one"):
        find_source(task, tmp_path)
    assert open_source(tmp_path / "elsewhere", task).origin == DRAWN


def test_incomplete_data_set_is_reported(kaggle: Path, task: Task) -> None:
    [gap] = describe_gaps(open_source(kaggle, task), task)
    assert "86" in gap
    assert "39,209" in gap


def test_error_names_the_class_without_examples(kaggle: Path, tmp_path: Path, task: Task) -> None:
    folder = copy_folder(kaggle, tmp_path)
    table = folder / "Train.csv"
    table.write_text("".join(line for line in table.read_text().splitlines(True) if "/14/" not in line))
    with pytest.raises(SourceError, match=r"no examples of class 14 \(Stop\)"):
        open_source(folder, task)


def test_error_names_the_missing_file(kaggle: Path, tmp_path: Path, task: Task) -> None:
    folder = copy_folder(kaggle, tmp_path)
    (folder / "Train/14/00014_00001_00000.png").unlink()
    with pytest.raises(SourceError, match=r"00014_00001_00000\.png: listed in the table, but missing"):
        open_source(folder, task)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (",", ";", "Train.csv: the columns are separated by ';'; save the table with ',' instead"),
        ("ClassId", "Class", "line 2: no value in column 'ClassId'"),
        (",14,Train/14/00014_00000", ",99,Train/14/00014_00000", r"classes \[99\]"),
        (",14,Train/14/00014_00000", ",x,Train/14/00014_00000", "invalid literal"),
        ("00014_00000_00000.png", "0" * 200_000, "field larger than field limit"),
        ("00014_00000_00000.png", "photo.png", "'photo.png' does not have the form CCCCC_TTTTT_FFFFF"),
    ],
)
def test_mistakes_in_a_table_are_reported(
    kaggle: Path, tmp_path: Path, task: Task, old: str, new: str, reason: str
) -> None:
    folder = copy_folder(kaggle, tmp_path)
    table = folder / "Train.csv"
    table.write_text(table.read_text().replace(old, new))
    with pytest.raises(SourceError, match=reason):
        open_source(folder, task)


@pytest.mark.parametrize("content", [b"", b"not a picture", None], ids=["empty", "text", "truncated"])
def test_unreadable_picture_stops_the_preparation(
    kaggle: Path, tmp_path: Path, task: Task, content: bytes | None
) -> None:
    folder = copy_folder(kaggle, tmp_path)
    path = folder / "Train/7/00007_00001_00000.png"
    path.write_bytes(path.read_bytes()[:300] if content is None else content)
    with pytest.raises(SourceError, match=r"00007_00001_00000\.png: .*(empty|not a picture|truncated)"):
        prepare(open_source(folder, task), task, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_error_names_the_broken_archive(tmp_path: Path, task: Task) -> None:
    (tmp_path / "archive.zip").write_bytes(b"PK nothing")
    with pytest.raises(SourceError, match=r"archive\.zip: cannot be opened"):
        open_source(tmp_path / "archive.zip", task)


def test_error_names_the_broken_picture_in_an_archive(kaggle: Path, tmp_path: Path, task: Task) -> None:
    path = zip_folder(kaggle, tmp_path / "archive.zip", zipfile.ZIP_DEFLATED)
    with zipfile.ZipFile(path) as archive:
        member = archive.getinfo("Train/14/00014_00001_00000.png")
    content = bytearray(path.read_bytes())
    start = member.header_offset + 30 + len(member.filename)
    content[start : start + member.compress_size] = b"\xff" * member.compress_size
    path.write_bytes(content)
    with pytest.raises(SourceError, match=r"archive\.zip/Train/14/00014_00001_00000\.png: cannot be read"):
        prepare(open_source(path, task), task, tmp_path / "cache")


def test_photos_take_precedence_over_drawings_in_the_same_folder(kaggle: Path, tmp_path: Path, task: Task) -> None:
    write_drawn(tmp_path / DRAWN, 1, seed=0)
    shutil.copytree(kaggle, tmp_path / "photos" / "deeper")
    assert open_source(tmp_path, task).origin == task.data.name


def test_location_without_data_is_rejected(tmp_path: Path, task: Task) -> None:
    with pytest.raises(SourceError, match="no such folder or archive"):
        open_source(tmp_path / "nowhere", task)
    with pytest.raises(SourceError, match="no data set in a known layout"):
        open_source(tmp_path, task)


def test_preparation_is_cached_until_the_data_changes(kaggle: Path, tmp_path: Path, task: Task) -> None:
    folder, cache = copy_folder(kaggle, tmp_path), tmp_path / "cache"
    first = prepare(open_source(folder, task), task, cache)
    again = prepare(open_source(zip_folder(folder, tmp_path / "archive.zip"), task), task, cache)
    assert np.array_equal(first.pixels[:], again.pixels[:])
    assert len(list(cache.iterdir())) == 1
    shutil.copy(folder / "Train/3/00003_00000_00000.png", folder / "Train/3/00003_00001_00000.png")
    prepare(open_source(folder, task), task, cache)
    assert len(list(cache.iterdir())) == 2


def test_roi_is_cropped_before_resizing_and_cached_separately(
    kaggle_with_test: Path, tmp_path: Path, task: Task
) -> None:
    source = open_labelled(kaggle_with_test, task)
    whole = prepare(source, task, tmp_path)
    cropped = prepare(source, task, tmp_path, roi=True)
    for row, example in enumerate(source.examples):
        left, top, right, bottom = example.box
        native = decode(source.read(example), example.size)[top:bottom, left:right]
        assert np.array_equal(cropped.pixels[row], decode(encoded(Image.fromarray(native)), task.input_size))
    assert (cropped.boxes == (0, 0, 1, 1)).all()
    assert not (whole.boxes == (0, 0, 1, 1)).all()
    assert len(list(tmp_path.iterdir())) == 2
    assert not cropped.grouped
    assert np.array_equal(prepare(source, task, tmp_path).pixels[:], whole.pixels[:])


def test_roi_has_no_effect_without_boxes(tmp_path: Path, task: Task) -> None:
    source = open_labelled(write_class_folders(tmp_path / "pictures"), task)
    whole, cropped = (prepare(source, task, tmp_path / "cache", roi=roi) for roi in (False, True))
    assert np.array_equal(whole.pixels[:], cropped.pixels[:])
    assert np.array_equal(whole.boxes, cropped.boxes)


def test_error_names_the_picture_that_is_smaller_than_its_box(
    kaggle_with_test: Path, tmp_path: Path, task: Task
) -> None:
    folder = copy_folder(kaggle_with_test, tmp_path)
    (folder / "Test/00003.png").write_bytes(encoded(drawing().resize((10, 10))))
    with pytest.raises(
        SourceError, match=r"Test/00003\.png: the box .* does not lie inside the picture of 10 × 10 pixels"
    ):
        prepare(open_labelled(folder, task), task, tmp_path / "cache", roi=True)


def test_excluded_tracks_are_left_out(kaggle: Path, tmp_path: Path, task: Task) -> None:
    excluding = replace(task, data=replace(task.data, excluded_groups=frozenset({"00003/00001"})))
    prepared = prepare(open_source(kaggle, task), excluding, tmp_path)
    assert len(prepared) == 85
    assert "00003/00001" not in prepared.groups


def test_split_keeps_tracks_together_and_holds_out_tracks_of_every_class() -> None:
    rng = np.random.default_rng(0)
    groups = np.array([f"{c}/{t}" for c in range(5) for t in range(2 + 4 * c) for _ in range(30)])
    class_index = np.array([int(group.split("/")[0]) for group in groups])
    order = rng.permutation(len(groups))
    groups, class_index = groups[order], class_index[order]
    training, validation = split_by_group(class_index, groups, 0.1, seed=0)
    assert sorted([*training, *validation]) == list(range(len(groups)))
    assert not set(groups[training]) & set(groups[validation])
    held_out = [len(set(groups[validation][class_index[validation] == c])) for c in range(5)]
    assert held_out == [1, 1, 1, 1, 2]


def test_split_is_reproducible_by_seed() -> None:
    groups = np.array([f"0/{t}" for t in range(50)])
    class_index = np.zeros(50, np.int64)
    first, again, other = (split_by_group(class_index, groups, 0.1, seed)[1] for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_class_with_a_single_track_cannot_be_split() -> None:
    with pytest.raises(SplitError, match="class 3 has 1 group"):
        split_by_group(np.full(30, 3), np.full(30, "3/0"), 0.1, seed=0)


@pytest.fixture
def archive_server(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Yield the address of a web server on loopback and the folder it serves."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: object) -> None:
            super().__init__(*args, directory=str(folder))  # type: ignore[arg-type]

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever).start()
    yield f"http://127.0.0.1:{server.server_port}", folder
    server.shutdown()
    server.server_close()


def with_archive(task: Task, url: str, content: bytes) -> Task:
    digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
    return replace(task, data=replace(task.data, archives=(Download(url, digest),)), scenes=None, detector={})


def test_downloaded_archive_is_found_and_not_downloaded_again(
    archive_server: tuple[str, Path], official: Path, tmp_path: Path, task: Task
) -> None:
    url, folder = archive_server
    content = zip_folder(official, folder / "images.zip").read_bytes()
    store = tmp_path / "store"
    [path] = download(with_archive(task, f"{url}/images.zip", content), store, progress=False)
    assert path == store / "images.zip"
    assert len(find_source(task, store).examples) == 86
    (folder / "images.zip").unlink()
    download(with_archive(task, f"{url}/images.zip", content), store, progress=False)  # not downloaded again


def test_download_with_another_checksum_is_rejected(
    archive_server: tuple[str, Path], tmp_path: Path, task: Task
) -> None:
    url, folder = archive_server
    (folder / "images.zip").write_bytes(b"something else")
    with pytest.raises(SourceError, match="download failed"):
        download(with_archive(task, f"{url}/images.zip", b"the expected content"), tmp_path / "store", progress=False)
    assert not (tmp_path / "store" / "images.zip").exists()


def test_failed_download_is_reported(archive_server: tuple[str, Path], tmp_path: Path, task: Task) -> None:
    url, _ = archive_server
    with pytest.raises(SourceError, match="download failed"):
        download(with_archive(task, f"{url}/nothing.zip", b""), tmp_path / "store", progress=False)
