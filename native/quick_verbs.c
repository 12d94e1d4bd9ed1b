/*
 * quick_verbs.c: `state`, `kill` and `start`, for containers of which nothing unusual is to be said. The order of
 * what `start` does, and what it writes, are those of corelaunch/starting.py: it is killed at each step by tests/faults.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"
#include "quick.h"

#define JOURNAL_LIMIT (1 << 20) /* many execs: leave it to Python */
#define NR_pidfd_send_signal 424 /* 5.1 */
#define NR_pidfd_open 434        /* 5.3 */
#define LAST_SIGNAL 64
#define START_SEEN 'S'      /* CL_START_SEEN of protocol.h */
#define RECORD_ROOM 128   /* more than the frame of a status */
#define EXECUTE_MS 1000     /* from the byte on the start FIFO to execve; Python waits longer */
#define ANSWER_ROOM (4 * JOURNAL_LIMIT) /* more than twice a journal: an annotation gets some blanks */

/* Reads and sums up an open journal; the text must live as long as the summary (so until the end of the process). */
bool load_summary(int journal, struct summary *summary)
{
    struct stat status;

    if (journal < 0 || fstat(journal, &status) < 0 || status.st_size <= 0 || status.st_size > JOURNAL_LIMIT)
        return false;
    char *text = malloc((size_t)status.st_size);
    return text && pread(journal, text, (size_t)status.st_size, 0) == status.st_size &&
           summarize(text, (size_t)status.st_size, summary);
}

