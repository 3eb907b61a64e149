//! A power cut: the data root is on a disk of its own, whose journal is broken off while everything is in
//! use, so that nothing reaches it any more that had not; everything is killed, and an agent starts as
//! after a boot: no process, no run directory, no network, and of the files only what was on the disk.
//!
//! `BERTH_POWER_CUTS` makes it many cuts, `BERTH_KILL_SEED` repeats those of a failure.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use berth_proto::v1::{HostConfig, RestartPolicy};
use berth_tests_support::{
    Fault, FaultyRegistry, Image, Progress, Random, busybox_layer, wait_until,
};

use crate::client::{Client, command};
use crate::host::{Host, PATIENCE, until};
use crate::robust::ground::{inventory, quiet_inventory};
use crate::robust::journal::{Fact, Journal};
use crate::robust::mix::{COUNTER, Mix};
use crate::robust::verify;

/// Steps within which a cut comes: about what the mix does in a second.
const STEPS: u64 = 800;
/// A container that was there long before and is to run after each boot.
const OLD: &str = "old";

/// Makes a disk and mounts it over the data root of a host whose agent does not run.
fn make_disk(host: &Host) -> PathBuf {
    let disk = host.path("disk");
    let file = fs::File::create(&disk).expect("disk");
    file.set_len(256 << 20).expect("size");
    let made = Command::new("mkfs.ext4").arg("-q").arg(&disk).status();
    assert!(made.expect("mkfs.ext4").success());
    fs::create_dir(host.path("data")).expect("folder");
    disk
}

fn mount(host: &Host, disk: &Path) {
    let mounted = host
        .enter("mount")
        .args(["-t", "ext4", "-o", "loop,errors=remount-ro"])
        .args([disk, &host.path("data")])
        .status();
    assert!(mounted.expect("mount").success());
}

