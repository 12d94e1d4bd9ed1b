"""The modules that each verb imports are pinned: a new one is a decision about the speed of every launch.

Modules and not milliseconds: the set is the same on every machine. verb_imports.txt has, for each verb, the modules
of core, of plugins and of other distributions; what the verbs may take from the standard library is STANDARD below.
After a deliberate change write it anew, and give the reason in the commit:

    .venv/bin/python3 -I tests/meta/test_verb_imports.py
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
PINNED = HERE / "verb_imports.txt"

#: Costs more than it gives: 2 to 40 ms each.
FORBIDDEN = frozenset(
    """
    re typing enum inspect dataclasses attr attrs subprocess socket logging json argparse pathlib tempfile shutil
    functools contextlib collections importlib importlib.metadata signal pluggy cffi pyroute2 asyncio traceback
    """.split()
)

#: Modules of the standard library that a verb may import, with what these import in turn (Python 3.11 to 3.14).
STANDARD = frozenset(
    """
    os os.path posixpath genericpath stat _stat _collections_abc abc _abc errno time fcntl select struct _struct gc
    binascii resource pwd __future__ _json _signal _random math _socket termios zlib _opcode_metadata ntpath
    """.split()
)

#: In the order in which they can be tried on one container, with the names in braces filled in.
VERBS = {
    "--version": "--version",
    "spec": "spec --bundle {empty}",
    "plugins": "plugins",
    "plan": "plan --bundle {long} {id}",
    "create": "create --bundle {long} {id}",
    "state": "state {id}",
    "list": "list",
    "start": "start {id}",
    "exec": "exec {id} true",
    "pause": "pause {id}",
    "resume": "resume {id}",
    "update": "update --pids-limit 50 {id}",
    "ps": "ps --format json {id}",
    "events": "events --stats {id}",
    "check": "check {id}",
    "kill": "kill {id} KILL",
    "delete": "delete --force {id}",
    "run": "run --bundle {short} {id}-run",
    "gc": "gc",
}

#: `plugins` imports every backend that is installed, whatever these need.
LAUNCH_PATH = [verb for verb in VERBS if verb != "plugins"]


def site_directories() -> str:
    """Where the package that is tested is, then where the entry points are."""
    import corelaunch

    own = Path(corelaunch.__file__).parents[1]
    site = Path(sys.prefix) / "lib" / f"python3.{sys.version_info[1]}" / "site-packages"
    return ":".join(dict.fromkeys((str(own), str(site))))


def baseline() -> set[str]:
    """What the interpreter itself imports."""
    program = "import sys, posix; posix.write(1, chr(10).join(sys.modules).encode())"
    command = [sys.executable, "-I", "-S", "-X", "utf8", "-c", program]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


def make_bundle(directory: Path, *arguments: str) -> Path:
    from corelaunch.testing import bundles

    rootfs = bundles.make_rootfs(directory / "rootfs")
    return bundles.make_bundle(directory / arguments[0], rootfs, bundles.config(*arguments))


def observe(directory: Path) -> dict[str, set[str]]:
    """Verb -> the modules that it imports, beyond those of the interpreter."""
    names = {
        "long": make_bundle(directory, "sleep", "100"),
        "short": make_bundle(directory, "true"),
        "empty": directory / "empty",
        "id": f"meta-imports-{os.getpid()}",
    }
    names["empty"].mkdir()
    before = baseline()
    output = directory / "modules"
    tell = [sys.executable, "-I", "-S", "-X", "utf8", str(HERE / "dump_modules.py"), str(output), site_directories()]
    found = {}
    try:
        for verb, words in VERBS.items():
            command = [*tell, "--root", str(directory / "root"), *words.format(**names).split()]
            # Not a pipe: a created container keeps its standard streams.
            with open(directory / "messages", "w+", encoding="utf-8") as messages:
                done = subprocess.run(
                    command, stdin=subprocess.DEVNULL, stdout=messages, stderr=messages, timeout=60, check=False
                )
                messages.seek(0)
                assert done.returncode == 0, f"{verb}: {messages.read()}"
            found[verb] = set(output.read_text().split()) - before - {"__future__"}
            output.unlink()
    finally:
        delete = ["delete", "--force", str(names["id"])]
        subprocess.run([*tell, "--root", str(directory / "root"), *delete], capture_output=True, check=False)
    return found


def is_pinned(module: str) -> bool:
    """Whether it is of core, of a plugin or of another distribution, and not of the standard library."""
    return module.split(".")[0] not in sys.stdlib_module_names and module not in STANDARD


def pinned() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for paragraph in PINNED.read_text().strip().split("\n\n"):
        verb, *modules = paragraph.split()
        found[verb.rstrip(":")] = set(modules)
    return found


def pin() -> None:
    """Write what is imported now into the list."""
    with tempfile.TemporaryDirectory() as directory:
        seen = observe(Path(directory))
    paragraphs = []
    for verb, modules in seen.items():
        lines = textwrap.wrap(" ".join(sorted(filter(is_pinned, modules))), 110, break_on_hyphens=False)
        paragraphs.append("\n".join([f"{verb}:", *(f"    {line}" for line in lines)]))
    PINNED.write_text("\n\n".join(paragraphs) + "\n")


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    if os.geteuid() != 0:
        pytest.skip("makes a container")
    return observe(tmp_path_factory.mktemp("imports"))


pytestmark = pytest.mark.needs_root


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_imports_what_is_pinned_and_nothing_else(imported: dict[str, set[str]], verb: str) -> None:
    now = set(filter(is_pinned, imported[verb]))
    assert (sorted(now - pinned()[verb]), sorted(pinned()[verb] - now)) == ([], []), "(new, gone)"


@pytest.mark.parametrize("verb", LAUNCH_PATH)
def test_no_verb_imports_a_module_that_is_too_slow_for_a_launch(imported: dict[str, set[str]], verb: str) -> None:
    assert sorted(imported[verb] & FORBIDDEN) == []


@pytest.mark.parametrize("verb", LAUNCH_PATH)
def test_a_verb_takes_from_the_standard_library_only_what_is_listed(imported: dict[str, set[str]], verb: str) -> None:
    standard = {module for module in imported[verb] if not is_pinned(module)}
    assert sorted(standard - STANDARD) == []


@pytest.mark.parametrize("verb", ["--version", "spec", "gc"])
def test_a_verb_that_looks_at_no_cgroup_imports_no_backend(imported: dict[str, set[str]], verb: str) -> None:
    assert [module for module in imported[verb] if module.startswith("corelaunch_")] == []


def test_a_launch_imports_only_the_backend_that_it_uses(imported: dict[str, set[str]]) -> None:
    for verb in ("create", "start", "state", "exec", "kill", "delete", "run"):
        backends = {module.split(".")[0] for module in imported[verb] if module.startswith("corelaunch_")}
        assert backends <= {"corelaunch_cgroupfs"}, verb


if __name__ == "__main__":
    pin()
