"""Fixtures of the tests that make real containers: one rootfs for all, a bundle and a state root for each."""

from __future__ import annotations

import gc
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, os.path.dirname(__file__))
import cli_host
import rootless_host

from corelaunch.runtime import Runtime
from corelaunch.testing import bundles


@pytest.fixture(scope="session")
def rootfs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundles.make_rootfs(tmp_path_factory.mktemp("rootfs"))


@pytest.fixture
def reachable(rootfs: Path) -> None:
    """The rootfs can be reached by the root of another user namespace (pytest's directories are root's alone)."""
    for directory in (rootfs, *rootfs.parents):
        directory.chmod(directory.stat().st_mode | 0o011)
        if directory == Path("/tmp"):
            break


@pytest.fixture
def bundle(tmp_path: Path, rootfs: Path) -> Callable[..., Path]:
    """Makes a bundle: ``bundle("sh", "-c", "…")``, with ``change`` to edit its config."""
    made = 0

    def make(*args: str, change: Callable[[dict[str, Any]], object] | None = None, terminal: bool = False) -> Path:
        nonlocal made
        made += 1
        content = bundles.config(*args, terminal=terminal)
        content["root"]["readonly"] = False
        if change is not None:
            change(content)
        return bundles.make_bundle(tmp_path / f"bundle{made}", rootfs, content)

    return make


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[Runtime]:
    """A runtime with a state root of its own; what a failed test leaves is removed."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    gc.collect()  # containers of the last test, which a traceback may have kept: some tests count descriptors
    runtime = Runtime(str(tmp_path / "state"))
    yield runtime
    for container_id in runtime.root.ids():
        runtime.load(container_id).delete(force=True)


class Output:
    """A pipe as standard output and error of a container."""

    def __init__(self) -> None:
        self._read, self.fd = os.pipe2(os.O_CLOEXEC)

    def text(self) -> str:
        """All of it; the container must have ended."""
        os.close(self.fd)
        chunks = []
        while chunk := os.read(self._read, 65536):
            chunks.append(chunk)
        os.close(self._read)
        return b"".join(chunks).decode()


@pytest.fixture
def output() -> Output:
    return Output()


@pytest.fixture(scope="session")
def user() -> Iterator[rootless_host.User]:
    """An ordinary user, and a directory that he can reach (pytest's own are root's alone)."""
    directory = Path(tempfile.mkdtemp(prefix="cl-rl-", dir="/tmp"))
    directory.chmod(0o755)
    made = rootless_host.User(rootless_host.MARK, directory)
    try:
        made.own(bundles.make_rootfs(made.home / "rootfs"))
        yield made
    finally:
        made.remove()
        shutil.rmtree(directory)


@pytest.fixture(scope="session")
def installed(user: rootless_host.User) -> str:
    """A corelaunch that the user can run and not write."""
    return rootless_host.installation(user.home.parent / "installed")


@pytest.fixture
def user_cli(user: rootless_host.User, installed: str) -> Iterator[rootless_host.UserCli]:
    """corelaunch as the user calls it."""
    made = rootless_host.UserCli(installed, user.runtime_dir / "corelaunch", rootless_host.MARK, user)
    yield made
    made.delete_all()


@pytest.fixture
def user_bundle(user: rootless_host.User, installed: str) -> Callable[..., str]:
    """Makes a bundle of the user from what ``spec --rootless`` writes, without its terminal."""

    def make(*args: str, change: Callable[[dict[str, Any]], object] | None = None) -> str:
        def adapt(config: dict[str, Any]) -> None:
            config["process"]["args"] = list(args)
            config["process"]["terminal"] = False
            config["root"]["path"] = str(user.home / "rootfs")
            if change is not None:
                change(config)

        path = user.home / f"bundle-{rootless_host.serial()}"
        return str(rootless_host.spec(user, path, installed, adapt))

    return make


@pytest.fixture(name="bundles", scope="module")
def cli_bundles(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> cli_host.Bundles:
    """Makes bundles for the command line; cgroups begin with the module's MARK."""
    return cli_host.Bundles(tmp_path_factory.mktemp("bundles"), request.module.MARK)


@pytest.fixture
def cli(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[cli_host.Cli]:
    """corelaunch."""
    made = cli_host.Cli(cli_host.corelaunch_path(), tmp_path / "root", request.module.MARK)
    yield made
    made.delete_all()


@pytest.fixture(params=["corelaunch", "runc"])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[cli_host.Cli]:
    """corelaunch and, with the same expectations, the runtime that it stands in for."""
    if request.param == "runc" and not os.path.exists(cli_host.RUNC):
        pytest.skip("runc is not installed")
    program = cli_host.RUNC if request.param == "runc" else cli_host.corelaunch_path()
    made = cli_host.Cli(program, tmp_path / f"root-{request.param}", f"{request.module.MARK}-{request.param[0]}")
    yield made
    made.delete_all()
