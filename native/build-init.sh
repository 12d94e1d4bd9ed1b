#!/bin/sh
# Build corelaunch-init: build-init.sh OUTPUT [--sanitize]
#
# The program is static, non-PIE and built with musl: it is executed from a memfd inside containers that have no
# dynamic linker to offer. --sanitize builds it with glibc, AddressSanitizer and UndefinedBehaviorSanitizer instead,
# for the tests.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
output=${1:?usage: build-init.sh OUTPUT [--sanitize]}
mode=${2:-}
sources=$(sed -n "s|^[^#].*|$here/&|p" "$here/init.sources")
warnings="-std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Werror -Wmissing-prototypes -Wstrict-prototypes -Wshadow
    -Wformat-security -Wvla -Wcast-qual -Wundef -Wpointer-arith"

case $mode in
--sanitize)
    # shellcheck disable=SC2086
    exec "${CC:-gcc}" $warnings -g -O1 -fno-omit-frame-pointer -fsanitize=address,undefined \
        -fno-sanitize-recover=all $sources -o "$output"
    ;;
"") ;;
*)
    echo "build-init.sh: unknown option $mode" >&2
    exit 2
    ;;
esac

# musl's own headers first, the kernel's (linux/, asm/) behind them.
multiarch=$(gcc -print-multiarch)
# shellcheck disable=SC2086
"${MUSL_CC:-musl-gcc}" $warnings -Os -static -no-pie -fno-pie -fno-asynchronous-unwind-tables -fstack-protector-strong \
    -ffunction-sections -fdata-sections -idirafter /usr/include -idirafter "/usr/include/$multiarch" \
    $sources -o "$output" -s -Wl,--gc-sections -Wl,-z,noexecstack -Wl,--build-id=none

# A program header INTERP would name a dynamic linker, and the container's would run before us.
if readelf --program-headers --wide "$output" | grep -q 'INTERP\|DYNAMIC'; then
    rm -f "$output"
    echo "build-init.sh: $output would need a dynamic linker" >&2
    exit 1
fi
