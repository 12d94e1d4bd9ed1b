"""What the guest is made of, without booting one: names in the cache, locks, the keeper, the patched kernel."""

from __future__ import annotations

import ctypes
import mmap
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from struct import pack

import pytest
from guest import Mode, cache, debian, image, qemu, rdt_kernel, template
from guest.keeper import kept

IMAGE = image.Image(Path("/nowhere"), "identity")


def test_a_template_is_of_all_that_its_state_depends_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def name(image: image.Image = IMAGE, **of_mode: object) -> str:
        return template.template_name(*qemu.frozen_inputs(image, Mode(**of_mode)))

    monkeypatch.setattr(qemu, "PROGRAM", "echo")  # no QEMU is needed to see what its version does
    names = [
        name(),
        name(image.Image(Path("/nowhere"), "another")),
        name(cgroup="hybrid"),
        name(cgroup="v1"),
        name(systemd=False),
        name(resctrl="rdt"),
        name(resctrl="hsw"),
        name(cpus=2),
        name(memory="2G"),
    ]
    assert name() == names[0], "the same inputs have the same name"
    monkeypatch.setattr(qemu, "PROGRAM", "true")  # prints another "version"
    names.append(name())
    monkeypatch.setattr(qemu, "_MACHINE", "another")
    names.append(name())
    assert len(set(names)) == len(names)


