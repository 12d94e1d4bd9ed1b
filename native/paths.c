/*
 * paths.c: from a path in the container to a descriptor, once and for all. The image and, through shared volumes,
 * other containers may change the tree under us, so the kernel resolves the whole path inside the root
 * (RESOLVE_IN_ROOT), and what is made is made one component at a time, by descriptor (CVE-2021-30465, CVE-2024-45310).
 *
 * Everything here returns -1 with errno; the caller knows what the path was for.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "compat.h"
#include "init.h"

#define RETRY_SECONDS 2
#define LINK_LIMIT 40

static int64_t seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

/*
 * openat2 says EAGAIN when something was renamed or mounted anywhere while it went through a "..": it cannot tell
 * whether it was led out. Under a rename attack that is frequent, so time bounds the attempts, not their number.
 */
int path_open(int root, const char *path, int flags, uint64_t resolve)
{
    struct cl_open_how how = {.flags = (uint64_t)(flags | O_CLOEXEC),
                              .resolve = CL_RESOLVE_IN_ROOT | CL_RESOLVE_NO_MAGICLINKS | resolve};
    int64_t deadline = seconds_now() + RETRY_SECONDS;
    for (;;) {
        int fd = sys_openat2(root, path, &how);
        if (fd >= 0 || (errno != EAGAIN && errno != EINTR))
            return fd;
        if (seconds_now() > deadline)
            return -1;
        sched_yield();
    }
}

/* Opens what `leaf` names in the directory `fd`, never through a link. */
int path_reopen(int fd, const char *leaf, int flags)
{
    struct cl_open_how how = {.flags = (uint64_t)(flags | O_CLOEXEC | O_NOFOLLOW),
                              .resolve = CL_RESOLVE_BENEATH | CL_RESOLVE_NO_SYMLINKS | CL_RESOLVE_NO_MAGICLINKS};
    return sys_openat2(fd, leaf, &how);
}

/* Cuts the last component off `path`, in place; returns it, or NULL if there is none that can be made. */
static char *cut_leaf(char *path)
{
    size_t length = strlen(path);
    /* "a/", "a/." and "a" are the same directory. */
    while (length > 1 && (path[length - 1] == '/' || (path[length - 1] == '.' && path[length - 2] == '/')))
        path[--length] = '\0';
    char *slash = strrchr(path, '/');
    char *leaf = slash ? slash + 1 : path;
    if (!*leaf || strcmp(leaf, ".") == 0 || strcmp(leaf, "..") == 0 || strlen(leaf) > NAME_MAX)
        return NULL;
    return leaf;
}

/* `path` without its leaf: "/" and "" both stand for the root. */
static const char *parent_of(char *path, char *leaf)
{
    if (leaf == path)
        return ".";
    leaf[-1] = '\0';
    return *path ? path : "/";
}

/*
 * A link whose target is missing stands where a directory is to be made (/var/run -> /run in an image without /run).
 * What it says takes its place in the path, and the kernel resolves the result inside the root again.
 */
static int follow_dangling(int parent, const char *parent_path, const char *leaf, char *path)
{
    char target[PATH_MAX];
    ssize_t length = readlinkat(parent, leaf, target, sizeof target - 1);
    if (length < 0)
        return -1;
    target[length] = '\0';
    char joined[PATH_MAX];
    struct text text = text_in(joined, sizeof joined);
    if (target[0] != '/') {
        text_add(&text, parent_path);
        text_add(&text, "/");
    }
    text_add(&text, target);
    if (text.length + 1 >= sizeof joined) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(path, joined, text.length + 1);
    return 0;
}

static int make_directory(int root, const char *path, mode_t mode, int links);

/* Makes `leaf` in `parent` and opens it; a dangling link is followed by its text. */
static int make_component(int root, int parent, const char *parent_path, const char *leaf, mode_t mode, int links)
{
    if (mkdirat(parent, leaf, mode) < 0 && errno != EEXIST)
        return -1;
    int fd = path_reopen(parent, leaf, O_PATH | O_DIRECTORY);
    if (fd >= 0 || (errno != ELOOP && errno != ENOTDIR) || links >= LINK_LIMIT)
        return fd;
    char target[PATH_MAX];
    int saved = errno;
    if (follow_dangling(parent, parent_path, leaf, target) < 0) {
        errno = saved;
        return -1;
    }
    return make_directory(root, target, mode, links + 1);
}

/* Recursion is as deep as the path has missing components, and PATH_MAX bounds those; links are counted. */
static int make_directory(int root, const char *path, mode_t mode, int links)
{
    int fd = path_open(root, path, O_PATH | O_DIRECTORY, 0);
    if (fd >= 0 || errno != ENOENT)
        return fd;
    char copy[PATH_MAX];
    struct text text = text_in(copy, sizeof copy);
    text_add(&text, path);
    char *leaf = cut_leaf(copy);
    if (!leaf) {
        errno = ENOENT;
        return -1;
    }
    const char *parent_path = parent_of(copy, leaf);
    CLEANUP_FD int parent = make_directory(root, parent_path, mode, links);
    if (parent < 0)
        return -1;
    return make_component(root, parent, parent_path, leaf, mode, links);
}

/* The directory at `path`, made with its parents if it is missing (mkdir -p); O_PATH. */
int path_make_directory(int root, const char *path, mode_t mode)
{
    return make_directory(root, path, mode, 0);
}

/* The directory in which the last component of `path` is, made if it is missing; that component goes to `leaf`. */
int path_make_parent(int root, const char *path, char leaf[NAME_MAX + 1])
{
    char copy[PATH_MAX];
    struct text text = text_in(copy, sizeof copy);
    text_add(&text, path);
    char *last = cut_leaf(copy);
    if (!last) {
        errno = EINVAL;
        return -1;
    }
    memcpy(leaf, last, strlen(last) + 1);
    return make_directory(root, parent_of(copy, last), 0755, 0);
}

/* The file at `path`, whatever its kind but no directory; an empty regular one is made if it is missing; O_PATH. */
int path_make_file(int root, const char *path, mode_t mode)
{
    char leaf[NAME_MAX + 1];
    int fd = path_open(root, path, O_PATH, 0);
    if (fd >= 0 || errno != ENOENT)
        return fd;
    CLEANUP_FD int parent = path_make_parent(root, path, leaf);
    if (parent < 0)
        return -1;
    CLEANUP_FD int made = openat(parent, leaf, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, mode);
    if (made < 0 && errno != EEXIST)
        return -1;
    return path_reopen(parent, leaf, O_PATH);
}

bool fd_is_on(int fd, long filesystem_magic)
{
    struct statfs status;
    return fstatfs(fd, &status) == 0 && (long)status.f_type == filesystem_magic;
}

/* Whether the descriptor is exactly this character device: a name in the container proves nothing. */
bool fd_is_device(int fd, unsigned major_number, unsigned minor_number)
{
    struct stat status;
    return fstat(fd, &status) == 0 && S_ISCHR(status.st_mode) && major(status.st_rdev) == major_number &&
           minor(status.st_rdev) == minor_number;
}
