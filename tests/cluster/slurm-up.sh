# A Slurm of one node on this machine, as root; sourced by the scripts that need one.

# The folder of its files.
slurm=
# Ends the processes whose numbers stand in these files.
end() {
    local file
    for file in "$@"; do
        [ ! -s "$file" ] || kill "$(cat "$file")" 2>/dev/null || true
    done
}

# bring_up_slurm FOLDER: its files lie there. Sets SLURM_CONF.
bring_up_slurm() {
    slurm="$1"
    mkdir -p "$slurm"/{munge,state,spool,log}
    export SLURM_CONF="$slurm/slurm.conf"
    local host port=$((20000 + RANDOM % 10000))
    host="$(hostname -s)"
    (umask 077 && dd if=/dev/urandom of="$slurm/munge/key" bs=1024 count=1 status=none)
    munged --key-file="$slurm/munge/key" --socket="$slurm/munge/socket" --pid-file="$slurm/munge/munged.pid" \
        --log-file="$slurm/munge/log" --seed-file="$slurm/munge/seed"
    cat >"$SLURM_CONF" <<CONF
ClusterName=influence
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$port
SlurmdPort=$((port + 1))
AuthType=auth/munge
AuthInfo=socket=$slurm/munge/socket
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation=$slurm/state
SlurmdSpoolDir=$slurm/spool
SlurmctldPidFile=$slurm/slurmctld.pid
SlurmdPidFile=$slurm/slurmd.pid
SlurmctldLogFile=$slurm/log/slurmctld
SlurmdLogFile=$slurm/log/slurmd
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=1,sched_min_interval=0,batch_sched_delay=0,defer_batch
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SlurmdTimeout=15
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
NodeName=$host NodeAddr=127.0.0.1 CPUs=2 RealMemory=4000 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
CONF
    slurmctld
    slurmd
    local _
    for _ in $(seq 50); do
        ! sinfo --noheader --format=%t 2>/dev/null | grep -q idle || return 0
        sleep 0.2
    done
    echo "Slurm did not come up" && exit 1
}

tear_down_slurm() {
    scancel --signal=KILL --full --user root 2>/dev/null || true
    scancel --user root 2>/dev/null || true
    end "$slurm/slurmctld.pid" "$slurm/slurmd.pid" "$slurm/munge/munged.pid"
    sleep 1
}
