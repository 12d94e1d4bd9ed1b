/*
 * mutate.h: a deterministic mutator of plans. Half of what it makes is broken anywhere; the other half keeps a
 * header that fits, so that the checks behind the header are reached.
 */
#ifndef CORELAUNCH_FUZZ_MUTATE_H
#define CORELAUNCH_FUZZ_MUTATE_H

#include <stddef.h>
#include <stdint.h>

#define INPUT_LIMIT 65536

struct input {
    uint8_t bytes[INPUT_LIMIT];
    size_t size;
};

struct generator {
    uint64_t state;
};

uint64_t draw(struct generator *generator);
uint64_t draw_below(struct generator *generator, uint64_t limit);
void mutate_bytes(struct generator *generator, struct input *input);
void mutate_plan(struct generator *generator, struct input *input, const struct input *other);

#endif
