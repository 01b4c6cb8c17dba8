#!/bin/bash
# One output in @SHARES@ shares, with GNU parallel. Written by `influence cluster parallel`; edit what
# suits you. It can be run again: what is written already is not computed again.
set -eu

# The program, or one of your own with your models; and files that all machines see.
influence=influence
config=@CONFIG@
# Where the fit is kept: written here if it is not there, or gone on with if that was killed. Empty:
# each share fits by itself.
fitted=@FITTED@
options=(--progress lines ${fitted:+--fitted "$fitted"})
# Processes at a time, on each machine, and the threads of each.
jobs=4
threads=1

[ -z "$fitted" ] || [ -e "$fitted" ] || "$influence" fit "$config" "${options[@]}" --share 0/1
"$influence" declare "$config" "${options[@]}"@SELF@ --resume

# A share that was killed is tried three times in all; `finish` computes what is left. (GNU parallel
# ends with the number of failed shares, 101 if there are more than 100; other codes are errors.)
# On several machines: add `--sshloginfile FILE --workdir .`, where FILE has a host on each line.
# One process per GPU: let jobs be their number, write `device = "cuda:0"`, and put
# `env CUDA_VISIBLE_DEVICES='{= $_ = slot() - 1 =}'` before "$influence".
seq 0 @LAST@ | parallel --quote --jobs "$jobs" --retries 3 --joblog shares.log \
    "$influence" @RUN@ "$config" "${options[@]}" --threads "$threads" --share "{}/@SHARES@" || [ $? -le 101 ]

exec "$influence" finish "$config" "${options[@]}"
