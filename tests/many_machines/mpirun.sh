#!/usr/bin/env bash
# mpirun.sh PROCESSES COMMAND ...: also as root, and with more processes than cores.
if [ "$(id -u)" = 0 ]; then
  export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi
processes=$1
shift
exec mpirun --oversubscribe --bind-to none -np "$processes" "$@"
