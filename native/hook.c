/*
 * hook.c: gate mode. The parent has placed the hook's state document on 0, its output pipes on 1 and 2, the gate on
 * 3, the pipe for an execve error on 4 and, if it wants one, the hook's working directory on 5. Nothing runs before
 * a byte comes through the gate, so the parent can record the process first; if it dies instead, so do we.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "compat.h"
#include "init.h"

#define GATE_FD 3
#define ERRNO_FD 4
#define CWD_FD 5
#define EXIT_NOT_EXECUTED 127

static _Noreturn void not_executed(void)
{
    int32_t number = errno;
    ssize_t written = write(ERRNO_FD, &number, sizeof number);
    (void)written;
    _exit(EXIT_NOT_EXECUTED);
}

_Noreturn void run_hook(int argc, char **argv)
{
    char byte;
    ssize_t got;

    (void)argc; /* main has seen at least path and argv[0] */
    fcntl(ERRNO_FD, F_SETFD, FD_CLOEXEC);
    /* A hook is somebody else's program: it gets nothing but its streams, whatever the caller left open. */
    sys_close_range(CWD_FD + 1, ~0u, CL_CLOSE_RANGE_CLOEXEC);
    do
        got = read(GATE_FD, &byte, 1);
    while (got < 0 && errno == EINTR);
    if (got != 1)
        _exit(0);
    close(GATE_FD);
    if (fcntl(CWD_FD, F_GETFD) >= 0) {
        if (fchdir(CWD_FD) < 0)
            not_executed();
        close(CWD_FD);
    }
    execve(argv[2], argv + 3, environ);
    not_executed();
}
