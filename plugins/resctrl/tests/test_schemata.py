"""Schemata are read as the kernel reads them, and what it would refuse is refused before anything is made."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from corelaunch_resctrl import check, mount, schemata, stats
from hypothesis import given
from hypothesis import strategies as st

from corelaunch.api import ConfigError, RdtPlacement, RdtRequest
from corelaunch.testing.resctrl_files import info_files
from corelaunch.testing.resctrl_machine import (
    CODE_AND_DATA,
    EVERYTHING,
    HASWELL,
    RDT,
    Machine,
    Refused,
)


def tree(directory: Path, machine: Machine) -> str:
    """What the checks read of a mount: info, and the root group's schemata."""
    for name, read in info_files(machine).items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(read())
    (directory / "schemata").write_text(machine.text(machine.defaults()))
    return str(directory)


def fault(root: str, line: str, *options: str) -> str:
    """What is wrong with a line, "" if nothing."""
    mounted = mount.Mounted(root, frozenset(options))
    try:
        check.request(mounted, RdtRequest("one", schemata=(line,)))
    except ConfigError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("machine", [RDT, HASWELL, CODE_AND_DATA, EVERYTHING], ids=["rdt", "hsw", "cdp", "everything"])
def test_nothing_is_refused_that_the_kernel_takes(tmp_path: Path, machine: Machine) -> None:
    root = tree(tmp_path, machine)
    options = ["mba_MBps"] if machine is EVERYTHING else []
    values = ["0", "1", "3", "5", "f0", "7ff", "fffff", "0x3", "+3", "007", "", "zz", " 3 "]
    values += ["9", "11", "100", "101", "4294967295", "4294967296"]
    names = ["L3", "L2", "L3CODE", "MB", "SMBA", "l3"]
    shapes = ["{}:0={}", " {} :0={}\t", "{}:1={};", "{}:9={}", "{}:0={};0=3", "{} {}"]
    lines = {shape.format(name, value) for shape in shapes for name in names for value in values}
    taken = 0
    for line in sorted(lines):
        try:
            machine.read(line, machine.defaults())
        except Refused:
            continue
        taken += 1
        assert not fault(root, line, *options), line
    assert taken > 20


@pytest.mark.parametrize(
    ("machine", "line", "words"),
    [
        (RDT, "L3:0=5", "L3 domain 0: mask 5 has non-consecutive 1-bits"),
        (RDT, "L3:0=800", "mask 800 is wider than 7ff"),
        (RDT, "L3:0=0", "an empty mask"),
        (RDT, "L3:0=fffffffffffffffff", "is wider than 7ff"),
        (RDT, "L3:0=", "'' is not a hexadecimal mask"),
        (RDT, "L3:9=3", "L3 has no domain 9 (this host has the domains 0, 1)"),
        (RDT, "L3:0=3;0=7", "L3 domain 0 is set twice"),
        (RDT, "L2:0=3", "unknown resource 'L2' (this kernel shows L3, MB)"),
        (RDT, "l3:0=3", "capitals matter"),
        (RDT, "L3CODE:0=3", "it must be mounted with -o cdp (L3)"),
        (RDT, "MB:0=9", "9 is less than the least bandwidth (this host takes 10 and more)"),
        (RDT, "MB:0=0x20", "'0x20' is not a number"),
        (HASWELL, "L3:0=1", "mask 1 has fewer than 2 bits (this cache needs at least 2)"),
        (HASWELL, "MB:0=50", "unknown resource 'MB' (this kernel shows L3)"),
        (CODE_AND_DATA, "L3:0=3", "mounted with code and data apart (cdp), so write L3CODE and L3DATA"),
        (EVERYTHING, "L2:4=3", "this host has the domains 0, 1, 2, 3"),
        (EVERYTHING, "L2:0=5", "non-consecutive"),
        (EVERYTHING, "SMBA:0=5", "SMBA domain 0: 5 is less"),
        (EVERYTHING, "MB:0=4294967296", "too large"),
        (RDT, "L3", "there is no ':' in 'L3'"),
        (RDT, "L3:", "nothing is said of L3"),
        (RDT, "L3:0=3\nMB:0=50", "a line break inside a line"),
    ],
)
def test_what_the_kernel_refuses_is_refused_with_a_reason(
    tmp_path: Path, machine: Machine, line: str, words: str
) -> None:
    root = tree(tmp_path, machine)
    told = fault(root, line, *(["mba_MBps"] if machine is EVERYTHING else []))
    assert told.startswith("invalid schemata: linux.intelRdt: ")
    assert words in told


@pytest.mark.parametrize(("machine", "line"), [(EVERYTHING, "L3:0=5"), (EVERYTHING, "L3:0=0"), (EVERYTHING, "MB:0=1")])
def test_gaps_empty_masks_and_any_bandwidth_are_taken_where_the_kernel_takes_them(
    tmp_path: Path, machine: Machine, line: str
) -> None:
    assert fault(tree(tmp_path, machine), line, "mba_MBps") == ""


@pytest.mark.parametrize(("sparse", "refused"), [("1", False), ("0", True)])
def test_a_kernel_that_says_whether_masks_may_have_gaps_is_believed(
    tmp_path: Path, sparse: str, refused: bool
) -> None:
    root = tree(tmp_path, RDT)
    (tmp_path / "info/L3/sparse_masks").write_text(f"{sparse}\n")
    assert bool(fault(root, "L3:0=5")) == refused


