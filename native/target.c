/*
 * target.c: mount targets and what is done to a mount by its descriptor.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "compat.h"
#include "init.h"

#define TARGET_MODE 0755

/*
 * Only few files of /proc may be covered, and the plan marks them: a mount over /proc/self/attr would turn LSM labels
 * into writes to a file of the image (CVE-2019-16884).
 */
static void refuse_procfs(struct init *init, int target, const char *path)
{
    if (!(init->record->flags & CL_FLAG_ALLOW_PROC) && fd_is_on(target, CL_PROC_SUPER_MAGIC))
        fail_rule(init, path, "the mount target is inside /proc");
}

/*
 * Opens the target, making it first if it is missing. With CL_FLAG_PLAIN_TARGET nothing on the way may be a link:
 * a /proc that is mounted elsewhere leaves the image's own in its place (CVE-2019-19921, CVE-2023-27561).
 */
int open_target(struct init *init, const char *path, bool directory, bool *existed)
{
    bool plain = init->record->flags & CL_FLAG_PLAIN_TARGET;
    int target = path_open(init->root, path, O_PATH, plain ? CL_RESOLVE_NO_SYMLINKS : 0);
    *existed = target >= 0;
    if (target < 0 && errno == ELOOP && plain)
        fail_rule(init, path, "the mount target must be an ordinary directory, a link leads to it");
    if (target < 0 && errno == ENOENT) {
        target = directory ? path_make_directory(init->root, path, TARGET_MODE)
                           : path_make_file(init->root, path, TARGET_MODE);
        if (target < 0)
            fail_call(init, path, "cannot make the mount target");
    }
    if (target < 0)
        fail_call(init, path, "openat2");
    refuse_procfs(init, target, path);
    return target;
}

int set_attributes(int mount, unsigned flags, uint64_t attributes)
{
    struct cl_mount_attr wanted = {.attr_set = attributes & UINT32_MAX, .attr_clr = attributes >> 32};
    if (!attributes)
        return 0;
    return sys_mount_setattr(mount, flags, &wanted);
}

int set_propagation(int mount, uint64_t propagation)
{
    struct cl_mount_attr wanted = {.propagation = propagation & ~(uint64_t)CL_MS_REC};
    if (!wanted.propagation)
        return 0;
    return sys_mount_setattr(mount, propagation & CL_MS_REC ? CL_AT_RECURSIVE : 0, &wanted);
}

/* Asks the parent for the source of the operation at hand, which we may not be able to reach. */
int ask_parent(struct init *init, const char *path)
{
    struct cl_index wanted = {.operation = init->index};
    struct cl_index given;
    int fd = -1;

    sync_send(init, CL_MSG_SOURCE_WANTED, &wanted, sizeof wanted, -1);
    if (sync_receive(init, CL_MSG_SOURCE, &given, sizeof given, &fd, 1) != 1 || given.operation != wanted.operation)
        fail_rule(init, path, "the parent gave another mount source than was asked for");
    return fd;
}

/*
 * The mount source from the parent: a detached clone.
 *
 * The parent cloned it in the host's mount namespace, as a peer of the host's mount: what is mounted below it would
 * appear on the host. It follows the host no more closely than the rest of our tree does.
 */
int source_from_parent(struct init *init, const char *path)
{
    int fd = ask_parent(init, path);
    uint64_t type = init->host_propagation ? init->host_propagation : CL_MS_SLAVE;
    if (type != CL_MS_SHARED && set_propagation(fd, type | CL_MS_REC) < 0)
        fail_call(init, path, "mount_setattr of propagation");
    return fd;
}

/* Both ends are descriptors: nothing is looked up again between the checks and the mount. */
void attach_mount(struct init *init, int mount, int target, const char *path, uint64_t propagation)
{
    if (sys_attach(mount, target) < 0)
        fail_call(init, path, "move_mount");
    if (set_propagation(mount, propagation) < 0)
        fail_call(init, path, "mount_setattr of propagation");
}
