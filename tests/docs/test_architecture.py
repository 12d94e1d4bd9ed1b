"""ARCHITECTURE.md says what the code does: its tree exists, its drawings take the code's own steps in their order."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from corelaunch.bootstrap.sync import MESSAGES
from corelaunch.lifecycle import CREATE_STEPS, EXEC_STEPS

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "ARCHITECTURE.md").read_text()


def block(heading: str) -> str:
    return PAGE.split(f"\n## {heading}\n", 1)[1].split("```", 2)[1]


@pytest.mark.parametrize(("heading", "steps"), [("create → start", CREATE_STEPS), ("exec", EXEC_STEPS)])
def test_the_drawing_takes_the_steps_of_the_code_in_their_order(heading: str, steps: tuple[str, ...]) -> None:
    notes = [note.split(":")[0].strip() for note in re.findall(r"Note over P: (.*)", block(heading))]
    assert [note for note in notes if note in steps] == list(steps)


def test_the_drawings_use_the_messages_of_the_protocol_and_all_of_them() -> None:
    drawn = set(re.findall(r">>\w+: ([A-Z_0-9]{3,})\b", block("create → start") + block("exec")))
    assert drawn - {"EOF"} == set(MESSAGES) - {"LOG", "ERROR"}


def test_every_path_of_the_tree_exists() -> None:
    stack: list[tuple[int, Path]] = []
    missing = []
    for line in block("The tree").splitlines()[1:]:
        indent = len(line) - len(line.lstrip())
        stack = [(depth, path) for depth, path in stack if depth < indent]
        parent = stack[-1][1] if stack else ROOT
        for name in line[:27].split():
            path = parent / name
            if not path.exists():
                missing.append(str(path))
            if name.endswith("/"):
                stack.append((indent, path))
    assert not missing


def test_every_test_that_the_seed_table_names_exists() -> None:
    for path, name in re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", PAGE):
        text = (ROOT / path).read_text()
        assert not name or f"def {name}(" in text, f"{path} has no {name}"


def test_every_row_of_the_seed_has_its_line_and_its_test() -> None:
    source = (ROOT / "tests/host/test_seed.py").read_text()
    tests = re.findall(r"^def (test_\w+)", source, re.MULTILINE)
    rows = dict(re.findall(r"^\| ([^|]+) \|[^|]+\| `tests/host/test_seed\.py::(\w+)` \|$", PAGE, re.MULTILINE))
    assert [test for test in rows.values()] == tests
    for row, test in rows.items():
        words = re.sub(r"([a-z])([A-Z])", r"\1_\2", row.replace("IO", "Io")).lower()
        assert test == "test_" + re.sub(r"\W+", "_", words).strip("_"), row
