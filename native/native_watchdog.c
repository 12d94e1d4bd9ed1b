/*
 * native_watchdog.c: a POSIX timer whose signal handler ends the process.
 *
 * A plugin may hang in Python, in C with the interpreter's lock, or in a system call; so no Python runs here. A handler
 * in C is called at once in all of these but a sleep that the kernel does not interrupt, from which not even SIGKILL
 * would bring us back. A thread would serve as well, but it makes every command a process with threads (fork, credentials,
 * locks in malloc, 0.1 ms); the timer costs two system calls for each call of a plugin. The handler calls only what
 * signal-safety(7) allows; all text but the time is made when the timer is set.
 */
#define _GNU_SOURCE
#include "watchdog.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif

enum { LINE_SIZE = 2048, PREFIX_SIZE = 128 };

static struct {
    timer_t timer;
    bool is_set_up;
    volatile sig_atomic_t armed;
    int log;
    bool json;
    bool plain;
    int exit_code;
    int child;
    char prefix[PREFIX_SIZE];
    char text[LINE_SIZE];      /* of the plain line */
    char escaped[2 * LINE_SIZE]; /* of the log's line */
} watch;

static void put(int fd, const char *text, size_t size)
{
    while (size) {
        ssize_t written = write(fd, text, size);
        if (written <= 0)
            return; /* a reader that went away: nobody is left to tell */
        text += written;
        size -= (size_t)written;
    }
}

static char *append(char *end, const char *limit, const char *text)
{
    while (*text && end < limit)
        *end++ = *text++;
    return end;
}

static char *append_number(char *end, unsigned value, int digits)
{
    for (int i = digits - 1; i >= 0; i--, value /= 10)
        end[i] = (char)('0' + value % 10);
    return end + digits;
}

/* RFC 3339 in UTC; gmtime_r is not on the list of signal-safety(7). Days to a date as in howardhinnant's algorithms. */
static char *append_time(char *end)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    const unsigned long seconds = (unsigned long)now.tv_sec;
    const unsigned of_day = (unsigned)(seconds % 86400);
    const unsigned long days = seconds / 86400 + 719468;
    const unsigned long era = days / 146097;
    const unsigned of_era = (unsigned)(days - era * 146097);
    const unsigned year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    const unsigned of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const unsigned month_from_march = (5 * of_year + 2) / 153;
    const unsigned month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
    end = append_number(end, (unsigned)(year_of_era + era * 400) + (month <= 2), 4);
    *end++ = '-';
    end = append_number(end, month, 2);
    *end++ = '-';
    end = append_number(end, of_year - (153 * month_from_march + 2) / 5 + 1, 2);
    *end++ = 'T';
    end = append_number(end, of_day / 3600, 2);
    *end++ = ':';
    end = append_number(end, of_day / 60 % 60, 2);
    *end++ = ':';
    end = append_number(end, of_day % 60, 2);
    *end++ = 'Z';
    return end;
}

static void write_log_line(void)
{
    static char line[2 * LINE_SIZE + 256];
    const char *limit = line + sizeof line - 64; /* room for what follows the text */
    char *end = line;

    end = append(end, limit, watch.json ? "{\"level\":\"error\",\"msg\":\"" : "time=\"");
    if (!watch.json) {
        end = append_time(end);
        end = append(end, limit, "\" level=error msg=\"");
    }
    end = append(end, limit, watch.escaped);
    limit = line + sizeof line;
    if (watch.json) {
        end = append(end, limit, "\",\"time\":\"");
        end = append_time(end);
        end = append(end, limit, "\"}\n");
    } else {
        end = append(end, limit, "\"\n");
    }
    put(watch.log, line, (size_t)(end - line));
}

static void expired(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)context;
    if (info->si_code != SI_TIMER || info->si_value.sival_ptr != &watch || !watch.armed)
        return; /* somebody else's SIGURG, or the call has returned meanwhile */
    if (watch.child >= 0)
        syscall(SYS_pidfd_send_signal, watch.child, SIGKILL, NULL, 0);
    if (watch.log >= 0)
        write_log_line();
    if (watch.plain) {
        put(STDERR_FILENO, watch.prefix, strlen(watch.prefix));
        put(STDERR_FILENO, watch.text, strlen(watch.text));
        put(STDERR_FILENO, "\n", 1);
    }
    _exit(watch.exit_code);
}

int watchdog_setup(const struct watchdog_output *output)
{
    struct sigaction action = {.sa_sigaction = expired, .sa_flags = SA_SIGINFO};
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGURG, .sigev_value.sival_ptr = &watch};
    sigset_t urgent;

    watch.log = output->log;
    watch.json = output->json;
    watch.plain = output->prefix != NULL;
    watch.exit_code = output->exit_code;
    snprintf(watch.prefix, sizeof watch.prefix, "%s", output->prefix ? output->prefix : "");
    if (watch.is_set_up)
        return 0;
    sigfillset(&action.sa_mask);
    sigemptyset(&urgent);
    sigaddset(&urgent, SIGURG);
    if (sigaction(SIGURG, &action, NULL) < 0 || sigprocmask(SIG_UNBLOCK, &urgent, NULL) < 0 ||
        timer_create(CLOCK_MONOTONIC, &event, &watch.timer) < 0)
        return -errno;
    watch.is_set_up = true;
    return 0;
}

/* A text that was cut may end inside of a letter, and a log that is not UTF-8 is no JSON. */
static void drop_cut_letter(char *text)
{
    char *last = text + strlen(text);

    while (last > text && ((unsigned char)last[-1] & 0xc0) == 0x80)
        last--;
    if (last > text && (unsigned char)last[-1] >= 0xc0)
        last[-1] = '\0';
}

static void escape(void)
{
    char *to = watch.escaped;

    for (const char *from = watch.text; *from; from++) {
        if (*from == '"' || *from == '\\')
            *to++ = '\\';
        *to++ = *from;
    }
    *to = '\0';
}

static int set_timer(double seconds)
{
    struct itimerspec spec = {0};

    spec.it_value.tv_sec = (time_t)seconds;
    spec.it_value.tv_nsec = (long)((seconds - (double)spec.it_value.tv_sec) * 1e9);
    /* All zero would disarm it. */
    if (seconds > 0 && !spec.it_value.tv_sec && !spec.it_value.tv_nsec)
        spec.it_value.tv_nsec = 1;
    return timer_settime(watch.timer, 0, &spec, NULL) < 0 ? -errno : 0;
}

int watchdog_arm(const char *owner, const char *what, double seconds, int child)
{
    if (!watch.is_set_up || !(seconds > 0) || seconds > 1e9)
        return -EINVAL;
    const int size =
        snprintf(watch.text, sizeof watch.text,
                 "%s does not return: %s: after %g s (what was begun is undone by delete --force once the plugin is mended "
                 "or another version of it installed; --forget-plugin does without it)",
                 owner, what, seconds);
    if (size < 0)
        return -EINVAL;
    if ((size_t)size >= sizeof watch.text)
        drop_cut_letter(watch.text);
    for (char *c = watch.text; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = '?';
    escape();
    watch.child = child;
    watch.armed = 1;
    return set_timer(seconds);
}

int watchdog_disarm(void)
{
    watch.armed = 0;
    return set_timer(0);
}
