/* seccomp_module.c: libseccomp as corelaunch.kernel.seccomp needs it. Nothing here knows OCI or Python. */
#include "seccomp_module.h"

#include <errno.h>
#include <stddef.h>

#define ARGUMENTS 6 /* of a system call */

void *cl_filter_new(uint32_t default_action)
{
    scmp_filter_ctx filter = seccomp_init(default_action);

    /* no_new_privs is an operation of the plan, not of the filter. */
    if (filter && seccomp_attr_set(filter, SCMP_FLTATR_CTL_NNP, 0) < 0) {
        seccomp_release(filter);
        return NULL;
    }
    return filter;
}

void cl_filter_free(void *filter)
{
    seccomp_release(filter);
}

int cl_filter_add_arch(void *filter, uint32_t arch)
{
    const int result = seccomp_arch_add(filter, arch);

    return result == -EEXIST ? 0 : result; /* the native one is there from the start */
}

int cl_filter_add_rule(void *filter, uint32_t action, int syscall, unsigned int count,
                       const struct cl_condition *conditions)
{
    struct scmp_arg_cmp list[ARGUMENTS];

    if (count > ARGUMENTS)
        return -E2BIG;
    for (unsigned int i = 0; i < count; i++)
        list[i] = (struct scmp_arg_cmp){
            .arg = conditions[i].argument,
            .op = (enum scmp_compare)conditions[i].op,
            .datum_a = conditions[i].value,
            .datum_b = conditions[i].value_two,
        };
    return seccomp_rule_add_array(filter, action, syscall, count, list);
}

int cl_filter_export(void *filter, int fd)
{
    return seccomp_export_bpf(filter, fd);
}

uint32_t cl_native_arch(void)
{
    return seccomp_arch_native();
}

int cl_syscall_number(uint32_t arch, const char *name)
{
    return seccomp_syscall_resolve_name_arch(arch, name);
}

uint32_t cl_libseccomp_version(void)
{
    const struct scmp_version *version = seccomp_version();

    return version->major << 16 | version->minor << 8 | version->micro;
}
