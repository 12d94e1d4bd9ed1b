"""A user's containers as units of his own systemd, which here is not above the caller: as from a login session."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from unit_host import COMMAND, NEEDS_SYSTEMD, systemctl, until

from corelaunch.testing.bundles import make_rootfs
from corelaunch.testing.host import host_lacks

pytestmark = NEEDS_SYSTEMD

#: Debian's nobody.
UID = 65534
MANAGER = "clsd-user.service"


class User:
    """Runs commands as the user, outside of his systemd."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.runtime = home / "run"

    def run(self, *words: str, code: int = 0) -> str:
        """What a command says."""
        given = [f"HOME={self.home}", f"XDG_RUNTIME_DIR={self.runtime}", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"]
        become = ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", "env", "-i", *given]
        with open(self.home / "out", "w+") as out:
            done = subprocess.run(
                [*become, *words], stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd="/", timeout=300, check=False
            )
            out.seek(0)
            said = out.read()
        assert done.returncode == code, f"{words}: exit code {done.returncode}: {said}"
        return said

    def cli(self, *words: str, code: int = 0) -> str:
        """What corelaunch says."""
        return self.run(str(COMMAND), "--root", str(self.home / "state"), "--systemd-cgroup", *words, code=code)

    def bundle(self, **resources: object) -> str:
        """A bundle that sleeps, and sees where its cgroup is."""
        bundle = self.home / "bundle"
        if not bundle.exists():
            make_rootfs(bundle / "rootfs")
            for path in (bundle, *bundle.rglob("*")):
                os.chown(path, UID, UID)
            self.run(str(COMMAND), "spec", "--rootless", "--bundle", str(bundle))
        content = json.loads((bundle / "config.json").read_text())
        content["process"].update(terminal=False, args=["sleep", "1000"])
        content["linux"]["namespaces"] = [n for n in content["linux"]["namespaces"] if n["type"] != "cgroup"]
        content["linux"]["resources"] = resources
        (bundle / "config.json").write_text(json.dumps(content))
        return str(bundle)

    def units(self) -> str:
        """His units of containers."""
        return self.run("systemctl", "--user", "list-units", "--all", "--no-legend", "--plain", "corelaunch-*")


@pytest.fixture
def user() -> Iterator[User]:
    """A user with a systemd of his own."""
    home = Path(f"/run/clsd-user-{os.getpid()}")
    units = home / "run/systemd/user"
    units.mkdir(parents=True)
    (units / "clsd.target").write_text("[Unit]\nDefaultDependencies=no\n")
    for path in (home, *home.rglob("*")):
        os.chown(path, UID, UID)
    (home / "run").chmod(0o700)
    user = User(home)
    properties = ["DefaultDependencies=no", f"User={UID}", "Delegate=yes", "Type=notify"]
    variables = [f"XDG_RUNTIME_DIR={home / 'run'}", f"HOME={home}"]
    manager = ["/lib/systemd/systemd", "--user", "--unit=clsd.target"]
    options = [*(f"--property={each}" for each in properties), *(f"--setenv={each}" for each in variables)]
    try:
        try:
            user.run("test", "-x", str(COMMAND))
        except AssertionError:
            host_lacks("a checkout that an ordinary user can read")
        subprocess.run(["systemd-run", "--quiet", f"--unit={MANAGER}", *options, *manager], check=True, timeout=60)
        yield user
        systemctl("kill", "--signal=KILL", MANAGER)
        systemctl("stop", MANAGER)  # it waits until the unit is dead; what still dies cannot be forgotten
        systemctl("reset-failed", MANAGER)
    finally:
        subprocess.run(["rm", "-rf", str(home)], check=True)


def test_a_users_container_is_a_unit_of_his_systemd_and_an_exec_is_in_it(user: User) -> None:
    user.cli("create", "--bundle", user.bundle(), "one")
    user.cli("start", "one")
    assert user.units().startswith("corelaunch-one.scope loaded active running corelaunch container one")
    inside = f"/{MANAGER}/user.slice/corelaunch-one.scope"
    assert inside in user.cli("exec", "one", "cat", "/proc/1/cgroup")
    assert inside in user.cli("exec", "one", "cat", "/proc/self/cgroup")
    user.cli("kill", "one", "KILL")
    assert until(lambda: json.loads(user.cli("state", "one"))["status"] == "stopped")
    user.cli("delete", "one")
    assert user.units() == ""


def test_the_root_of_his_user_namespace_has_his_containers_in_his_systemd(user: User) -> None:
    bundle = Path(user.bundle())
    content = json.loads((bundle / "config.json").read_text())
    content["process"]["args"] = ["cat", "/proc/1/cgroup"]
    for member in ("uidMappings", "gidMappings"):
        content["linux"][member] = [{"containerID": 0, "hostID": 0, "size": 1}]
    (bundle / "config.json").write_text(json.dumps(content))
    words = ("--root", str(user.home / "state"), "--systemd-cgroup", "run", "--bundle", str(bundle), "four")
    said = user.run("unshare", "--user", "--map-root-user", "--mount", str(COMMAND), *words)
    assert f"/{MANAGER}/user.slice/corelaunch-four.scope" in said
    assert until(lambda: user.units() == "")


def test_what_his_systemd_cannot_limit_is_refused(user: User) -> None:
    if os.path.isdir("/sys/fs/cgroup/memory"):
        said = user.cli("create", "--bundle", user.bundle(memory={"limit": 1 << 26}), "two", code=1)
        assert "linux.resources.memory: a user's systemd is given no controllers of cgroup v1" in said
    elif "memory" not in Path("/sys/fs/cgroup/cgroup.controllers").read_text():
        said = user.cli("create", "--bundle", user.bundle(memory={"limit": 1 << 26}), "two", code=1)
        assert "no controller memory" in said
    else:
        user.cli("create", "--bundle", user.bundle(memory={"limit": 1 << 26}), "two")
        assert "MemoryMax=67108864" in user.run("systemctl", "--user", "show", "corelaunch-two.scope")
        user.cli("delete", "--force", "two")
    assert user.units() == ""


def test_without_a_systemd_of_his_own_he_is_told_what_to_do(user: User) -> None:
    systemctl("kill", "--signal=KILL", MANAGER)
    assert until(lambda: systemctl("is-active", MANAGER) != "active")
    said = user.cli("create", "--bundle", user.bundle(), "three", code=1)
    assert "cannot reach the user's systemd" in said and "loginctl enable-linger" in said
