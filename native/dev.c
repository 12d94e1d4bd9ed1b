/*
 * dev.c: nodes, directories, links and empty files, in the held /dev or through the root filesystem. Each is made in
 * a directory that is held by descriptor and under a leaf name that is never followed (CVE-2026-41579).
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "cleanup.h"
#include "compat.h"
#include "init.h"

static int base_of(const struct init *init, const struct cl_record *record)
{
    return record->flags & CL_FLAG_IN_HELD ? init->held : init->root;
}

static int open_parent(struct init *init, const struct cl_record *record, const char *path, char leaf[NAME_MAX + 1])
{
    int parent = path_make_parent(base_of(init, record), path, leaf);
    if (parent < 0)
        fail_call(init, path, "cannot make the parent directory");
    return parent;
}

/* A node that is there already will do only if it is the same device: the image may hold anything. */
static void check_existing(struct init *init, int parent, const char *leaf, const char *path, mode_t mode, dev_t device)
{
    struct stat status;
    if (fstatat(parent, leaf, &status, AT_SYMLINK_NOFOLLOW) < 0)
        fail_call(init, path, "fstatat");
    if ((status.st_mode & S_IFMT) != (mode & S_IFMT) || (!S_ISFIFO(mode) && status.st_rdev != device))
        fail(init, path, EEXIST, "another file is in the place of the device");
}

void op_node(struct init *init, const struct cl_record *record)
{
    char leaf[NAME_MAX + 1];
    const char *path = record_text(init, record, 0);
    mode_t mode = (mode_t)record->number[0];
    dev_t device = makedev((unsigned)(record->number[1] >> 32), (unsigned)record->number[1]);
    CLEANUP_FD int parent = open_parent(init, record, path, leaf);

    if (mknodat(parent, leaf, mode, device) < 0) {
        if (errno != EEXIST)
            fail_call(init, path, "mknodat");
        check_existing(init, parent, leaf, path, mode, device);
        return;
    }
    uid_t uid = (uid_t)(record->number[2] >> 32);
    gid_t gid = (gid_t)record->number[2];
    if ((uid || gid) && fchownat(parent, leaf, uid, gid, AT_SYMLINK_NOFOLLOW) < 0)
        fail_call(init, path, "fchownat");
}

void op_directory(struct init *init, const struct cl_record *record)
{
    char leaf[NAME_MAX + 1];
    const char *path = record_text(init, record, 0);
    CLEANUP_FD int parent = open_parent(init, record, path, leaf);

    if (mkdirat(parent, leaf, (mode_t)record->number[0] & 07777) == 0)
        return;
    struct stat status;
    /* A link to a directory, as images have it for /var/run, is as good. */
    if (errno != EEXIST)
        fail_call(init, path, "mkdirat");
    CLEANUP_FD int there = path_open(base_of(init, record), path, O_PATH | O_DIRECTORY, 0);
    if (there < 0 || fstat(there, &status) < 0)
        fail_call(init, path, "openat2");
}

void op_symlink(struct init *init, const struct cl_record *record)
{
    char leaf[NAME_MAX + 1];
    char there[PATH_MAX];
    const char *target = record_text(init, record, 0);
    const char *path = record_text(init, record, 1);
    CLEANUP_FD int parent = open_parent(init, record, path, leaf);

    if (symlinkat(target, parent, leaf) == 0)
        return;
    if (errno != EEXIST)
        fail_call(init, path, "symlinkat");
    ssize_t length = readlinkat(parent, leaf, there, sizeof there);
    if (length >= 0 && (size_t)length == strlen(target) && memcmp(there, target, (size_t)length) == 0)
        return;
    if (unlinkat(parent, leaf, 0) == 0 && symlinkat(target, parent, leaf) == 0)
        return;
    /* A directory of the image, say. It stays; the link is a convenience that the image has chosen to do without. */
    log_call(init, path, "symlinkat");
}

void op_file(struct init *init, const struct cl_record *record)
{
    char leaf[NAME_MAX + 1];
    struct stat status;
    const char *path = record_text(init, record, 0);
    CLEANUP_FD int parent = open_parent(init, record, path, leaf);
    CLEANUP_FD int made = openat(parent, leaf, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC,
                                 (mode_t)record->number[0] & 07777);

    if (made >= 0)
        return;
    if (errno != EEXIST)
        fail_call(init, path, "openat");
    if (fstatat(parent, leaf, &status, AT_SYMLINK_NOFOLLOW) < 0)
        fail_call(init, path, "fstatat");
    if (S_ISLNK(status.st_mode) || S_ISDIR(status.st_mode))
        fail(init, path, EEXIST, "a directory or link is in the place of the file");
}

void op_make_cwd(struct init *init, const struct cl_record *record)
{
    const char *path = record_text(init, record, 0);
    CLEANUP_FD int made = path_make_directory(init->root, path, 0755);
    if (made < 0)
        fail_call(init, path, "cannot make the working directory");
}

/* Standard streams on the host's /dev/null move to the container's, lest a descriptor into the host's /dev stays. */
void op_reopen_null(struct init *init, const struct cl_record *record)
{
    (void)record;
    int null_device = -1;
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (!fd_is_device(fd, 1, 3))
            continue;
        if (null_device < 0)
            null_device = path_open(init->root, "/dev/null", O_RDWR, 0);
        if (null_device < 0)
            fail_call(init, "/dev/null", "openat2");
        if (!fd_is_device(null_device, 1, 3))
            fail_rule(init, "/dev/null", "is not the null device");
        if (dup2(null_device, fd) < 0)
            fail_call(init, "/dev/null", "dup2");
    }
    drop_fd(&null_device);
}
