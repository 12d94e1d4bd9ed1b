"""Packages of plugins come from their .pyc files, and from the import machinery wherever these do not fit."""

from __future__ import annotations

import compileall
import os
import subprocess
import sys
from pathlib import Path

import pytest

from corelaunch import plugin_import

SITE = str(Path(plugin_import.__file__).parents[1])


@pytest.fixture
def site(tmp_path: Path) -> Path:
    package = tmp_path / "corelaunch_example"
    package.mkdir()
    (package / "__init__.py").write_text("from .leaf import WORD\n")
    (package / "leaf.py").write_text("WORD = 'compiled'\nWHERE = __file__\n")
    (tmp_path / "other.py").write_text("")
    assert compileall.compile_dir(tmp_path, quiet=1)
    return tmp_path


def imported(site: Path) -> str:
    code = (
        f"import sys; sys.path[1:1] = [{SITE!r}, {str(site)!r}]\n"
        "from corelaunch import plugin_import\n"
        f"plugin_import.install(['/nowhere', {str(site)!r}])\n"
        "import corelaunch_example, corelaunch_example.leaf as leaf, other\n"
        f"assert leaf.WHERE == {str(site)!r} + '/corelaunch_example/leaf.py'\n"
        "assert leaf.__package__ == 'corelaunch_example' and type(other.__loader__).__name__ == 'SourceFileLoader'\n"
        "print(corelaunch_example.WORD, type(leaf.__loader__).__name__)\n"
    )
    command = [sys.executable, "-I", "-S", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_module_comes_from_its_pyc_file(site: Path) -> None:
    assert imported(site) == "compiled Finder"


def test_an_edited_module_is_compiled_again(site: Path) -> None:
    leaf = site / "corelaunch_example" / "leaf.py"
    leaf.write_text("WORD = 'by hand!'\nWHERE = __file__\n")  # of the same size
    os.utime(leaf, (1, 1))
    assert imported(site) == "by hand! SourceFileLoader"
    assert imported(site) == "by hand! Finder"  # the machinery has written the .pyc anew


@pytest.mark.parametrize("content", [b"", b"\0" * 16, None])
def test_a_pyc_file_that_is_broken_or_missing_is_the_import_machinerys(site: Path, content: bytes | None) -> None:
    (pyc,) = (site / "corelaunch_example" / "__pycache__").glob("leaf.*.pyc")
    if content is None:
        pyc.unlink()
    else:
        pyc.write_bytes(content)
    assert imported(site) == "compiled SourceFileLoader"


def test_a_pyc_file_whose_code_was_cut_off_is_the_import_machinerys_error_and_no_crash(site: Path) -> None:
    (pyc,) = (site / "corelaunch_example" / "__pycache__").glob("leaf.*.pyc")
    pyc.write_bytes(pyc.read_bytes()[:20])
    with pytest.raises(AssertionError, match="EOFError"):
        imported(site)
