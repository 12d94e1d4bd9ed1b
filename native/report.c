/*
 * report.c: how the init says that something went wrong. One struct cl_error, over the sync socket while there is
 * one and over the error FIFO afterwards, so that no moment of a launch is without a channel.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "init.h"

#define EXIT_FAILED 1

static void copy_cut(char *to, size_t size, const char *from)
{
    struct text text = text_in(to, size);
    text_add(&text, from);
}

_Noreturn void fail(struct init *init, const char *path, int error_number, const char *text)
{
    struct cl_error error;
    memset(&error, 0, sizeof error);
    error.magic = CL_MESSAGE_MAGIC;
    error.stage = init->stage;
    error.operation = init->record ? init->record->code : 0;
    error.operation_index = init->index;
    error.error_number = error_number;
    copy_cut(error.path, sizeof error.path, path);
    copy_cut(error.text, sizeof error.text, text);
    if (init->sync >= 0) {
        /* A parent that is gone cannot be told; the exit status is all that is left. */
        (void)sync_try_send(init, CL_MSG_ERROR, &error, sizeof error, -1);
    } else if (init->error_fifo >= 0) {
        /* Below PIPE_BUF, so the kernel writes all of it or nothing. */
        ssize_t written = write(init->error_fifo, &error, sizeof error);
        (void)written;
    }
    _exit(EXIT_FAILED);
}

_Noreturn void fail_call(struct init *init, const char *path, const char *call)
{
    fail(init, path, errno, call);
}

_Noreturn void fail_rule(struct init *init, const char *path, const char *rule)
{
    fail(init, path, 0, rule);
}

void log_line(struct init *init, enum cl_log_level level, const char *text)
{
    struct cl_log line;
    memset(&line, 0, sizeof line);
    line.level = level;
    line.operation = init->record ? init->record->code : 0;
    copy_cut(line.text, sizeof line.text, text);
    sync_send(init, CL_MSG_LOG, &line, sizeof line, -1);
}

void log_call(struct init *init, const char *path, const char *call)
{
    int saved = errno;
    char buffer[CL_ERROR_TEXT];
    struct text text = text_in(buffer, sizeof buffer);
    text_add(&text, call);
    text_add(&text, ": ");
    if (*path) {
        text_add(&text, path);
        text_add(&text, ": ");
    }
    text_add(&text, strerror(saved));
    log_line(init, CL_LOG_WARNING, buffer);
}
