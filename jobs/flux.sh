#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# A job that goes on over as many time limits as it needs: submitted once (flux batch flux.sh), it submits itself again until it has
# finished.
# Written for flux-core by its documentation (flux-batch(1), RFC 36), and not tried on a cluster.
# flux: --job-name=program
# flux: --nodes=2
# flux: --nslots=128
# flux: --time-limit=12h
# flux: --output=program.{{id}}.log

# ---- edit these ----
program=(./program its options)
script=$PWD/flux.sh             # where this file is: what runs is a copy
export WAVECUT_DIR=$PWD/wavecut-ckpt # of this job alone
export WAVECUT_INTERVAL=1800    # seconds between snapshots, against failures
options=(--margin=300)          # how long the last snapshot may take
launch=(flux run --nodes=2 --ntasks=128) # Open MPI 5: also -o pmi=pmix
# A program that isn't linked with Wavecut (README, "Link"):
# launch=(flux run --nodes=2 --ntasks=128 --env=LD_PRELOAD="$HOME/wavecut/lib/libwavecut-openmpi.so")

# ---- the same for all ----
wavecut run --walltime="$(flux job timeleft)" "${options[@]}" -- "${launch[@]}" "${program[@]}" &
run=$!
trap 'kill -TERM $run' TERM     # flux cancel
while [ -n "$(jobs -rp)" ]; do sleep 1; done # a signal would end a wait, and with it the exit code
wait $run
code=$?
# 75: not finished, but further than before. Any other code: finished, or it is no use to try again.
[ $code != 75 ] || flux --parent batch "$script"
exit $code