def test_an_image_is_of_its_base_its_kernel_and_its_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = tmp_path / "guest"
    shutil.copytree(debian.HERE, sources, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(debian, "HERE", sources)
    kernel = tmp_path / "vmlinuz-6.1.0-1-amd64"
    kernel.write_bytes(b"one")
    names = [image.image_name("base-1", kernel), image.image_name("base-2", kernel)]
    kernel.write_bytes(b"two")
    names.append(image.image_name("base-1", kernel))
    for changed in ("root/usr/local/sbin/guest-run", "initramfs-init", "rdt_kernel.py"):
        with (sources / changed).open("a") as file:
            file.write("# changed\n")
        names.append(image.image_name("base-1", kernel))
    assert len(set(names)) == len(names)
    assert image.image_name("base-1", kernel) == names[-1]


def test_the_newest_kernel_is_the_one_of_the_highest_number(tmp_path: Path) -> None:
    for release in ("6.1.0-9", "6.1.0-50", "6.1.0-18"):
        (tmp_path / f"vmlinuz-{release}-amd64").touch()
    assert debian.newest_kernel(tmp_path).name == "vmlinuz-6.1.0-50-amd64"
    with pytest.raises(FileNotFoundError, match="apt-get install linux-image-amd64"):
        debian.newest_kernel(tmp_path / "none")


@pytest.mark.parametrize("wrong", [{"cgroup": "v3"}, {"resctrl": "amd"}, {"cpus": 0}])
def test_a_guest_that_cannot_be_had_is_an_error(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        Mode(**wrong)


def test_what_is_cached_is_made_once_and_appears_whole(tmp_path: Path) -> None:
    made = []

    def make(fresh: Path) -> None:
        made.append(fresh)
        assert not (tmp_path / "image-1").exists()
        (fresh / "file").write_text("content")

    for _ in range(2):
        with cache.held(tmp_path / "image-1", make) as directory:
            assert (directory / "file").read_text() == "content"
    assert len(made) == 1
    with cache.held(tmp_path / "image-1", lambda fresh: (fresh / "new").touch(), anew=True) as directory:
        assert [path.name for path in directory.iterdir()] == ["new"]
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(".")] == ["image-1"]


def test_what_cannot_be_made_leaves_nothing(tmp_path: Path) -> None:
    def fail(fresh: Path) -> None:
        (fresh / "half").touch()
        raise ValueError("no")

    with pytest.raises(ValueError), cache.held(tmp_path / "image-1", fail):
        pass
    assert [path.name for path in tmp_path.iterdir()] == [".image-1.lock"]


def test_old_ones_are_removed_but_not_those_in_use(tmp_path: Path) -> None:
    def make(number: int) -> None:
        with cache.held(tmp_path / f"template-{number}", lambda fresh: None):
            pass
        os.utime(tmp_path / f".template-{number}.lock", (number, number))

    for number in range(1, 6):
        make(number)
    with cache.held(tmp_path / "image-1", lambda fresh: None):
        pass
    # A user in another process, as another checkout is one; it has not been the last for long.
    user = subprocess.Popen(["flock", "-s", str(tmp_path / ".template-2.lock"), "sh", "-c", "echo held; read x"],
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # fmt: skip
    assert user.stdout and user.stdout.readline() == b"held\n"
    removed = cache.trim(tmp_path, "template-", 2)
    user.communicate(b"\n")
    assert sorted(path.name for path in removed) == ["template-1", "template-3"]
    assert {path.name for path in tmp_path.iterdir() if not path.name.startswith(".")} == {
        *("template-2", "template-4", "template-5", "image-1")
    }


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_what_is_kept_goes_with_the_process_that_keeps_it(tmp_path: Path, number: signal.Signals) -> None:
    program = (
        "import sys, time\nfrom pathlib import Path\nsys.path.insert(0, sys.argv[1])\nfrom guest.keeper import kept\n"
        "with kept(Path(sys.argv[2]), ['sleep', '987']):\n    print('kept', flush=True)\n    time.sleep(60)\n"
    )
    directory = tmp_path / "kept"
    command = [sys.executable, "-c", program, str(debian.HERE.parent), str(directory)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout and process.stdout.readline() == b"kept\n"
        assert directory.is_dir()
        process.send_signal(number)
    deadline = time.monotonic() + 20
    while directory.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not directory.exists()


def test_a_command_ends_with_its_block_and_a_directory_that_exists_is_not_taken(tmp_path: Path) -> None:
    ours, theirs = os.pipe()
    with kept(tmp_path / "kept", ["sleep", "987"], (theirs,)):
        os.close(theirs)
    assert os.read(ours, 1) == b"", "sleep held the other end"
    os.close(ours)
    (tmp_path / "foreign").mkdir()
    with pytest.raises(OSError, match="cannot make"), kept(tmp_path / "foreign"):
        pass
    assert (tmp_path / "foreign").is_dir()


NATIVE_CPUID = bytes.fromhex("53 418b00 8b0a 0fa2 418900 891e 5b 890f 418911 e900000000 c3")


def fake_kernel(text: bytes) -> bytes:
    """An ELF file with one segment and one section, .text, at the same place of a page in file and memory."""
    size = 0x1000 + len(text)
    header = bytearray(0x1000)
    header[:4] = b"\x7fELF"
    header[32:48] = pack("<QQ", 64, 256)  # offsets of the segments' and the sections' table
    header[58:60] = pack("<H", 64)
    header[64 + 8 : 64 + 24] = pack("<QQ", 0x1000, 0xFFFF1000)
    header[256 + 64 + 16 : 256 + 64 + 40] = pack("<QQQ", 0xFFFF1000, 0x1000, len(text))
    return bytes(header) + text + bytes(-size % 4096)


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="this host lacks an x86-64 processor to run the code on")
def test_the_patched_cpuid_adds_the_bits_of_rdt_and_nothing_else() -> None:
    plain = fake_kernel(NATIVE_CPUID)
    patched = rdt_kernel.with_rdt(plain)
    assert len(patched) == len(plain)

    def cpuid(kernel: bytes, leaf: int, subleaf: int) -> tuple[int, ...]:
        memory = mmap.mmap(-1, len(kernel), prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        memory.write(kernel)
        at = ctypes.addressof(ctypes.c_char.from_buffer(memory)) + 0x1000
        # rdi: ecx out, rsi: ebx, rdx: ecx in, r8: eax in and out, r9: edx - the fifth and sixth argument of C
        words = [ctypes.c_uint32(value) for value in (0, 0, subleaf, 0, leaf, 0)]
        ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 6)(at)(*(ctypes.addressof(word) for word in words))
        return tuple(words[i].value for i in (4, 1, 0, 5))

    for leaf, subleaf, *bits in rdt_kernel._LEAVES:
        before = cpuid(plain, leaf, subleaf)
        assert cpuid(patched, leaf, subleaf) == tuple(a | b for a, b in zip(before, bits))
    assert cpuid(patched, 0, 0) == cpuid(plain, 0, 0)
    assert cpuid(patched, 0x10, 2)[0] == cpuid(plain, 0x10, 2)[0]


def test_the_probe_of_haswell_loses_its_jump() -> None:
    probe = bytes.fromhex("3dffff0f00 0f8511223344 b805000080")
    patched = rdt_kernel.with_haswell(b"\x90" * 9 + probe)
    assert patched == b"\x90" * 9 + bytes.fromhex("3dffff0f00 660f1f440000 b805000080")


@pytest.mark.parametrize("kernel", [b"", NATIVE_CPUID * 2])
def test_a_kernel_in_which_a_place_is_not_found_once_is_refused(kernel: bytes) -> None:
    with pytest.raises(ValueError, match="not exactly once"):
        rdt_kernel.with_rdt(fake_kernel(kernel))
    with pytest.raises(ValueError, match="0 places"):
        rdt_kernel.with_haswell(kernel)
