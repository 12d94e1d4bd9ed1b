"""doctor: what it says of good and of bad hosts, and that no check can stop it."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from corelaunch import doctor
from corelaunch.cli.display import width
from corelaunch.cli.doctor import lines
from corelaunch.cli.main import main
from corelaunch.cli.screen import Screen
from corelaunch.doctor import Check, cgroups, host, installation
from corelaunch.errors import KernelError, PluginError
from corelaunch.kernel import native, procfs
from corelaunch.kernel.mountinfo import Hierarchy, Mount
from corelaunch.plugins.registry import Registry
from corelaunch.runtime import Runtime


@pytest.fixture
def runtime(tmp_path: Path) -> Runtime:
    return Runtime(str(tmp_path / "root"))


def by_name(checks: Iterator[Check]) -> dict[str, Check]:
    return {check.name: check for check in checks}


def test_every_check_has_a_known_status_and_what_is_wrong_has_a_hint_or_a_consequence(runtime: Runtime) -> None:
    checks = list(doctor.examine(runtime))
    assert {"kernel", "user namespaces", "cgroups", "resctrl", "installation", "plugins", "state"} <= {
        check.group for check in checks
    }
    for check in checks:
        assert check.status in ("ok", "warn", "fail")
        assert check.text and "\n" not in check.text
        assert check.status == "ok" or check.hint or ": " in check.text, check
    assert not runtime.root.path or not os.path.exists(runtime.root.path), "it made something"


def test_a_check_that_cannot_be_made_is_a_warning_and_the_others_go_on(runtime: Runtime) -> None:
    def broken(_: Runtime) -> Iterator[Check]:
        yield Check("extra", "one", "ok", "fine")
        raise ZeroDivisionError("by zero")

    def after(_: Runtime) -> Iterator[Check]:
        yield Check("more", "two", "fail", "bad", "mend it")

    found = list(doctor.examine(runtime, [("extra", broken), ("more", after)]))[-3:]
    assert [check.status for check in found] == ["ok", "warn", "fail"]
    assert "ZeroDivisionError: by zero" in found[1].text


@pytest.mark.parametrize(
    ("release", "numbers"),
    [("6.1.0-13-amd64", (6, 1)), ("5.14", (5, 14)), ("6.18.44-fc-v669", (6, 18)), ("5.9rc1", (5, 9)), ("", (0, 0))],
)
def test_kernel_releases_are_compared_as_numbers(release: str, numbers: tuple[int, int]) -> None:
    assert host.version(release) == numbers


def test_an_old_kernel_fails(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    uname = os.uname()
    old = os.uname_result((uname.sysname, uname.nodename, "5.10.0-28-amd64", uname.version, uname.machine))
    monkeypatch.setattr(os, "uname", lambda: old)
    found = by_name(host.kernel(runtime))
    assert found["version"].status == "fail"
    assert "5.14" in found["version"].hint
    assert found["weighted interleave"].status == "warn"


def test_forbidding_sysctls_are_told_with_the_remedy(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    values = {"/proc/sys/user/max_user_namespaces": "0", "/proc/sys/vm/memfd_noexec": "2"}
    monkeypatch.setattr(host, "read", lambda path: values.get(path, ""))
    assert by_name(host.user_namespaces(runtime))["max_user_namespaces"].status == "warn"
    assert by_name(host.kernel(runtime))["memfd"].status == "fail"


def test_resctrl_of_the_kernel_that_is_not_mounted_is_a_warning(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "read", lambda path: "nodev\tsysfs\nnodev\tresctrl")
    monkeypatch.setattr(host.mountinfo, "mounts_of_type", lambda fstype: [])
    [check] = host.resctrl(runtime)
    assert (check.status, "mount -t resctrl" in check.hint) == ("warn", True)


@pytest.mark.parametrize(
    ("options", "groups", "status"),
    [
        ("rw", 1, {"mount": "ok", "resources": "ok", "CLOSIDs": "ok"}),
        ("ro", 3, {"mount": "warn", "resources": "ok", "CLOSIDs": "warn"}),
    ],
)
def test_resctrl_that_is_read_only_or_full_is_a_warning(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, options: str, groups: int, status: dict[str, str]
) -> None:
    for path in ("info/L3", "info/MB", "info/L3_MON", "mon_data", "mon_groups", *map("g{}".format, range(groups))):
        (tmp_path / path).mkdir(parents=True)
    for name, text in {"L3/num_closids": "8\n", "MB/num_closids": "4\n", "L3_MON/num_rmids": "32\n"}.items():
        (tmp_path / "info" / name).write_text(text)
    mount = Mount(1, 1, "0:1", "/", str(tmp_path), (options,), (), "resctrl", "resctrl", ("rw",))
    read = host.read
    monkeypatch.setattr(host, "read", lambda path: "nodev\tresctrl" if path == "/proc/filesystems" else read(path))
    monkeypatch.setattr(host.mountinfo, "mounts_of_type", lambda fstype: [mount])
    found = by_name(host.resctrl(runtime))
    assert {name: check.status for name, check in found.items()} == status
    assert found["resources"].text == "L3, MB, L3_MON"
    assert found["CLOSIDs"].text == f"{groups + 1} of 4 in use"


@pytest.mark.parametrize(
    ("found", "version", "status"),
    [
        ([], None, "fail"),
        ([Hierarchy((), "/sys/fs/cgroup", "/", 2)], "v2", "ok"),
        ([Hierarchy(("memory",), "/a", "/", 1)], "v1", "ok"),
        ([Hierarchy(("memory",), "/a", "/", 1), Hierarchy((), "/b", "/", 2)], "hybrid (v1 and v2)", "ok"),
    ],
)
def test_the_version_of_cgroups_is_told(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch, found: list[Hierarchy], version: str | None, status: str
) -> None:
    monkeypatch.setattr(cgroups.mountinfo, "cgroup_hierarchies", lambda: found)
    check = by_name(cgroups.hierarchies(runtime))["version"]
    assert check.status == status
    assert version is None or check.text == version


@pytest.mark.parametrize(("systemd", "hint"), [(True, "systemctl edit user@.service"), (False, "root can give")])
def test_an_ordinary_user_is_told_once_how_to_get_cgroups_and_only_what_this_host_knows(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, systemd: bool, hint: str
) -> None:
    v1 = [Hierarchy((name,), f"/no/{name}", "/", 1) for name in ("cpu", "memory", "pids", "name=systemd")]
    monkeypatch.setattr(cgroups.mountinfo, "cgroup_hierarchies", lambda: [*v1, Hierarchy((), "/no/unified", "/", 2)])
    monkeypatch.setattr(cgroups.os, "geteuid", lambda: 1000)
    monkeypatch.setattr(cgroups, "_SYSTEMD", str(tmp_path if systemd else tmp_path / "no"))
    found = by_name(cgroups.hierarchies(runtime))
    assert {found[name].status for name in ("cpu", "memory", "pids", "name=systemd", "unified")} == {"warn"}
    given = [check.hint for name, check in found.items() if check.hint and "limit" not in name and name != "freezer"]
    assert len(given) == 1
    assert given[0].startswith(hint)


@pytest.mark.parametrize(
    ("features", "status", "text"),
    [
        (frozenset({"systemd"}), "ok", "reachable"),
        (frozenset({"systemd-user"}), "ok", "this user's own is reachable"),
        (frozenset(), "warn", "this user has none of his own"),
        (None, "warn", "no installed cgroup manager makes its units"),
    ],
)
def test_a_running_systemd_is_of_use_to_whom_its_manager_says(
    runtime: Runtime,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    features: frozenset[str] | None,
    status: str,
    text: str,
) -> None:
    def load(kind: str, name: str) -> SimpleNamespace:
        if features is None:
            raise PluginError("not installed")
        return SimpleNamespace(features=features)

    monkeypatch.setattr(cgroups, "_SYSTEMD", str(tmp_path))
    monkeypatch.setattr(cgroups, "_SYSTEMD_BUS", str(tmp_path))
    monkeypatch.setattr(runtime.registry, "load", load)
    (check,) = cgroups.other_managers(runtime)
    assert check.status == status and text in check.text


@pytest.mark.parametrize("delegated", ["user.slice/own", "user.slice"])
def test_a_cgroup_that_was_delegated_needs_no_advice(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, delegated: str
) -> None:
    (tmp_path / "user.slice/own").mkdir(parents=True)
    monkeypatch.setattr(cgroups.mountinfo, "cgroup_hierarchies", lambda: [Hierarchy((), str(tmp_path), "/", 2)])
    monkeypatch.setattr(cgroups.procfs, "cgroups_of", lambda _: {"": "/user.slice/own"})
    monkeypatch.setattr(cgroups.os, "access", lambda path, _: path == str(tmp_path / delegated))
    check = by_name(cgroups.hierarchies(runtime))["unified"]
    assert (check.status, check.text, check.hint) == ("ok", str(tmp_path / delegated), "")


def test_a_missing_controller_says_what_is_refused(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups.mountinfo, "cgroup_hierarchies", lambda: [Hierarchy(("memory",), "/", "/", 1)])
    found = by_name(cgroups.hierarchies(runtime))
    assert found["limit of memory"].status == "ok"
    assert (found["limit of processes"].status, found["freezer"].status) == ("warn", "warn")


def test_the_init_says_hello_with_our_protocol_and_leaves_nothing() -> None:
    def ours() -> tuple[list[str], set[int]]:
        children = {pid for pid in procfs.pids() if procfs.parent_pid(pid) == os.getpid()}
        return os.listdir("/proc/self/fd"), children

    before = ours()
    assert installation.hello() == (native.lib.CL_PROTOCOL_VERSION, native.lib.CL_OP_LAST - 1)
    assert ours() == before


@pytest.mark.parametrize("error", [FileNotFoundError(2, "no such file or directory"), None])
def test_an_init_that_is_gone_or_of_another_build_fails(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch, error: OSError | None
) -> None:
    def hello() -> tuple[int, int]:
        if error is not None:
            raise error
        return 99, 1

    monkeypatch.setattr(installation, "hello", hello)
    check = by_name(installation.programs(runtime))["init"]
    assert check.status == "fail"
    assert "install corelaunch again" in check.hint


def test_a_directory_that_others_can_write_is_named(tmp_path: Path) -> None:
    inside = tmp_path / "open" / "package"
    inside.mkdir(parents=True)
    (tmp_path / "open").chmod(0o777)
    assert installation.writable_by_others(str(inside), set()) == str(tmp_path / "open")
    (tmp_path / "open").chmod(0o755)
    assert installation.writable_by_others(str(inside), set()) == ""


def test_a_broken_plugin_fails_with_its_reason(runtime: Runtime, tmp_path: Path) -> None:
    metadata = tmp_path / "bad-1.0.dist-info"
    metadata.mkdir()
    (metadata / "entry_points.txt").write_text("[corelaunch.cgroup_managers]\nbad = no_such_module_of_bad\n")
    runtime.registry = Registry([str(tmp_path)])
    [check] = installation.plugins(runtime)
    assert check.status == "fail"
    assert "No module named 'no_such_module_of_bad'" in check.text
    assert check.hint == "its entry point leads to no_such_module_of_bad: correct it, or install bad anew"


def test_a_state_root_of_others_fails(runtime: Runtime) -> None:
    assert by_name(installation.state(runtime))["root"].status == "ok"
    os.mkdir(runtime.root.path)
    os.chmod(runtime.root.path, 0o777)
    check = by_name(installation.state(runtime))["root"]
    assert (check.status, "chmod 0700" in check.hint) == ("fail", True)


def test_what_killed_runtimes_left_is_a_warning(runtime: Runtime) -> None:
    os.makedirs(os.path.join(runtime.root.path, "left"), 0o700)
    os.chmod(runtime.root.path, 0o700)
    Path(runtime.root.path, "left", "journal").touch()
    check = by_name(installation.state(runtime))["leftovers"]
    assert check.status == "warn"
    assert "left" in check.text and "gc" in check.hint


def test_the_table_has_groups_statuses_and_remedies() -> None:
    checks = [Check("one", "a", "ok", "fine", "not shown"), Check("one", "longer", "fail", "bad", "mend it")]
    text = "\n".join(lines(checks, Screen()))
    assert text == "one\n  ok    a       fine\n  fail  longer  bad\n                -> mend it"
    assert "\x1b[31mfail" in "".join(lines(checks, Screen(colours=True)))


def test_what_was_found_stands_in_one_column_whatever_the_names_are_made_of() -> None:
    names = ["plain", "\u5e45\u5e83\u3044", "e\u0301", "\x1b[31m"]
    checks = [Check("one", name, "ok", "fine") for name in names]
    for screen in (Screen(), Screen(True, 80)):
        _, *found = lines(checks, screen)
        assert len({width(line.partition("fine")[0]) for line in found}) == 1, found
    padding = [line for line in lines([Check("one", "\x1b", "ok", "fine")], Screen(True, 80))][1]
    assert padding == "  ok    \\x1b  fine"


def test_json_and_the_exit_code(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    code = main(["--root", str(tmp_path / "root"), "doctor", "--json"])
    checks = json.loads(capfd.readouterr().out)
    assert set(checks[0]) == {"group", "name", "status", "text", "hint"}
    assert code == (1 if any(check["status"] == "fail" for check in checks) else 0)


@pytest.mark.parametrize(
    ("number", "uid", "status", "words"),
    [
        (0, 0, "ok", "eBPF"),
        (errno.EPERM, 1000, "warn", "left out of an ordinary user's containers"),
        (errno.EPERM, 0, "fail", "none can be in force, and a container of root is refused: cannot load"),
        (errno.EINVAL, 0, "fail", "none can be in force"),
    ],
)
def test_device_rules_of_v2_are_tried(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch, number: int, uid: int, status: str, words: str
) -> None:
    def load(name: str, instructions: bytes) -> int:
        if number:
            raise KernelError("cannot load device program", where="bpf(2)", errno=number)
        return os.open(os.devnull, os.O_RDONLY)

    monkeypatch.setattr(cgroups.mountinfo, "cgroup_hierarchies", lambda: [Hierarchy((), "/", "/", 2)])
    monkeypatch.setattr(cgroups.bpf, "load_device_program", load)
    monkeypatch.setattr(cgroups.procfs, "in_user_namespace", lambda: False)
    monkeypatch.setattr(cgroups.os, "geteuid", lambda: uid)
    check = by_name(cgroups.hierarchies(runtime))["device rules"]
    assert check.status == status and words in check.text
