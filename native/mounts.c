/*
 * mounts.c: MOUNT, BIND, ATTACH and REMOUNT. A mount is made and finished while it is detached, then put in place by
 * descriptor: at no moment is it visible with less than its final attributes.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "compat.h"
#include "init.h"

/* A clone of a host path: the parent's if it is told to give one, else our own. */
static int clone_source(struct init *init, const struct cl_record *record, const char *source, bool recursive)
{
    if (record->flags & CL_FLAG_FROM_PARENT)
        return source_from_parent(init, source);
    int fd = sys_open_tree(AT_FDCWD, source, CL_OPEN_TREE_CLONE | (recursive ? CL_AT_RECURSIVE : 0));
    if (fd < 0)
        fail_call(init, source, "open_tree");
    return fd;
}

/* A directory over /proc must be procfs, and its root: else a tree of the image's making passes for it. */
static void check_proc_source(struct init *init, int source, const struct stat *status, const char *path)
{
    if (!S_ISDIR(status->st_mode) || !(init->record->flags & CL_FLAG_ALLOW_PROC))
        return;
    if (!fd_is_on(source, CL_PROC_SUPER_MAGIC) || status->st_ino != CL_PROC_ROOT_INODE)
        fail_rule(init, path, "only a procfs may be mounted on /proc");
}

static void bind(struct init *init, const struct cl_record *record, bool recursive)
{
    const char *path = record_text(init, record, 2);
    struct stat status;
    bool existed;
    CLEANUP_FD int source = clone_source(init, record, record_text(init, record, 1), recursive);

    if (fstat(source, &status) < 0)
        fail_call(init, path, "fstat");
    check_proc_source(init, source, &status, path);
    CLEANUP_FD int target = open_target(init, path, S_ISDIR(status.st_mode), &existed);
    /* Only what the config names is changed, so locked attributes of the source stay as they are. */
    if (set_attributes(source, 0, record->number[0]) < 0)
        fail_call(init, path, "mount_setattr");
    if (record->code == CL_OP_BIND && set_attributes(source, CL_AT_RECURSIVE, record->number[1]) < 0)
        fail_call(init, path, "mount_setattr of the tree");
    attach_mount(init, source, target, path, record->number[record->code == CL_OP_BIND ? 2 : 1]);
}

void op_bind(struct init *init, const struct cl_record *record)
{
    bind(init, record, record->flags & CL_FLAG_RECURSIVE);
}


void op_mount(struct init *init, const struct cl_record *record)
{
    const char *path = record_text(init, record, 2);
    bool existed;
    CLEANUP_FD int target = open_target(init, path, true, &existed);
    CLEANUP_FD int mount = make_filesystem(init, record, target, existed);

    if (mount < 0) {
        /* cgroup2 that this user namespace may not mount: the host's, and the config's attributes on it. */
        bind(init, record, true);
        return;
    }
    if ((record->flags & CL_FLAG_COPY_UP) && existed)
        copy_up(init, target, mount, path);
    if (record->flags & CL_FLAG_HOLD)
        init->held = steal_fd(&mount);
    else
        attach_mount(init, mount, target, path, record->number[1]);
}

void op_attach(struct init *init, const struct cl_record *record)
{
    const char *path = record_text(init, record, 2);
    bool existed;
    CLEANUP_FD int mount = steal_fd(&init->held);
    CLEANUP_FD int target = open_target(init, path, true, &existed);
    attach_mount(init, mount, target, path, record->number[1]);
}

void op_remount(struct init *init, const struct cl_record *record)
{
    const char *path = record_text(init, record, 0);
    unsigned flags = record->flags & CL_FLAG_RECURSIVE ? CL_AT_RECURSIVE : 0;
    CLEANUP_FD int mount = path_open(init->root, path, O_PATH, 0);
    if (mount < 0)
        fail_call(init, path, "openat2");
    if (set_attributes(mount, flags, record->number[0]) < 0)
        fail_call(init, path, "mount_setattr");
}
