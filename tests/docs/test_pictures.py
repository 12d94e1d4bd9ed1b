"""The pictures of the documentation are what the commands print today; their writer writes what a terminal shows."""

from __future__ import annotations

import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from types import ModuleType

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
SCRIPT = CHECKOUT / "script/pictures"
PICTURES = sorted((CHECKOUT / "docs/pictures").glob("*.svg"))
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def ansi_svg() -> ModuleType:
    sys.path.insert(0, str(CHECKOUT / "script/pictures.d"))
    try:
        import ansi_svg
    finally:
        sys.path.pop(0)
    return ansi_svg


def check(script: Path) -> tuple[int, str]:
    done = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


def test_the_pictures_are_what_the_script_makes() -> None:
    assert check(SCRIPT) == (0, "")


def test_a_picture_that_is_not_and_one_too_many_are_told(tmp_path: Path) -> None:
    (tmp_path / "script").mkdir()
    copy = tmp_path / "script/pictures"
    copy.write_text(SCRIPT.read_text())
    (tmp_path / "script/pictures.d").symlink_to(SCRIPT.with_name("pictures.d"))
    (tmp_path / "corelaunch").symlink_to(CHECKOUT / "corelaunch")
    (tmp_path / "docs/pictures").mkdir(parents=True)
    for path in PICTURES:
        (tmp_path / "docs/pictures" / path.name).write_text(path.read_text())
    assert check(copy) == (0, "")
    (tmp_path / "docs/pictures/top.svg").write_text("<svg/>")
    (tmp_path / "docs/pictures/old.svg").write_text("<svg/>")
    code, said = check(copy)
    assert code == 1
    assert "out of date: top.svg: script/pictures writes" in said and "nothing makes old.svg" in said


def test_there_is_one_of_each_thing_to_look_at() -> None:
    names = {path.stem for path in PICTURES}
    assert names == {"list", "ps", "plugins", "doctor", "plan", "top", "error", "trace"}


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.stem)
def test_a_picture_is_small_well_formed_has_a_title_and_asks_nobody_for_anything(path: Path) -> None:
    assert path.stat().st_size < 30_000
    root = ElementTree.fromstring(path.read_text())
    assert (root.findtext(f"{SVG}title") or "").startswith(("corelaunch", "an error", "the beginning"))
    assert re.findall(r"https?://[^\"]+", path.read_text()) == ["http://www.w3.org/2000/svg"]
    assert {element.tag.removeprefix(SVG) for element in root.iter()} == {"svg", "title", "rect", "g", "text"}


def test_every_picture_is_on_a_page_and_readme_shows_two_at_most() -> None:
    pages = {path: path.read_text() for path in [CHECKOUT / "README.md", *(CHECKOUT / "docs").glob("*.md")]}
    shown = {path: re.findall(r"!\[[^\]]+\]\([^)]*pictures/(\w+)\.svg\)", text) for path, text in pages.items()}
    assert {name for names in shown.values() for name in names} == {path.stem for path in PICTURES}
    assert len(shown[CHECKOUT / "README.md"]) <= 2


def texts(svg: str) -> list[tuple[float, float, str, str]]:
    """(x, y, colour, text) of each piece."""
    found = ElementTree.fromstring(svg).iter(f"{SVG}text")
    return [(float(one.get("x", "")), float(one.get("y", "")), one.get("fill", ""), one.text or "") for one in found]


def test_text_stands_in_its_column_and_line_in_its_colour(ansi_svg: ModuleType) -> None:
    svg = ansi_svg.picture("ab   \x1b[31mc d\x1b[0m\n\x1b[1mx\x1b[0m  y\n", 20, "title")
    left, cell, red = ansi_svg.MARGIN, ansi_svg.CELL, ansi_svg.COLOURS[1]
    first = ansi_svg.MARGIN + ansi_svg.SIZE
    assert texts(svg) == [
        (left, first, "", "ab"),
        (left + 5 * cell, first, red, "c d"),
        (left, first + ansi_svg.LINE, "", "x"),
        (pytest.approx(left + 3 * cell, abs=0.1), first + ansi_svg.LINE, "", "y"),
    ]
    assert svg.count('font-weight="bold"') == 1


def test_wide_characters_take_two_columns(ansi_svg: ModuleType) -> None:
    (_, wide), (x, plain) = [(one[0], one[3]) for one in texts(ansi_svg.picture("漢字  a", 20, "t"))]
    assert (wide, plain) == ("漢字", "a")
    assert x == pytest.approx(ansi_svg.MARGIN + 6 * ansi_svg.CELL, abs=0.1)


def test_what_means_something_to_xml_is_text(ansi_svg: ModuleType) -> None:
    assert texts(ansi_svg.picture("<a & b>", 20, 'a "t" <x>'))[0][3] == "<a & b>"


@pytest.mark.parametrize("text", ["\x1b[2J", "a\tb", "\x1b]0;t\x07", "\x1b[38;5;1mx", "x" * 21])
def test_what_it_cannot_show_is_an_error(ansi_svg: ModuleType, text: str) -> None:
    with pytest.raises(ValueError):
        ansi_svg.picture(text, 20, "title")
