"""The command takes its modules from one file, and from their own wherever that file does not fit."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from corelaunch import code_pack


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package of the name corelaunch with its pack."""
    package = tmp_path / "corelaunch"
    (package / "inner").mkdir(parents=True)
    (package / "testing").mkdir()
    (package / "_libexec").mkdir()
    (package / "__init__.py").write_text("")
    (package / "inner" / "__init__.py").write_text("from .leaf import WORD\n")
    (package / "inner" / "leaf.py").write_text("WORD = 'from the pack'\nWHERE = __file__\n")
    (package / "testing" / "__init__.py").write_text("")
    (package / "_libexec" / code_pack.file_name()).write_bytes(code_pack.build(str(package)))
    return package


def imported(package: Path) -> str:
    """What a fresh interpreter gets when it imports from the package through its pack."""
    code = (
        "import sys\n"
        f"sys.path.append({os.path.dirname(os.path.dirname(code_pack.__file__))!r})\n"
        "from corelaunch import code_pack\n"
        "[sys.modules.pop(n) for n in list(sys.modules) if n.startswith('corelaunch')]\n"
        f"sys.path[-1] = {str(package.parent)!r}\n"
        f"code_pack.install({str(package)!r})\n"
        "import corelaunch.inner.leaf as leaf, corelaunch.inner\n"
        "assert leaf.WHERE.endswith('/inner/leaf.py') and corelaunch.inner.__path__\n"
        "print(corelaunch.inner.WORD, type(leaf.__spec__.loader).__name__)\n"
    )
    shown = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True)
    assert shown.returncode == 0, shown.stderr
    return shown.stdout.strip()


def test_modules_come_from_the_pack(package: Path) -> None:
    assert imported(package) == "from the pack Finder"


def test_a_module_that_was_edited_comes_from_its_file(package: Path) -> None:
    leaf = package / "inner" / "leaf.py"
    leaf.write_text("WORD = 'mended by me '\nWHERE = __file__\n")  # of the same size
    os.utime(leaf, (leaf.stat().st_mtime + 3600,) * 2)
    assert imported(package) == "mended by me  SourceFileLoader"
    leaf.write_text("WORD = 'another size'\nWHERE = __file__\n")
    os.utime(leaf, (0, 0))
    assert imported(package) == "another size SourceFileLoader"


@pytest.mark.parametrize("content", [b"", b"\0" * 4, b"\0" * 64])
def test_a_pack_of_another_python_is_left_alone(package: Path, content: bytes) -> None:
    (package / "_libexec" / code_pack.file_name()).write_bytes(content)
    assert imported(package) == "from the pack SourceFileLoader"


def test_without_a_pack_everything_works(package: Path) -> None:
    (package / "_libexec" / code_pack.file_name()).unlink()
    assert imported(package) == "from the pack SourceFileLoader"


def test_the_contract_suites_are_not_in_the_pack(package: Path) -> None:
    assert b"corelaunch.testing" not in code_pack.build(str(package))
