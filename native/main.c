/*
 * corelaunch-init: the static program that the runtime starts in place of itself and that becomes the container's
 * process. `init`: hold the conversation of protocol.h on descriptor 3, execute the plan, exec the payload.
 * `hook`: wait for the gate on descriptor 3, then exec an OCI hook.
 * `companion`: run a program beside a container as long as the container's init lives.
 * `source`: clone mounts for a runtime that may not. Nobody calls it by hand.
 */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "compat.h"
#include "init.h"

#define EXIT_USAGE 2
#define KERNEL_SIGNALS 64

/* The kernel's struct sigaction, all zero: SIG_DFL, no flags, empty mask. Its longest form has four words. */
struct kernel_sigaction {
    unsigned long words[4];
};

/*
 * Dispositions that are SIG_IGN survive exec, and so does the mask: a payload must not inherit what the caller of
 * the runtime happens to ignore (Python ignores SIGPIPE). Raw, because the C library hides signals 32 to 34.
 */
static void reset_signals(void)
{
    static const struct kernel_sigaction standard;
    static const uint64_t none;
    for (int number = 1; number <= KERNEL_SIGNALS; number++) {
        if (number != SIGKILL && number != SIGSTOP)
            syscall(SYS_rt_sigaction, number, &standard, NULL, sizeof none);
    }
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, sizeof none);
}

/*
 * The sync socket comes as descriptor 3, and what the payload is to keep (--preserve-fds) comes behind it. The
 * payload must find those at 3 and up, so the socket moves behind them.
 */
static void place_descriptors(struct init *init)
{
    int end = SYNC_FD + 1;
    while (fcntl(end, F_GETFD) >= 0)
        end++;
    init->sync = fcntl(SYNC_FD, F_DUPFD_CLOEXEC, end);
    if (init->sync < 0)
        _exit(EXIT_USAGE);
    for (int fd = SYNC_FD + 1; fd < end; fd++) {
        if (dup2(fd, fd - 1) < 0)
            fail_call(init, "", "dup2");
    }
    close(end - 1);
}

static bool is_seqpacket(int fd)
{
    int type = 0;
    socklen_t size = sizeof type;
    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_SEQPACKET;
}

/* `name` is the parent's own mark: by it the parent finds a stage 2 that it was never told of, to reap it. */
static _Noreturn void run_init(const char *name)
{
    static struct init state;
    struct init *init = &state;
    init->stage = CL_STAGE_0;
    init->start_fifo = init->error_fifo = -1;
    init->root = init->held = init->null_device = init->mask_directory = init->sysctl_proc = -1;
    if (!is_seqpacket(SYNC_FD))
        _exit(EXIT_USAGE);
    place_descriptors(init);
    /* Modes in the plan are what is wanted, whatever umask the caller of the runtime has. UMASK sets the payload's. */
    umask(0);
    prctl(PR_SET_NAME, name, 0, 0, 0);
    run_stage0(init);
}

int main(int argc, char **argv)
{
    reset_signals();
    if (argc >= 4 && strcmp(argv[1], "hook") == 0)
        run_hook(argc, argv);
    if (argc >= 4 && strcmp(argv[1], "companion") == 0)
        run_companion(argv);
    if (argc == 2 && strcmp(argv[1], "source") == 0)
        run_source();
    if (argc >= 2 && argc <= 3 && strcmp(argv[1], "init") == 0)
        run_init(argc == 3 ? argv[2] : "corelaunch:init");
    static const char usage[] = "corelaunch-init is started by corelaunch, not by hand\n";
    ssize_t written = write(STDERR_FILENO, usage, sizeof usage - 1);
    (void)written;
    return EXIT_USAGE;
}
