"""The table of bad input; ``test_bad_input.py`` says what must hold for every row."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: In the name of everything that the rows make, and of nothing else on this host.
MARK = f"cl-cb-{os.getpid()}"

Config = dict[str, Any]


@dataclass(frozen=True)
class Row:
    """One bad input.

    Attributes:
        name: of the test.
        line: regular expression for stderr.
        change: what is done to the config before it is written.
        spoil: what is done to the bundle directory afterwards.
        verb: "create", or "run" where only `start` can notice.
        words: more options of the verb; {bundle} and {scratch} are replaced.
        options: more global options.
        code: exit code.
        id: container id, the default is a good one.
    """

    name: str
    line: str
    change: Callable[[Config], object] | None = None
    spoil: Callable[[Path], object] | None = None
    verb: str = "create"
    words: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    code: int = 1
    id: str = ""
    own_rootfs: bool = False


#: Operator's config files in the scratch directory: what they have, what is said, text, mode.
CONFIG_FILES = {
    "key.toml": ("a wrong key", r"toml: plugin: unknown key \(did you mean plugins\?\)", "plugin = ['a']", 0o644),
    "type.toml": ("a value of another type", "plugins: 'a' is not a list of names", "plugins = 'a'", 0o644),
    "none.toml": ("no time for a plugin", "plugin_call: 0 is not a number", "[deadlines]\nplugin_call = 0", 0o644),
    "text.toml": ("what is no TOML", "invalid config file.*text.toml", "plugins = [", 0o644),
    "open.toml": ("write permission for all", "config file refused.*everybody can write it.*chmod", "", 0o666),
    "gone.toml": ("a plugin that is gone", "no lifecycle plugin called 'nosuch'", "plugins = ['nosuch']", 0o644),
}


def put(path: str, value: Any) -> Callable[[Config], None]:
    """A change that puts a value at a dotted path ("process.args", "mounts.0.type")."""

    def change(config: Config) -> None:
        *parents, last = (int(part) if part.isdigit() else part for part in path.split("."))
        place: Any = config
        for part in parents:
            place = place.setdefault(part, {}) if isinstance(place, dict) else place[part]
        place[last] = value

    return change


def drop(path: str) -> Callable[[Config], None]:
    """A change that removes what is at a dotted path."""

    def change(config: Config) -> None:
        *parents, last = path.split(".")
        place: Any = config
        for part in parents:
            place = place[part]
        del place[last]

    return change


def add(path: str, *values: Any) -> Callable[[Config], None]:
    """A change that appends to the array at a dotted path."""

    def change(config: Config) -> None:
        place: Any = config
        for part in path.split("."):
            place = place[part]
        place.extend(values)

    return change


def without_namespace(kind: str, then: Callable[[Config], object] | None = None) -> Callable[[Config], None]:
    """A change that leaves a namespace out, and does one thing more."""

    def change(config: Config) -> None:
        config["linux"]["namespaces"] = [n for n in config["linux"]["namespaces"] if n["type"] != kind]
        if then is not None:
            then(config)

    return change


def text(content: str) -> Callable[[Path], None]:
    """A spoiling that replaces config.json."""
    return lambda bundle: (bundle / "config.json").write_text(content) and None


def file(path: str, content: str, mode: int = 0o755) -> Callable[[Path], None]:
    """A spoiling that writes a file of the bundle."""

    def spoil(bundle: Path) -> None:
        (bundle / path).write_text(content)
        (bundle / path).chmod(mode)

    return spoil


def instead_of_config(make: Callable[[Path], object]) -> Callable[[Path], None]:
    """A spoiling that puts something else where config.json should be."""

    def spoil(bundle: Path) -> None:
        (bundle / "config.json").unlink()
        make(bundle / "config.json")

    return spoil


def hook(moment: str, script: str, **more: Any) -> Callable[[Config], None]:
    """A change that adds an OCI hook, a shell script."""
    return put(f"hooks.{moment}", [{"path": "/bin/sh", "args": ["sh", "-c", script], **more}])


def seccomp(**profile: Any) -> Callable[[Config], None]:
    """A change that adds a seccomp profile."""
    return put("linux.seccomp", {"defaultAction": "SCMP_ACT_ALLOW", **profile})


#: A shell command that never ends, and that the oracle knows by its arguments.
HANG = f"sh -c 'while :; do sleep 1; done' {MARK}"
BROKEN_JSON = '{\n  "ociVersion": "1.0.2",\n  "process": {,\n}\n'
NO_FILE = "no such file or directory"

BIND = {"destination": "/work", "type": "bind", "source": "/tmp", "options": ["bind"]}
ID_MAP = [{"containerID": 0, "hostID": 100000, "size": 1000}]
ID_MAPPED = {"uidMappings": ID_MAP, "gidMappings": ID_MAP}

ROWS = [
    # the bundle
    Row("bundle that does not exist", f"/nonexistent.*{NO_FILE}", words=("--bundle", "/nonexistent")),
    Row("bundle that is a file", "not a directory", words=("--bundle", "/etc/hostname")),
    Row(
        "bundle without config.json", r"config\.json not found", spoil=lambda bundle: (bundle / "config.json").unlink()
    ),
    Row("broken JSON", r"config\.json:3:15", spoil=text(BROKEN_JSON)),
    Row("truncated JSON", r"config\.json:1:\d+", spoil=text('{"ociVersion": "1.0')),
    Row("empty config.json", r"config\.json:1:1", spoil=text("")),
    Row("more after the JSON", r"config\.json:2:1", spoil=text("{}\n{}")),
    Row("a number that is no number", r"config\.json.*NaN", spoil=text('{"ociVersion": NaN}')),
    Row("config.json without end of nesting", "nested too deep", spoil=text("[" * 200000)),
    Row("config.json that is an array", r"config\.json.*object", spoil=text("[]")),
    Row(
        "config.json that is not UTF-8", "not UTF-8", spoil=lambda b: (b / "config.json").write_bytes(b'{"a": "\xff"}')
    ),
    Row("config.json that is a directory", r"config\.json", spoil=instead_of_config(Path.mkdir)),
    Row("config.json that is a FIFO", r"config\.json", spoil=instead_of_config(os.mkfifo)),
    Row("config.json that is huge", r"config\.json", spoil=lambda b: os.truncate(b / "config.json", 1 << 33)),
    # what is where in it
    Row("no ociVersion", "ociVersion", drop("ociVersion")),
    Row("ociVersion of another major", "ociVersion", put("ociVersion", "2.0.0")),
    Row("ociVersion that is no version", "ociVersion", put("ociVersion", "latest")),
    Row("no process", "process", drop("process")),
    Row("no root", "root", drop("root")),
    Row("text where an array belongs", r"process\.args", put("process.args", "sh")),
    Row("number where text belongs", r"process\.args\[0\]", put("process.args", [1])),
    Row("text where an object belongs", r"linux\.resources", put("linux.resources", "none")),
    # root filesystem
    Row("rootfs that does not exist", r"root\.path.*/nonexistent/rootfs", put("root.path", "/nonexistent/rootfs")),
    Row("relative rootfs that does not exist", r"root\.path.*nowhere", put("root.path", "nowhere")),
    Row("empty rootfs", r"root\.path", put("root.path", "")),
    Row("rootfs that is a file", "not a directory", put("root.path", "/etc/hostname")),
    # namespaces
    Row("unknown namespace", r"linux\.namespaces\[5\]", add("linux.namespaces", {"type": "galaxy"})),
    Row("namespace without a type", r"linux\.namespaces\[5\]", add("linux.namespaces", {})),
    Row("duplicate namespace", r"linux\.namespaces\[5\].*(duplicate|twice)", add("linux.namespaces", {"type": "pid"})),
    Row(
        "namespace to join that is not there",
        r"linux\.namespaces\[5\]",
        add("linux.namespaces", {"type": "cgroup", "path": "/none"}),
    ),
    Row(
        "namespace to join that is a file",
        r"linux\.namespaces\[5\]\.path: '/etc/hostname' is not a namespace",
        add("linux.namespaces", {"type": "cgroup", "path": "/etc/hostname"}),
    ),
    Row(
        "namespace to join that is a device",
        r"linux\.namespaces\[5\]\.path: '/dev/ptmx' is not a namespace",
        add("linux.namespaces", {"type": "cgroup", "path": "/dev/ptmx"}),
    ),
    Row(
        "namespace to join of another kind",
        r"linux\.namespaces\[5\]\.path: '/proc/self/ns/net' is not a cgroup namespace",
        add("linux.namespaces", {"type": "cgroup", "path": "/proc/self/ns/net"}),
    ),
    Row(
        "the host's own mount namespace",
        r"linux\.namespaces\[\d\]\.path: .* is the host's own mount namespace",
        without_namespace("mount", add("linux.namespaces", {"type": "mount", "path": "/proc/self/ns/mnt"})),
    ),
    Row(
        "the host's own user namespace",
        r"linux\.namespaces\[5\]\.path: .* is the host's own user namespace",
        add("linux.namespaces", {"type": "user", "path": "/proc/self/ns/user"}),
    ),
    Row(
        "sysctl of the host's network by its path",
        r"linux\.namespaces\[\d\]\.path: .* linux\.sysctl would change the host",
        without_namespace(
            "network",
            lambda config: [
                add("linux.namespaces", {"type": "network", "path": "/proc/self/ns/net"})(config),
                put("linux.sysctl", {"net.ipv4.ip_forward": "1"})(config),
            ],
        ),
    ),
    Row(
        "offsets of a joined time namespace",
        r"linux\.timeOffsets",
        lambda config: [
            add("linux.namespaces", {"type": "time", "path": "/proc/self/ns/time"})(config),
            put("linux.timeOffsets", {"monotonic": {"secs": 1}})(config),
        ],
    ),
    Row("masks without a mount namespace", r"linux\.(masked|readonly)Paths", without_namespace("mount")),
    Row("hostname without a uts namespace", "hostname", without_namespace("uts")),
    Row("user namespace without mappings", "[mM]apping", add("linux.namespaces", {"type": "user"})),
    Row(
        "mappings without a user namespace",
        "[mM]apping",
        put("linux.uidMappings", [{"containerID": 0, "hostID": 0, "size": 1}]),
    ),
    # the process
    Row("no args", r"process\.args", put("process.args", [])),
    Row("missing binary", r'exec: "nosuch": executable file not found in \$PATH', put("process.args", ["nosuch"])),
    Row("missing binary with a path", f'exec: "/bin/nosuch".*{NO_FILE}', put("process.args", ["/bin/nosuch"])),
    Row("binary that may not be executed", "permission denied", put("process.args", ["/etc/passwd"])),
    Row("binary that is a directory", "is a directory|permission denied", put("process.args", ["/etc"])),
    Row(
        "script without its interpreter",
        f"(exec.*/bin/script|/bin/script.*exec).*{NO_FILE}",
        put("process.args", ["/bin/script"]),
        file("rootfs/bin/script", "#!/no/interpreter\n"),
        verb="run",
        own_rootfs=True,
    ),
    Row(
        "file that is no program",
        "exec format error",
        put("process.args", ["/bin/data"]),
        file("rootfs/bin/data", "\x7fnope"),
        verb="run",
        own_rootfs=True,
    ),
    Row("relative cwd", r"process\.cwd|[cC]wd", put("process.cwd", "work")),
    Row("cwd that is a file", "not a directory", put("process.cwd", "/etc/passwd")),
    Row("uid that is too large", r"process\.user\.uid", put("process.user.uid", 2**32)),
    Row("negative gid", r"process\.user\.gid", put("process.user.gid", -1)),
    Row(
        "unknown rlimit", r"process\.rlimits\[1\]", add("process.rlimits", {"type": "RLIMIT_FUN", "soft": 1, "hard": 1})
    ),
    Row(
        "duplicate rlimit",
        r"process\.rlimits\[1\].*(duplicate|twice)",
        add("process.rlimits", {"type": "RLIMIT_NOFILE", "soft": 1, "hard": 1}),
    ),
    Row("soft limit above the hard one", r"process\.rlimits\[0\]", put("process.rlimits.0.soft", 4096)),
    Row("oom score out of range", r"process\.oomScoreAdj", put("process.oomScoreAdj", 2000)),
    Row("apparmor profile on a host without", "apparmor", put("process.apparmorProfile", "some-profile")),
    Row("selinux label on a host without", "selinux", put("process.selinuxLabel", "a:b:c:d")),
    # terminal
    Row("terminal without a console", "cannot allocate tty", put("process.terminal", True)),
    Row("console without a terminal", "cannot use console socket", words=("--console-socket", "{scratch}/console")),
    Row(
        "console socket that is not there",
        f"console.*{NO_FILE}",
        put("process.terminal", True),
        words=("--console-socket", "{scratch}/console"),
    ),
    # mounts
    Row("mount without destination", r"mounts\[7\]", add("mounts", {"type": "tmpfs"})),
    Row(
        "mount of an unknown type",
        "unknown filesystem.*/m: no such device",
        add("mounts", {"destination": "/m", "type": "nosuchfs", "source": "x"}),
    ),
    Row(
        "bind of what is not there",
        f"/nonexistent.*{NO_FILE}",
        add("mounts", {"destination": "/m", "type": "bind", "source": "/nonexistent", "options": ["bind"]}),
    ),
    Row(
        "option that the filesystem refuses",
        r"/tmp",
        add("mounts", {"destination": "/tmp", "type": "tmpfs", "source": "x", "options": ["size=much"]}),
    ),
    Row(
        "mount over /proc/self",
        "/proc",
        add("mounts", {"destination": "/proc/self", "type": "tmpfs", "source": "tmpfs"}),
    ),
    Row(
        "id-mapped mount of no bind",
        r"mounts\[7\]\.uidMappings: id-mapped mounts are for binds",
        add("mounts", {"destination": "/m", "type": "tmpfs", "source": "x", **ID_MAPPED}),
    ),
    Row(
        "id-mapped mount with one map",
        r"mounts\[7\]\.uidMappings: uidMappings and gidMappings go together",
        add("mounts", {**BIND, "uidMappings": ID_MAPPED["uidMappings"]}),
    ),
    Row(
        "id-mapped mount without maps",
        r'mounts\[7\]\.options: "idmap": neither the mount nor the container has id mappings',
        add("mounts", {**BIND, "options": ["bind", "idmap"]}),
    ),
    Row(
        "id-mapped mount with an empty line",
        r"mounts\[7\]\.gidMappings\[0\]\.size",
        add("mounts", {**BIND, **ID_MAPPED, "gidMappings": [{"containerID": 0, "hostID": 0, "size": 0}]}),
    ),
    Row(
        "id-mapped mount of a filesystem that has none",
        "cannot map the owners of a mount: /proc/sys: invalid argument .*id-mapped mounts",
        add("mounts", {**BIND, **ID_MAPPED, "source": "/proc/sys"}),
    ),
    # linux
    Row("cgroup path with dots", r"cgroup.*\.\.", put("linux.cgroupsPath", "/a/../../b")),
    Row("sysctl outside its namespace", r"sysctl", put("linux.sysctl", {"kernel.panic": "1"})),
    Row(
        "sysctl of a shared network",
        "sysctl",
        without_namespace("network", put("linux.sysctl", {"net.ipv4.ip_forward": "1"})),
    ),
    Row(
        "sysctl that is not there",
        f"net/nosuch.*{NO_FILE}|net.nosuch.*{NO_FILE}",
        put("linux.sysctl", {"net.nosuch": "1"}),
    ),
    Row(
        "seccomp agent that is not there",
        rf"cannot send the seccomp listener: /nonexistent/agent: {NO_FILE}",
        seccomp(
            listenerPath="/nonexistent/agent",
            syscalls=[{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}],
        ),
    ),
    Row(
        "notification without an agent",
        r"linux\.seccomp\.listenerPath: must be set",
        seccomp(syscalls=[{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}]),
    ),
    Row(
        "notification of everything",
        r"linux\.seccomp\.defaultAction: SCMP_ACT_NOTIFY cannot be used as default action",
        seccomp(defaultAction="SCMP_ACT_NOTIFY", listenerPath="/x"),
    ),
    Row(
        "notification of write",
        r"linux\.seccomp\.syscalls\[0\]\.names: SCMP_ACT_NOTIFY cannot be used for the write syscall",
        seccomp(listenerPath="/x", syscalls=[{"names": ["write"], "action": "SCMP_ACT_NOTIFY"}]),
    ),
    Row("unknown seccomp action", r"linux\.seccomp\.defaultAction", seccomp(defaultAction="SCMP_ACT_MAYBE")),
    Row(
        "unknown seccomp action of a rule",
        r"linux\.seccomp\.syscalls\[0\]\.action",
        seccomp(syscalls=[{"names": ["getcwd"], "action": "SCMP_ACT_MAYBE"}]),
    ),
    Row(
        "unknown seccomp architecture",
        r"linux\.seccomp\.architectures\[0\]",
        seccomp(architectures=["SCMP_ARCH_ABACUS"]),
    ),
    Row(
        "unknown seccomp operator",
        r"linux\.seccomp\.syscalls\[0\]\.args\[0\]",
        seccomp(
            syscalls=[
                {
                    "names": ["kill"],
                    "action": "SCMP_ACT_ERRNO",
                    "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_ISH"}],
                }
            ]
        ),
    ),
    Row(
        "relative device path",
        r"linux\.devices\[0\]",
        put("linux.devices", [{"path": "dev/x", "type": "c", "major": 1, "minor": 3}]),
    ),
    Row(
        "unknown device type",
        r"linux\.devices\[0\]",
        put("linux.devices", [{"path": "/dev/x", "type": "q", "major": 1, "minor": 3}]),
    ),
    Row("unknown rootfs propagation", "rootfsPropagation", put("linux.rootfsPropagation", "sideways")),
    Row("relative masked path", r"linux\.maskedPaths\[0\]", put("linux.maskedPaths", ["proc/acpi"])),
    Row("negative pids limit that is not -1", "pids", put("linux.resources.pids", {"limit": "many"})),
    Row("cpuset that there is none of", "cpuset|cpus", put("linux.resources.cpu", {"cpus": "900-901"})),
    Row("RDT on a host without", "rdt|resctrl|RDT", put("linux.intelRdt", {"closID": "x", "l3CacheSchema": "L3:0=f"})),
    # hooks
    Row(
        "hook that fails",
        r"hooks\.prestart\[0\].*(status|code) 3.*told you",
        hook("prestart", "echo told you >&2; exit 3"),
    ),
    Row("hook that a signal kills", r"hooks\.createRuntime\[0\].*(signal 9|137)", hook("createRuntime", "kill -9 $$")),
    Row(
        "hook that is not there",
        f"hooks.createRuntime.*{NO_FILE}",
        put("hooks.createRuntime", [{"path": "/nonexistent/hook"}]),
    ),
    Row(
        "missing hook inside the container",
        rf"hook /nonexistent/hook failed: hooks\.createContainer\[0\]: cannot be executed: {NO_FILE}",
        put("hooks.createContainer", [{"path": "/nonexistent/hook"}]),
    ),
    Row(
        "failing hook inside the container",
        r"hook /bin/sh failed: hooks\.createContainer\[0\]: exit status 3, output: no\\nway",
        hook("createContainer", "echo no; echo way; exit 3"),
    ),
    Row(
        "hook inside the container out of time",
        r"hook /bin/sh failed: hooks\.createContainer\[0\]: timed out, seconds: 1",
        hook("createContainer", "sleep 60", timeout=1),
    ),
    Row(
        "failing hook of start",
        r"hook /bin/sh failed: hooks\.startContainer\[0\]: exit status 3, output: no",
        hook("startContainer", "echo no; exit 3"),
        verb="run",
    ),
    Row(
        "hook inside the container with a bad time-out",
        r"hooks\.startContainer\[0\]\.timeout",
        put("hooks.startContainer", [{"path": "/x", "timeout": 0}]),
    ),
    Row("relative hook path", r"hooks\.prestart\[0\]\.path", put("hooks.prestart", [{"path": "hook"}])),
    Row("hook timeout that is not positive", r"hooks\.prestart\[0\]\.timeout", hook("prestart", "true", timeout=0)),
    Row(
        "hook that hangs with a grandchild on its stdout",
        r"timed out.*hooks\.prestart\[0\].*after 1 s",
        hook("prestart", f"{HANG} & {HANG}", timeout=1),
    ),
    Row(
        "hook that fails and leaves a grandchild on its stdout",
        r"hooks\.createRuntime\[0\]",
        hook("createRuntime", f"{HANG} & exit 1"),
    ),
    # plugins
    Row("cgroup manager that is not installed", "nosuch.*cgroupfs", options=("--cgroup-manager", "nosuch")),
    Row(
        "RDT manager that is not installed",
        "nosuch",
        put("linux.intelRdt", {"closID": "x"}),
        options=("--rdt-manager", "nosuch"),
    ),
    Row("network that is not installed", "nosuch", words=("--network", "nosuch:a=b")),
    Row("network without a type", "no type", words=("--network", ":a=b")),
    Row("network with a malformed option", "key=value", words=("--network", "veth:address")),
    Row("network with an unknown option", "colour", words=("--network", "veth:colour=red")),
    Row(
        "network without a network namespace",
        "network namespace",
        without_namespace("network"),
        words=("--network", "veth"),
    ),
    *(
        Row(f"network option {option}", line, words=("--network", option))
        for option, line in (
            ("bridge:bridge=name-of-16-bytes", r"networks\[0\]\.bridge: an interface name has 1 to 15 bytes.* has 16"),
            ("bridge:bridge=lo", r"networks\[0\]\.bridge: 'lo' is the loopback"),
            ("bridge:bridge=a/b", r"networks\[0\]\.bridge: 'a/b' is not an interface name"),
            ("bridge:bridge=x0,host-name=x0", r"networks\[0\]\.host-name: 'x0' is the name of the bridge"),
            ("bridge:address=10.0.0.2", r"networks\[0\]\.address: the prefix length is missing"),
            ("bridge:bridge-address=10.0.0.1", r"networks\[0\]\.bridge-address: the prefix length is missing"),
            ("bridge:bridge-address=10.0.0.1/24,address=10.0.1.2/24", r"\.address: 10\.0\.1\.2/24 is not in the bri"),
            ("bridge:bridge-address=fd00::1/64,address=fd01::2/64", r"\.address: fd01::2/64 is not in the bridge's su"),
            ("bridge:bridge-address=10.0.0.1/24,address=10.0.0.1/24", r"\.address: 10\.0\.0\.1 is the address of"),
            ("bridge:isolated=yes", r"networks\[0\]\.isolated: 'yes' is not true or false"),
            ("bridge:host-address=10.0.0.1/24", r"networks\[0\]\.host-address: unknown option"),
            ("loopback:address=10.0.0.2/24", r"networks\[0\]\.address: unknown option"),
            ("veth:bridge=x0", r"networks\[0\]\.bridge: unknown option"),
            ("veth:address=10.0.0.2/24,address=10.0.0.2/24", r"networks\[0\]\.address: 10\.0\.0\.2/24 is there twice"),
            ("veth:gateway=fd00::1,gateway=fd00::2", r"networks\[0\]\.gateway: more than one IPv6 gateway"),
            ("veth:accept-ra=3", r"networks\[0\]\.accept-ra: '3' is not 0"),
            ("veth:dns=example.org", r"networks\[0\]\.dns: 'example\.org' is not an IP address"),
            ("veth:dns=10.0.0.1\nsearch x", r"networks\[0\]\.dns"),
            ("veth:search=a b", r"networks\[0\]\.search: 'a b' is not a domain name"),
            ("veth:dns-option=a b", r"networks\[0\]\.dns-option: 'a b' is not an option"),
            ("veth:add-host=db", r"networks\[0\]\.add-host: 'db' is not NAME:ADDRESS"),
            ("veth:add-host=db:here", r"networks\[0\]\.add-host: 'here' is not an IP address"),
        )
    ),
    Row(
        "networks with one address",
        r"networks\[1\]: networks\[0\] has the same address 10\.0\.0\.2",
        words=("--network", "veth:address=10.0.0.2/24", "--network", "bridge:address=10.0.0.2/16"),
    ),
    Row(
        "network with a file that the config mounts",
        r"mounts\[\d+\]\.destination: a network brings its own /etc/hosts",
        add("mounts", {"destination": "/etc/hosts", "type": "bind", "source": "/dev/null", "options": ["bind"]}),
        words=("--network", "veth:add-host=db:10.0.0.9"),
    ),
    Row(
        "network with a parameter that the config sets otherwise",
        r"linux\.sysctl\.net/ipv6/conf/eth0/accept_ra: a network asks for another value: 0",
        put("linux.sysctl", {"net.ipv6.conf.eth0.accept_ra": "1"}),
        words=("--network", "veth:accept-ra=0"),
    ),
    Row(
        "lifecycle plugin that is not installed",
        "no lifecycle plugin called 'nosuch' is installed: installed: ",
        options=("--plugin", "nosuch"),
    ),
    *(
        Row(f"config file with {name}", line, options=("--config", f"{{scratch}}/{file}"))
        for file, (name, line, _, _) in CONFIG_FILES.items()
    ),
    Row("config file that is not there", "no such config file: /nonexistent", options=("--config", "/nonexistent")),
    Row("config file that is a directory", "config file.*/etc: it is not a regular file", options=("--config", "/etc")),
    Row(
        "cgroupsPath that is no unit",
        r"linux\.cgroupsPath: expected cgroupsPath to be of format .*got '/a/b' instead",
        put("linux.cgroupsPath", "/a/b"),
        options=("--systemd-cgroup",),
    ),
    Row("annotations that no journal takes", "cannot write the journal", put("annotations", {"a": "x" * (1 << 20)})),
    # ids, files, options
    *(
        Row(f"bad id {one!r}", "invalid container ID format", id=one)
        for one in ("..", ".", "a/b", "../a", "a b", "/a", "a\nb", "ü", "x" * 300, "a\x1b[0m", "a:b")
    ),
    Row("empty id", "invalid container ID format", id="\0"),
    Row(
        "pid file in a directory that is not there",
        f"/nonexistent/pid.*{NO_FILE}",
        words=("--pid-file", "/nonexistent/pid"),
    ),
    Row(
        "descriptor that was not handed over",
        r"unable to stat preserved-fd 0 \(of 2\): descriptor 3: it is not open",
        words=("--preserve-fds", "2"),
    ),
    Row(
        "pidfd socket that is not there",
        f"cannot send the pidfd: /nonexistent/s: {NO_FILE}",
        words=("--pidfd-socket", "/nonexistent/s"),
    ),
    Row("pidfd socket that is a file", "cannot send the pidfd: .*refused", words=("--pidfd-socket", "{scratch}/file")),
    Row(
        "pidfd socket with a long name", "cannot send the pidfd: .*too long", words=("--pidfd-socket", "/" + "x" * 120)
    ),
    Row("unknown option", "flag provided but not defined: -bogus", words=("--bogus",)),
    Row("value for a flag", 'invalid boolean value "maybe"', words=("--no-pivot=maybe",)),
    Row("state root that is a file", "not a directory", options=("--root", "{scratch}/file")),
    Row("state root that others may write", "somebody else|written", options=("--root", "{scratch}/open")),
    Row("state root /", "state root", options=("--root", "/")),
]

EXEC_ROWS = [
    Row("missing binary", r'exec: "nosuch": executable file not found in \$PATH', words=("{id}", "nosuch"), code=255),
    Row("missing path", f"/bin/nosuch.*{NO_FILE}", words=("{id}", "/bin/nosuch"), code=255),
    Row("file that may not be executed", "permission denied", words=("{id}", "/etc/passwd"), code=255),
    Row("no command", "process args cannot be empty", words=("{id}",), code=255),
    Row("no container", "container does not exist", words=(MARK + "-none", "true"), code=255),
    Row("process file that is not there", "nonexistent", words=("-p", "/nonexistent/p", "{id}"), code=255),
    Row("broken process file", r"p\.json:1:2", words=("-p", "{scratch}/p.json", "{id}"), code=255),
    Row("process file without args", "args", words=("-p", "{scratch}/empty.json", "{id}"), code=255),
    Row("user by name", "numeric", words=("-u", "root", "{id}", "true"), code=255),
    Row("relative cwd", "cwd", words=("--cwd", "x", "{id}", "true"), code=255),
    Row("cwd that is a file", "not a directory", words=("--cwd", "/etc/passwd", "{id}", "true"), code=255),
    Row("detached terminal", "cannot allocate tty", words=("-d", "-t", "{id}", "sh"), code=255),
    Row("apparmor on a host without", "apparmor", words=("--apparmor", "x", "{id}", "true"), code=255),
    Row(
        "pid file that cannot be",
        f"/nonexistent/pid.*{NO_FILE}",
        words=("--pid-file", "/nonexistent/pid", "{id}", "sleep", "9"),
        code=255,
    ),
    Row(
        "descriptor that was not handed over",
        r"unable to stat preserved-fd 0 \(of 1\): descriptor 3: it is not open",
        words=("--preserve-fds", "1", "{id}", "true"),
        code=255,
    ),
    Row(
        "pidfd socket that is not there",
        f"cannot send the pidfd: /nonexistent/s: {NO_FILE}",
        words=("--pidfd-socket", "/nonexistent/s", "{id}", "true"),
        code=255,
    ),
    *(
        Row(f"--cgroup {' '.join(arguments)}", line, words=(*arguments, "{id}", "true"), code=255)
        for arguments, line in (
            (("--cgroup=nosuch",), "no such cgroup: /sys/fs/cgroup/.*/nosuch"),
            (("--cgroup=../..",), r"bad sub cgroup path: \.\./\.\.: it leads out of the container's cgroup"),
            (("--cgroup=frob:x",), "unknown controller frob in --cgroup .its controllers are|leave the controller out"),
            (("--cgroup=:x",), "invalid --cgroup argument: :x: empty <controller> prefix"),
            (("--cgroup=pids,:x",), "empty <controller> prefix"),
            (("--cgroup=a", "--cgroup=b"), "invalid --cgroup argument: a: missing <controller>: prefix"),
            (("--cgroup=pids:a", "--cgroup=pids:b"), "controller pids specified multiple times"),
        )
    ),
    Row(
        "CPU that is not there",
        "cannot set final CPU affinity: 8000",
        words=("-p", "{scratch}/cpu.json", "{id}"),
        code=255,
    ),
    Row(
        "CPU list that is none",
        "execCPUAffinity.initial: 'a' is neither a CPU nor a range",
        words=("-p", "{scratch}/cpus.json", "{id}"),
        code=255,
    ),
    Row("unknown option", "flag provided but not defined: -bogus", words=("--bogus", "{id}", "true")),
    Row("nothing at all", "requires a minimum of 1 argument"),
]

OTHER_ROWS = [
    Row("start of none", "container does not exist", verb="start", id="none"),
    Row("state of none", "container does not exist", verb="state", id="none"),
    Row("kill of none", "container does not exist", verb="kill", id="none"),
    Row("delete of none", "container does not exist", verb="delete", id="none"),
    Row("state of a bad id", "invalid container ID format", verb="state", id="../etc"),
    Row("delete of a bad id by force", "invalid container ID format", verb="delete", words=("--force",), id="../etc"),
    Row("unknown signal", 'unknown signal "FOO"', verb="kill", id="{id}", words=("{id}", "FOO")),
    Row("signal beyond the last", 'unknown signal "65"', verb="kill", id="{id}", words=("{id}", "65")),
    Row("start twice", "cannot start an already running container", verb="start", id="{id}"),
    Row("delete of a running one", "that is not stopped: running", verb="delete", id="{id}"),
    Row(
        "log in a directory that is not there", NO_FILE, verb="state", id="{id}", options=("--log", "/nonexistent/log")
    ),
    Row("unknown log format", "invalid log-format: xml", verb="state", id="{id}", options=("--log-format", "xml")),
    *(
        Row(f"{verb} of none", "container does not exist", verb=verb, id="none")
        for verb in ("pause", "resume", "ps", "update", "events")
    ),
    Row("pause of a bad id", "invalid container ID format", verb="pause", id="../etc"),
    Row("resume of what is not paused", "container not paused", verb="resume", id="{id}"),
    Row("pause of two", "requires exactly 1 argument", verb="pause", id="{id}", words=("{id}", "{id}")),
    Row("ps as xml", "invalid format option: xml", verb="ps", id="{id}", words=("-f", "xml", "{id}")),
    Row("ps without a PID", "no column PID", verb="ps", id="{id}", words=("{id}", "-o", "comm")),
    Row("ps with what ps does not know", "ps failed", verb="ps", id="{id}", words=("{id}", "--bogus")),
    *(
        Row(f"update {option} {value!r}", line, verb="update", id="{id}", words=(option, value, "{id}"))
        for option, value, line in (
            ("--memory", "lots", "invalid value for memory: lots: invalid size"),
            ("--memory", "1k", "cannot set memory"),
            ("--memory-swap", "-7", "invalid value for memory-swap"),
            ("--cpu-share", "-1", "invalid value for cpu-share"),
            ("--cpu-share", "1", "linux.resources.cpu.shares"),
            ("--cpu-quota", "5", "cannot set cpu"),
            ("--cpu-period", "9" * 25, "invalid value for cpu-period"),
            ("--cpuset-cpus", "a-b", "cannot set cpuset.cpus to 'a-b'"),
            ("--cpuset-cpus", "4096", "cannot set cpuset.cpus to '4096'"),
            ("--cpuset-mems", "512", "cannot set cpuset.mems to '512'"),
            ("--cpu-idle", "2", "cannot set cpu.idle to '2'"),
            ("--blkio-weight", "70000", r"resources: blockIO.weight: 70000 is not in the range"),
            ("--pids-limit", "1.5", "invalid value for pids-limit"),
            ("--l3-cache-schema", "L3:0=f", "without linux.intelRdt"),
            ("--mem-bw-schema", "MB:0=9", "without linux.intelRdt"),
            ("--resources", "/nonexistent", f"/nonexistent: {NO_FILE}"),
            ("--resources", "/etc", "not a regular file"),
            ("--resources", "-", "stdin:1:1"),
            ("--bogus", "1", "flag provided but not defined: -bogus"),
        )
    ),
    Row("events every 0 s", "must be greater than 0", verb="events", words=("--interval", "0s", "{id}"), id="{id}"),
    Row("events every x", 'invalid value "x"', verb="events", words=("--interval", "x", "{id}"), id="{id}"),
    Row("features of something", "requires exactly 0 argument", verb="features", id="x"),
    Row("validate of an id", "requires exactly 0 argument", verb="validate", id="x"),
    Row("doctor of an id", "requires exactly 0 argument", verb="doctor", id="x"),
    Row("list as xml", "invalid format option: xml", verb="list", words=("--format", "xml"), id="{id}"),
    Row("checkpoint", "checkpoint is not supported", verb="checkpoint", id="{id}"),
    Row("restore", "restore is not supported", verb="restore", id="{id}"),
    Row("unknown command", "No help topic for 'frobnicate'", verb="frobnicate", id="{id}", code=3),
]
