"""Runs in the guest with Intel RDT: containers that share a CLOS, own one, are refused one, and go; prints facts.

    python3 resctrl_life.py CORELAUNCH

Prints one JSON object: what was seen -> how it was. ``test_resctrl_61.py`` says how it must be. Only the standard
library is used.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

RDT = Path("/sys/fs/resctrl")
BUNDLE = Path("/run/bundle")
FACTS: dict[str, Any] = {}
NOTHING: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)

#: How many launches are killed, at moments spread over the time that one takes in the guest.
KILLS, LAUNCH_SECONDS = 12, 2.4

#: Schemata that the kernel would refuse.
MALFORMED = (
    "L3:0=5",
    "L3:0=fff",
    "L3:0=0",
    "L3:9=3",
    "L3:0=3;0=3",
    "L3:x=3",
    "L3",
    "L2:0=3",
    "l3:0=3",
    "L3CODE:0=3",
    "MB:0=5",
    "MB:0=many",
)


class Runtime:
    """The command, with a state root of the test's."""

    def __init__(self, command: str) -> None:
        self.command = [command, "--root", "/run/state"]

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run it; it may fail."""
        # Not captured by pipes: a container that was created has them, too, and they would never end.
        with open("/run/out", "w+", encoding="utf-8") as out, open("/run/err", "w+", encoding="utf-8") as err:
            command = [*self.command, *words]
            done = subprocess.run(command, stdout=out, stderr=err, stdin=subprocess.DEVNULL, check=False)
            out.seek(0)
            err.seek(0)
            return subprocess.CompletedProcess(words, done.returncode, out.read(), err.read())

    def must(self, *words: str) -> str:
        """Run it; its output."""
        done = self.run(*words)
        if done.returncode:
            raise SystemExit(f"{' '.join(words)}: {done.stderr}")
        return done.stdout

    def refused(self, *words: str) -> str:
        """Run what must fail; the last line of its errors."""
        done = self.run(*words)
        if not done.returncode:
            raise SystemExit(f"{' '.join(words)} was not refused")
        return done.stderr.strip()

    def create(self, name: str, rdt: dict[str, Any], hooks: dict[str, Any] | None = None) -> int:
        """Create and start a container that sleeps; its pid."""
        self.must("create", "--bundle", bundle(rdt, hooks), name)
        self.must("start", name)
        return self.pid(name)

    def pid(self, name: str) -> int:
        pid: int = json.loads(self.must("state", name))["pid"]
        return pid


def bundle(rdt: dict[str, Any], hooks: dict[str, Any] | None = None) -> str:
    """A bundle with this ``linux.intelRdt``."""
    config = json.loads((BUNDLE / "template.json").read_text())
    config["process"].update(terminal=False, args=["/bin/sleep", "1000"])
    config["linux"]["intelRdt"] = rdt
    if hooks:
        config["hooks"] = hooks
    (BUNDLE / "config.json").write_text(json.dumps(config))
    return str(BUNDLE)


def tasks(group: str) -> list[int]:
    return [int(word) for word in (RDT / group / "tasks").read_text().split()]


def schemata(group: str) -> list[str]:
    return [line.strip() for line in (RDT / group / "schemata").read_text().splitlines()]


def groups() -> list[str]:
    fixed = {"info", "mon_data", "mon_groups"}
    found = [path.name for path in RDT.iterdir() if path.is_dir() and path.name not in fixed]
    return sorted(found + [f"{path.parent.parent.name}/{path.name}" for path in RDT.glob("*/mon_groups/*")])


def sharing(runtime: Runtime) -> None:
    """Two containers of one class, one with its own CLOS; exec, statistics, update, and the end of all."""
    (RDT / "foreign").mkdir()
    (RDT / "foreign/schemata").write_text("L3:0=7\n")
    gold = {"closID": "gold", "schemata": ["L3:0=f;1=f", "MB:0=45"], "enableMonitoring": True}
    one = runtime.create("one", gold)
    two = runtime.create("two", {"closID": "gold"})
    own = runtime.create("own", {"l3CacheSchema": "L3:0=f0;1=f0", "memBwSchema": "MB:1=70", "enableMonitoring": True})
    FACTS["gold tasks"] = tasks("gold") == sorted([one, two])
    FACTS["gold"] = schemata("gold")
    FACTS["gold monitored"] = tasks("gold/mon_groups/one") == [one]
    FACTS["own tasks"] = (tasks("own"), tasks("own/mon_groups/own")) == ([own], [own])
    FACTS["own"] = schemata("own")
    FACTS["groups"] = groups()
    FACTS["other schemata"] = runtime.refused("create", "--bundle", bundle({**gold, "schemata": ["L3:0=ff"]}), "three")
    same = ["L3:1=00f;0=0xF", "MB:0=50"]
    runtime.must("create", "--bundle", bundle({"closID": "gold", "schemata": same}), "three")
    runtime.must("delete", "--force", "three")
    FACTS["gold after"] = schemata("gold")
    runtime.must("exec", "--detach", "--pid-file", "/run/exec.pid", "own", "/bin/sleep", "1000")
    executed = int(Path("/run/exec.pid").read_text())
    FACTS["exec is in both"] = executed in tasks("own") and executed in tasks("own/mon_groups/own")
    FACTS["stats"] = json.loads(runtime.must("events", "--stats", "own"))["data"]["intel_rdt"]
    FACTS["stats of two"] = sorted(json.loads(runtime.must("events", "--stats", "two"))["data"]["intel_rdt"])
    runtime.must("update", "--l3-cache-schema", "L3:0=3", "own")
    FACTS["updated"] = schemata("own")
    FACTS["update refused"] = runtime.refused("update", "--mem-bw-schema", "MB:0=5", "own")
    FACTS["update of a class"] = runtime.refused("update", "--l3-cache-schema", "L3:0=1", "two")
    FACTS["not updated"] = schemata("own") == FACTS["updated"] and schemata("gold") == FACTS["gold after"]
    runtime.must("delete", "--force", "own")
    runtime.must("delete", "--force", "one")
    FACTS["after own and one"] = groups()
    FACTS["two stays in gold"] = tasks("gold") == [two]
    runtime.must("delete", "--force", "two")
    FACTS["after all"] = groups()
    FACTS["foreign"] = schemata("foreign")
    (RDT / "gold").rmdir()


def refusals(runtime: Runtime) -> None:
    """What cannot be had: wrong schemata, no CLOSID, somebody else's group."""
    before = groups()
    FACTS["malformed"] = {}
    for line in MALFORMED:
        path = bundle({"closID": "wrong", "schemata": ["L3:1=3", line]})
        FACTS["malformed"][line] = runtime.refused("create", "--bundle", path, "wrong")
    FACTS["nothing malformed"] = groups() == before
    FACTS["foreign name"] = runtime.refused("create", "--bundle", bundle({}), "foreign")
    names = []
    while len(names) < 20:
        try:
            (RDT / f"full{len(names)}").mkdir()
        except OSError as error:
            if error.errno == 28:
                break
            time.sleep(0.3)
            continue
        names.append(f"full{len(names)}")
    sleeper = subprocess.Popen(["sleep", "1000"])
    (RDT / "full0/tasks").write_text(str(sleeper.pid))
    text = runtime.refused("create", "--bundle", bundle({}), "last")
    FACTS["exhausted"] = text.replace(f"pid {sleeper.pid}", "pid PID")
    sleeper.kill()
    sleeper.wait()
    for name in names:
        (RDT / name).rmdir()
    FACTS["no containers"] = json.loads(runtime.must("list", "--format", "json") or "[]") or []
    FACTS["nothing refused is left"] = groups() == before


