/*
 * native_api.h: the functions of corelaunch._native. cffi's cdef() reads this file as it is, like protocol.h.
 * Every function returns a negative errno on failure; none of them uses Python or keeps state.
 */

extern const char cl_package_version[];

struct cl_spawn {
    int executable_fd;
    const char *const *arguments;   /* NULL-terminated */
    const char *const *environment; /* NULL-terminated */
    int *descriptors;               /* descriptors[i] becomes fd i of the child; the child overwrites this array */
    int descriptor_count;
    int cgroup_fd; /* -1: the child starts in the caller's cgroup */
    int new_process_group;
};

/* Only for the command line: a library does not change the process that it is in. */
int cl_become_subreaper(void);

int cl_spawn(const struct cl_spawn *request, int *pidfd);

struct cl_received {
    int pid; /* of the sender, from SCM_CREDENTIALS */
    uint32_t type;
    uint32_t sequence;
    uint32_t length;
    int fd_count;
    int fds[CL_MESSAGE_FDS];
    const char *problem; /* with -EPROTO: what is wrong with the datagram */
    unsigned char payload[CL_MESSAGE_LIMIT];
};

int cl_send(int fd, uint32_t type, uint32_t sequence, const void *payload, uint32_t length, const int *fds,
            int fd_count);
int cl_receive(int fd, int timeout_ms, struct cl_received *into);
int cl_socketpair(int ends[2]);

int cl_open_tree(int dirfd, const char *path, unsigned int flags);
int cl_openat2(int dirfd, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve);
int cl_map_mount(int mount, int user_namespace, int recursive);
int cl_pidfd_getfd(int pidfd, int fd);

/* bpf(2); `attributes` is a union bpf_attr, of which `size` bytes count. A descriptor is close-on-exec. */
int cl_bpf(int command, void *attributes, unsigned int size);
