/*
 * cgroups.c: stage 0 joins the cgroup v1 hierarchies of its container by itself. The parent opened the "tasks" file
 * of each; "0" means the thread that writes. The kernel then need not wait an RCU grace period (5 ms), as it must for
 * the pid of a whole process in cgroup.procs (cgroup_attach_lock in kernel/cgroup/cgroup.c); we have one thread, so
 * it is the same.
 */
#include <unistd.h>

#include "init.h"

void join_cgroups(struct init *init)
{
    int fds[CL_MESSAGE_FDS];
    if (sync_next(init) != CL_MSG_CGROUPS)
        return;
    int count = sync_receive(init, CL_MSG_CGROUPS, NULL, 0, fds, CL_MESSAGE_FDS);
    for (int i = 0; i < count; i++) {
        if (write(fds[i], "0", 1) != 1)
            fail_call(init, "cgroup", "write of tasks");
        close(fds[i]);
    }
    sync_send(init, CL_MSG_CGROUPS_JOINED, NULL, 0, -1);
}
