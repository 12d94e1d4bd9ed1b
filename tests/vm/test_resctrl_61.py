"""resctrl on the kernel's own file system, in the guests with Intel RDT: the command and the record.

Its contract is played by test_contracts.py.

The record (tests/fixtures/resctrl-6.1) is what this kernel answered to ``resctrl_operations.py``; the FUSE file system
is held to it without a guest (tests/unit/testing/test_fuse_resctrl.py).
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from vm_host import CHECKOUT, IN_GUEST, vm

pytestmark = IN_GUEST

#: Machine -> what its guest is called, and how its file system is mounted.
MACHINES = {"rdt": ("rdt", ""), "hsw": ("hsw", ""), "cdp": ("rdt", "-o cdp")}


@pytest.mark.parametrize("machine", MACHINES)
def test_the_kernel_still_answers_as_it_was_recorded(machine: str) -> None:
    guest, options = MACHINES[machine]
    anew = f"umount /sys/fs/resctrl 2>/dev/null; mount -t resctrl {options} resctrl /sys/fs/resctrl"
    play = f"exec python3 -S {CHECKOUT}/tests/vm/resctrl_operations.py /sys/fs/resctrl"
    seen = vm("--resctrl", guest, "sh", "-c", f"{anew} && {play}")
    assert seen.returncode == 0, seen.stdout + seen.stderr
    recorded = CHECKOUT / f"tests/fixtures/resctrl-6.1/{machine}.jsonl"
    assert seen.stdout.splitlines() == recorded.read_text().splitlines()


@pytest.fixture(scope="module")
def facts() -> dict[str, Any]:
    """What ``resctrl_life.py`` saw."""
    script, command = f"{CHECKOUT}/tests/vm/resctrl_life.py", f"{CHECKOUT}/.venv/bin/corelaunch"
    seen = vm("--resctrl", "rdt", "python3", script, command)
    assert seen.returncode == 0, seen.stdout + seen.stderr
    found: dict[str, Any] = json.loads(seen.stdout)
    return found


def test_the_host_is_told_as_it_is(facts: dict[str, Any]) -> None:
    assert facts["features"] == {"enabled": True, "schemata": True, "monitoring": True}
    assert facts["doctor"] == ["ok mount /sys/fs/resctrl", "ok resources L3, MB, L3_MON", "ok CLOSIDs 1 of 8 in use"]


def test_two_containers_share_a_class_and_a_third_has_its_own(facts: dict[str, Any]) -> None:
    assert facts["groups"] == ["foreign", "gold", "gold/one", "own", "own/own"]
    assert all(facts[name] for name in ("gold tasks", "gold monitored", "own tasks"))
    assert facts["gold"] == facts["gold after"] == ["MB:0= 50;1=100", "L3:0=00f;1=00f"]
    assert facts["own"] == ["MB:0=100;1= 70", "L3:0=0f0;1=0f0"]
    assert "it has L3:0=00f, asked for is ff" in facts["other schemata"]


def test_exec_joins_the_clos_and_the_monitoring_group(facts: dict[str, Any]) -> None:
    assert facts["exec is in both"]


def test_events_has_what_is_the_containers(facts: dict[str, Any]) -> None:
    stats = facts["stats"]
    assert stats["l3_cache_info"] == {"cbm_mask": "7ff", "min_cbm_bits": 1, "num_closids": 8}
    assert (stats["l3_cache_schema"], stats["l3_cache_schema_root"]) == ("L3:0=0f0;1=0f0", "L3:0=7ff;1=7ff")
    assert (stats["mem_bw_schema"], stats["mem_bw_schema_root"]) == ("MB:0=100;1= 70", "MB:0=100;1=100")
    # The emulated counters stand at 0: real zeros, and of each domain.
    assert stats["cmt_stats"] == [{"domain": 0, "llc_occupancy": 0}, {"domain": 1, "llc_occupancy": 0}]
    assert [sorted(one) for one in stats["mbm_stats"]] == [["domain", "mbm_local_bytes", "mbm_total_bytes"]] * 2
    assert "mbm_stats" not in facts["stats of two"], "these would be those of the whole class"


def test_update_writes_what_is_given_and_never_half(facts: dict[str, Any]) -> None:
    assert facts["updated"] == ["MB:0=100;1= 70", "L3:0=003;1=0f0"]
    assert facts["update refused"].endswith("invalid argument for 'MB:0=5': MB value 5 out of range [10,100]")
    assert "cannot update the schemata of a shared CLOS" in facts["update of a class"]
    assert facts["not updated"]


def test_delete_by_another_process_removes_what_is_the_containers(facts: dict[str, Any]) -> None:
    assert facts["after own and one"] == ["foreign", "gold"]
    assert facts["two stays in gold"]
    assert facts["after all"] == ["foreign", "gold"], "a class stays (config-linux.md: MUST NOT remove)"
    assert facts["foreign"] == ["MB:0=100;1=100", "L3:0=007;1=7ff"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("L3:0=5", "L3 domain 0: mask 5 has non-consecutive 1-bits"),
        ("L3:0=fff", "mask fff is wider than 7ff"),
        ("L3:0=0", "an empty mask"),
        ("L3:9=3", "L3 has no domain 9 (this host has the domains 0, 1)"),
        ("L3:0=3;0=3", "L3 domain 0 is set twice"),
        ("L3:x=3", "'x=3' is not DOMAIN=VALUE"),
        ("L3", "there is no ':' in 'L3'"),
        ("L2:0=3", "unknown resource 'L2' (this kernel shows L3, MB)"),
        ("l3:0=3", "unknown resource 'l3' (this kernel shows L3, MB; capitals matter)"),
        ("L3CODE:0=3", "for L3CODE it must be mounted with -o cdp"),
        ("MB:0=5", "5 is less than the least bandwidth (this host takes 10 and more)"),
        ("MB:0=many", "'many' is not a number"),
    ],
)
def test_malformed_schemata_are_refused_before_anything_is_made(facts: dict[str, Any], line: str, words: str) -> None:
    told = facts["malformed"][line]
    assert told.startswith("corelaunch: invalid schemata: linux.intelRdt.schemata[1]: ")
    assert words in told
    assert len(told.splitlines()) == 1
    assert facts["nothing malformed"]


def test_no_closid_left_names_who_has_them(facts: dict[str, Any]) -> None:
    told = facts["exhausted"]
    assert "no space left on device: Out of CLOSIDs (all 8 CLOSIDs are in use, one by the root group: " in told
    assert all(f"full{number} (" in told for number in range(6))
    assert "foreign (no process)" in told
    assert "full0 (pid PID sleep" in told
    assert facts["nothing refused is left"]
    assert facts["no containers"] == []


def test_a_foreign_group_of_the_containers_name_is_refused(facts: dict[str, Any]) -> None:
    assert "CLOS exists already: /sys/fs/resctrl/foreign: it is not of this container" in facts["foreign name"]


def test_launches_that_make_one_class_at_once_share_it(facts: dict[str, Any]) -> None:
    assert facts["race"] == [0, 0, 0, 0], facts["race errors"]
    assert facts["race tasks"]
    assert facts["race schemata"] == ["MB:0=100;1=100", "L3:0=00f;1=0f0"]


def test_a_create_that_was_killed_is_undone_by_delete_force(facts: dict[str, Any]) -> None:
    assert facts["after kill -9"]
    assert facts["after kill -9 at any time"] == []


def test_groups_that_were_removed_underneath_are_told_and_not_made_again(facts: dict[str, Any]) -> None:
    for name in ("exec without its CLOS", "stats without its CLOS"):
        assert "the group was removed by somebody else, or resctrl was unmounted" in facts[name]


def test_a_group_of_a_later_mount_is_not_ours(facts: dict[str, Any]) -> None:
    assert facts["a foreign group after a new mount"] == ["again"]


def test_mounts_that_cannot_be_used_are_told_with_what_to_do(facts: dict[str, Any]) -> None:
    assert "no resctrl filesystem is mounted (mount -t resctrl resctrl /sys/fs/resctrl" in facts["not mounted"]
    assert "is mounted read-only (mount -o remount,rw /sys/fs/resctrl" in facts["read-only"]


def test_it_is_found_wherever_it_is_mounted_now(facts: dict[str, Any]) -> None:
    assert facts["elsewhere"] == "L3:0=003;1=7ff"
    assert facts["bound elsewhere since"] == "L3:0=007;1=7ff"
    assert facts["and removed there"] == []
