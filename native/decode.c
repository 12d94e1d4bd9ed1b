/*
 * decode.c: checks a whole plan before anything of it is executed: sizes, every offset, every list, the flags of each
 * operation, and the order. A pure function of the bytes, so that the fuzzer compiles it as it is.
 *
 * The table says what each operation may carry and when it may come; the functions below it know no operation by
 * name except the points that order the others.
 */
#include <string.h>

#include "compat.h"
#include "init.h"

/* When an operation may come. */
#define BUILD 1 /* inside the root filesystem, before PIVOT */
#define SETUP 2 /* before READY_POINT */
#define FINAL 4 /* between READY_POINT and END_SYNC */
#define GATED 8 /* after END_SYNC: only what needs no way to the parent but the error FIFO */

/* What the offsets lead to: bit i is text i. */
#define TEXT(i) (1u << (i))
#define T0 TEXT(0)
#define T1 TEXT(1)
#define T2 TEXT(2)
#define T3 TEXT(3)

enum payload { NOTHING, OPTION_LIST, EXEC_LISTS, HOOK_LISTS, GROUPS, FILTER, SCHED_ATTR, NODE_MASK };

struct shape {
    uint8_t when;
    uint8_t required; /* texts that must be there and not be empty */
    uint8_t optional;
    uint8_t once;
    uint8_t payload;
    uint16_t flags;
};

#define HELD_FLAGS CL_FLAG_IN_HELD
#define ROOTFS_FLAGS (CL_FLAG_FROM_PARENT | CL_FLAG_RECURSIVE | CL_FLAG_CHROOT)
#define PIVOT_FLAGS (CL_FLAG_NO_PIVOT | CL_FLAG_CHROOT)
#define MOUNT_FLAGS                                                                                             \
    (CL_FLAG_HOLD | CL_FLAG_PLAIN_TARGET | CL_FLAG_ALLOW_PROC | CL_FLAG_SUPER_READONLY | CL_FLAG_COPY_UP |      \
     CL_FLAG_FALLBACK_BIND)
#define BIND_FLAGS (CL_FLAG_RECURSIVE | CL_FLAG_FROM_PARENT | CL_FLAG_ALLOW_PROC | CL_FLAG_PLAIN_TARGET)

