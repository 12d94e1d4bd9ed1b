"""Code blocks of the documentation, and a place to run them in."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
EXEMPTION = re.compile(r"<!--\s*not run:\s*(.*?)\s*-->\s*$", re.DOTALL)


class Block:
    """One fenced block: its language, text, first line, and why it is not run ("" if it is)."""

    def __init__(self, document: Path, language: str, text: str, line: int, exemption: str) -> None:
        self.document = document
        self.language = language
        self.text = text
        self.line = line
        self.exemption = exemption

    def __repr__(self) -> str:
        return f"{self.document.relative_to(CHECKOUT)}:{self.line}"


def blocks_of(document: Path) -> list[Block]:
    """All fenced blocks of a document."""
    text = document.read_text(encoding="utf-8")
    found = []
    for match in FENCE.finditer(text):
        exemption = EXEMPTION.search(text[: match.start()])
        line = text.count("\n", 0, match.start()) + 1
        found.append(Block(document, match[1], match[2], line, exemption[1] if exemption else ""))
    return found


def run_environment() -> dict[str, str]:
    """The reader's: root, with the commands of the environment that was set up in front of the search path."""
    own = os.path.dirname(sys.executable)
    return {
        "PATH": f"{own}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/root",
        "LANG": "C.UTF-8",
    }


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A working directory with ``bundle``: a busybox container that says hello."""
    from corelaunch.testing import bundles

    rootfs = bundles.make_rootfs(tmp_path / "bundle" / "rootfs")
    bundles.make_bundle(tmp_path / "bundle", rootfs, bundles.config("sh", "-c", "echo hello from pid $$"))
    return tmp_path


@pytest.fixture(scope="session")
def reader() -> ModuleType:
    """This module: tests cannot import a conftest by name."""
    return sys.modules[__name__]
