/*
 * container_hook.c: OCI hooks that run inside the container, as children of its init: createContainer between the
 * mounts and pivot_root, where paths are still those of the runtime, and startContainer between the start gate and
 * execve. They get the state on standard input, have a deadline, and what they say is in the error.
 *
 * After the gate a seccomp filter is in force for us and for them; one that does not know a call which is needed here
 * makes the hook, and so start, fail with the name of that call.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "compat.h"
#include "init.h"

#define HOOK_UMASK 022
#define OUTPUT_KEPT 768
#define DRAIN_READS 16 /* a pipe holds 64 KiB; a descendant that goes on writing is not waited for */
#define PORTION 8192
#define NEVER_EXECUTED 127

struct hook {
    const char *where; /* JSON path */
    const char *path;
    char **arguments;
    char **environment;
    pid_t pid; /* 0 before the fork */
    int pidfd;
    int output;  /* our ends */
    int failure; /* errno of a failed execve comes here */
    size_t said_size;
    char said[OUTPUT_KEPT + 1];
};

/* It leads its own process group. It is not reaped before this, so the number is still its own. */
static void kill_group(const struct hook *hook)
{
    if (hook->pid)
        kill(-hook->pid, SIGKILL);
}

static _Noreturn void fail_hook(struct init *init, const struct hook *hook, const char *why, int64_t number, int error)
{
    char buffer[CL_ERROR_TEXT];
    struct text text = text_in(buffer, sizeof buffer);

    kill_group(hook);
    text_add(&text, hook->where);
    text_add(&text, ": ");
    text_add(&text, why);
    if (number >= 0)
        text_add_number(&text, number);
    if (hook->said_size) {
        text_add(&text, ", output: ");
        text_add(&text, hook->said);
    }
    fail(init, hook->path, error, buffer);
}

static int64_t milliseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static bool write_text(int fd, const char *text)
{
    size_t size = strlen(text);
    return write(fd, text, size) == (ssize_t)size;
}

/* The state has a hole where the pid belongs: ours, as the container sees it. */
static int make_state(struct init *init, const struct cl_record *record, const struct hook *hook)
{
    char buffer[24];
    struct text pid = text_in(buffer, sizeof buffer);
    int fd = memfd_create("oci-state", MFD_CLOEXEC);

    text_add_number(&pid, getpid());
    if (fd < 0 || !write_text(fd, record_text(init, record, 2)) || !write_text(fd, buffer) ||
        !write_text(fd, record_text(init, record, 3)) || lseek(fd, 0, SEEK_SET) < 0)
        fail_hook(init, hook, "memfd for the state", -1, errno);
    return fd;
}

/* Descriptors that the payload is to keep are nothing for a hook; all others are close-on-exec. */
static int first_closed(const struct init *init)
{
    for (uint32_t i = 0; i < init->plan.count; i++) {
        if (init->plan.records[i].code == CL_OP_CLOSE_FDS)
            return (int)init->plan.records[i].number[0];
    }
    return STDERR_FILENO + 1;
}

static _Noreturn void become_hook(struct init *init, const struct hook *hook, int state, int output, int failure)
{
    int end = first_closed(init);

    /* With a pid namespace of its own it would die with us anyway. */
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    umask(HOOK_UMASK);
    if (setpgid(0, 0) == 0 && (init->sync < 0 || fchdir(init->root) == 0) && dup2(state, STDIN_FILENO) >= 0 &&
        dup2(output, STDOUT_FILENO) >= 0 && dup2(output, STDERR_FILENO) >= 0) {
        for (int fd = STDERR_FILENO + 1; fd < end; fd++) {
            if (fd != failure)
                close(fd);
        }
        execve(hook->path, hook->arguments, hook->environment);
    }
    int32_t number = errno;
    ssize_t written = write(failure, &number, sizeof number);
    (void)written;
    _exit(NEVER_EXECUTED);
}

