/*
 * passwd.c: HOME from the container's /etc/passwd. The file is the image's: it may be anything, so it is read up to a
 * bound, by number only (CVE-2016-3697: a user *named* "1000"), and a line that is no entry is passed over.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "init.h"

#define PASSWD_LIMIT (1 << 20)
#define FIELDS 7
#define UID_FIELD 2
#define HOME_FIELD 5

struct field {
    const char *start;
    size_t length;
};

/* Splits a line at its colons; false unless it has exactly the fields of passwd(5). */
static bool split(const char *line, const char *end, struct field fields[FIELDS])
{
    for (int i = 0; i < FIELDS; i++) {
        const char *colon = memchr(line, ':', (size_t)(end - line));
        const char *stop = colon ? colon : end;
        fields[i] = (struct field){.start = line, .length = (size_t)(stop - line)};
        if (!colon)
            return i == FIELDS - 1;
        line = colon + 1;
    }
    return false;
}

/* Digits only, all of them, no overflow. */
static bool is_number(const struct field *field, uint32_t number)
{
    uint64_t value = 0;
    if (field->length == 0 || field->length > 10)
        return false;
    for (size_t i = 0; i < field->length; i++) {
        if (field->start[i] < '0' || field->start[i] > '9')
            return false;
        value = value * 10 + (uint64_t)(field->start[i] - '0');
    }
    return value == number;
}

bool passwd_home(const char *text, size_t size, uint32_t uid, char *home, size_t home_size)
{
    const char *end = text + size;
    for (const char *line = text; line < end;) {
        struct field fields[FIELDS];
        const char *newline = memchr(line, '\n', (size_t)(end - line));
        const char *stop = newline ? newline : end;
        if (split(line, stop, fields) && is_number(&fields[UID_FIELD], uid)) {
            const struct field *found = &fields[HOME_FIELD];
            if (found->length == 0 || found->length >= home_size || memchr(found->start, '\0', found->length))
                return false;
            memcpy(home, found->start, found->length);
            home[found->length] = '\0';
            return true;
        }
        line = newline ? newline + 1 : end;
    }
    return false;
}

static size_t read_up_to(int fd, char *buffer, size_t size)
{
    size_t used = 0;
    while (used < size) {
        ssize_t got = read(fd, buffer + used, size - used);
        if (got <= 0)
            break;
        used += (size_t)got;
    }
    return used;
}

/* Leaves "HOME=..." in init->home; "/" if the file says nothing, as runc has it. */
void fill_home(struct init *init, uint32_t uid)
{
    static char buffer[PASSWD_LIMIT];
    static const char key[] = "HOME=";
    char *value = init->home + sizeof key - 1;
    size_t room = sizeof init->home - (sizeof key - 1);
    struct stat status;

    memcpy(init->home, key, sizeof key);
    memcpy(value, "/", 2);
    /* Not blocking on a FIFO; what is no regular file is not read at all. */
    CLEANUP_FD int fd = path_open(init->root, "/etc/passwd", O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
    if (fd < 0 || fstat(fd, &status) < 0 || !S_ISREG(status.st_mode))
        return;
    size_t size = read_up_to(fd, buffer, sizeof buffer);
    if (!passwd_home(buffer, size, uid, value, room))
        memcpy(value, "/", 2);
}
