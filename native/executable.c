/*
 * executable.c: which file args[0] names, decided while an answer can still reach `create`. The rules are those of
 * Go's exec.LookPath and the words are runc's: docker and podman read exit codes 126 and 127 out of them.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "compat.h"
#include "init.h"

static _Noreturn void refuse(struct init *init, const char *name, const char *reason, const char *file,
                             int error_number)
{
    char buffer[CL_ERROR_TEXT];
    struct text text = text_in(buffer, sizeof buffer);
    text_add(&text, "exec: \"");
    text_add(&text, name);
    text_add(&text, "\"");
    text_add(&text, reason);
    text_add(&text, file);
    fail(init, name, error_number, buffer);
}

/* 0 or errno. A directory is EACCES here: runc says "permission denied" for it. */
static int can_execute(const char *path, bool *missing)
{
    struct stat status;
    *missing = stat(path, &status) < 0;
    if (*missing)
        return errno;
    if (S_ISDIR(status.st_mode) || !(status.st_mode & 0111))
        return EACCES;
    /* With the ids and capabilities that the payload will have; noexec mounts count, too. */
    if (syscall(CL_NR_faccessat2, AT_FDCWD, path, X_OK, CL_AT_EACCESS) < 0 && errno != ENOSYS && errno != EPERM)
        return errno;
    return 0;
}

/* One directory of $PATH, which ends at `end`; an empty one is the working directory. */
static bool try_directory(struct init *init, const char *directory, const char *end, const char *name)
{
    size_t length = (size_t)(end - directory);
    size_t name_length = strlen(name);
    bool missing;
    if (length + name_length + 3 > sizeof init->executable)
        return false;
    struct text text = text_in(init->executable, sizeof init->executable);
    if (length == 0)
        text_add(&text, ".");
    memcpy(init->executable + text.length, directory, length);
    text.length += length;
    init->executable[text.length] = '\0';
    if (text.start[text.length - 1] != '/')
        text_add(&text, "/");
    text_add(&text, name);
    return can_execute(init->executable, &missing) == 0;
}

/* An empty $PATH has no directories; an empty part of one is a directory, the last part, too. */
static bool search(struct init *init, const char *name, const char *path)
{
    bool more = *path;
    while (more) {
        const char *end = strchrnul(path, ':');
        if (try_directory(init, path, end, name)) {
            if (init->executable[0] != '/')
                refuse(init, name, ": cannot run executable found relative to current directory", "", 0);
            return true;
        }
        more = *end;
        path = end + 1;
    }
    return false;
}

void op_find_executable(struct init *init, const struct cl_record *record)
{
    const char *name = record_text(init, record, 0);
    bool missing;

    if (strchr(name, '/')) {
        int error_number = can_execute(name, &missing);
        if (error_number)
            refuse(init, name, missing ? ": stat " : "", missing ? name : "", error_number);
        struct text text = text_in(init->executable, sizeof init->executable);
        text_add(&text, name);
    } else if (!*name || !search(init, name, record_text(init, record, 1))) {
        refuse(init, name, ": executable file not found in $PATH", "", 0);
    }
}