/* clone and not clone3: profiles of the time before it let only the first through. */
static void start_hook(struct init *init, struct hook *hook, int state)
{
    int said[2] = {-1, -1};
    int failed[2] = {-1, -1};

    if (pipe2(said, O_CLOEXEC) < 0 || pipe2(failed, O_CLOEXEC) < 0)
        fail_hook(init, hook, "pipe2", -1, errno);
    hook->output = said[0];
    hook->failure = failed[0];
    /* Our ends only: a hook that fills the pipe must wait, not fail with EAGAIN. */
    if (fcntl(hook->output, F_SETFL, O_NONBLOCK) < 0 || fcntl(hook->failure, F_SETFL, O_NONBLOCK) < 0)
        fail_hook(init, hook, "fcntl", -1, errno);
    long pid = syscall(SYS_clone, (long)(CL_CLONE_PIDFD | SIGCHLD), 0L, &hook->pidfd, 0L, 0L);
    if (pid < 0)
        fail_hook(init, hook, "clone", -1, errno);
    if (pid == 0)
        become_hook(init, hook, state, said[1], failed[1]);
    hook->pid = (pid_t)pid;
    close(said[1]);
    close(failed[1]);
}

/* Takes one portion of what it says, keeps the beginning; false at the end. */
static bool read_output(struct hook *hook)
{
    char portion[PORTION];
    ssize_t got = read(hook->output, portion, sizeof portion);
    if (got < 0)
        return errno == EAGAIN || errno == EINTR;
    for (ssize_t i = 0; i < got && hook->said_size < OUTPUT_KEPT; i++)
        hook->said[hook->said_size++] = portion[i] ? portion[i] : ' ';
    return got > 0;
}

/* Until it exits, not until its pipe closes: a descendant that keeps the pipe must not hold the launch up. */
static void wait_for_exit(struct init *init, struct hook *hook, int64_t seconds)
{
    struct pollfd waited[2] = {{.fd = hook->pidfd, .events = POLLIN}, {.fd = hook->output, .events = POLLIN}};
    int64_t deadline = milliseconds() + seconds * 1000;

    for (;;) {
        int64_t left = deadline - milliseconds();
        if (left <= 0)
            fail_hook(init, hook, "timed out, seconds: ", seconds, 0);
        int ready = poll(waited, 2, left > INT_MAX ? INT_MAX : (int)left);
        if (ready < 0 && errno != EINTR)
            fail_hook(init, hook, "poll", -1, errno);
        if (ready <= 0)
            continue;
        if (waited[1].revents && !read_output(hook))
            waited[1].fd = -1;
        if (waited[0].revents)
            break;
    }
    for (int i = 0; i < DRAIN_READS && read_output(hook); i++)
        ;
}

static void check_exit(struct init *init, struct hook *hook)
{
    siginfo_t info;
    int32_t number;

    memset(&info, 0, sizeof info);
    if (waitid(P_PID, (id_t)hook->pid, &info, WEXITED | WNOWAIT) < 0)
        fail_hook(init, hook, "waitid", -1, errno);
    if (read(hook->failure, &number, sizeof number) == (ssize_t)sizeof number)
        fail_hook(init, hook, "cannot be executed", -1, number);
    if (info.si_code != CLD_EXITED)
        fail_hook(init, hook, "killed by signal ", info.si_status, 0);
    if (info.si_status)
        fail_hook(init, hook, "exit status ", info.si_status, 0);
    waitid(P_PID, (id_t)hook->pid, &info, WEXITED);
}

void op_hook(struct init *init, const struct cl_record *record)
{
    struct hook hook = {.pidfd = -1, .output = -1, .failure = -1};
    uint64_t arguments = record->number[0] - 2;
    size_t size = (size_t)(arguments + record->number[1] + 2) * sizeof(char *);

    hook.where = record_text(init, record, 0);
    hook.path = hook.where + strlen(hook.where) + 1;
    char **vectors = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (vectors == MAP_FAILED)
        fail_hook(init, &hook, "mmap", -1, errno);
    hook.arguments = vectors;
    hook.environment = fill_vector(vectors, hook.path + strlen(hook.path) + 1, arguments) + 1;
    fill_vector(hook.environment, record_text(init, record, 1), record->number[1]);

    int state = make_state(init, record, &hook);
    start_hook(init, &hook, state);
    close(state);
    wait_for_exit(init, &hook, (int64_t)record->number[2]);
    check_exit(init, &hook);
    close(hook.pidfd);
    close(hook.output);
    close(hook.failure);
    munmap(vectors, size);
}
