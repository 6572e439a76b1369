"""Many pictures at once: what is taken out of archives, how requests are cut, and files that spreadsheets open."""

import csv
import io
import json
import re
import zipfile
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from tests.conftest import drawing, encoded
from tests.ui.conftest import Reply, passing_on, path_of, problem, server
from ui.history import as_csv, as_json
from ui.views import batch
from ui.views.batch import CHUNK_BYTES, CHUNK_FILES, MOST_BYTES, MOST_FILES, MOST_LISTED, MOST_UNPACKED, Batch

STOP = encoded(drawing())
PAGE = "from ui.views import batch\nbatch.show()"


def packed(files: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return an archive with these files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def unpacked(*files: tuple[str, bytes]) -> tuple[list[tuple[str, bytes | None]], list[str]]:
    """Return what is taken of files, and what a person reads."""
    notes: list[str] = []
    return list(batch._unpack(files, notes)), [re.sub(r"\\(\W|_)", r"\1", note) for note in notes]


def test_pictures_are_taken_as_they_are_and_out_of_archives_in_their_order() -> None:
    archive = packed({"b.png": b"2", "folder/": b"", "folder/deeper/a.png": b"3"})
    taken, notes = unpacked(("a.png", b"1"), ("Signs.ZIP", archive), ("c.png", b"4"))
    assert taken == [
        ("a.png", b"1"),
        ("Signs.ZIP/b.png", b"2"),
        ("Signs.ZIP/folder/deeper/a.png", b"3"),
        ("c.png", b"4"),
    ]
    assert notes == []


def test_what_a_system_hides_in_archives_is_left_out() -> None:
    archive = packed({"a.png": b"1", ".DS_Store": b"x", "__MACOSX/._a.png": b"x", "folder/.hidden.png": b"x"})
    assert unpacked(("signs.zip", archive)) == ([("signs.zip/a.png", b"1")], [])


def test_an_archive_in_an_archive_is_a_file_like_others() -> None:
    inner = packed({"a.png": b"1"})
    assert unpacked(("outer.zip", packed({"inner.zip": inner}))) == ([("outer.zip/inner.zip", inner)], [])


def test_a_file_that_grows_without_end_is_cut_where_the_service_refuses_it() -> None:
    [(_, content)], _ = unpacked(("bomb.zip", packed({"a.png": bytes(3 * MOST_BYTES)})))
    assert content is not None
    assert len(content) == MOST_BYTES + 1


def test_an_archive_without_a_picture_is_named() -> None:
    taken, notes = unpacked(("empty.zip", packed({".DS_Store": b"x"})))
    assert (taken, notes) == ([], ["There is no picture in the archive empty.zip."])


def test_who_chose_nothing_is_told_so(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UI_SERVICE_URL", service)
    app = AppTest.from_string(PAGE, default_timeout=30).run()
    app.button[0].click().run()
    assert [each.value for each in app.warning] == ["Nothing was chosen. Choose pictures or ZIP archives above first."]


def test_no_more_is_unpacked_than_memory_can_hold() -> None:
    archive = packed({"a.png": bytes(MOST_BYTES)})
    notes: list[str] = []
    count = sum(1 for _ in batch._unpack(((f"{number}.zip", archive) for number in range(100)), notes))
    assert count == MOST_UNPACKED // MOST_BYTES
    assert notes == ["Only the first 2,000 pictures and 512 MB were taken."]


def test_an_archive_of_endless_names_is_refused_before_they_are_read() -> None:
    archive = packed({f"{number:0250}.png": b"" for number in range(MOST_LISTED // 290)})
    taken, [note] = unpacked(("names.zip", archive))
    assert taken == []
    assert "its list of files has" in note
    assert unpacked(("large.zip", packed({"a.png": bytes(MOST_LISTED + 1)}, zipfile.ZIP_STORED)))[1] == []


def test_no_more_pictures_are_taken_than_the_page_says() -> None:
    taken, notes = unpacked(*((f"{number}.png", b"1") for number in range(MOST_FILES + 1)))
    assert len(taken) == MOST_FILES
    assert notes == ["Only the first 2,000 pictures and 512 MB were taken."]


def encrypted() -> bytes:
    """Return an archive whose files say that they are encrypted."""
    archive = bytearray(packed({"a.png": b"1"}, zipfile.ZIP_STORED))
    archive[6] |= 1
    archive[archive.index(b"PK\x01\x02") + 8] |= 1
    return bytes(archive)


def damaged(compression: int, start: int = 100) -> bytes:
    """Return an archive with a file of which some bytes were overwritten."""
    archive = bytearray(packed({"a.png": STOP}, compression))
    archive[start : start + 5] = b"\xff" * 5
    return bytes(archive)


@pytest.mark.parametrize(
    "archive", [b"PK\x03\x04 no archive", b"", packed({"a.png": STOP})[:-30]], ids=["none", "empty", "cut"]
)
def test_an_archive_that_cannot_be_read_is_named_and_the_rest_is_taken(archive: bytes) -> None:
    taken, [note] = unpacked(("bad.zip", archive), ("good.png", b"1"))
    assert taken == [("good.png", b"1")]
    assert "bad.zip" in note
    assert "not a zip file" in note


@pytest.mark.parametrize(
    "archive",
    [
        encrypted(),
        damaged(zipfile.ZIP_STORED),
        damaged(zipfile.ZIP_DEFLATED, 35),
        packed({"a.png": STOP}, zipfile.ZIP_BZIP2),
        packed({"a.png": STOP}, zipfile.ZIP_LZMA),
    ],
    ids=["encrypted", "damaged", "damaged deflate", "bzip2", "lzma"],
)
def test_a_file_that_cannot_be_unpacked_is_one_without_bytes(archive: bytes) -> None:
    assert unpacked(("bad.zip", archive), ("good.png", b"1")) == ([("bad.zip/a.png", None), ("good.png", b"1")], [])


def test_one_damaged_file_of_an_archive_keeps_none_of_the_others_from_an_answer(
    service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = bytearray(packed({"a.png": STOP, "b.png": b"damaged", "c.png": STOP}, zipfile.ZIP_STORED))
    archive[archive.index(b"damaged")] ^= 1
    monkeypatch.setenv("UI_SERVICE_URL", service)
    app = AppTest.from_string(PAGE, default_timeout=30).run()
    app.file_uploader[0].set_value([("signs.zip", bytes(archive), "application/zip")])
    app.button[0].click().run()
    assert not app.exception
    rows = app.dataframe[0].value.to_dict("records")
    assert [row["class_name"] for row in rows] == ["Stop", None, "Stop"]
    assert "damaged" in rows[1]["reason"]


@pytest.mark.parametrize(
    ("sizes", "ends"),
    [
        ([10], [1]),
        ([10] * (CHUNK_FILES + 1), [CHUNK_FILES, CHUNK_FILES + 1]),
        ([CHUNK_BYTES, 1, 1], [1, 3]),
        ([CHUNK_BYTES // 2] * 5, [2, 4, 5]),
        ([3 * CHUNK_BYTES, 3 * CHUNK_BYTES], [1, 2]),
        ([0, 0, 0], [3]),
    ],
)
def test_a_request_holds_neither_too_many_pictures_nor_too_many_bytes(sizes: list[int], ends: list[int]) -> None:
    longest = bytes(max(sizes))
    payloads = [memoryview(longest)[:size] for size in sizes]
    found = [0]
    while found[-1] < len(payloads):
        found.append(batch._end_of_chunk(payloads, found[-1]))  # type: ignore[arg-type]
    assert found[1:] == ends


def batch_page(url: str, monkeypatch: pytest.MonkeyPatch, names: list[str]) -> AppTest:
    """Return a page on which a person has just given pictures of a stop sign."""
    monkeypatch.setenv("UI_SERVICE_URL", url)
    app = AppTest.from_string(PAGE, default_timeout=30)
    app.session_state["batch"] = Batch(names, [STOP] * len(names))
    return app


def test_a_batch_that_was_cut_off_goes_on_where_it_was(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[int] = []
    real = passing_on(service, lambda _, answer: answer)

    def answer(request: BaseHTTPRequestHandler, body: bytes) -> Reply:
        if not path_of(request).endswith("/batch"):
            return real(request, body)
        sent.append(body.count(b"filename="))
        return Reply(problem("not_ready"), 503) if len(sent) in (2, 3, 4) else real(request, body)

    names = [f"{number}.png" for number in range(CHUNK_FILES + 2)]
    with server(answer) as url:
        app = batch_page(url, monkeypatch, names).run()
        assert app.exception
        assert len(app.session_state["batch"].results) == CHUNK_FILES
        app.run()
    assert not app.exception
    assert sent == [CHUNK_FILES, *[2] * 4]  # the page's client comes back twice by itself
    assert list(app.dataframe[0].value["file"]) == names
    assert set(app.dataframe[0].value["class_name"]) == {"Stop"}


def test_a_picture_that_is_too_large_for_its_request_only_is_sent_alone(
    service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request may have 512 megapixels in all, which eight pictures of the largest size have already."""

    def short_of_pixels(path: str, answer: Any) -> Any:
        if path.endswith("/batch") and len(answer["results"]) > 2:
            for result in answer["results"][2:]:
                del result["prediction"]
                result["problem"] = problem("too_large", "The pictures of this batch have too many pixels.")
        return answer

    with server(passing_on(service, short_of_pixels)) as url:
        app = batch_page(url, monkeypatch, ["a.png", "b.png", "c.png"]).run()
    assert list(app.dataframe[0].value["class_name"]) == ["Stop"] * 3


def test_the_bytes_of_pictures_that_are_done_are_dropped(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    app = batch_page(service, monkeypatch, ["a.png", "b.png"]).run()
    assert app.session_state["batch"].payloads == [b"", b""]


def test_the_table_speaks_german_and_the_files_the_words_of_the_contract(
    service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = batch_page(service, monkeypatch, ["a.png"])
    app.session_state["lang"] = "de"
    app.run()
    [row] = app.dataframe[0].value.to_dict("records")
    assert (row["class_name"], row["verdict"]) == ("Halt. Vorfahrt gewähren", "✓ Sicher")


def test_names_of_archives_are_shown_letter_by_letter(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UI_SERVICE_URL", service)
    app = AppTest.from_string(PAGE, default_timeout=30).run()
    name = "![spy](http://example.com/spy.png).zip"
    app.file_uploader[0].set_value([(name, b"no archive", "application/zip")])
    app.button[0].click().run()
    assert not app.exception
    assert "![spy](" not in app.warning[0].value


@pytest.mark.parametrize(
    "formula", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", '=HYPERLINK("http://example.com")']
)
def test_no_text_of_a_stranger_becomes_a_formula(formula: str) -> None:
    [row] = csv.DictReader(io.StringIO(as_csv([{"file": formula}]).decode("utf-8-sig"), newline=""))
    assert row == {"file": f"'{formula}"}


def test_numbers_stay_numbers_and_letters_stay_letters() -> None:
    rows: list[dict[str, object]] = [{"file": 'Straße, "50"\n.png', "probability": -0.5, "class_index": None}]
    content = as_csv(rows)
    assert content.startswith(b"\xef\xbb\xbf")
    [row] = csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""))
    assert row == {"file": 'Straße, "50"\n.png', "probability": "-0.5", "class_index": ""}
    assert json.loads(as_json(rows)) == rows


def test_nothing_can_be_saved_as_well() -> None:
    empty: list[dict[str, Any]] = []
    assert as_csv(empty).decode("utf-8-sig").strip() == ""
    assert json.loads(as_json(empty)) == []
