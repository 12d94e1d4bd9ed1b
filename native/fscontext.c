/*
 * fscontext.c: a new filesystem from fsopen to a detached mount, and the words of the kernel when it refuses.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "compat.h"
#include "init.h"

/* The kernel copies at most this much of a value. */
#define VALUE_LIMIT 255
#define KEY_LIMIT 255

/* Appends the messages that the filesystem left: they name the option and the reason, errno only says EINVAL. */
static void add_kernel_log(struct text *text, int context)
{
    char message[256];
    ssize_t length;
    while ((length = read(context, message, sizeof message - 1)) > 2) {
        message[length] = '\0';
        /* "e " error, "w " warning, "i " information */
        if (message[length - 1] == '\n')
            message[length - 1] = '\0';
        text_add(text, ": ");
        text_add(text, message + 2);
    }
}

_Noreturn void fail_context(struct init *init, int context, const char *path, const char *call, const char *key)
{
    int saved = errno;
    char buffer[CL_ERROR_TEXT];
    struct text text = text_in(buffer, sizeof buffer);
    text_add(&text, call);
    if (*key) {
        text_add(&text, " ");
        text_add(&text, key);
    }
    add_kernel_log(&text, context);
    fail(init, path, saved, buffer);
}

int new_filesystem(struct init *init, const char *type, const char *path)
{
    int context = sys_fsopen(type);
    if (context >= 0)
        return context;
    if (errno == ENODEV)
        fail(init, path, ENODEV, "fsopen: unknown filesystem type");
    int saved = errno;
    char buffer[CL_ERROR_TEXT];
    struct text text = text_in(buffer, sizeof buffer);
    text_add(&text, "fsopen ");
    text_add(&text, type);
    fail(init, path, saved, buffer);
}

/* "key=value" or a bare flag. A value may be empty; only the first "=" parts it from the key. */
static void set_option(struct init *init, int context, const char *option, const char *path)
{
    char key[KEY_LIMIT + 1];
    const char *equals = strchr(option, '=');
    int result;

    if (!equals) {
        if (sys_fsconfig(context, CL_FSCONFIG_SET_FLAG, option, NULL) < 0)
            fail_context(init, context, path, "fsconfig", option);
        return;
    }
    size_t length = (size_t)(equals - option);
    if (length > KEY_LIMIT || strlen(equals + 1) > VALUE_LIMIT)
        fail(init, path, EINVAL, "fsconfig: an option is longer than 255 bytes");
    memcpy(key, option, length);
    key[length] = '\0';
    result = sys_fsconfig(context, CL_FSCONFIG_SET_STRING, key, equals + 1);
    if (result < 0)
        fail_context(init, context, path, "fsconfig", option);
}

/* Filesystems without a device may not know "source", or take it only once; for the others it is decisive. */
static void set_source(struct init *init, int context, const char *source, const char *path)
{
    if (!*source || sys_fsconfig(context, CL_FSCONFIG_SET_STRING, "source", source) == 0 || errno == EINVAL)
        return;
    fail_context(init, context, path, "fsconfig source", source);
}

/* tmpfs would open the directory to everybody (01777); the image said what mode it wants there. */
static void keep_mode(struct init *init, int context, int target, const char *path)
{
    struct stat status;
    char mode[8];
    struct text text = text_in(mode, sizeof mode);
    if (fstat(target, &status) < 0)
        fail_call(init, path, "fstat");
    text_add_octal(&text, status.st_mode & 07777);
    if (sys_fsconfig(context, CL_FSCONFIG_SET_STRING, "mode", mode) < 0)
        fail_context(init, context, path, "fsconfig mode", mode);
}

/*
 * Configures and makes the filesystem of a MOUNT record. Returns the detached mount, or -1 with errno if the kernel
 * refuses to make it and the record says that this is no error.
 */
int make_filesystem(struct init *init, const struct cl_record *record, int target, bool existed)
{
    const char *type = record_text(init, record, 0);
    const char *path = record_text(init, record, 2);
    const char *option = record_text(init, record, 3);
    bool fallback = record->flags & CL_FLAG_FALLBACK_BIND;
    bool wants_mode = strcmp(type, "tmpfs") == 0 && existed;
    CLEANUP_FD int context = new_filesystem(init, type, path);

    set_source(init, context, fallback ? type : record_text(init, record, 1), path);
    for (uint64_t i = 0; i < record->number[2]; i++, option += strlen(option) + 1) {
        set_option(init, context, option, path);
        wants_mode &= !text_starts(option, "mode=");
    }
    if (wants_mode)
        keep_mode(init, context, target, path);
    if ((record->flags & CL_FLAG_SUPER_READONLY) && sys_fsconfig(context, CL_FSCONFIG_SET_FLAG, "ro", NULL) < 0)
        fail_context(init, context, path, "fsconfig", "ro");
    if (sys_fsconfig(context, CL_FSCONFIG_CMD_CREATE, NULL, NULL) < 0) {
        if (fallback && (errno == EPERM || errno == EBUSY))
            return -1;
        fail_context(init, context, path, "fsconfig create", type);
    }
    int mount = sys_fsmount(context, (unsigned)(record->number[0] & UINT32_MAX));
    if (mount < 0 && !(fallback && (errno == EPERM || errno == EBUSY)))
        fail_context(init, context, path, "fsmount", type);
    return mount;
}
