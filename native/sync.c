/*
 * sync.c: messages on the sync socket (protocol.h has the table). One datagram is one message; whatever is not
 * exactly what is due here ends the process, and the parent's end of file does so silently: nobody is left to tell.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "init.h"

#define EXIT_PARENT_GONE 1
#define FDS_SPACE CMSG_SPACE(sizeof(int) * CL_MESSAGE_FDS)

union control {
    struct cmsghdr header; /* for its alignment */
    char bytes[FDS_SPACE];
};

/* Returns false if the parent is gone. */
bool sync_try_send(struct init *init, enum cl_message_type type, const void *payload, size_t size, int fd)
{
    struct cl_message head = {.magic = CL_MESSAGE_MAGIC,
                              .version = CL_PROTOCOL_VERSION,
                              .type = (uint16_t)type,
                              .sequence = ++init->sent,
                              .length = (uint32_t)size};
    struct iovec parts[2] = {{.iov_base = &head, .iov_len = sizeof head},
                             {.iov_base = (void *)(uintptr_t)payload, .iov_len = size}};
    union control control;
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    ssize_t sent;

    if (fd >= 0) {
        memset(&control, 0, sizeof control);
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(sizeof fd);
        struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(rights), &fd, sizeof fd);
    }
    do
        sent = sendmsg(init->sync, &message, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent >= 0;
}

void sync_send(struct init *init, enum cl_message_type type, const void *payload, size_t size, int fd)
{
    if (!sync_try_send(init, type, payload, size, fd))
        _exit(EXIT_PARENT_GONE);
}

/* Takes the descriptors out of the control messages; -1 if there are more than `limit`. The rest is not kept. */
static int take_fds(struct msghdr *message, int *fds, int limit)
{
    int count = 0;
    bool too_many = false;
    for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part; part = CMSG_NXTHDR(message, part)) {
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS)
            continue;
        size_t here = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < here; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(part) + i * sizeof fd, sizeof fd);
            if (count < limit) {
                fds[count++] = fd;
            } else {
                close(fd);
                too_many = true;
            }
        }
    }
    return too_many ? -1 : count;
}

static void check_header(struct init *init, const struct cl_message *head, size_t size, enum cl_message_type type,
                         size_t payload_size)
{
    if (size < sizeof *head || head->magic != CL_MESSAGE_MAGIC)
        fail_rule(init, "", "the parent's message is no message");
    if (head->version != CL_PROTOCOL_VERSION)
        fail_rule(init, "", "the parent speaks another protocol version");
    if (head->length != size - sizeof *head || head->length != payload_size)
        fail_rule(init, "", "the parent's message has the wrong length");
    if (head->sequence != init->received + 1)
        fail_rule(init, "", "the parent's messages are out of sequence");
    if (head->type != type)
        fail_rule(init, "", "the parent sent another message than is due");
}

/* Waits for a message and tells its type, unchecked: sync_receive takes and checks it. */
enum cl_message_type sync_next(struct init *init)
{
    struct cl_message head = {0};
    ssize_t got;
    do
        got = recv(init->sync, &head, sizeof head, MSG_PEEK);
    while (got < 0 && errno == EINTR);
    if (got <= 0)
        _exit(EXIT_PARENT_GONE);
    return (enum cl_message_type)head.type;
}

/*
 * Waits for the one message that is due, with a payload of exactly `size` bytes and at most `fd_limit` descriptors;
 * returns how many came. They are close-on-exec.
 */
int sync_receive(struct init *init, enum cl_message_type type, void *payload, size_t size, int *fds, int fd_limit)
{
    union {
        struct cl_message head;
        char bytes[CL_MESSAGE_LIMIT];
    } buffer;
    union control control;
    struct iovec part = {.iov_base = buffer.bytes, .iov_len = sizeof buffer.bytes};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    ssize_t got;

    do
        got = recvmsg(init->sync, &message, MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    if (got == 0 || (got < 0 && errno == ECONNRESET))
        _exit(EXIT_PARENT_GONE);
    if (got < 0)
        fail_call(init, "", "recvmsg");
    if (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC))
        fail_rule(init, "", "the parent's message is too long");
    check_header(init, &buffer.head, (size_t)got, type, size);
    init->received++;
    if (size)
        memcpy(payload, buffer.bytes + sizeof buffer.head, size);
    int count = take_fds(&message, fds, fd_limit);
    if (count < 0)
        fail_rule(init, "", "the parent sent more descriptors than belong to its message");
    return count;
}

/* As sync_send, by write(2). A parent that is gone ends us by SIGPIPE: nobody is left to tell. */
void sync_write(struct init *init, enum cl_message_type type, const void *payload, size_t size)
{
    char buffer[sizeof(struct cl_message) + sizeof(struct cl_listener)];
    struct cl_message head = {.magic = CL_MESSAGE_MAGIC,
                              .version = CL_PROTOCOL_VERSION,
                              .type = (uint16_t)type,
                              .sequence = ++init->sent,
                              .length = (uint32_t)size};

    memcpy(buffer, &head, sizeof head);
    memcpy(buffer + sizeof head, payload, size);
    if (write(init->sync, buffer, sizeof head + size) != (ssize_t)(sizeof head + size))
        fail_call(init, "", "write to the parent");
}

/* As sync_receive, by read(2), for a message that is nothing but its header. Descriptors that came with it are lost. */
void sync_read(struct init *init, enum cl_message_type type)
{
    union {
        struct cl_message head;
        char bytes[CL_MESSAGE_LIMIT];
    } buffer;
    ssize_t got;

    do
        got = read(init->sync, buffer.bytes, sizeof buffer.bytes);
    while (got < 0 && errno == EINTR);
    if (got == 0)
        _exit(EXIT_PARENT_GONE);
    if (got < 0)
        fail_call(init, "", "read from the parent");
    check_header(init, &buffer.head, (size_t)got, type, 0);
    init->received++;
}
