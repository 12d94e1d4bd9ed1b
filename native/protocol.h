/*
 * protocol.h: everything that the parent (Python, through cffi) and corelaunch-init (C) must agree on.
 *
 * cffi's cdef() reads this file as it is, so it holds only enums, plain structs and integer #defines:
 * no #include, no guards, no expressions that need a preprocessor. The C sources include it through
 * init.h. Whoever changes a number here changes CL_PROTOCOL_VERSION too.
 */

#define CL_PROTOCOL_VERSION 2
#define CL_MESSAGE_MAGIC 0x434c4d47
#define CL_MESSAGE_LIMIT 4096
#define CL_MESSAGE_FDS 16
#define CL_PLAN_MAGIC 0x434c504e
#define CL_PLAN_LIMIT 16777216
#define CL_PLAN_OPERATIONS 65536
#define CL_JOIN_LIMIT 8
#define CL_HOOK_SECONDS 2000000
#define CL_SECCOMP_NEW_LISTENER 8
#define CL_ERROR_PATH 1024
#define CL_ERROR_TEXT 1024
#define CL_SYNC_FD_ARGUMENT 1

/*
 * The sync socket is a SOCK_SEQPACKET pair: one datagram is one message, at most CL_MESSAGE_LIMIT bytes,
 * this header and then `length` bytes of payload. `sequence` counts the messages of one sender from 1; stage 0
 * and stage 2 are two senders. Stage 2 waits until stage 0 has sent STAGE2 (a pipe that stage 0 closes), so that
 * INIT_ALIVE never overtakes it.
 *
 *   message            direction       payload             descriptors            answered by
 *   HELLO              init -> parent  cl_hello            -                      (CGROUPS) BOOTSTRAP
 *   CGROUPS            parent -> init  -                   "tasks" files to join CGROUPS_JOINED
 *   CGROUPS_JOINED     init -> parent  -                   -                      BOOTSTRAP
 *   BOOTSTRAP          parent -> init  cl_bootstrap        namespaces to join     (MAPPINGS_WANTED) STAGE2
 *   MAPPINGS_WANTED    init -> parent  -                   -                      MAPPINGS_WRITTEN
 *   MAPPINGS_WRITTEN   parent -> init  -                   -                      -
 *   STAGE2             init -> parent  -                   pidfd of stage 2       -
 *   INIT_ALIVE         init -> parent  -                   netlink socket, asked  PLAN
 *   PLAN               parent -> init  cl_plan_message     plan, start, error     -
 *   SOURCE_WANTED      init -> parent  cl_index            -                      SOURCE
 *   SOURCE             parent -> init  cl_index            detached mount or root -
 *   HOOKS_REACHED      init -> parent  -                   -                      HOOKS_DONE
 *   HOOKS_DONE         parent -> init  -                   -                      -
 *   CONSOLE            init -> parent  -                   pty master             -
 *   READY              init -> parent  -                   -                      RUN
 *   RUN                parent -> init  -                   -                      end of sync (EOF)
 *   SECCOMP            init -> parent  cl_listener         -                      SECCOMP_DONE
 *   SECCOMP_DONE       parent -> init  -                   -                      -
 *   LOG                init -> parent  cl_log              -                      -
 *   ERROR              init -> parent  cl_error            -                      end of sync (EOF)
 */
