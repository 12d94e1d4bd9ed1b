/*
 * exec.c: from the last word to the parent to the payload. After END_SYNC only read, write, close and execve are
 * called: a seccomp filter may be in force.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "compat.h"
#include "init.h"

static const struct cl_record *exec_record(const struct init *init)
{
    return &init->plan.records[init->plan.count - 1];
}

/* Fills `vector` with the strings of a list; returns its end, where the terminator belongs. */
char **fill_vector(char **vector, const char *list, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++, list += strlen(list) + 1)
        *vector++ = (char *)(uintptr_t)list;
    return vector;
}

static uint32_t payload_uid(const struct init *init)
{
    for (uint32_t i = 0; i < init->plan.count; i++) {
        if (init->plan.records[i].code == CL_OP_USER)
            return (uint32_t)init->plan.records[i].number[0];
    }
    return (uint32_t)syscall(SYS_geteuid);
}

/* HOME counts as missing when it is empty, as in runc. One that is there is replaced in its place. */
static char **add_home(struct init *init, char **end)
{
    static const char key[] = "HOME=";
    char **place = NULL;
    for (char **entry = init->environment; entry < end; entry++) {
        if (text_starts(*entry, key)) {
            place = entry;
            if ((*entry)[sizeof key - 1])
                return end;
        }
    }
    fill_home(init, payload_uid(init));
    if (place) {
        *place = init->home;
        return end;
    }
    *end = init->home;
    return end + 1;
}

/* sd_listen_fds(3): the sockets are for the process whose pid this is, and only here is it known as the payload sees it. */
static char **add_listen_pid(struct init *init, char **end)
{
    struct text text = text_in(init->listen_pid, sizeof init->listen_pid);
    text_add(&text, "LISTEN_PID=");
    text_add_number(&text, getpid());
    *end = init->listen_pid;
    return end + 1;
}

/*
 * Lays out argv and envp while /etc/passwd can still be reached: before the parent sets limits, before a seccomp
 * filter. The vectors are as long as the plan says, which has no useful bound for the stack.
 */
static void prepare_exec(struct init *init)
{
    const struct cl_record *record = exec_record(init);
    uint64_t arguments = record->number[0];
    uint64_t variables = record->number[1];
    size_t size = (size_t)(arguments + variables + 4) * sizeof(char *); /* two terminators, HOME, LISTEN_PID */
    char **vectors = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (vectors == MAP_FAILED)
        fail_call(init, "", "mmap");
    init->arguments = vectors;
    init->environment = fill_vector(vectors, record_text(init, record, 0), arguments) + 1;
    char **end = fill_vector(init->environment, record_text(init, record, 1), variables);
    if (record->flags & CL_FLAG_HOME)
        end = add_home(init, end);
    if (record->number[2])
        add_listen_pid(init, end);
}

/*
 * What was inherited is marked before anything else is done, what we open is close-on-exec from the start. So a filter
 * that does not know close_range (it is from 5.9) may refuse the second time, in its place in the plan.
 */
void close_inherited(struct init *init)
{
    for (uint32_t i = 0; i < init->plan.count; i++) {
        const struct cl_record *record = &init->plan.records[i];
        if (record->code == CL_OP_CLOSE_FDS &&
            sys_close_range((unsigned)record->number[0], ~0u, CL_CLOSE_RANGE_CLOEXEC) < 0)
            fail_call(init, "", "close_range");
    }
}

void op_close_fds(struct init *init, const struct cl_record *record)
{
    if (sys_close_range((unsigned)record->number[0], ~0u, CL_CLOSE_RANGE_CLOEXEC) < 0 && errno != ENOSYS &&
        errno != EPERM)
        fail_call(init, "", "close_range");
}

void op_hooks_point(struct init *init, const struct cl_record *record)
{
    (void)record;
    sync_send(init, CL_MSG_HOOKS_REACHED, NULL, 0, -1);
    sync_receive(init, CL_MSG_HOOKS_DONE, NULL, 0, NULL, 0);
}

void op_ready_point(struct init *init, const struct cl_record *record)
{
    (void)record;
    prepare_exec(init);
    sync_send(init, CL_MSG_READY, NULL, 0, -1);
    sync_receive(init, CL_MSG_RUN, NULL, 0, NULL, 0);
}

void op_end_sync(struct init *init, const struct cl_record *record)
{
    (void)record;
    int sync = init->sync;
    init->sync = -1; /* from here on fail() writes to the error FIFO */
    close(sync);
}

/* The parent holds the other end of both FIFOs only in `start`; until then, for however long, we are here. */
void op_wait_start(struct init *init, const struct cl_record *record)
{
    static const char seen = CL_START_SEEN;
    char byte;
    ssize_t got;

    (void)record;
    do
        got = read(init->start_fifo, &byte, 1);
    while (got < 0 && errno == EINTR);
    if (got != 1)
        fail_call(init, "", "read of the start gate");
    close(init->start_fifo);
    init->start_fifo = -1;
    if (init->error_fifo >= 0 && write(init->error_fifo, &seen, 1) != 1)
        _exit(1); /* there is nowhere to say it */
}

void op_exec(struct init *init, const struct cl_record *record)
{
    char buffer[CL_ERROR_TEXT];
    struct text text = text_in(buffer, sizeof buffer);

    (void)record;
    execve(init->executable, init->arguments, init->environment);
    int error_number = errno;
    text_add(&text, "exec ");
    text_add(&text, init->executable);
    fail(init, init->executable, error_number, buffer);
}
