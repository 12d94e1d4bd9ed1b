/*
 * source.c: the source process. An ordinary user's runtime may clone no mount of the host, and the container's root,
 * who may, is another user there and cannot reach what the user can. This is the one who may do both: still the user,
 * for it never changes its ids, and in the container's user namespace, where it has every capability. It clones what
 * the runtime names, and hands it back.
 *
 * 3 is the runtime's socket, 4 and 5 are the user and the mount namespace. Its root is what was "/" when it came: what
 * the init mounts over that does not concern it. It ends with the socket.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cleanup.h"
#include "compat.h"
#include "init.h"

#define SOCKET_FD 3
#define USER_FD 4
#define MOUNT_FD 5
#define EXIT_NO_NAMESPACE 3

/* Answers with an errno, and with a descriptor if there is one. */
static bool answer(int32_t number, int fd)
{
    union {
        struct cmsghdr header; /* for its alignment */
        char bytes[CMSG_SPACE(sizeof fd)];
    } control;
    struct iovec part = {.iov_base = &number, .iov_len = sizeof number};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

    if (fd >= 0) {
        memset(&control, 0, sizeof control);
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof control.bytes;
        struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(rights), &fd, sizeof fd);
    }
    return sendmsg(SOCKET_FD, &message, MSG_NOSIGNAL) >= 0;
}

/* A request is one byte, whether the tree is wanted, and the path. */
_Noreturn void run_source(void)
{
    char request[PATH_MAX + 2];

    /* Nobody in the namespaces that we enter may look into us. */
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    if (setns(USER_FD, CL_CLONE_NEWUSER) < 0 || setns(MOUNT_FD, CL_CLONE_NEWNS) < 0)
        _exit(EXIT_NO_NAMESPACE);
    for (;;) {
        ssize_t got = recv(SOCKET_FD, request, sizeof request - 1, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 2)
            _exit(0);
        request[got] = '\0';
        unsigned flags = CL_OPEN_TREE_CLONE | (request[0] ? CL_AT_RECURSIVE : 0);
        int tree = sys_open_tree(AT_FDCWD, request + 1, flags);
        if (!answer(tree < 0 ? errno : 0, tree))
            _exit(0);
        drop_fd(&tree);
    }
}
