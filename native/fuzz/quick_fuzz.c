/*
 * quick_fuzz SECONDS SEED JOURNAL: the front's reader of journals against damaged ones, under the sanitizers. What it
 * takes for whole must be whole: every span lies in the text and is one value, as a walk that knows nothing says.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../quick.h"
#include "mutate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require_inside(struct span span, const char *text, size_t size)
{
    if (span.start < text || span.length > size || (size_t)(span.start - text) > size - span.length)
        abort();
}

static bool check(const uint8_t *data, size_t size)
{
    struct summary summary;
    struct span name, value;
    char *exact = malloc(size ? size : 1);
    bool frozen, alive;
    if (!exact)
        abort();
    memcpy(exact, data, size);
    const bool whole = summarize(exact, size, &summary);
    if (whole) {
        const struct span strings[] = {summary.oci_version, summary.bundle, summary.rootfs, summary.created,
                                       summary.boot_id};
        for (size_t i = 0; i < sizeof strings / sizeof strings[0]; i++) {
            require_inside(strings[i], exact, size);
            if (strings[i].length < 2 || *strings[i].start != '"' || strings[i].start[strings[i].length - 1] != '"')
                abort();
        }
        for (struct span rest = summary.annotations; next_member(&rest, &name, &value);) {
            require_inside(name, exact, size);
            require_inside(value, exact, size);
        }
        is_frozen(&summary, &frozen);
        look_at_init(&summary, &alive);
    }
    free(exact);
    return whole;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check(data, size);
    return 0;
}

#ifndef CL_LIBFUZZER

/* Makes the frames of `input` whole again, with the lengths that they have now, so that the mutated JSON is read. */
static void mend(struct input *input, const struct input *from)
{
    struct input made = {.size = 0};
    size_t at = 0;
    while (at + 12 <= from->size) {
        const uint32_t length = from->bytes[at + 4] | (uint32_t)from->bytes[at + 5] << 8;
        if (at + 12 + length > input->size)
            break;
        made.size += journal_frame((const char *)input->bytes + at + 12, length, (char *)made.bytes + made.size,
                                   sizeof made.bytes - made.size);
        at += 12 + length;
    }
    *input = made;
}

/* Letters that mean something in JSON, where others were. */
static void confuse(struct generator *generator, struct input *input)
{
    static const char LETTERS[] = "\"\\{}[],:01-e \n\0";
    for (uint64_t steps = 1 + draw_below(generator, 3); steps; steps--)
        input->bytes[draw_below(generator, input->size)] = (uint8_t)LETTERS[draw_below(generator, sizeof LETTERS - 1)];
}

int main(int argc, char **argv)
{
    static struct input original, input;
    if (argc < 4) {
        fprintf(stderr, "usage: quick_fuzz SECONDS SEED JOURNAL\n");
        return 2;
    }
    FILE *file = fopen(argv[3], "rb");
    if (!file)
        abort();
    original.size = fread(original.bytes, 1, sizeof original.bytes, file);
    fclose(file);
    if (!check(original.bytes, original.size)) {
        fprintf(stderr, "%s is no whole journal\n", argv[3]);
        return 1;
    }
    struct generator generator = {.state = strtoull(argv[2], NULL, 0) | 1};
    time_t end = time(NULL) + atoi(argv[1]);
    unsigned long runs = 0, whole = 0;
    do {
        for (int i = 0; i < 100; i++, runs++) {
            input = original;
            if (draw_below(&generator, 4)) {
                confuse(&generator, &input);
                mend(&input, &original);
            } else {
                mutate_bytes(&generator, &input);
            }
            whole += check(input.bytes, input.size);
        }
    } while (time(NULL) < end);
    printf("%lu inputs, %lu taken for whole\n", runs, whole);
    return 0;
}

#endif
