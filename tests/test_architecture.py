"""The picture in docs/architecture.md shows the folders and imports that there are."""

import ast
import json
import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest

from tests.conftest import ROOT

DOCUMENT = ROOT / "docs" / "architecture.md"
_NODE = re.compile(r'(\w+)\["([^"<]+)(?:<br>[^"<]+)*"\]')
_ARROW = re.compile(r"(\w+(?: & \w+)*) (-->|-\.->)(?:\|[^|]+\|)? (\w+(?: & \w+)*)")

Arrow = tuple[str, str]
Parts = tuple[str, ...]


def read_picture(text: str) -> tuple[dict[str, str], set[Arrow], set[Arrow]]:
    """Return the path of each node, and the solid and the dotted arrows, all by the names of nodes."""
    [block] = re.findall(r"^```mermaid\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    first, *lines = [line.strip() for line in block.splitlines() if line.strip()]
    assert first.startswith("flowchart")
    nodes: dict[str, str] = {}
    arrows: dict[str, set[Arrow]] = {"-->": set(), "-.->": set()}
    for line in lines:
        if node := _NODE.fullmatch(line):
            nodes[node[1]] = node[2]
        elif arrow := _ARROW.fullmatch(line):
            arrows[arrow[2]].update(product(arrow[1].split(" & "), arrow[3].split(" & ")))
        else:
            pytest.fail(f"this line of the picture is neither a node nor an arrow: {line}")
    assert {name for arrow in arrows["-->"] | arrows["-.->"] for name in arrow} <= set(nodes)
    return nodes, arrows["-->"], arrows["-.->"]


TEXT = DOCUMENT.read_text(encoding="utf-8")
NODES, IMPORTS, OTHERS = read_picture(TEXT)
ROOMS: dict[Parts, str] = {Path(path).with_suffix("").parts: name for name, path in NODES.items()}


def room_of(parts: Parts) -> str | None:
    """Return the innermost room that a file or module lies in, if it is in one."""
    return next((ROOMS[parts[:end]] for end in range(len(parts), 0, -1) if parts[:end] in ROOMS), None)


def code_files(folder: Path) -> Iterator[Path]:
    """Yield the modules and notebooks of a package and of the packages in it; other folders may hold a data set."""
    for path in sorted(folder.iterdir()):
        if path.is_dir() and (path / "__init__.py").exists():
            yield from code_files(path)
        elif path.suffix in {".py", ".ipynb"}:
            yield path


def read_code(path: Path) -> str:
    """Return the code of a module, or that of a notebook without its magics."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        return text
    lines = [
        line
        for cell in json.loads(text)["cells"]
        if cell["cell_type"] == "code"
        for line in "".join(cell["source"]).splitlines()
    ]
    return "\n".join(line for line in lines if not line.startswith(("%", "!")))


def imported_modules(code: str) -> Iterator[Parts]:
    """Yield what the code imports, within functions too; a name from a package may be a module of it."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            yield from (tuple(alias.name.split(".")) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "use absolute imports"
            yield from ((*(node.module or "").split("."), alias.name) for alias in node.names)


def imports_between_rooms() -> dict[Arrow, list[str]]:
    """Return which files make each arrow, relative to the root."""
    paths = [ROOT / path for path in NODES.values()]
    files = {file for path in paths for file in (code_files(path) if path.is_dir() else [path])}
    found: dict[Arrow, list[str]] = {}
    for file in sorted(files):
        relative = file.relative_to(ROOT)
        importer = room_of(relative.with_suffix("").parts)
        assert importer, relative
        for module in imported_modules(read_code(file)):
            imported = room_of(module)
            if imported and imported != importer:
                found.setdefault((importer, imported), []).append(str(relative))
    return found


FOUND = imports_between_rooms()


def test_every_room_of_the_picture_exists() -> None:
    assert [path for path in NODES.values() if not (ROOT / path).exists()] == []
    assert [path for path in NODES.values() if (ROOT / path).is_dir() != path.endswith("/")] == []


def test_every_package_is_in_the_picture() -> None:
    packages = {f"{path.parent.name}/" for path in ROOT.glob("*/__init__.py")} - {"tests/"}
    assert packages <= set(NODES.values())


def test_every_solid_arrow_is_an_import() -> None:
    assert sorted(IMPORTS - set(FOUND)) == []


def test_no_dotted_arrow_is_an_import() -> None:
    assert {arrow: FOUND[arrow] for arrow in OTHERS & set(FOUND)} == {}


def test_every_import_between_rooms_is_in_the_picture() -> None:
    assert {arrow: files for arrow, files in FOUND.items() if arrow not in IMPORTS} == {}


def test_every_file_that_the_tour_names_exists() -> None:
    named = set(re.findall(r"`((?:[\w.]+/)+(?:[\w.]+\.\w+)?)`", TEXT))
    assert len(named) > 20
    assert sorted(path for path in named if not (ROOT / path).exists()) == []
