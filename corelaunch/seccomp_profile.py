"""A seccomp profile (linux.seccomp) for programs that need no privileges, and that may be hostile.

It names what is allowed; what it does not name fails with EPERM, or with ENOSYS if it is newer than all of these. Kept
out is what needs a privilege anyway (mount, bpf, modules, clocks …) and what has opened ways into the kernel for those
who had none: new user namespaces, io_uring, keyrings, userfaultfd, perf, ptrace and the memory of other processes.
"""

from __future__ import annotations

import errno

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Calls of x86-64, of which most other machines have a part; names that one does not have mean nothing to it.
_ALLOWED = """
    accept accept4 access alarm arch_prctl bind brk cachestat capget capset chdir chmod chown clock_getres clock_gettime
    clock_nanosleep close close_range connect copy_file_range creat dup dup2 dup3 epoll_create epoll_create1 epoll_ctl
    epoll_pwait epoll_pwait2 epoll_wait eventfd eventfd2 execve execveat exit exit_group faccessat faccessat2 fadvise64
    fallocate fchdir fchmod fchmodat fchmodat2 fchown fchownat fcntl fdatasync fgetxattr flistxattr flock fork
    fremovexattr fsetxattr fstat fstatfs fsync ftruncate futex futex_requeue futex_wait futex_waitv futex_wake futimesat
    get_robust_list get_thread_area getcpu getcwd getdents getdents64 getegid geteuid getgid getgroups getitimer
    getpeername getpgid getpgrp getpid getppid getpriority getrandom getresgid getresuid getrlimit getrusage getsid
    getsockname getsockopt gettid gettimeofday getuid getxattr getxattrat inotify_add_watch inotify_init inotify_init1
    inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents io_setup io_submit ioctl ioprio_get ioprio_set kill
    landlock_add_rule landlock_create_ruleset landlock_restrict_self lchown lgetxattr link linkat listen listxattr
    listxattrat llistxattr lremovexattr lseek lsetxattr lstat madvise map_shadow_stack membarrier memfd_create
    memfd_secret mincore mkdir mkdirat mknod mknodat mlock mlock2 mlockall mmap mprotect mq_getsetattr mq_notify mq_open
    mq_timedreceive mq_timedsend mq_unlink mremap mseal msgctl msgget msgrcv msgsnd msync munlock munlockall munmap
    nanosleep newfstatat open openat openat2 pause pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc pkey_free
    pkey_mprotect poll ppoll prctl pread64 preadv preadv2 prlimit64 pselect6 pwrite64 pwritev pwritev2 read readahead
    readlink readlinkat readv recvfrom recvmmsg recvmsg remap_file_pages removexattr removexattrat rename renameat
    renameat2 restart_syscall rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn
    rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo sched_get_priority_max sched_get_priority_min sched_getaffinity
    sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval sched_setaffinity sched_setattr sched_setparam
    sched_setscheduler sched_yield seccomp select semctl semget semop semtimedop sendfile sendmmsg sendmsg sendto
    set_robust_list set_thread_area set_tid_address setfsgid setfsuid setgid setgroups setitimer setpgid setpriority
    setregid setresgid setresuid setreuid setrlimit setsid setsockopt setuid setxattr setxattrat shmat shmctl shmdt
    shmget shutdown sigaltstack signalfd signalfd4 socketpair splice stat statfs statx symlink symlinkat sync
    sync_file_range sync_file_range2 syncfs sysinfo tee tgkill time timer_create timer_delete timer_getoverrun
    timer_gettime timer_settime timerfd_create timerfd_gettime timerfd_settime times tkill truncate umask uname unlink
    unlinkat utime utimensat utimes vfork wait4 waitid write writev
"""

#: CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET of linux/sched.h.
_NEW_NAMESPACES = 0x7E020000
#: AF_UNIX, AF_INET, AF_INET6, AF_NETLINK (getifaddrs(3)): not the families that few use and few look at.
_FAMILIES = (1, 2, 10, 16)
#: personality(2): PER_LINUX, PER_LINUX32, UNAME26, and to ask. Not those that make addresses predictable.
_PERSONALITIES = (0x0, 0x8, 0x20000, 0xFFFFFFFF)


def default_profile() -> dict[str, Any]:
    """The profile, an object of its own that the caller may change; for the calls of this machine's own kind alone.

    For ``config["linux"]["seccomp"]``. Of other kinds (32-bit programs on a 64-bit machine) every call is killed.
    """
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": errno.EPERM,
        "syscalls": [
            {"names": _ALLOWED.split(), "action": "SCMP_ACT_ALLOW"},
            # A thread or a process, no new namespace. The flags of clone3 lie in memory, where no filter looks: a C
            # library that is told that there is no such call goes back to clone.
            _if_first("clone", 0, "SCMP_CMP_MASKED_EQ", _NEW_NAMESPACES),
            {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": errno.ENOSYS},
            *(_if_first("socket", family) for family in _FAMILIES),
            *(_if_first("personality", kind) for kind in _PERSONALITIES),
        ],
    }


def _if_first(name: str, value: int, operator: str = "SCMP_CMP_EQ", mask: int = 0) -> dict[str, Any]:
    """A call is allowed if its first argument is ``value`` (under ``mask``: there the OCI's order is mask, value)."""
    arguments: dict[str, Any] = {"index": 0, "value": value, "op": operator}
    if mask:
        arguments |= {"value": mask, "valueTwo": value}
    return {"names": [name], "action": "SCMP_ACT_ALLOW", "args": [arguments]}
