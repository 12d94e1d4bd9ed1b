"""A worker of the matrix: reads one JSON request a line, does it in its own rig, writes one JSON answer a line.

    unshare --mount --propagation private python worker.py NAME TRACER RUNTIME...

Requests: {"record": VERB} -> [point...]; {"strike": point} and {"fail": point, "error": NAME} -> report.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "host"))
import trial
from points import Point
from rig import Rig
from verbs import VERBS


def answer(rig: Rig, request: dict[str, object]) -> object:
    if "record" in request:
        return [point.json() for point in trial.record(rig, VERBS[str(request["record"])])]
    if "strike" in request:
        return trial.strike(rig, Point(**request["strike"])).json()  # type: ignore[arg-type]
    return trial.fail(rig, Point(**request["fail"]), str(request["error"])).json()  # type: ignore[arg-type]


def main() -> None:
    # Whatever the runtime prints must not reach the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    rig = Rig(sys.argv[3:], sys.argv[2], sys.argv[1])
    for line in sys.stdin:
        request = json.loads(line)
        try:
            reply = answer(rig, request)
        except Exception:  # noqa: BLE001  (the driver decides what a broken trial means; the next one may go well)
            text = traceback.format_exc()
            reply = {"error": text}
            if "record" not in request:
                point = request.get("strike") or request["fail"]
                reply = trial.Report(point, faults=["broken trial"], text=text).json()
        answers.write(json.dumps(reply) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
