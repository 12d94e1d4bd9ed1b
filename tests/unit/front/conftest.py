"""A Python environment made by hand, with the static front and a copy of the installed package in it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import _cffi_backend
import pytest

import corelaunch

CHECKOUT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def front(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The static command, built once."""
    target = tmp_path_factory.mktemp("front") / "corelaunch"
    subprocess.run(["sh", CHECKOUT / "native" / "build-front.sh", target], check=True)
    return target


class Environment:
    """``prefix`` with bin/corelaunch, bin/python3 and lib/python3.X/site-packages/corelaunch."""

    def __init__(self, prefix: Path, front: Path) -> None:
        self.prefix = prefix
        self.bin = prefix / "bin"
        self.command = self.bin / "corelaunch"
        version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
        self.site = prefix / "lib" / version / "site-packages"
        self.bin.mkdir(parents=True)
        self.site.mkdir(parents=True)
        shutil.copy(front, self.command)
        (self.bin / "python3").symlink_to(os.path.realpath(sys.executable))

    def install_package(self) -> None:
        """Copy the package that the tests run against."""
        source = Path(corelaunch.__file__).parent
        shutil.copytree(source, self.site / "corelaunch", ignore=shutil.ignore_patterns("__pycache__", "testing"))
        shutil.copy(_cffi_backend.__file__, self.site)

    def run(
        self, *arguments: str, command: Path | None = None, cwd: Path | None = None, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run the command with exactly this environment."""
        return subprocess.run(
            [command or self.command, *arguments],
            env=environment,
            cwd=cwd or self.prefix,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture
def bare_environment(tmp_path: Path, front: Path) -> Iterator[Environment]:
    """Without the package."""
    yield Environment(tmp_path / "environment", front)


@pytest.fixture
def environment(bare_environment: Environment) -> Environment:
    """With the package."""
    bare_environment.install_package()
    return bare_environment
