"""cffi builder of corelaunch._native: the protocol's constants and the system calls of corelaunch.kernel."""

from __future__ import annotations

import os

from cffi import FFI

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)


def read(*path: str) -> str:
    """The text of a file of the source tree."""
    with open(os.path.join(ROOT, *path), encoding="utf-8") as file:
        return file.read()


def package_version() -> str:
    """``__version__`` of corelaunch/__init__.py, read and not imported: the package needs what is being built."""
    for line in read("corelaunch", "__init__.py").splitlines():
        if line.startswith("__version__"):
            return line.split('"')[1]
    raise SystemExit("corelaunch/__init__.py has no __version__")


ffi = FFI()
ffi.cdef(read("native", "protocol.h"))
ffi.cdef(read("native", "native_api.h"))
ffi.set_source(
    "corelaunch._native",
    '#include "native_module.h"',
    sources=["native/native_module.c", "native/native_spawn.c"],
    include_dirs=["native"],
    depends=["native/protocol.h", "native/native_api.h", "native/native_module.h"],
    define_macros=[("CL_PACKAGE_VERSION", f'"{package_version()}"')],
    extra_compile_args=["-Wall", "-Wextra"],
)
