/*
 * quick_delete.c: `delete` of a container that has ended by itself or by kill, and of which nothing is left but
 * directories: those of its cgroup, whose manager leaves their removal to core (the feature "plain-directories"), and
 * its state directory. As in Python (deletion.py, teardown.py), with all that is looked at before the first effect. What
 * is refused on the way is Python's to finish: it starts from the journal, and takes what is gone for undone.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "quick.h"

/* v1 accounts the end of a process a moment after it is reaped, and its cgroup is busy until then. */
#define BUSY_TRIES 8
#define BUSY_NANOSECONDS 300000

static bool path_of(const struct effect *effect, char path[4096])
{
    const struct span text = effect->path;

    if (text.length < 3 || text.length - 2 >= 4096 || text.start[0] != '"' || text.start[1] != '/' ||
        memchr(text.start, '\\', text.length))
        return false;
    memcpy(path, text.start + 1, text.length - 2);
    path[text.length - 2] = '\0';
    return true;
}

/* Whether what is there is what was made: a stranger may have made another one of the same name. */
static bool is_ours(const struct effect *effect)
{
    char path[4096];
    struct stat found;

    return effect->done && path_of(effect, path) && lstat(path, &found) == 0 && S_ISDIR(found.st_mode) &&
           found.st_dev == effect->device && found.st_ino == effect->inode;
}

static bool is_dead(const struct process *process)
{
    uint64_t start_time;
    char state;

    errno = 0;
    if (!start_time_of(process->pid, &start_time, &state))
        return errno == ENOENT || errno == ESRCH;
    return start_time != process->start_time || state == 'Z' || state == 'X';
}

/* Whether the kernel says that no process is in the cgroup or below it; only cgroup v2 does. */
static bool is_empty(const struct summary *summary)
{
    struct span rest = summary->cgroup_paths, name, value;
    char path[4096 + 16], text[512];

    while (next_member(&rest, &name, &value))
        if (is_text(name, "\"\"") && path_of(&(struct effect){.path = value}, path)) {
            strcat(path, "/cgroup.events");
            return read_small(path, text, sizeof text) && strncmp(text, "populated 0\n", 12) == 0;
        }
    return false;
}

static bool can_be_deleted(const struct summary *summary)
{
    bool alive, frozen;

    if (summary->not_plain || summary->lifecycle_plugins || has_hooks(summary, "\"poststop\"") ||
        !(summary->namespaces & CLONE_NEWPID) || !look_at_init(summary, &alive) || alive ||
        !is_frozen(summary, &frozen) || frozen || !is_empty(summary))
        return false;
    for (size_t i = 0; i < summary->process_count; i++)
        if (!is_dead(&summary->processes[i]))
            return false;
    for (size_t i = 0; i < summary->effect_count; i++)
        if (!is_ours(&summary->effects[i]))
            return false;
    return summary->effect_count > 0;
}

static bool remove_effect(const struct effect *effect)
{
    const struct timespec pause = {.tv_nsec = BUSY_NANOSECONDS};
    char path[4096];

    if (!path_of(effect, path))
        return false;
    for (int i = 0; i < BUSY_TRIES; i++) {
        if (rmdir(path) == 0)
            return true;
        if (errno != EBUSY)
            return false;
        nanosleep(&pause, NULL);
    }
    return false;
}

static const char *const known[] = {"state.json", "holder", "start.fifo", "error.fifo"};

/* Whether the state directory holds nothing but the journal and files that every container has. */
static bool holds_only_known(int directory)
{
    CLEANUP_FD int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *entries = fd < 0 ? NULL : fdopendir(fd);
    bool only = entries;

    if (!entries)
        return false;
    steal_fd(&fd);
    for (const struct dirent *entry = readdir(entries); entry && only; entry = readdir(entries)) {
        only = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
               strcmp(entry->d_name, "journal") == 0;
        for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
            only = only || strcmp(entry->d_name, known[i]) == 0;
    }
    closedir(entries);
    return only;
}

bool quick_delete(const struct quick_call *call)
{
    struct summary summary;
    CLEANUP_FD int journal = lock_journal(call);

    if (!load_summary(journal, &summary) || !can_be_deleted(&summary) || !holds_only_known(call->directory))
        return false;
    if (!add_status(journal, "deleting"))
        return false;
    for (size_t i = summary.effect_count; i > 0; i--)
        if (!remove_effect(&summary.effects[i - 1]))
            return false;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (unlinkat(call->directory, known[i], 0) < 0 && errno != ENOENT)
            return false;
    /* The journal goes last: as long as there is a file, there is a journal that says what it is. */
    return unlinkat(call->directory, "journal", 0) == 0 && rmdir(call->path) == 0;
}
