#!/bin/sh
# Builds the static command `corelaunch`: build-front.sh TARGET
set -eu
here=$(dirname "$0")
target=${1:?usage: build-front.sh TARGET}
"${MUSL_CC:-musl-gcc}" -std=c11 -Os -static -fno-pie -no-pie -s -ffunction-sections -Wl,--gc-sections \
    -Wall -Wextra -Werror -Wmissing-prototypes -Wshadow -Wformat-security -Wstrict-prototypes \
    -fstack-protector-strong -Wl,-z,noexecstack -Wl,-z,relro,-z,now \
    -o "$target" "$here"/front.c "$here"/quick*.c
