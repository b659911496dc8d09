#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Several jobs side by side in one allocation, each with its own snapshots: one that fails is started again and doesn't touch the others.
# The exit code is 0 if all have finished, 75 if some have not and all have come further (start this again), else that of the first one
# that is beyond help. In a job script of a scheduler call it in the place of `wavecut run`.
# Members that share one MPI_COMM_WORLD: see ensemble.c.
# Tried with mpirun on one machine (tests/cluster/ensemble).

# ---- edit these ----
members=4
export WAVECUT_INTERVAL=600     # seconds between snapshots
directories=$PWD/ensemble       # of the members' snapshots, a directory each
options=()                      # of wavecut run, such as --walltime=12:00:00
start() { # NUMBER
    exec wavecut run --dir="$directories/$1" "${options[@]}" -- mpirun -n 16 ./program "--seed=$1"
    # Slurm, a part of the allocation for each:
    # exec wavecut run --dir="$directories/$1" "${options[@]}" -- srun --exact --nodes=1 --ntasks=16 ./program "--seed=$1"
}

# ---- the same for all ----
mkdir -p "$directories"
pids=()
for ((i = 0; i < members; i++)); do
    start $i >"$directories/$i.log" 2>&1 &
    pids+=($!)
done
trap 'kill -USR1 "${pids[@]}" 2>/dev/null' USR1 # a last snapshot of each
trap 'kill -TERM "${pids[@]}" 2>/dev/null' TERM
while [ -n "$(jobs -rp)" ]; do sleep 1; done # a signal would end a wait, and with it the exit code
code=0
for ((i = 0; i < members; i++)); do
    wait "${pids[i]}"
    one=$?
    echo "member $i: exit status $one"
    case $one in
    0) ;;
    75) [ $code != 0 ] || code=75 ;;
    *) [ $code != 0 ] && [ $code != 75 ] || code=$one ;;
    esac
done
exit $code
