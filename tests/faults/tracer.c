/*
 * tracer: runs a command under ptrace and strikes one of its processes at the entry of one system call.
 *
 *     tracer VICTIM SYSCALL COUNT ACTION COMMAND [ARGUMENT...]
 *
 * VICTIM   which process reaches the call: 0 the command, 1 the first process it made, 2 the second ... (threads
 *          of a process count for it)
 * SYSCALL  number of the call; COUNT: the how-manieth such call of that process, from 1, across execve
 * ACTION   "kill" kills the victim, "all" every traced process, "ERRNO" makes the call fail without being made
 *
 * strace --inject does this for the command itself, and the tests use strace there. It cannot name a child (it
 * counts for each tracee, so the parent is struck first) nor strike two processes at once. Afterwards everything
 * is detached and runs on by itself. Exit code: the command's, 128 + signal if it was killed. On descriptor 9,
 * when it is open, one line: "struck" or "missed".
 */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_TASKS 512
#define REPORT_FD 9

struct task {
    pid_t tid;
    int process; /* index of its process in order of creation */
    bool in_call;
    bool fail_at_exit;
};

struct plan {
    int victim;
    long call;
    long count;
    bool all;
    int error; /* 0: kill */
};

static struct task tasks[MAX_TASKS];
static int task_count;
static int process_count;
static long seen; /* such calls of the victim so far */
static bool struck;

static struct task *find(pid_t tid)
{
    for (int i = 0; i < task_count; i++) {
        if (tasks[i].tid == tid) {
            return &tasks[i];
        }
    }
    return NULL;
}

static struct task *add(pid_t tid, int process)
{
    if (task_count == MAX_TASKS) {
        fputs("tracer: too many tasks\n", stderr);
        exit(125);
    }
    tasks[task_count] = (struct task){.tid = tid, .process = process};
    return &tasks[task_count++];
}

static void forget(pid_t tid)
{
    struct task *task = find(tid);
    if (task != NULL) {
        *task = tasks[--task_count];
    }
}

/* Thread group of a task, from /proc: a new task is a thread of an old process, or a process of its own. */
static pid_t thread_group(pid_t tid)
{
    char path[64];
    char line[256];
    int group = tid;
    snprintf(path, sizeof path, "/proc/%d/status", tid);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return tid;
    }
    while (fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "Tgid: %d", &group) == 1) {
            break;
        }
    }
    fclose(file);
    return group;
}

static struct task *adopt(pid_t tid)
{
    struct task *known = find(tid);
    if (known != NULL) {
        return known;
    }
    pid_t group = thread_group(tid);
    struct task *leader = group == tid ? NULL : find(group);
    return add(tid, leader != NULL ? leader->process : process_count++);
}

/* A new child is known from its parent's stop on: its own first stop may come after everybody was let go. */
static void adopt_child(pid_t parent, int event)
{
    unsigned long child = 0;
    bool made_one = event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_VFORK || event == PTRACE_EVENT_CLONE;
    /* 0: the child is dead and reaped already. To kill that "pid" would be to kill our own process group. */
    if (made_one && ptrace(PTRACE_GETEVENTMSG, parent, NULL, &child) == 0 && child > 0) {
        adopt((pid_t)child);
    }
}

static void kill_all(void)
{
    for (int i = 0; i < task_count; i++) {
        kill(tasks[i].tid, SIGKILL);
    }
}

static void set_call(pid_t tid, const struct plan *plan, bool entry)
{
    struct user_regs_struct registers;
    if (ptrace(PTRACE_GETREGS, tid, NULL, &registers) != 0) {
        return;
    }
    if (entry) {
        registers.orig_rax = (unsigned long long)-1;
    } else {
        registers.rax = (unsigned long long)-plan->error;
    }
    ptrace(PTRACE_SETREGS, tid, NULL, &registers);
}

/* A stop at the entry or exit of a call. Returns true when everybody is to be let go. */
static bool at_call(struct task *task, const struct plan *plan)
{
    task->in_call = !task->in_call;
    if (!task->in_call) {
        if (task->fail_at_exit) {
            set_call(task->tid, plan, false);
            return true;
        }
        return false;
    }
    struct __ptrace_syscall_info info;
    long size = ptrace(PTRACE_GET_SYSCALL_INFO, task->tid, (void *)sizeof info, &info);
    if (size <= 0) {
        return false;
    }
    task->in_call = info.op == PTRACE_SYSCALL_INFO_ENTRY;
    if (!task->in_call || task->process != plan->victim || (long)info.entry.nr != plan->call || ++seen != plan->count) {
        return false;
    }
    struck = true;
    if (plan->error != 0) {
        set_call(task->tid, plan, true);
        task->fail_at_exit = true;
        return false;
    }
    if (plan->all) {
        kill_all();
    } else {
        kill(task->tid, SIGKILL);
    }
    return true;
}

