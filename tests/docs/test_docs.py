"""Every code block of the documentation does what the text says it does.

- ``python``: run as a script of its own; it must end with status 0.
- ``console``: each line after ``$ `` is a command and must succeed; the lines up to the next prompt are its output,
  in which ``…`` stands for anything within a line, and as a line of its own for any lines.
- ``bash`` and ``sh``: run as a script of its own.
- ``json`` and ``toml``: must parse. Other languages, and none, are prose.

The blocks of one document run in order, in one directory that has a ``bundle`` in it. A document that installs
something has a copy of the environment to itself. A block that is not to be run has a comment before it:
``<!-- not run: REASON -->``.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

Block = Any  # conftest.Block

RUNNABLE = ("python", "console", "bash", "sh", "json", "toml")
PROSE = ("", "text", "c", "ini", "diff", "mermaid")
#: A reason of one word is none.
REASON = 20


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "document" in metafunc.fixturenames:
        checkout = Path(__file__).resolve().parents[2]
        patterns = ("*.md", "docs/*.md", "plugins/*/README.md", "examples/*/README.md")
        paths = sorted(path for pattern in patterns for path in checkout.glob(pattern))
        metafunc.parametrize("document", paths, ids=[str(path.relative_to(checkout)) for path in paths])


@pytest.mark.needs_root
@pytest.mark.timeout(300)
@pytest.mark.skipif(os.geteuid() != 0, reason="the documentation is written for root")
def test_every_block_runs(document: Path, place: Path, reader: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    environment = reader.run_environment()
    if reader.installs(document):
        environment = reader.environment_of_its_own(tmp_path_factory.mktemp("reader") / "venv")
    for block in reader.blocks_of(document):
        if not block.exemption and block.language in RUNNABLE:
            run(block, place, environment)


def test_every_block_is_of_a_known_kind_and_every_exemption_has_a_reason(document: Path, reader: Any) -> None:
    for block in reader.blocks_of(document):
        assert block.language in RUNNABLE + PROSE, block
        assert block.exemption == "" or len(block.exemption) >= REASON, f"{block}: why is it not run?"


def test_every_relative_link_leads_to_a_file(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", document.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (document.parent / target).exists(), f"{document.name} links to {target}"


def run(block: Block, place: Path, environment: dict[str, str]) -> None:
    if block.language == "json":
        json.loads(block.text)
    elif block.language == "toml":
        tomllib.loads(block.text)
    elif block.language == "console":
        for command, expected in steps(block):
            output = shell(block, ["bash", "-c", command], place, environment)
            assert matches(expected, output), f"{block}: $ {command}\nexpected:\n{expected}\ngot:\n{output}"
    elif block.language == "python":
        shell(block, ["python3", "-P", "-c", block.text], place, environment)
    else:
        shell(block, ["bash", "-euc", block.text], place, environment)


def shell(block: Block, command: list[str], place: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(
        command,
        cwd=place,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, f"{block}: {command[-1]}\nended with {done.returncode}:\n{done.stdout}"
    return done.stdout


def steps(block: Block) -> Iterator[tuple[str, str]]:
    """(command, expected output) of a console block; a command may go on after a backslash."""
    command, expected = "", []
    for line in block.text.splitlines():
        if command.endswith("\\"):
            command += "\n" + line.removeprefix("> ")
        elif line.startswith("$ "):
            if command:
                yield command, "\n".join(expected)
            command, expected = line[2:], []
        else:
            assert command, f"{block}: output before the first command: {line!r}"
            expected.append(line)
    if command:
        yield command, "\n".join(expected)


def matches(expected: str, output: str) -> bool:
    """Whether the output is as the document shows it; a command without output shown may say nothing."""
    pattern = "\n".join(
        ".*" if line == "…" else re.escape(line).replace("…", "[^\n]*") for line in expected.split("\n")
    )
    # "…" as a line of its own stands for any number of lines, none included.
    pattern = pattern.replace("\n.*", "(?:\n.*)?")
    return re.fullmatch(pattern, output.rstrip("\n"), re.DOTALL) is not None


@pytest.mark.parametrize(
    ("expected", "output", "fits"),
    [
        ("", "", True),
        ("", "something", False),
        ("a", "a\n", True),
        ("a", "a\nb\n", False),
        ("a …", "a 1.2", True),
        ("a …", "a 1.2\nb", False),
        ("a\n…", "a\nb\nc", True),
        ("a\n…", "a", True),
        ("a\n…\nd", "a\nb\nc\nd", True),
        ("…", "", True),
        ("a.c", "abc", False),
    ],
)
def test_the_comparison_of_outputs_itself(expected: str, output: str, fits: bool) -> None:
    assert matches(expected, output) is fits


def test_a_wrong_block_would_fail(place: Path, reader: Any, tmp_path: Path) -> None:
    document = reader.CHECKOUT / "README.md"
    environment = reader.run_environment()
    for language, text in (
        ("python", "raise SystemExit(3)"),
        ("console", "$ false\n"),
        ("console", "$ echo a\nb\n"),
        ("bash", "false\ntrue"),
        ("json", "{"),
        ("toml", "="),
    ):
        with pytest.raises((AssertionError, ValueError)):
            run(reader.Block(document, language, text, 1, ""), place, environment)
