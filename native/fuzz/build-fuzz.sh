#!/bin/sh
# Build a fuzzer: build-fuzz.sh decode_fuzz|passwd_fuzz|quick_fuzz|watchdog_drive OUTPUT [--libfuzzer]
#
# With gcc and the sanitizers the program drives itself; --libfuzzer needs clang.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
name=${1:?usage: build-fuzz.sh NAME OUTPUT [--libfuzzer]}
output=${2:?usage: build-fuzz.sh NAME OUTPUT [--libfuzzer]}
sources="$here/$name.c $here/mutate.c $here/../decode.c $here/../passwd.c $here/../paths.c $here/../text.c"
[ "$name" != quick_fuzz ] || sources="$here/$name.c $here/mutate.c $here/../quick_journal.c $here/../quick_summary.c $here/../quick_process.c"
[ "$name" != watchdog_drive ] || sources="-U_GNU_SOURCE $here/$name.c $here/../native_watchdog.c"
common="-std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Werror -Wshadow -g -O2 -fno-omit-frame-pointer -fno-sanitize-recover=all"

if [ "${3:-}" = --libfuzzer ]; then
    # shellcheck disable=SC2086
    exec clang $common -DCL_LIBFUZZER -fsanitize=fuzzer,address,undefined $sources -o "$output"
fi
# shellcheck disable=SC2086
exec "${CC:-gcc}" $common -fsanitize=address,undefined $sources -o "$output"
