"""The state root is ours alone, and an id can name nothing but a container."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from corelaunch.errors import ContainerExists, ContainerNotFound, CorelaunchError, InvalidId
from corelaunch.kernel import procfs
from corelaunch.state.root import StateRoot, check_id


@pytest.mark.parametrize("bad", ["", ".", "..", "a/b", "a b", "a\n", "ü", "a\0", "x" * 300, "../x"])
def test_a_bad_id_is_refused_before_any_path_is_made_of_it(bad: str) -> None:
    with pytest.raises(InvalidId, match="invalid container ID format"):
        check_id(bad)


@pytest.mark.parametrize("good", ["a", "A-b_c+d.e", "0" * 64, "..."])
def test_every_id_that_runc_takes_is_taken(good: str) -> None:
    assert check_id(good) == good


def test_a_root_that_others_can_write_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with pytest.raises(CorelaunchError, match="can be written by, somebody else"):
        StateRoot(str(tmp_path)).prepare()


def test_a_root_that_is_a_symlink_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to("real")
    with pytest.raises(CorelaunchError, match="not a directory"):
        StateRoot(str(tmp_path / "link")).prepare()


def test_a_missing_root_is_made_private(tmp_path: Path) -> None:
    StateRoot(str(tmp_path / "a" / "b")).prepare()
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("uid", "in_user_namespace", "environment", "root"),
    [
        (0, False, {"XDG_RUNTIME_DIR": "/run/user/0", "USER": "root"}, "/run/corelaunch"),
        (0, False, {"XDG_RUNTIME_DIR": "/x"}, "/run/corelaunch"),
        (0, True, {"XDG_RUNTIME_DIR": "/x"}, "/x/corelaunch"),
        (0, True, {"XDG_RUNTIME_DIR": "/x", "USER": "me"}, "/x/corelaunch"),
        (0, True, {"XDG_RUNTIME_DIR": "/x", "USER": "root"}, "/run/corelaunch"),
        (0, True, {"XDG_RUNTIME_DIR": ""}, "/run/corelaunch"),
        (0, True, {}, "/run/corelaunch"),
        (1000, False, {"XDG_RUNTIME_DIR": "/x", "USER": "root"}, "/x/corelaunch"),
    ],
)
def test_the_state_root_is_where_runc_would_have_its_own(
    monkeypatch: pytest.MonkeyPatch, uid: int, in_user_namespace: bool, environment: dict[str, str], root: str
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    monkeypatch.setattr(procfs, "in_user_namespace", lambda: in_user_namespace)
    monkeypatch.setattr(os, "environ", environment)
    assert StateRoot().path == root


@pytest.mark.parametrize("environment", [{}, {"XDG_RUNTIME_DIR": ""}])
def test_a_user_without_a_runtime_directory_is_told_what_to_do(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(os, "environ", environment)
    with pytest.raises(CorelaunchError, match=r"no state root.*XDG_RUNTIME_DIR is not set") as raised:
        StateRoot()
    assert "--root" in str(raised.value)


def test_slash_is_no_state_root() -> None:
    with pytest.raises(CorelaunchError, match="cannot use /"):
        StateRoot("/")


def test_an_id_is_claimed_once(tmp_path: Path) -> None:
    root = StateRoot(str(tmp_path))
    root.claim("demo")
    with pytest.raises(ContainerExists, match="container with given ID already exists"):
        root.claim("demo")
    assert root.ids() == ["demo"]
    with pytest.raises(ContainerNotFound, match="container does not exist"):
        root.existing("other")
