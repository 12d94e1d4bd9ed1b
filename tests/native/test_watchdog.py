"""The watchdog's C under AddressSanitizer and UndefinedBehaviorSanitizer, up to the end that it makes."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

NATIVE = Path(__file__).resolve().parents[2] / "native"
EXIT_CODE = 23
#: Of each line: more is cut.
LIMIT = 2048


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("watchdog") / "drive"
    subprocess.run([NATIVE / "fuzz/build-fuzz.sh", "watchdog_drive", output], check=True)
    return output


def expire(driver: Path, log: Path, form: str, owner: str, what: str, seconds: str = "0.01") -> str:
    """Lets it expire; what stands on stderr, which has the prefix in front."""

    def place_log() -> None:
        os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND), 3)

    words = [driver, form, "cl: ", owner, what, seconds]
    done = subprocess.run(words, capture_output=True, text=True, preexec_fn=place_log, close_fds=False, timeout=60)
    assert done.returncode == EXIT_CODE, done.stderr
    assert done.stderr.startswith("cl: ") and done.stderr.endswith("\n")
    return done.stderr[len("cl: ") : -1]


@pytest.mark.parametrize(
    ("owner", "what"),
    [
        ("plugin 'slow'", "moment 'creating'"),
        ('"\\' * 40, "\n\t\x1b\x7f\x01"),
        ('"\\' * 5000, "x" * 5000),
        *(("x" * before + "\u00fc\u20ac\U0001f40b" * 300, "y") for before in range(4)),
        ("", ""),
    ],
    ids=["plain", "escapes", "long", "utf-8", "utf-8 1", "utf-8 2", "utf-8 3", "empty"],
)
@pytest.mark.parametrize("form", ["json", "text"])
def test_the_last_line_is_whole_in_both_formats(
    driver: Path, tmp_path: Path, form: str, owner: str, what: str
) -> None:
    said = expire(driver, tmp_path / "log", form, owner, what)
    hint = "what was begun is undone by delete --force once the plugin is mended or another version of it installed"
    hint += "; --forget-plugin does without it"
    wanted = f"{owner} does not return: {what}: after 0.01 s ({hint})"
    wanted = re.sub("[\0-\x1f\x7f]", "?", wanted)
    assert wanted.startswith(said)
    assert said == wanted or len(said.encode()) > LIMIT - 5
    line = (tmp_path / "log").read_text()
    assert line.count("\n") == 1
    if form == "json":
        assert json.loads(line)["msg"] == said
    else:
        text = re.fullmatch(r'time="....-..-..T..:..:..Z" level=error msg="((?:[^"\\]|\\.)*)"\n', line)
        assert text
        assert re.sub(r"\\(.)", r"\1", text[1]) == said


def test_a_time_below_a_nanosecond_is_not_for_ever(driver: Path, tmp_path: Path) -> None:
    assert "after 1e-12 s" in expire(driver, tmp_path / "log", "json", "o", "w", "1e-12")
