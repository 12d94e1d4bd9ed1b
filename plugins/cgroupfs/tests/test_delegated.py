"""Where the cgroup of an ordinary user is, in made-up hierarchies of which some are his."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from corelaunch_cgroupfs import delegated, needs
from corelaunch_cgroupfs.layout import place

from corelaunch.api import CgroupRequest, Unsupported
from corelaunch.kernel.mountinfo import Hierarchy


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Makes hierarchies: name -> (own cgroup, directories that we may write to); "" is v2."""

    def make(**hierarchies: tuple[str, tuple[str, ...]]) -> Path:
        writable: set[str] = set()
        found, own = [], {}
        for name, (ours, writables) in hierarchies.items():
            controllers = () if name == "unified" else (name,)
            mountpoint = tmp_path / name
            (mountpoint / ours.strip("/")).mkdir(parents=True, exist_ok=True)
            for path in writables:
                (mountpoint / path.strip("/")).mkdir(parents=True, exist_ok=True)
                writable |= {str(mountpoint / path.strip("/")), f"{mountpoint / path.strip('/')}/cgroup.procs"}
            found.append(Hierarchy(controllers, str(mountpoint), "/", 2 if name == "unified" else 1))
            own["" if name == "unified" else name] = ours
        monkeypatch.setattr(delegated, "cgroup_hierarchies", lambda: found)
        monkeypatch.setattr(delegated, "own_cgroups", lambda: own)
        monkeypatch.setattr(os, "access", lambda path, how, **more: str(path) in writable)
        return tmp_path

    return make


def request(path: str = "", **resources: Any) -> CgroupRequest:
    return CgroupRequest("box", path, resources, {}, "best-effort")


def test_only_what_is_delegated_is_used(host: Any) -> None:
    top = host(memory=("/", ()), pids=("/", ("/me",)), unified=("/", ()))
    placement = place(request("/me/box"))
    assert placement.paths == {"pids": f"{top}/pids/me/box"}
    assert placement.extra["refused"] == {"memory": f"{top}/memory", "": f"{top}/unified"}


def test_a_path_that_is_asked_for_and_nowhere_possible_is_refused(host: Any) -> None:
    host(memory=("/", ()), pids=("/", ()))
    with pytest.raises(Unsupported, match=r"linux\.cgroupsPath: '/me/box': user \d+ may not write to .*delegate"):
        place(request("/me/box"))


def test_nothing_asked_and_nothing_possible_is_no_cgroup(host: Any) -> None:
    host(memory=("/user", ()), pids=("/", ()))
    assert place(request()).paths == {}


def test_without_a_path_it_is_below_the_own_cgroup_of_each_hierarchy(host: Any) -> None:
    top = host(memory=("/a", ("/a",)), pids=("/b/c", ("/b/c",)))
    assert place(request()).paths == {"memory": f"{top}/memory/a/box", "pids": f"{top}/pids/b/c/box"}


@pytest.mark.parametrize(
    ("writable", "directory"),
    [(("/app", "/app/shell"), "/app/box"), (("/app/shell",), "/app/shell/box"), (("/other",), "")],
)
def test_on_v2_it_is_beside_our_own_if_we_may_for_ours_gives_no_controllers(
    host: Any, writable: tuple[str, ...], directory: str
) -> None:
    top = host(unified=("/app/shell", writable))
    assert place(request()).paths == ({"": f"{top}/unified{directory}"} if directory else {})


def test_on_v2_a_process_is_moved_only_below_a_cgroup_that_is_ours(host: Any) -> None:
    # /me is delegated, but we are in /session: the nearest common cgroup is the root, which is not ours.
    host(unified=("/session", ("/me",)))
    with pytest.raises(Unsupported, match=r"may not write to \S+/cgroup\.procs"):
        place(request("/me/box"))


@pytest.mark.parametrize(
    ("resources", "where", "controller"),
    [
        ({"memory": {"limit": 1}}, r"linux\.resources\.memory\.limit", "memory"),
        ({"hugepageLimits": [{"pageSize": "2MB", "limit": 1}]}, r"linux\.resources\.hugepageLimits", "hugetlb"),
        ({"devices": [{"allow": False}]}, r"linux\.resources\.devices", "devices"),
    ],
)
def test_a_limit_without_its_controller_names_it_and_what_to_do(
    host: Any, resources: dict[str, Any], where: str, controller: str
) -> None:
    host(memory=("/", ()), hugetlb=("/", ()), devices=("/", ()), pids=("/", ("/me",)))
    placement = place(request("/me/box"))
    with pytest.raises(Unsupported, match=f"{where}: the controller {controller} is not delegated") as raised:
        needs.check(placement, resources)
    assert "chown" in str(raised.value)


def test_on_v2_any_limit_needs_the_one_cgroup(host: Any) -> None:
    host(unified=("/", ()))
    with pytest.raises(Unsupported, match=r"linux\.resources\.cpu: the controller cpu is not delegated"):
        needs.check(place(request()), {"cpu": {"shares": 5}})


def test_a_controller_that_is_not_mounted_is_told_apart_from_one_that_is_not_delegated(host: Any) -> None:
    host(memory=("/", ()), pids=("/", ("/me",)))
    with pytest.raises(Unsupported, match="no cgroup hierarchy of the controller rdma is mounted"):
        needs.check(place(request("/me/box")), {"rdma": {"x": {"hcaHandles": 1}}})
