"""A config that plans, the hierarchies of a hybrid host, and a decoder of encoded plans written from protocol.h."""

from __future__ import annotations

import copy
import ctypes
import subprocess
from collections.abc import Callable
from pathlib import Path
from struct import unpack_from
from typing import Any

import pytest

from corelaunch.default_config import default_config
from corelaunch.kernel.mountinfo import Hierarchy
from corelaunch.kernel.native import lib
from corelaunch.plan import Operation, Plan
from corelaunch.plan.init_plan import init_plan

NATIVE = Path(__file__).resolve().parents[3] / "native"
CONTROLLERS = ("cpu", "cpuacct", "memory", "pids", "name=systemd")
HYBRID = (
    *(Hierarchy((one,), f"/sys/fs/cgroup/{one.removeprefix('name=')}", "/", 1) for one in CONTROLLERS),
    Hierarchy((), "/sys/fs/cgroup/unified", "/", 2),
)
PATHS = {one: f"/sys/fs/cgroup/{one.removeprefix('name=')}/box" for one in CONTROLLERS}

Planner = Callable[..., Plan]
Decoder = Callable[[bytes], list[Operation]]


@pytest.fixture
def config() -> dict[str, Any]:
    """The example config, with two of its hidden paths: their number is not what these tests are about."""
    config = copy.deepcopy(default_config())
    config["process"]["terminal"] = False
    config["hostname"] = "box"
    config["linux"]["maskedPaths"] = ["/proc/kcore", "/sys/firmware"]
    config["linux"]["readonlyPaths"] = ["/proc/bus", "/proc/sys"]
    return config


@pytest.fixture
def hybrid() -> tuple[Hierarchy, ...]:
    return HYBRID


@pytest.fixture
def plan_of() -> Planner:
    def plan_of(config: dict[str, Any], **options: Any) -> Plan:
        given: dict[str, Any] = {
            "cgroup_paths": PATHS,
            "terminal": False,
            "keyring": "_ses.box",
            "hierarchies": HYBRID,
            "kcore": True,
        }
        return init_plan(config, "/bundle/rootfs", **{**given, **options})

    return plan_of


@pytest.fixture(scope="session")
def decode() -> Decoder:
    return decode_plan


@pytest.fixture(scope="session")
def refusal(tmp_path_factory: pytest.TempPathFactory) -> Callable[[bytes], str]:
    """The init's own decoder (native/decode.c): which rule a plan breaks, "" if none."""
    library = tmp_path_factory.mktemp("decoder") / "decode.so"
    command = ["gcc", "-shared", "-fPIC", "-std=gnu11", "-D_GNU_SOURCE", str(NATIVE / "decode.c"), "-o", str(library)]
    subprocess.run(command, check=True)
    decode = ctypes.CDLL(str(library)).decode_plan
    decode.restype = ctypes.c_char_p
    decode.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_void_p]
    decoded = ctypes.create_string_buffer(256)  # struct plan: pointers and counts

    def refusal(data: bytes) -> str:
        return (decode(data, len(data), decoded) or b"").decode()

    return refusal


# operation: (positions of lists and of their counts, position of the blob)
_LISTS = {lib.CL_OP_MOUNT: {3: 2}, lib.CL_OP_EXEC: {0: 0, 1: 1}}
_BLOBS = (lib.CL_OP_SCHEDULER, lib.CL_OP_MEMORY_POLICY, lib.CL_OP_SECCOMP, lib.CL_OP_USER)


def decode_plan(data: bytes) -> list[Operation]:
    """The operations in ``data``, by the words of native/protocol.h; AssertionError if it breaks one of them."""
    magic, version, size, count, pool_offset, pool_size = unpack_from("=6I", data)
    assert (magic, version, size) == (lib.CL_PLAN_MAGIC, lib.CL_PROTOCOL_VERSION, len(data))
    assert pool_offset == 24 + 48 * count
    assert pool_offset + pool_size == size
    pool = data[pool_offset:]
    assert pool[0] == 0
    assert pool[-1] == 0
    operations = []
    for index in range(count):
        code, flags, blob_size, *rest = unpack_from("=HHI4I3Q", data, 24 + 48 * index)
        offsets, numbers = rest[:4], tuple(rest[4:])
        texts: list[str | list[str]] = []
        blob = b""
        for position, offset in enumerate(offsets):
            assert offset < pool_size
            if position == 0 and code in _BLOBS:
                assert offset % 8 == 0
                blob = pool[offset : offset + blob_size]
                texts.append("")
            elif position in _LISTS.get(code, {}):
                texts.append(_strings(pool, offset, numbers[_LISTS[code][position]]))
            else:
                texts.append(_strings(pool, offset, 1)[0])
        operations.append(Operation(code, *texts, flags=flags, numbers=numbers, blob=blob))
    return operations


def _strings(pool: bytes, offset: int, count: int) -> list[str]:
    assert offset or count <= 1, "a list cannot begin at 0, which is none"
    found = []
    for _ in range(count):
        end = pool.index(0, offset)
        found.append(pool[offset:end].decode("utf-8", "surrogateescape"))
        offset = end + 1
    return found
