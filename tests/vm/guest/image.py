"""Build the guest: a root image by debootstrap, an initramfs and the unpacked kernel, cached by a hash of their inputs.

Two stages, so that a change of a script does not repeat the download: ``base-HASH`` is the debootstrapped tree,
``image-HASH`` the three files that QEMU takes. Both are made beside their final name and renamed, under a lock.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .vmlinux import unpack

SUITE = "bookworm"
PACKAGES = ("python3", "iproute2", "busybox-static", "procps", "kmod", "strace", "runc")
#: Modules of Debian's kernel that stand between QEMU's devices and the root file system.
MODULES = ("virtio_mmio", "virtio_blk", "ext4", "crc32c_generic", "9p", "9pnet_virtio", "overlay")
#: Host commands and the Debian packages that bring them.
NEEDS = {
    "debootstrap": "debootstrap",
    "qemu-system-x86_64": "qemu-system-x86",
    "mke2fs": "e2fsprogs",
    "cpio": "cpio",
    "modprobe": "kmod",
    "busybox": "busybox-static",
}
_HERE = Path(__file__).parent
_TRIMMED = (
    "var/cache/apt/archives",
    "var/lib/apt/lists",
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "usr/share/i18n",
)


@dataclass(frozen=True)
class Image:
    """The files of a built guest."""

    kernel: Path
    initramfs: Path
    root: Path


def cache_directory() -> Path:
    """Where images are kept: $XDG_CACHE_HOME/corelaunch/vm or ~/.cache/corelaunch/vm."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "corelaunch" / "vm"


def build(*, rebuild: bool = False) -> Image:
    """Return the guest's files, making them first if no image of these inputs exists.

    Raises:
        FileNotFoundError: no Debian kernel in /boot.
        subprocess.CalledProcessError: a step of the build failed; its output went to stderr.
    """
    install_needs()
    kernel = newest_kernel()
    cache = cache_directory()
    cache.mkdir(parents=True, exist_ok=True)
    with _locked(cache / "lock"):
        base = cache / f"base-{_digest(SUITE, *PACKAGES)}"
        if not base.exists():
            _debootstrap(base)
        sources = [_HERE / name for name in ("initramfs-init", "guest-init", "vmlinux.py", "image.py")]
        directory = (
            cache / f"image-{_digest(base.name, kernel.name, kernel.read_bytes(), *(s.read_bytes() for s in sources))}"
        )
        if rebuild and directory.exists():
            shutil.rmtree(directory)
        image = Image(directory / "vmlinux", directory / "initramfs.cpio", directory / "root.ext4")
        if not directory.exists():
            _say(f"building the guest's image below {directory}")
            fresh = _fresh(directory)
            (fresh / image.kernel.name).write_bytes(unpack(kernel.read_bytes()))
            _make_initramfs(fresh / image.initramfs.name, kernel.name.removeprefix("vmlinuz-"))
            _make_root(base, fresh / image.root.name)
            for old in cache.glob("image-*"):
                if old != fresh:
                    shutil.rmtree(old)
            fresh.rename(directory)
    return image


def install_needs() -> None:
    """Install the Debian packages that the build and QEMU need, if one is missing."""
    missing = {package for command, package in NEEDS.items() if shutil.which(command) is None}
    if not list(Path("/boot").glob("vmlinuz-*-amd64")):
        missing.add("linux-image-amd64")
    if missing:
        _say(f"installing {' '.join(sorted(missing))}")
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        _run(["apt-get", "update", "-qq"], env=environment)
        _run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *sorted(missing)], env=environment)


def newest_kernel() -> Path:
    """Path of the newest Debian kernel in /boot.

    Raises:
        FileNotFoundError: there is none.
    """
    kernels = sorted(
        Path("/boot").glob("vmlinuz-*-amd64"),
        key=lambda path: [_number(w) for w in path.name.replace("-", ".").split(".")],
    )
    if not kernels:
        raise FileNotFoundError("no /boot/vmlinuz-*-amd64: apt-get install linux-image-amd64")
    return kernels[-1]


def _number(word: str) -> tuple[int, str]:
    return (int(word), "") if word.isdigit() else (-1, word)


def _debootstrap(base: Path) -> None:
    _say(f"debootstrap {SUITE} (a minute or two)")
    fresh = _fresh(base)
    _run(["debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", SUITE, str(fresh)])
    fresh.rename(base)


def _make_root(base: Path, image: Path) -> None:
    tree = _fresh(image.parent / "tree")
    _run(["cp", "-a", "--reflink=auto", f"{base}/.", str(tree)])
    for directory in _TRIMMED:
        shutil.rmtree(tree / directory, ignore_errors=True)
    for directory in ("job", "host", "lib/modules"):
        (tree / directory).mkdir(parents=True, exist_ok=True)
    shutil.copy(_HERE / "guest-init", tree / "sbin/guest-init")
    (tree / "sbin/guest-init").chmod(0o755)
    (tree / "etc/hostname").write_text("vm\n")
    options = "lazy_itable_init=0,nodiscard,root_owner=0:0"
    with image.open("wb") as file:
        file.truncate(600 << 20)
    _run(
        [
            "mke2fs",
            "-q",
            "-t",
            "ext4",
            "-O",
            "^has_journal,^metadata_csum,^64bit",
            "-E",
            options,
            "-d",
            str(tree),
            str(image),
        ]
    )
    shutil.rmtree(tree)


def _make_initramfs(archive: Path, release: str) -> None:
    tree = _fresh(archive.parent / "initramfs")
    for directory in ("bin", "modules", "proc", "dev"):
        (tree / directory).mkdir()
    shutil.copy(shutil.which("busybox") or "/bin/busybox", tree / "bin/busybox")
    shutil.copy(_HERE / "initramfs-init", tree / "init")
    (tree / "init").chmod(0o755)
    names = []
    for path in _module_files(release):
        shutil.copy(path, tree / "modules")
        names.append(path.name)
    (tree / "modules/order").write_text("".join(f"{name}\n" for name in names))
    listing = "\n".join(str(path.relative_to(tree)) for path in sorted(tree.rglob("*")))
    with archive.open("wb") as file:
        subprocess.run(
            ["cpio", "-o", "-H", "newc", "-R", "0:0", "--quiet"],
            cwd=tree,
            input=listing.encode(),
            stdout=file,
            check=True,
        )
    shutil.rmtree(tree)


def _module_files(release: str) -> Iterator[Path]:
    """The modules and what they depend on, in loading order, each once."""
    seen = set()
    for module in MODULES:
        listed = subprocess.run(
            ["modprobe", "-S", release, "--show-depends", module], capture_output=True, text=True, check=True
        )
        for line in listed.stdout.splitlines():
            action, _, path = line.partition(" ")
            if action == "insmod" and path not in seen:  # else "builtin NAME"
                seen.add(path)
                yield Path(path.split()[0])


def _fresh(path: Path) -> Path:
    fresh = path.with_name(path.name + ".new")
    if fresh.exists():
        shutil.rmtree(fresh)
    fresh.mkdir(parents=True)
    return fresh


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _digest(*parts: str | bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode() if isinstance(part, str) else part)
        digest.update(b"\0")
    return digest.hexdigest()[:16]


def _run(command: list[str], env: dict[str, str] | None = None) -> None:
    subprocess.run(["nice", *command], check=True, stdout=sys.stderr, env=env)


def _say(text: str) -> None:
    print(f"vm: {text}", file=sys.stderr, flush=True)
