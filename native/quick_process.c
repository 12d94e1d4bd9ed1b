/*
 * quick_process.c: what the kernel says of a container's init and of its freezer. As in Python (kernel/procfs.py,
 * kernel/cgroup_events.py, container.py).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "quick.h"

/* The beginning of a file, as a string; the files of /proc and of cgroups come whole in one read. */
bool read_small(const char *path, char *into, size_t room)
{
    CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    const ssize_t size = read(fd, into, room - 1);
    if (size < 0)
        return false;
    into[size] = '\0';
    return true;
}

/* Fields 22 and 3 of /proc/PID/stat (proc(5)). False if there is no such process, and if that could not be told. */
bool start_time_of(uint64_t pid, uint64_t *start_time, char *state)
{
    char path[64], text[1024];

    snprintf(path, sizeof path, "/proc/%llu/stat", (unsigned long long)pid);
    if (!read_small(path, text, sizeof text))
        return false;
    /* The command, field 2, may hold blanks and brackets. */
    const char *at = strrchr(text, ')');
    if (!at || at[1] != ' ' || !at[2])
        return false;
    *state = at[2];
    for (int field = 2; field < 22; field++) {
        at = strchr(at + 1, ' ');
        if (!at)
            return false;
    }
    *start_time = strtoull(at + 1, NULL, 10);
    return true;
}

/* Whether the init is there, is the same process and no zombie. False if it cannot be told here. */
bool look_at_init(const struct summary *summary, bool *alive)
{
    char boot[64], wanted[sizeof boot + 2], state = 0;
    uint64_t start_time = 0;

    if (!read_small("/proc/sys/kernel/random/boot_id", boot, sizeof boot))
        return false;
    boot[strcspn(boot, "\n")] = '\0';
    snprintf(wanted, sizeof wanted, "\"%s\"", boot);
    if (!is_text(summary->boot_id, wanted))
        return false;
    errno = 0;
    if (!start_time_of(summary->pid, &start_time, &state)) {
        *alive = false;
        return errno == ENOENT || errno == ESRCH;
    }
    *alive = start_time == summary->start_time && start_time && state != 'Z' && state != 'X';
    return true;
}

/*
 * Whether the container's cgroup is frozen, or, in cgroup v1, on its way there (FREEZING), where a SIGKILL waits for the
 * thaw as well; one that is gone is not. False if it cannot be told here.
 */
bool is_frozen(const struct summary *summary, bool *frozen)
{
    struct span rest = summary->cgroup_paths, name, value, freezer = {0}, unified = {0};
    char path[4096], text[512];

    *frozen = false;
    if (!rest.length)
        return true;
    while (next_member(&rest, &name, &value))
        if (is_text(name, "\"freezer\""))
            freezer = value;
        else if (is_text(name, "\"\""))
            unified = value;
    const struct span directory = freezer.length ? freezer : unified;
    if (!directory.length)
        return rest.length == 1;
    if (rest.length != 1 || *directory.start != '"' || memchr(directory.start, '\\', directory.length))
        return false;
    const int size = snprintf(path, sizeof path, "%.*s/%s", (int)directory.length - 2, directory.start + 1,
                              freezer.length ? "freezer.state" : "cgroup.events");
    if (size < 0 || (size_t)size >= sizeof path)
        return false;
    if (!read_small(path, text, sizeof text))
        return errno == ENOENT || errno == ENOTDIR || errno == ENODEV;
    if (freezer.length)
        *frozen = strcmp(text, "THAWED\n") != 0;
    else
        for (const char *line = text; line; line = strchr(line, '\n')) {
            line += *line == '\n';
            *frozen = *frozen || strncmp(line, "frozen 1\n", 9) == 0;
        }
    return true;
}
