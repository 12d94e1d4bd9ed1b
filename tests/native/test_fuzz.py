"""Fuzzing for a few seconds with a fixed seed; `native/fuzz/*` run longer by hand or in a nightly job."""

from __future__ import annotations

import binascii
import json
import os
import random
import re
import struct
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from native_launch import USUAL, ChildFailed, EndOfSync, Launch
from native_plans import RDONLY, Operation, bind, device_directory, encode, finish, hook, mount, proc_and_sys, root
from native_protocol import BOOTSTRAP, MESSAGE, NUMBERS, PLAN_MESSAGE

FUZZ = Path(__file__).resolve().parents[2] / "native" / "fuzz"
SEED = os.environ.get("CORELAUNCH_FUZZ_SEED", "1")
SECONDS = int(os.environ.get("CORELAUNCH_FUZZ_SECONDS", "3"))


def plans() -> dict[str, list[Operation]]:
    """Every operation and every kind of payload at least once."""
    start = root("/rootfs")
    settings = [
        Operation("KEYRING", "_ses.x"),
        Operation("LOOPBACK"),
        *start,
        *proc_and_sys(),
        *device_directory(),
        mount("cgroup2", "/sys/fs/cgroup", source="/x", attributes=RDONLY, flags=["FALLBACK_BIND"]),
        bind(
            "/etc/hosts",
            "/etc/hosts",
            attributes=RDONLY,
            tree=1,
            propagation=1 << 18,
            flags=["RECURSIVE", "FROM_PARENT"],
        ),
        Operation("HOOKS_POINT"),
        hook("hooks.createContainer[0]", "/bin/true", ["true", "x"], ["A=b"]),
        Operation("PIVOT"),
        Operation("ROOT_PROPAGATION", numbers=(1 << 18,)),
        Operation("REOPEN_NULL"),
        Operation("MAKE_CWD", "/work"),
        Operation("CONSOLE", numbers=(24 << 16 | 80,), flags=["BIND_CONSOLE"]),
        Operation("REMOUNT", "/dev", numbers=(RDONLY,)),
        Operation("UMASK", numbers=(0o22,)),
        Operation("HOSTNAME", "host"),
        Operation("DOMAINNAME", "domain"),
        Operation("SYSCTL", "net/ipv4/ip_forward", "1"),
        Operation("SYSCTL", "kernel/domainname", ""),
        Operation("READONLY_PATH", "/proc/sys"),
        Operation("MASK_PATH", "/proc/kcore"),
        Operation("NO_NEW_PRIVS"),
        Operation("SCHEDULER", blob=bytes(48)),
        Operation("IO_PRIORITY", numbers=(1,)),
        Operation("PERSONALITY", numbers=(8,)),
        Operation("MEMORY_POLICY", numbers=(2, 64), blob=bytes(8)),
    ]
    identity = [
        Operation("EXEC_LABEL", "exec", "label"),
        Operation("SECCOMP", blob=bytes(64), numbers=(8,)),
        Operation("CAP_BOUNDING", numbers=(3,)),
        Operation("CHDIR", "/work", flags=["TENTATIVE"]),
        Operation("USER", numbers=(1000, 1000), blob=bytes(12), flags=["SET_GROUPS"]),
        Operation("CHDIR", "/work"),
        Operation("CAPS", numbers=(1, 1, 0)),
        Operation("CAP_AMBIENT", numbers=(1,)),
    ]
    late = [hook("hooks.startContainer[0]", "/bin/true", ["true"]), hook("hooks.startContainer[1]", "/x", ["y"])]
    return {
        "everything": [*settings, *finish(["sh", "-c", ""], gate=True, identity=identity, late=late)],
        "setns": finish(["true"], identity=identity),
        "small": [*start, Operation("PIVOT", flags=["NO_PIVOT"]), *finish(["true"])],
        "mounts": [
            *start,
            *(mount("tmpfs", f"/{i}", ["size=1m", "mode=755"]) for i in range(40)),
            Operation("PIVOT"),
            *finish(["x"] * 50, path="/bin:" * 1000),
        ],
    }


