"""The series: what is done in one round, for whom, and which samples come of it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bundle import Bundle
from measure import CommandFailed, Sample, measure
from subjects import Runtime, interpreter

#: (subject, series) -> samples of one round.
Samples = Mapping[tuple[str, str], Sample]
Job = Callable[[], Samples]
Measure = Callable[[list[str]], Sample]


def run_job(subject: str, series: str, command: Callable[[str], list[str]], how: Measure = measure) -> Job:
    """A command that makes one container, runs it to its end and removes it; ``command`` takes the id."""
    serial = iter(range(1, 1_000_000))

    def job() -> Samples:
        return {(subject, series): how(command(f"cl-f-bench-{series[:3]}-{next(serial)}"))}

    return job


class Lifecycle:
    """create, start, state, exec, kill, delete of one container, each measured; and the memory of its waiting init."""

    def __init__(self, runtime: Runtime, bundle: Bundle, directory: Path, how: Measure = measure) -> None:
        self.runtime = runtime
        self.bundle = bundle
        self.pid_file = directory / f"pid-{runtime.name}"
        self.how = how
        self.serial = 0
        #: PSS of the init between create and start, in KiB, a value for each round.
        self.memory: list[float] = []

    def __call__(self) -> Samples:
        """One round: a new container, from create to delete."""
        self.serial += 1
        container_id = f"cl-f-bench-life-{self.serial}"
        verb = self.runtime.verb
        samples: dict[tuple[str, str], Sample] = {}

        def take(series: str, *words: str) -> None:
            samples[self.runtime.name, series] = self.how(verb(*words, container_id))

        take("create", "create", "--bundle", str(self.bundle.path), "--pid-file", str(self.pid_file))
        try:
            pid = int(self.pid_file.read_text())
            self.memory.append(pss(pid))
            take("start", "start")
            take("state", "state")
            samples[self.runtime.name, "exec"] = self.how(verb("exec", container_id, "/bin/true"))
            samples[self.runtime.name, "kill"] = self.how(verb("kill", container_id, "KILL"))
            self._await_death(pid)
            take("delete", "delete")
        except (CommandFailed, OSError):
            subprocess.run(verb("delete", "--force", container_id), capture_output=True, check=False)
            raise
        create, start = samples[self.runtime.name, "create"], samples[self.runtime.name, "start"]
        samples[self.runtime.name, "create+start"] = Sample(create.wall + start.wall, create.cpu + start.cpu)
        return samples

    def _await_death(self, pid: int) -> None:
        """The init is our child since its runtime ended (we are a subreaper): a zombie would still be found."""
        end = time.monotonic() + 10.0
        while time.monotonic() < end:
            if os.waitpid(pid, os.WNOHANG)[0] == pid:
                return
            time.sleep(0.001)
        raise CommandFailed(f"the init of {self.runtime.name} does not die")


class Warm:
    """The API in a living process: see warm.py. The first cycle, which imports, is not a sample."""

    def __init__(self, bundle: Bundle, directory: Path) -> None:
        program = [
            interpreter(),
            str(Path(__file__).with_name("warm.py")),
            str(directory / "state-warm"),
            str(bundle.path),
        ]
        self._process = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            self()
        except CommandFailed:
            self.close()
            raise

    def __call__(self) -> Samples:
        """One round: one container in the living process."""
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # its traceback is on stderr; the empty answer below says the rest
        answer = self._process.stdout.readline().split()
        if len(answer) != 2:
            raise CommandFailed("the warm process ended")
        return {("corelaunch", "warm"): Sample(float(answer[0]), float(answer[1]))}

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
        self._process.stdout.close()


def pss(pid: int) -> float:
    """Proportional set size of a process in KiB (proc(5), smaps_rollup)."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return float(line.split()[1])
    raise OSError(f"no Pss of {pid}")


def rounds(
    jobs: Sequence[tuple[str, Job]], count: int, shuffle: Callable[[list[int]], None], say: Callable[[str], None]
) -> tuple[dict[tuple[str, str], list[Sample]], dict[str, str]]:
    """Do every job once a round, in a new order each time.

    Returns:
        the samples of each (subject, series), and for each job that failed why; it is left out from then on.
    """
    taken: dict[tuple[str, str], list[Sample]] = {}
    failed: dict[str, str] = {}
    for number in range(count):
        order = list(range(len(jobs)))
        shuffle(order)
        for index in order:
            name, job = jobs[index]
            if name in failed:
                continue
            try:
                samples = job()
            except (CommandFailed, OSError) as error:
                failed[name] = str(error)
                say(f"{name}: {error}")
                continue
            for key, sample in samples.items():
                taken.setdefault(key, []).append(sample)
        say(f"round {number + 1} of {count}")
    return taken, failed
