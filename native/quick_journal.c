/*
 * quick_journal.c: the frames of a journal (corelaunch/state/journal.py) and the members of the JSON in them. Strict:
 * at anything that we do not write so ourselves (damage, a blank) it gives up, and Python reads the journal.
 */
#include <string.h>

#include "quick.h"

#define MARK "\xc1\x4c\x4a\x01"
#define MARK_SIZE 4
#define HEADER_SIZE 12

static uint32_t crc32_of(const char *data, size_t length)
{
    static uint32_t table[256];

    if (!table[1])
        for (uint32_t i = 0; i < 256; i++) {
            uint32_t value = i;
            for (int bit = 0; bit < 8; bit++)
                value = value & 1 ? value >> 1 ^ 0xedb88320 : value >> 1;
            table[i] = value;
        }
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < length; i++)
        crc = crc >> 8 ^ table[(crc ^ (unsigned char)data[i]) & 255];
    return ~crc;
}

static uint32_t little_endian(const char *bytes)
{
    uint32_t value = 0;

    for (int i = 3; i >= 0; i--)
        value = value << 8 | (unsigned char)bytes[i];
    return value;
}

static void put_little_endian(char *bytes, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        bytes[i] = (char)(value >> 8 * i & 255);
}

/* Writes a frame around a payload; its size, 0 if there is no room. */
uint32_t journal_frame(const char *payload, size_t length, char *into, size_t room)
{
    if (room < HEADER_SIZE || length > room - HEADER_SIZE)
        return 0;
    memcpy(into, MARK, MARK_SIZE);
    put_little_endian(into + MARK_SIZE, (uint32_t)length);
    put_little_endian(into + MARK_SIZE + 4, crc32_of(payload, length));
    memcpy(into + HEADER_SIZE, payload, length);
    return (uint32_t)(HEADER_SIZE + length);
}

/* Past the string that begins at `at`; NULL if it does not end. */
static const char *after_string(const char *at, const char *end)
{
    for (at++; at < end; at++) {
        if (*at == '"')
            return at + 1;
        if (*at == '\\')
            at++;
    }
    return NULL;
}

/* Past the value that begins at `at`; NULL if there is none. Brackets are counted, not matched: their writer is us. */
static const char *after_value(const char *at, const char *end)
{
    size_t depth = 0;

    do {
        if (at >= end)
            return NULL;
        if (*at == '"') {
            at = after_string(at, end);
            if (!at)
                return NULL;
        } else if (*at == '{' || *at == '[') {
            depth++;
            at++;
        } else if (*at == '}' || *at == ']') {
            if (!depth)
                return NULL;
            depth--;
            at++;
        } else if (depth && (*at == ',' || *at == ':')) {
            at++;
        } else {
            const char *start = at;
            while (at < end && ((*at >= '0' && *at <= '9') || (*at >= 'a' && *at <= 'z') || *at == '-' || *at == '.' ||
                                *at == '+' || *at == 'E'))
                at++;
            if (at == start)
                return NULL;
        }
    } while (depth);
    return at;
}

/*
 * Takes the next member out of an object: "{..." before the first, ",..." before another. False at the end, when
 * `object` is "}", and where the text is not what we write, when it is something else.
 */
bool next_member(struct span *object, struct span *name, struct span *value)
{
    const char *at = object->start, *end = object->start + object->length;

    if (object->length < 2 || (*at != '{' && *at != ','))
        return false;
    if (*at == '{' && at[1] == '}') {
        *object = (struct span){at + 1, object->length - 1};
        return false;
    }
    if (*++at != '"')
        return false;
    const char *stop = after_string(at, end);
    if (!stop || stop >= end || *stop != ':')
        return false;
    *name = (struct span){at, (size_t)(stop - at)};
    at = stop + 1;
    stop = after_value(at, end);
    if (!stop || stop >= end || (*stop != ',' && *stop != '}'))
        return false;
    *value = (struct span){at, (size_t)(stop - at)};
    *object = (struct span){stop, (size_t)(end - stop)};
    return true;
}

/* Whether a value is this JSON text. */
bool is_text(struct span value, const char *text)
{
    return value.length == strlen(text) && memcmp(value.start, text, value.length) == 0;
}

bool is_at_end(struct span object)
{
    return object.length == 1 && *object.start == '}';
}

/* Takes the payload of the next frame; false at the end, when nothing is left of the journal, and at damage. */
bool next_frame(struct span *journal, struct span *payload)
{
    if (journal->length < HEADER_SIZE || memcmp(journal->start, MARK, MARK_SIZE) != 0)
        return false;
    *payload = (struct span){journal->start + HEADER_SIZE, little_endian(journal->start + MARK_SIZE)};
    if (payload->length > journal->length - HEADER_SIZE ||
        crc32_of(payload->start, payload->length) != little_endian(journal->start + MARK_SIZE + 4))
        return false;
    journal->start += HEADER_SIZE + payload->length;
    journal->length -= HEADER_SIZE + payload->length;
    return true;
}
