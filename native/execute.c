/*
 * execute.c: takes the plan in and carries it out, one operation after the other.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "compat.h"
#include "init.h"

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

static operation_function *const OPERATIONS[CL_OP_LAST] = {
    [CL_OP_KEYRING] = op_keyring,
    [CL_OP_LOOPBACK] = op_loopback,
    [CL_OP_HOST_PROPAGATION] = op_host_propagation,
    [CL_OP_ROOTFS] = op_rootfs,
    [CL_OP_MOUNT] = op_mount,
    [CL_OP_BIND] = op_bind,
    [CL_OP_ATTACH] = op_attach,
    [CL_OP_NODE] = op_node,
    [CL_OP_DIRECTORY] = op_directory,
    [CL_OP_SYMLINK] = op_symlink,
    [CL_OP_FILE] = op_file,
    [CL_OP_HOOKS_POINT] = op_hooks_point,
    [CL_OP_PIVOT] = op_pivot,
    [CL_OP_ROOT_PROPAGATION] = op_root_propagation,
    [CL_OP_REOPEN_NULL] = op_reopen_null,
    [CL_OP_MAKE_CWD] = op_make_cwd,
    [CL_OP_CONSOLE] = op_console,
    [CL_OP_REMOUNT] = op_remount,
    [CL_OP_UMASK] = op_umask,
    [CL_OP_HOSTNAME] = op_hostname,
    [CL_OP_DOMAINNAME] = op_domainname,
    [CL_OP_SYSCTL] = op_sysctl,
    [CL_OP_READONLY_PATH] = op_readonly_path,
    [CL_OP_MASK_PATH] = op_mask_path,
    [CL_OP_NO_NEW_PRIVS] = op_no_new_privs,
    [CL_OP_SCHEDULER] = op_scheduler,
    [CL_OP_IO_PRIORITY] = op_io_priority,
    [CL_OP_PERSONALITY] = op_personality,
    [CL_OP_MEMORY_POLICY] = op_memory_policy,
    [CL_OP_READY_POINT] = op_ready_point,
    [CL_OP_EXEC_LABEL] = op_exec_label,
    [CL_OP_SECCOMP] = op_seccomp,
    [CL_OP_CAP_BOUNDING] = op_cap_bounding,
    [CL_OP_CHDIR] = op_chdir,
    [CL_OP_USER] = op_user,
    [CL_OP_CAPS] = op_caps,
    [CL_OP_CAP_AMBIENT] = op_cap_ambient,
    [CL_OP_FIND_EXECUTABLE] = op_find_executable,
    [CL_OP_CLOSE_FDS] = op_close_fds,
    [CL_OP_END_SYNC] = op_end_sync,
    [CL_OP_WAIT_START] = op_wait_start,
    [CL_OP_HOOK] = op_hook,
    [CL_OP_EXEC] = op_exec,
};

/* Maps and checks the plan. It must be sealed: what was checked is what will be executed. */
void load_plan(struct init *init, int fd, uint32_t size)
{
    struct stat status;
    int seals = fcntl(fd, F_GET_SEALS);

    if (seals < 0 || (seals & SEALS) != SEALS)
        fail_rule(init, "", "the plan is not sealed");
    if (fstat(fd, &status) < 0)
        fail_call(init, "", "fstat of the plan");
    if (size == 0 || size > CL_PLAN_LIMIT || status.st_size != (off_t)size)
        fail_rule(init, "", "the plan has another size than its message says");
    void *data = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED)
        fail_call(init, "", "mmap of the plan");
    const char *broken = decode_plan(data, size, &init->plan);
    if (broken)
        fail_rule(init, "plan", broken);
}

static void check_gate(struct init *init)
{
    for (uint32_t i = 0; i < init->plan.count; i++) {
        if (init->plan.records[i].code == CL_OP_WAIT_START && init->start_fifo < 0)
            fail_rule(init, "plan", "there is a start gate and no descriptor for it");
    }
}

/* Without ROOTFS (exec into a container, or no mount namespace) the container's root is ours. */
static void open_root(struct init *init)
{
    init->root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (init->root < 0)
        fail_call(init, "/", "open");
}

_Noreturn void execute_plan(struct init *init)
{
    check_gate(init);
    close_inherited(init);
    open_root(init);
    for (uint32_t i = 0; i < init->plan.count; i++) {
        init->index = i;
        init->record = &init->plan.records[i];
        OPERATIONS[init->record->code](init, init->record);
    }
    _exit(1); /* not reached: a sound plan ends with EXEC */
}
