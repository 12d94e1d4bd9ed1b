"""cffi builder of corelaunch._seccomp: libseccomp, the one library that a part of corelaunch is linked with."""

from __future__ import annotations

import os

from cffi import FFI

HERE = os.path.dirname(os.path.abspath(__file__))

#: Names of libseccomp and of linux/seccomp.h whose values the compiler looks up.
CONSTANTS = """
SCMP_ACT_KILL_PROCESS SCMP_ACT_KILL_THREAD SCMP_ACT_TRAP SCMP_ACT_LOG SCMP_ACT_ALLOW
SCMP_CMP_NE SCMP_CMP_LT SCMP_CMP_LE SCMP_CMP_EQ SCMP_CMP_GE SCMP_CMP_GT SCMP_CMP_MASKED_EQ
SCMP_ARCH_X86 SCMP_ARCH_X86_64 SCMP_ARCH_X32 SCMP_ARCH_ARM SCMP_ARCH_AARCH64 SCMP_ARCH_MIPS SCMP_ARCH_MIPS64
SCMP_ARCH_MIPS64N32 SCMP_ARCH_MIPSEL SCMP_ARCH_MIPSEL64 SCMP_ARCH_MIPSEL64N32 SCMP_ARCH_PPC SCMP_ARCH_PPC64
SCMP_ARCH_PPC64LE SCMP_ARCH_S390 SCMP_ARCH_S390X SCMP_ARCH_PARISC SCMP_ARCH_PARISC64 SCMP_ARCH_RISCV64
SECCOMP_FILTER_FLAG_TSYNC SECCOMP_FILTER_FLAG_LOG SECCOMP_FILTER_FLAG_SPEC_ALLOW
SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
""".split()

ffi = FFI()
with open(os.path.join(HERE, "seccomp_api.h"), encoding="utf-8") as file:
    ffi.cdef(file.read())
ffi.cdef("".join(f"#define {name} ...\n" for name in CONSTANTS))
ffi.set_source(
    "corelaunch._seccomp",
    '#include "seccomp_module.h"',
    sources=["native/seccomp_module.c"],
    include_dirs=["native"],
    depends=["native/seccomp_api.h", "native/seccomp_module.h"],
    libraries=["seccomp"],
    extra_compile_args=["-Wall", "-Wextra"],
)
