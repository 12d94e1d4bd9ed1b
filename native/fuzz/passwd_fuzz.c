/*
 * passwd_fuzz SECONDS SEED: the passwd reader against what an image may put there, under the sanitizers. A model that
 * is as plain as can be says what the answer must be.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../init.h"
#include "mutate.h"

#define HOME_SIZE 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Fields of the line [start, end) by counting colons one byte at a time; -1 if it has not seven. */
static long field(const char *start, const char *end, int wanted, size_t *length)
{
    long begin = 0, at = 0, found = -1;
    int number = 0;
    for (;; at++) {
        if (start + at == end || start[at] == ':') {
            if (number == wanted) {
                found = begin;
                *length = (size_t)(at - begin);
            }
            number++;
            begin = at + 1;
            if (start + at == end)
                break;
        }
    }
    return number == 7 ? found : -1;
}

static bool model(const char *text, size_t size, uint32_t uid, char home[HOME_SIZE])
{
    const char *end = text + size;
    char wanted[16], with_zeros[16];
    for (const char *line = text; line < end;) {
        const char *stop = line;
        size_t uid_length, home_length;
        while (stop < end && *stop != '\n')
            stop++;
        long at = field(line, stop, 2, &uid_length);
        long home_at = field(line, stop, 5, &home_length);
        if (at >= 0 && uid_length > 0 && uid_length <= 10) {
            snprintf(wanted, sizeof wanted, "%u", uid);
            snprintf(with_zeros, sizeof with_zeros, "%0*u", (int)uid_length, uid);
            if (uid_length >= strlen(wanted) && memcmp(line + at, with_zeros, uid_length) == 0) {
                if (home_length == 0 || home_length >= HOME_SIZE)
                    return false;
                memcpy(home, line + home_at, home_length);
                home[home_length] = '\0';
                return strlen(home) == home_length;
            }
        }
        line = stop + 1;
    }
    return false;
}

static bool check(const uint8_t *data, size_t size, uint32_t uid)
{
    char home[HOME_SIZE] = "", expected[HOME_SIZE] = "";
    char *exact = malloc(size ? size : 1);
    if (!exact)
        abort();
    memcpy(exact, data, size);
    bool found = passwd_home(exact, size, uid, home, sizeof home);
    bool should = model(exact, size, uid, expected);
    free(exact);
    if (found != should || (found && strcmp(home, expected) != 0)) {
        fprintf(stderr, "uid %u: found %d \"%s\", expected %d \"%s\"\n", uid, found, home, should, expected);
        fwrite(data, 1, size, stderr);
        abort();
    }
    return found;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check(data, size, 0);
    check(data, size, 1000);
    return 0;
}

#ifndef CL_LIBFUZZER

/* Lines of the right shape made of awkward parts. */
static void make(struct generator *generator, struct input *input)
{
    static const char *const PARTS[] = {"root", "x", "0", "1000", "01000", "4294967295", "4294967296", "-1", "+0",
                                        "", "/", "/home/user", " 0", "0x0", "99999999999", "a\0b", "::", "#",
                                        "/very/long/home/directory/that/does/not/fit/into/sixty-three/bytes/at/all"};
    struct text text = text_in((char *)input->bytes, 4096);
    for (uint64_t lines = draw_below(generator, 6); lines; lines--) {
        uint64_t fields = draw_below(generator, 8) ? 7 : draw_below(generator, 12);
        for (uint64_t i = 0; i < fields; i++) {
            if (i)
                text_add(&text, ":");
            text_add(&text, PARTS[draw_below(generator, sizeof PARTS / sizeof PARTS[0])]);
        }
        text_add(&text, draw_below(generator, 16) ? "\n" : "\r\n");
    }
    input->size = text.length;
    if (!draw_below(generator, 2)) {
        for (uint64_t steps = draw_below(generator, 6); steps; steps--)
            mutate_bytes(generator, input);
    }
}

int main(int argc, char **argv)
{
    static struct input input;
    static const uint32_t UIDS[] = {0, 1, 1000, UINT32_MAX};
    if (argc < 3) {
        fprintf(stderr, "usage: passwd_fuzz SECONDS SEED\n");
        return 2;
    }
    struct generator generator = {.state = strtoull(argv[2], NULL, 0) | 1};
    time_t end = time(NULL) + atoi(argv[1]);
    unsigned long runs = 0, found = 0;
    do {
        for (int i = 0; i < 1000; i++, runs++) {
            make(&generator, &input);
            found += check(input.bytes, input.size, UIDS[draw_below(&generator, 4)]);
        }
    } while (time(NULL) < end);
    printf("%lu inputs, %lu with a home\n", runs, found);
    return 0;
}

#endif
