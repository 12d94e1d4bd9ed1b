"""An environment with plugins of a test's own beside those of .venv, and its command."""

from __future__ import annotations

import shutil
import sys
import tomllib
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

    def add_project(self, project: Path) -> None:
        """Install a project's package, without pip."""
        metadata = tomllib.loads((project / "pyproject.toml").read_text())["project"]
        package = metadata["name"].replace("-", "_")
        shutil.copytree(project / package, self.plugins / package)
        target = self.plugins / f"{package}-{metadata['version']}.dist-info"
        target.mkdir()
        groups = metadata["entry-points"].items()
        lines = [f"[{group}]\n{name} = {value}\n" for group, names in groups for name, value in names.items()]
        (target / "entry_points.txt").write_text("".join(lines))

    def remove(self, name: str) -> None:
        """Uninstall it."""
        (self.plugins / f"corelaunch_{name}-1.0.dist-info/entry_points.txt").unlink()
        (self.plugins / f"corelaunch_{name}-1.0.dist-info").rmdir()
