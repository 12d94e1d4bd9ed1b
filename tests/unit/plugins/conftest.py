"""Distributions made of two files each, as pip would leave them in site-packages."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

_number = itertools.count()

MANAGER = """
from corelaunch.api import CgroupManager, hookimpl
corelaunch_api = 1
class Manager(CgroupManager):
    place = create = add_process = processes = destroy = lambda *_: None
MANAGER = Manager()
@hookimpl
def corelaunch_cgroup_manager():
    return MANAGER
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """``install("mine", code)`` makes a distribution with the cgroup manager ``mine``; returns the site directory."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(name: str, code: str = MANAGER, *, kind: str = "cgroup_managers", distribution: str = "") -> Path:
        distribution = distribution or f"corelaunch-{name}"
        module = f"plugin_{name.replace('-', '_')}_{next(_number)}"
        (tmp_path / f"{module}.py").write_text(code)
        metadata = tmp_path / f"{distribution.replace('-', '_')}-1.2.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\n")
        (metadata / "entry_points.txt").write_text(
            f"[console_scripts]\nx = y:z\n\n[corelaunch.{kind}]\n{name} = {module}\n"
        )
        sys.modules.pop(module, None)
        return tmp_path

    return make
