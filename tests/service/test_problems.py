"""Messages for clients."""

from pathlib import Path

import pytest

from service.problems import without_paths


@pytest.mark.parametrize(
    ("text", "folders", "expected"),
    [
        ("/srv/a/b/card.json is damaged", ["/srv/a/b"], "card.json is damaged"),
        ("nothing in /srv/a. Try /srv/a/x.zip", ["/srv/a"], "nothing in a. Try x.zip"),
        ("/srv/a/b/c", ["/srv/a", "/srv/a/b"], "c"),
        ("see /srv/ab/c", ["/srv/a"], "see /srv/ab/c"),
        ("data/x and a/y", ["a"], "data/x and y"),
        ("http://host/docs/ and data/store", ["/"], "http://host/docs/ and data/store"),
    ],
)
def test_message_loses_the_paths_of_the_server_and_nothing_else(text: str, folders: list[str], expected: str) -> None:
    assert without_paths(text, *map(Path, folders)) == expected
