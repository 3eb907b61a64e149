//! What a sandbox machine is from inside: a host that an engine can run on, and not this one.

mod support;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use berth_provisioners_conformance::Subject;

async fn machine(subject: &mut Subject) -> Result<berth_provisioners_conformance::Remote> {
    subject.machine.pre_create_check().await?;
    subject.create().await?;
    subject.remote().await
}

#[tokio::test]
async fn an_engine_finds_what_it_needs() -> Result<()> {
    let bench = support::bench(&[])?;
    let mut subject = bench.subject("engine")?;
    let remote = machine(&mut subject).await?;
    for (what, command) in [
        (
            "an overlay on its own disk, on top of its root",
            "cd /var/lib/berth && mkdir l u w m && echo x >l/f && \
             mount -t overlay overlay -o lowerdir=l:/usr,upperdir=u,workdir=w m && \
             echo y >m/f && grep y u/f && umount m",
        ),
        (
            "a bridge with a container on it, and translation of addresses",
            "ip link add br7 type bridge && ip addr add 172.30.0.1/24 dev br7 && ip link set br7 up && \
             ip netns add c && ip link add v0 type veth peer name eth0 netns c && \
             ip link set v0 master br7 up && ip -n c addr add 172.30.0.2/24 dev eth0 && \
             ip -n c link set eth0 up && ip netns exec c ip route add default via 172.30.0.1 && \
             sysctl -qw net.ipv4.ip_forward=1 && \
             nft add table ip t && \
             nft 'add chain ip t post { type nat hook postrouting priority 100; }' && \
             nft add rule ip t post ip saddr 172.30.0.0/24 masquerade && \
             nft list table ip t | grep -q masquerade && \
             ip netns exec c sh -c 'exec 3<>/dev/null' && ip netns del c",
        ),
        (
            "namespaces within namespaces",
            "unshare --mount --pid --net --uts --ipc --cgroup --fork --mount-proc \
             sh -c 'test $$ = 1 && hostname inner && test $(hostname) = inner' && \
             test $(hostname) = engine && unshare --user --map-root-user true",
        ),
        (
            "control groups of its own, which it can divide",
            "cat /proc/self/cgroup | cut -d: -f3 | grep -v '^/$' | grep -v '^/init.scope$' ; \
             for h in /sys/fs/cgroup/memory /sys/fs/cgroup/pids /sys/fs/cgroup/cpu; do \
               test -d $h || continue; mkdir $h/c && echo $$ >$h/c/cgroup.procs && \
               grep -q $$ $h/c/cgroup.procs && echo $$ >$h/cgroup.procs && rmdir $h/c || exit 1; \
             done",
        ),
        (
            "devices",
            "test -c /dev/null && test -c /dev/net/tun && test -c /dev/fuse && test -c /dev/kmsg && \
             head -c 4 /dev/urandom >/dev/null && echo x >/dev/shm/x && \
             test -c /dev/ptmx && script -qc 'tty' /dev/null | grep -q /dev/pts/0 && \
             mknod /tmp/n c 1 3 && test -c /tmp/n",
        ),
    ] {
        let printed = remote.run(command).await.with_context(|| what.to_owned())?;
        ensure!(
            !what.starts_with("control groups") || printed.is_empty(),
            "the machine sees control groups of the host: {printed}"
        );
    }
    subject.remove().await?;
    Ok(())
}

#[tokio::test]
async fn the_hosts_homes_temporary_files_and_stores_are_not_there() -> Result<()> {
    let bench = support::bench(&[])?;
    let mut subject = bench.subject("hidden")?;
    let remote = machine(&mut subject).await?;
    let seen = remote
        .run(
            "ls -A /home /tmp /var/tmp /var/lib/berth /var/lib/docker; \
             ls -A /root | grep -v -e ^.ssh$ -e ^.bashrc$ -e ^.profile$ -e ^.bash_logout$; \
             ls -A /run | grep -v -e lock -e sshd; ls /etc/ssh | grep ssh_host | grep -v ed25519; \
             ip -o link | grep -v -e ' lo:' -e ' eth0@'; \
             ls /proc | grep -c '^[0-9]' | awk '$1>20'; true",
        )
        .await?;
    let lines: Vec<&str> = seen
        .lines()
        .filter(|line| !line.is_empty() && !line.ends_with(':'))
        .collect();
    ensure!(lines.is_empty(), "the machine sees {lines:?}");
    let secret = support::identity(&subject)?;
    let found = remote
        .run(&format!(
            "grep -rl {secret} /proc/self/mountinfo /etc 2>/dev/null; true"
        ))
        .await?;
    ensure!(
        found.is_empty(),
        "the machine finds its own identity in {found}"
    );
    subject.remove().await?;
    Ok(())
}

