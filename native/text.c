/*
 * text.c: bounded text without stdio, whose formatted output would be a third of this program.
 */
#include <string.h>

#include "init.h"

struct text text_in(char *buffer, size_t size)
{
    buffer[0] = '\0';
    return (struct text){.start = buffer, .size = size, .length = 0};
}

void text_add(struct text *text, const char *string)
{
    size_t room = text->size - text->length - 1;
    size_t length = strnlen(string, room);
    memcpy(text->start + text->length, string, length);
    text->length += length;
    text->start[text->length] = '\0';
}

static void add_in_base(struct text *text, uint64_t number, unsigned base)
{
    char digits[24];
    size_t at = sizeof digits;
    digits[--at] = '\0';
    do {
        digits[--at] = (char)('0' + number % base);
        number /= base;
    } while (number);
    text_add(text, digits + at);
}

void text_add_number(struct text *text, int64_t number)
{
    if (number < 0)
        text_add(text, "-");
    add_in_base(text, number < 0 ? -(uint64_t)number : (uint64_t)number, 10);
}

void text_add_octal(struct text *text, unsigned number)
{
    add_in_base(text, number, 8);
}

bool text_starts(const char *string, const char *prefix)
{
    return strncmp(string, prefix, strlen(prefix)) == 0;
}
