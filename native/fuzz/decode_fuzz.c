/*
 * decode_fuzz SECONDS SEED [CORPUS]: the plan decoder against mutated plans, under AddressSanitizer and
 * UndefinedBehaviorSanitizer. CORPUS is a directory of sound plans; without one a small plan that is built in serves.
 *
 * Each input lies in an allocation of exactly its size. A plan that the decoder takes is then read in every way in
 * which the operations read it, so a promise that the decoder does not keep shows as a read out of bounds.
 * Prints how often each verdict was reached. LLVMFuzzerTestOneInput is the same for libFuzzer (-DCL_LIBFUZZER).
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../init.h"
#include "mutate.h"

#define CORPUS_LIMIT 64
#define VERDICT_LIMIT 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile size_t sink;

static void read_list(const struct plan *plan, uint32_t offset, uint64_t count)
{
    const char *text = plan_text(plan, offset);
    for (uint64_t i = 0; i < count; i++) {
        size_t length = strlen(text);
        sink += length;
        text += length + 1;
    }
}

/* As the operations do: every text as a string, every list to its end, every blob as bytes. */
static void read_plan(const struct plan *plan)
{
    for (uint32_t i = 0; i < plan->count; i++) {
        const struct cl_record *record = &plan->records[i];
        for (int which = 0; which < 4; which++)
            sink += strlen(plan_text(plan, record->text[which]));
        for (uint32_t at = 0; at < record->blob_size; at++)
            sink += (unsigned char)plan->pool[record->text[0] + at];
        if (record->code == CL_OP_MOUNT)
            read_list(plan, record->text[3], record->number[2]);
        if (record->code == CL_OP_EXEC) {
            read_list(plan, record->text[0], record->number[0]);
            read_list(plan, record->text[1], record->number[1]);
        }
    }
    if (plan->records[plan->count - 1].code != CL_OP_EXEC)
        abort(); /* SYSCTL looks at the next record: there must be one */
}

static const char *judge(const uint8_t *data, size_t size)
{
    struct plan plan;
    void *exact = malloc(size ? size : 1);
    if (!exact)
        abort();
    memcpy(exact, data, size);
    const char *broken = decode_plan(exact, size, &plan);
    if (!broken)
        read_plan(&plan);
    free(exact);
    return broken ? broken : "sound";
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    judge(data, size);
    return 0;
}

#ifndef CL_LIBFUZZER

static struct input corpus[CORPUS_LIMIT];
static size_t corpus_size;

static struct {
    const char *text;
    unsigned long count;
} verdicts[VERDICT_LIMIT];

static void count_verdict(const char *text)
{
    size_t i = 0;
    while (verdicts[i].text && strcmp(verdicts[i].text, text) != 0)
        i++;
    if (i + 1 >= VERDICT_LIMIT)
        abort();
    verdicts[i].text = text;
    verdicts[i].count++;
}

static void built_in(struct input *input)
{
    static const char pool[] = "\0/bin/true\0PATH=/bin\0";
    static const struct cl_record records[] = {
        {.code = CL_OP_READY_POINT},
        {.code = CL_OP_FIND_EXECUTABLE, .text = {1}},
        {.code = CL_OP_END_SYNC},
        {.code = CL_OP_EXEC, .text = {1, 12}, .number = {1, 1}},
    };
    struct cl_plan head = {.magic = CL_PLAN_MAGIC,
                           .version = CL_PROTOCOL_VERSION,
                           .size = sizeof head + sizeof records + sizeof pool,
                           .operation_count = sizeof records / sizeof records[0],
                           .pool_offset = sizeof head + sizeof records,
                           .pool_size = sizeof pool};
    memcpy(input->bytes, &head, sizeof head);
    memcpy(input->bytes + sizeof head, records, sizeof records);
    memcpy(input->bytes + sizeof head + sizeof records, pool, sizeof pool);
    input->size = head.size;
}

static void load_file(const char *directory, const char *name)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen(path, "rb");
    if (!file || corpus_size == CORPUS_LIMIT)
        abort();
    struct input *input = &corpus[corpus_size];
    input->size = fread(input->bytes, 1, INPUT_LIMIT, file);
    fclose(file);
    const char *verdict = judge(input->bytes, input->size);
    if (strcmp(verdict, "sound") != 0) {
        fprintf(stderr, "%s: %s\n", path, verdict);
        exit(2);
    }
    corpus_size++;
}

static void load_corpus(const char *path)
{
    DIR *directory = opendir(path);
    if (!directory) {
        perror(path);
        exit(2);
    }
    for (struct dirent *entry; (entry = readdir(directory));) {
        if (entry->d_name[0] != '.')
            load_file(path, entry->d_name);
    }
    closedir(directory);
}

static void run_once(struct generator *generator)
{
    static struct input input;
    const struct input *seed = &corpus[draw_below(generator, corpus_size)];
    input.size = seed->size;
    memcpy(input.bytes, seed->bytes, seed->size);
    if (draw_below(generator, 8))
        mutate_plan(generator, &input, &corpus[draw_below(generator, corpus_size)]);
    if (!draw_below(generator, 4)) {
        for (uint64_t steps = 1 + draw_below(generator, 8); steps; steps--)
            mutate_bytes(generator, &input);
    }
    count_verdict(judge(input.bytes, input.size));
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: decode_fuzz SECONDS SEED [CORPUS]\n");
        return 2;
    }
    struct generator generator = {.state = strtoull(argv[2], NULL, 0) | 1};
    time_t end = time(NULL) + atoi(argv[1]);
    unsigned long runs = 0;
    built_in(&corpus[corpus_size++]);
    if (argc > 3)
        load_corpus(argv[3]);
    do {
        for (int i = 0; i < 1000; i++, runs++)
            run_once(&generator);
    } while (time(NULL) < end);
    printf("%lu inputs from %zu plans\n", runs, corpus_size);
    for (size_t i = 0; verdicts[i].text; i++)
        printf("%10lu %s\n", verdicts[i].count, verdicts[i].text);
    return 0;
}

#endif