static const struct shape SHAPES[CL_OP_LAST] = {
    /* operation                  when           required  optional  once  payload      flags */
    [CL_OP_KEYRING] =          {SETUP,         T0,       0,        1,    NOTHING,     0},
    [CL_OP_LOOPBACK] =         {SETUP,         0,        0,        1,    NOTHING,     0},
    [CL_OP_HOST_PROPAGATION] = {SETUP,         0,        0,        1,    NOTHING,     0},
    [CL_OP_ROOTFS] =           {SETUP,         T0,       0,        1,    NOTHING,     ROOTFS_FLAGS},
    [CL_OP_MOUNT] =            {BUILD,         T0 | T2,  T1 | T3,  0,    OPTION_LIST, MOUNT_FLAGS},
    [CL_OP_BIND] =             {BUILD,         T2,       T1,       0,    NOTHING,     BIND_FLAGS},
    [CL_OP_ATTACH] =           {BUILD,         T2,       0,        0,    NOTHING,     CL_FLAG_PLAIN_TARGET},
    [CL_OP_NODE] =             {BUILD,         T0,       0,        0,    NOTHING,     HELD_FLAGS},
    [CL_OP_DIRECTORY] =        {BUILD,         T0,       0,        0,    NOTHING,     HELD_FLAGS},
    [CL_OP_SYMLINK] =          {BUILD,         T0 | T1,  0,        0,    NOTHING,     HELD_FLAGS},
    [CL_OP_FILE] =             {BUILD,         T0,       0,        0,    NOTHING,     HELD_FLAGS},
    [CL_OP_HOOKS_POINT] =      {SETUP,         0,        0,        1,    NOTHING,     0},
    [CL_OP_PIVOT] =            {BUILD,         0,        0,        1,    NOTHING,     PIVOT_FLAGS},
    [CL_OP_ROOT_PROPAGATION] = {SETUP,         0,        0,        1,    NOTHING,     0},
    [CL_OP_REOPEN_NULL] =      {SETUP,         0,        0,        1,    NOTHING,     0},
    [CL_OP_MAKE_CWD] =         {SETUP,         T0,       0,        1,    NOTHING,     0},
    [CL_OP_CONSOLE] =          {SETUP,         0,        0,        1,    NOTHING,     CL_FLAG_BIND_CONSOLE},
    [CL_OP_REMOUNT] =          {SETUP,         T0,       0,        0,    NOTHING,     CL_FLAG_RECURSIVE},
    [CL_OP_UMASK] =            {SETUP,         0,        0,        1,    NOTHING,     0},
    [CL_OP_HOSTNAME] =         {SETUP,         T0,       0,        1,    NOTHING,     0},
    [CL_OP_DOMAINNAME] =       {SETUP,         T0,       0,        1,    NOTHING,     0},
    [CL_OP_SYSCTL] =           {SETUP,         T0,       T1,       0,    NOTHING,     0},
    [CL_OP_READONLY_PATH] =    {SETUP,         T0,       0,        0,    NOTHING,     0},
    [CL_OP_MASK_PATH] =        {SETUP,         T0,       0,        0,    NOTHING,     0},
    [CL_OP_NO_NEW_PRIVS] =     {SETUP,         0,        0,        1,    NOTHING,     0},
    [CL_OP_SCHEDULER] =        {SETUP,         T0,       0,        1,    SCHED_ATTR,  0},
    [CL_OP_IO_PRIORITY] =      {SETUP,         0,        0,        1,    NOTHING,     0},
    [CL_OP_PERSONALITY] =      {SETUP,         0,        0,        1,    NOTHING,     0},
    [CL_OP_MEMORY_POLICY] =    {SETUP,         0,        T0,       1,    NODE_MASK,   0},
    [CL_OP_READY_POINT] =      {SETUP,         0,        0,        1,    NOTHING,     0},
    [CL_OP_EXEC_LABEL] =       {SETUP | FINAL, T0,       T1,       0,    NOTHING,     0},
    [CL_OP_SECCOMP] =          {FINAL | GATED, T0,       0,        1,    FILTER,      0},
    [CL_OP_CAP_BOUNDING] =     {FINAL,         0,        0,        1,    NOTHING,     0},
    [CL_OP_CHDIR] =            {FINAL,         T0,       0,        0,    NOTHING,     CL_FLAG_TENTATIVE},
    [CL_OP_USER] =             {FINAL,         0,        T0,       1,    GROUPS,      CL_FLAG_SET_GROUPS},
    [CL_OP_CAPS] =             {FINAL,         0,        0,        1,    NOTHING,     0},
    [CL_OP_CAP_AMBIENT] =      {FINAL,         0,        0,        1,    NOTHING,     0},
    [CL_OP_FIND_EXECUTABLE] =  {FINAL,         0,        T0 | T1,  1,    NOTHING,     0},
    [CL_OP_CLOSE_FDS] =        {FINAL | GATED, 0,        0,        1,    NOTHING,     0},
    [CL_OP_END_SYNC] =         {FINAL,         0,        0,        1,    NOTHING,     0},
    [CL_OP_WAIT_START] =       {GATED,         0,        0,        1,    NOTHING,     0},
    [CL_OP_HOOK] =             {BUILD | GATED, T0 | T2 | T3, T1,  0,    HOOK_LISTS,  0},
    [CL_OP_EXEC] =             {GATED,         T0,       T1,       1,    EXEC_LISTS,  CL_FLAG_HOME},
};

static bool is_point(uint64_t seen, enum cl_operation code)
{
    return seen & (1ull << code);
}

/* `count` strings one behind the other, the first at `offset`: all of them end inside the pool. */
static bool list_fits(const struct plan *plan, uint32_t offset, uint64_t count)
{
    uint32_t at = offset;
    if (count && !offset)
        return false;
    for (uint64_t i = 0; i < count; i++) {
        if (at >= plan->pool_size)
            return false;
        /* The pool ends with a zero byte, so this stays inside. */
        at += (uint32_t)strlen(plan->pool + at) + 1;
    }
    return true;
}

static bool blob_fits(const struct plan *plan, const struct cl_record *record)
{
    if (!record->text[0])
        return record->blob_size == 0;
    return record->blob_size <= plan->pool_size && record->text[0] <= plan->pool_size - record->blob_size;
}

