"""Fixtures: the init as it ships (musl, static) and as a sanitizer build, and a root filesystem with busybox."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

# pytest's importlib mode does not find the modules beside a test.
sys.path.insert(0, str(Path(__file__).parent))

from native_launch import USUAL, Launch
from native_plans import Operation

NATIVE = Path(__file__).resolve().parents[2] / "native"
APPLETS = (
    "sh",
    "cat",
    "echo",
    "true",
    "id",
    "ls",
    "stat",
    "readlink",
    "hostname",
    "sleep",
    "mount",
    "grep",
    "touch",
    "env",
    "mkdir",
)

if os.geteuid() != 0:
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="session")
def init_builds(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Builds each kind of init once."""
    directory = tmp_path_factory.mktemp("init")
    built: dict[str, Path] = {}

    def build(kind: str) -> Path:
        # Where no compiler is, as in the guest with an older kernel, an init that was built before is tested.
        if kind == "musl" and "CORELAUNCH_TEST_INIT" in os.environ:
            return Path(os.environ["CORELAUNCH_TEST_INIT"])
        if kind not in built:
            output = directory / kind
            options = [] if kind == "musl" else ["--sanitize"]
            subprocess.run([NATIVE / "build-init.sh", output, *options], check=True)
            built[kind] = output
        return built[kind]

    return build


@pytest.fixture(params=["musl", "sanitized"])
def program(request: pytest.FixtureRequest, init_builds: Callable[[str], Path]) -> Path:
    """The init; every test runs with both builds."""
    return init_builds(request.param)


@pytest.fixture
def rootfs(tmp_path: Path) -> Iterator[Path]:
    """A root filesystem with busybox and the directories that runc's default config mounts on."""
    root = tmp_path / "rootfs"
    for name in ("bin", "dev", "etc", "proc", "sys", "tmp", "home"):
        (root / name).mkdir(parents=True)
    shutil.copy("/bin/busybox", root / "bin" / "busybox")
    for name in APPLETS:
        (root / "bin" / name).symlink_to("busybox")
    (root / "etc" / "passwd").write_text("root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n")
    yield root
    # pytest keeps temporary directories, and hundreds of copies fill a small machine.
    (root / "bin" / "busybox").unlink()


@pytest.fixture
def shared_rootfs(rootfs: Path) -> Iterator[Path]:
    """The same on a mount of the host that is shared: what a container mounts there without care appears here."""
    holder = rootfs.parent
    subprocess.run(["mount", "--bind", holder, holder], check=True)
    subprocess.run(["mount", "--make-shared", holder], check=True)
    yield rootfs
    subprocess.run(["umount", "-l", "-R", holder], check=True)


@pytest.fixture
def launch(program: Path) -> Iterator[Callable[..., Launch]]:
    """Makes launches and ends them."""
    made: list[Launch] = []

    def make(*extra_fds: int, prefix: Sequence[str] = ()) -> Launch:
        made.append(Launch(program, extra_fds, prefix))
        return made[-1]

    yield make
    # The last first: the end of a pid namespace waits until whoever joined it is reaped.
    for one in reversed(made):
        one.__exit__()


@pytest.fixture
def run(launch: Callable[..., Launch]) -> Callable[..., Launch]:
    """Runs a plan to the end of the payload; the exit status is in ``.status``, what exec said in ``.failure``."""

    def run_plan(
        operations: Sequence[Operation],
        namespaces: int = USUAL,
        source: Callable[[int], int] | None = None,
        **options: object,
    ) -> Launch:
        one = launch()
        one.bootstrap(namespaces, **options)  # type: ignore[arg-type]
        one.give_plan(operations)
        one.serve(source=source)
        one.failure = one.exec_error()  # type: ignore[attr-defined]
        one.status = one.wait()  # type: ignore[attr-defined]
        return one

    return run_plan
