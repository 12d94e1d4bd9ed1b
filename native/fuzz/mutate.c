/*
 * mutate.c: see mutate.h.
 */
#include "mutate.h"

#include <string.h>

#include "../init.h"

/* xorshift64*: the same seed gives the same run on every machine. */
uint64_t draw(struct generator *generator)
{
    uint64_t x = generator->state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    generator->state = x;
    return x * 0x2545f4914f6cdd1dull;
}

uint64_t draw_below(struct generator *generator, uint64_t limit)
{
    return limit ? draw(generator) % limit : 0;
}

static uint64_t interesting(struct generator *generator)
{
    static const uint64_t VALUES[] = {0,          1,          2,          3,          4,          8,         42,    43,
                                      255,        256,        4095,       4096,       65535,      65536,     1u << 31,
                                      UINT32_MAX, 1u << 18,   1u << 19,   1u << 20,   0x4000,     1ull << 63,
                                      UINT32_MAX - 1, 1ull << 32, UINT64_MAX};
    uint64_t value = VALUES[draw_below(generator, sizeof VALUES / sizeof VALUES[0])];
    return draw_below(generator, 4) ? value : draw(generator);
}

/* Overwrites, flips, cuts or repeats, with no idea of what it is. */
void mutate_bytes(struct generator *generator, struct input *input)
{
    uint64_t value = interesting(generator);
    size_t at = draw_below(generator, input->size);
    size_t width = (size_t)1 << draw_below(generator, 4);
    switch (draw_below(generator, 5)) {
    case 0:
        if (input->size)
            input->bytes[at] ^= (uint8_t)(1u << draw_below(generator, 8));
        break;
    case 1:
        at -= at % width;
        if (at + width <= input->size)
            memcpy(input->bytes + at, &value, width);
        break;
    case 2:
        input->size = at;
        break;
    case 3:
        if (input->size + width <= INPUT_LIMIT) {
            memmove(input->bytes + at + width, input->bytes + at, input->size - at);
            memcpy(input->bytes + at, &value, width);
            input->size += width;
        }
        break;
    default:
        if (input->size)
            input->bytes[at] = (uint8_t)value;
        break;
    }
}

static struct cl_record *record_at(struct input *input, uint32_t index)
{
    return (struct cl_record *)(void *)(input->bytes + sizeof(struct cl_plan)) + index;
}

/* One field of one record. */
static void mutate_record(struct generator *generator, struct input *input, uint32_t count, uint32_t pool_size)
{
    struct cl_record *record = record_at(input, (uint32_t)draw_below(generator, count));
    uint64_t value = interesting(generator);
    switch (draw_below(generator, 6)) {
    case 0:
        record->code = (uint16_t)draw_below(generator, CL_OP_LAST + 2);
        break;
    case 1:
        record->flags = (uint16_t)(draw_below(generator, 2) ? 1u << draw_below(generator, 16) : value);
        break;
    case 2:
        record->blob_size = (uint32_t)(draw_below(generator, 2) ? draw_below(generator, pool_size) : value);
        break;
    case 3:
        if (draw_below(generator, 4))
            value = draw_below(generator, pool_size + 2ull);
        record->text[draw_below(generator, 4)] = (uint32_t)value;
        break;
    default:
        record->number[draw_below(generator, 3)] = value;
        break;
    }
}

/* Swaps two records, overwrites one with another, or takes the last but one out. */
static void mutate_order(struct generator *generator, struct input *input, uint32_t count)
{
    struct cl_record *one = record_at(input, (uint32_t)draw_below(generator, count));
    struct cl_record *two = record_at(input, (uint32_t)draw_below(generator, count));
    struct cl_record kept = *one;
    *one = *two;
    if (draw_below(generator, 2))
        *two = kept;
}

static void remove_record(struct generator *generator, struct input *input, struct cl_plan *head)
{
    uint32_t index = (uint32_t)draw_below(generator, head->operation_count);
    uint8_t *at = (uint8_t *)record_at(input, index);
    size_t behind = input->size - (size_t)(at - input->bytes) - sizeof(struct cl_record);
    memmove(at, at + sizeof(struct cl_record), behind);
    input->size -= sizeof(struct cl_record);
    head->operation_count--;
    head->pool_offset -= (uint32_t)sizeof(struct cl_record);
    head->size = (uint32_t)input->size;
}

/* A record of another plan takes the place of one of ours; its offsets then lead anywhere. */
static void splice(struct generator *generator, struct input *input, uint32_t count, const struct input *other)
{
    struct cl_plan head;
    memcpy(&head, other->bytes, sizeof head);
    uint32_t index = (uint32_t)draw_below(generator, head.operation_count);
    size_t at = sizeof head + index * sizeof(struct cl_record);
    if (at + sizeof(struct cl_record) <= other->size)
        memcpy(record_at(input, (uint32_t)draw_below(generator, count)), other->bytes + at, sizeof(struct cl_record));
}

/* `input` and `other` are sound plans when this is called. */
void mutate_plan(struct generator *generator, struct input *input, const struct input *other)
{
    struct cl_plan *head = (struct cl_plan *)(void *)input->bytes;
    for (uint64_t steps = 1 + draw_below(generator, 4); steps && head->operation_count > 1; steps--) {
        switch (draw_below(generator, 8)) {
        case 0:
            mutate_order(generator, input, head->operation_count);
            break;
        case 1:
            remove_record(generator, input, head);
            break;
        case 2:
            splice(generator, input, head->operation_count, other);
            break;
        case 3:
            input->bytes[head->pool_offset + draw_below(generator, head->pool_size)] = (uint8_t)interesting(generator);
            break;
        default:
            mutate_record(generator, input, head->operation_count, head->pool_size);
            break;
        }
    }
}
