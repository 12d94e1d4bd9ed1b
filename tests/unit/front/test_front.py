"""The static front finds its own environment, however it is called, and says in one line when it cannot."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from corelaunch import __version__, code_pack_build


def test_it_runs_with_an_empty_environment_from_any_directory(environment: Any, tmp_path: Path) -> None:
    for directory in (Path("/"), tmp_path, Path("/proc")):
        done = environment.run("--version", cwd=directory)
        assert (done.returncode, done.stderr) == (0, "")
        assert f"version {__version__}" in done.stdout


def test_it_runs_through_symbolic_links_and_the_search_path(environment: Any, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "runc"
    first.symlink_to(environment.command)
    second.symlink_to("first")
    for command in (first, second, Path(os.path.relpath(second, environment.prefix))):
        assert __version__ in environment.run("--version", command=command).stdout
    done = subprocess.run(
        ["sh", "-c", "corelaunch --version"],
        env={"PATH": f"{environment.bin}:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert __version__ in done.stdout


def test_the_interpreter_is_isolated_and_gets_every_argument_as_it_was(bare_environment: Any) -> None:
    fake = bare_environment.bin / "python3"
    fake.unlink()
    fake.write_text('#!/bin/sh\nfor word; do echo "[$word]"; done\n')
    fake.chmod(0o755)
    main = bare_environment.site / "corelaunch" / "__main__.py"
    main.parent.mkdir()
    main.touch()
    done = bare_environment.run("a b", "", "--flag=\u00fc", "-I")
    words = done.stdout.splitlines()
    assert words[-4:] == ["[a b]", "[]", "[--flag=\u00fc]", "[-I]"]
    assert words[-5] == f"[{main}]"
    assert {"[-I]", "[-S]"} <= set(words[: words.index(f"[{main}]")])


def test_the_newest_python_that_has_the_package_is_taken_with_its_own_interpreter(bare_environment: Any) -> None:
    for minor, has_package in ((11, True), (12, True), (13, False)):
        package = bare_environment.prefix / "lib" / f"python3.{minor}" / "site-packages" / "corelaunch"
        package.mkdir(parents=True)
        if has_package:
            (package / "__main__.py").touch()
        interpreter = bare_environment.bin / f"python3.{minor}"
        interpreter.write_text(f"#!/bin/sh\necho 3.{minor}\n")
        interpreter.chmod(0o755)
    assert bare_environment.run().stdout == "3.12\n"


def test_the_boot_file_of_this_python_is_preferred_to_the_main_module(bare_environment: Any) -> None:
    fake = bare_environment.bin / "python3"
    fake.unlink()
    fake.write_text('#!/bin/sh\nfor word; do echo "$word"; done\n')
    fake.chmod(0o755)
    package = bare_environment.site / "corelaunch"
    boot = package / "_libexec" / f"boot.cpython-3{sys.version_info[1]}.pyc"
    boot.parent.mkdir(parents=True)
    (boot.parent / "boot.cpython-399.pyc").touch()
    (package / "__main__.py").touch()
    assert bare_environment.run("state").stdout.splitlines()[-2:] == [str(package / "__main__.py"), "state"]
    boot.touch()
    assert bare_environment.run("state").stdout.splitlines()[-2:] == [str(boot), "state"]


def test_a_boot_file_starts_the_command_and_one_that_is_out_of_date_leaves_it_to_the_files(environment: Any) -> None:
    package = environment.site / "corelaunch"
    boot = package / "_libexec" / code_pack_build.boot_name()
    boot.write_bytes(code_pack_build.boot(str(package)))
    assert environment.run("--version").stdout == f"corelaunch version {__version__}\nspec: 1.2.0\n"
    isolated = package / "isolated.py"
    isolated.write_text(isolated.read_text().replace("gc.disable()", "print('edited', flush=True)"))
    assert environment.run("--version").stdout == f"edited\ncorelaunch version {__version__}\nspec: 1.2.0\n"


def test_variables_that_would_steer_the_interpreter_are_dropped_and_others_stay(bare_environment: Any) -> None:
    fake = bare_environment.bin / "python3"
    fake.unlink()
    fake.write_text("#!/bin/sh\nenv\n")
    fake.chmod(0o755)
    package = bare_environment.site / "corelaunch"
    package.mkdir()
    (package / "__main__.py").touch()
    dangerous = ("LD_PRELOAD", "LD_AUDIT", "PYTHONPATH", "PYTHONHOME", "GCONV_PATH", "LOCPATH", "GLIBC_TUNABLES")
    done = bare_environment.run(NOTIFY_SOCKET="/n", HOME="/h", LANG="C", **dict.fromkeys(dangerous, ""))
    names = {line.partition("=")[0] for line in done.stdout.splitlines()}
    assert {"NOTIFY_SOCKET", "HOME", "LANG"} <= names
    assert not names & set(dangerous)


def test_a_missing_package_is_one_line(bare_environment: Any) -> None:
    done = bare_environment.run("state", "x")
    assert done.returncode == 1
    assert (
        done.stderr
        == f"corelaunch: cannot start: no package corelaunch below {bare_environment.prefix}/lib/python3.*\n"
    )


def test_a_missing_interpreter_is_one_line(environment: Any) -> None:
    (environment.bin / "python3").unlink()
    done = environment.run("state", "x")
    assert done.returncode == 1
    assert done.stderr == f"corelaunch: cannot start: {environment.bin}/python3: no such interpreter\n"


def test_an_interpreter_that_cannot_be_executed_is_one_line(environment: Any) -> None:
    interpreter = environment.bin / "python3"
    interpreter.unlink()
    interpreter.write_text("not a program")
    interpreter.chmod(0o755)
    done = environment.run("state", "x")
    assert done.returncode == 1
    assert done.stderr == f"corelaunch: cannot start: {interpreter}: Exec format error\n"


def create(environment: Any, bundle: Path) -> subprocess.CompletedProcess[str]:
    """Create a container up to where the native part is needed."""
    (bundle / "rootfs").mkdir(parents=True)
    assert environment.run("spec", cwd=bundle).returncode == 0
    done: subprocess.CompletedProcess[str] = environment.run("--root", str(bundle / "root"), "create", "x", cwd=bundle)
    return done


def test_a_package_without_its_native_part_is_one_line_and_no_traceback(environment: Any, tmp_path: Path) -> None:
    (environment.site / "corelaunch" / "_native.abi3.so").unlink()
    done = create(environment, tmp_path / "bundle")
    assert done.returncode == 1
    assert "corelaunch._native cannot be loaded" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_native_part_of_another_version_is_refused(environment: Any, tmp_path: Path) -> None:
    package = environment.site / "corelaunch" / "__init__.py"
    package.write_text(package.read_text().replace(__version__, "99.0"))
    done = create(environment, tmp_path / "bundle")
    assert done.returncode == 1
    assert f"is of version {__version__}, corelaunch of 99.0" in done.stderr


def test_it_is_a_static_program_of_some_tens_of_kilobytes(front: Path) -> None:
    headers = subprocess.run(["readelf", "-lW", front], capture_output=True, text=True, check=True).stdout
    assert "INTERP" not in headers and "DYNAMIC" not in headers
    assert front.stat().st_size < 64 * 1024


def test_started_with_python_m_it_refuses(environment: Any) -> None:
    python = environment.bin / "python3"
    done = environment.run("-m", "corelaunch", "--version", command=python, PYTHONPATH=str(environment.site))
    assert done.returncode == 1
    assert "not with python -m" in done.stderr
    assert done.stdout == ""