enum cl_message_type {
    CL_MSG_HELLO = 1,
    CL_MSG_BOOTSTRAP = 2,
    CL_MSG_MAPPINGS_WANTED = 3,
    CL_MSG_MAPPINGS_WRITTEN = 4,
    CL_MSG_STAGE2 = 5,
    CL_MSG_INIT_ALIVE = 6,
    CL_MSG_PLAN = 7,
    CL_MSG_SOURCE_WANTED = 8,
    CL_MSG_SOURCE = 9,
    CL_MSG_HOOKS_REACHED = 10,
    CL_MSG_HOOKS_DONE = 11,
    CL_MSG_CONSOLE = 12,
    CL_MSG_READY = 13,
    CL_MSG_RUN = 14,
    CL_MSG_LOG = 15,
    CL_MSG_ERROR = 16,
    CL_MSG_CGROUPS = 17,       /* stage 0 writes "0" to each descriptor: joining by itself, by "tasks", it need not wait for an */
    CL_MSG_CGROUPS_JOINED = 18,/* RCU grace period (5 ms), which a write of its pid to cgroup.procs by anybody must (cgroup v1) */
    CL_MSG_SECCOMP = 19,
    CL_MSG_SECCOMP_DONE = 20
};

struct cl_message {
    uint32_t magic;
    uint16_t version;
    uint16_t type;
    uint32_t sequence;
    uint32_t length;
};

struct cl_hello {
    uint32_t protocol_version;
    uint32_t operation_count; /* CL_OP_LAST - 1: an init built from another header is refused by name */
};

enum cl_bootstrap_flag {
    CL_BOOT_OOM_SCORE_ADJ = 1,    /* oom_score_adj is to be written (by stage 0: before it is non-dumpable) */
    CL_BOOT_NETLINK = 2,          /* stage 2 opens a NETLINK_ROUTE SOCK_DGRAM socket and sends it with INIT_ALIVE */
    CL_BOOT_NON_DUMPABLE = 4,     /* joining namespaces of a running container: CVE-2016-9962 */
    CL_BOOT_TIME_OFFSETS = 8,     /* write timens_offsets after unshare(CLONE_NEWTIME), before the fork of stage 2 */
    CL_BOOT_NO_SETGROUPS = 16     /* rootless without a helper: setgroups is "deny" in the new user namespace */
};

struct cl_bootstrap {
    uint32_t flags;
    uint32_t new_namespaces;            /* CLONE_NEW* bits to unshare */
    uint32_t join_count;                /* as many descriptors come with the message, in this order */
    uint32_t join_types[CL_JOIN_LIMIT]; /* CLONE_NEW* of each */
    int32_t oom_score_adj;
    int64_t monotonic_seconds;
    int64_t monotonic_nanoseconds;
    int64_t boottime_seconds;
    int64_t boottime_nanoseconds;
};

/* Descriptors of PLAN: the sealed plan, then as the flags say. */
enum cl_plan_flag {
    CL_PLAN_START_FIFO = 1, /* next descriptor: FIFO opened O_RDWR by the parent, read by WAIT_START */
    CL_PLAN_ERROR_FIFO = 2  /* next descriptor: FIFO (create) or pipe (exec): errors after the end of sync */
};

struct cl_plan_message {
    uint32_t flags;
    uint32_t size;
};

struct cl_listener {
    int32_t fd; /* in the init's table; the parent takes it out (pidfd_getfd): the filter may forbid sendmsg */
};

struct cl_index {
    uint32_t operation; /* index into the plan: the only way in which the child names a thing */
};

enum cl_log_level { CL_LOG_DEBUG = 0, CL_LOG_INFO = 1, CL_LOG_WARNING = 2, CL_LOG_ERROR = 3 };

struct cl_log {
    uint32_t level;
    uint32_t operation;
    char text[CL_ERROR_TEXT];
};

enum cl_stage { CL_STAGE_0 = 0, CL_STAGE_2 = 2 };

/* What went wrong in the child: ERROR on the sync socket, or the same struct on the error FIFO after its end. */
struct cl_error {
    uint32_t magic; /* CL_MESSAGE_MAGIC: the error FIFO carries no header */
    uint32_t stage;
    uint32_t operation;      /* enum cl_operation; 0 while bootstrapping */
    uint32_t operation_index;
    int32_t error_number;    /* 0: not the kernel's refusal, see text */
    char path[CL_ERROR_PATH];
    char text[CL_ERROR_TEXT]; /* the call or rule that failed: "move_mount", "executable file not found in $PATH" */
};

