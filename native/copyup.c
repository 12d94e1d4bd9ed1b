/*
 * copyup.c: the "tmpcopyup" mount option: what the image has in the target directory is copied into the tmpfs that
 * will cover it. Everything goes by directory descriptors and leaf names: nothing is followed, nothing crosses out.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include "cleanup.h"
#include "compat.h"
#include "init.h"

#define DEPTH_LIMIT 64
#define BLOCK 65536

/* getdents64(2), which the C library only offers together with malloc. */
struct entry {
    uint64_t inode;
    int64_t offset;
    unsigned short length;
    unsigned char type;
    char name[];
};

struct place {
    int from;
    int to;
    const char *name;
    const char *path; /* the mount target, for errors */
};

static void copy_bytes(struct init *init, int from, int to, const char *path)
{
    static char block[BLOCK];
    ssize_t got;
    while ((got = read(from, block, sizeof block)) > 0) {
        for (ssize_t done = 0; done < got;) {
            ssize_t written = write(to, block + done, (size_t)(got - done));
            if (written < 0)
                fail_call(init, path, "write of a copied file");
            done += written;
        }
    }
    if (got < 0)
        fail_call(init, path, "read of a file to copy");
}

static void copy_file(struct init *init, const struct place *place, mode_t mode)
{
    CLEANUP_FD int from = path_reopen(place->from, place->name, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    CLEANUP_FD int to = openat(place->to, place->name, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, mode);
    if (from < 0 || to < 0)
        fail_call(init, place->path, "open of a file to copy");
    copy_bytes(init, from, to, place->path);
}

static void copy_link(struct init *init, const struct place *place)
{
    char target[PATH_MAX];
    ssize_t length = readlinkat(place->from, place->name, target, sizeof target - 1);
    if (length < 0)
        fail_call(init, place->path, "readlinkat");
    target[length] = '\0';
    if (symlinkat(target, place->to, place->name) < 0)
        fail_call(init, place->path, "symlinkat");
}

static void copy_directory(struct init *init, int from, int to, const char *path, int depth);

static void copy_subdirectory(struct init *init, const struct place *place, mode_t mode, int depth)
{
    if (depth >= DEPTH_LIMIT)
        fail_rule(init, place->path, "the directory to copy is too deep");
    if (mkdirat(place->to, place->name, mode) < 0)
        fail_call(init, place->path, "mkdirat");
    CLEANUP_FD int from = path_reopen(place->from, place->name, O_RDONLY | O_DIRECTORY);
    CLEANUP_FD int to = path_reopen(place->to, place->name, O_PATH | O_DIRECTORY);
    if (from < 0 || to < 0)
        fail_call(init, place->path, "open of a directory to copy");
    copy_directory(init, from, to, place->path, depth + 1);
}

static void copy_entry(struct init *init, const struct place *place, int depth)
{
    struct stat status;
    if (fstatat(place->from, place->name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        fail_call(init, place->path, "fstatat");
    mode_t mode = status.st_mode & 07777;
    if (S_ISDIR(status.st_mode))
        copy_subdirectory(init, place, mode, depth);
    else if (S_ISREG(status.st_mode))
        copy_file(init, place, mode);
    else if (S_ISLNK(status.st_mode))
        copy_link(init, place);
    else if (mknodat(place->to, place->name, status.st_mode, status.st_rdev) < 0)
        fail_call(init, place->path, "mknodat");
    if (fchownat(place->to, place->name, status.st_uid, status.st_gid, AT_SYMLINK_NOFOLLOW) < 0)
        fail_call(init, place->path, "fchownat");
    /* A change of owner takes set-user-id away. */
    if (!S_ISLNK(status.st_mode) && (mode & (S_ISUID | S_ISGID)) && fchmodat(place->to, place->name, mode, 0) < 0)
        fail_call(init, place->path, "fchmodat");
}

static bool is_dot(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static void copy_directory(struct init *init, int from, int to, const char *path, int depth)
{
    char buffer[2048] __attribute__((aligned(8)));
    long got;
    while ((got = syscall(SYS_getdents64, from, buffer, sizeof buffer)) > 0) {
        for (long at = 0; at < got;) {
            const struct entry *entry = (const struct entry *)(const void *)(buffer + at);
            struct place place = {.from = from, .to = to, .name = entry->name, .path = path};
            if (!is_dot(entry->name))
                copy_entry(init, &place, depth);
            at += entry->length;
        }
    }
    if (got < 0)
        fail_call(init, path, "getdents64");
}

void copy_up(struct init *init, int from, int to, const char *path)
{
    CLEANUP_FD int directory = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0)
        fail_call(init, path, "open of the directory to copy");
    copy_directory(init, directory, to, path, 0);
}
