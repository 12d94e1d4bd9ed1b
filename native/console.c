/*
 * console.c: the pseudo terminal. It is made from the container's own devpts, so it exists in the container; its
 * other end is taken by ioctl and never by the name /dev/pts/N (CVE-2025-52565).
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "compat.h"
#include "init.h"

#define PTMX "/dev/pts/ptmx"
#define CONSOLE "/dev/console"

/* What lies at /dev/pts/ptmx is opened only after a look at it: opening a wrong device may do something. */
static int open_ptmx(struct init *init)
{
    struct stat status;
    struct cl_open_how how = {.flags = O_RDWR | O_NOCTTY | O_CLOEXEC | O_NOFOLLOW,
                              .resolve = CL_RESOLVE_BENEATH | CL_RESOLVE_NO_SYMLINKS | CL_RESOLVE_NO_XDEV};
    CLEANUP_FD int pts = path_open(init->root, "/dev/pts", O_PATH | O_DIRECTORY, CL_RESOLVE_NO_SYMLINKS);
    if (pts < 0)
        fail_call(init, "/dev/pts", "openat2");
    if (!fd_is_on(pts, CL_DEVPTS_SUPER_MAGIC))
        fail_rule(init, "/dev/pts", "is not a devpts");
    CLEANUP_FD int look = path_reopen(pts, "ptmx", O_PATH);
    if (look < 0)
        fail_call(init, PTMX, "openat2");
    if (!fd_is_device(look, 5, 2) || fstat(look, &status) < 0 || status.st_ino != CL_PTMX_INODE)
        fail_rule(init, PTMX, "is not the multiplexer of a devpts");
    int fd = sys_openat2(pts, "ptmx", &how);
    if (fd < 0)
        fail_call(init, PTMX, "openat2");
    return fd;
}

static void set_size(struct init *init, int master, uint64_t size)
{
    struct winsize wanted = {.ws_row = (unsigned short)(size >> 16), .ws_col = (unsigned short)size};
    if (size && ioctl(master, TIOCSWINSZ, &wanted) < 0)
        fail_call(init, PTMX, "ioctl TIOCSWINSZ");
}

static void bind_console(struct init *init, int terminal)
{
    CLEANUP_FD int target = path_make_file(init->root, CONSOLE, 0600);
    if (target < 0)
        fail_call(init, CONSOLE, "cannot make the mount target");
    CLEANUP_FD int mount = sys_open_tree(terminal, "", CL_AT_EMPTY_PATH | CL_OPEN_TREE_CLONE);
    if (mount < 0)
        fail_call(init, CONSOLE, "open_tree");
    attach_mount(init, mount, target, CONSOLE, 0);
}

static void become_terminal(struct init *init, int terminal)
{
    if (ioctl(terminal, TIOCSCTTY, 0) < 0)
        fail_call(init, CONSOLE, "ioctl TIOCSCTTY");
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (dup2(terminal, fd) < 0)
            fail_call(init, CONSOLE, "dup2");
    }
}

void op_console(struct init *init, const struct cl_record *record)
{
    int locked = 0;
    CLEANUP_FD int master = open_ptmx(init);
    if (ioctl(master, TIOCSPTLCK, &locked) < 0)
        fail_call(init, PTMX, "ioctl TIOCSPTLCK");
    CLEANUP_FD int terminal = ioctl(master, CL_TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (terminal < 0)
        fail_call(init, PTMX, "ioctl TIOCGPTPEER");
    set_size(init, master, record->number[0]);
    if (record->flags & CL_FLAG_BIND_CONSOLE)
        bind_console(init, terminal);
    sync_send(init, CL_MSG_CONSOLE, NULL, 0, master);
    become_terminal(init, terminal);
}
