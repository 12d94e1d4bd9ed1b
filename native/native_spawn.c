/*
 * native_spawn.c: starts a child from a process that may have threads, without copying its memory.
 *
 * clone3(CLONE_VM | CLONE_VFORK): the child borrows our memory on a stack of its own while this thread waits, so
 * it may only make system calls. It has its own table of descriptors. What posix_spawn(3) lacks, and why this
 * exists: CLONE_INTO_CGROUP, CLONE_PIDFD, descriptors that land on numbers of their own, everything else closed.
 */
#define _GNU_SOURCE
#include "native_module.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdalign.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#ifndef CLONE_CLEAR_SIGHAND
#define CLONE_CLEAR_SIGHAND 0x100000000ULL
#endif
#ifndef CLONE_INTO_CGROUP
#define CLONE_INTO_CGROUP 0x200000000ULL
#endif

#define FREE_FD_NUMBERS 64 /* descriptors wait above this number, so that none is overwritten on its way down */
#define CHILD_STACK 16384
#define KERNEL_SIGSET 8 /* bytes in the kernel's sigset_t, not libc's */

/* What parent and child share; the child writes `error` before it exits, and exec leaves it 0. */
struct child {
    const struct cl_spawn *request;
    volatile int error;
};

static int fail(struct child *child)
{
    child->error = errno;
    return 127;
}

static int place_descriptors(const struct cl_spawn *request, int *executable_fd)
{
    const int count = request->descriptor_count;
    const int base = count + 1 > FREE_FD_NUMBERS ? count + 1 : FREE_FD_NUMBERS;

    *executable_fd = fcntl(request->executable_fd, F_DUPFD_CLOEXEC, base);
    if (*executable_fd < 0)
        return -1;
    for (int i = 0; i < count; i++) {
        request->descriptors[i] = fcntl(request->descriptors[i], F_DUPFD_CLOEXEC, base);
        if (request->descriptors[i] < 0)
            return -1;
    }
    for (int i = 0; i < count; i++)
        if (dup2(request->descriptors[i], i) < 0)
            return -1;
    *executable_fd = dup3(*executable_fd, count, O_CLOEXEC);
    if (*executable_fd < 0)
        return -1;
    return (int)syscall(SYS_close_range, (unsigned int)count + 1, ~0U, 0);
}

/* Runs in the child, in our memory: system calls only, no locks, no allocation, nothing of Python. */
static int run_child(void *argument)
{
    struct child *child = argument;
    const struct cl_spawn *request = child->request;
    const unsigned long long no_signals = 0;
    int executable_fd;

    if (request->new_process_group && setpgid(0, 0) < 0)
        return fail(child);
    if (place_descriptors(request, &executable_fd) < 0)
        return fail(child);
    /* Safe now: CLONE_CLEAR_SIGHAND has made every handler the default, none can run in our parent's memory. */
    if (syscall(SYS_rt_sigprocmask, SIG_SETMASK, &no_signals, NULL, KERNEL_SIGSET) < 0)
        return fail(child);
    syscall(SYS_execveat, executable_fd, "", request->arguments, request->environment, AT_EMPTY_PATH);
    return fail(child);
}

/*
 * clone3(2) with a stack for the child: on it the child calls run(argument) and exits with what that returns.
 * C cannot say this: the child comes back from the system call without the frame that made it.
 */
static long clone3_on_stack(struct clone_args *arguments, int (*run)(void *), void *argument)
{
#if defined(__x86_64__)
    long result = SYS_clone3;
    register int (*entry)(void *) __asm__("r8") = run;
    register void *passed __asm__("r9") = argument;

    __asm__ volatile("syscall\n\t"
                     "testq %%rax, %%rax\n\t"
                     "jnz 1f\n\t"
                     "xorl %%ebp, %%ebp\n\t"
                     "movq %%r9, %%rdi\n\t"
                     "callq *%%r8\n\t"
                     "movl %%eax, %%edi\n\t"
                     "movl %[exit], %%eax\n\t"
                     "syscall\n\t"
                     "ud2\n"
                     "1:"
                     : "+a"(result)
                     : "D"(arguments), "S"(sizeof *arguments), "r"(entry), "r"(passed), [exit] "i"(SYS_exit)
                     : "rcx", "r11", "cc", "memory");
    return result;
#elif defined(__aarch64__)
    register long result __asm__("x0") = (long)arguments;
    register long size __asm__("x1") = sizeof *arguments;
    register long number __asm__("x8") = SYS_clone3;
    register int (*entry)(void *) __asm__("x10") = run;
    register void *passed __asm__("x11") = argument;

    __asm__ volatile("svc #0\n\t"
                     "cbnz x0, 1f\n\t"
                     "mov x29, xzr\n\t"
                     "mov x0, x11\n\t"
                     "blr x10\n\t"
                     "mov x8, %[exit]\n\t"
                     "svc #0\n\t"
                     "brk #1\n"
                     "1:"
                     : "+r"(result)
                     : "r"(size), "r"(number), "r"(entry), "r"(passed), [exit] "i"(SYS_exit)
                     : "cc", "memory");
    return result;
#else
#error "corelaunch needs a clone3 entry for this architecture"
#endif
}

/* Reap a child that never became a program; ECHILD (the caller ignores SIGCHLD) is as good. */
static void reap(pid_t pid)
{
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        continue;
}

int cl_spawn(const struct cl_spawn *request, int *pidfd)
{
    alignas(16) unsigned char stack[CHILD_STACK];
    const unsigned long long all_signals = ~0ULL;
    unsigned long long previous = 0;
    struct child child = {.request = request, .error = 0};
    int descriptor = -1;
    struct clone_args arguments = {
        .flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD | CLONE_CLEAR_SIGHAND,
        .pidfd = (uint64_t)(uintptr_t)&descriptor,
        .exit_signal = SIGCHLD,
        .stack = (uint64_t)(uintptr_t)stack,
        .stack_size = sizeof stack,
    };

    if (request->cgroup_fd >= 0) {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = (uint64_t)request->cgroup_fd;
    }
    /* The raw call: libc's keeps its own two signals unblocked, and their handlers must not run in the child. */
    if (syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all_signals, &previous, KERNEL_SIGSET) < 0)
        return -errno;
    const long pid = clone3_on_stack(&arguments, run_child, &child);
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &previous, NULL, KERNEL_SIGSET);
    if (pid < 0)
        return (int)pid;
    if (child.error) {
        reap((pid_t)pid);
        close(descriptor);
        return -child.error;
    }
    *pidfd = descriptor;
    return (int)pid;
}
