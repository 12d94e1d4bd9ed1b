"""The kill matrix: record the verbs, choose points, strike each in a worker, sum up.

    .venv/bin/python tests/faults/matrix.py                  every point of every verb
    .venv/bin/python tests/faults/matrix.py --sample 200     a seeded choice, spread over verbs and victims
    script/with-systemd hybrid .venv/bin/python tests/faults/matrix.py --sample 200 --verb "create unit"
    CORELAUNCH=runc .venv/bin/python tests/faults/matrix.py --sample 100      another runtime, for comparison

Prints a table, writes every report as JSON, exits with 1 if a point left something behind.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shlex
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "host"))
from points import PARENT, Point
from rig import CHECKOUT
from verbs import VERBS

#: Errors that a kernel under pressure gives, for the bounded extra of error injection.
ERRORS = ("EIO", "ENOMEM", "EINTR", "EMFILE", "ENOSPC", "EAGAIN")
Report = dict[str, object]


class Worker:
    """One worker process: requests go in, answers come out, in step."""

    def __init__(self, name: str, tracer: str, runtime: Sequence[str]) -> None:
        program = [sys.executable, str(Path(__file__).with_name("worker.py")), name, tracer, *runtime]
        self.process = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", *program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, request: dict[str, object]) -> object:
        """Send one request and wait for its answer.

        Raises:
            RuntimeError: the worker died or could not do it.
        """
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"worker died at {request}")
        answer = json.loads(line)
        if isinstance(answer, dict) and "error" in answer:
            raise RuntimeError(f"{request}: {answer['error']}")
        return answer

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


def runtime_command() -> list[str]:
    """The runtime under test: $CORELAUNCH, default the checkout's .venv/bin/corelaunch."""
    return shlex.split(os.environ.get("CORELAUNCH", str(CHECKOUT / ".venv/bin/corelaunch")))


def verbs_of(runtime: Sequence[str]) -> list[str]:
    """The verbs that a runtime has on this host."""
    ours = "corelaunch" in os.path.basename(runtime[0])
    systemd = os.path.isdir("/run/systemd/system")
    return [name for name, verb in VERBS.items() if (ours or verb.others) and (systemd or not verb.systemd)]


def compile_tracer(directory: Path) -> str:
    """Compile tracer.c; returns its path."""
    tracer = directory / "tracer"
    flags = ["-O2", "-Wall", "-Wextra", "-Werror", "-Wmissing-prototypes", "-Wshadow"]
    subprocess.run(["cc", *flags, "-o", str(tracer), str(Path(__file__).with_name("tracer.c"))], check=True)
    return str(tracer)


def choose(points: Iterable[Point], count: int, seed: int) -> list[Point]:
    """``count`` points by chance, the same number of each (verb, process, victim) as far as it has so many."""
    strata: dict[tuple[str, int, str], list[Point]] = defaultdict(list)
    for point in points:
        strata[point.verb, point.at, point.victim].append(point)
    chance = random.Random(seed)
    piles = [strata[key] for key in sorted(strata)]
    for pile in piles:
        chance.shuffle(pile)
    chosen: list[Point] = []
    while len(chosen) < count and any(piles):
        for pile in piles:
            if pile and len(chosen) < count:
                chosen.append(pile.pop())
    chance.shuffle(chosen)
    return chosen


