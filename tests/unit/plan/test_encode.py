"""The bytes of a plan and of the bootstrap, read back by the words of native/protocol.h."""

from __future__ import annotations

from struct import unpack
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corelaunch.errors import ConfigError, ProtocolError
from corelaunch.kernel import native
from corelaunch.kernel.native import lib
from corelaunch.plan import Operation, Plan, setns_plan

USER = [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount", "user", "time")]


def same(operation: Operation, decoded: Operation) -> bool:
    texts = [text if isinstance(text, str) else list(text) for text in operation.texts]
    padded = [*texts, "", "", "", ""][:4]
    found = [text or "" for text in decoded.texts]
    return (
        (operation.code, operation.flags, operation.blob) == (decoded.code, decoded.flags, decoded.blob)
        and (*operation.numbers, 0, 0, 0)[:3] == decoded.numbers
        and [text or "" for text in padded] == found
    )


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize("seccomp", [None, (bytes(range(16)), 4)])
def test_a_plan_comes_back_as_it_was(
    config: dict[str, Any], plan_of: Any, decode: Any, terminal: bool, seccomp: tuple[bytes, int] | None
) -> None:
    config["process"]["user"]["additionalGids"] = [5, 6, 2**32 - 2]
    config["process"]["scheduler"] = {"policy": "SCHED_BATCH", "nice": -3}
    config["process"]["env"] = []
    config["process"]["args"] = ["sh", "", "-c"]
    config["linux"]["memoryPolicy"] = {"mode": "MPOL_BIND", "nodes": "0"}
    plan = plan_of(config, terminal=terminal, seccomp=seccomp)
    decoded = decode(plan.encode())
    assert len(decoded) == len(plan.operations)
    for operation, other in zip(plan.operations, decoded):
        assert same(operation, other), (operation, other)


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


@given(arguments=st.lists(TEXT), variables=st.lists(TEXT), blob=st.binary(), text=TEXT)
def test_any_text_comes_back_as_it_was(
    decode: Any, arguments: list[str], variables: list[str], blob: bytes, text: str
) -> None:
    operations = [
        Operation(lib.CL_OP_SYMLINK, text, "/x"),
        Operation(lib.CL_OP_USER, numbers=(1, 2), blob=blob),
        Operation(lib.CL_OP_EXEC, arguments, variables, numbers=(len(arguments), len(variables))),
    ]
    for operation, other in zip(operations, decode(Plan(operations).encode())):
        assert same(operation, other), (operation, other)


def test_the_layout_is_that_of_the_c_header() -> None:
    from corelaunch.plan import encode

    size_of = native.ffi.sizeof  # type: ignore[attr-defined]
    assert encode.HEADER.size == size_of("struct cl_plan")
    assert encode.RECORD.size == size_of("struct cl_record")
    assert encode.BOOTSTRAP.size == size_of("struct cl_bootstrap")


def test_equal_texts_are_stored_once() -> None:
    one = Plan([Operation(lib.CL_OP_DIRECTORY, "/a/rather/long/path")]).encode()
    two = Plan([Operation(lib.CL_OP_DIRECTORY, "/a/rather/long/path")] * 2).encode()
    assert len(two) - len(one) == 48


def test_a_path_that_is_no_text_keeps_its_bytes() -> None:
    assert b"/x/\xff\0" in Plan([Operation(lib.CL_OP_ROOTFS, "/x/\udcff")]).encode()


def test_a_plan_that_the_init_would_refuse_is_refused_here() -> None:
    with pytest.raises(ConfigError, match="the plan is too large"):
        Plan([Operation(lib.CL_OP_DIRECTORY, "/x" * lib.CL_PLAN_LIMIT)]).encode()
    with pytest.raises(ConfigError, match="the plan is too large"):
        Plan([Operation(lib.CL_OP_DIRECTORY, "/x")] * (lib.CL_PLAN_OPERATIONS + 1)).encode()


def test_the_bootstrap_names_namespaces_offsets_and_oom_score(config: dict[str, Any], plan_of: Any) -> None:
    config["linux"] |= {
        "namespaces": USER,
        "uidMappings": [{"containerID": 0, "hostID": 1000, "size": 10}, {"containerID": 10, "hostID": 5000, "size": 1}],
        "gidMappings": [{"containerID": 0, "hostID": 2000, "size": 10}],
        "timeOffsets": {"monotonic": {"secs": -5, "nanosecs": 7}, "boottime": {"secs": 9}},
    }
    config["process"]["oomScoreAdj"] = -900
    plan = plan_of(config)
    flags, new, joins, *rest = unpack("=3I8Ii4q", plan.bootstrap())
    assert flags == lib.CL_BOOT_OOM_SCORE_ADJ | lib.CL_BOOT_TIME_OFFSETS
    assert new == plan.new_namespaces == 0x20000000 | 0x40000000 | 0x08000000 | 0x04000000 | 0x20000 | 0x10000000 | 0x80
    assert (joins, rest[8:]) == (0, [-900, -5, 7, 9, 0])
    assert (plan.uid_map, plan.gid_map) == ("0 1000 10\n10 5000 1\n", "0 2000 10\n")


def test_whoever_joins_a_container_cannot_be_traced_meanwhile(config: dict[str, Any]) -> None:
    plan = setns_plan({"args": ["sh"]}, config, terminal=False)
    flags, new, joins, *types = unpack("=3I8I", plan.bootstrap([0x10000000, 0x20000], flags=lib.CL_BOOT_NETLINK)[:44])
    assert flags == lib.CL_BOOT_NON_DUMPABLE | lib.CL_BOOT_NETLINK
    assert (new, joins, types) == (0, 2, [0x10000000, 0x20000, 0, 0, 0, 0, 0, 0])
    with pytest.raises(ConfigError, match="too many namespaces"):
        plan.bootstrap([1] * 9)


@pytest.mark.parametrize("index", [-1, 0, 9999])
def test_the_child_can_ask_only_for_sources_that_its_plan_has(config: dict[str, Any], plan_of: Any, index: int) -> None:
    with pytest.raises(ProtocolError, match="mount source that its plan does not have"):
        plan_of(config).source(index)


def test_every_operation_can_be_described_and_written_as_json(config: dict[str, Any], plan_of: Any) -> None:
    from corelaunch.plan.describe import NAMES, describe

    for code in NAMES:
        assert describe(Operation(code)).strip()
    values = plan_of(config).json()
    assert values["operations"][0] == {
        "operation": "KEYRING",
        "flags": [],
        "texts": ["_ses.box"],
        "numbers": [],
        "blob_size": 0,
        "description": "join a session keyring _ses.box",
    }
    assert len(NAMES) == lib.CL_OP_LAST - 1
