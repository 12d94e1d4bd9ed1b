"""The files that podman's containers see."""

from __future__ import annotations

import os
import subprocess

from cases import case, equal, within
from podman_client import IMAGE, Podman

podman = case("podman")


@podman
def volume_read_write(p: Podman) -> None:
    here = p.directory()
    p.sh("echo written >/v/file", "-v", f"{here}:/v")
    equal((here / "file").read_text(), "written\n")


@podman
def volume_read_only(p: Podman) -> None:
    here = p.directory()
    (here / "file").write_text("kept")
    equal(p.sh("echo x 2>/dev/null >/v/file || cat /v/file", "-v", f"{here}:/v:ro"), "kept")


@podman
def volume_named(p: Podman) -> None:
    name = p.name()
    p.sh("echo kept >/v/file", "-v", f"{name}:/v")
    equal(p.sh("cat /v/file", "-v", f"{name}:/v"), "kept")


@podman
def volume_of_another_container(p: Podman) -> None:
    here = p.directory()
    (here / "file").write_text("shared")
    name = p.up("-v", f"{here}:/v")
    equal(p.sh("cat /v/file", "--volumes-from", name), "shared")


@podman
def volume_single_file(p: Podman) -> None:
    file = p.directory() / "file"
    file.write_text("one")
    equal(p.sh("cat /etc/made-for-it", "-v", f"{file}:/etc/made-for-it"), "one")


@podman
def volume_propagates_in(p: Podman) -> None:
    here = p.directory()
    (here / "sub").mkdir()
    name = p.up("-v", f"{here}:/v:rslave")
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", here / "sub"], check=True)
    (here / "sub/file").write_text("later")
    equal(p.ok("exec", name, "cat", "/v/sub/file"), "later")
    p.ok("rm", "-f", "-t", "0", name)
    subprocess.run(["umount", here / "sub"], check=True)


@podman
def volume_propagates_out(p: Podman) -> None:
    here = p.directory()
    (here / "sub").mkdir()
    name = p.up("-v", f"{here}:/v:rshared", "--cap-add", "sys_admin")
    p.ok("exec", name, "sh", "-c", "mount -t tmpfs tmpfs /v/sub && echo made >/v/sub/file")
    equal((here / "sub/file").read_text(), "made\n")
    subprocess.run(["umount", here / "sub"], check=True)


@podman
def volume_is_private_by_default(p: Podman) -> None:
    here = p.directory()
    (here / "sub").mkdir()
    p.sh("mount -t tmpfs tmpfs /v/sub && echo made >/v/sub/file", "-v", f"{here}:/v", "--cap-add", "sys_admin")
    equal(os.listdir(here / "sub"), [])


@podman
def tmpfs(p: Podman) -> None:
    found = p.sh("grep ' /t ' /proc/mounts; touch /t/file && stat -c %a /t", "--tmpfs", "/t:rw,size=1m,mode=700,noexec")
    within(found, "tmpfs")
    within(found, "size=1024k")
    within(found, "noexec")
    equal(found.split()[-1], "700")


@podman
def tmpfs_with_the_images_files(p: Podman) -> None:
    within(p.sh("ls /etc", "--mount", "type=tmpfs,destination=/etc,tmpcopyup"), "passwd")


@podman
def mount_bind_options(p: Podman) -> None:
    here = p.directory()
    found = p.sh("grep ' /v ' /proc/mounts", "--mount", f"type=bind,src={here},dst=/v,ro,bind-nonrecursive")
    equal(found.split()[3].split(",")[0], "ro")


@podman
def image_mount(p: Podman) -> None:
    equal(p.sh("test -x /i/bin/busybox && echo there", "--mount", f"type=image,source={IMAGE},destination=/i"), "there")


@podman
def read_only(p: Podman) -> None:
    found = p.sh("touch /file 2>/dev/null || echo refused; touch /tmp/file && echo fine", "--read-only")
    equal(found.split(), ["refused", "fine"])


@podman
def read_only_without_tmpfs(p: Podman) -> None:
    found = p.sh("touch /tmp/file 2>/dev/null || echo refused", "--read-only", "--read-only-tmpfs=false")
    equal(found, "refused")


@podman
def shm_size(p: Podman) -> None:
    within(p.sh("grep /dev/shm /proc/mounts", "--shm-size", "2m"), "size=2048k")


@podman
def device(p: Podman) -> None:
    equal(p.sh("head -c 3 /dev/mine | wc -c", "--device", "/dev/zero:/dev/mine:r"), "3")


@podman
def devices_are_denied(p: Podman) -> None:
    found = p.sh("mknod /disk b 254 0 && head -c 1 /disk 2>&1 || true", "--cap-add", "mknod")
    within(found, "not permitted")


@podman
def secret(p: Podman) -> None:
    name, file = p.name(), p.directory() / "secret"
    file.write_text("hidden")
    p.ok("secret", "create", name, str(file))
    equal(p.sh(f"cat /run/secrets/{name}", "--secret", name), "hidden")


@podman
def masked_paths(p: Podman) -> None:
    equal(p.sh("cat /proc/kcore | wc -c; ls /proc/acpi 2>/dev/null | wc -l").split(), ["0", "0"])
    within(p.sh("grep ' /proc/sys ' /proc/mounts"), "ro,")


@podman
def unmasked_paths(p: Podman) -> None:
    equal(p.sh("grep -c ' /proc/sys ' /proc/mounts || true", "--security-opt", "unmask=ALL"), "0")