static const char *check_payload(const struct plan *plan, const struct cl_record *record, enum payload payload)
{
    uint32_t size = record->blob_size;
    switch (payload) {
    case NOTHING:
        return size ? "an operation carries data that it has no use for" : NULL;
    case OPTION_LIST:
        return size || !list_fits(plan, record->text[3], record->number[2]) ? "a list runs out of the pool" : NULL;
    case HOOK_LISTS:
        if (record->number[0] < 3 || !record->number[2] || record->number[2] > CL_HOOK_SECONDS)
            return "a hook lacks its path, or has no good time-out";
        __attribute__((fallthrough));
    case EXEC_LISTS:
        if (size || !record->number[0] || !list_fits(plan, record->text[0], record->number[0]) ||
            !list_fits(plan, record->text[1], record->number[1]))
            return "a list runs out of the pool";
        return NULL;
    default:
        break;
    }
    if (!blob_fits(plan, record))
        return "data runs out of the pool";
    if (payload == GROUPS && size % sizeof(uint32_t))
        return "a list of groups is cut";
    if (payload == FILTER && (!size || size % 8 || size / 8 > CL_BPF_LIMIT))
        return "a seccomp filter has the wrong size";
    if (payload == SCHED_ATTR && (size < 48 || size > 4096))
        return "scheduler attributes have the wrong size";
    /* The kernel reads maxnode - 1 bits, rounded up to long words. */
    if (payload == NODE_MASK && (record->number[1] > 1 << 16 || (record->number[1] + 63) / 64 * 8 > size + 0ull))
        return "a node mask is shorter than its number of nodes";
    return NULL;
}

static const char *check_texts(const struct plan *plan, const struct cl_record *record, const struct shape *shape)
{
    bool blob = shape->payload >= GROUPS;
    for (int i = 0; i < 4; i++) {
        uint32_t offset = record->text[i];
        bool required = shape->required & TEXT(i);
        if (offset >= plan->pool_size)
            return "an offset leads out of the pool";
        if (offset && !(required || (shape->optional & TEXT(i))))
            return "an operation carries a text that it has no use for";
        if (required && !offset)
            return "an operation lacks a text";
        bool is_list = shape->payload == EXEC_LISTS || shape->payload == HOOK_LISTS || (shape->payload == OPTION_LIST && i == 3);
        if (is_list || (blob && i == 0))
            continue;
        if (required && !plan->pool[offset])
            return "an operation has an empty text";
        /* $PATH is a text, not a path. */
        if (strlen(plan->pool + offset) >= PATH_MAX && !(record->code == CL_OP_FIND_EXECUTABLE && i == 1))
            return "a text is too long";
    }
    return NULL;
}

static bool has_propagation(const struct cl_record *record, int which)
{
    uint64_t value = record->number[which] & ~(uint64_t)CL_MS_REC;
    return !(value & ~(uint64_t)CL_MS_PROPAGATION) && !(value & (value - 1));
}

static const char *check_numbers(const struct cl_record *record)
{
    switch (record->code) {
    case CL_OP_HOST_PROPAGATION:
    case CL_OP_ROOT_PROPAGATION:
        return has_propagation(record, 0) && record->number[0] ? NULL : "a propagation is not one type";
    case CL_OP_MOUNT:
    case CL_OP_ATTACH:
        return has_propagation(record, 1) ? NULL : "a propagation is not one type";
    case CL_OP_BIND:
        return has_propagation(record, 2) ? NULL : "a propagation is not one type";
    case CL_OP_CLOSE_FDS:
        return record->number[0] >= 3 && record->number[0] <= INT_MAX ? NULL : "standard streams would be closed";
    case CL_OP_USER:
        return record->number[0] < UINT32_MAX && record->number[1] < UINT32_MAX ? NULL : "an id is out of range";
    case CL_OP_EXEC:
        return record->number[2] <= 1 ? NULL : "a number is neither 0 nor 1";
    default:
        return NULL;
    }
}

/* The phase in which the next operation is, as one of the `when` bits it may match. */
static unsigned phase(uint64_t seen)
{
    if (is_point(seen, CL_OP_END_SYNC))
        return GATED;
    if (is_point(seen, CL_OP_READY_POINT))
        return FINAL;
    return is_point(seen, CL_OP_ROOTFS) && !is_point(seen, CL_OP_PIVOT) ? SETUP | BUILD : SETUP;
}

