"""``os`` in two steps is ``os``: first what is cheap, and all of it for who asks for more."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SITE = os.path.dirname(os.path.dirname(__import__("corelaunch").__file__))


def run(code: str) -> list[str]:
    """Lines that a fresh isolated interpreter prints."""
    start = f"import sys\nsys.path.append({SITE!r})\nfrom corelaunch.lazy_os import LazyOs, install\n"
    command = [sys.executable, "-I", "-S", "-X", "utf8", "-c", start + code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_what_a_launch_needs_is_there_without_the_second_step() -> None:
    lines = run(
        "install()\n"
        "import os, os.path, posixpath\n"
        "assert os.path is posixpath and os.path.join('a', 'b') == 'a/b' and os.path.realpath('/') == '/'\n"
        "assert os.fsencode('\\udcff') == b'\\xff' and os.fsdecode(b'\\xff') == '\\udcff'\n"
        "assert os.fsencode(b'x') == b'x' and os.fsdecode('x') == 'x'\n"
        "assert os.name == 'posix' and os.SEEK_END == 2 and os.sep == '/' and os.devnull == '/dev/null'\n"
        "os.close(os.open(os.devnull, os.O_RDONLY))\n"
        "print(type(os) is LazyOs, '_collections_abc' in sys.modules)\n"
    )
    assert lines == ["True False"]


@pytest.mark.parametrize(
    "first", ["os.environ", "os.walk", "os.makedirs", "dir(os)", "exec('from os import *')", "hasattr(os, 'nothing')"]
)
def test_after_the_second_step_it_is_the_module_that_everybody_has(first: str) -> None:
    lines = run(
        f"install()\nimport os\n{first}\n"
        "print(type(os).__name__)\n"
        "print(sorted(vars(os)))\n"
        "print(os.environ == {} or isinstance(os.environ['PATH'], str))\n"
        "import os as again, pathlib, shutil\n"
        "assert again is os and os.fspath(pathlib.Path('a')) == 'a' and issubclass(pathlib.Path, os.PathLike)\n"
    )
    names = run("import os\nprint(sorted(vars(os)))\n")
    assert lines[0] == "module"
    missing = set(eval(names[0])) - set(eval(lines[1]))
    assert missing <= {"__builtins__", "__cached__"}
    assert lines[2] == "True"


def test_no_name_of_the_first_step_is_another_one_after_the_second() -> None:
    lines = run(
        "install()\nimport os\nbefore = dict(vars(os))\nos.walk\n"
        "print(sorted(n for n, v in before.items() if n[0] != '_' and vars(os)[n] != v))\n"
    )
    assert lines == ["['fsdecode', 'fsencode']"]


def test_an_os_that_is_there_already_is_left_alone() -> None:
    lines = run("import os\nbefore = os\ninstall()\nimport os\nprint(os is before, type(os).__name__)\n")
    assert lines == ["True module"]
