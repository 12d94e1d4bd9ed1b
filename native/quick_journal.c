/*
 * quick_journal.c: what the frames of a journal (corelaunch/state/journal.py) say, as far as a quick answer needs it.
 * The reader is strict: it knows the records that this release writes, as it writes them. At anything else (damage, a
 * later release's record, a blank) it gives up, and Python reads the journal.
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

static bool is_at_end(struct span object)
{
    return object.length == 1 && *object.start == '}';
}

/* Whether a value is this JSON text. */
bool is_text(struct span value, const char *text)
{
    return value.length == strlen(text) && memcmp(value.start, text, value.length) == 0;
}

static bool number_of(struct span value, uint64_t *number)
{
    *number = 0;
    if (!value.length || value.length > 18)
        return false;
    for (size_t i = 0; i < value.length; i++) {
        if (value.start[i] < '0' || value.start[i] > '9')
            return false;
        *number = *number * 10 + (uint64_t)(value.start[i] - '0');
    }
    return true;
}

/* A member that is not known may be a duty of start or kill, so it is Python's. */
static bool take_begin(struct span record, struct summary *summary)
{
    const struct {
        const char *name;
        struct span *into;
        char first; /* of its text */
    } members[] = {
        {"\"bundle\"", &summary->bundle, '"'},           {"\"boot_id\"", &summary->boot_id, '"'},
        {"\"created\"", &summary->created, '"'},         {"\"hooks\"", &summary->hooks, '{'},
        {"\"annotations\"", &summary->annotations, '{'}, {"\"oci_version\"", &summary->oci_version, '"'},
        {"\"rootfs\"", &summary->rootfs, '"'},
    };
    const size_t count = sizeof members / sizeof members[0];
    struct span name, value;
    unsigned seen = 0;

    if (summary->begun)
        return false;
    summary->begun = true;
    while (next_member(&record, &name, &value)) {
        size_t i = 0;
        while (i < count && !is_text(name, members[i].name))
            i++;
        if (i < count) {
            if (*value.start != members[i].first || (seen & 1u << i))
                return false;
            seen |= 1u << i;
            *members[i].into = value;
        } else if (is_text(name, "\"version\"")) {
            if (!is_text(value, "1"))
                return false;
        } else if (is_text(name, "\"lifecycle\"")) {
            summary->lifecycle_plugins = !is_text(value, "[]");
        } else if (is_text(name, "\"namespaces\"")) {
            if (!number_of(value, &summary->namespaces))
                return false;
        } else if (is_text(name, "\"cgroup_mode\"")) {
            if (!is_text(value, "\"required\""))
                return false;
        } else if (!is_text(name, "\"record\"") && !is_text(name, "\"id\"") && !is_text(name, "\"owner_uid\"") &&
                   !is_text(name, "\"keyring\"") && !is_text(name, "\"call_seconds\"") &&
                   !is_text(name, "\"joined\"")) { /* a joined pid namespace is not in "namespaces" */
            return false;
        }
    }
    return is_at_end(record) && seen == (1u << count) - 1;
}

static bool take_place(struct span record, struct summary *summary)
{
    struct span name, value, fields = {0};
    bool is_cgroup = false;

    while (next_member(&record, &name, &value))
        if (is_text(name, "\"kind\""))
            is_cgroup = is_text(value, "\"cgroup_manager\"");
        else if (is_text(name, "\"fields\""))
            fields = value;
    if (!is_at_end(record))
        return false;
    if (!is_cgroup)
        return true;
    while (next_member(&fields, &name, &value))
        if (is_text(name, "\"paths\"")) {
            if (summary->cgroup_paths.length || *value.start != '{')
                return false;
            summary->cgroup_paths = value;
        }
    return is_at_end(fields) && summary->cgroup_paths.length;
}

static bool take_process(struct span record, struct summary *summary)
{
    struct span name, value;
    uint64_t pid = 0, start_time = 0;
    bool is_init = false, numbers = true;

    while (next_member(&record, &name, &value))
        if (is_text(name, "\"role\""))
            is_init = is_text(value, "\"init\"");
        else if (is_text(name, "\"pid\""))
            numbers = number_of(value, &pid) && numbers;
        else if (is_text(name, "\"start_time\""))
            numbers = number_of(value, &start_time) && numbers;
    if (is_init) {
        summary->pid = pid;
        summary->start_time = start_time;
    }
    return is_at_end(record) && numbers;
}

static bool take_status(struct span record, struct summary *summary)
{
    struct span name, value, status = {0};

    while (next_member(&record, &name, &value))
        if (is_text(name, "\"status\""))
            status = value;
    summary->is_created = is_text(status, "\"created\"");
    summary->is_started = is_text(status, "\"started\"");
    return is_at_end(record) && (summary->is_created || summary->is_started);
}

static bool pass_over(struct span record, struct summary *summary)
{
    (void)record;
    (void)summary;
    return true;
}

static bool take(struct span record, struct summary *summary)
{
    static const struct {
        const char *kind;
        bool (*take)(struct span record, struct summary *summary);
    } kinds[] = {
        {"\"begin\"", take_begin},  {"\"place\"", take_place},      {"\"process\"", take_process},
        {"\"status\"", take_status}, {"\"intend\"", pass_over},      {"\"done\"", pass_over},
        {"\"gone\"", pass_over},    {"\"descriptors\"", pass_over}, {"\"edits\"", pass_over},
        {"\"resources\"", pass_over},
    };
    struct span rest = record, name, value;

    if (!next_member(&rest, &name, &value) || !is_text(name, "\"record\""))
        return false;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (is_text(value, kinds[i].kind))
            return kinds[i].take(record, summary);
    return false;
}

/* Whether the journal is whole, of a kind that is known here, and that of a container that was created. */
bool summarize(const char *journal, size_t size, struct summary *summary)
{
    memset(summary, 0, sizeof *summary);
    while (size) {
        if (size < HEADER_SIZE || memcmp(journal, MARK, MARK_SIZE) != 0)
            return false;
        const uint32_t length = little_endian(journal + MARK_SIZE);
        const struct span payload = {journal + HEADER_SIZE, length};
        if (length > size - HEADER_SIZE || crc32_of(payload.start, length) != little_endian(journal + MARK_SIZE + 4) ||
            !take(payload, summary))
            return false;
        journal += HEADER_SIZE + length;
        size -= HEADER_SIZE + length;
    }
    return summary->begun && summary->pid && (summary->is_created || summary->is_started);
}
