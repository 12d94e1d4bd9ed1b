"""Runs a client's cases with corelaunch beneath it and with a baseline at the same time, and compares."""

from __future__ import annotations

import argparse
import json
import queue
import shutil
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from sandbox import sandbox, systemd_sandbox

HERE = Path(__file__).resolve().parent
#: With the service manager as their cgroup manager, beside a real one.
SYSTEMD_CLIENTS = ("podman-systemd", "ctr-systemd", "docker-systemd")
CLIENTS = ("podman", "rootless", "ctr", "buildah", "docker", *SYSTEMD_CLIENTS)


@dataclass
class Outcome:
    """What a client's cases came to over one runtime: for each, "" or why it failed."""

    runtime: str
    cases: dict[str, str] = field(default_factory=dict)
    seconds: float = 0
    error: str = ""

    @property
    def passed(self) -> int:
        return sum(not why for why in self.cases.values())


def run(client: str, runtime: str, only: str, tell: queue.Queue[tuple[str, str, str, float] | None]) -> Outcome:
    """All cases of a client over one runtime, in a sandbox."""
    outcome = Outcome(runtime)
    settings = {"CLIENT": client, "RUNTIME": runtime, "ONLY": only}
    surroundings = systemd_sandbox if client in SYSTEMD_CLIENTS else sandbox
    try:
        with surroundings(HERE / "inside.py", settings) as process:
            assert process.stdout is not None
            for line in process.stdout:
                name, why, seconds = json.loads(line)
                outcome.cases[name] = why
                outcome.seconds += seconds
                tell.put((runtime, name, why, seconds))
            if process.wait(30):
                outcome.error = f"the cases of {client} over {runtime} were cut short: exit {process.returncode}"
    except (OSError, ValueError, RuntimeError, subprocess.SubprocessError) as error:
        outcome.error = f"{client} over {runtime}: {error}"
    finally:
        tell.put(None)
    return outcome


def compare(client: str, runtimes: list[str], only: str = "") -> list[Outcome]:
    """The outcomes over all runtimes; a line is printed as soon as a case has ended over each."""
    tell: queue.Queue[tuple[str, str, str, float] | None] = queue.Queue()
    outcomes: dict[str, Outcome] = {}

    def work(runtime: str) -> None:
        outcomes[runtime] = run(client, runtime, only, tell)

    threads = [threading.Thread(target=work, args=(runtime,), daemon=True) for runtime in runtimes]
    for thread in threads:
        thread.start()
    names = [Path(runtime).name for runtime in runtimes]
    print(f"{client:<40}" + "".join(f"{name:<12}" for name in names), flush=True)
    seen: dict[str, dict[str, tuple[str, float]]] = {}
    ended = 0
    while ended < len(runtimes):
        news = tell.get()
        if news is None:
            ended += 1
            continue
        runtime, name, why, seconds = news
        seen.setdefault(name, {})[runtime] = (why, seconds)
        if len(seen[name]) == len(runtimes):
            print_case(name, [seen[name][runtime] for runtime in runtimes], names)
    for name, partly in seen.items():
        if len(partly) < len(runtimes):
            print_case(name, [partly.get(runtime, ("not reached", 0)) for runtime in runtimes], names)
    for thread in threads:
        thread.join()
    made = [outcomes[runtime] for runtime in runtimes]
    print(f"{'total':<40}" + "".join(f"{f'{one.passed} of {len(one.cases)}':<12}" for one in made), flush=True)
    print(f"{'seconds':<40}" + "".join(f"{one.seconds:<12.1f}" for one in made), flush=True)
    for one in made:
        if one.error:
            print(f"clients: {one.error}", file=sys.stderr)
    return made


def print_case(name: str, results: list[tuple[str, float]], names: list[str]) -> None:
    words = [("fail" if why else "ok") + (f" {seconds:.1f}s" if seconds >= 2 else "") for why, seconds in results]
    print(f"{name:<39} " + "".join(f"{word:<12}" for word in words).rstrip(), flush=True)
    for runtime, (why, _) in zip(names, results):
        if why:
            print(f"    {runtime}: {why}", flush=True)


def find_program(word: str) -> str:
    found = shutil.which(word)
    if found is None:
        raise SystemExit(f"clients: {word}: no such program")
    return str(Path(found).absolute())


def main() -> int:
    parser = argparse.ArgumentParser(prog="script/clients", description=__doc__)
    parser.add_argument("client", choices=CLIENTS)
    parser.add_argument("--runtime", default=str(HERE.parents[1] / ".venv/bin/corelaunch"), help="program (corelaunch)")
    parser.add_argument("--baseline", default="runc", help="program to compare with (runc); none: nothing")
    parser.add_argument("--only", default="", help="words; only cases whose names contain one of them")
    options = parser.parse_args()
    runtimes = [find_program(options.runtime)]
    if options.baseline != "none":
        runtimes.append(find_program(options.baseline))
    outcomes = compare(options.client, runtimes, options.only)
    if any(one.error for one in outcomes):
        return 2
    ours, *baseline = (one.cases for one in outcomes)
    # What the baseline cannot do either is no fault of the runtime.
    return int(any(why and not (baseline and baseline[0][name]) for name, why in ours.items()))


if __name__ == "__main__":
    sys.exit(main())
