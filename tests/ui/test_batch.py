"""Many pictures at once: reading archives, splitting into requests, the table, and files for spreadsheets."""

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
from tests.ui.conftest import (
    PATIENCE_S,
    Reply,
    passing_on,
    path_of,
    problem,
    ready,
    script_of,
    server,
    shipped_labels,
)
from ui.client import Result
from ui.contract import Fact, Prediction, Task
from ui.history import as_csv, as_json
from ui.views import batch
from ui.views.batch import CHUNK_BYTES, CHUNK_FILES, MOST_BYTES, MOST_FILES, MOST_LISTED, MOST_UNPACKED, Batch

STOP = encoded(drawing())
PAGE = script_of("batch")


def packed(files: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return an archive with these files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def unpacked(*files: tuple[str, bytes]) -> tuple[list[tuple[str, bytes | None]], list[str]]:
    """Return the pictures found in files, and the messages to the person."""
    notes: list[str] = []
    return list(batch._unpack(files, notes)), [re.sub(r"\\(\W|_)", r"\1", note) for note in notes]


def test_pictures_and_archives_are_read_in_order() -> None:
    archive = packed({"b.png": b"2", "folder/": b"", "folder/deeper/a.png": b"3"})
    taken, notes = unpacked(("a.png", b"1"), ("Signs.ZIP", archive), ("c.png", b"4"))
    assert taken == [
        ("a.png", b"1"),
        ("Signs.ZIP/b.png", b"2"),
        ("Signs.ZIP/folder/deeper/a.png", b"3"),
        ("c.png", b"4"),
    ]
    assert notes == []


def test_hidden_files_in_archives_are_skipped() -> None:
    archive = packed({"a.png": b"1", ".DS_Store": b"x", "__MACOSX/._a.png": b"x", "folder/.hidden.png": b"x"})
    assert unpacked(("signs.zip", archive)) == ([("signs.zip/a.png", b"1")], [])


def test_archive_inside_an_archive_is_not_unpacked() -> None:
    inner = packed({"a.png": b"1"})
    assert unpacked(("outer.zip", packed({"inner.zip": inner}))) == ([("outer.zip/inner.zip", inner)], [])


def test_unpacked_file_is_cut_after_the_limit_of_the_service() -> None:
    [(_, content)], _ = unpacked(("bomb.zip", packed({"a.png": bytes(3 * MOST_BYTES)})))
    assert content is not None
    assert len(content) == MOST_BYTES + 1


def test_archive_without_pictures_is_reported() -> None:
    taken, notes = unpacked(("empty.zip", packed({".DS_Store": b"x"})))
    assert (taken, notes) == ([], ["The archive empty.zip contains no pictures."])


def test_empty_selection_is_reported(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UI_SERVICE_URL", service)
    app = AppTest.from_string(PAGE, default_timeout=PATIENCE_S).run()
    app.button[0].click().run()
    assert [each.value for each in app.warning] == [
        "No files were chosen. Choose pictures or ZIP archives above first."
    ]


def test_unpacked_size_of_a_batch_is_limited() -> None:
    archive = packed({"a.png": bytes(MOST_BYTES)})
    notes: list[str] = []
    count = sum(1 for _ in batch._unpack(((f"{number}.zip", archive) for number in range(100)), notes))
    assert count == MOST_UNPACKED // MOST_BYTES
    assert notes == ["Only the first 2,000 pictures and 512 MB were used."]


def test_archive_with_a_huge_file_list_is_rejected_before_it_is_read() -> None:
    archive = packed({f"{number:0250}.png": b"" for number in range(MOST_LISTED // 290)})
    taken, [note] = unpacked(("names.zip", archive))
    assert taken == []
    assert "its file list has" in note
    assert unpacked(("large.zip", packed({"a.png": bytes(MOST_LISTED + 1)}, zipfile.ZIP_STORED)))[1] == []


def test_number_of_pictures_in_a_batch_is_limited() -> None:
    taken, notes = unpacked(*((f"{number}.png", b"1") for number in range(MOST_FILES + 1)))
    assert len(taken) == MOST_FILES
    assert notes == ["Only the first 2,000 pictures and 512 MB were used."]


def encrypted() -> bytes:
    """Return an archive whose file is marked as encrypted."""
    archive = bytearray(packed({"a.png": b"1"}, zipfile.ZIP_STORED))
    archive[6] |= 1
    archive[archive.index(b"PK\x01\x02") + 8] |= 1
    return bytes(archive)


def damaged(compression: int, start: int = 100) -> bytes:
    """Return an archive with a file that has some overwritten bytes."""
    archive = bytearray(packed({"a.png": STOP}, compression))
    archive[start : start + 5] = b"\xff" * 5
    return bytes(archive)


@pytest.mark.parametrize(
    "archive",
    [b"PK\x03\x04 no archive", b"", packed({"a.png": STOP})[:-30]],
    ids=["not an archive", "empty", "truncated"],
)
def test_unreadable_archive_is_reported_and_other_files_are_used(archive: bytes) -> None:
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
def test_file_that_cannot_be_unpacked_has_no_bytes(archive: bytes) -> None:
    assert unpacked(("bad.zip", archive), ("good.png", b"1")) == ([("bad.zip/a.png", None), ("good.png", b"1")], [])


def test_other_files_of_an_archive_with_a_damaged_file_are_classified(
    service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = bytearray(packed({"a.png": STOP, "b.png": b"damaged", "c.png": STOP}, zipfile.ZIP_STORED))
    archive[archive.index(b"damaged")] ^= 1
    monkeypatch.setenv("UI_SERVICE_URL", service)
    app = AppTest.from_string(PAGE, default_timeout=PATIENCE_S).run()
    app.file_uploader[0].set_value([("signs.zip", bytes(archive), "application/zip")])
    app.button[0].click().run()
    assert not app.exception
    rows = app.dataframe[0].value.to_dict("records")
    assert [row["class_name"] for row in rows] == ["Stop", None, "Stop"]
    assert "This file is damaged" in app.markdown[-1].value


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
def test_requests_are_limited_in_pictures_and_bytes(sizes: list[int], ends: list[int]) -> None:
    longest = bytes(max(sizes))
    payloads = [memoryview(longest)[:size] for size in sizes]
    found = [0]
    while found[-1] < len(payloads):
        found.append(batch._end_of_chunk(payloads, found[-1]))  # type: ignore[arg-type]
    assert found[1:] == ends


def batch_page(url: str, monkeypatch: pytest.MonkeyPatch, names: list[str]) -> AppTest:
    """Return a page to which pictures of a stop sign were just uploaded."""
    monkeypatch.setenv("UI_SERVICE_URL", url)
    app = AppTest.from_string(PAGE, default_timeout=PATIENCE_S)
    app.session_state["batch traffic_sign"] = Batch(names, [STOP] * len(names))
    return app


def test_interrupted_batch_continues_where_it_stopped(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
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
        assert len(app.session_state["batch traffic_sign"].results) == CHUNK_FILES
        app.run()
    assert not app.exception
    assert sent == [CHUNK_FILES, *[2] * 4]  # the client retries twice
    assert list(app.dataframe[0].value["file"]) == names
    assert set(app.dataframe[0].value["class_name"]) == {"Stop"}


def test_picture_that_does_not_fit_into_its_request_is_sent_alone(
    service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit of a request is 512 megapixels, as much as eight of the largest pictures have."""

    def short_of_pixels(path: str, answer: Any) -> Any:
        if path.endswith("/batch") and len(answer["results"]) > 2:
            for result in answer["results"][2:]:
                del result["prediction"]
                result["problem"] = problem("too_large", "The pictures of this batch have too many pixels.")
        return answer

    with server(passing_on(service, short_of_pixels)) as url:
        app = batch_page(url, monkeypatch, ["a.png", "b.png", "c.png"]).run()
    assert list(app.dataframe[0].value["class_name"]) == ["Stop"] * 3


def test_bytes_of_classified_pictures_are_dropped(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    app = batch_page(service, monkeypatch, ["a.png", "b.png"]).run()
    assert app.session_state["batch traffic_sign"].payloads == [b"", b""]


def test_table_is_shown_in_german(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    app = batch_page(service, monkeypatch, ["a.png"])
    app.session_state["lang"] = "de"
    app.run()
    [row] = app.dataframe[0].value.to_dict("records")
    assert (row["class_name"], row["verdict"]) == ("Halt. Vorfahrt gewähren", "✓ Sicher")


def explained(service: str, monkeypatch: pytest.MonkeyPatch, files: dict[str, bytes | None]) -> list[str]:
    """Return the reasons that the page gives for the files of a batch."""
    app = batch_page(service, monkeypatch, [])
    app.session_state["batch traffic_sign"] = Batch(list(files), list(files.values()))
    app.run()
    assert not app.exception
    return [each.value for each in app.markdown if each.value.startswith("- ")]


def test_each_reason_for_failures_is_shown_once_with_its_files(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {f"{place}.txt": b"hello" for place in range(8)} | {"good.png": STOP, "packed.png": None}
    text, packed = explained(service, monkeypatch, files)
    assert text.startswith(r"- **0\.txt, 1\.txt, 2\.txt, 3\.txt, 4\.txt** and 3 more: ")
    assert "not a picture in a known format" in text
    assert packed.startswith(r"- **packed\.png**: This file is damaged")


def test_no_reasons_are_shown_if_nothing_failed(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert explained(service, monkeypatch, {"good.png": STOP}) == []


LABELS = shipped_labels()
SIGNS = Task.model_validate_json(json.dumps(ready()["tasks"][0]))
NUMBER = Fact(key="sign_number", title="Sign", title_de="Zeichen", short=True, in_answer=True)
KEYS = ["file", "class_index", "class_name", "sign_number", "probability", "verdict", "reason"]


def found(verdict: str) -> Result:
    """Return the result for a stop sign."""
    values = {"class_index": 14, "class_name": "Stop", "probability": 0.99999, "verdict": verdict}
    return Result(Prediction.model_validate({**values, "alternatives": (), "model": {"version": "v"}}))


@pytest.mark.parametrize(
    "result", [found("confident"), found("not_recognised"), Result(None, "Because.", "too_large")], ids=["1", "2", "3"]
)
def test_saved_columns_are_named_by_the_keys_of_the_contract(result: Result) -> None:
    assert list(batch._row("a.png", result, LABELS, [NUMBER])) == KEYS


def test_saved_rows_have_the_facts_of_the_class() -> None:
    row = batch._row("a.png", found("confident"), LABELS, [NUMBER])
    assert row == dict(zip(KEYS, ["a.png", 14, "Stop", "206", 0.99999, "confident", ""], strict=True))


def test_table_has_no_class_for_unknown_signs_and_is_never_certain() -> None:
    result = found("confident")
    row = batch._for_people(SIGNS, batch._row("a.png", result, LABELS, [NUMBER]), result.prediction)
    assert (row["class_name"], row["sign_number"], row["probability"]) == ("Stop", "206", 0.9999)
    result = found("not_recognised")
    row = batch._for_people(SIGNS, batch._row("a.png", result, LABELS, [NUMBER]), result.prediction)
    assert (row["class_name"], row["sign_number"], row["probability"], row["_example"]) == (None, None, None, None)
    assert row["_picture"]


def test_table_has_a_column_for_each_short_fact_of_the_answer(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    app = batch_page(service, monkeypatch, ["a.png"]).run()
    table = app.dataframe[0]
    assert list(table.value) == [
        "_picture", "_example", "class_name", "verdict", "probability", "sign_number", "file"
    ]  # fmt: skip
    assert table.value["sign_number"].tolist() == ["206"]
    assert json.loads(table.proto.columns)["sign_number"]["label"] == "Sign"


def test_archive_names_are_shown_unchanged(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UI_SERVICE_URL", service)
    app = AppTest.from_string(PAGE, default_timeout=PATIENCE_S).run()
    name = "![spy](http://example.com/spy.png).zip"
    app.file_uploader[0].set_value([(name, b"no archive", "application/zip")])
    app.button[0].click().run()
    assert not app.exception
    assert "![spy](" not in app.warning[0].value


@pytest.mark.parametrize(
    "formula", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", '=HYPERLINK("http://example.com")']
)
def test_untrusted_text_does_not_become_a_formula(formula: str) -> None:
    [row] = csv.DictReader(io.StringIO(as_csv([{"file": formula}]).decode("utf-8-sig"), newline=""))
    assert row == {"file": f"'{formula}"}


def test_csv_and_json_keep_numbers_and_special_characters() -> None:
    rows: list[dict[str, object]] = [{"file": 'Straße, "50"\n.png', "probability": -0.5, "class_index": None}]
    content = as_csv(rows)
    assert content.startswith(b"\xef\xbb\xbf")
    [row] = csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""))
    assert row == {"file": 'Straße, "50"\n.png', "probability": "-0.5", "class_index": ""}
    assert json.loads(as_json(rows)) == rows


def test_empty_table_can_be_saved() -> None:
    empty: list[dict[str, Any]] = []
    assert as_csv(empty).decode("utf-8-sig").strip() == ""
    assert json.loads(as_json(empty)) == []
