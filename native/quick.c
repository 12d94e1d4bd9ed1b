/*
 * quick.c: which command lines have a quick answer: those of engines, and the plain ones of people. Options that it
 * does not know are Python's, so an option that is added there need not be added here.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "quick.h"

#define DEFAULT_ROOT "/run/corelaunch"
#define ID_LIMIT (255 - 32) /* corelaunch/state/root.py */

struct settings {
    const char *root;
    const char *log;
    const char *log_format;
};

/* A global option of engines, "--name value", "--name=value" or with one dash; 0: it is another one. Else its words. */
static int take_option(char **words, struct settings *settings)
{
    const struct {
        const char *name;
        const char **into;
    } options[] = {{"root", &settings->root}, {"log", &settings->log}, {"log-format", &settings->log_format}};
    const char *name = words[0] + (words[0][1] == '-' ? 2 : 1);
    const size_t length = strcspn(name, "=");

    /* It chooses who makes a cgroup; nothing here makes one. */
    if (strcmp(name, "systemd-cgroup") == 0)
        return 1;
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        if (strlen(options[i].name) != length || strncmp(options[i].name, name, length) != 0)
            continue;
        if (name[length]) {
            *options[i].into = name + length + 1;
            return 1;
        }
        *options[i].into = words[1];
        return words[1] ? 2 : 0;
    }
    return 0;
}

static bool is_id(const char *word)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-.";
    const size_t length = strlen(word);

    return length && length <= ID_LIMIT && word[0] != '-' && strcmp(word, ".") != 0 && strcmp(word, "..") != 0 &&
           strspn(word, letters) == length;
}

/* NULL where the user's runtime directory may be meant (corelaunch/state/root.py). */
static const char *root_of(const struct settings *settings)
{
    const char *runtime_dir = getenv("XDG_RUNTIME_DIR"), *user = getenv("USER");

    if (settings->root && *settings->root)
        return settings->root;
    return runtime_dir && *runtime_dir && !(user && strcmp(user, "root") == 0) ? NULL : DEFAULT_ROOT;
}

/* Python makes "a/../b" be "b", the kernel follows a link "a": leave such a path to it. */
static bool is_plain_path(const char *path)
{
    return strcmp(path, "/") != 0 && strstr(path, "..") == NULL;
}

/* As corelaunch/log.py: the log is made, and an error if it cannot be, before anything is done. */
static bool can_log(const struct settings *settings)
{
    if (settings->log_format && strcmp(settings->log_format, "json") != 0 && strcmp(settings->log_format, "text") != 0)
        return false;
    if (!settings->log || !*settings->log)
        return true;
    CLEANUP_FD int fd = open(settings->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0644);
    return fd >= 0;
}

static int open_directory(char path[PATH_MAX], const char *root, const char *id)
{
    const int size = snprintf(path, PATH_MAX, "%s/%s", root, id);

    if (size < 0 || size >= PATH_MAX)
        return -1;
    return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

static bool standard_streams_are_open(void)
{
    for (int fd = 0; fd < 3; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            return false;
    return true;
}

static bool answer(const char *verb, struct quick_call *call)
{
    if (strcmp(verb, "state") == 0)
        return quick_state(call);
    if (strcmp(verb, "kill") == 0)
        return quick_kill(call);
    if (strcmp(verb, "start") == 0)
        return quick_start(call);
    return strcmp(verb, "delete") == 0 && quick_delete(call);
}

/* Takes the id, and of kill the signal; of delete --force, which is no more than delete when nobody lives. */
static bool take_arguments(struct quick_call *call, const char *verb, char **words)
{
    if (strcmp(verb, "delete") == 0 && *words && (strcmp(*words, "--force") == 0 || strcmp(*words, "-f") == 0))
        words++;
    if (!*words || !is_id(*words))
        return false;
    call->id = *words++;
    if (*words && strcmp(verb, "kill") == 0 && **words != '-')
        call->signal = *words++;
    return !*words;
}

bool quick_answer(int argc, char **argv, int *last_words)
{
    struct settings settings = {0};
    struct quick_call call = {.last_words = -1};
    char path[PATH_MAX];
    int at = 1;

    *last_words = -1;
    while (at < argc && argv[at][0] == '-') {
        const int words = take_option(argv + at, &settings);
        if (!words)
            return false;
        at += words;
    }
    if (at >= argc || geteuid() != 0 || !take_arguments(&call, argv[at], argv + at + 1))
        return false;
    const char *root = root_of(&settings);
    if (!root || !is_plain_path(root) || !standard_streams_are_open() || !can_log(&settings))
        return false;
    CLEANUP_FD int directory = open_directory(path, root, call.id);
    if (directory < 0)
        return false;
    call.path = path;
    call.directory = directory;
    /* A closed pipe is an error to report, as in Python, and not the end of us. */
    signal(SIGPIPE, SIG_IGN);
    const bool done = answer(argv[at], &call);
    *last_words = call.last_words;
    return done;
}
