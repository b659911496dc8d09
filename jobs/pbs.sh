#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# A job that goes on over as many time limits as it needs: submitted once (qsub pbs.sh), it submits itself again until it has finished.
# Where jobs may not submit others, submit a chain instead; once the job has finished, the rest end at once:
#   job=$(qsub pbs.sh); for i in 2 3 4 5; do job=$(qsub -W depend=afterany:$job pbs.sh); done
# Written for PBS Professional, OpenPBS and Torque by their documentation, and not tried on a cluster.
#PBS -N program
#PBS -l select=2:ncpus=64:mpiprocs=64
#PBS -l walltime=12:00:00
#PBS -r y
#PBS -j oe
# Torque has another line for the nodes, in the place of the one with select:
##PBS -l nodes=2:ppn=64

# ---- edit these ----
program=(./program its options)
walltime=12:00:00               # as above
again=(qsub pbs.sh)             # in the directory of qsub; of a chain: again=(true)
export WAVECUT_DIR=$PBS_O_WORKDIR/wavecut-ckpt # of this job alone
export WAVECUT_INTERVAL=1800    # seconds between snapshots, against failures
options=(--margin=300)          # how long the last snapshot may take
launch=(mpirun -n 128)
# A program that isn't linked with Wavecut (README, "Link"):
# launch=(mpirun -n 128 -x LD_PRELOAD="$HOME/wavecut/lib/libwavecut-openmpi.so")      # Open MPI
# launch=(mpirun -n 128 -genv LD_PRELOAD "$HOME/wavecut/lib/libwavecut-mpich.so")     # MPICH

# ---- the same for all ----
cd "$PBS_O_WORKDIR" || exit 1
wavecut run --walltime="$walltime" "${options[@]}" -- "${launch[@]}" "${program[@]}" &
run=$!
trap 'kill -TERM $run' TERM     # qdel
while [ -n "$(jobs -rp)" ]; do sleep 1; done # a signal would end a wait, and with it the exit code
wait $run
code=$?
# 75: not finished, but further than before. Any other code: finished, or it is no use to try again.
[ $code != 75 ] || "${again[@]}"
exit $code
