/*
 * masks.c: MASK_PATH and READONLY_PATH. The target is a descriptor; so is the source, and it is checked to be what it
 * must be (CVE-2025-31133: a container's /dev/null replaced by a link had procfs files bound over masked ones).
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "compat.h"
#include "init.h"

/* -1: there is nothing at this path, so nothing to hide. Any other failure is one. */
static int open_covered(struct init *init, const char *path)
{
    int fd = path_open(init->root, path, O_PATH, 0);
    if (fd < 0 && errno != ENOENT && errno != ENOTDIR)
        fail_call(init, path, "openat2");
    return fd;
}

void op_readonly_path(struct init *init, const struct cl_record *record)
{
    const char *path = record_text(init, record, 0);
    CLEANUP_FD int target = open_covered(init, path);
    if (target < 0)
        return;
    CLEANUP_FD int tree = sys_open_tree(target, "", CL_AT_EMPTY_PATH | CL_OPEN_TREE_CLONE | CL_AT_RECURSIVE);
    if (tree < 0)
        fail_call(init, path, "open_tree");
    if (set_attributes(tree, 0, CL_MOUNT_ATTR_RDONLY) < 0)
        fail_call(init, path, "mount_setattr");
    attach_mount(init, tree, target, path, 0);
}

static int new_mask_directory(struct init *init, const char *path)
{
    CLEANUP_FD int context = new_filesystem(init, "tmpfs", path);
    if (sys_fsconfig(context, CL_FSCONFIG_SET_STRING, "source", "tmpfs") < 0 ||
        sys_fsconfig(context, CL_FSCONFIG_SET_FLAG, "ro", NULL) < 0 ||
        sys_fsconfig(context, CL_FSCONFIG_CMD_CREATE, NULL, NULL) < 0)
        fail_context(init, context, path, "fsconfig", "tmpfs");
    int fd = sys_fsmount(context, CL_MOUNT_ATTR_RDONLY);
    if (fd < 0)
        fail_context(init, context, path, "fsmount", "tmpfs");
    return fd;
}

/* All masked directories share one tmpfs. A detached mount cannot be cloned before 6.15, an attached one can. */
static void mask_directory(struct init *init, int target, const char *path)
{
    if (init->mask_directory < 0) {
        init->mask_directory = new_mask_directory(init, path);
        attach_mount(init, init->mask_directory, target, path, 0);
        return;
    }
    CLEANUP_FD int again = sys_open_tree(init->mask_directory, "", CL_AT_EMPTY_PATH | CL_OPEN_TREE_CLONE);
    if (again < 0)
        fail_call(init, path, "open_tree");
    attach_mount(init, again, target, path, 0);
}

/* A missing or false /dev/null is an error, never a reason to leave a file unmasked. */
static void mask_file(struct init *init, int target, const char *path)
{
    if (init->null_device < 0)
        init->null_device = path_open(init->root, "/dev/null", O_PATH | O_NOFOLLOW, 0);
    if (init->null_device < 0)
        fail_call(init, path, "openat2 of /dev/null");
    if (!fd_is_device(init->null_device, 1, 3))
        fail_rule(init, path, "/dev/null of the container is not the null device");
    CLEANUP_FD int mask = sys_open_tree(init->null_device, "", CL_AT_EMPTY_PATH | CL_OPEN_TREE_CLONE);
    if (mask < 0)
        fail_call(init, path, "open_tree of /dev/null");
    attach_mount(init, mask, target, path, 0);
}

void op_mask_path(struct init *init, const struct cl_record *record)
{
    struct stat status;
    const char *path = record_text(init, record, 0);
    CLEANUP_FD int target = open_covered(init, path);
    if (target < 0)
        return;
    if (fstat(target, &status) < 0)
        fail_call(init, path, "fstat");
    if (S_ISDIR(status.st_mode))
        mask_directory(init, target, path);
    else
        mask_file(init, target, path);
}
