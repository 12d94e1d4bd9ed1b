"""The parts of an image: a debootstrapped tree, an ext4 file system of it, an initramfs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from .cache import say

SUITE = "bookworm"
PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "dbus-user-session", "libpam-systemd"),
    *("python3", "iproute2", "nftables", "busybox-static", "procps", "kmod", "uidmap", "strace"),
    "runc",  # to compare with
)
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
HERE = Path(__file__).parent
_TRIMMED = (
    *("var/cache/apt/archives", "var/lib/apt/lists"),
    *("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/i18n"),
)


def install_needs() -> None:
    """Install the Debian packages that the build and QEMU need, if one is missing."""
    missing = {package for command, package in NEEDS.items() if shutil.which(command) is None}
    if not list(Path("/boot").glob("vmlinuz-*-amd64")):
        missing.add("linux-image-amd64")
    if missing:
        say(f"installing {' '.join(sorted(missing))}")
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *sorted(missing)]
        subprocess.run(["apt-get", "update", "-qq"], env=environment, stdout=sys.stderr, check=True)
        subprocess.run(install, env=environment, stdout=sys.stderr, check=True)


def newest_kernel(boot: Path = Path("/boot")) -> Path:
    """Path of the newest Debian kernel.

    Raises:
        FileNotFoundError: there is none.
    """
    kernels = sorted(
        boot.glob("vmlinuz-*-amd64"),
        key=lambda path: [_number(word) for word in path.name.replace("-", ".").split(".")],
    )
    if not kernels:
        raise FileNotFoundError(f"no {boot}/vmlinuz-*-amd64: apt-get install linux-image-amd64")
    return kernels[-1]


def _number(word: str) -> tuple[int, str]:
    return (int(word), "") if word.isdigit() else (-1, word)


def debootstrap(tree: Path) -> None:
    """Install Debian with PACKAGES into ``tree``."""
    say(f"debootstrap {SUITE} (a minute or two)")
    include = f"--include={','.join(PACKAGES)}"
    # In namespaces: a build that is killed leaves neither processes nor /proc mounted in the tree.
    alone = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    _run([*alone, "debootstrap", "--variant=minbase", include, SUITE, str(tree)])


def make_root(base: Path, image: Path) -> None:
    """Make the guest's root file system: the base, trimmed and fitted out with what is below root/."""
    tree = image.parent / "tree"
    _run(["cp", "-a", "--reflink=auto", f"{base}/.", str(tree)])
    for directory in _TRIMMED:
        shutil.rmtree(tree / directory, ignore_errors=True)
    for directory in ("job", "host", "control", "lib/modules"):
        (tree / directory).mkdir(parents=True, exist_ok=True)
    _fit_out(tree)
    with image.open("wb") as file:
        file.truncate(800 << 20)
    file_system = ["-t", "ext4", "-O", "^has_journal,^metadata_csum,^64bit"]
    options = ["-E", "lazy_itable_init=0,nodiscard,root_owner=0:0"]
    _run(["mke2fs", "-q", *file_system, *options, "-d", str(tree), str(image)])
    shutil.rmtree(tree)


def _fit_out(tree: Path) -> None:
    for path in root_files():
        target = tree / path.relative_to(HERE / "root")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
        target.chmod(0o755 if "sbin" in path.parts else 0o644)
    units = tree / "etc/systemd/system"
    (units / "default.target").unlink(missing_ok=True)
    (units / "default.target").symlink_to("guest.target")
    generators = tree / "etc/systemd/system-generators"
    generators.mkdir()
    for generator in (tree / "lib/systemd/system-generators").iterdir():
        (generators / generator.name).symlink_to("/dev/null")  # each costs a process at boot, none is needed
    (tree / "etc/hostname").write_text("vm\n")
    (tree / "etc/fstab").write_text("")
    (tree / "etc/machine-id").write_text("0" * 31 + "1\n")
    # Who launches without root: the first ordinary user, with subordinate ids.
    _run(["chroot", str(tree), "useradd", "--create-home", "--uid", "1000", "--shell", "/bin/bash", "user"])


def make_initramfs(archive: Path, release: str) -> None:
    """Make the initramfs of the kernel ``release``: busybox, the modules, and the way into the image."""
    tree = archive.parent / "initramfs"
    for directory in ("bin", "modules", "proc", "dev"):
        (tree / directory).mkdir(parents=True)
    shutil.copy(shutil.which("busybox") or "/bin/busybox", tree / "bin/busybox")
    shutil.copy(HERE / "initramfs-init", tree / "init")
    (tree / "init").chmod(0o755)
    names = []
    for path in _module_files(release):
        shutil.copy(path, tree / "modules")
        names.append(path.name)
    (tree / "modules/order").write_text("".join(f"{name}\n" for name in names))
    listing = "\n".join(str(path.relative_to(tree)) for path in sorted(tree.rglob("*")))
    pack = ["cpio", "-o", "-H", "newc", "-R", "0:0", "--quiet"]
    with archive.open("wb") as file:
        subprocess.run(pack, cwd=tree, input=listing.encode(), stdout=file, check=True)
    shutil.rmtree(tree)


def root_files() -> list[Path]:
    """The files that the guest has beside Debian's, by their place below root/."""
    return sorted(path for path in (HERE / "root").rglob("*") if path.is_file())


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


def _run(command: list[str]) -> None:
    """Run a step of the build; its output counts only when it fails."""
    step = ["nice", "setpriv", "--pdeathsig", "KILL", *command]
    done = subprocess.run(step, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        sys.stderr.write("".join(done.stdout.decode(errors="replace").splitlines(keepends=True)[-40:]))
    done.check_returncode()
