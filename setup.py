"""Builds what pyproject.toml cannot say: the two cffi modules, the static corelaunch-init and the static front."""

from __future__ import annotations

import os
import subprocess
import sys

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

HERE = os.path.dirname(os.path.abspath(__file__))
# A build runs in an isolated environment that does not see the checkout.
sys.path.insert(0, HERE)
from corelaunch import code_pack, code_pack_build  # noqa: E402
from corelaunch.cli import documents  # noqa: E402

FRONT = os.path.join("native", "build", "corelaunch")
#: Manual pages and completion, made from the parser's own tables; below it as below the prefix.
DOCUMENTS = os.path.join("native", "build", "documents")


class BuildNative(build_ext):
    """build_ext that also builds the two programs in C, which are linked statically with musl."""

    def run(self) -> None:
        """Build everything; with --inplace corelaunch-init lands in the checkout's own package."""
        super().run()
        package = os.path.join(HERE if self.inplace else os.path.abspath(self.build_lib), "corelaunch")
        build_program("build-init.sh", os.path.join(package, "_libexec", "corelaunch-init"))
        build_program("build-front.sh", os.path.join(HERE, FRONT))
        documents.write(os.path.join(HERE, DOCUMENTS))
        if not self.inplace:
            self.write_pack(package)

    def write_pack(self, package: str) -> None:
        """Write the code of the modules into files for the command; build_py has put the modules there before."""
        for name, content in (
            (code_pack.file_name(), code_pack_build.build(package)),
            (code_pack_build.boot_name(), code_pack_build.boot(package)),
        ):
            with open(os.path.join(package, "_libexec", name), "wb") as file:
                file.write(content)

    def get_outputs(self) -> list[str]:
        """Also name the program, so that uninstalling removes it."""
        names = ("corelaunch-init", code_pack.file_name(), code_pack_build.boot_name())
        return [*super().get_outputs(), *(os.path.join(self.build_lib, "corelaunch", "_libexec", n) for n in names)]


def build_program(script: str, target: str) -> None:
    """Make ``target`` with ``native/SCRIPT``; its failure is ours."""
    os.makedirs(os.path.dirname(target), exist_ok=True)
    try:
        subprocess.run(["sh", os.path.join(HERE, "native", script), target], check=True)
    except subprocess.CalledProcessError as error:
        sys.exit(f"native/{script} failed with {error.returncode}: is musl-gcc installed? (Debian: musl-tools)")


def document_files() -> list[tuple[str, list[str]]]:
    """Manual pages and completion for data_files: (directory below the prefix, files of the checkout)."""
    return [(os.path.dirname(name), [os.path.join(DOCUMENTS, name)]) for name in documents.names()]


def cffi_modules() -> list[str]:
    """_native always; _seccomp where libseccomp's header is, or corelaunch does without seccomp and says so."""
    modules = ["native/build_native.py:ffi"]
    if has_header("seccomp.h"):
        modules.append("native/build_seccomp.py:ffi")
    else:
        print("corelaunch: seccomp.h is missing (Debian: libseccomp-dev), building without seccomp", file=sys.stderr)
    return modules


def has_header(name: str) -> bool:
    """Whether the C compiler finds this header."""
    compiler = os.environ.get("CC", "cc").split()
    program = f"#include <{name}>\n".encode()
    probe = subprocess.run([*compiler, "-E", "-x", "c", "-"], input=program, capture_output=True)
    return probe.returncode == 0


#: Without cffi, for its import's sake; see the file.
WATCHDOG = Extension(
    "corelaunch._watchdog",
    ["native/watchdog_module.c", "native/native_watchdog.c"],
    include_dirs=["native"],
    depends=["native/watchdog.h"],
    define_macros=[("Py_LIMITED_API", "0x030B0000")],
    extra_compile_args=["-Wall", "-Wextra"],
    py_limited_api=True,
)

setup(
    ext_modules=[WATCHDOG],
    cffi_modules=cffi_modules(),
    cmdclass={"build_ext": BuildNative},
    # A program cannot be among `scripts`: setuptools reads those as text.
    data_files=[("bin", [FRONT]), *document_files()],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
