/*
 * quick.h: answers that the installed command gives by itself, because starting an interpreter (5 ms) would be nearly
 * all of their cost: `state`, `kill`, `start` and `delete` of a container that is as containers usually are. Whatever is in the
 * least unusual (an option, a status, a hook, a record, an error) is left to Python, which says and does the same: a
 * test compares them. Nothing is done before it is certain that Python is not needed.
 */
#ifndef CORELAUNCH_QUICK_H
#define CORELAUNCH_QUICK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLONE_NEWPID 0x20000000

/* A piece of JSON text, as the journal has it: without blanks, a string with its quotation marks. */
struct span {
    const char *start;
    size_t length;
};

#define EFFECT_LIMIT 64
#define PROCESS_LIMIT 256

/* A directory that was made for the container. */
struct effect {
    uint64_t number;
    struct span path;
    uint64_t device;
    uint64_t inode;
    bool done;
};

struct process {
    uint64_t pid;
    uint64_t start_time;
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
    bool not_plain;  /* something must be undone in another way than by rmdir of the effects */
    struct effect effects[EFFECT_LIMIT];
    size_t effect_count;
    struct process processes[PROCESS_LIMIT];
    size_t process_count;
};

/* quick_journal.c */
bool next_member(struct span *object, struct span *name, struct span *value);
bool is_text(struct span value, const char *text);
bool is_at_end(struct span object);
bool next_frame(struct span *journal, struct span *payload);
uint32_t journal_frame(const char *payload, size_t length, char *into, size_t room);

/* quick_summary.c */
bool summarize(const char *journal, size_t size, struct summary *summary);

/* quick_process.c: false where it cannot be told */
bool read_small(const char *path, char *into, size_t room);
bool start_time_of(uint64_t pid, uint64_t *start_time, char *state);
bool look_at_init(const struct summary *summary, bool *alive);
bool is_frozen(const struct summary *summary, bool *frozen);

/* quick_verbs.c, quick_delete.c: true if the verb is done, completely and with success. */
struct quick_call {
    const char *id;
    const char *signal; /* of kill: NULL if it was not given */
    const char *path;   /* of the container's state directory */
    int directory;      /* the same, opened */
    int last_words;     /* out: what `start` leaves for Python to hear, -1 nothing */
};

bool load_summary(int journal, struct summary *summary);
int lock_journal(const struct quick_call *call);
bool add_status(int journal, const char *status);
bool has_hooks(const struct summary *summary, const char *moment);

bool quick_state(const struct quick_call *call);
bool quick_kill(const struct quick_call *call);
bool quick_start(struct quick_call *call);
bool quick_delete(const struct quick_call *call);

/*
 * quick.c: true if the command line was answered; false leaves it to Python, to which -X last_words=FD is passed
 * unless it is -1.
 */
bool quick_answer(int argc, char **argv, int *last_words);

#endif