/// Returns the names of the loop devices that have the disk.
fn devices(disk: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/sys/block").expect("sysfs").flatten() {
        let file = fs::read_to_string(entry.path().join("loop/backing_file"));
        if file.is_ok_and(|file| Path::new(file.trim_end()) == disk) {
            found.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    found
}

/// Has the kernel take the disk's filesystem for broken: it stops in the middle of what it does, and nothing is written
/// any more.
fn cut(disk: &Path) {
    let devices = devices(disk);
    assert_eq!(devices.len(), 1, "{devices:?}");
    let switch = format!("/sys/fs/ext4/{}/trigger_fs_error", devices[0]);
    fs::write(switch, "1").expect("a kernel that can break a filesystem");
}

/// Boots the host with its disk as it is.
fn boot(host: &mut Host, disk: &Path) {
    wait_until("the disk is free", || devices(disk).is_empty());
    host.power_on();
    mount(host, disk);
    host.start();
}

async fn first_boot() -> (Host, PathBuf) {
    let mut host = Host::without_agent(&serde_json::json!({}));
    let disk = make_disk(&host);
    mount(&host, &disk);
    host.start();
    let client = host.client().await;
    client.import().await;
    let mut config = command(&["sh", "-c", COUNTER]);
    config.host = Some(HostConfig {
        restart_policy: Some(RestartPolicy {
            name: "always".to_owned(),
            maximum_retry_count: 0,
        }),
        binds: vec!["kept:/kept".to_owned()],
        ..Default::default()
    });
    client.run_detached(OLD, config).await;
    (host, disk)
}

async fn runs(client: &Client, name: &str) -> bool {
    let object = client.inspect(name).await.expect("inspect");
    object["State"]["Running"] == true
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_power_cut_containers_do_what_their_options_say() {
    let (mut host, disk) = first_boot().await;
    let client = host.client().await;
    let with = |policy: &str, auto_remove| HostConfig {
        restart_policy: Some(RestartPolicy {
            name: policy.to_owned(),
            maximum_retry_count: 0,
        }),
        auto_remove,
        ..Default::default()
    };
    for (name, host_config) in [
        ("plain", with("no", false)),
        ("vanishing", with("no", true)),
        ("unless", with("unless-stopped", false)),
        ("stopped", with("unless-stopped", false)),
    ] {
        let mut config = command(&["sleep", "1000"]);
        config.host = Some(host_config);
        client.run_detached(name, config).await;
    }
    client.stop("stopped", 0).await.expect("stop");
    // What was asked for last is on the disk when this is.
    let last = client
        .create("last", command(&["true"]))
        .await
        .expect("create");
    tokio::task::block_in_place(|| {
        cut(&disk);
        host.power_off();
        boot(&mut host, &disk);
    });
    let client = host.client().await;
    for name in [OLD, "unless"] {
        until(name, async || runs(&client, name).await).await;
    }
    let listed = client.list(&[]).await.expect("list");
    let mut names: Vec<&str> = listed.iter().map(|c| c.names[0].as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["last", OLD, "plain", "stopped", "unless"]);
    for name in ["plain", "stopped"] {
        assert!(!runs(&client, name).await, "{name}");
    }
    client.start(&last).await.expect("start");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_power_cut_at_any_step_loses_nothing_that_was_promised() {
    let cuts = std::env::var("BERTH_POWER_CUTS");
    let cuts: u64 = cuts.map_or(3, |text| text.parse().expect("a number of cuts"));
    let mut random = Random::from_environment("BERTH_KILL_SEED");
    let next = Arc::new(AtomicU64::new(0));
    let image = Image::new(&[busybox_layer()]);
    let (mut host, disk) = first_boot().await;
    for number in 0..cuts {
        let client = host.client().await;
        let registry = FaultyRegistry::start(host.holder_pid(), &[("small", &image)], Fault::None);
        let inside = |name: &str| {
            let path = host.path(name);
            let path = path.strip_prefix("/").expect("absolute").to_owned();
            PathBuf::from(format!("/proc/{}/root", host.holder_pid())).join(path)
        };
        let progress = Progress::watch(&[inside("data"), inside("run")]);
        let before = quiet_inventory(&host, &progress.names());
        let journal = Arc::new(Journal::default());
        journal.creating(OLD, true);
        journal.note(OLD, |promise| promise.exists = Fact::Yes);
        let at = progress.steps() + 1 + random.below(STEPS);
        let mix = Mix::start(&client, &journal, &next, &registry.reference("small"), OLD);
        let came = tokio::task::block_in_place(|| progress.wait_for(at, PATIENCE));
        mix.cut();
        let seen = progress.names();
        tokio::task::block_in_place(|| {
            cut(&disk);
            host.power_off();
            // The kernel goes on here, and so would they.
            berth_tests_support::remove_control_groups(&seen);
        });
        mix.join().await;
        drop((client, progress, registry));
        let mut notes = journal.notes().clone();
        assert!(came, "cut {number}: no step {at} came; {:#?}", notes.faults);
        tokio::task::block_in_place(|| boot(&mut host, &disk));
        let client = host.client().await;
        until("the container that is to run after a boot", async || {
            runs(&client, OLD).await
        })
        .await;
        for promise in notes.containers.values_mut() {
            promise.runs = Fact::Open;
        }
        for exists in notes.images.values_mut() {
            // A pull does not wait for the disk; what is there must be whole all the same.
            *exists = Fact::Open;
        }
        let faults = verify::faults(&client, &notes).await;
        assert!(faults.is_empty(), "cut {number}, step {at}: {faults:#?}");
        verify::clear(&client, &[OLD]).await;
        tokio::task::block_in_place(|| {
            let what = format!("cut {number}, step {at}");
            let take = || {
                inventory(&host, &seen)
                    .without("process")
                    .without("interface")
            };
            let before = before.without("process").without("interface");
            before.assert_returns(&what, PATIENCE, take);
        });
    }
}
