/*
 * companion.c: companion mode. A program that works for a container from outside (a user-mode network stack) runs as
 * our child, and ends with the container's init, also when no runtime is there any more that could end it.
 *
 * The parent has placed a file for the output on 1 and 2, the gate on 3, the pipe for an execve error on 4 and a pidfd of
 * the container's init on 5; the program's own descriptors follow from 6 on. As in gate mode nothing runs before a
 * byte comes through the gate. We lead the process group of the program, so that whoever has our pid in a journal can
 * end both of us.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "compat.h"
#include "init.h"

#define GATE_FD 3
#define ERRNO_FD 4
#define INIT_FD 5
#define FIRST_OF_PROGRAM 6
#define EXIT_NOT_EXECUTED 127
/* From SIGTERM to SIGKILL. */
#define GRACE_MS 1000

static _Noreturn void execute(char **argv, pid_t parent)
{
    /* A program that changes its ids loses this again (prctl(2)): then the journal is what ends it. */
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (getppid() != parent)
        _exit(0);
    execve(argv[2], argv + 3, environ);
    int32_t number = errno;
    ssize_t written = write(ERRNO_FD, &number, sizeof number);
    (void)written;
    _exit(EXIT_NOT_EXECUTED);
}

static bool wait_for(struct pollfd *ends, nfds_t count, int milliseconds)
{
    int ready;
    do
        ready = poll(ends, count, milliseconds);
    while (ready < 0 && errno == EINTR);
    return ready != 0;
}

_Noreturn void run_companion(char **argv)
{
    char byte;
    ssize_t got;
    int program = -1;
    pid_t self = getpid(), child;

    /* The directory of whoever called us must be free to be unmounted as long as we live. */
    if (chdir("/") != 0)
        _exit(EXIT_NOT_EXECUTED);
    fcntl(ERRNO_FD, F_SETFD, FD_CLOEXEC);
    fcntl(INIT_FD, F_SETFD, FD_CLOEXEC);
    do
        got = read(GATE_FD, &byte, 1);
    while (got < 0 && errno == EINTR);
    if (got != 1)
        _exit(0);
    close(GATE_FD);
    child = (pid_t)syscall(SYS_clone, CL_CLONE_PIDFD | SIGCHLD, NULL, &program, NULL, 0);
    if (child == 0)
        execute(argv, self);
    if (child < 0) {
        int32_t number = errno;
        ssize_t written = write(ERRNO_FD, &number, sizeof number);
        (void)written;
        _exit(EXIT_NOT_EXECUTED);
    }
    /* What we keep open would keep namespaces and files: the program alone is to hold them. Its pidfd is the gate's. */
    close(ERRNO_FD);
    sys_close_range(FIRST_OF_PROGRAM, ~0u, 0);
    dup2(STDIN_FILENO, STDOUT_FILENO);
    dup2(STDIN_FILENO, STDERR_FILENO);
    struct pollfd ends[] = {{.fd = program, .events = POLLIN}, {.fd = INIT_FD, .events = POLLIN}};
    wait_for(ends, 2, -1);
    bool ended_by_itself = ends[0].revents != 0;
    if (!ended_by_itself) {
        /* To the group: what the program has started is to end, too. We are in it, and have to see it through. */
        signal(SIGTERM, SIG_IGN);
        kill(0, SIGTERM);
        if (!wait_for(ends, 1, GRACE_MS))
            kill(child, SIGKILL);
    }
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (!ended_by_itself)
        kill(0, SIGKILL);
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}
