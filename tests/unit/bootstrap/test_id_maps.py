"""Who may write the id maps of a container, and which program is trusted to do it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from corelaunch.api import ProcessHandle
from corelaunch.bootstrap import id_maps
from corelaunch.errors import ConfigError, CorelaunchError, Unsupported
from corelaunch.kernel import procfs

CHILD = ProcessHandle(4242, 1)
RANGE = "0 1000 1\n1 100000 65536\n"


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """What was written directly, and which helpers were called with what."""
    found: list[tuple[str, ...]] = []

    def run(executable: int, arguments: list[bytes]) -> tuple[int, str]:
        found.append(tuple(word.decode() for word in arguments))
        return 0, ""

    monkeypatch.setattr(procfs, "write_id_map", lambda pid, name, text: found.append(("write", name, text)))
    monkeypatch.setattr(id_maps, "_run", run)
    monkeypatch.setattr(id_maps, "_open_helper", lambda name: (f"/usr/bin/{name}", os.open("/dev/null", os.O_PATH)))
    return found


def become(monkeypatch: pytest.MonkeyPatch, uid: int, gid: int) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    monkeypatch.setattr(os, "getegid", lambda: gid)


def test_root_writes_every_map_itself(monkeypatch: pytest.MonkeyPatch, written: Any) -> None:
    become(monkeypatch, 0, 0)
    id_maps.write_maps(CHILD, RANGE, "0 5 10\n")
    assert written == [("write", "uid_map", RANGE), ("write", "gid_map", "0 5 10\n")]


def test_a_user_writes_the_map_of_his_own_id_alone(monkeypatch: pytest.MonkeyPatch, written: Any) -> None:
    become(monkeypatch, 1000, 1001)
    id_maps.write_maps(CHILD, "7 1000 1\n", "0 1001 1\n")
    assert written == [("write", "uid_map", "7 1000 1\n"), ("write", "gid_map", "0 1001 1\n")]


@pytest.mark.parametrize("text", [RANGE, "0 1000 2\n", "0 999 1\n", "0 100000 1\n"])
def test_anything_more_is_the_helpers(monkeypatch: pytest.MonkeyPatch, written: Any, text: str) -> None:
    become(monkeypatch, 1000, 1000)
    id_maps.write_maps(CHILD, text, text)
    assert written == [("newuidmap", "4242", *text.split()), ("newgidmap", "4242", *text.split())]


@pytest.mark.parametrize("count", [1, 5, 6, 7, 340])
def test_a_helper_gets_every_line(monkeypatch: pytest.MonkeyPatch, written: Any, count: int) -> None:
    become(monkeypatch, 1000, 1000)
    text = "".join(f"{number * 10} {100000 + number * 10} 10\n" for number in range(count))
    id_maps.write_maps(CHILD, text, "0 1000 1\n")
    assert written[0] == ("newuidmap", "4242", *text.split())
    assert len(written[0]) == 2 + 3 * count


@pytest.mark.parametrize(
    ("status", "said", "why"),
    [(1, "newuidmap: not allowed", "not allowed"), (3, "", "exit status 3"), (None, "", "does not answer")],
)
def test_what_a_helper_says_is_the_error(
    monkeypatch: pytest.MonkeyPatch, written: Any, status: int | None, said: str, why: str
) -> None:
    become(monkeypatch, 1000, 1000)
    monkeypatch.setattr(id_maps, "_run", lambda executable, arguments: (status, said))
    with pytest.raises(ConfigError, match=rf"linux\.uidMappings: .*{why}") as raised:
        id_maps.write_maps(CHILD, RANGE, RANGE)
    assert "/etc/subuid" in str(raised.value)


def helper(directory: Path, mode: int) -> None:
    (directory / "newuidmap").write_text("")
    (directory / "newuidmap").chmod(mode)


@pytest.mark.needs_root
@pytest.mark.parametrize("mode", [0o755, 0o4775, 0o4757])
def test_a_helper_that_is_not_privileged_or_that_others_may_write_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, mode: int
) -> None:
    helper(tmp_path, mode)
    monkeypatch.setattr(id_maps, "HELPER_DIRECTORIES", (str(tmp_path),))
    with pytest.raises(Unsupported, match="cannot map more than the own id without newuidmap"):
        id_maps._open_helper("uid_map")


@pytest.mark.needs_root
def test_a_helper_of_somebody_else_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    helper(tmp_path, 0o4755)
    os.chown(tmp_path / "newuidmap", 1, 1)
    monkeypatch.setattr(id_maps, "HELPER_DIRECTORIES", (str(tmp_path),))
    with pytest.raises(Unsupported, match="does not belong to root"):
        id_maps._open_helper("uid_map")


@pytest.mark.needs_root
def test_a_setuid_helper_of_roots_is_taken_from_the_first_place_that_has_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    helper(tmp_path, 0o4755)
    monkeypatch.setattr(id_maps, "HELPER_DIRECTORIES", ("/nonexistent", str(tmp_path)))
    path, fd = id_maps._open_helper("uid_map")
    os.close(fd)
    assert path == str(tmp_path / "newuidmap")


def test_without_a_helper_the_error_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(id_maps, "HELPER_DIRECTORIES", ("/nonexistent",))
    with pytest.raises(Unsupported, match=r"linux\.gidMappings: there is no newgidmap in /nonexistent") as raised:
        id_maps._open_helper("gid_map")
    assert "uidmap" in str(raised.value)


def test_helpers_are_looked_for_at_absolute_paths_only() -> None:
    assert all(directory.startswith("/") for directory in id_maps.HELPER_DIRECTORIES)


def test_a_refusal_of_the_kernel_inside_a_user_namespace_says_which_ids_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    become(monkeypatch, 0, 0)

    def refuse(pid: int, name: str, text: str) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(procfs, "write_id_map", refuse)
    monkeypatch.setattr(procfs, "in_user_namespace", lambda: True)
    with pytest.raises(CorelaunchError, match="cannot write id mapping: uid_map: operation not permitted") as raised:
        id_maps.write_maps(CHILD, RANGE, RANGE)
    assert "/proc/self/uid_map" in str(raised.value)