/* One byte on the error FIFO, before any cl_error: start was seen, what follows is the payload's own execve. */
#define CL_START_SEEN 83

/*
 * The plan: header, operations of a fixed size, then a pool of text and blobs. The decoder checks all of it
 * before the first operation runs: magic, version, sizes, each offset, each list, the order of the points.
 * The pool begins and ends with a zero byte, so every offset inside it is a terminated string and 0 is "none".
 */
struct cl_plan {
    uint32_t magic;
    uint32_t version;
    uint32_t size; /* of the whole plan */
    uint32_t operation_count;
    uint32_t pool_offset;
    uint32_t pool_size;
};

struct cl_record {
    uint16_t code;  /* enum cl_operation */
    uint16_t flags; /* enum cl_operation_flag */
    uint32_t blob_size;
    uint32_t text[4]; /* offsets into the pool */
    uint64_t number[3];
};

enum cl_operation_flag {
    CL_FLAG_HOLD = 1,           /* MOUNT: keep it detached as the held mount; ATTACH puts it in place */
    CL_FLAG_IN_HELD = 2,        /* NODE, DIRECTORY, SYMLINK, FILE: inside the held mount, not the rootfs */
    CL_FLAG_RECURSIVE = 4,      /* BIND: rbind. REMOUNT: the whole tree */
    CL_FLAG_FROM_PARENT = 8,    /* BIND, ROOTFS: the parent clones the source (SOURCE_WANTED): we may not reach it.
                                 * ROOTFS with CHROOT (exec): the parent opens it */
    CL_FLAG_PLAIN_TARGET = 16,  /* MOUNT: no symlink anywhere in the target (proc, sysfs: CVE-2019-19921, CVE-2023-27561) */
    CL_FLAG_ALLOW_PROC = 32,    /* MOUNT, BIND: the target may be on procfs (the fixed list of files, or /proc itself) */
    CL_FLAG_SUPER_READONLY = 64,/* MOUNT: also the superblock */
    CL_FLAG_TENTATIVE = 128,    /* CHDIR: EACCES before the user change is not an error */
    CL_FLAG_COPY_UP = 256,      /* MOUNT tmpfs: tmpcopyup */
    CL_FLAG_NO_PIVOT = 512,     /* PIVOT: MS_MOVE and chroot (a ramdisk as root) */
    CL_FLAG_CHROOT = 1024,      /* ROOTFS, PIVOT: no mount namespace of its own, so nothing is mounted */
    CL_FLAG_SET_GROUPS = 2048,  /* USER: call setgroups, also with an empty list */
    CL_FLAG_HOME = 4096,        /* EXEC: fill in HOME from the container's /etc/passwd */
    CL_FLAG_BIND_CONSOLE = 8192,/* CONSOLE: bind the pty on /dev/console */
    CL_FLAG_FALLBACK_BIND = 16384 /* MOUNT cgroup2: on EPERM or EBUSY bind text[1] of the host instead */
};

/*
 * Operations, in the order in which a plan may name them. "attr" is MOUNT_ATTR_* to set in the low 32 bits
 * and to clear in the high 32; "propagation" is MS_SHARED|SLAVE|PRIVATE|UNBINDABLE, with MS_REC if recursive.
 * A list is `count` strings one behind the other in the pool.
 */
