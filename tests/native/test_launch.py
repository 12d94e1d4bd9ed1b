"""A whole launch: what runc's default config asks for, from bootstrap to the payload's exit."""

from __future__ import annotations

from native_plans import Operation, device_directory, finish, mount, proc_and_sys, root

MASKED = ("/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/scsi", "/sys/firmware", "/proc/acpi", "/no/such")
READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger", "/no/such")


def usual_plan(rootfs, arguments, *, before=(), mounts=(), gate=False, **options):
    """The operations that a config as `runc spec` writes it leads to."""
    return [
        Operation("LOOPBACK"),
        *root(str(rootfs)),
        *proc_and_sys(),
        *device_directory(),
        mount("mqueue", "/dev/mqueue", attributes=14),
        *mounts,
        Operation("HOOKS_POINT"),
        Operation("PIVOT"),
        Operation("REOPEN_NULL"),
        Operation("MAKE_CWD", options.get("cwd", "/")),
        Operation("UMASK", numbers=(0o22,)),
        Operation("HOSTNAME", "native-test"),
        *(Operation("READONLY_PATH", path) for path in READ_ONLY),
        *(Operation("MASK_PATH", path) for path in MASKED),
        *before,
        *finish(arguments, gate=gate, **options),
    ]


def test_a_usual_container_runs_its_payload(run, rootfs):
    done = run(usual_plan(rootfs, ["sh", "-c", "hostname; echo $$; cat /proc/self/mountinfo; exit 7"]))
    lines = done.stdout.splitlines()
    assert done.status == 7, done.stderr
    assert lines[:2] == ["native-test", "1"]
    assert {line.split()[4] for line in lines[2:]} >= {
        "/",
        "/proc",
        "/sys",
        "/dev",
        "/dev/pts",
        "/dev/shm",
        "/dev/mqueue",
    }
