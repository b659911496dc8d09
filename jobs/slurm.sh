#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# A job that goes on over as many time limits as it needs: submitted once, it puts itself into the queue again (sbatch slurm.sh), or it
# is one of a chain (slurm-chain 10 slurm.sh). Of an array (sbatch --array=1-20 slurm.sh) each task has its own snapshots.
#SBATCH --job-name=program
#SBATCH --ntasks=128
#SBATCH --time=12:00:00
#SBATCH --signal=B:USR1@300     # to this script, 300 s before the end: time for a last snapshot
#SBATCH --requeue
#SBATCH --open-mode=append      # a requeued job goes on with the same output

# ---- edit these ----
program=(./program its options) # of an array: also "$SLURM_ARRAY_TASK_ID"
export WAVECUT_DIR=$SLURM_SUBMIT_DIR/$SLURM_JOB_NAME${SLURM_ARRAY_TASK_ID:+/$SLURM_ARRAY_TASK_ID} # of this job alone
export WAVECUT_INTERVAL=1800    # seconds between snapshots, against failures
options=(--margin=280)          # how long the last snapshot may take, a little less than the signal's 300
launch=(mpirun)                 # or: launch=(srun --mpi=pmix)
# A program that isn't linked with Wavecut (README, "Link"):
# launch=(mpirun -x LD_PRELOAD="$HOME/wavecut/lib/libwavecut-openmpi.so")
# launch=(srun --mpi=pmix --export=ALL,LD_PRELOAD="$HOME/wavecut/lib/libwavecut-openmpi.so")

# ---- the same for all ----
wavecut run "${options[@]}" -- "${launch[@]}" "${program[@]}" &
run=$!
trap 'kill -USR1 $run' USR1     # the end is near: a last snapshot, then it ends with 75
trap 'kill -TERM $run' TERM     # scancel
while [ -n "$(jobs -rp)" ]; do sleep 1; done # a signal would end a wait, and with it the exit code
wait $run
code=$?
# 75: not finished, but further than before. Any other code: finished, or it is no use to try again. A chain's job is not requeued: the
# next one goes on. After the requeue only 0 will do: with another status, heard of too early, Slurm takes the job for failed.
if [ $code = 75 ] && scontrol requeue "$SLURM_JOB_ID"; then
    exit 0
fi
exit $code