enum cl_operation {
    CL_OP_KEYRING = 1,           /* text0 name of the new session keyring */
    CL_OP_LOOPBACK = 2,          /* lo up in a new network namespace */
    CL_OP_HOST_PROPAGATION = 3,  /* number0 propagation of "/" before anything is mounted */
    CL_OP_ROOTFS = 4,            /* text0 absolute host path. Makes it a mount point and the root of all that follows */
    CL_OP_MOUNT = 5,             /* text0 fstype, text1 source, text2 target, text3 options (list), number0 attr, number1 propagation, number2 option count */
    CL_OP_BIND = 6,              /* text1 host source, text2 target, number0 attr, number1 attr of the whole tree, number2 propagation */
    CL_OP_ATTACH = 7,            /* text2 target, number1 propagation: the held mount goes there */
    CL_OP_NODE = 8,              /* text0 path, number0 mode with S_IFMT, number1 major << 32 | minor, number2 uid << 32 | gid */
    CL_OP_DIRECTORY = 9,         /* text0 path, number0 mode */
    CL_OP_SYMLINK = 10,          /* text0 where it points, text1 path */
    CL_OP_FILE = 11,             /* text0 path, number0 mode: an empty file (target of a node bind) */
    CL_OP_HOOKS_POINT = 12,
    CL_OP_PIVOT = 13,
    CL_OP_ROOT_PROPAGATION = 14, /* number0 propagation */
    CL_OP_REOPEN_NULL = 15,      /* stdio on the host's /dev/null moves to the container's */
    CL_OP_MAKE_CWD = 16,         /* text0 path, made with mkdir -p */
    CL_OP_CONSOLE = 17,          /* number0 rows << 16 | columns, 0 = leave. Sends CONSOLE, becomes stdio and controlling tty */
    CL_OP_REMOUNT = 18,          /* text0 path in the container, number0 attr */
    CL_OP_UMASK = 19,            /* number0 */
    CL_OP_HOSTNAME = 20,         /* text0 */
    CL_OP_DOMAINNAME = 21,       /* text0 */
    CL_OP_SYSCTL = 22,           /* text0 path below /proc/sys, text1 value */
    CL_OP_READONLY_PATH = 23,    /* text0; a missing path is skipped */
    CL_OP_MASK_PATH = 24,        /* text0; a missing path is skipped */
    CL_OP_NO_NEW_PRIVS = 25,
    CL_OP_SCHEDULER = 26,        /* blob at text0: struct sched_attr */
    CL_OP_IO_PRIORITY = 27,      /* number0 the kernel's class << 13 | priority */
    CL_OP_PERSONALITY = 28,      /* number0 */
    CL_OP_MEMORY_POLICY = 29,    /* number0 mode, number1 maxnode, blob at text0: node mask */
    CL_OP_READY_POINT = 30,
    CL_OP_EXEC_LABEL = 31,       /* text0 file below /proc/thread-self/attr, text1 value */
    CL_OP_SECCOMP = 32,          /* blob at text0: struct sock_filter[], number0 flags of seccomp(2). With NEW_LISTENER it sends SECCOMP, so END_SYNC comes later */
    CL_OP_CAP_BOUNDING = 33,     /* number0 mask that stays */
    CL_OP_CHDIR = 34,            /* text0 */
    CL_OP_USER = 35,             /* number0 uid, number1 gid, blob at text0: uint32_t additional groups. Keeps capabilities over the change */
    CL_OP_CAPS = 36,             /* number0 effective, number1 permitted, number2 inheritable */
    CL_OP_CAP_AMBIENT = 37,      /* number0 mask */
    CL_OP_FIND_EXECUTABLE = 38,  /* text0 args[0], text1 PATH of the container's environment */
    CL_OP_CLOSE_FDS = 39,        /* number0 lowest descriptor that is made close-on-exec */
    CL_OP_END_SYNC = 40,
    CL_OP_WAIT_START = 41,       /* blocks until a byte comes over the start FIFO */
    CL_OP_EXEC = 42,             /* text0 arguments (list), number0 count, text1 environment (list), number1 count, number2 1: LISTEN_PID is added (our pid: sd_listen_fds(3)) */
    CL_OP_HOOK = 43,             /* text0 list: JSON path, path, arguments; number0 its count. text1 environment (list), number1 count, number2 time-out in seconds, text2 and text3 the state before and after the pid. Comes between HOOKS_POINT and PIVOT (createContainer: cwd is the root filesystem) or after WAIT_START (startContainer) */
    CL_OP_LAST = 44
};
