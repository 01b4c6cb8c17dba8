#!/usr/bin/env bash
# Open MPI on this machine alone: outputs of `--mpi` must have the bytes of one run, whatever the
# number of processes, and a job that loses one of them must end.
#
#   tests/cluster/mpi.sh WITH_MPI WORLD [WITHOUT_MPI]
#
# The program built with the feature `mpi`, the example `world` of influence-cluster, and, for what
# outputs are compared with, a program that was built without.
set -euo pipefail

influence="$(realpath "$1")"
world="$(realpath "$2")"
single="$(realpath "${3:-$1}")"
work="$(mktemp -d /tmp/influence-mpi.XXXXXX)"
mkdir "$work/one"
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 RUST_BACKTRACE=0
trap 'rm -rf "$work"' EXIT

# The milliseconds since the start of the machine.
now() { awk '{ printf "%d", $1 * 1000 }' /proc/uptime; }
# ranks NUMBER COMMAND...: a job of processes with a thread each.
ranks() { timeout 120 mpirun --oversubscribe --bind-to none -n "$1" "${@:2}"; }
failed() { echo "$*" && exit 1; }

# configured NAME METHOD [CURVATURE]: a configuration in $work/demo.
configured() {
    sed -e "s/^name = \"direct\"/name = \"$2\"/" -e "s/^curvature = .*/curvature = \"${3:-gauss-newton}\"/" -e 's/^test_chunk.*/test_chunk = 32/' -e 's/^train_chunk.*/train_chunk = 1024/' \
        -e "s/^path = .*/path = \"$1.zarr\"/" "$work/demo/influence.toml" >"$work/demo/$1.toml"
}
# same NAME OF: the trees are equal, byte for byte.
same() {
    diff -r "$work/one/$2.zarr" "$work/demo/$1.zarr"
    "$influence" verify "$work/demo/$1.zarr" --sample 0 >/dev/null
}
# compared NAME COMMAND OPTIONS...: one run, and jobs of 1, 2 and 3 processes.
compared() {
    local name="$1" command="$2" began number times=""
    began="$(now)"
    "$single" "$command" "$work/demo/$name.toml" --set "output.path=$work/one/$name.zarr" --threads 1 --quiet "${@:3}"
    times="one run $(($(now) - began)) ms"
    for number in 1 2 3; do
        began="$(now)"
        ranks "$number" "$influence" "$command" "$work/demo/$name.toml" --mpi --threads 1 --overwrite --quiet "${@:3}"
        times+=", $number $(($(now) - began)) ms"
        same "$name" "$name"
    done
    echo "$name: $(find "$work/demo/$name.zarr" -type f | wc -l) files, the same bytes; $times"
}
# ended BEGAN CODE WHAT: a job ended in time, with a code other than 0.
ended() {
    local took=$(($(now) - $1))
    [ "$2" -ne 0 ] || failed "$3: the code is 0"
    [ "$took" -lt 10000 ] || failed "$3: it took $took ms"
    echo "$3: code $2 after $took ms"
}
chunks() { find "$work/demo/$1.zarr/influences/c" -type f 2>/dev/null | wc -l; }

echo "$(mpirun --version | head -n 1)"
"$influence" demo --output "$work/demo" --quiet >/dev/null 2>&1
# A smaller network, so that this does not take long.
sed -i 's/outputs = 32/outputs = 8/' "$work/demo/influence.toml"
"$influence" train "$work/demo/influence.toml" --overwrite --quiet
# npy SHAPE: the bytes on stdin as an array.
npy() { printf '\x93NUMPY\x01\x00v\x00%-117s\n' "{'descr': '|u1', 'fortran_order': False, 'shape': ($1), }" && cat; }
# The training points five times, so that sums over them have several parts, and some test points.
(
    cd "$work/demo"
    for _ in 1 2 3 4 5; do tail -c +129 x_train.npy; done | npy '7190, 8, 8' >x_many.npy
    for _ in 1 2 3 4 5; do tail -c +129 y_train.npy; done | npy '7190,' >y_many.npy
    head -c $((128 + 64 * 96)) x_test.npy | tail -c +129 | npy '96, 8, 8' >x_few.npy
    head -c $((128 + 96)) y_test.npy | tail -c +129 | npy '96,' >y_few.npy
    # One label is another.
    { head -c 200 y_many.npy && printf '\001' && tail -c +202 y_many.npy; } >y_other.npy
    sed -i -e 's/_train.npy/_many.npy/g' -e 's/_test.npy/_few.npy/g' influence.toml
)

