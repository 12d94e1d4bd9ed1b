"""What buildah is asked to do over a runtime."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from buildah_client import Buildah, make_client
from cases import case, equal, no_runtime_is_left, within

__all__ = ["make_client"]

buildah = case("buildah")


@buildah
def run(b: Buildah) -> None:
    equal(b.sh("echo hello"), "hello")


@buildah
def run_changes_the_container(b: Buildah) -> None:
    b.sh("echo new >/made")
    equal(b.sh("cat /made"), "new")


@buildah
def run_exit_code(b: Buildah) -> None:
    result = b(*b.run_words(), "sh", "-c", "exit 7")
    equal(result.code, 7, result)


@buildah
def run_not_found(b: Buildah) -> None:
    result = b(*b.run_words(), "no-such-program")
    equal(result.code != 0, True)
    within(result.err, "executable file not found in $PATH", result)


@buildah
def run_stdin(b: Buildah) -> None:
    equal(b.sh("cat", feed="from stdin"), "from stdin")


@buildah
def run_stderr(b: Buildah) -> None:
    result = b(*b.run_words(), "sh", "-c", "echo out; echo err >&2")
    equal((result.code, result.out, result.err), (0, "out\n", "err\n"))


@buildah
def run_terminal(b: Buildah) -> None:
    result = b.typed("tty; exit 3\n", *b.run_words("-t"), "sh")
    within(result.out, "/dev/pts/0", result)
    equal(result.code, 3, result)


@buildah
def run_user(b: Buildah) -> None:
    equal(b.sh("id -u; id -g", "--user", "1000:1000").split(), ["1000", "1000"])


@buildah
def run_env_and_workdir(b: Buildah) -> None:
    equal(b.sh("echo $A; pwd", "--env", "A=b", "--workingdir", "/tmp").split(), ["b", "/tmp"])


@buildah
def run_hostname(b: Buildah) -> None:
    equal(b.sh("hostname", "--hostname", "named"), "named")


@buildah
def run_volume(b: Buildah) -> None:
    here = b.directory()
    b.sh("echo written >/v/file", "-v", f"{here}:/v:rw")
    equal((here / "file").read_text(), "written\n")


@buildah
def run_mount_read_only(b: Buildah) -> None:
    here = b.directory()
    equal(b.sh("touch /v/x 2>/dev/null || echo refused", "--mount", f"type=bind,src={here},dst=/v,ro"), "refused")


@buildah
def run_tmpfs(b: Buildah) -> None:
    within(b.sh("grep ' /t ' /proc/mounts", "--mount", "type=tmpfs,dst=/t,tmpfs-size=1m"), "tmpfs")


@buildah
def run_caps(b: Buildah) -> None:
    options = ("--cap-add", "CAP_NET_ADMIN", "--cap-drop", "CAP_CHOWN")
    found = int(b.sh("grep CapEff /proc/self/status", *options).split()[1], 16)
    equal((bool(found & 1), bool(found & 1 << 12)), (False, True))


@buildah
def run_cgroupns(b: Buildah) -> None:
    found = b.sh("cat /proc/self/cgroup", "--cgroupns", "private").splitlines()
    equal({line.split(":", 2)[2] for line in found}, {"/"})


@buildah
def run_ipc_and_uts_host(b: Buildah) -> None:
    found = b.sh("readlink /proc/self/ns/ipc; readlink /proc/self/ns/uts", "--ipc", "host", "--uts", "host").split()
    equal(found, [os.readlink("/proc/self/ns/ipc"), os.readlink("/proc/self/ns/uts")])


@buildah
def run_network_by_path(b: Buildah) -> None:
    subprocess.run(["ip", "netns", "add", "made"], check=True)
    words = ["ns:/run/netns/made" if word == "none" else word for word in b.run_words()]
    found = b.ok(*words, "readlink", "/proc/self/ns/net")
    equal(found, f"net:[{os.stat('/run/netns/made').st_ino}]")


@buildah
def run_leaves_nothing(b: Buildah) -> None:
    b.sh("true")
    no_runtime_is_left()
    listed = subprocess.run([b.runtime, "list", "-q"], capture_output=True, text=True, check=True)
    equal(listed.stdout, "")
    equal([str(path) for path in Path("/sys/fs/cgroup").glob("*/buildah-*")], [])


@buildah
def a_runtime_flag(b: Buildah) -> None:
    root = b.work / "own-root"
    equal(b.sh("echo hello", "--runtime-flag", f"root={root}"), "hello")
    equal(root.is_dir(), True)


@buildah
def build(b: Buildah) -> None:
    result = b.build("COPY file /file", "RUN cat /file >/made && echo run >>/made")
    equal(b.look(result, "cat", "/made"), "copiedrun")


@buildah
def build_user_env_workdir(b: Buildah) -> None:
    result = b.build("ENV A=b", "WORKDIR /work", "RUN chown 1000 .", "USER 1000", "RUN echo $A $(id -u) $(pwd) >made")
    equal(b.look(result, "cat", "/work/made"), "b 1000 /work")


@buildah
def build_that_fails(b: Buildah) -> None:
    result = b.build("RUN exit 3")
    equal(result.code != 0, True)
    within(result.err, "exit status 3", result)


@buildah
def build_with_limits(b: Buildah) -> None:
    words = ("--memory", "64m", "--cpu-shares", "512", "--ulimit", "nofile=100:100")
    equal(b.look(b.build("RUN ulimit -n >/made", options=words), "cat", "/made"), "100")


@buildah
def build_with_a_secret(b: Buildah) -> None:
    file = b.directory() / "secret"
    file.write_text("hidden")
    result = b.build("RUN --mount=type=secret,id=s cat /run/secrets/s >/made", options=("--secret", f"id=s,src={file}"))
    equal(b.look(result, "cat", "/made"), "hidden")


@buildah
def build_of_stages_at_once(b: Buildah) -> None:
    lines = ("RUN echo one >/one", "FROM localhost/busybox AS second", "RUN echo two >/two", "FROM localhost/busybox")
    result = b.build(*lines, "COPY --from=0 /one /one", "COPY --from=second /two /two", options=("--jobs", "2"))
    equal(b.look(result, "cat", "/one", "/two").split(), ["one", "two"])


@buildah
def build_in_a_user_namespace(b: Buildah) -> None:
    words = ("--userns-uid-map", "0:100000:65536", "--userns-gid-map", "0:100000:65536")
    result = b.build("RUN cat /proc/self/uid_map >/made", options=words)
    equal(b.look(result, "cat", "/made").split(), ["0", "100000", "65536"])
