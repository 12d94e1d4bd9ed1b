#!/bin/sh
# keeper.sh DIRECTORY [COMMAND...]: makes DIRECTORY, runs COMMAND, and takes both away when its stdin ends.
# It stands between script/vm and QEMU, in a session of its own: whatever ends script/vm, SIGKILL too, closes the pipe.
set -eu
directory=$1
shift
mkdir "$directory"
pid=
if [ $# -gt 0 ]; then
    # If it is the keeper that is killed, QEMU goes with it.
    setpriv --pdeathsig KILL "$@" </dev/null >"$directory/log" 2>&1 &
    pid=$!
fi
echo ready
exec >/dev/null # nobody may wait for this end of the pipe
read -r _ || true
[ -z "$pid" ] || kill -KILL "$pid" 2>/dev/null || true
wait
rm -rf "$directory"
