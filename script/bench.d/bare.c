/*
 * bare: the kernel's share of one container, with no runtime around it.
 *
 *     bare BUNDLE CGROUP HIERARCHY... -- PROGRAM [ARGUMENT...]
 *
 * Does in straight lines what `runc spec` asks for: a cgroup in each HIERARCHY, device rules, every namespace of
 * the config, its mounts, device nodes, masked and read-only paths, pivot_root, capabilities, no_new_privs, the
 * rlimit, loopback up, exec; then waits and removes the cgroups. Nothing is parsed, checked, journaled or undone.
 * Errors end it with the line that failed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#define TRY(call) \
    do { \
        if ((call) < 0) { \
            dprintf(2, "bare:%d: %s: %s\n", __LINE__, #call, strerror(errno)); \
            _exit(125); \
        } \
    } while (0)

#define NAMESPACES (CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNS)
#define CAPABILITIES ((1u << CAP_AUDIT_WRITE) | (1u << CAP_KILL) | (1u << CAP_NET_BIND_SERVICE))

static const char *bundle;
static const char *name;
static char **hierarchies;
static int hierarchy_count;

static void put(const char *directory, const char *cgroup, const char *file, const char *text)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s/%s", directory, cgroup, file);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) {
        return; /* not that hierarchy's file */
    }
    TRY(write(fd, text, strlen(text)));
    close(fd);
}

static void copy_from_root(const char *hierarchy, const char *file)
{
    char path[512];
    char text[256];
    snprintf(path, sizeof path, "%s/%s", hierarchy, file);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return;
    }
    ssize_t size = read(fd, text, sizeof text - 1);
    close(fd);
    if (size > 0) {
        text[size] = 0;
        put(hierarchy, name, file, text);
    }
}

static void make_cgroups(void)
{
    static const char *const allowed[] = {"c *:* m", "b *:* m", "c 1:3 rwm", "c 1:8 rwm", "c 1:7 rwm", "c 5:0 rwm",
                                          "c 1:5 rwm", "c 1:9 rwm", "c 136:* rwm", "c 5:2 rwm"};
    for (int i = 0; i < hierarchy_count; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", hierarchies[i], name);
        TRY(mkdir(path, 0755));
        copy_from_root(hierarchies[i], "cpuset.cpus");
        copy_from_root(hierarchies[i], "cpuset.mems");
        put(hierarchies[i], name, "devices.deny", "a");
        for (size_t rule = 0; rule < sizeof allowed / sizeof *allowed; rule++) {
            put(hierarchies[i], name, "devices.allow", allowed[rule]);
        }
    }
}

static void join_cgroups(void)
{
    for (int i = 0; i < hierarchy_count; i++) {
        put(hierarchies[i], name, "cgroup.procs", "0");
    }
}

static void remove_cgroups(void)
{
    for (int i = 0; i < hierarchy_count; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", hierarchies[i], name);
        TRY(rmdir(path));
    }
}

static void mount_cgroups(void)
{
    TRY(mount("tmpfs", "sys/fs/cgroup", "tmpfs", MS_NOSUID | MS_NOEXEC | MS_NODEV, "mode=755"));
    for (int i = 0; i < hierarchy_count; i++) {
        char source[512];
        char target[512];
        snprintf(source, sizeof source, "%s/%s", hierarchies[i], name);
        snprintf(target, sizeof target, "sys/fs/cgroup/%s", strrchr(hierarchies[i], '/') + 1);
        if (strcmp(target, "sys/fs/cgroup/unified") == 0) {
            continue; /* joined, but runc shows a container of a hybrid host only the v1 hierarchies */
        }
        TRY(mkdir(target, 0755));
        TRY(mount(source, target, NULL, MS_BIND, NULL));
        TRY(mount(NULL, target, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL));
    }
    TRY(mount(NULL, "sys/fs/cgroup", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL));
}

static void fill_dev(void)
{
    static const struct {
        const char *path;
        int minor;
        int major;
    } nodes[] = {{"dev/null", 3, 1}, {"dev/random", 8, 1}, {"dev/full", 7, 1}, {"dev/tty", 0, 5}, {"dev/zero", 5, 1}, {"dev/urandom", 9, 1}};
    umask(0);
    for (size_t i = 0; i < sizeof nodes / sizeof *nodes; i++) {
        TRY(mknod(nodes[i].path, S_IFCHR | 0666, makedev((unsigned)nodes[i].major, (unsigned)nodes[i].minor)));
    }
    umask(022);
    TRY(symlink("/proc/self/fd", "dev/fd"));
    TRY(symlink("/proc/self/fd/0", "dev/stdin"));
    TRY(symlink("/proc/self/fd/1", "dev/stdout"));
    TRY(symlink("/proc/self/fd/2", "dev/stderr"));
    TRY(symlink("pts/ptmx", "dev/ptmx"));
}

