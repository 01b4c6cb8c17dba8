#!/usr/bin/env bash
# Slurm on this machine alone, as root: what `influence cluster slurm` writes is submitted, a task is
# killed, and every output must have the bytes of one run.
#
#   tests/cluster/slurm.sh target/release/influence
#
# LOST_NODE=1 also kills slurmd, which Slurm notices after half a minute.
set -euo pipefail
. "$(dirname "$0")/slurm-up.sh"

influence="$(realpath "$1")"
work="$(mktemp -d /tmp/influence-slurm.XXXXXX)"
chmod 755 "$work"
mkdir "$work/one"
shares=4

tear_down() {
    local code=$?
    [ "$code" -eq 0 ] || grep -h error "$work"/log/* "$work"/*.log || true
    tear_down_slurm
    rm -rf "$work"
    exit "$code"
}
trap tear_down EXIT

# configured NAME METHOD: a configuration in $work/demo.
configured() {
    sed -e "s/^name = \"direct\"/name = \"$2\"/" -e 's/^test_chunk.*/test_chunk = 8/' -e 's/^train_chunk.*/train_chunk = 128/' \
        -e "s/^path = .*/path = \"$1.zarr\"/" "$work/demo/influence.toml" >"$work/demo/$1.toml"
}
# submitted NAME [SHARES]: writes the script, edits what its comments say, and submits it.
submitted() {
    local script="$work/$1.slurm"
    "$influence" cluster slurm "$work/demo/$1.toml" --shares "$shares" --fitted "$work/demo/$1.safetensors" |
        sed -e "s|^influence=.*|influence=$influence|" -e 's/cpus-per-task=4/cpus-per-task=1/' -e 's/mem=8G/mem=1G/' >"$script"
    (cd "$work" && bash "$script" "${@:2}")
}
# Waits until all jobs have ended.
drained() {
    local _
    for _ in $(seq "${1:-240}"); do
        [ -n "$(squeue --noheader)" ] || return 0
        sleep 0.5
    done
    squeue && echo "jobs do not end" && exit 1
}
chunks() { find "$work/demo/$1.zarr/influences/c" -type f 2>/dev/null | wc -l; }
# of_share NAME INDEX: the process that computes a share.
of_share() { pgrep -f -- "run $work/demo/$1.toml .*--share $2/$shares" | head -n 1; }
# killed NAME INDEX: waits until a share computes and something is written, and kills it.
killed() {
    local _ pid
    for _ in $(seq 1200); do
        pid="$(of_share "$1" "$2" || true)"
        if [ -n "$pid" ] && [ "$(chunks "$1")" -ge 3 ]; then
            kill -KILL "$pid"
            echo "$1: share $2 killed with $(chunks "$1") chunks written"
            return
        fi
        sleep 0.05
    done
    echo "$1: share $2 was never seen at work" && exit 1
}
states() { scontrol --oneliner show job "$1" | grep -o 'JobState=[A-Z]*' | sort | uniq -c | tr '\n' ' '; }
# same NAME OF: the trees are equal, byte for byte.
same() {
    diff -r "$work/one/$2.zarr" "$work/demo/$1.zarr"
    "$influence" verify "$work/demo/$1.zarr" --sample 0 >/dev/null
    echo "$1: $(chunks "$1") chunks, the same bytes as one run, $((SECONDS - began)) s"
}

bring_up_slurm "$work"
echo "Slurm $(sinfo --version) is up after $SECONDS s"
"$influence" demo --output "$work/demo" --quiet >/dev/null 2>&1
for method in ekfac cg; do
    configured "$method" "$method"
    "$influence" run "$work/demo/$method.toml" --set "output.path=$work/one/$method.zarr" --quiet
done

echo "-- ekfac: declare, an array of $shares, finish"
began=$SECONDS
submitted ekfac
drained
same ekfac ekfac

echo "-- cg: a task is killed; finish, by afterany, computes what it has left"
began=$SECONDS
configured left cg
jobs="$(submitted left)" && echo "$jobs"
killed left 1
drained
array="$(sed 's/.*shares \([0-9]*\).*/\1/' <<<"$jobs")"
echo "tasks of the array: $(states "$array")"
same left cg

echo "-- cg: a task is killed, and its share is run again"
began=$SECONDS
configured again cg
jobs="$(submitted again)" && echo "$jobs"
scancel "$(sed 's/.*finish //' <<<"$jobs")"
killed again 1
drained
echo "$(chunks again) of $(chunks left) chunks are written"
submitted again 1
drained
same again cg

if [ -n "${LOST_NODE:-}" ]; then
    echo "-- cg: slurmd and a task are killed, as with a lost node"
    began=$SECONDS
    configured lost cg
    jobs="$(submitted lost)" && echo "$jobs"
    killed lost 0
    for pid in $(cat "$work/slurmd.pid") $(pgrep -x slurmstepd); do
        ! grep -qs "$work" "/proc/$pid/environ" || kill -KILL "$pid" || true
    done
    pkill -KILL -f -- "run $work/demo/lost.toml" || true
    sleep 40
    slurmd
    drained 600
    array="$(sed 's/.*shares \([0-9]*\).*/\1/' <<<"$jobs")"
    echo "restarts: $(scontrol --oneliner show job "$array" | grep -o 'Restarts=[0-9]*' | sort | uniq -c | tr '\n' ' ')"
    same lost cg
fi
