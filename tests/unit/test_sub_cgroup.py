"""``exec --cgroup``: what its arguments say, and where that leads on v1, hybrid and v2."""

from __future__ import annotations

from pathlib import Path

import pytest

from corelaunch.api import CgroupPlacement
from corelaunch.backends import Backends, Placed
from corelaunch.errors import ConfigError, UsageError
from corelaunch.sub_cgroup import narrowed, parse


def placed(paths: dict[str, str]) -> Backends:
    return Backends(Placed("cgroup_manager:x", "cgroup_manager", "x", "x 1", None, CgroupPlacement(paths), None))


def paths_of(backends: Backends) -> dict[str, str]:
    assert backends.cgroup is not None
    return dict(backends.cgroup.placement.paths)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], {}),
        (["sub"], {"": "sub"}),
        (["/"], {"": "/"}),
        (["pids:sub"], {"pids": "sub"}),
        (["cpu,cpuacct:/a", "name=systemd:b:c"], {"cpu": "/a", "cpuacct": "/a", "name=systemd": "b:c"}),
    ],
)
def test_arguments_name_a_path_or_paths_by_controller(arguments: list[str], expected: dict[str, str]) -> None:
    assert parse(arguments) == expected


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["a", "b"], "missing <controller>: prefix"),
        (["cpu:a", "b"], "invalid --cgroup argument: b: missing <controller>: prefix"),
        ([":a"], "empty <controller> prefix"),
        (["cpu,:a"], "empty <controller> prefix"),
        (["cpu,cpu:a"], "controller cpu specified multiple times"),
    ],
)
def test_other_arguments_are_refused_in_runcs_words(arguments: list[str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        parse(arguments)


def test_on_v2_there_is_one_path(tmp_path: Path) -> None:
    (tmp_path / "sub/deep").mkdir(parents=True)
    backends = placed({"": str(tmp_path)})
    assert paths_of(narrowed(backends, {"": "/sub/deep"})) == {"": str(tmp_path / "sub/deep")}
    assert not narrowed(backends, {"": "sub"}).falls_back
    assert backends.falls_back
    with pytest.raises(ConfigError, match="no such cgroup"):
        narrowed(backends, {"": "other"})
    with pytest.raises(ConfigError, match=r"unknown controller memory.*leave the controller out"):
        narrowed(backends, {"memory": "sub"})


def test_a_controller_takes_those_along_that_are_mounted_with_it(tmp_path: Path) -> None:
    for name in ("both/one", "both/two", "pids/one"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "link").symlink_to("both")  # as cpu -> cpu,cpuacct
    bases = {"cpu": tmp_path / "link", "cpuacct": tmp_path / "both", "pids": tmp_path / "pids"}
    backends = placed({controller: str(path) for controller, path in bases.items()})
    found = paths_of(narrowed(backends, {"cpu": "one"}))
    assert {Path(found["cpu"]).resolve(), Path(found["cpuacct"]).resolve()} == {tmp_path / "both/one"}
    assert found["pids"] == str(tmp_path / "pids")


def test_controllers_of_one_hierarchy_cannot_part(tmp_path: Path) -> None:
    for name in ("both/one", "both/two"):
        (tmp_path / name).mkdir(parents=True)
    backends = placed({"cpu": str(tmp_path / "both"), "cpuacct": str(tmp_path / "both")})
    with pytest.raises(ConfigError, match="controllers cpu and cpuacct are mounted together"):
        narrowed(backends, {"cpu": "one", "cpuacct": "two"})
    assert set(paths_of(narrowed(backends, {"cpu": "one", "cpuacct": "one/"})).values()) == {str(tmp_path / "both/one")}


@pytest.mark.parametrize("path", ["..", "/..", "../x", "a/../..", "../c-neighbour", "./../c/../.."])
def test_no_path_leads_out(tmp_path: Path, path: str) -> None:
    (tmp_path / "c/a").mkdir(parents=True)
    (tmp_path / "c-neighbour").mkdir()
    with pytest.raises(ConfigError, match="bad sub cgroup path"):
        narrowed(placed({"": str(tmp_path / "c")}), {"": path})


def test_a_container_without_a_cgroup_has_none_below(tmp_path: Path) -> None:
    for backends in (Backends(), placed({})):
        with pytest.raises(ConfigError, match="the container has no cgroup"):
            narrowed(backends, {"": "x"})