static void make_mounts(void)
{
    unsigned long plain = MS_NOSUID | MS_NOEXEC | MS_NODEV;
    TRY(mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL));
    TRY(chdir(bundle));
    TRY(mount("rootfs", "rootfs", NULL, MS_BIND | MS_REC, NULL));
    TRY(chdir("rootfs"));
    TRY(mount("proc", "proc", "proc", 0, NULL));
    TRY(mount("tmpfs", "dev", "tmpfs", MS_NOSUID | MS_STRICTATIME, "mode=755,size=65536k"));
    TRY(mkdir("dev/pts", 0755));
    TRY(mount("devpts", "dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5"));
    TRY(mkdir("dev/shm", 0755));
    TRY(mount("shm", "dev/shm", "tmpfs", plain, "mode=1777,size=65536k"));
    TRY(mkdir("dev/mqueue", 0755));
    TRY(mount("mqueue", "dev/mqueue", "mqueue", plain, NULL));
    TRY(mount("sysfs", "sys", "sysfs", plain | MS_RDONLY, NULL));
    mount_cgroups();
    fill_dev();
}

static void pivot(void)
{
    int old = open("/", O_DIRECTORY | O_RDONLY | O_CLOEXEC);
    TRY(old);
    TRY(syscall(SYS_pivot_root, ".", "."));
    TRY(fchdir(old));
    TRY(mount("", ".", "", MS_SLAVE | MS_REC, NULL));
    TRY(umount2(".", MNT_DETACH));
    TRY(chdir("/"));
    close(old);
}

static void hide(void)
{
    static const char *const masked[] = {"/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
                                         "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/proc/scsi"};
    static const char *const fixed[] = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"};
    for (size_t i = 0; i < sizeof masked / sizeof *masked; i++) {
        if (mount("/dev/null", masked[i], NULL, MS_BIND, NULL) < 0 && errno == ENOTDIR) {
            TRY(mount("tmpfs", masked[i], "tmpfs", MS_RDONLY, NULL));
        }
    }
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) {
        if (mount(fixed[i], fixed[i], NULL, MS_BIND | MS_REC, NULL) == 0) {
            TRY(mount(NULL, fixed[i], NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL));
        }
    }
    TRY(mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL));
}

static void loopback_up(void)
{
    struct ifreq request = {.ifr_name = "lo"};
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    TRY(fd);
    TRY(ioctl(fd, SIOCSIFFLAGS, &request));
    close(fd);
}

static void drop(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{.effective = CAPABILITIES, .permitted = CAPABILITIES}};
    struct rlimit files = {1024, 1024};
    TRY(setrlimit(RLIMIT_NOFILE, &files));
    for (int capability = 0; prctl(PR_CAPBSET_READ, capability) >= 0; capability++) {
        if (capability >= 32 || !(CAPABILITIES >> capability & 1)) {
            TRY(prctl(PR_CAPBSET_DROP, capability));
        }
    }
    TRY(syscall(SYS_setgroups, 0, NULL));
    TRY(syscall(SYS_setresgid, 0, 0, 0));
    TRY(syscall(SYS_setresuid, 0, 0, 0));
    TRY(syscall(SYS_capset, &header, data));
    TRY(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
}

static void child(char **program)
{
    static char *const environment[] = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm", NULL};
    join_cgroups();
    TRY(unshare(NAMESPACES & ~CLONE_NEWPID));
    TRY(setsid());
    loopback_up();
    make_mounts();
    pivot();
    TRY(sethostname("runc", 4));
    hide();
    drop();
    TRY(execve(program[0], program, environment));
}

int main(int argc, char **argv)
{
    int split = 3;
    while (split < argc && strcmp(argv[split], "--") != 0) {
        split++;
    }
    if (split + 1 >= argc) {
        fputs("usage: bare BUNDLE CGROUP HIERARCHY... -- PROGRAM [ARGUMENT...]\n", stderr);
        return 125;
    }
    bundle = argv[1];
    name = argv[2];
    hierarchies = argv + 3;
    hierarchy_count = split - 3;
    make_cgroups();
    long pid = syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, NULL, NULL, NULL, NULL);
    TRY(pid);
    if (pid == 0) {
        child(argv + split + 1);
    }
    int status = 0;
    TRY(waitpid((pid_t)pid, &status, 0));
    remove_cgroups();
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
