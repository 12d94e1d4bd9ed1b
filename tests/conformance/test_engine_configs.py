"""config.json files as podman, containerd, docker, buildah and CRI engines wrote them run unchanged, as under runc.

Which do not run here, and why, is in the tables; nothing else may be missing.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from corelaunch.testing.bundles import make_rootfs

pytestmark = pytest.mark.needs_root

DIRECTORY = Path(__file__).parents[1] / "fixtures" / "engine-configs"
WORKER = Path(__file__).with_name("engine_worker.py")

#: Their prestart hook is the running docker daemon's own program (/proc/PID/exe): it is not there.
HOOK = {"docker-config-76587139", "docker-config-7bb7ae39", "docker-config-8f3c5f4e"}
#: They lower oom_score_adj, which this host's root may not (CAP_SYS_RESOURCE): refused by both.
LOWERED = {"crio-config-847f30a9", "crio-config-dbf321a3"}
#: hostname without a UTS namespace: runc refuses it too.
REFUSED = {"cri-config-782737fc"}

ALL = {path.stem for path in DIRECTORY.glob("*-config-*.json")}
RUN = sorted(ALL - HOOK - REFUSED)


@pytest.fixture(scope="module")
def rootfs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    return make_rootfs(tmp_path_factory.mktemp("engine") / "rootfs")


def run(config: Path, rootfs: Path, runtime: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, WORKER, config, rootfs, runtime], capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def without_mount_ids(text: str) -> str:
    """Lines of mountinfo without the ids of mounts, peer groups and devices without a disk, which count up."""
    return re.sub(r"^(\d+ \d+ )?0:\d+ |^\d+ \d+ |shared:\d+", "", text, flags=re.MULTILINE)


def test_the_tables_name_configs_that_exist_and_most_others_run() -> None:
    assert HOOK | REFUSED < ALL
    assert len(RUN) >= 18


@pytest.mark.parametrize("name", RUN)
def test_an_engines_config_runs_unchanged_and_as_under_runc(name: str, rootfs: Path) -> None:
    config = DIRECTORY / f"{name}.json"
    ours = run(config, rootfs, "corelaunch")
    assert ours["left"] == []
    if json.loads(config.read_text())["process"].get("terminal"):
        assert (ours["status"], ours["output"].strip()) == (0, "/dev/pts/0")
        return
    if shutil.which("runc") is None:
        pytest.skip("runc is not installed, nothing to compare with")
    theirs = run(config, rootfs, "runc")
    if name in LOWERED and "oom_score_adj: Permission denied" in theirs["output"]:
        assert "oom_score_adj: permission denied" in ours["output"]
    else:
        assert (ours["status"], ours["output"]) == (theirs["status"], theirs["output"])


@pytest.mark.parametrize("name", sorted(LOWERED))
def test_without_the_lowered_score_the_same_configs_run(name: str, rootfs: Path, tmp_path: Path) -> None:
    content = json.loads((DIRECTORY / f"{name}.json").read_text())
    del content["process"]["oomScoreAdj"]
    config = tmp_path / "config.json"
    config.write_text(json.dumps(content))
    ours, theirs = run(config, rootfs, "corelaunch"), run(config, rootfs, "runc")
    assert ours["left"] == []
    assert (ours["status"], ours["output"]) == (theirs["status"], theirs["output"])
    assert theirs["status"] == 0


@pytest.mark.parametrize("name", sorted(HOOK))
def test_with_a_stand_in_for_the_daemons_hook_docker_configs_run_too(name: str, rootfs: Path, tmp_path: Path) -> None:
    content = json.loads((DIRECTORY / f"{name}.json").read_text())
    for hook in content["hooks"]["prestart"]:
        hook["path"] = "/bin/true"
    config = tmp_path / "config.json"
    config.write_text(json.dumps(content))
    ours, theirs = run(config, rootfs, "corelaunch"), run(config, rootfs, "runc")
    assert (ours["status"], ours["left"]) == (theirs["status"], [])
    if "runc run failed" in theirs["output"]:
        # --privileged wants CAP_SYS_RESOURCE, which this host's root may not have: refused by both.
        assert "operation not permitted" in theirs["output"] and "operation not permitted" in ours["output"]
    else:
        assert without_mount_ids(ours["output"]) == without_mount_ids(theirs["output"])


@pytest.mark.parametrize("name", sorted(HOOK))
def test_without_the_daemon_its_hook_is_named_in_the_error(name: str, rootfs: Path) -> None:
    ours = run(DIRECTORY / f"{name}.json", rootfs, "corelaunch")
    assert (ours["status"], ours["left"]) == (1, [])
    assert "hooks.prestart[0]: no such file or directory" in ours["output"]