static bool load_of(const struct quick_call *call, struct summary *summary)
{
    CLEANUP_FD int journal = openat(call->directory, "journal", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    return load_summary(journal, summary);
}

struct answer {
    char *text;
    size_t room;
    size_t length;
};

__attribute__((format(printf, 2, 3))) static void add(struct answer *answer, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    const int size = vsnprintf(answer->text + answer->length, answer->room - answer->length, format, arguments);
    va_end(arguments);
    if (size > 0)
        answer->length += (size_t)size;
    if (answer->length >= answer->room)
        abort(); /* cannot be: a journal is at most JOURNAL_LIMIT */
}

/* JSON in the journal is JSON in the answer: both are written by the same encoder (corelaunch/jsontext.py). */
static void add_span(struct answer *answer, const char *before, struct span value)
{
    add(answer, "%s%.*s", before, (int)value.length, value.start);
}

static bool add_annotations(struct answer *answer, struct span annotations)
{
    struct span name, value;
    const char *before = ",\n  \"annotations\": {\n    ";

    if (is_text(annotations, "{}"))
        return true;
    while (next_member(&annotations, &name, &value)) {
        if (*value.start != '"')
            return false;
        add_span(answer, before, name);
        add_span(answer, ": ", value);
        before = ",\n    ";
    }
    add(answer, "\n  }");
    return annotations.length == 1;
}

static bool print(const char *text, size_t length)
{
    struct pollfd reader = {.fd = STDOUT_FILENO, .events = POLLOUT};

    while (length) {
        const ssize_t written = write(STDOUT_FILENO, text, length);
        /* A caller's non-blocking pipe that is full. Half of an answer is out: Python would begin it anew. */
        if (written < 0 && errno == EAGAIN && poll(&reader, 1, -1) == 1)
            continue;
        if (written < 0)
            return false;
        text += written;
        length -= (size_t)written;
    }
    return true;
}

/* A terminal acts upon more than JSON must escape (C1 controls, U+202E): what to do about that is left to Python. Any
 * character device may be one; isatty(3) would cost the front a page. */
static bool is_unfit_for_terminal(const struct answer *answer)
{
    struct stat out;

    if (fstat(STDOUT_FILENO, &out) < 0 || !S_ISCHR(out.st_mode))
        return false;
    for (size_t i = 0; i < answer->length; i++)
        if ((unsigned char)answer->text[i] >= 0x7f)
            return true;
    return false;
}

bool quick_state(const struct quick_call *call)
{
    struct summary summary;
    struct answer answer = {.room = ANSWER_ROOM};
    bool alive, frozen = false;

    if (!load_of(call, &summary) || !look_at_init(&summary, &alive) || (alive && !is_frozen(&summary, &frozen)) || frozen)
        return false;
    answer.text = malloc(answer.room);
    if (!answer.text)
        return false;
    add_span(&answer, "{\n  \"ociVersion\": ", summary.oci_version);
    add(&answer, ",\n  \"id\": \"%s\",\n  \"pid\": %llu", call->id, alive ? (unsigned long long)summary.pid : 0);
    add(&answer, ",\n  \"status\": \"%s\"", !alive ? "stopped" : summary.is_started ? "running" : "created");
    add_span(&answer, ",\n  \"bundle\": ", summary.bundle);
    add_span(&answer, ",\n  \"rootfs\": ", summary.rootfs);
    add_span(&answer, ",\n  \"created\": ", summary.created);
    if (!add_annotations(&answer, summary.annotations))
        return false;
    add(&answer, ",\n  \"owner\": \"\"\n}");
    return !is_unfit_for_terminal(&answer) && print(answer.text, answer.length);
}

/* As corelaunch/cli/signals.py; -1 for what is left to it (which has real-time signals, and errors). */
static int signal_of(const char *text)
{
    static const struct {
        const char *name;
        int number;
    } names[] = {
        {"HUP", SIGHUP},   {"INT", SIGINT},   {"QUIT", SIGQUIT},     {"ILL", SIGILL},   {"TRAP", SIGTRAP},
        {"ABRT", SIGABRT}, {"BUS", SIGBUS},   {"FPE", SIGFPE},       {"KILL", SIGKILL}, {"USR1", SIGUSR1},
        {"SEGV", SIGSEGV}, {"USR2", SIGUSR2}, {"PIPE", SIGPIPE},     {"ALRM", SIGALRM}, {"TERM", SIGTERM},
        {"CHLD", SIGCHLD}, {"CONT", SIGCONT}, {"STOP", SIGSTOP},     {"TSTP", SIGTSTP}, {"TTIN", SIGTTIN},
        {"TTOU", SIGTTOU}, {"URG", SIGURG},   {"XCPU", SIGXCPU},     {"XFSZ", SIGXFSZ}, {"VTALRM", SIGVTALRM},
        {"PROF", SIGPROF}, {"IO", SIGIO},     {"WINCH", SIGWINCH},   {"PWR", SIGPWR},   {"SYS", SIGSYS},
    };
    const size_t length = strlen(text);

    if (length && length < 4 && strspn(text, "0123456789") == length) {
        const int number = atoi(text);
        return number <= LAST_SIGNAL ? number : -1;
    }
    const char *name = strncasecmp(text, "SIG", 3) == 0 ? text + 3 : text;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcasecmp(name, names[i].name) == 0)
            return names[i].number;
    return -1;
}

bool quick_kill(const struct quick_call *call)
{
    const int number = call->signal ? signal_of(call->signal) : SIGTERM;
    struct summary summary;
    bool alive, frozen;
    uint64_t start_time;
    char state;

    if (number < 0 || !load_of(call, &summary) || !look_at_init(&summary, &alive) || !alive)
        return false;
    /* A shared pid namespace must be killed as a cgroup; a frozen v1 cgroup must be thawed to die. */
    if (!(summary.namespaces & CLONE_NEWPID) || !is_frozen(&summary, &frozen) || frozen)
        return false;
    CLEANUP_FD int pidfd = (int)syscall(NR_pidfd_open, (pid_t)summary.pid, 0);
    /* After the open: from then on the pidfd cannot change hands. */
    if (pidfd < 0 || !start_time_of(summary.pid, &start_time, &state) || start_time != summary.start_time)
        return false;
    if (syscall(NR_pidfd_send_signal, pidfd, number, NULL, 0) < 0)
        return false;
    /* Frozen meanwhile: Python sends it again, and thaws. */
    return number != SIGKILL || (is_frozen(&summary, &frozen) && !frozen);
}

