/*
 * quick.h: answers that the installed command gives by itself, because starting an interpreter (5 ms) would be nearly
 * all of their cost: `state`, `kill` and `start` of a container that is as containers usually are. Whatever is in the
 * least unusual (an option, a status, a hook, a record, an error) is left to Python, which says and does the same: a
 * test compares them. Nothing is done before it is certain that Python is not needed.
 */
#ifndef CORELAUNCH_QUICK_H
#define CORELAUNCH_QUICK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A piece of JSON text, as the journal has it: without blanks, a string with its quotation marks. */
struct span {
    const char *start;
    size_t length;
};

/* What a journal says, as far as it is needed here. Spans point into the journal's text. */
struct summary {
    struct span oci_version;
    struct span bundle;
    struct span rootfs;
    struct span created;
    struct span annotations;
    struct span boot_id;
    struct span hooks;
    struct span cgroup_paths; /* of the cgroup's placement; empty without a cgroup */
    uint64_t namespaces;
    uint64_t pid; /* of the init */
    uint64_t start_time;
    bool begun;
    bool lifecycle_plugins;
    bool is_created; /* its last status is "created" */
    bool is_started; /* its last status is "started" */
};

/* quick_journal.c */
bool next_member(struct span *object, struct span *name, struct span *value);
bool is_text(struct span value, const char *text);
uint32_t journal_frame(const char *payload, size_t length, char *into, size_t room);
bool summarize(const char *journal, size_t size, struct summary *summary);

/* quick_process.c */
bool read_small(const char *path, char *into, size_t room);
bool start_time_of(uint64_t pid, uint64_t *start_time, char *state);
bool look_at_init(const struct summary *summary, bool *alive);
bool is_frozen(const struct summary *summary, bool *frozen);

/* quick_verbs.c: true if the verb is done, completely and with success. */
struct quick_call {
    const char *id;
    const char *signal; /* of kill: NULL if it was not given */
    int directory;      /* the container's state directory */
    int last_words;     /* out: what `start` leaves for Python to hear, -1 nothing */
};

bool quick_state(const struct quick_call *call);
bool quick_kill(const struct quick_call *call);
bool quick_start(struct quick_call *call);

/*
 * quick.c: true if the command line was answered; false leaves it to Python, to which -X last_words=FD is passed
 * unless it is -1.
 */
bool quick_answer(int argc, char **argv, int *last_words);

#endif
