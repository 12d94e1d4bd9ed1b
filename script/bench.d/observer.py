"""One lifecycle plugin for the row "run + plugin", put beside the installed corelaunch while the bench runs."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from subjects import interpreter

NAME = "bench-observer"
_MODULE = "corelaunch_bench_observer"
_SOURCE = '''"""Sees every moment of a container's life and does nothing about it."""

from corelaunch.api import hookimpl

corelaunch_api = 1


@hookimpl
def corelaunch_moment(moment):
    pass
'''


class Observer:
    """The installed plugin. What pip would write: a module, METADATA and entry_points.txt; compiled, as pip does.

    Raises:
        OSError: the environment cannot be written.
    """

    def __init__(self) -> None:
        code = "import sysconfig; print(sysconfig.get_path('purelib'))"
        asked = subprocess.run([interpreter(), "-c", code], capture_output=True, text=True, check=True)
        self._packages = Path(asked.stdout.strip())
        self._module = self._packages / f"{_MODULE}.py"
        self._information = self._packages / f"{_MODULE}-0.dist-info"
        self._information.mkdir(exist_ok=True)
        self._module.write_text(_SOURCE)
        (self._information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {NAME}\nVersion: 0\n")
        (self._information / "entry_points.txt").write_text(f"[corelaunch.lifecycle]\n{NAME} = {_MODULE}\n")
        subprocess.run([interpreter(), "-m", "compileall", "-q", str(self._module)], check=True)

    def remove(self) -> None:
        """Take it away again."""
        shutil.rmtree(self._information, ignore_errors=True)
        compiled = self._packages / "__pycache__"
        for path in [self._module, *compiled.glob(f"{_MODULE}.*.pyc")]:
            if path.exists():
                os.unlink(path)