def accidents(runtime: Runtime) -> None:
    """The runtime is killed; groups are removed underneath; the filesystem is mounted anew, or not at all."""
    before = groups()
    hook = {"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", "kill -9 $PPID"]}]}
    asked = {"killed": {"enableMonitoring": True}, "killed2": {"closID": "/", "enableMonitoring": True}}
    for name, rdt in asked.items():
        runtime.refused("create", "--bundle", bundle(rdt, hook), name)
        runtime.must("delete", "--force", name)
    # And at any time: a class and two groups of its own are begun, and killed a little later each time.
    path = bundle({"closID": "halfway", "schemata": ["L3:0=f"], "enableMonitoring": True})
    left = []
    for number in range(KILLS):
        name = f"killed-at-{number}"
        launch = subprocess.Popen([*runtime.command, "create", "--bundle", path, name], **NOTHING)
        time.sleep(LAUNCH_SECONDS * number / KILLS)
        launch.kill()
        launch.wait()
        runtime.run("delete", "--force", name)
        found = [group for group in groups() if group not in before]
        if found == ["halfway"]:  # complete when the launch was killed: a class, with what it is to have
            found = [] if schemata("halfway")[-1] == "L3:0=00f;1=7ff" else found
            (RDT / "halfway").rmdir()
        left += found
    FACTS["after kill -9 at any time"] = left
    FACTS["after kill -9"] = groups() == before and not list((RDT / "mon_groups").iterdir())
    runtime.create("bare", {})
    (RDT / "bare").rmdir()
    FACTS["exec without its CLOS"] = runtime.refused("exec", "bare", "/bin/true")
    FACTS["stats without its CLOS"] = runtime.refused("events", "--stats", "bare")
    runtime.must("delete", "--force", "bare")
    runtime.create("again", {"enableMonitoring": True})
    subprocess.run(["umount", str(RDT)], check=True)
    FACTS["not mounted"] = runtime.refused("create", "--bundle", bundle({}), "late")
    mount()
    (RDT / "again").mkdir()
    runtime.must("delete", "--force", "again")
    FACTS["a foreign group after a new mount"] = groups()
    (RDT / "again").rmdir()
    subprocess.run(["umount", str(RDT)], check=True)
    mount("-o", "ro")
    FACTS["read-only"] = runtime.refused("create", "--bundle", bundle({}), "late")
    subprocess.run(["umount", str(RDT)], check=True)
    elsewhere = Path("/run/rdt")
    elsewhere.mkdir()
    subprocess.run(["mount", "-t", "resctrl", "resctrl", str(elsewhere)], check=True)
    runtime.create("elsewhere", {"l3CacheSchema": "L3:0=3"})
    FACTS["elsewhere"] = (elsewhere / "elsewhere/schemata").read_text().split()[-1]
    # Bound to the usual place, and gone from where the container's journal has it.
    subprocess.run(["mount", "--bind", str(elsewhere), str(RDT)], check=True)
    subprocess.run(["umount", str(elsewhere)], check=True)
    runtime.must("update", "--l3-cache-schema", "L3:0=7", "elsewhere")
    FACTS["bound elsewhere since"] = schemata("elsewhere")[-1]
    runtime.must("delete", "--force", "elsewhere")
    FACTS["and removed there"] = groups()


