/*
 * watchdog.h: ends a command whose plugin does not return from a call.
 */
#ifndef CL_WATCHDOG_H
#define CL_WATCHDOG_H

#include <stdbool.h>

/* Where the last line of the command goes, as corelaunch/log.py would write it. */
struct watchdog_output {
    int log;            /* descriptor that gets a line in the log's format, -1: none does */
    bool json;          /* that format: JSON, or logrus' text */
    const char *prefix; /* in front of the plain line on stderr, NULL: there is no such line */
    int exit_code;
};

/* All return 0 or a negative errno. The signal is SIGURG, which is ignored unless somebody asks for it. */
int watchdog_setup(const struct watchdog_output *output);
/* After `seconds`: SIGKILL to the process of the pidfd `child` (-1: none), the line, _exit. */
int watchdog_arm(const char *owner, const char *what, double seconds, int child);
int watchdog_disarm(void);

#endif