/* MOUNT with HOLD, then what fills it, then ATTACH. */
static const char *check_held(const struct cl_record *record, bool *held)
{
    bool ends = record->code == CL_OP_ATTACH;
    bool begins = record->code == CL_OP_MOUNT && (record->flags & CL_FLAG_HOLD);
    if ((ends || (record->flags & CL_FLAG_IN_HELD)) && !*held)
        return "no mount is held";
    if (begins && *held)
        return "a mount is held already";
    if (*held && (record->code == CL_OP_HOOKS_POINT || record->code == CL_OP_PIVOT))
        return "a held mount was not attached";
    *held = (*held || begins) && !ends;
    return NULL;
}

static const char *check_order(const struct cl_record *record, const struct shape *shape, uint64_t seen, bool last)
{
    if (!(shape->when & phase(seen)))
        return "an operation comes at the wrong point";
    if (record->code == CL_OP_HOOK && !is_point(seen, phase(seen) == GATED ? CL_OP_WAIT_START : CL_OP_HOOKS_POINT))
        return "an operation comes at the wrong point";
    if (record->code == CL_OP_SECCOMP && phase(seen) == GATED &&
        (record->number[0] & CL_SECCOMP_FILTER_FLAG_NEW_LISTENER))
        return "nobody is left to take a seccomp listener";
    if (shape->once && is_point(seen, record->code))
        return "an operation comes twice";
    if (record->code == CL_OP_ROOTFS && is_point(seen, CL_OP_PIVOT))
        return "an operation comes at the wrong point";
    if (record->code == CL_OP_READY_POINT && is_point(seen, CL_OP_ROOTFS) && !is_point(seen, CL_OP_PIVOT))
        return "the root filesystem is never entered";
    if (record->code == CL_OP_END_SYNC && !is_point(seen, CL_OP_FIND_EXECUTABLE))
        return "no executable is looked for";
    if ((record->code == CL_OP_EXEC) != last)
        return "the plan does not end with exec";
    return NULL;
}

static const char *check_record(const struct plan *plan, uint32_t index, uint64_t *seen, bool *held)
{
    const struct cl_record *record = &plan->records[index];
    const char *broken;

    if (record->code == 0 || record->code >= CL_OP_LAST)
        return "unknown operation";
    const struct shape *shape = &SHAPES[record->code];
    if (record->flags & ~shape->flags)
        return "an operation has a flag that it does not know";
    if ((broken = check_order(record, shape, *seen, index + 1 == plan->count)) ||
        (broken = check_held(record, held)) || (broken = check_texts(plan, record, shape)) ||
        (broken = check_payload(plan, record, shape->payload)) || (broken = check_numbers(record)))
        return broken;
    *seen |= 1ull << record->code;
    return NULL;
}

static const char *check_header(const struct cl_plan *head, size_t size)
{
    if (head->magic != CL_PLAN_MAGIC)
        return "not a plan";
    if (head->version != CL_PROTOCOL_VERSION)
        return "the plan is of another version";
    if (head->size != size)
        return "the plan has another size than it says";
    if (head->operation_count == 0 || head->operation_count > CL_PLAN_OPERATIONS)
        return "the plan has no operations, or too many";
    uint64_t records_end = sizeof *head + (uint64_t)head->operation_count * sizeof(struct cl_record);
    if (head->pool_offset < records_end || head->pool_size < 2 ||
        (uint64_t)head->pool_offset + head->pool_size != size)
        return "the pool is not where it should be";
    return NULL;
}

const char *decode_plan(const void *data, size_t size, struct plan *plan)
{
    const struct cl_plan *head = data;
    const char *broken;
    uint64_t seen = 0;
    bool held = false;

    if (size < sizeof *head || size > CL_PLAN_LIMIT)
        return "the plan is too short or too long";
    if ((broken = check_header(head, size)))
        return broken;
    plan->records = (const struct cl_record *)(head + 1);
    plan->count = head->operation_count;
    plan->pool = (const char *)data + head->pool_offset;
    plan->pool_size = head->pool_size;
    if (plan->pool[0] || plan->pool[plan->pool_size - 1])
        return "the pool does not begin and end with zero";
    for (uint32_t i = 0; i < plan->count; i++) {
        if ((broken = check_record(plan, i, &seen, &held)))
            return broken;
    }
    return NULL;
}
