"""podman of an ordinary user with ``--cgroup-manager=systemd``: his containers are scopes of his own systemd."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(CHECKOUT / "tests" / name) for name in ("host", "real")]
import rootless_host  # noqa: E402  (the path has to be set first)
from child_cgroups import hierarchies  # noqa: E402

from corelaunch.testing.bundles import make_rootfs  # noqa: E402

USER = "nobody"
RUNC = "/usr/sbin/runc"
LEGACY = any((hierarchy / "cgroup.clone_children").exists() for hierarchy in hierarchies())

pytestmark = [pytest.mark.clients, pytest.mark.needs_root, pytest.mark.slow, pytest.mark.timeout(300)]

#: Prints facts, a line each. One id is mapped, so that nobody needs subordinate ones. No limit of processes is asked
#: for (``pids_limit = 0``): the host's controller is in v1.
SCRIPT = r"""
set -e
export HOME=$(mktemp -d -p $WORK) CONTAINERS_CONF=$WORK/containers.conf
cat >$CONTAINERS_CONF <<C
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
pids_limit = 0
log_driver = "k8s-file"
C
podman() { command podman --storage-driver vfs --cgroup-manager systemd --events-backend file --runtime $RUNTIME "$@"; }
podman import -q $WORK/image.tar localhost/busybox >/dev/null
run="--network none --cgroupns host"
podman run --rm $run localhost/busybox sh -c "exit 7" || echo exit $?
podman run -d $run --name x localhost/busybox sleep 1000 >/dev/null
scope=libpod-$(podman inspect --format '{{.ID}}' x).scope
podman exec x cat /proc/self/cgroup | sed -n "s|^$HIERARCHY:||p" | sed "s|$scope|SCOPE|"
echo unit $(systemctl --user is-active $scope)
podman kill -s KILL x >/dev/null
podman wait x
podman rm x >/dev/null
for i in 1 2 3 4 5 6 7 8 9; do systemctl --user -q is-active $scope || break; sleep 0.2; done
echo unit $(systemctl --user show -P LoadState $scope)
"""


@pytest.fixture(scope="module")
def work() -> Iterator[Path]:
    subprocess.run([CHECKOUT / "script/setup", "clients"], check=True, stdin=subprocess.DEVNULL)
    user = pwd.getpwnam(USER)
    with tempfile.TemporaryDirectory(prefix="cl-rs-", dir="/tmp") as name:
        directory = Path(name)
        rootfs = make_rootfs(directory / "rootfs")
        owned = ("--owner=0", "--group=0")
        subprocess.run(["tar", "-C", rootfs, *owned, "-cf", directory / "image.tar", "."], check=True)
        for path in (directory, directory / "image.tar"):
            os.chown(path, user.pw_uid, user.pw_gid)
        yield directory


@pytest.fixture(scope="module")
def corelaunch() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="cl-rs-", dir="/tmp") as name:
        Path(name).chmod(0o755)
        yield rootless_host.installation(Path(name, "installed"))


# runc refuses a user's systemd on cgroup v1, so there is nothing to compare with.
@pytest.mark.parametrize(
    ("mode", "runtime"), [("unified", "runc"), ("unified", "corelaunch"), ("hybrid", "corelaunch")]
)
def test_a_users_container_is_a_scope_of_his_systemd(work: Path, corelaunch: str, mode: str, runtime: str) -> None:
    if mode == "hybrid" and not LEGACY:
        pytest.skip("host lacks cgroup v1")
    uid = pwd.getpwnam(USER).pw_uid
    settings = {"WORK": str(work), "RUNTIME": RUNC if runtime == "runc" else corelaunch}
    settings["HIERARCHY"] = "0:" if mode == "unified" else "[0-9]*:name=systemd"
    seen = subprocess.run(
        [CHECKOUT / "script/with-systemd", "--user", USER, mode, "sh", "-c", SCRIPT],
        cwd="/",
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=250,
    )
    assert seen.returncode == 0, seen
    assert seen.stdout.splitlines() == [
        "exit 7",
        f"/user.slice/user-{uid}.slice/user@{uid}.service/user.slice/SCOPE",
        "unit active",
        "137",
        "unit not-found",
    ]
