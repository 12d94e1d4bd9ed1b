"""The files that QEMU takes: kernels, initramfs and root image, made once for a hash of their inputs.

Two stages, so that a change of a script does not repeat the download: ``base-HASH`` is the debootstrapped tree,
``image-HASH`` the files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from . import debian
from .cache import cache_directory, digest, held, say, trim
from .rdt_kernel import with_haswell, with_rdt
from .vmlinux import unpack

#: How many are kept beside those in use: a branch or two with another image.
_KEPT_IMAGES = 3
_KEPT_BASES = 2


@dataclass(frozen=True)
class Image:
    """A built guest.

    Attributes:
        directory: where its files are.
        identity: hash of their content: what a template of it depends on.
    """

    directory: Path
    identity: str

    @property
    def initramfs(self) -> Path:
        """The first file system."""
        return self.directory / "initramfs.cpio"

    @property
    def root(self) -> Path:
        """The root file system."""
        return self.directory / "root.ext4"

    def kernel(self, name: str) -> Path:
        """The kernel ``name``: vmlinux, vmlinux.rdt or vmlinux.hsw."""
        return self.directory / name


@contextmanager
def built(*, rebuild: bool = False) -> Iterator[Image]:
    """Give the image until the end of the block, after making it if there is none of these inputs.

    Raises:
        FileNotFoundError: no Debian kernel in /boot.
        subprocess.CalledProcessError: a step of the build failed; its output went to stderr.
        ValueError: this kernel cannot be unpacked or patched.
    """
    debian.install_needs()
    kernel = debian.newest_kernel()
    cache = cache_directory()
    base = cache / f"base-{digest(debian.SUITE, *debian.PACKAGES)}"
    directory = cache / image_name(base.name, kernel)

    def make(fresh: Path) -> None:
        with held(base, debian.debootstrap):
            _make(base, kernel, fresh)
        trim(cache, "image-", _KEPT_IMAGES)
        trim(cache, "base-", _KEPT_BASES)

    with held(directory, make, anew=rebuild):
        yield Image(directory, (directory / "identity").read_text())


def image_name(base: str, kernel: Path) -> str:
    """The name of the directory of an image: a hash of all that it is made of."""
    names = ("initramfs-init", "vmlinux.py", "rdt_kernel.py", "debian.py", "image.py")
    files = [debian.HERE / name for name in names] + debian.root_files()
    contents = [part for path in files for part in (str(path.relative_to(debian.HERE)), path.read_bytes())]
    return f"image-{digest(base, kernel.name, kernel.read_bytes(), *contents)}"


def _make(base: Path, kernel: Path, fresh: Path) -> None:
    say("building the guest's image")
    plain = unpack(kernel.read_bytes())
    for name, content in ("", plain), (".rdt", with_rdt(plain)), (".hsw", with_haswell(plain)):
        (fresh / f"vmlinux{name}").write_bytes(content)
    debian.make_initramfs(fresh / "initramfs.cpio", kernel.name.removeprefix("vmlinuz-"))
    debian.make_root(base, fresh / "root.ext4")
    whole = hashlib.sha256()
    for path in sorted(fresh.iterdir()):
        with path.open("rb") as file:
            whole.update(hashlib.file_digest(file, "sha256").digest())
    (fresh / "identity").write_text(whole.hexdigest())
