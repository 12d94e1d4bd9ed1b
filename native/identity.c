/*
 * identity.c: who the payload is: ids, groups, capabilities, working directory. Raw system calls throughout: the C
 * library's would synchronise threads that do not exist.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "compat.h"
#include "init.h"

#define CAPABILITIES 64

void op_no_new_privs(struct init *init, const struct cl_record *record)
{
    (void)record;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        fail_call(init, "", "prctl PR_SET_NO_NEW_PRIVS");
}

void op_cap_bounding(struct init *init, const struct cl_record *record)
{
    for (int capability = 0; capability < CAPABILITIES; capability++) {
        int there = prctl(PR_CAPBSET_READ, capability, 0, 0, 0);
        if (there < 0)
            return; /* the kernel knows no further ones */
        if (there && !(record->number[0] >> capability & 1) && prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0)
            fail_call(init, "", "prctl PR_CAPBSET_DROP");
    }
}

/* The payload must be able to reopen its own streams. What cannot be given away keeps its owner. */
static void own_streams(struct init *init, uid_t uid)
{
    struct stat status;
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fstat(fd, &status) < 0) {
            if (errno == EBADF)
                continue;
            fail_call(init, "", "fstat of a standard stream");
        }
        /* The null device is everybody's, and may be the host's own inode. */
        if (status.st_uid == uid || fd_is_device(fd, 1, 3))
            continue;
        /* EINVAL: its owner has no name in our user namespace. The group stays: a terminal's is tty. */
        if (fchown(fd, uid, (gid_t)-1) < 0 && errno != EPERM && errno != EROFS && errno != EINVAL)
            fail_call(init, "", "fchown of a standard stream");
    }
}

static void set_groups(struct init *init, const struct cl_record *record)
{
    /* The kernel copies the list from the plan as it lies there, aligned or not. */
    if (syscall(SYS_setgroups, record->blob_size / sizeof(uint32_t), record_text(init, record, 0)) < 0)
        fail_call(init, "", "setgroups");
}

void op_user(struct init *init, const struct cl_record *record)
{
    uid_t uid = (uid_t)record->number[0];
    gid_t gid = (gid_t)record->number[1];

    own_streams(init, uid);
    if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
        fail_call(init, "", "prctl PR_SET_KEEPCAPS");
    if (record->flags & CL_FLAG_SET_GROUPS)
        set_groups(init, record);
    if (syscall(SYS_setresgid, gid, gid, gid) < 0)
        fail_call(init, "", "setresgid");
    if (syscall(SYS_setresuid, uid, uid, uid) < 0)
        fail_call(init, "", "setresuid");
}

void op_caps(struct init *init, const struct cl_record *record)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    struct __user_cap_data_struct data[2];
    for (int word = 0; word < 2; word++) {
        data[word].effective = (uint32_t)(record->number[0] >> (32 * word));
        data[word].permitted = (uint32_t)(record->number[1] >> (32 * word));
        data[word].inheritable = (uint32_t)(record->number[2] >> (32 * word));
    }
    if (prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) < 0)
        fail_call(init, "", "prctl PR_SET_KEEPCAPS");
    if (syscall(SYS_capset, &head, data) < 0)
        fail_call(init, "", "capset");
}

/* The kernel or a security module may refuse ambient capabilities; the payload then starts without, and we say so. */
void op_cap_ambient(struct init *init, const struct cl_record *record)
{
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
        log_call(init, "", "prctl PR_CAP_AMBIENT_CLEAR_ALL");
    for (int capability = 0; capability < CAPABILITIES; capability++) {
        if ((record->number[0] >> capability & 1) && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0) < 0)
            log_call(init, "", "prctl PR_CAP_AMBIENT_RAISE");
    }
}

/*
 * CVE-2024-21626: a working directory that leads through a leaked descriptor to the host. The kernel calls such a
 * place "(unreachable)", or does not find it.
 */
static void check_cwd(struct init *init, const char *path)
{
    char cwd[PATH_MAX];
    if (syscall(SYS_getcwd, cwd, sizeof cwd) < 0)
        fail_call(init, path, "getcwd: the working directory is outside of the container");
    if (cwd[0] != '/')
        fail_rule(init, path, "the working directory is outside of the container");
}

/* runc's words, which engines look for. */
static _Noreturn void refuse_cwd(struct init *init, const char *path)
{
    int saved = errno;
    char buffer[CL_ERROR_TEXT];
    struct text text = text_in(buffer, sizeof buffer);
    text_add(&text, "chdir to cwd (\"");
    text_add(&text, path);
    text_add(&text, "\") set in config.json failed");
    fail(init, "", saved, buffer);
}

/* A filter that is in force by now may not know openat2; check_cwd() then stands alone. */
static int enter(const char *path)
{
    struct cl_open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC, .resolve = CL_RESOLVE_NO_MAGICLINKS};
    CLEANUP_FD int fd = sys_openat2(AT_FDCWD, path, &how);
    if (fd < 0 && (errno == ENOSYS || errno == EPERM))
        return chdir(path);
    return fd < 0 ? -1 : fchdir(fd);
}

void op_chdir(struct init *init, const struct cl_record *record)
{
    const char *path = record_text(init, record, 0);
    /* Root got in before the user change; the user need not be able to. */
    if (init->entered)
        return check_cwd(init, path);
    if (enter(path) < 0) {
        if ((record->flags & CL_FLAG_TENTATIVE) && errno == EACCES)
            return;
        refuse_cwd(init, path);
    }
    init->entered = true;
    check_cwd(init, path);
}
