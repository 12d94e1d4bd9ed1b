/*
 * stage2.c: the process that becomes the container's: first in its pid namespace, its own session leader. It
 * reports, takes the plan, and executes it.
 */
#include <errno.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cleanup.h"
#include "compat.h"
#include "init.h"

/* A datagram netlink socket belongs to the network namespace in which it was made; the parent works through it. */
static int open_netlink(struct init *init)
{
    int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (fd < 0)
        fail_call(init, "", "netlink socket");
    return fd;
}

static void wait_for_stage0(int go)
{
    char byte;
    ssize_t got;
    do
        got = read(go, &byte, 1);
    while (got < 0 && errno == EINTR);
    if (got != 1)
        _exit(1); /* stage 0 is gone, it has reported why */
    close(go);
}

static void receive_plan(struct init *init)
{
    struct cl_plan_message message;
    int fds[3] = {-1, -1, -1};
    int count = sync_receive(init, CL_MSG_PLAN, &message, sizeof message, fds, 3);
    int next = 1;

    if (message.flags & ~(uint32_t)(CL_PLAN_START_FIFO | CL_PLAN_ERROR_FIFO))
        fail_rule(init, "", "unknown flag of PLAN");
    if (message.flags & CL_PLAN_START_FIFO)
        next++;
    if (message.flags & CL_PLAN_ERROR_FIFO)
        next++;
    if (count != next)
        fail_rule(init, "", "not as many descriptors came with PLAN as its flags say");
    next = 1;
    if (message.flags & CL_PLAN_START_FIFO)
        init->start_fifo = fds[next++];
    if (message.flags & CL_PLAN_ERROR_FIFO)
        init->error_fifo = fds[next];
    load_plan(init, fds[0], message.size);
    close(fds[0]);
}

_Noreturn void run_stage2(struct init *init, const struct cl_bootstrap *bootstrap, int go)
{
    wait_for_stage0(go);
    init->stage = CL_STAGE_2;
    init->sent = 0;
    /* A session of its own, also without a terminal: no TIOCSTI into the caller's (CVE-2017-5226). */
    if (setsid() < 0)
        fail_call(init, "", "setsid");
    int netlink = bootstrap->flags & CL_BOOT_NETLINK ? open_netlink(init) : -1;
    sync_send(init, CL_MSG_INIT_ALIVE, NULL, 0, netlink);
    drop_fd(&netlink);
    receive_plan(init);
    execute_plan(init);
}
