/*
 * front.c: the installed command `corelaunch`. It finds the environment that it is installed in from its own path,
 * and becomes that environment's interpreter, isolated, running corelaunch/__main__.py.
 *
 * A script cannot do this: pip rewrites the interpreter line of scripts and drops its options, and without -I and -S
 * whoever sets PYTHONPATH, a user site, a .pth file or the working directory runs code as root.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "quick.h"

#define NEWEST_MINOR 60 /* of the Python 3.x that are looked for, newest first */
#define OLDEST_MINOR 11
#define OWN_ARGUMENTS 10 /* python -I -S -X utf8 -X called_as=NAME -X last_words=FD main */

struct launch {
    char interpreter[PATH_MAX];
    char main[PATH_MAX];
    char called_as[PATH_MAX]; /* "called_as=" and our basename: engines find the name they know in the help text */
    char last_words[32];      /* "last_words=" and what quick_start() leaves to be heard */
};

static _Noreturn void fail(const char *format, ...)
{
    char line[2 * PATH_MAX];
    va_list arguments;

    va_start(arguments, format);
    const int size = vsnprintf(line, sizeof line - 1, format, arguments);
    va_end(arguments);
    if (size > 0) {
        const size_t length = (size_t)size < sizeof line - 1 ? (size_t)size : sizeof line - 2;
        line[length] = '\n';
        if (write(STDERR_FILENO, line, length + 1) < 0)
            _exit(2);
    }
    _exit(1);
}

/* The path made of the parts, if something is there that can be used so (access(2)); else `into` is empty. */
__attribute__((format(printf, 3, 4))) static bool exists(char into[PATH_MAX], int how, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    const int size = vsnprintf(into, PATH_MAX, format, arguments);
    va_end(arguments);
    if (size > 0 && size < PATH_MAX && access(into, how) == 0)
        return true;
    into[0] = '\0';
    return false;
}

static void own_directory(char directory[PATH_MAX])
{
    const ssize_t size = readlink("/proc/self/exe", directory, PATH_MAX - 1);

    if (size < 0)
        fail("corelaunch: cannot start: /proc/self/exe: %s", strerror(errno));
    directory[size] = '\0';
    char *slash = strrchr(directory, '/');
    if (!slash || slash == directory)
        fail("corelaunch: cannot start: %s is not in the bin directory of a Python environment", directory);
    *slash = '\0';
}

static bool find_interpreter(struct launch *launch, const char *bin, int minor)
{
    /* Debian's pip installs for /usr/bin/python3 below /usr/local. */
    const char *directories[] = {bin, strcmp(bin, "/usr/local/bin") == 0 ? "/usr/bin" : NULL};

    for (size_t i = 0; i < sizeof directories / sizeof directories[0] && directories[i]; i++)
        if ((minor && exists(launch->interpreter, X_OK, "%s/python3.%d", directories[i], minor)) ||
            exists(launch->interpreter, X_OK, "%s/python3", directories[i]))
            return true;
    return false;
}

static const char *const libraries[] = {"lib", "lib64"};

/* Which python3.N directories there are: one look into each library directory, not one for every N. */
static void list_minors(const char *prefix, bool minors[NEWEST_MINOR + 1])
{
    for (size_t i = 0; i < sizeof libraries / sizeof libraries[0]; i++) {
        char path[PATH_MAX];
        if (!exists(path, R_OK | X_OK, "%s/%s", prefix, libraries[i]))
            continue;
        DIR *directory = opendir(path);
        if (!directory)
            continue;
        for (const struct dirent *entry = readdir(directory); entry; entry = readdir(directory)) {
            static const char start[] = "python3.";
            char *end;
            if (strncmp(entry->d_name, start, sizeof start - 1) != 0)
                continue;
            const long minor = strtol(entry->d_name + sizeof start - 1, &end, 10);
            if (!*end && minor >= OLDEST_MINOR && minor <= NEWEST_MINOR)
                minors[minor] = true;
        }
        closedir(directory);
    }
}

/* The package's own main module; or what the build made of it for this very Python, which is started faster. */
static bool find_main(struct launch *launch, const char *package, int minor)
{
    return exists(launch->main, R_OK, "%s/_libexec/boot.cpython-3%d.pyc", package, minor) ||
           exists(launch->main, R_OK, "%s/__main__.py", package);
}

static bool find_package(struct launch *launch, const char *prefix, int minor)
{
    static const char *const packages[] = {"site-packages", "dist-packages"};
    char package[PATH_MAX];

    for (int i = 0; i < 4; i++)
        if (exists(package, R_OK, "%s/%s/python3.%d/%s/corelaunch", prefix, libraries[i % 2], minor, packages[i / 2]))
            return find_main(launch, package, minor);
    return false;
}

static void find(struct launch *launch)
{
    char bin[PATH_MAX];
    char prefix[PATH_MAX];

    own_directory(bin);
    snprintf(prefix, sizeof prefix, "%s", bin);
    *strrchr(prefix, '/') = '\0';
    bool minors[NEWEST_MINOR + 1] = {false};
    list_minors(prefix, minors);
    for (int minor = NEWEST_MINOR; minor >= OLDEST_MINOR; minor--)
        if (minors[minor] && find_package(launch, prefix, minor)) {
            if (find_interpreter(launch, bin, minor))
                return;
            fail("corelaunch: cannot start: %s/python3: no such interpreter", bin);
        }
    /* The Debian package: one directory for every Python 3 of the system. */
    if (strcmp(prefix, "/usr") == 0 &&
        exists(launch->main, R_OK, "/usr/lib/python3/dist-packages/corelaunch/__main__.py") &&
        find_interpreter(launch, bin, 0))
        return;
    fail("corelaunch: cannot start: no package corelaunch below %s/lib/python3.*", prefix);
}

/* Variables that change how the interpreter is loaded or what it executes; nothing of ours reads them. */
static bool is_dangerous(const char *entry)
{
    static const char *const names[] = {"LD_", "PYTHON", "GCONV_PATH=", "LOCPATH=", "MALLOC_", "GLIBC_TUNABLES="};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strncmp(entry, names[i], strlen(names[i])) == 0)
            return true;
    return false;
}

static void clean_environment(char **environment)
{
    char **kept = environment;

    for (char **entry = environment; *entry; entry++)
        if (!is_dangerous(*entry))
            *kept++ = *entry;
    *kept = NULL;
}

int main(int argc, char **argv)
{
    struct launch launch;
    int last_words;

    if (quick_answer(argc, argv, &last_words))
        return 0;
    char **arguments = calloc((size_t)argc + OWN_ARGUMENTS + 1, sizeof *arguments);

    if (!arguments)
        fail("corelaunch: cannot start: %s", strerror(errno));
    find(&launch);
    clean_environment(environ);
    const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
    const char *name = slash ? slash + 1 : argc > 0 ? argv[0] : "corelaunch";
    snprintf(launch.called_as, sizeof launch.called_as, "called_as=%s", name);
    snprintf(launch.last_words, sizeof launch.last_words, "last_words=%d", last_words);
    char *own[OWN_ARGUMENTS] = {launch.interpreter, "-I", "-S", "-X", "utf8", "-X", launch.called_as};
    int count = 7;
    if (last_words >= 0) {
        own[count++] = "-X";
        own[count++] = launch.last_words;
    }
    own[count++] = launch.main;
    memcpy(arguments, own, (size_t)count * sizeof *own);
    for (int i = 1; i < argc; i++)
        arguments[count + i - 1] = argv[i];
    execve(launch.interpreter, arguments, environ);
    fail("corelaunch: cannot start: %s: %s", launch.interpreter, strerror(errno));
}
