/*
 * quick_summary.c: what the records of a journal say, as far as a quick answer needs it. It knows the records that this
 * release writes; at a record or a member that it does not know it gives up, and Python reads the journal.
 */
#include <string.h>

#include "quick.h"

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
    bool is_cgroup = false, plain = false;

    while (next_member(&record, &name, &value))
        if (is_text(name, "\"kind\""))
            is_cgroup = is_text(value, "\"cgroup_manager\"");
        else if (is_text(name, "\"fields\""))
            fields = value;
        else if (is_text(name, "\"plain\""))
            plain = is_text(value, "true");
    summary->not_plain = summary->not_plain || !plain;
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
    if (summary->process_count == PROCESS_LIMIT)
        summary->not_plain = true;
    else
        summary->processes[summary->process_count++] = (struct process){pid, start_time};
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

static struct effect *effect_of(struct summary *summary, uint64_t number)
{
    for (size_t i = 0; i < summary->effect_count; i++)
        if (summary->effects[i].number == number)
            return &summary->effects[i];
    return NULL;
}

static bool take_intend(struct span record, struct summary *summary)
{
    struct span name, value, arguments = {0};
    struct effect effect = {0};

    while (next_member(&record, &name, &value))
        if (is_text(name, "\"number\"")) {
            if (!number_of(value, &effect.number))
                return false;
        } else if (is_text(name, "\"args\"")) {
            arguments = value;
        }
    if (next_member(&arguments, &name, &value) && is_text(name, "\"path\"") && is_at_end(arguments))
        effect.path = value;
    if (!effect.path.length || summary->effect_count == EFFECT_LIMIT)
        summary->not_plain = true;
    else
        summary->effects[summary->effect_count++] = effect;
    return is_at_end(record);
}

static bool take_done(struct span record, struct summary *summary)
{
    struct span name, value, facts = {0};
    uint64_t number = 0, device = 0, inode = 0;
    bool numbers = true;

    while (next_member(&record, &name, &value))
        if (is_text(name, "\"number\""))
            numbers = number_of(value, &number) && numbers;
        else if (is_text(name, "\"facts\""))
            facts = value;
    while (next_member(&facts, &name, &value))
        if (is_text(name, "\"dev\""))
            numbers = number_of(value, &device) && numbers;
        else if (is_text(name, "\"ino\""))
            numbers = number_of(value, &inode) && numbers;
    struct effect *effect = effect_of(summary, number);
    if (!effect || !numbers || !inode)
        summary->not_plain = true;
    else
        *effect = (struct effect){number, effect->path, device, inode, true};
    return is_at_end(record);
}

/* Something was undone before its time. */
static bool take_gone(struct span record, struct summary *summary)
{
    (void)record;
    summary->not_plain = true;
    return true;
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
        {"\"status\"", take_status}, {"\"intend\"", take_intend},      {"\"done\"", take_done},
        {"\"gone\"", take_gone},    {"\"descriptors\"", pass_over}, {"\"edits\"", pass_over},
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
    struct span rest = {journal, size}, record;

    memset(summary, 0, sizeof *summary);
    while (next_frame(&rest, &record))
        if (!take(record, summary))
            return false;
    return !rest.length && summary->begun && summary->pid && (summary->is_created || summary->is_started);
}