@pytest.fixture(scope="module")
def fuzzers(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    directory = tmp_path_factory.mktemp("fuzz")

    def build(name: str) -> Path:
        subprocess.run([FUZZ / "build-fuzz.sh", name, directory / name], check=True)
        return directory / name

    return build


def test_the_decoder_keeps_its_promises_for_mutated_plans(fuzzers, tmp_path):
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for name, operations in plans().items():
        (corpus / f"{name}.plan").write_bytes(encode(operations))
    done = subprocess.run(
        [fuzzers("decode_fuzz"), str(SECONDS), SEED, corpus], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    reached = {line.split(None, 1)[1] for line in done.stdout.splitlines()[1:]}
    source = (FUZZ.parent / "decode.c").read_text()
    rules = {text for line in re.findall(r"return .*?;", source, re.S) for text in re.findall(r'"([^"]+)"', line)}
    assert len(rules) > 25
    assert rules | {"sound"} == reached, "a rule that no input reaches is not tested"


def test_the_passwd_reader_agrees_with_a_plain_model(fuzzers):
    done = subprocess.run([fuzzers("passwd_fuzz"), str(SECONDS), SEED], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[2]) > 1000


def journal_frame(record: dict[str, object]) -> bytes:
    payload = json.dumps(record, separators=(",", ":")).encode()
    return b"\xc1\x4c\x4a\x01" + struct.pack("<II", len(payload), binascii.crc32(payload)) + payload


def test_the_fronts_reader_of_journals_stays_inside_of_them(fuzzers, tmp_path):
    begin = {
        **{"record": "begin", "version": 1, "id": "x", "bundle": '/b"\\', "created": "2026", "lifecycle": []},
        "boot_id": Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
        **{"hooks": {"poststop": [{"path": "/x"}]}, "annotations": {"a": "b", "c": "\n"}, "oci_version": "1.0.0"},
        **{"rootfs": "/r", "owner_uid": 0, "namespaces": 0x20000000, "cgroup_mode": "required"},
    }
    fields = {"paths": {"freezer": "/x", "": "/y"}}
    place = {"record": "place", "owner": "o", "kind": "cgroup_manager", "fields": fields, "plain": True}
    intend = {"record": "intend", "number": 1, "owner": "o", "kind": "cgroup", "args": {"path": "/y"}, "absent": True}
    done = {"record": "done", "number": 1, "facts": {"dev": 1, "ino": 2}}
    process = {"record": "process", "role": "init", "pid": 1 << 22, "start_time": 12, "process_group": 0}
    status = {"record": "status", "status": "created"}
    journal = tmp_path / "journal"
    journal.write_bytes(b"".join(map(journal_frame, (begin, place, intend, done, process, status))))
    done = subprocess.run(
        [fuzzers("quick_fuzz"), str(SECONDS), SEED, journal], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    inputs, whole = (int(word) for word in done.stdout.split() if word.isdigit())
    assert 0 < whole < inputs


def mutated(generator: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(generator.randint(0, 3)):
        kind = generator.randrange(4)
        if kind == 0 and changed:
            changed[generator.randrange(len(changed))] = generator.choice([0, 1, 127, 128, 255])
        elif kind == 1:
            del changed[generator.randint(0, len(changed)) :]
        elif kind == 2:
            changed += generator.randbytes(generator.randint(1, 64))
        elif changed:
            changed[generator.randrange(len(changed))] ^= 1 << generator.randrange(8)
    return bytes(changed)


def assert_no_child_is_left() -> None:
    """Stage 2 is our child, too, whether we were told of it or not."""
    deadline = time.monotonic() + 10
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            assert time.monotonic() < deadline, "a stage 2 goes on without a parent"
            time.sleep(0.001)


def test_a_hostile_parent_gets_an_error_or_an_end_and_never_a_running_child(init_builds):
    """Mutated CGROUPS, BOOTSTRAP and PLAN messages, with and without descriptors, against the sanitizer build."""
    program = init_builds("sanitized")
    generator = random.Random(int(SEED))
    null = os.open("/dev/null", os.O_RDWR)
    uts = os.open("/proc/self/ns/uts", os.O_RDONLY)
    deadline = time.monotonic() + SECONDS
    rounds = 0
    while time.monotonic() < deadline:
        rounds += 1
        with Launch(program) as one:
            one.greet()
            namespaces = generator.choice([0, 0x4000000, USUAL, 1, 2**32 - 1])
            joins = generator.choice([0, 0, 1, 2, 8, 9, 2**32 - 1])
            kinds = [generator.choice([0x4000000, 0, 1, 2**32 - 1]) for _ in range(8)]
            bootstrap = BOOTSTRAP.pack(generator.randrange(64) & ~1, namespaces, joins, *kinds, 0, 1, 2, 3, 4)
            messages = [
                (NUMBERS["CL_MSG_CGROUPS"], b"", [null] * generator.randrange(3)),
                (NUMBERS["CL_MSG_BOOTSTRAP"], bootstrap, [uts] * min(joins, 9)),
                (
                    NUMBERS["CL_MSG_PLAN"],
                    PLAN_MESSAGE.pack(generator.randrange(5), 100),
                    [null] * generator.randrange(4),
                ),
                (generator.randrange(20), b"", []),
            ]
            sequence = 0
            try:
                for kind, payload, fds in messages[generator.randrange(2) :]:
                    sequence += 1
                    head = MESSAGE.pack(
                        NUMBERS["CL_MESSAGE_MAGIC"], NUMBERS["CL_PROTOCOL_VERSION"], kind, sequence, len(payload)
                    )
                    data = head + payload
                    if generator.randrange(2):
                        data = mutated(generator, data)
                    one.send_raw(data or b"\0", fds)
                one.sock.shutdown(1)
                while True:
                    for fd in one.receive()[2]:
                        one.adopt(fd)
            except (EndOfSync, ChildFailed, BrokenPipeError, ConnectionResetError):
                pass
            assert os.waitstatus_to_exitcode(os.waitpid(one.stage0, 0)[1]) in (0, 1)
            one.stage0 = 0
            one.sock.close()
            assert_no_child_is_left()
            one.pid = 0
    os.close(null)
    os.close(uts)
    assert rounds > 20
