"""Reading bundles and process files, and what of a config is compared with the host."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from corelaunch.errors import ConfigError, Unsupported
from corelaunch.spec import process
from corelaunch.spec.bundle import load
from corelaunch.spec.check import check_config
from corelaunch.spec.process import check_process, load_process


def bundle(path: Path, config: dict[str, Any]) -> str:
    (path / "rootfs").mkdir(parents=True)
    (path / "config.json").write_text(json.dumps(config))
    return str(path)


def refused(path: str) -> str:
    loaded = load(path)
    with pytest.raises(ConfigError) as caught:
        check_config(loaded.config, loaded)
    assert caught.value.where == "root.path"
    return caught.value.why


def test_a_bundle_is_read_and_its_root_filesystem_found(tmp_path: Path, config: dict[str, Any]) -> None:
    loaded = load(bundle(tmp_path / "b", config))
    assert loaded.config == config
    assert loaded.root() == f"{tmp_path}/b/rootfs"
    assert check_config(loaded.config, loaded) == []


def test_a_bundle_may_be_named_by_a_link(tmp_path: Path, config: dict[str, Any]) -> None:
    (tmp_path / "link").symlink_to(bundle(tmp_path / "b", config))
    loaded = load(str(tmp_path / "link"))
    assert loaded.path == f"{tmp_path}/b"
    assert check_config(loaded.config, loaded) == []


def test_a_missing_bundle_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"invalid bundle: {tmp_path}/none: no such file or directory"):
        load(str(tmp_path / "none"))


def test_a_missing_config_has_the_words_of_runc(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"JSON specification file config\.json not found"):
        load(str(tmp_path))


def test_broken_json_has_line_and_column(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{\n "ociVersion": "1.0.0",\n "process": {,}\n}')
    with pytest.raises(ConfigError, match=r"invalid JSON: config\.json:3:14: expecting property name"):
        load(str(tmp_path))


@pytest.mark.parametrize("text", ["[]", "1", '"x"', "null"])
def test_a_config_must_be_an_object(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ConfigError, match="the file must hold an object"):
        load(str(tmp_path))


def test_a_config_that_is_a_fifo_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "config.json")
    with pytest.raises(ConfigError, match="not a regular file"):
        load(str(tmp_path))


def test_a_config_larger_than_16_mib_is_refused_without_reading_on(tmp_path: Path) -> None:
    with open(tmp_path / "config.json", "wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(ConfigError, match="larger than 16 MiB"):
        load(str(tmp_path))


def test_a_bundle_whose_path_is_no_text_is_refused(tmp_path: Path) -> None:
    name = os.fsencode(tmp_path) + b"/\xff"
    os.mkdir(name)
    with pytest.raises(ConfigError, match="not UTF-8"):
        load(os.fsdecode(name))


def test_a_missing_rootfs_is_refused(tmp_path: Path, config: dict[str, Any]) -> None:
    path = bundle(tmp_path / "b", config)
    os.rmdir(f"{path}/rootfs")
    assert "does not exist" in refused(path)


def test_a_rootfs_that_is_a_file_is_refused(tmp_path: Path, config: dict[str, Any]) -> None:
    path = bundle(tmp_path / "b", config)
    os.rmdir(f"{path}/rootfs")
    Path(path, "rootfs").write_text("")
    assert "is not a directory" in refused(path)


def test_a_rootfs_behind_a_link_is_refused(tmp_path: Path, config: dict[str, Any]) -> None:
    path = bundle(tmp_path / "b", config)
    os.rename(f"{path}/rootfs", f"{path}/real")
    os.symlink("real", f"{path}/rootfs")
    assert "leads over a symlink" in refused(path)


def test_a_rootfs_outside_the_bundle_is_allowed(tmp_path: Path, config: dict[str, Any]) -> None:
    (tmp_path / "elsewhere").mkdir()
    for root in ("../elsewhere", f"{tmp_path}/elsewhere"):
        config["root"]["path"] = root
        loaded = load(bundle(tmp_path / re.sub("[^a-z]", "", root), config))
        assert check_config(loaded.config, loaded) == []


def test_only_a_procfs_can_be_bound_on_proc(tmp_path: Path, config: dict[str, Any]) -> None:
    config["mounts"][0] = {"destination": "/proc", "type": "none", "source": "/proc", "options": ["rbind"]}
    loaded = load(bundle(tmp_path / "b", config))
    assert check_config(loaded.config, loaded) == []
    loaded.config["mounts"][0]["source"] = str(tmp_path)
    with pytest.raises(ConfigError, match="only a procfs can be bound on /proc"):
        check_config(loaded.config, loaded)


@pytest.mark.parametrize(
    ("member", "function", "text"),
    [("apparmorProfile", "apparmor_enabled", "apparmor"), ("selinuxLabel", "selinux_enabled", "selinux")],
)
def test_a_label_that_the_host_cannot_give_is_refused(
    tmp_path: Path, config: dict[str, Any], monkeypatch: pytest.MonkeyPatch, member: str, function: str, text: str
) -> None:
    config["process"][member] = "x"
    loaded = load(bundle(tmp_path / "b", config))
    monkeypatch.setattr(process, function, lambda: True)
    assert check_config(loaded.config, loaded) == []
    monkeypatch.setattr(process, function, lambda: False)
    with pytest.raises(Unsupported, match=text):
        check_config(loaded.config, loaded)
    with pytest.raises(Unsupported, match=text):
        check_process({"args": ["x"], member: "x"})


def test_a_process_file_is_read_and_checked(tmp_path: Path) -> None:
    file = tmp_path / "process.json"
    file.write_text('{"args": ["sh"], "user": {"uid": "0"}}')
    with pytest.raises(ConfigError, match=r"process: user\.uid: must be an integer, not a string"):
        check_process(load_process(str(file)))
    with pytest.raises(ConfigError, match=f"process file not found: {tmp_path}/none"):
        load_process(str(tmp_path / "none"))


def test_a_process_may_leave_out_all_but_its_arguments() -> None:
    assert check_process({"args": ["sh"]}) == []
    with pytest.raises(ConfigError, match="args: must be set"):
        check_process({"cwd": "/"})
