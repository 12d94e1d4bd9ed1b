"""Bytecode of the checkout, made on the host for the guest, where compiling is thirty times slower.

The guest sees the checkout with these files laid over it. Python takes a .pyc only if the size and time of its source
are in it, so a stale one is never run. Assertions that pytest rewrites are bytecode, too.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from .cache import cache_directory, digest


def compiled(checkout: Path, commands: Sequence[Sequence[str]], environment: Mapping[str, str]) -> Path:
    """Run ``commands`` on the host, give a directory that has the bytecode of all that they imported, by its place.

    Guests of the same checkout share it: a file in it is replaced in one step, and Python looks at what it reads.

    Raises:
        subprocess.CalledProcessError: a command failed; its output is in the error.
    """
    prefix = cache_directory() / "bytecode" / digest(str(checkout))
    layer = prefix / "layer"
    layer.mkdir(parents=True, exist_ok=True)
    kept_out = ("PYTHONDONTWRITEBYTECODE", "PYTEST_ADDOPTS")
    inherited = {name: value for name, value in os.environ.items() if name not in kept_out}
    with (prefix / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for command in commands:
            subprocess.run(
                command,
                cwd="/tmp",
                env={**inherited, **environment, "PYTHONPYCACHEPREFIX": str(prefix / "made")},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                check=True,
            )
        _lay_out(prefix / "made", checkout, layer)
    return layer


def _lay_out(made: Path, checkout: Path, layer: Path) -> None:
    """A prefix has PREFIX/PLACE/NAME.pyc; beside the sources it is PLACE/__pycache__/NAME.pyc."""
    root = made / checkout.relative_to("/")
    for path in root.rglob("*.pyc"):
        target = layer / path.parent.relative_to(root) / "__pycache__" / path.name
        if not target.exists() or target.stat().st_mtime_ns != path.stat().st_mtime_ns:
            target.parent.mkdir(parents=True, exist_ok=True)
            fresh = target.with_suffix(".new")
            shutil.copy2(path, fresh)
            fresh.rename(target)
