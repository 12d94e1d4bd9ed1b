"""An environment with plugins of a test's own beside those of .venv, and its command."""

from __future__ import annotations

import sys
from pathlib import Path


class Site:
    """A command of an environment that has more plugins than .venv."""

    def __init__(self, directory: Path) -> None:
        self.plugins = directory / "plugins"
        self.plugins.mkdir(parents=True)
        self.program = directory / "corelaunch"
        site = next(Path(sys.prefix).glob("lib/python3*/site-packages"))
        python = f"{sys.prefix}/bin/python3"
        self.program.write_text(
            f"#!{python} -IS\nimport sys\nsys.path.append({str(site)!r})\n"
            f"from corelaunch.isolated import start\nstart([{str(site)!r}, {str(self.plugins)!r}])\n"
        )
        self.program.chmod(0o755)

    def add(self, name: str, code: str, group: str = "lifecycle", called: str = "") -> None:
        """Install a plugin, as pip would; ``called`` is its entry point's name, if that is not the distribution's."""
        (self.plugins / f"cl_cli_{name}.py").write_text(code)
        metadata = self.plugins / f"corelaunch_{name}-1.0.dist-info"
        metadata.mkdir()
        (metadata / "entry_points.txt").write_text(f"[corelaunch.{group}]\n{called or name} = cl_cli_{name}\n")

    def remove(self, name: str) -> None:
        """Uninstall it."""
        (self.plugins / f"corelaunch_{name}-1.0.dist-info/entry_points.txt").unlink()
        (self.plugins / f"corelaunch_{name}-1.0.dist-info").rmdir()
