/*
 * compat.h: the kernel interfaces that this program uses and that the C libraries or Debian's headers lack, in one
 * place, with the kernel that brought each. The floor is 5.14; what is newer is marked and must have a fallback
 * where it is used.
 *
 * The wrappers are thin: they return what the kernel returns, -1 and errno on failure. The numbers of system calls
 * since 5.1 are the same on every architecture.
 */
#ifndef CORELAUNCH_COMPAT_H
#define CORELAUNCH_COMPAT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

enum cl_syscall {
    CL_NR_open_tree = 428,     /* 5.2 */
    CL_NR_move_mount = 429,    /* 5.2 */
    CL_NR_fsopen = 430,        /* 5.2 */
    CL_NR_fsconfig = 431,      /* 5.2 */
    CL_NR_fsmount = 432,       /* 5.2 */
    CL_NR_clone3 = 435,        /* 5.3 */
    CL_NR_close_range = 436,   /* 5.9 */
    CL_NR_openat2 = 437,       /* 5.6 */
    CL_NR_faccessat2 = 439,    /* 5.8 */
    CL_NR_mount_setattr = 442, /* 5.12 */
};

/* open_tree(2), move_mount(2), mount_setattr(2), fsopen(2) */
#define CL_OPEN_TREE_CLONE 1
#define CL_OPEN_TREE_CLOEXEC 02000000
#define CL_AT_EMPTY_PATH 0x1000
#define CL_AT_RECURSIVE 0x8000
#define CL_AT_EACCESS 0x200
#define CL_MOVE_MOUNT_F_EMPTY_PATH 0x04
#define CL_MOVE_MOUNT_T_EMPTY_PATH 0x40
#define CL_FSOPEN_CLOEXEC 1
#define CL_FSMOUNT_CLOEXEC 1
#define CL_MOUNT_ATTR_RDONLY 0x01
#define CL_MOUNT_ATTR_NOSUID 0x02
#define CL_MOUNT_ATTR_NODEV 0x04
#define CL_MOUNT_ATTR_NOEXEC 0x08

enum cl_fsconfig_command { CL_FSCONFIG_SET_FLAG = 0, CL_FSCONFIG_SET_STRING = 1, CL_FSCONFIG_CMD_CREATE = 6 };

struct cl_mount_attr {
    uint64_t attr_set;
    uint64_t attr_clr;
    uint64_t propagation;
    uint64_t userns_fd;
};

/* Propagation types, and flags of umount2(2): the libraries' <sys/mount.h> differ in what else they define. */
#define CL_MS_REC 0x4000
#define CL_MS_UNBINDABLE (1 << 17)
#define CL_MS_PRIVATE (1 << 18)
#define CL_MS_SLAVE (1 << 19)
#define CL_MS_SHARED (1 << 20)
#define CL_MS_PROPAGATION (CL_MS_UNBINDABLE | CL_MS_PRIVATE | CL_MS_SLAVE | CL_MS_SHARED)
#define CL_MNT_DETACH 2
#define CL_UMOUNT_NOFOLLOW 8

/* openat2(2) */
#define CL_RESOLVE_NO_XDEV 0x01
#define CL_RESOLVE_NO_MAGICLINKS 0x02
#define CL_RESOLVE_NO_SYMLINKS 0x04
#define CL_RESOLVE_BENEATH 0x08
#define CL_RESOLVE_IN_ROOT 0x10

struct cl_open_how {
    uint64_t flags;
    uint64_t mode;
    uint64_t resolve;
};

/* clone3(2), version 0 of the struct is 64 bytes: all that we use. */
#define CL_CLONE_PIDFD 0x00001000
#define CL_CLONE_PARENT 0x00008000
#define CL_CLONE_NEWTIME 0x00000080
#define CL_CLONE_NEWNS 0x00020000
#define CL_CLONE_NEWCGROUP 0x02000000
#define CL_CLONE_NEWUTS 0x04000000
#define CL_CLONE_NEWIPC 0x08000000
#define CL_CLONE_NEWUSER 0x10000000
#define CL_CLONE_NEWPID 0x20000000
#define CL_CLONE_NEWNET 0x40000000
#define CL_CLONE_NAMESPACES                                                                                     \
    (CL_CLONE_NEWTIME | CL_CLONE_NEWNS | CL_CLONE_NEWCGROUP | CL_CLONE_NEWUTS | CL_CLONE_NEWIPC |               \
     CL_CLONE_NEWUSER | CL_CLONE_NEWPID | CL_CLONE_NEWNET)

struct cl_clone_args {
    uint64_t flags;
    uint64_t pidfd;
    uint64_t child_tid;
    uint64_t parent_tid;
    uint64_t exit_signal;
    uint64_t stack;
    uint64_t stack_size;
    uint64_t tls;
};

#define CL_CLOSE_RANGE_CLOEXEC 4 /* 5.11 */
#define CL_TIOCGPTPEER 0x5441    /* 4.13 */

/* statfs(2) magic numbers, statx(2) */
#define CL_PROC_SUPER_MAGIC 0x9fa0
#define CL_DEVPTS_SUPER_MAGIC 0x1cd1
#define CL_PROC_ROOT_INODE 1
#define CL_PTMX_INODE 2
#define CL_STATX_ATTR_MOUNT_ROOT 0x2000 /* 5.8 */

/* statx(2), of which we want the attributes; musl 1.2.3 has no declaration of it. */
struct cl_statx {
    uint32_t mask;
    uint32_t block_size;
    uint64_t attributes;
    uint64_t rest[30];
};

/* seccomp(2) */
#define CL_SECCOMP_SET_MODE_FILTER 1
#define CL_SECCOMP_FILTER_FLAG_NEW_LISTENER 8
#define CL_BPF_LIMIT 4096

static inline int sys_open_tree(int directory, const char *path, unsigned flags)
{
    return (int)syscall(CL_NR_open_tree, directory, path, flags | CL_OPEN_TREE_CLOEXEC);
}

/* Attaches the mount that `mount` refers to on the file that `target` refers to; no path is looked up. */
static inline int sys_attach(int mount, int target)
{
    unsigned flags = CL_MOVE_MOUNT_F_EMPTY_PATH | CL_MOVE_MOUNT_T_EMPTY_PATH;
    return (int)syscall(CL_NR_move_mount, mount, "", target, "", flags);
}

static inline int sys_mount_setattr(int mount, unsigned flags, const struct cl_mount_attr *attributes)
{
    return (int)syscall(CL_NR_mount_setattr, mount, "", flags | CL_AT_EMPTY_PATH, attributes, sizeof *attributes);
}

static inline int sys_statx(int fd, struct cl_statx *status)
{
    return (int)syscall(SYS_statx, fd, "", CL_AT_EMPTY_PATH, 0, status);
}

static inline int sys_fsopen(const char *type)
{
    return (int)syscall(CL_NR_fsopen, type, CL_FSOPEN_CLOEXEC);
}

static inline int sys_fsconfig(int context, enum cl_fsconfig_command command, const char *key, const char *value)
{
    return (int)syscall(CL_NR_fsconfig, context, command, key, value, 0);
}

static inline int sys_fsmount(int context, unsigned attributes)
{
    return (int)syscall(CL_NR_fsmount, context, CL_FSMOUNT_CLOEXEC, attributes);
}

static inline int sys_openat2(int directory, const char *path, const struct cl_open_how *how)
{
    return (int)syscall(CL_NR_openat2, directory, path, how, sizeof *how);
}

static inline int sys_close_range(unsigned first, unsigned last, unsigned flags)
{
    return (int)syscall(CL_NR_close_range, first, last, flags);
}

#endif