configured direct direct empirical-fisher
compared direct run
configured cg cg
compared cg run
# Fewer rows of chunks than processes: they solve in step, and a share is a run of columns.
configured few cg
sed -i 's/^test_chunk.*/test_chunk = 96/' "$work/demo/few.toml"
compared few run
configured ekfac ekfac
compared ekfac run
configured self ekfac
compared self self
configured sweep ekfac
compared sweep sweep --damping 1,0.1 --relative

echo "-- a fit by three processes"
"$single" fit "$work/demo/ekfac.toml" --fitted "$work/one/fit.safetensors" --quiet
ranks 3 "$influence" fit "$work/demo/ekfac.toml" --fitted "$work/demo/fit.safetensors" --mpi --quiet
cmp "$work/one/fit.safetensors" "$work/demo/fit.safetensors"
echo "fit: the same bytes"

echo "-- sums over 37 leaves"
for number in 1 2 3 5; do
    ranks "$number" "$world"
done | sort | uniq -c >"$work/sums"
cat "$work/sums"
[ "$(wc -l <"$work/sums")" -eq 1 ] || failed "the sums differ"

echo "-- a process goes away"
for how in panic return; do
    began="$(now)"
    code=0
    ranks 3 "$world" "$how" >/dev/null 2>&1 || code=$?
    ended "$began" "$code" "$how in the last process"
done
# lost NAME SIGNAL: the second of three processes gets a signal once something is written.
lost() {
    local code=0 pid="" job began
    rm -rf "$work/demo/$1.zarr"
    ranks 3 "$influence" run "$work/demo/$1.toml" --mpi --threads 1 --quiet >/dev/null 2>&1 &
    job=$!
    for _ in $(seq 1200); do
        # The environment says which process it is.
        for pid in $(pgrep -f -- "run $work/demo/$1.toml --mpi"); do
            ! grep -qsz '^OMPI_COMM_WORLD_RANK=1$' "/proc/$pid/environ" || break 1
            pid=""
        done
        if [ -n "$pid" ] && [ "$(chunks "$1")" -ge 3 ]; then
            break
        fi
        sleep 0.02
    done
    [ -n "$pid" ] || failed "$1: rank 1 was never seen at work"
    began="$(now)"
    kill "-$2" "$pid"
    wait "$job" || code=$?
    ended "$began" "$code" "SIG$2 of rank 1 with $(chunks "$1") chunks written"
}
for signal in KILL ABRT; do
    configured lost cg
    lost lost "$signal"
    ranks 2 "$influence" run "$work/demo/lost.toml" --mpi --threads 1 --resume --quiet
    same lost cg
    echo "resumed by two processes: the same bytes"
done

echo "-- a process with something else"
# different WHAT OPTIONS...: rank 0 as configured, rank 1 with other options; it says why.
different() {
    local began code=0
    began="$(now)"
    timeout 60 mpirun --oversubscribe --bind-to none \
        -n 1 "$influence" run "$work/demo/ekfac.toml" --mpi --threads 1 --overwrite : \
        -n 1 "$influence" run "$work/demo/ekfac.toml" --mpi --threads 1 --overwrite "${@:2}" >"$work/said" 2>&1 || code=$?
    grep -o "rank 1: error: .*" "$work/said" || { cat "$work/said" && failed "$1: rank 1 does not say why"; }
    ended "$began" "$code" "$1"
}
different "another seed" --set seed=5
different "another label" --set data.train.targets=y_other.npy
different "another method" --set method.name=kfac

echo "-- wrong in all processes alike: said once"
code=0
ranks 3 "$influence" run "$work/demo/ekfac.toml" --mpi --overwrite --set method.dampin=1 >"$work/said" 2>&1 || code=$?
[ "$code" -eq 2 ] || failed "the code is $code"
[ "$(grep -c 'unknown key' "$work/said")" -eq 1 ] || { cat "$work/said" && failed "not said once"; }
grep 'error: ' "$work/said"

echo "-- a binding is seen"
if [ "$(nproc)" -ge 2 ]; then
    timeout 60 mpirun --bind-to core -n 1 "$influence" run "$work/demo/ekfac.toml" --mpi --overwrite 2>&1 >/dev/null | grep 'bound to'
fi