def run(requests: list[dict[str, object]], workers: list[Worker], *, progress: bool = False) -> list[Report]:
    """Do all requests on the workers, each taking the next when it is free."""
    reports: list[Report] = []
    failures: list[Exception] = []
    lock = threading.Lock()
    pending = iter(requests)

    def serve(worker: Worker) -> None:
        while not failures:
            with lock:
                request = next(pending, None)
            if request is None:
                return
            try:
                answer = worker.ask(request)
            except RuntimeError as error:
                failures.append(error)
                return
            assert isinstance(answer, dict)
            with lock:
                reports.append(answer)
            if progress and len(reports) % 100 == 0:
                print(f"{len(reports)} of {len(requests)}", file=sys.stderr, flush=True)

    threads = [threading.Thread(target=serve, args=(worker,)) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return reports


def table(reports: Iterable[Report]) -> str:
    """Points run, struck and at fault for each verb and victim."""
    rows: dict[tuple[str, str], list[Report]] = defaultdict(list)
    for report in reports:
        point = report["point"]
        assert isinstance(point, dict)
        rows[str(point["verb"]), str(point["victim"])].append(report)
    lines = [f"{'verb':<14} {'victim':<8} {'points':>6} {'struck':>6} {'faults':>6}  kinds"]
    everything = [report for row in rows.values() for report in row]
    for name, row in [*sorted(rows.items()), (("all", ""), everything)]:
        faulty = [report for report in row if report["faults"]]
        kinds = Counter(
            str(kind) for report in faulty for kind in [*_words(report, "faults"), *_words(report, "kinds")]
        )
        summary = ", ".join(f"{kind} {count}" for kind, count in sorted(kinds.items()))
        struck = sum(1 for report in row if report["struck"])
        lines.append(f"{name[0]:<14} {name[1]:<8} {len(row):>6} {struck:>6} {len(faulty):>6}  {summary}")
    return "\n".join(lines)


def _words(report: Report, key: str) -> list[object]:
    words = report[key]
    assert isinstance(words, list)
    return words


def matrix(
    runtime: Sequence[str], *, sample: int, seed: int, jobs: int, errors: int, verbs: Sequence[str] = ()
) -> dict[str, object]:
    """Run the matrix.

    Args:
        sample: how many kill points; 0 for every one.
        errors: how many error injections besides.

    Returns:
        seed, runtime, seconds, number of known points, and the reports.
    """
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="cl-f-matrix.") as directory:
        tracer = compile_tracer(Path(directory))
        workers = [Worker(f"cl-f-{os.getpid()}-{number}", tracer, runtime) for number in range(jobs)]
        try:
            points: list[Point] = []
            for verb in verbs or verbs_of(runtime):
                answer = workers[0].ask({"record": verb})
                assert isinstance(answer, list)
                points += [Point(**point) for point in answer]
            chosen = choose(points, sample, seed) if sample else points
            requests: list[dict[str, object]] = [{"strike": point.json()} for point in chosen]
            own = [
                point
                for point in points
                if point.at == PARENT and point.victim == "parent" and point.syscall != "exit_group"
            ]
            chance = random.Random(seed)
            requests += [{"fail": point.json(), "error": chance.choice(ERRORS)} for point in choose(own, errors, seed)]
            reports = run(requests, workers, progress=not sample)
        finally:
            for worker in workers:
                worker.close()
    return {
        "runtime": list(runtime),
        "seed": seed,
        "known_points": len(points),
        "seconds": round(time.monotonic() - started, 1),
        "reports": reports,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sample", type=int, default=0, metavar="N", help="only N points (default: all)")
    parser.add_argument(
        "--seed", type=int, default=None, help="seed of the choice (default: of the clock; it is printed)"
    )
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--errors", type=int, default=0, metavar="N", help="N system call errors besides")
    parser.add_argument("--verb", action="append", choices=list(VERBS), help="only this verb (repeatable)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every report there")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else time.time_ns() % 1_000_000
    verbs = options.verb or verbs_of(runtime_command())
    result = matrix(
        runtime_command(), sample=options.sample, seed=seed, jobs=options.jobs, errors=options.errors, verbs=verbs
    )
    reports = result["reports"]
    assert isinstance(reports, list)
    print(f"seed {seed}, {result['known_points']} points known, {len(reports)} trials in {result['seconds']} s")
    print(table(reports))
    faulty = [report for report in reports if report["faults"]]
    for report in faulty[:20]:
        print(f"\n{Point(**report['point'])}: {', '.join(report['faults'])}")
        print(f"{report['residue']}\n{report['text']}".rstrip())
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(result, indent=1))
    return 1 if faulty else 0


if __name__ == "__main__":
    sys.exit(main())