/* Who holds the lock (corelaunch/state/lock.py); the lock itself is the flock. */
static bool write_holder(const struct quick_call *call)
{
    char text[64], state;
    uint64_t start_time;

    if (!start_time_of((uint64_t)getpid(), &start_time, &state))
        return false;
    const int size = snprintf(text, sizeof text, "%d %llu", getpid(), (unsigned long long)start_time);
    const int flags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW;
    CLEANUP_FD int fd = openat(call->directory, "holder", flags, 0600);
    return fd >= 0 && write(fd, text, (size_t)size) == size;
}

bool has_hooks(const struct summary *summary, const char *moment)
{
    struct span rest = summary->hooks, name, value;

    while (next_member(&rest, &name, &value))
        if (is_text(name, moment))
            return true;
    return !is_at_end(rest);
}

/* The open journal, locked for us alone; -1 if somebody else has it, and when it was deleted meanwhile. */
int lock_journal(const struct quick_call *call)
{
    struct stat status;
    CLEANUP_FD int journal = openat(call->directory, "journal", O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW);

    if (journal < 0 || flock(journal, LOCK_EX | LOCK_NB) < 0 || !write_holder(call))
        return -1;
    return fstat(journal, &status) == 0 && status.st_nlink ? steal_fd(&journal) : -1;
}

bool add_status(int journal, const char *status)
{
    char record[64], frame[sizeof record + 16];
    const int length = snprintf(record, sizeof record, "{\"record\":\"status\",\"status\":\"%s\"}", status);
    const uint32_t size = journal_frame(record, (size_t)length, frame, sizeof frame);

    return write(journal, frame, size) == (ssize_t)size;
}

/*
 * Whether the init said that it saw the start, nothing else, and executed its program: only then is nothing left to
 * hear. What it said stays in the FIFO.
 */
static bool has_executed(int errors)
{
    struct pollfd end = {.fd = errors};
    int waiting = 0, look[2];
    char byte;

    if (poll(&end, 1, EXECUTE_MS) != 1 || !(end.revents & POLLHUP) || ioctl(errors, FIONREAD, &waiting) < 0)
        return false;
    if (waiting != 1 || pipe2(look, O_CLOEXEC) < 0)
        return false;
    return tee(errors, look[1], 1, SPLICE_F_NONBLOCK) == 1 && read(look[0], &byte, 1) == 1 && byte == START_SEEN;
}

/* Whether there is room for the record, so far as the filesystem tells; else it is Python's to say so. */
static bool has_room(int journal)
{
    struct stat status;

    if (fstat(journal, &status) < 0)
        return false;
    return fallocate(journal, FALLOC_FL_KEEP_SIZE, status.st_size, RECORD_ROOM) == 0 || errno != ENOSPC;
}

bool quick_start(struct quick_call *call)
{
    struct summary summary;
    bool alive, frozen;
    CLEANUP_FD int journal = getenv("NOTIFY_SOCKET") ? -1 : lock_journal(call);

    if (!load_summary(journal, &summary) || !summary.is_created || summary.lifecycle_plugins ||
        has_hooks(&summary, "\"poststart\""))
        return false;
    if (!look_at_init(&summary, &alive) || !alive || !is_frozen(&summary, &frozen) || frozen)
        return false;
    /* Both before the byte is written: the init may execute, and so close its ends, at once. */
    CLEANUP_FD int errors = openat(call->directory, "error.fifo", O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
    CLEANUP_FD int gate = openat(call->directory, "start.fifo", O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
    if (errors < 0 || gate < 0 || !has_room(journal) || write(gate, "s", 1) != 1)
        return false;
    /* Recorded after the byte: killed in between, the container runs and says "created", and delete undoes both. */
    if (!add_status(journal, "started"))
        return false;
    if (has_executed(errors))
        return true;
    /* Python hears what the init has to say, and tells it, under the lock that we hold. */
    fcntl(journal, F_SETFD, 0);
    fcntl(errors, F_SETFD, 0);
    steal_fd(&journal);
    call->last_words = steal_fd(&errors);
    return false;
}
