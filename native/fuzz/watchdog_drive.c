/*
 * watchdog_drive.c: lets the watchdog expire, as a plugin would, under the sanitizers:
 * watchdog_drive text|json PREFIX OWNER WHAT SECONDS. The log is descriptor 3.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../watchdog.h"

#define EXIT_CODE 23

int main(int argc, char **argv)
{
    if (argc != 6)
        return 2;
    const struct watchdog_output output = {
        .log = 3, .json = strcmp(argv[1], "json") == 0, .prefix = argv[2], .exit_code = EXIT_CODE};

    if (watchdog_arm("o", "w", 1, -1) == 0) /* before it is set up */
        return 3;
    /* Twice: each command of a library's process may set it up anew. */
    if (watchdog_setup(&output) < 0 || watchdog_setup(&output) < 0)
        return 4;
    if (watchdog_arm("o", "w", 0, -1) == 0 || watchdog_arm("o", "w", -1, -1) == 0 || watchdog_arm("o", "w", 1e10, -1) == 0)
        return 5;
    for (int i = 0; i < 100; i++)
        if (watchdog_arm("o", "w", 1000, -1) < 0 || watchdog_disarm() < 0)
            return 6;
    raise(SIGURG); /* somebody else's */
    if (watchdog_arm(argv[3], argv[4], strtod(argv[5], NULL), -1) < 0)
        return 7;
    for (;;)
        pause();
}
