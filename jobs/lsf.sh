#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# A job that goes on over as many time limits as it needs: submitted once (bsub < lsf.sh), LSF puts it into the queue again whenever it
# ends with 75, which is: not finished, but further than before.
# Written for LSF 10.1 by its documentation, and not tried on a cluster.
#BSUB -J program
#BSUB -n 128
#BSUB -R "span[ptile=64]"
#BSUB -W 12:00
#BSUB -o program.%J.log
#BSUB -r
#BSUB -Q "75"

# ---- edit these ----
program=(./program its options)
walltime=12:00:00               # as above, but with seconds
export WAVECUT_DIR=$LS_SUBCWD/wavecut-ckpt # of this job alone
export WAVECUT_INTERVAL=1800    # seconds between snapshots, against failures
options=(--margin=300)          # how long the last snapshot may take
launch=(mpirun -n 128)
# A program that isn't linked with Wavecut (README, "Link"):
# launch=(mpirun -n 128 -x LD_PRELOAD="$HOME/wavecut/lib/libwavecut-openmpi.so")      # Open MPI
# launch=(mpirun -n 128 -genv LD_PRELOAD "$HOME/wavecut/lib/libwavecut-mpich.so")     # MPICH

# ---- the same for all ----
cd "$LS_SUBCWD" || exit 1
exec wavecut run --walltime="$walltime" "${options[@]}" -- "${launch[@]}" "${program[@]}"
