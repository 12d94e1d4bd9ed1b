/*
 * procfs.c: writing to /proc where the container can have put anything under that name. We make a procfs of our own,
 * detached: nothing can be mounted on it. Every name in it is resolved without links and without leaving it, and the
 * file must be on procfs (CVE-2019-16884, CVE-2025-52881).
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "compat.h"
#include "init.h"

#define PROC_RESOLVE                                                                                            \
    (CL_RESOLVE_BENEATH | CL_RESOLVE_NO_XDEV | CL_RESOLVE_NO_MAGICLINKS | CL_RESOLVE_NO_SYMLINKS)

/* Without /proc/sys and the like (subset=pid) unless `whole`; -1 with errno if the kernel refuses. */
static int make_procfs(bool whole)
{
    CLEANUP_FD int context = sys_fsopen("proc");
    if (context < 0)
        return -1;
    if (!whole && sys_fsconfig(context, CL_FSCONFIG_SET_STRING, "subset", "pid") < 0)
        return -1;
    if (sys_fsconfig(context, CL_FSCONFIG_CMD_CREATE, NULL, NULL) < 0)
        return -1;
    return sys_fsmount(context, CL_MOUNT_ATTR_NOSUID | CL_MOUNT_ATTR_NODEV | CL_MOUNT_ATTR_NOEXEC);
}

/*
 * In a user namespace the kernel makes no procfs when the visible one is partly covered. Then /proc itself serves,
 * if it is the root of a procfs; NO_XDEV keeps us off whatever is mounted on it.
 */
static int visible_procfs(struct init *init)
{
    struct stat status;
    int fd = path_open(init->root, "/proc", O_PATH | O_DIRECTORY, CL_RESOLVE_NO_SYMLINKS);
    if (fd < 0)
        fail_call(init, "/proc", "openat2");
    if (fstat(fd, &status) < 0 || !fd_is_on(fd, CL_PROC_SUPER_MAGIC) || status.st_ino != CL_PROC_ROOT_INODE)
        fail_rule(init, "/proc", "is not the root of a procfs");
    return fd;
}

int open_procfs(struct init *init, bool whole)
{
    int fd = make_procfs(whole);
    return fd >= 0 ? fd : visible_procfs(init);
}

/* One write, so that the kernel takes the value as a whole or not at all. */
void write_procfs(struct init *init, int procfs, const char *path, const char *value)
{
    struct cl_open_how how = {.flags = O_WRONLY | O_CLOEXEC | O_NOFOLLOW, .resolve = PROC_RESOLVE};
    char shown[PATH_MAX + 8];
    struct text text = text_in(shown, sizeof shown);
    text_add(&text, "/proc/");
    text_add(&text, path);

    CLEANUP_FD int fd = sys_openat2(procfs, path, &how);
    if (fd < 0)
        fail_call(init, shown, "openat2");
    if (!fd_is_on(fd, CL_PROC_SUPER_MAGIC))
        fail_rule(init, shown, "is not on procfs");
    size_t length = strlen(value);
    if (write(fd, value, length) != (ssize_t)length)
        fail_call(init, shown, "write");
}

/* A file of our own thread, by numbers: /proc/thread-self is a link, and we follow none. */
void write_own_proc(struct init *init, const char *name, const char *value)
{
    char path[PATH_MAX];
    struct text text = text_in(path, sizeof path);
    text_add_number(&text, syscall(SYS_getpid));
    text_add(&text, "/task/");
    text_add_number(&text, syscall(SYS_gettid));
    text_add(&text, "/");
    text_add(&text, name);
    CLEANUP_FD int procfs = open_procfs(init, false);
    write_procfs(init, procfs, path, value);
}

/* The whole procfs shows the host's settings: it is closed when the last SYSCTL of a row is written. */
void op_sysctl(struct init *init, const struct cl_record *record)
{
    char path[PATH_MAX];
    struct text text = text_in(path, sizeof path);
    text_add(&text, "sys/");
    text_add(&text, record_text(init, record, 0));
    if (init->sysctl_proc < 0)
        init->sysctl_proc = open_procfs(init, true);
    write_procfs(init, init->sysctl_proc, path, record_text(init, record, 1));
    if (record[1].code != CL_OP_SYSCTL) /* there is a next one: EXEC is the last of every plan */
        drop_fd(&init->sysctl_proc);
}

void op_exec_label(struct init *init, const struct cl_record *record)
{
    char name[PATH_MAX];
    struct text text = text_in(name, sizeof name);
    text_add(&text, "attr/");
    text_add(&text, record_text(init, record, 0));
    write_own_proc(init, name, record_text(init, record, 1));
}
