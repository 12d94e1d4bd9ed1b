/*
 * native_module.c: system calls that Python has no door for, and the sync socket of the parent.
 * The numbers of newer calls are spelt out because Debian's headers lack some (openat2 and clone3 are the same
 * on every architecture).
 */
#define _GNU_SOURCE
#include "native_module.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef SYS_open_tree
#define SYS_open_tree 428
#endif
#ifndef SYS_openat2
#define SYS_openat2 437
#endif
#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif

const char cl_package_version[] = CL_PACKAGE_VERSION;

/* struct open_how of openat2(2); linux/openat2.h clashes with fcntl.h on some libcs. */
struct how {
    uint64_t flags;
    uint64_t mode;
    uint64_t resolve;
};

/* struct mount_attr of mount_setattr(2), which the libc of Debian 11 does not know. */
struct attributes {
    uint64_t set;
    uint64_t clear;
    uint64_t propagation;
    uint64_t user_namespace;
};
#define CL_SYS_mount_setattr 442
#define CL_MOUNT_ATTR_IDMAP 0x00100000
#define CL_AT_RECURSIVE 0x8000
#define CL_AT_EMPTY_PATH 0x1000

union control {
    struct cmsghdr header; /* for its alignment */
    char bytes[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(CL_MESSAGE_FDS * sizeof(int))];
};

static int result_of(long value)
{
    return value < 0 ? -errno : (int)value;
}

int cl_open_tree(int dirfd, const char *path, unsigned int flags)
{
    return result_of(syscall(SYS_open_tree, dirfd, path, flags));
}

/* MOUNT_ATTR_IDMAP of mount_setattr(2): the owners of files are shown through the id maps of a user namespace. */
int cl_map_mount(int mount, int user_namespace, int recursive)
{
    struct attributes attributes = {.set = CL_MOUNT_ATTR_IDMAP, .user_namespace = (uint64_t)user_namespace};
    const unsigned int flags = CL_AT_EMPTY_PATH | (recursive ? CL_AT_RECURSIVE : 0);

    return result_of(syscall(CL_SYS_mount_setattr, mount, "", flags, &attributes, sizeof attributes));
}

int cl_openat2(int dirfd, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve)
{
    struct how how = {.flags = flags, .mode = mode, .resolve = resolve};

    return result_of(syscall(SYS_openat2, dirfd, path, &how, sizeof how));
}

int cl_pidfd_getfd(int pidfd, int fd)
{
    return result_of(syscall(SYS_pidfd_getfd, pidfd, fd, 0));
}

int cl_bpf(int command, void *attributes, unsigned int size)
{
    return result_of(syscall(SYS_bpf, command, attributes, size));
}

int cl_become_subreaper(void)
{
    return result_of(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0));
}

