/*
 * init.h: what the parts of corelaunch-init share: the state of the one process that this is, and what each part
 * offers to the others. Every operation of the plan is one function op_*; execute.c holds the table.
 *
 * Failure: the process has one job, so whoever cannot go on calls fail_*() (report.c), which tells the parent and
 * exits. Functions that return -1 with errno leave the decision to their caller and say so.
 */
#ifndef CORELAUNCH_INIT_H
#define CORELAUNCH_INIT_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "protocol.h"

/* The descriptor on which the parent places the sync socket. */
#define SYNC_FD 3

/* A decoded plan: pointers into its mapping, all of it checked (decode.c). */
struct plan {
    const struct cl_record *records;
    uint32_t count;
    const char *pool;
    uint32_t pool_size;
};

struct init {
    int sync;          /* sync socket, -1 after END_SYNC */
    uint32_t sent;     /* messages that this stage has sent */
    uint32_t received; /* messages that the parent has sent, to stage 0 and to us */
    uint32_t stage;
    int start_fifo;
    int error_fifo;
    struct plan plan;
    const struct cl_record *record; /* the operation at hand, NULL while bootstrapping */
    uint32_t index;
    int own_proc;       /* stage 0 only: our directory in the host's /proc */
    int root;           /* "/" of the container, also before pivot_root */
    int held;           /* the mount that is filled before ATTACH */
    int null_device;    /* verified /dev/null of the container, for MASK_PATH */
    int mask_directory; /* the empty read-only tmpfs that masks directories */
    int sysctl_proc;    /* procfs with /proc/sys: lives from one SYSCTL to the next, no longer */
    uint64_t host_propagation;
    bool entered; /* cwd was set by CHDIR */
    char executable[PATH_MAX];
    char home[PATH_MAX];
    char listen_pid[32];
    char **arguments;
    char **environment;
};

/* A bounded text under construction; what does not fit is cut, the end is always marked. */
struct text {
    char *start;
    size_t size;
    size_t length;
};

/* text.c */
struct text text_in(char *buffer, size_t size);
void text_add(struct text *text, const char *string);
void text_add_number(struct text *text, int64_t number);
void text_add_octal(struct text *text, unsigned number);
bool text_starts(const char *string, const char *prefix);

/* report.c */
_Noreturn void fail(struct init *init, const char *path, int error_number, const char *text);
_Noreturn void fail_call(struct init *init, const char *path, const char *call); /* with errno */
_Noreturn void fail_rule(struct init *init, const char *path, const char *rule); /* not the kernel's refusal */
void log_line(struct init *init, enum cl_log_level level, const char *text);
void log_call(struct init *init, const char *path, const char *call); /* a warning with errno */

/* sync.c */
void sync_send(struct init *init, enum cl_message_type type, const void *payload, size_t size, int fd);
bool sync_try_send(struct init *init, enum cl_message_type type, const void *payload, size_t size, int fd);
void sync_write(struct init *init, enum cl_message_type type, const void *payload, size_t size);
void sync_read(struct init *init, enum cl_message_type type);
enum cl_message_type sync_next(struct init *init);
int sync_receive(struct init *init, enum cl_message_type type, void *payload, size_t size, int *fds, int fd_limit);

/* stage0.c, join.c, stage2.c */
_Noreturn void run_stage0(struct init *init);
void join_namespaces(struct init *init, const int *fds, const uint32_t *types, uint32_t count);
void become_namespace_root(struct init *init);
_Noreturn void run_stage2(struct init *init, const struct cl_bootstrap *bootstrap, int go);

/* cgroups.c */
void join_cgroups(struct init *init);

/* decode.c: NULL if the plan is sound, else the rule that it breaks. Calls nothing, allocates nothing. */
const char *decode_plan(const void *data, size_t size, struct plan *plan);
static inline const char *plan_text(const struct plan *plan, uint32_t offset)
{
    return plan->pool + offset;
}
static inline const char *record_text(const struct init *init, const struct cl_record *record, int which)
{
    return plan_text(&init->plan, record->text[which]);
}

/* execute.c */
typedef void operation_function(struct init *init, const struct cl_record *record);
_Noreturn void execute_plan(struct init *init);
void load_plan(struct init *init, int fd, uint32_t size);

/* paths.c: all return -1 with errno */
int path_open(int root, const char *path, int flags, uint64_t resolve);
int path_make_directory(int root, const char *path, mode_t mode);
int path_make_file(int root, const char *path, mode_t mode);
int path_make_parent(int root, const char *path, char leaf[NAME_MAX + 1]);
int path_reopen(int fd, const char *leaf, int flags);
bool fd_is_on(int fd, long filesystem_magic);
bool fd_is_device(int fd, unsigned major_number, unsigned minor_number);

/* target.c */
int open_target(struct init *init, const char *path, bool directory, bool *existed);
void attach_mount(struct init *init, int mount, int target, const char *path, uint64_t propagation);
int ask_parent(struct init *init, const char *path);
int source_from_parent(struct init *init, const char *path);
int set_propagation(int mount, uint64_t propagation);
int set_attributes(int mount, unsigned flags, uint64_t attributes);

/* fscontext.c */
int make_filesystem(struct init *init, const struct cl_record *record, int target, bool existed);
int new_filesystem(struct init *init, const char *type, const char *path);
_Noreturn void fail_context(struct init *init, int context, const char *path, const char *call, const char *key);

/* copyup.c */
void copy_up(struct init *init, int from, int to, const char *path);

/* procfs.c */
int open_procfs(struct init *init, bool whole);
void write_procfs(struct init *init, int procfs, const char *path, const char *value);
void write_own_proc(struct init *init, const char *name, const char *value);

/* exec.c */
void close_inherited(struct init *init);
char **fill_vector(char **vector, const char *list, uint64_t count);


/* passwd.c: home directory of uid in the text of a passwd file; false if there is none. */
bool passwd_home(const char *text, size_t size, uint32_t uid, char *home, size_t home_size);
void fill_home(struct init *init, uint32_t uid);

/* hook.c */
_Noreturn void run_hook(int argc, char **argv);

/* companion.c */
_Noreturn void run_companion(char **argv);

/* source.c */
_Noreturn void run_source(void);

operation_function op_keyring, op_loopback, op_host_propagation, op_rootfs, op_mount, op_bind, op_attach, op_node,
    op_directory, op_symlink, op_file, op_hooks_point, op_pivot, op_root_propagation, op_reopen_null, op_make_cwd,
    op_console, op_remount, op_umask, op_hostname, op_domainname, op_sysctl, op_readonly_path, op_mask_path,
    op_no_new_privs, op_scheduler, op_io_priority, op_personality, op_memory_policy, op_ready_point, op_exec_label,
    op_seccomp, op_cap_bounding, op_chdir, op_user, op_caps, op_cap_ambient, op_find_executable, op_close_fds,
    op_end_sync, op_wait_start, op_hook, op_exec;

#endif
