"""An installed corelaunch of a test's own, and what can befall a plugin there between two commands.

The command is the installed one (the program in C, the packed modules), in a copy of .venv's site-packages; plugins are
wheels that pip installs.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

VENV = Path(__file__).resolve().parents[2] / ".venv"
NAME = "mishap"

_HEAD = "import os, sys, time\nfrom corelaunch.api import *\nfrom corelaunch.api import hookimpl, load_manager\n"
#: A backend of ours hands everything on to one of the project's; WHAT is what a mishap does in place of a method.
_BACKEND = """corelaunch_api = 1
class Backend:
    def __init__(self):
        self.inner = load_manager({kind!r}, {inner!r})
        # Without this the command in C removes the cgroup, and asks no plugin.
        self.features = self.inner.features - {{"plain-directories"}}
    def __getattr__(self, name): return getattr(self.inner, name)
@hookimpl
def {hook}():
    return Backend()
"""
#: No machine of ours has resctrl: a directory is its group.
_RDT = """corelaunch_api = 1
class Backend(RdtManager):
    def place(self, request): return RdtPlacement({place!r} + "/" + request.container_id)
    def create(self, placement, request, ctx): ctx.directory("clos", placement.clos)
    def add_process(self, placement, process): pass
    def destroy(self, placement, effects):
        for effect in effects:
            if os.path.isdir(effect.args["path"]): os.rmdir(effect.args["path"])
@hookimpl
def corelaunch_rdt_manager():
    return Backend()
"""
_LIFECYCLE = """corelaunch_api = 1
@hookimpl
def corelaunch_moment(moment):
    if moment.name == "deleted": os.rmdir({place!r} + "/" + moment.container_id)
    if moment.name == "created": os.mkdir({place!r} + "/" + moment.container_id)
"""


class Kind:
    """A kind of plugin: how one that is right is written, and how a container gets it."""

    def __init__(self, kind: str, group: str, code: str, options: tuple[str, ...] = ()) -> None:
        self.kind = kind
        self.group = f"corelaunch.{group}"
        self.code = code
        self.options = options
        self.module = f"corelaunch_{NAME}_{kind}"
        self.distribution = f"corelaunch-{NAME}-{kind.replace('_', '-')}"
        self.metadata = f"{self.distribution.replace('-', '_')}-1.0.dist-info"


def kinds(place: str) -> dict[str, Kind]:
    """All kinds; ``place`` is a directory for what those make that have no kernel to make it."""
    cgroup = _BACKEND.format(kind="cgroup_manager", inner="cgroupfs", hook="corelaunch_cgroup_manager")
    network = _BACKEND.format(kind="network_strategy", inner="veth", hook="corelaunch_network_strategy")
    found = [
        Kind("cgroup_manager", "cgroup_managers", cgroup, ("--cgroup-manager", NAME)),
        Kind("network_strategy", "network_strategies", network),
        Kind("rdt_manager", "rdt_managers", _RDT.format(place=place), ("--rdt-manager", NAME)),
        Kind("lifecycle", "lifecycle", _LIFECYCLE.format(place=place), ("--plugin", NAME)),
    ]
    return {kind.kind: kind for kind in found}


class Installation:
    """A corelaunch in a directory of its own, with plugins of all kinds that pip has installed."""

    def __init__(self, directory: Path, place: str) -> None:
        self.directory = directory
        self.kinds = kinds(place)
        self.program = directory / "bin/corelaunch"
        [theirs] = VENV.glob("lib/python3*/site-packages")
        self.site = directory / theirs.relative_to(VENV)
        self.site.mkdir(parents=True)
        (directory / "bin").mkdir()
        for name in ("bin/corelaunch", "bin/python3", "pyvenv.cfg"):
            shutil.copy(VENV / name, directory / name, follow_symlinks=name != "bin/python3")
        (directory / "bin/python3").unlink()
        (directory / "bin/python3").symlink_to(os.path.realpath(VENV / "bin/python3"))
        for found in theirs.iterdir():
            if found.name == "__pycache__":
                continue
            if found.name.startswith("corelaunch"):
                shutil.copytree(found, self.site / found.name)
            else:
                (self.site / found.name).symlink_to(found)
        self._kept = directory / "kept"
        wheels = [self.wheel(kind) for kind in self.kinds.values()]
        self.pip("install", "--no-deps", "--no-index", *map(str, wheels))
        for path in self._ours():
            copy = self._kept / path.relative_to(self.site)
            shutil.copytree(path, copy) if path.is_dir() else _copy(path, copy)

    def wheel(self, kind: Kind) -> Path:
        """Build the wheel of a plugin that is right."""
        path = self.directory / f"{kind.distribution.replace('-', '_')}-1.0-py3-none-any.whl"
        with zipfile.ZipFile(path, "w") as wheel:
            wheel.writestr(f"{kind.module}.py", _HEAD + kind.code)
            metadata = f"Metadata-Version: 2.1\nName: {kind.distribution}\nVersion: 1.0\n"
            wheel.writestr(f"{kind.metadata}/METADATA", metadata)
            tags = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
            wheel.writestr(f"{kind.metadata}/WHEEL", tags)
            wheel.writestr(f"{kind.metadata}/entry_points.txt", f"[{kind.group}]\n{NAME} = {kind.module}\n")
            wheel.writestr(f"{kind.metadata}/RECORD", "")
        return path

    def pip(self, *words: str) -> None:
        """Run pip for this installation."""
        python = str(self.directory / "bin/python3")
        command = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check", "-q", *words]
        subprocess.run(command, check=True, capture_output=True)

    def repair(self) -> None:
        """Put all plugins right again, and nothing beside them."""
        for path in self._ours():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        shutil.copytree(self._kept, self.site, dirs_exist_ok=True)

    def write(self, kind: Kind, code: str) -> None:
        """Another text for a plugin's module."""
        (self.site / f"{kind.module}.py").write_text(_HEAD + code)

    def change(self, kind: Kind, old: str, new: str) -> None:
        """Exchange a part of the text of a plugin's module."""
        assert old in kind.code
        self.write(kind, kind.code.replace(old, new))

    def entry(self, kind: Kind, line: str, group: str = "") -> None:
        """Another entry point for a plugin."""
        (self.site / kind.metadata / "entry_points.txt").write_text(f"[{group or kind.group}]\n{line}\n")

    def again(self, kind: Kind) -> None:
        """The same name from another distribution."""
        other = self.site / f"corelaunch_{NAME}_again-1.0.dist-info"
        shutil.copytree(self.site / kind.metadata, other)

    def _ours(self) -> list[Path]:
        return sorted(self.site.glob(f"corelaunch_{NAME}_*"))


