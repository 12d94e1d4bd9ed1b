"""The command takes its modules from one file, and from their own wherever that file does not fit."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from corelaunch import code_pack, code_pack_build


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
    (package / "_libexec" / code_pack.file_name()).write_bytes(code_pack_build.build(str(package)))
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
    assert b"corelaunch.testing" not in code_pack_build.build(str(package))


def test_the_code_in_a_pack_is_that_of_its_source_without_what_only_readers_need(tmp_path: Path) -> None:
    package = tmp_path / "corelaunch"
    (package / "_libexec").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "first.py").write_text(
        "from __future__ import annotations\n"
        "TYPE_CHECKING = False\n"
        "if TYPE_CHECKING:\n    from secret import Thing\nelse:\n    Thing = 'at run time'\n"
        "from .second import VALUE\n"
        "class Fields:\n    a: Thing\n    b: 'Thing' = 1\n"
        "def call(x: Thing, *rest: Thing, y: Thing = 2, **more: Thing) -> Thing:\n"
        "    return x, rest, y, more, Thing, VALUE, Fields.__annotations__\n"
    )
    (package / "second.py").write_text("VALUE = 'of second'\ndef __getattr__(name):\n    return name\n")
    pack = code_pack_build.build(str(package))
    assert b"secret" not in pack
    (package / "_libexec" / code_pack.file_name()).write_bytes(pack)
    code = (
        f"import sys; sys.path.append({str(Path(code_pack.__file__).parents[1])!r})\n"
        "from corelaunch import code_pack\n"
        "[sys.modules.pop(n) for n in list(sys.modules) if n.startswith('corelaunch')]\n"
        f"sys.path[-1] = {str(tmp_path)!r}\n"
        f"code_pack.install({str(package)!r})\n"
        "from corelaunch import first, second\n"
        "fields = {'a': 'Thing', 'b': \"'Thing'\"}\n"
        "assert first.call(0, 1, z=3) == (0, (1,), 2, {'z': 3}, 'at run time', 'of second', fields)\n"
        "assert second.anything == 'anything' and not hasattr(first, 'nothing')\n"
        "assert second.__spec__.parent == 'corelaunch'\n"
        "assert sys.modules['corelaunch'].second is second and first.call.__annotations__ == {}\n"
        "import importlib; assert importlib.reload(first) is first\n"
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_module_that_fails_is_not_left_half_imported(package: Path) -> None:
    (package / "inner" / "leaf.py").write_text("WORD = 1 / 0\n")
    (package / "_libexec" / code_pack.file_name()).write_bytes(code_pack_build.build(str(package)))
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        imported(package)
