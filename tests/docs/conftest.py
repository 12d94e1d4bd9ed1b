"""Code blocks of the documentation, and a place to run them in."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
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


def installs(document: Path) -> bool:
    """Whether the reader installs something while he reads."""
    run = [block.text for block in blocks_of(document) if block.language == "console" and not block.exemption]
    return any(re.search(r"^\$ pip install", text, re.MULTILINE) for text in run)


def environment_of_its_own(directory: Path) -> dict[str, str]:
    """That of a reader who installs things: a copy of ours, with what they need in it, and no index to ask.

    The files are hard links, which pip breaks where it writes.
    """
    if subprocess.run(["cp", "-al", sys.prefix, directory], capture_output=True, check=False).returncode != 0:
        shutil.rmtree(directory, ignore_errors=True)
        shutil.copytree(sys.prefix, directory, symlinks=True)  # on another file system
    for name in ("pip", "pytest"):
        script = directory / "bin" / name
        text = script.read_text()
        script.unlink()
        script.write_text(text.replace(sys.prefix, str(directory)))
        script.chmod(0o755)
    environment = run_environment()
    path = environment["PATH"].replace(os.path.dirname(sys.executable), f"{directory}/bin")
    offline = {"PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0", "PIP_ROOT_USER_ACTION": "ignore"}
    return environment | offline | {"PATH": path, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_CACHE_DIR": "1"}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A working directory with ``examples`` and ``bundle``: a busybox container that says hello.

    What a failed block left goes.
    """
    from corelaunch.testing import bundles

    rootfs = bundles.make_rootfs(tmp_path / "bundle" / "rootfs")
    bundles.make_bundle(tmp_path / "bundle", rootfs, bundles.config("sh", "-c", "echo hello from pid $$"))
    (tmp_path / "examples").symlink_to(CHECKOUT / "examples")
    yield tmp_path
    command = [f"{os.path.dirname(sys.executable)}/corelaunch", "--root", str(tmp_path / "state"), "delete", "--force"]
    for left in os.listdir(tmp_path / "state") if (tmp_path / "state").is_dir() else ():
        subprocess.run([*command, left], check=True)


@pytest.fixture(scope="session")
def reader() -> ModuleType:
    """This module: tests cannot import a conftest by name."""
    return sys.modules[__name__]