int cl_socketpair(int ends[2])
{
    const int on = 1;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return -errno;
    if (setsockopt(ends[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on) == 0)
        return 0;
    const int error = errno;
    close(ends[0]);
    close(ends[1]);
    return -error;
}

static void attach_fds(struct msghdr *message, union control *control, const int *fds, int fd_count)
{
    const size_t size = (size_t)fd_count * sizeof(int);

    message->msg_control = control->bytes;
    message->msg_controllen = CMSG_SPACE(size);
    struct cmsghdr *header = CMSG_FIRSTHDR(message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(size);
    memcpy(CMSG_DATA(header), fds, size);
}

int cl_send(int fd, uint32_t type, uint32_t sequence, const void *payload, uint32_t length, const int *fds,
            int fd_count)
{
    struct cl_message header = {
        .magic = CL_MESSAGE_MAGIC,
        .version = CL_PROTOCOL_VERSION,
        .type = (uint16_t)type,
        .sequence = sequence,
        .length = length,
    };
    union control control = {.bytes = {0}};
    struct iovec parts[2] = {
        {.iov_base = &header, .iov_len = sizeof header},
        {.iov_base = (void *)(uintptr_t)payload, .iov_len = length},
    };
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    ssize_t sent;

    if (type > UINT16_MAX || length > CL_MESSAGE_LIMIT - sizeof header || fd_count < 0 || fd_count > CL_MESSAGE_FDS)
        return -EMSGSIZE;
    if (fd_count > 0)
        attach_fds(&message, &control, fds, fd_count);
    do /* never blocks: a child that lets its queue fill up is broken, and must not hold the runtime */
        sent = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : 0;
}

static void close_all(struct cl_received *into)
{
    for (int i = 0; i < into->fd_count; i++)
        close(into->fds[i]);
    into->fd_count = 0;
}

static void take_control(struct msghdr *message, struct cl_received *into)
{
    for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header; header = CMSG_NXTHDR(message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_len < CMSG_LEN(0))
            continue;
        if (header->cmsg_type == SCM_CREDENTIALS) {
            struct ucred sender;
            memcpy(&sender, CMSG_DATA(header), sizeof sender);
            into->pid = sender.pid;
        } else if (header->cmsg_type == SCM_RIGHTS) {
            const size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
            for (size_t i = 0; i < count; i++) {
                int fd;
                memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
                if (into->fd_count < CL_MESSAGE_FDS)
                    into->fds[into->fd_count++] = fd;
                else
                    close(fd);
            }
        }
    }
}

static const char *problem_with(const struct msghdr *message, const struct cl_message *header, size_t size)
{
    if (message->msg_flags & MSG_TRUNC)
        return "longer than a message may be";
    if (message->msg_flags & MSG_CTRUNC)
        return "more descriptors than a message may carry";
    if (size < sizeof *header)
        return "shorter than a header";
    if (header->magic != CL_MESSAGE_MAGIC)
        return "wrong magic number";
    if (header->version != CL_PROTOCOL_VERSION)
        return "another protocol version";
    if (header->length != size - sizeof *header)
        return "its length is not what its header says";
    return NULL;
}

static int wait_readable(int fd, int timeout_ms)
{
    struct pollfd entry = {.fd = fd, .events = POLLIN};
    const int ready = poll(&entry, 1, timeout_ms);

    /* EINTR goes back to Python, whose own signal handlers run before it calls again. */
    return ready < 0 ? -errno : ready == 0 ? -ETIMEDOUT : 0;
}

/* 1: a message; 0: the peer has closed its end; a negative errno, -EPROTO with `problem` set. */
int cl_receive(int fd, int timeout_ms, struct cl_received *into)
{
    struct cl_message header = {0};
    union control control = {.bytes = {0}};
    struct iovec parts[2] = {
        {.iov_base = &header, .iov_len = sizeof header},
        {.iov_base = into->payload, .iov_len = CL_MESSAGE_LIMIT - sizeof header},
    };
    struct msghdr message = {0};
    ssize_t size;

    into->pid = 0;
    into->fd_count = 0;
    into->problem = NULL;
    const int waited = wait_readable(fd, timeout_ms);
    if (waited < 0)
        return waited;
    do {
        message = (struct msghdr){
            .msg_iov = parts,
            .msg_iovlen = 2,
            .msg_control = control.bytes,
            .msg_controllen = sizeof control.bytes,
        };
        size = recvmsg(fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
        /*
         * A peer that dies with messages of ours unread leaves ECONNRESET, which the kernel reports once and
         * before what the peer itself had sent: its last words are still in the queue.
         */
    } while (size < 0 && errno == ECONNRESET);
    if (size < 0)
        return -errno;
    take_control(&message, into);
    /* An empty datagram has a sender, the end of the stream has none. */
    if (size == 0 && message.msg_controllen == 0)
        return 0;
    into->problem = problem_with(&message, &header, (size_t)size);
    if (into->problem) {
        close_all(into);
        return -EPROTO;
    }
    into->type = header.type;
    into->sequence = header.sequence;
    into->length = header.length;
    return 1;
}