#[tokio::test]
async fn what_belongs_to_the_host_cannot_be_changed() -> Result<()> {
    let bench = support::bench(&[])?;
    let mut subject = bench.subject("limits")?;
    let remote = machine(&mut subject).await?;
    for command in [
        "date -s @0",
        "echo h >/proc/sysrq-trigger",
        "rmmod -f nosuch",
    ] {
        let refused = format!("{command} 2>&1 >/dev/null && echo allowed; true");
        let printed = remote.run(&refused).await?;
        ensure!(!printed.contains("allowed"), "{command} is allowed");
    }
    let bounding = remote
        .run("grep CapBnd /proc/self/status | cut -f2")
        .await?;
    let bounding = u64::from_str_radix(bounding.trim(), 16)?;
    for (name, number) in [
        ("CAP_SYS_MODULE", 16),
        ("CAP_SYS_BOOT", 22),
        ("CAP_SYS_TIME", 25),
    ] {
        ensure!(bounding & (1 << number) == 0, "{name} is there");
    }
    subject.remove().await?;
    Ok(())
}

#[tokio::test]
async fn orphans_are_reaped_and_sshd_is_kept_running() -> Result<()> {
    let bench = support::bench(&[])?;
    let mut subject = bench.subject("init")?;
    let remote = machine(&mut subject).await?;
    let zombies = remote
        .run(
            "for i in 1 2 3 4 5; do (sh -c 'sleep 0.01 &' &) ; done; \
             end=$(($(date +%s) + 10)); \
             while ps -eo stat= | grep -q ^Z; do test $(date +%s) -lt $end || exit 1; done; \
             ps -eo stat= | grep -c ^Z; true",
        )
        .await?;
    ensure!(zombies.trim() == "0", "{zombies} zombies");
    let before = remote.run("cat /run/sshd.pid").await?;
    remote
        .attempt("rm /run/sshd.pid; kill $(pgrep -o -x sshd)")
        .await?;
    let after = remote
        .run("until test -s /run/sshd.pid; do :; done; cat /run/sshd.pid")
        .await?;
    ensure!(before != after, "sshd is still the first one");
    subject.remove().await?;
    Ok(())
}

#[tokio::test]
async fn a_machine_restarts_and_powers_off_when_told_from_inside() -> Result<()> {
    use berth_provisioners_api::MachineState;
    let bench = support::bench(&[])?;
    let mut subject = bench.subject("power")?;
    let remote = machine(&mut subject).await?;
    remote
        .run(
            "printf '#!/bin/sh\\ndate >>/root/boots\\n' >/etc/rc.local && chmod +x /etc/rc.local && \
             echo x >/tmp/fleeting && echo x >/run/fleeting && ip link add left0 type bridge",
        )
        .await?;
    let boot = remote.run("cat /proc/1/stat | cut -d' ' -f22").await?;
    // The connection dies with the machine.
    remote.attempt("shutdown -r now; sleep 60").await?;
    let deadline = Instant::now() + Duration::from_secs(60);
    while remote.run("cat /proc/1/stat | cut -d' ' -f22").await? == boot {
        ensure!(Instant::now() < deadline, "the machine does not restart");
    }
    remote
        .run(
            "until test -s /root/boots; do :; done; ! test -e /tmp/fleeting && \
             ! test -e /run/fleeting && ! ip link show left0 2>/dev/null",
        )
        .await?;
    ensure!(subject.machine.state().await? == MachineState::Running);
    remote.attempt("poweroff; sleep 60").await?;
    support::until_state(&subject, MachineState::Stopped).await?;
    subject.machine.start().await?;
    remote
        .run("until test $(wc -l </root/boots) = 2; do :; done")
        .await?;
    subject.remove().await?;
    Ok(())
}

#[tokio::test]
async fn limits_of_memory_and_processors_hold() -> Result<()> {
    let bench = support::bench(&[("sandbox-memory", "64m"), ("sandbox-cpus", "0.5")])?;
    let mut subject = bench.subject("small")?;
    let remote = machine(&mut subject).await?;
    let eaten = remote
        .run("head -c 300m /dev/zero | tail >/dev/null; echo ${PIPESTATUS[1]}")
        .await?;
    ensure!(eaten.trim() == "137", "tail ended with {eaten}");
    let limits = remote
        .run(
            "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/cpu/cpu.cfs_quota_us \
             2>/dev/null || cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/cpu.max",
        )
        .await?;
    ensure!(
        limits.contains("67108864") && limits.contains("50000"),
        "{limits}"
    );
    subject.remove().await?;
    Ok(())
}