def race(runtime: Runtime) -> None:
    """Four launches make one class at once."""
    path = bundle({"closID": "race", "schemata": ["L3:0=f;1=f0"]})
    names = [f"race{number}" for number in range(4)]
    words = [*runtime.command, "run", "--detach", "--bundle", path]
    started = []
    for name in names:
        with open(f"/run/err-{name}", "wb") as err:
            started.append(subprocess.Popen([*words, name], **{**NOTHING, "stderr": err}))
    FACTS["race"] = [one.wait() for one in started]
    FACTS["race errors"] = [Path(f"/run/err-{name}").read_text() for name in names]
    # The kernel lists them in the order in which they came to its list, which for forks at once is not that of pids.
    FACTS["race tasks"] = sorted(tasks("race")) == sorted(runtime.pid(name) for name in names)
    FACTS["race schemata"] = schemata("race")
    for name in names:
        runtime.must("delete", "--force", name)
    (RDT / "race").rmdir()


def mount(*options: str) -> None:
    subprocess.run(["mount", "-t", "resctrl", *options, "resctrl", str(RDT)], check=True)


def main(command: str) -> None:
    """All of it."""
    runtime = Runtime(command)
    (BUNDLE / "rootfs/bin").mkdir(parents=True)
    shutil.copy("/bin/busybox", BUNDLE / "rootfs/bin/busybox")
    for name in ("sleep", "true"):
        (BUNDLE / "rootfs/bin" / name).symlink_to("busybox")
    subprocess.run([command, "spec", "--bundle", str(BUNDLE)], check=True)
    os.rename(BUNDLE / "config.json", BUNDLE / "template.json")
    if not os.path.isdir(RDT / "info"):
        mount()
    FACTS["features"] = json.loads(runtime.must("features"))["linux"]["intelRdt"]
    told = [line.split() for line in runtime.run("doctor").stdout.splitlines()]
    FACTS["doctor"] = [" ".join(words) for words in told if words[1:2] in (["mount"], ["resources"], ["CLOSIDs"])]
    for part in (sharing, refusals, race, accidents):
        started = time.monotonic()
        part(runtime)
        FACTS[f"seconds of {part.__name__}"] = round(time.monotonic() - started, 1)
    print(json.dumps(FACTS, indent=1))


if __name__ == "__main__":
    main(sys.argv[1])