def test_a_resource_of_a_later_kernel_is_left_to_it(tmp_path: Path) -> None:
    root = tree(tmp_path, RDT)
    with (tmp_path / "schemata").open("a") as file:
        file.write("    NEW:0=7;1=7\n")
    (tmp_path / "info/NEW").mkdir()
    (tmp_path / "info/NEW/num_closids").write_text("8\n")
    assert fault(root, "NEW:0=anything") == ""
    assert "no domain 2" in fault(root, "NEW:2=7")
    assert mount.resources(root) == ["L3", "MB", "NEW"]


def test_where_the_line_stands_in_the_config_is_told(tmp_path: Path) -> None:
    mounted = mount.Mounted(tree(tmp_path, RDT))
    request = RdtRequest("one", schemata=("MB:0=50", "L3:0=5"), schemata_paths=("a.memBwSchema", "a.schemata[0]"))
    with pytest.raises(ConfigError) as caught:
        check.request(mounted, request)
    assert caught.value.where == "a.schemata[0]"


def test_more_than_the_kernel_takes_in_one_write_is_refused(tmp_path: Path) -> None:
    line = f"L3:0={'0' * 4096}3"
    with pytest.raises(ConfigError, match="bytes, and the kernel takes 4096"):
        check.request(mount.Mounted(tree(tmp_path, RDT)), RdtRequest("one", schemata=(line,)))


@pytest.mark.parametrize(
    ("lines", "combined"),
    [
        (["L3:0=3", "MB:0=50"], ["L3:0=3", "MB:0=50"]),
        (["L3:0=f;1=f", "MB:0=50", "L3:0=3"], ["L3:0=3;1=f", "MB:0=50"]),
        (["L3:0=f", "L3:1=3"], ["L3:0=f;1=3"]),
        (["L3:0=f", "L3"], ["L3:0=f", "L3"]),
        (["L3:0=f;0=3", "L3:1=3"], ["L3:0=f;0=3", "L3:1=3"]),
    ],
)
def test_the_last_line_of_a_resource_wins_and_what_is_wrong_is_left_to_the_kernel(
    lines: list[str], combined: list[str]
) -> None:
    assert schemata.combined(lines) == combined


@pytest.mark.parametrize(
    ("machine", "has", "asked", "same"),
    [
        (RDT, "L3:0=00f;1=7ff", "L3:1=7FF;0=0xf", True),
        (RDT, "L3:0=00f;1=7ff", "L3:0=f", True),
        (RDT, "L3:0=00f;1=7ff", "L3:0=1f", False),
        (RDT, "L3:0=00f;1=7ff", "L3:2=f", False),
        (RDT, "L3:0=00f;1=7ff", "L2:0=f", False),
        (RDT, "MB:0= 50;1=100", "MB:0=41", True),
        (RDT, "MB:0= 50;1=100", "MB:0=50;1=100", True),
        (RDT, "MB:0= 50;1=100", "MB:0=51", False),
        (EVERYTHING, "MB:0=41;1=100", "MB:0=41", True),
        (EVERYTHING, "L2:0=ff;1=0f;2=ff;3=ff", "L2:3=ff;1=f", True),
        (CODE_AND_DATA, "L3DATA:0=00f;1=7ff\nL3CODE:0=0f0;1=7ff", "L3CODE:0=f0", True),
        (CODE_AND_DATA, "L3DATA:0=00f;1=7ff\nL3CODE:0=0f0;1=7ff", "L3CODE:0=f", False),
        (RDT, "NEW:0=abc", "NEW:0=abc", True),
        (RDT, "NEW:0=abc", "NEW:0=ABC", False),
    ],
)
def test_schemata_are_compared_by_meaning(tmp_path: Path, machine: Machine, has: str, asked: str, same: bool) -> None:
    root = tree(tmp_path, machine)
    group = tmp_path / "group"
    group.mkdir()
    (group / "schemata").write_text(f"    {has}\n")
    if same:
        schemata.require_same(root, str(group), [asked])
    else:
        with pytest.raises(ConfigError, match="cannot share CLOS"):
            schemata.require_same(root, str(group), [asked])


@given(st.text(max_size=40))
def test_any_text_is_a_line_or_is_called_malformed(text: str) -> None:
    try:
        resource, pairs = schemata.parse(text)
    except schemata.Malformed:
        return
    assert text.strip(" \t\r\v\f").startswith(resource)
    assert pairs


@given(
    name=st.sampled_from(["info/L3/cbm_mask", "info/L3/min_cbm_bits", "info/MB/min_bandwidth", "schemata"]),
    content=st.binary(max_size=60),
)
def test_files_that_nobody_can_read_are_left_to_the_kernel(
    tmp_path_factory: pytest.TempPathFactory, name: str, content: bytes
) -> None:
    directory = tmp_path_factory.mktemp("rdt")
    root = tree(directory, RDT)
    (directory / name).write_bytes(content)
    for line in ("L3:0=3", "MB:0=50"):
        assert isinstance(fault(root, line), str)
    with suppress(ConfigError):
        schemata.require_same(root, root, ["L3:0=7ff", "MB:0=100"])
    placement = RdtPlacement(root, "", {"clos_id": ""})
    assert isinstance(stats.read(root, placement), dict)