static void wake_up(int signal)
{
    (void)signal;
}

/*
 * Lets every task go. Those that run have to be stopped first: only a stopped task can be detached. A task in a frozen
 * cgroup (v1) is neither stopped nor dies before it is thawed, which is the next command's to do: it is left after a
 * second, and our end lets it go.
 */
static void release(pid_t stopped, pid_t command, int *status)
{
    struct sigaction without_restart = {.sa_handler = wake_up};
    sigaction(SIGALRM, &without_restart, NULL);
    alarm(1);
    for (int i = 0; i < task_count; i++) {
        if (tasks[i].tid != stopped) {
            ptrace(PTRACE_INTERRUPT, tasks[i].tid, NULL, NULL);
        }
    }
    /* A dead tracee stays in the table until it is waited for: its real parent learns of its death only then. */
    if (stopped != 0 && ptrace(PTRACE_DETACH, stopped, NULL, NULL) == 0) {
        forget(stopped);
    }
    while (task_count > 0) {
        int state;
        pid_t tid = waitpid(-1, &state, __WALL);
        if (tid < 0) {
            break;
        }
        if (!WIFSTOPPED(state)) {
            if (tid == command) {
                *status = state;
            }
            forget(tid);
            continue;
        }
        int signal = WSTOPSIG(state);
        bool ordinary = state >> 16 == 0 && signal != (SIGTRAP | 0x80);
        if (ptrace(PTRACE_DETACH, tid, NULL, (void *)(long)(ordinary ? signal : 0)) == 0) {
            forget(tid);
        }
    }
    alarm(0);
}

static int trace(pid_t command, const struct plan *plan)
{
    int status = -1;
    while (status == -1) {
        int state;
        pid_t tid = waitpid(-1, &state, __WALL);
        if (tid < 0) {
            return 125;
        }
        if (!WIFSTOPPED(state)) {
            forget(tid);
            if (tid == command) {
                status = state;
            }
            continue;
        }
        struct task *task = adopt(tid);
        int signal = WSTOPSIG(state);
        int event = state >> 16;
        if (signal == (SIGTRAP | 0x80)) {
            if (at_call(task, plan)) {
                release(tid, command, &status);
                break;
            }
            signal = 0;
        } else if (event != 0) {
            adopt_child(tid, event);
            signal = 0;
        }
        ptrace(PTRACE_SYSCALL, tid, NULL, (void *)(long)signal);
    }
    if (status != -1) {
        release(0, command, &status);
    }
    while (status == -1 && waitpid(command, &status, __WALL) == command && !WIFEXITED(status) && !WIFSIGNALED(status)) {
        status = -1;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int main(int argc, char **argv)
{
    if (argc < 6) {
        fputs("usage: tracer VICTIM SYSCALL COUNT kill|all|ERRNO COMMAND [ARGUMENT...]\n", stderr);
        return 125;
    }
    struct plan plan = {
        .victim = atoi(argv[1]),
        .call = atol(argv[2]),
        .count = atol(argv[3]),
        .all = strcmp(argv[4], "all") == 0,
        .error = atoi(argv[4]),
    };
    pid_t command = fork();
    if (command < 0) {
        perror("tracer: fork");
        return 125;
    }
    if (command == 0) {
        close(REPORT_FD);
        raise(SIGSTOP);
        execvp(argv[5], argv + 5);
        perror("tracer: exec");
        _exit(125);
    }
    int state;
    waitpid(command, &state, WUNTRACED);
    long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC;
    if (ptrace(PTRACE_SEIZE, command, NULL, (void *)options) != 0) {
        perror("tracer: PTRACE_SEIZE");
        kill(command, SIGKILL);
        return 125;
    }
    kill(command, SIGCONT);
    adopt(command);
    ptrace(PTRACE_SYSCALL, command, NULL, NULL);
    int code = trace(command, &plan);
    dprintf(REPORT_FD, "%s\n", struck ? "struck" : "missed");
    return code;
}
