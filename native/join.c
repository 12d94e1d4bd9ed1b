/*
 * join.c: entering namespaces: those of a running container (exec), or those that a config names (create).
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "compat.h"
#include "init.h"

static const char *namespace_name(uint32_t type)
{
    switch (type) {
    case CL_CLONE_NEWUSER:
        return "user";
    case CL_CLONE_NEWIPC:
        return "ipc";
    case CL_CLONE_NEWUTS:
        return "uts";
    case CL_CLONE_NEWNET:
        return "network";
    case CL_CLONE_NEWPID:
        return "pid";
    case CL_CLONE_NEWNS:
        return "mount";
    case CL_CLONE_NEWCGROUP:
        return "cgroup";
    case CL_CLONE_NEWTIME:
        return "time";
    default:
        return "unknown";
    }
}

/* Root of the user namespace that we are in now. Raw calls: the C library's would look for other threads. */
void become_namespace_root(struct init *init)
{
    if (syscall(SYS_setresgid, 0, 0, 0) < 0)
        fail_call(init, "", "setresgid to root of the user namespace");
    if (syscall(SYS_setresuid, 0, 0, 0) < 0)
        fail_call(init, "", "setresuid to root of the user namespace");
}

/* Joins one namespace. A refusal for want of privilege may be put off until the user namespace is joined. */
static bool join(struct init *init, int fd, uint32_t type, bool may_wait)
{
    if (setns(fd, (int)type) == 0)
        return true;
    if (may_wait && errno == EPERM)
        return false;
    fail_call(init, namespace_name(type), "setns");
}

/*
 * Three passes. All but the user namespace first: a namespace that belongs to an outer user namespace (the host's
 * network, say) can be joined only before the privilege over it is given up. Then the user namespace. Then those
 * that refused: they belong to it, and an unprivileged runtime gets the privilege over them only now.
 */
void join_namespaces(struct init *init, const int *fds, const uint32_t *types, uint32_t count)
{
    bool joined[CL_JOIN_LIMIT] = {false};
    bool user = false;

    for (uint32_t i = 0; i < count; i++)
        user |= types[i] == CL_CLONE_NEWUSER;
    for (uint32_t i = 0; i < count; i++) {
        if (types[i] != CL_CLONE_NEWUSER)
            joined[i] = join(init, fds[i], types[i], user);
    }
    if (!user)
        return;
    for (uint32_t i = 0; i < count; i++) {
        if (types[i] == CL_CLONE_NEWUSER)
            joined[i] = join(init, fds[i], types[i], false);
    }
    become_namespace_root(init);
    for (uint32_t i = 0; i < count; i++) {
        if (!joined[i])
            join(init, fds[i], types[i], false);
    }
}
