/*
 * stage0.c: the process that the runtime starts. It waits, already in its cgroup, for BOOTSTRAP; joins and makes
 * namespaces; forks stage 2, which alone is inside the new pid and time namespaces; hands out its pidfd and exits.
 * Stage 2 is a sibling (CLONE_PARENT), so the runtime is the parent of both and can wait for both.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "cleanup.h"
#include "compat.h"
#include "init.h"

#define OWN_PROC "/proc/self/"

/*
 * /proc/self of the host, from before any namespace is joined: with a mount namespace comes another /proc, and it may
 * be of a pid namespace that does not know us.
 */
static int open_own_proc(struct init *init)
{
    int fd = open(OWN_PROC, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        fail_call(init, OWN_PROC, "open");
    return fd;
}

/* Writes a file of ours below the host's /proc; `path` is its whole name. */
static void write_host_proc(struct init *init, const char *path, const struct text *value)
{
    CLEANUP_FD int fd = openat(init->own_proc, path + sizeof OWN_PROC - 1, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        fail_call(init, path, "open");
    if (!fd_is_on(fd, CL_PROC_SUPER_MAGIC))
        fail_rule(init, path, "is not on procfs");
    if (write(fd, value->start, value->length) != (ssize_t)value->length)
        fail_call(init, path, "write");
}

static void set_oom_score(struct init *init, int32_t score)
{
    char buffer[16];
    struct text text = text_in(buffer, sizeof buffer);
    text_add_number(&text, score);
    write_host_proc(init, "/proc/self/oom_score_adj", &text);
}

/*
 * /proc/PID of a process that changed its ids belongs to the outermost root, and then neither an unprivileged
 * parent could write our id maps nor we our time offsets.
 */
static void be_dumpable(bool yes)
{
    prctl(PR_SET_DUMPABLE, yes, 0, 0, 0);
}

static void make_user_namespace(struct init *init, const struct cl_bootstrap *bootstrap)
{
    if (unshare(CL_CLONE_NEWUSER) < 0)
        fail_call(init, "user", "unshare");
    be_dumpable(true);
    if (bootstrap->flags & CL_BOOT_NO_SETGROUPS) {
        char buffer[8];
        struct text text = text_in(buffer, sizeof buffer);
        text_add(&text, "deny");
        write_host_proc(init, "/proc/self/setgroups", &text);
    }
    sync_send(init, CL_MSG_MAPPINGS_WANTED, NULL, 0, -1);
    sync_receive(init, CL_MSG_MAPPINGS_WRITTEN, NULL, 0, NULL, 0);
    become_namespace_root(init);
    be_dumpable(true);
}

static void add_time_offset(struct text *text, const char *clock, int64_t seconds, int64_t nanoseconds)
{
    text_add(text, clock);
    text_add(text, " ");
    text_add_number(text, seconds);
    text_add(text, " ");
    text_add_number(text, nanoseconds);
    text_add(text, "\n");
}

/* time_namespaces(7): only before the first process is in the namespace; we who made it are not. */
static void write_time_offsets(struct init *init, const struct cl_bootstrap *bootstrap)
{
    char buffer[160];
    struct text text = text_in(buffer, sizeof buffer);
    add_time_offset(&text, "monotonic", bootstrap->monotonic_seconds, bootstrap->monotonic_nanoseconds);
    add_time_offset(&text, "boottime", bootstrap->boottime_seconds, bootstrap->boottime_nanoseconds);
    write_host_proc(init, "/proc/self/timens_offsets", &text);
}

static void make_namespaces(struct init *init, const struct cl_bootstrap *bootstrap)
{
    uint32_t wanted = bootstrap->new_namespaces;
    if (wanted & CL_CLONE_NEWUSER)
        make_user_namespace(init, bootstrap);
    /* One call for the rest. The cgroup namespace is rooted where we are now: the parent has put us there before. */
    wanted &= ~(uint32_t)CL_CLONE_NEWUSER;
    if (wanted && unshare((int)wanted) < 0)
        fail_call(init, "", "unshare");
    if (bootstrap->flags & CL_BOOT_TIME_OFFSETS) {
        be_dumpable(true);
        write_time_offsets(init, bootstrap);
    }
}

/* CVE-2016-9962: from the moment when a container's processes can see us they must not be able to look into us. */
static void hide(const struct cl_bootstrap *bootstrap)
{
    if (bootstrap->flags & CL_BOOT_NON_DUMPABLE)
        be_dumpable(false);
}

static void receive_bootstrap(struct init *init, struct cl_bootstrap *bootstrap, int *fds)
{
    int count = sync_receive(init, CL_MSG_BOOTSTRAP, bootstrap, sizeof *bootstrap, fds, CL_JOIN_LIMIT);
    uint32_t seen = bootstrap->new_namespaces;
    if (bootstrap->join_count > CL_JOIN_LIMIT || bootstrap->join_count != (uint32_t)count)
        fail_rule(init, "", "not as many namespaces came as are to be joined");
    if (seen & ~(uint32_t)CL_CLONE_NAMESPACES)
        fail_rule(init, "", "unknown namespace");
    for (int i = 0; i < count; i++) {
        uint32_t type = bootstrap->join_types[i];
        if (!type || (type & (type - 1)) || (type & ~(uint32_t)CL_CLONE_NAMESPACES) || (type & seen))
            fail_rule(init, "", "a namespace is unknown or named twice");
        seen |= type;
    }
    if ((bootstrap->flags & CL_BOOT_TIME_OFFSETS) && !(bootstrap->new_namespaces & CL_CLONE_NEWTIME))
        fail_rule(init, "", "time offsets need a new time namespace");
}

/* Forks stage 2. It stays in its first read until it may speak: nothing of it overtakes our STAGE2. */
static _Noreturn void fork_stage2(struct init *init, const struct cl_bootstrap *bootstrap)
{
    int go[2];
    int pidfd = -1;
    struct cl_clone_args arguments = {.flags = CL_CLONE_PARENT | CL_CLONE_PIDFD, .pidfd = (uintptr_t)&pidfd};

    if (pipe2(go, O_CLOEXEC) < 0)
        fail_call(init, "", "pipe2");
    long child = syscall(CL_NR_clone3, &arguments, sizeof arguments);
    if (child < 0 && errno == ENOMEM)
        fail_call(init, "", "clone3 (a pid namespace whose init has ended takes no process)");
    if (child < 0)
        fail_call(init, "", "clone3");
    if (child == 0) {
        close(go[1]);
        run_stage2(init, bootstrap, go[0]);
    }
    close(go[0]);
    sync_send(init, CL_MSG_STAGE2, NULL, 0, pidfd);
    _exit(write(go[1], "", 1) == 1 ? 0 : 1);
}

_Noreturn void run_stage0(struct init *init)
{
    struct cl_hello hello = {.protocol_version = CL_PROTOCOL_VERSION, .operation_count = CL_OP_LAST - 1};
    struct cl_bootstrap bootstrap;
    int fds[CL_JOIN_LIMIT];

    sync_send(init, CL_MSG_HELLO, &hello, sizeof hello, -1);
    join_cgroups(init);
    receive_bootstrap(init, &bootstrap, fds);
    init->own_proc = open_own_proc(init);
    /* Before we hide: a process that is not dumpable cannot open its own file. All that follow inherit the value. */
    if (bootstrap.flags & CL_BOOT_OOM_SCORE_ADJ)
        set_oom_score(init, bootstrap.oom_score_adj);
    hide(&bootstrap);
    join_namespaces(init, fds, bootstrap.join_types, bootstrap.join_count);
    for (uint32_t i = 0; i < bootstrap.join_count; i++)
        close(fds[i]);
    make_namespaces(init, &bootstrap);
    hide(&bootstrap);
    drop_fd(&init->own_proc);
    fork_stage2(init, &bootstrap);
}
