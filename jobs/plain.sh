#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# A job without a scheduler: it is started again after each failure, until it has finished. After a reboot, run this again.
#   nohup ./plain.sh >>job.log 2>&1 &        what happens: wavecut status, and wavecut-ckpt/run.log

# ---- edit these ----
program=(./program its options)
export WAVECUT_DIR=$PWD/wavecut-ckpt    # of this job alone, seen by all hosts
export WAVECUT_INTERVAL=600             # seconds between snapshots
launch=(mpirun -n 64)
# launch=(mpirun -n 64 --hostfile hosts)
# A program that isn't linked with Wavecut (README, "Link"):
# launch=(mpirun -n 64 -x LD_PRELOAD="$HOME/wavecut/lib/libwavecut-openmpi.so")       # Open MPI
# launch=(mpirun -n 64 -genv LD_PRELOAD "$HOME/wavecut/lib/libwavecut-mpich.so")      # MPICH

exec wavecut run -- "${launch[@]}" "${program[@]}"
