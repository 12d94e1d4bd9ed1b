/*
 * rootfs.c: the container's root: propagation of the host's tree, the root filesystem as a mount of its own, and the
 * moment when it becomes "/".
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "compat.h"
#include "init.h"

/* The one use of mount(2): "/" may be covered by other mounts, and a path from a descriptor would meet those. */
void op_host_propagation(struct init *init, const struct cl_record *record)
{
    init->host_propagation = record->number[0] & ~(uint64_t)CL_MS_REC;
    if (mount(NULL, "/", NULL, record->number[0], NULL) < 0)
        fail_call(init, "/", "mount of propagation");
}

static bool is_mount_root(struct init *init, int fd, const char *path)
{
    struct cl_statx status;
    if (sys_statx(fd, &status) < 0)
        fail_call(init, path, "statx");
    return status.attributes & CL_STATX_ATTR_MOUNT_ROOT;
}

/*
 * pivot_root(2) refuses a new root whose parent mount is shared, and what we mount must not spread to the host. The
 * parent mount is found by going up until a directory is the root of its mount, without reading mountinfo.
 */
static void make_parent_private(struct init *init, int rootfs, const char *path)
{
    struct stat here, above;
    int at = fcntl(rootfs, F_DUPFD_CLOEXEC, 0);
    if (at < 0)
        fail_call(init, path, "fcntl");
    while (!is_mount_root(init, at, path)) {
        int up = openat(at, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (up < 0 || fstat(at, &here) < 0 || fstat(up, &above) < 0)
            fail_call(init, path, "open of the parent directory");
        if (here.st_ino == above.st_ino && here.st_dev == above.st_dev)
            fail_rule(init, path, "the runtime's own root is not a mount: it runs in a chroot");
        close(at);
        at = up;
    }
    if (set_propagation(at, CL_MS_PRIVATE) < 0)
        fail_call(init, path, "mount_setattr of the parent mount's propagation");
    close(at);
}

/*
 * Without a mount namespace of its own: a mount of ours would be one of the host's, and stay there. exec gets the
 * root of the container's init from the parent.
 */
static void take_root(struct init *init, const char *path, bool given)
{
    int root = given ? ask_parent(init, path) : open(path, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (root < 0)
        fail_call(init, path, "open");
    close(init->root);
    init->root = root;
}

/*
 * The root filesystem becomes a mount that is ours, recursively with what is mounted in it. The descriptor of that
 * mount is the root of everything that follows. If the parent must give it because we may not reach the path, it is
 * put on "/": our own root stays below it, and pivot_root asks for no more than that it is attached.
 */
void op_rootfs(struct init *init, const struct cl_record *record)
{
    const char *path = record_text(init, record, 0);
    bool given = record->flags & CL_FLAG_FROM_PARENT;

    if (record->flags & CL_FLAG_CHROOT)
        return take_root(init, path, given);
    CLEANUP_FD int place = open(given ? "/" : path, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (place < 0)
        fail_call(init, path, "open");
    /* Of private and slave mounts none is shared, and the root would no longer hear of the host's. */
    if (init->host_propagation & CL_MS_SHARED)
        make_parent_private(init, place, path);
    int tree = given ? source_from_parent(init, path)
                     : sys_open_tree(place, "", CL_AT_EMPTY_PATH | CL_OPEN_TREE_CLONE | CL_AT_RECURSIVE);
    if (tree < 0)
        fail_call(init, path, "open_tree");
    if (sys_attach(tree, place) < 0)
        fail_call(init, path, "move_mount");
    close(init->root);
    init->root = tree;
}

void op_root_propagation(struct init *init, const struct cl_record *record)
{
    if (set_propagation(init->root, record->number[0]) < 0)
        fail_call(init, "/", "mount_setattr of propagation");
}

/*
 * Without pivot_root the old tree stays reachable below the new one for whoever may unmount; its /proc and /sys would
 * show the host. What cannot be unmounted (it is locked in a user namespace) is covered.
 */
static void hide_from_no_pivot(struct init *init, const char *path)
{
    CLEANUP_FD int mount = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (mount < 0 || !is_mount_root(init, mount, path))
        return;
    if (set_propagation(mount, CL_MS_PRIVATE | CL_MS_REC) < 0)
        fail_call(init, path, "mount_setattr of propagation");
    if (umount2(path, CL_MNT_DETACH | CL_UMOUNT_NOFOLLOW) == 0)
        return;
    CLEANUP_FD int context = new_filesystem(init, "tmpfs", path);
    if (sys_fsconfig(context, CL_FSCONFIG_CMD_CREATE, NULL, NULL) < 0)
        fail_context(init, context, path, "fsconfig create", "tmpfs");
    CLEANUP_FD int cover = sys_fsmount(context, CL_MOUNT_ATTR_RDONLY);
    if (cover < 0 || sys_attach(cover, mount) < 0)
        fail_call(init, path, "cover of the host's");
}

static void move_root(struct init *init)
{
    hide_from_no_pivot(init, "/proc");
    hide_from_no_pivot(init, "/sys");
    CLEANUP_FD int old = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (old < 0)
        fail_call(init, "/", "open");
    if (sys_attach(init->root, old) < 0)
        fail_call(init, "/", "move_mount");
}

/* pivot_root(".", "."): the old root lies on the new one and is taken off; no directory of the image is needed. */
static void pivot(struct init *init)
{
    CLEANUP_FD int old = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (old < 0)
        fail_call(init, "/", "open");
    if (syscall(SYS_pivot_root, ".", ".") < 0)
        fail_call(init, "", "pivot_root");
    /* Nothing of the unmounting may reach the host. */
    if (set_propagation(old, CL_MS_SLAVE | CL_MS_REC) < 0)
        fail_call(init, "", "mount_setattr of the old root's propagation");
    if (fchdir(old) < 0)
        fail_call(init, "", "fchdir to the old root");
    if (umount2(".", CL_MNT_DETACH) < 0)
        fail_call(init, "", "umount2 of the old root");
}

void op_pivot(struct init *init, const struct cl_record *record)
{
    if (fchdir(init->root) < 0)
        fail_call(init, "", "fchdir to the root filesystem");
    if (record->flags & CL_FLAG_NO_PIVOT)
        move_root(init);
    if (record->flags & (CL_FLAG_NO_PIVOT | CL_FLAG_CHROOT)) {
        if (chroot(".") < 0)
            fail_call(init, "", "chroot");
    } else {
        pivot(init);
    }
    if (chdir("/") < 0)
        fail_call(init, "/", "chdir");
}
