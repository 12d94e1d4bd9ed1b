/*
 * settings.c: operations that are one system call about the process or its namespaces.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "compat.h"
#include "init.h"

#define IOPRIO_WHO_PROCESS 1
#define KEY_USR_SEARCH 0x00080000

static unsigned hexadecimal_digit(char digit)
{
    return (unsigned)(digit <= '9' ? digit - '0' : digit - 'a' + 10) & 15;
}

/* The permissions in what KEYCTL_DESCRIBE says: "type;uid;gid;perm;name", perm in hexadecimal, lower case. */
static unsigned long key_permissions(const char *description)
{
    unsigned long permissions = 0;
    for (int field = 0; field < 3; field++) {
        description = strchr(description, ';');
        if (!description)
            return 0;
        description++;
    }
    for (; *description && *description != ';'; description++)
        permissions = permissions << 4 | hexadecimal_digit(*description);
    return permissions;
}

/*
 * A session keyring of the container's own, so that it does not see its caller's. A later exec joins it by its name,
 * and for that the user must be allowed to search it.
 */
void op_keyring(struct init *init, const struct cl_record *record)
{
    const char *name = record_text(init, record, 0);
    char description[256] = "";
    long ring = syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name);

    if (ring < 0 && errno == ENOSYS)
        return; /* a kernel without keyrings has none to share */
    if (ring < 0)
        fail_call(init, name, "keyctl KEYCTL_JOIN_SESSION_KEYRING");
    if (syscall(SYS_keyctl, KEYCTL_DESCRIBE, ring, description, sizeof description - 1) < 0)
        fail_call(init, name, "keyctl KEYCTL_DESCRIBE");
    unsigned long permissions = key_permissions(description);
    if (permissions & KEY_USR_SEARCH)
        return;
    if (syscall(SYS_keyctl, KEYCTL_SETPERM, ring, permissions | KEY_USR_SEARCH) < 0)
        fail_call(init, name, "keyctl KEYCTL_SETPERM");
}

void op_loopback(struct init *init, const struct cl_record *record)
{
    (void)record;
    struct ifreq request;
    memset(&request, 0, sizeof request);
    memcpy(request.ifr_name, "lo", sizeof "lo");
    CLEANUP_FD int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        fail_call(init, "lo", "socket");
    if (ioctl(fd, SIOCGIFFLAGS, &request) < 0)
        fail_call(init, "lo", "ioctl SIOCGIFFLAGS");
    request.ifr_flags |= IFF_UP;
    if (ioctl(fd, SIOCSIFFLAGS, &request) < 0)
        fail_call(init, "lo", "ioctl SIOCSIFFLAGS");
}

void op_umask(struct init *init, const struct cl_record *record)
{
    (void)init;
    umask((mode_t)record->number[0] & 0777);
}

void op_hostname(struct init *init, const struct cl_record *record)
{
    const char *name = record_text(init, record, 0);
    if (sethostname(name, strlen(name)) < 0)
        fail_call(init, name, "sethostname");
}

void op_domainname(struct init *init, const struct cl_record *record)
{
    const char *name = record_text(init, record, 0);
    if (syscall(SYS_setdomainname, name, strlen(name)) < 0)
        fail_call(init, name, "setdomainname");
}

void op_scheduler(struct init *init, const struct cl_record *record)
{
    static const char hint[] = "sched_setattr: see RLIMIT_RTPRIO, and for a deadline the cpuset";
    if (syscall(SYS_sched_setattr, 0, record_text(init, record, 0), 0) < 0)
        fail_call(init, "", errno == EPERM ? hint : "sched_setattr");
}

void op_io_priority(struct init *init, const struct cl_record *record)
{
    if (syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, (int)record->number[0]) < 0)
        fail_call(init, "", "ioprio_set");
}

void op_personality(struct init *init, const struct cl_record *record)
{
    if (personality((unsigned long)record->number[0]) < 0)
        fail_call(init, "", "personality");
}

void op_memory_policy(struct init *init, const struct cl_record *record)
{
    const char *mask = record->blob_size ? record_text(init, record, 0) : NULL;
    if (syscall(SYS_set_mempolicy, (int)record->number[0], mask, (unsigned long)record->number[1]) < 0)
        fail_call(init, "", "set_mempolicy");
}

/*
 * Behind the filter, so with write and read alone: sendmsg may be one of those that wait for the agent, which gets the
 * listener only now. `read` may be; then we wait here for what the parent arranges meanwhile.
 */
static void give_listener(struct init *init, int fd)
{
    struct cl_listener listener = {.fd = fd};
    sync_write(init, CL_MSG_SECCOMP, &listener, sizeof listener);
    sync_read(init, CL_MSG_SECCOMP_DONE);
    close(fd);
}

void op_seccomp(struct init *init, const struct cl_record *record)
{
    struct sock_fprog program = {
        .len = (unsigned short)(record->blob_size / sizeof(struct sock_filter)),
        .filter = (struct sock_filter *)(uintptr_t)record_text(init, record, 0),
    };
    unsigned flags = (unsigned)record->number[0];
    long result = syscall(SYS_seccomp, CL_SECCOMP_SET_MODE_FILTER, flags, &program);
    if (result < 0 || (result && !(flags & CL_SECCOMP_FILTER_FLAG_NEW_LISTENER)))
        fail_call(init, "", "seccomp");
    if (flags & CL_SECCOMP_FILTER_FLAG_NEW_LISTENER)
        give_listener(init, (int)result);
}