def _copy(path: Path, copy: Path) -> None:
    copy.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(path, copy)


def _every_method(install: Installation, kind: Kind, deed: str) -> None:
    if kind.kind == "lifecycle":
        install.change(kind, "(moment):\n", f"(moment):\n    {deed}\n")
    elif kind.kind == "rdt_manager":
        names = ("place", "create", "add_process", "destroy")
        methods = "".join(f"    def {name}(self, *_): {deed}\n" for name in names)
        install.write(kind, kind.code.replace("@hookimpl", f"{methods}@hookimpl"))
    else:
        right = "return getattr(self.inner, name)"
        wrong = "return self._do if callable(getattr(self.inner, name)) else getattr(self.inner, name)"
        install.change(kind, right, f"{wrong}\n    def _do(self, *_, **__): {deed}")


def _features(install: Installation, kind: Kind) -> None:
    attribute = "    @property\n    def features(self): time.sleep(100)\n"
    code = kind.code.replace("        self.features =", "        features =")
    install.write(kind, code.replace("@hookimpl", f"{attribute}@hookimpl"))


#: What is done to a plugin.
MISHAPS: dict[str, Callable[[Installation, Kind], None]] = {
    "uninstalled": lambda install, kind: install.pip("uninstall", "-y", kind.distribution),
    "no Python": lambda install, kind: install.write(kind, "def ("),
    "lacks a module": lambda install, kind: install.write(kind, "import corelaunch_nowhere"),
    "ends itself": lambda install, kind: install.write(kind, "sys.exit(0)"),
    "ends the process": lambda install, kind: install.write(kind, "os._exit(0)"),
    "slow": lambda install, kind: install.write(kind, f"time.sleep(1)\n{kind.code}"),
    "never imported": lambda install, kind: install.write(kind, "time.sleep(100)"),
    "leads nowhere": lambda install, kind: install.entry(kind, f"{NAME} = {kind.module}:nothing"),
    "in a wrong group": lambda install, kind: install.entry(kind, f"{NAME} = {kind.module}", f"{kind.group}x"),
    "of a wrong type": lambda install, kind: (
        install.entry(kind, f"{NAME} = {kind.module}:corelaunch_api")
        if kind.kind == "lifecycle"
        else install.change(kind, "return Backend()", "return 42")
    ),
    "without its hook": lambda install, kind: install.change(kind, "@hookimpl\n", ""),
    "twice": lambda install, kind: install.again(kind),
    "of another API": lambda install, kind: install.change(kind, "corelaunch_api = 1", "corelaunch_api = 2"),
    "fails": lambda install, kind: _every_method(install, kind, "raise RuntimeError('no')"),
    "hangs": lambda install, kind: _every_method(install, kind, "time.sleep(100)"),
    "features hang": _features,
}
