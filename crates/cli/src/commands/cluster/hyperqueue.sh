#!/bin/bash
# One output in @SHARES@ shares, with HyperQueue. Written by `influence cluster hyperqueue`; edit what
# suits you. It can be run again: what is written already is not computed again.
#
# Before: `hq server start` on one node, and workers on others: `hq worker start` on each, or
# `hq alloc add slurm --time-limit 4h -- --partition=NAME`, which asks Slurm for them when needed.
set -eu

# The program, or one of your own with your models; and files that all nodes see.
influence=influence
config=@CONFIG@
# Where the fit is kept: written here if it is not there, or gone on with if that was killed. Empty:
# each share fits by itself.
fitted=@FITTED@
options=(--progress lines ${fitted:+--fitted "$fitted"})
cpus=4

# Without a server nothing is shared, and `finish` would compute everything here.
hq server info >/dev/null
[ -z "$fitted" ] || [ -e "$fitted" ] || "$influence" fit "$config" "${options[@]}" --share 0/1
"$influence" declare "$config" "${options[@]}"@SELF@ --resume

# A share whose worker is lost goes to another one. A share that was killed has failed: `finish`
# computes what is left.
# One process per GPU: add `--resource gpus/nvidia=1`; HyperQueue sets CUDA_VISIBLE_DEVICES, so
# `device = "cuda:0"` is the task's own.
hq submit --wait --array=0-@LAST@ --cpus="$cpus" --crash-limit=5 -- bash -c \
    'influence="$1" config="$2" cpus="$3"; shift 3
    exec "$influence" @RUN@ "$config" "$@" --threads "$cpus" --share "$HQ_TASK_ID/@SHARES@"' \
    share "$influence" "$config" "$cpus" "${options[@]}" || true

exec "$influence" finish "$config" "${options[@]}"
