"""Root runs a container in a new user namespace, whose root is nobody on the host; and binds with mapped owners."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, os.path.dirname(__file__))
from cli_host import RUNC, Bundles, Cli

from corelaunch.bootstrap.stdio import ProcessIO
from corelaunch.runtime import Runtime

MARK = f"cl-un-{os.getpid()}"
#: Ids of the host that nobody has.
FIRST, COUNT = 3_000_000_000, 65536

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

Change = Callable[[dict[str, Any]], object]


@pytest.fixture(scope="module")
def bundles() -> Iterator[Bundles]:
    """In a directory that everybody can reach; pytest's own are root's alone."""
    directory = Path(tempfile.mkdtemp(prefix=MARK, dir="/tmp"))
    directory.chmod(0o755)
    yield Bundles(directory, MARK)
    shutil.rmtree(directory)


def mapped(then: Change | None = None) -> Change:
    """A change: a user namespace, and one thing more."""

    def change(config: dict[str, Any]) -> None:
        config["linux"]["namespaces"].append({"type": "user"})
        for member in ("uidMappings", "gidMappings"):
            config["linux"][member] = [{"containerID": 0, "hostID": FIRST, "size": COUNT}]
        if then is not None:
            then(config)

    return change


PROBE = """
id; cat /proc/self/uid_map /proc/self/gid_map /proc/self/setgroups; umask; pwd
grep -E '^(Cap|NoNewPrivs|Groups)' /proc/self/status
ls -ln /dev | grep -v mqueue | cut -c1-40; cut -d' ' -f4-6,9- /proc/self/mountinfo | grep -v /cgroup
touch /dev/x && ls -ln /dev/x | cut -c1-40; cat /proc/kcore | head -c1; ls /proc/acpi /sys/firmware | sort
"""


def test_it_sees_what_runc_shows_it(cli: Cli, bundles: Bundles) -> None:
    # All but /dev/mqueue, which under runc belongs to a group that its user namespace does not have.
    answers = []
    for program in (cli.program, RUNC):
        where = bundles("sh", "-c", PROBE, change=mapped())
        words = [program, "--root", str(cli.root), "run", "--bundle", where, cli.new_id()]
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=30
        )
        # Sorted: both ends of a pipe write to the same place.
        answers.append((done.returncode, sorted(re.sub(r"[A-Z][a-z]{2} +\d+ [\d:]+", "", done.stdout).splitlines())))
    assert answers[0] == answers[1]
    assert any(line.split() == ["0", str(FIRST), str(COUNT)] for line in answers[0][1])


def test_every_verb_works_and_its_processes_are_the_mapped_ids(cli: Cli, bundles: Bundles) -> None:
    one = cli.new_id()
    cli.ok("run", "--detach", "--bundle", bundles("sleep", "1000", change=mapped()), one)
    assert os.stat(f"/proc/{cli.state(one)['pid']}").st_uid == FIRST
    assert cli.ok("exec", "--user", "5:6", "-g", "7", one, "id") == "uid=5 gid=6 groups=7\n"
    assert cli.ok("exec", one, "cat", "/proc/self/uid_map").split() == ["0", str(FIRST), str(COUNT)]
    outcome = cli("exec", "--user", str(COUNT), one, "id")
    assert (outcome.code, outcome.out) == (255, "")
    assert f"process: user.uid: {COUNT} is not in linux.uidMappings" in outcome.err
    cli.ok("kill", one, "KILL")
    cli.wait_for(one, "stopped")
    cli.ok("delete", one)


def test_sources_that_its_root_may_not_reach_come_from_the_parent(cli: Cli, bundles: Bundles, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    (secret / "inner").mkdir(parents=True)
    (secret / "inner/file").write_text("found\n")
    secret.chmod(0o700)
    change = mapped(bind(secret / "inner"))
    assert cli.ok("run", "--bundle", bundles("cat", "/work/file", change=change), cli.new_id()) == "found\n"


def bind(source: Path, *options: str, **more: Any) -> Change:
    """A change: a bind on /work."""
    mount = {"destination": "/work", "type": "bind", "source": str(source), "options": ["rbind", *options], **more}
    return lambda config: config["mounts"].append(mount)


def maps(inside: int, outside: int, size: int = COUNT) -> dict[str, Any]:
    line = [{"containerID": inside, "hostID": outside, "size": size}]
    return {"uidMappings": line, "gidMappings": line}


TMPFS = {"type": "tmpfs", "source": "tmpfs"}
SHOW = ("sh", "-c", "busybox stat -c %u:%g /work/file; touch /work/new")


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    """A directory of root's with a file of user 5's in it."""
    directory = tmp_path / "volume"
    directory.mkdir()
    (directory / "file").write_text("")
    os.chown(directory / "file", 5, 6)
    return directory


@pytest.mark.parametrize("word", ["idmap", "ridmap"])
def test_a_bind_is_mapped_as_its_container_is(cli: Cli, bundles: Bundles, volume: Path, word: str) -> None:
    where = bundles(*SHOW, change=mapped(bind(volume, word)))
    assert cli.ok("run", "--bundle", where, cli.new_id()) == "5:6\n"
    assert (volume / "new").stat().st_uid == 0
    assert (volume / "file").stat().st_uid == 5


def test_without_a_map_the_owners_are_nobody_in_a_user_namespace(cli: Cli, bundles: Bundles, volume: Path) -> None:
    volume.chmod(0o777)
    where = bundles(*SHOW, change=mapped(bind(volume)))
    assert cli.ok("run", "--bundle", where, cli.new_id()) == "65534:65534\n"


def test_a_bind_has_maps_of_its_own(cli: Cli, bundles: Bundles, volume: Path) -> None:
    change = mapped(bind(volume, "idmap", **maps(0, FIRST + 100, 1000)))
    where = bundles("busybox", "stat", "-c", "%u:%g", "/work/file", change=change)
    assert cli.ok("run", "--bundle", where, cli.new_id()) == "105:106\n"


def test_a_bind_is_mapped_without_a_user_namespace_too(cli: Cli, bundles: Bundles, volume: Path) -> None:
    where = bundles("busybox", "stat", "-c", "%u:%g", "/work/file", change=bind(volume, **maps(0, 1000, 100)))
    assert cli.ok("run", "--bundle", where, cli.new_id()) == "1005:1006\n"


def test_ridmap_maps_what_is_mounted_below_and_idmap_does_not(cli: Cli, bundles: Bundles, volume: Path) -> None:
    (volume / "below").mkdir()
    subprocess.run(["mount", "--bind", str(volume), str(volume / "below")], check=True)
    try:
        for word, owner in (("ridmap", "1005"), ("idmap", "5")):
            change = bind(volume, word, **maps(0, 1000, 100))
            where = bundles("busybox", "stat", "-c", "%u", "/work/file", "/work/below/file", change=change)
            assert cli.ok("run", "--bundle", where, cli.new_id()).split() == ["1005", owner]
    finally:
        subprocess.run(["umount", str(volume / "below")], check=True)


def test_a_filesystem_that_cannot_be_mapped_is_named(cli: Cli, bundles: Bundles) -> None:
    where = bundles("true", change=mapped(bind(Path("/proc/sys"), "idmap")))
    outcome = cli("run", "--bundle", where, cli.new_id())
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (1, "", 1)
    assert "cannot map the owners of a mount: /proc/sys: invalid argument" in outcome.err
    assert "id-mapped mounts" in outcome.err
    assert cli.ok("list", "-q") == ""


def test_a_root_filesystem_that_the_mapped_root_may_not_write_to_is_named(cli: Cli, bundles: Bundles) -> None:
    where = bundles("true", change=mapped(lambda config: config["mounts"].append({"destination": "/new", **TMPFS})))
    outcome = cli("run", "--bundle", where, cli.new_id())
    assert (outcome.code, outcome.err.count("\n")) == (1, 1)
    assert "mount target: /new: permission denied (the container's root may not write" in outcome.err


def test_the_process_that_makes_the_user_namespace_is_reaped(bundles: Bundles, volume: Path, tmp_path: Path) -> None:
    runtime = Runtime(str(tmp_path / "root"))
    null = os.open("/dev/null", os.O_RDWR)
    where = bundles("sleep", "1000", change=bind(volume, "idmap", **maps(0, 1000, 100)))
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    before = set(children.read_text().split())
    container = runtime.create(f"{MARK}-api", where, io=ProcessIO(null, null, null))
    try:
        assert set(children.read_text().split()) - before == {str(container.pid)}
    finally:
        container.delete(force=True)
        os.close(null)
