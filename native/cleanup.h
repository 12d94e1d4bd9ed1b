/*
 * cleanup.h: descriptors that close themselves at the end of their scope, and a visible way to hand one on.
 */
#ifndef CORELAUNCH_CLEANUP_H
#define CORELAUNCH_CLEANUP_H

#include <errno.h>
#include <unistd.h>

static inline void close_at_end(const int *fd)
{
    if (*fd >= 0) {
        int saved = errno;
        close(*fd);
        errno = saved;
    }
}

/* Owned by its scope. */
#define CLEANUP_FD __attribute__((cleanup(close_at_end)))

/* Takes the descriptor out of an owner, which is left with none. */
static inline int steal_fd(int *fd)
{
    int taken = *fd;
    *fd = -1;
    return taken;
}

/* Closes the descriptor that an owner holds, if it holds one. */
static inline void drop_fd(int *fd)
{
    int taken = steal_fd(fd);
    if (taken >= 0)
        close(taken);
}

#endif
