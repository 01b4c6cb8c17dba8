#!/bin/bash
# One output in @SHARES@ shares, with Slurm. Written by `influence cluster slurm`; edit what suits you.
#
#   bash THIS_FILE          declares the output, computes all shares, finishes the output
#   bash THIS_FILE 3,7      computes these shares again, and finishes the output
#
# Both can be run again: what is written already is not computed again. A job whose node is lost is
# queued again by Slurm. A task that was killed is not: once all tasks have ended, however they did,
# `finish` computes what they have left. Where that is much, run their shares again.
#
# What each job gets. Edit this, for your cluster:
#SBATCH --job-name=influence
#SBATCH --output=%x-%j.log
#SBATCH --cpus-per-task=4
#SBATCH --mem=8G
#SBATCH --time=04:00:00
#SBATCH --requeue
# A minute before the time is up, chunks in progress are written and the task ends.
#SBATCH --signal=B:TERM@60
# One process per GPU: Slurm sets CUDA_VISIBLE_DEVICES, so `device = "cuda:0"` is the task's own.
##SBATCH --partition=gpu
##SBATCH --gpus-per-task=1
set -eu

# The program, or one of your own with your models; and files that all nodes see.
influence=influence
config=@CONFIG@
# Where the fit is kept: the first job writes it if it is not there, and goes on with one that was
# killed. Empty: each job fits by itself.
fitted=@FITTED@
options=(--threads "${SLURM_CPUS_PER_TASK:-1}" ${fitted:+--fitted "$fitted"})

case "${1-}" in
    declare)
        [ -z "$fitted" ] || [ -e "$fitted" ] || "$influence" fit "$config" "${options[@]}" --share 0/1
        exec "$influence" declare "$config" "${options[@]}"@SELF@ --resume
        ;;
    share)
        # How many shares there are is written here: Slurm's own count is that of this array, which
        # is smaller when single shares are run again.
        exec "$influence" @RUN@ "$config" "${options[@]}" --share "$SLURM_ARRAY_TASK_ID/@SHARES@"
        ;;
    finish)
        exec "$influence" finish "$config" "${options[@]}"
        ;;
esac

declared=""
if [ $# -eq 0 ]; then
    declared="$(sbatch --parsable "$0" declare)"
fi
shares="$(sbatch --parsable --array="${1:-0-@LAST@}" ${declared:+--dependency="afterok:$declared"} \
    --kill-on-invalid-dep=yes "$0" share)"
finished="$(sbatch --parsable --dependency="afterany:$shares" "$0" finish)"
echo "declare ${declared:-(done)}, shares $shares, finish $finished"
