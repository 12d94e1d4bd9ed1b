/*
 * seccomp_api.h: what corelaunch._seccomp offers of libseccomp (seccomp(3)). cffi's cdef() reads this file as it is.
 * Functions return a negative errno on failure.
 */

struct cl_condition {
    unsigned int argument;
    int op; /* enum scmp_compare */
    uint64_t value;
    uint64_t value_two;
};

void *cl_filter_new(uint32_t default_action);
void cl_filter_free(void *filter);
int cl_filter_add_arch(void *filter, uint32_t arch);
int cl_filter_add_rule(void *filter, uint32_t action, int syscall, unsigned int count,
                       const struct cl_condition *conditions);
int cl_filter_export(void *filter, int fd);
uint32_t cl_native_arch(void);
int cl_syscall_number(uint32_t arch, const char *name);
uint32_t cl_libseccomp_version(void);
