"""A rootfs with busybox, and a program that tries system calls."""

import shutil
import subprocess

import pytest

from corelaunch.testing import bundles

#: Calls that must fail: prints those that did not, and ends with 0 if there are none.
CALLS = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int bad;

static void fails(const char *what, long result)
{
    if (result < 0 && (errno == EPERM || errno == ENOSYS))
        return;
    printf("%s: %ld %s\n", what, result, result < 0 ? strerror(errno) : "");
    bad = 1;
}

int main(void)
{
    char stack[4096], memory[256] = {0};

    fails("unshare user", unshare(CLONE_NEWUSER));
    fails("unshare mount", unshare(CLONE_NEWNS));
    fails("clone user", syscall(SYS_clone, CLONE_NEWUSER | 17, 0, 0, 0, 0));
    fails("clone net", syscall(SYS_clone, CLONE_NEWNET | 17, 0, 0, 0, 0));
    fails("clone3", syscall(435, memory, 64));
    fails("setns", syscall(SYS_setns, 0, 0));
    fails("mount", mount("none", "/tmp", "tmpfs", 0, ""));
    fails("remount", mount("none", "/", 0, MS_REMOUNT | MS_BIND, ""));
    fails("umount", umount2("/proc", MNT_DETACH));
    fails("fsopen", syscall(430, "tmpfs", 0));
    fails("open_tree", syscall(428, -100, "/", 1));
    fails("pivot_root", syscall(SYS_pivot_root, "/tmp", "/tmp"));
    fails("chroot", chroot("/tmp"));
    fails("mknod null", mknod("/tmp/null", S_IFCHR | 0666, 0x103));
    fails("mknod disk", mknod("/tmp/disk", S_IFBLK | 0666, 0xfe00));
    fails("ptrace", ptrace(PTRACE_TRACEME, 0, 0, 0));
    fails("process_vm_readv", syscall(SYS_process_vm_readv, 1, memory, 1, memory, 1, 0));
    fails("bpf", syscall(321, 0, memory, sizeof memory));
    fails("io_uring_setup", syscall(425, 1, memory));
    fails("userfaultfd", syscall(323, 0));
    fails("perf_event_open", syscall(298, memory, 0, -1, -1, 0));
    fails("keyctl", syscall(250, 0, -3, 0, 0, 0));
    fails("add_key", syscall(248, "user", "x", "y", 1, -3));
    fails("open_by_handle_at", syscall(304, 0, memory, 0));
    fails("init_module", syscall(175, memory, 1, ""));
    fails("kexec_load", syscall(246, 0, 0, memory, 0));
    fails("reboot", syscall(169, 0xfee1dead, 0x28121969, 0x1234567, 0));
    fails("sethostname", sethostname("x", 1));
    fails("personality", syscall(135, 0x0040000));
    fails("packet socket", socket(17, SOCK_RAW, 0));
    fails("vsock", socket(40, SOCK_STREAM, 0));
    fails("raw socket", socket(AF_INET, SOCK_RAW, 1));
    fails("setuid outside", setuid(70000) < 0 && errno == EINVAL ? (errno = EPERM, -1) : 0);
    (void)stack;
    return bad;
}
"""


@pytest.fixture(scope="session")
def rootfs(tmp_path_factory):
    return bundles.make_rootfs(tmp_path_factory.mktemp("sandbox") / "rootfs")


@pytest.fixture(scope="session")
def calls(tmp_path_factory):
    """The program above, as bytes."""
    compiler = shutil.which("musl-gcc")
    if compiler is None:
        pytest.skip("host lacks musl-gcc")
    directory = tmp_path_factory.mktemp("calls")
    (directory / "calls.c").write_text(CALLS)
    subprocess.run([compiler, "-static", "-o", directory / "calls", directory / "calls.c"], check=True)
    return (directory / "calls").read_bytes()
