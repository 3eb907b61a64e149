//! Power cuts: by the reset button, and with the disk's own memory lost as well.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use berth_proto::v1::{HostConfig, RestartPolicy};
use berth_tests_support::Random;

use super::{Guest, LONG, as_root, until};
use crate::client::{Client, command};
use crate::robust::journal::{Fact, Journal};
use crate::robust::mix::{COUNTER, Mix};
use crate::robust::verify;

/// A container that was there long before and is to run after each boot.
const OLD: &str = "old";
/// Others that were there, with their restart policies, and whether they run after a boot.
const OTHERS: [(&str, &str, bool); 4] = [
    ("plain", "no", false),
    ("unless", "unless-stopped", true),
    ("stopped", "unless-stopped", false),
    ("failing", "on-failure", true),
];
/// What the guest has, by kind and number.
const COUNT: &str = "cd /host/var/lib/berth
for folder in containers snapshots/containers snapshots/layers snapshots/staging steps volumes build; do
    echo $folder $(ls $folder 2>/dev/null | wc -l)
done
echo blobs $(busybox find content -type f | wc -l)
cd /host/run/berth
for folder in containers netns leases; do echo running $folder $(ls $folder | wc -l); done
echo interfaces $(ls /sys/class/net | wc -l)
echo groups $(busybox find /host/sys/fs/cgroup -type d | wc -l)
echo mounts $(grep -c berth /proc/1/mounts)
echo supervisors $(grep -l supervise /proc/[0-9]*/cmdline 2>/dev/null | wc -l)";

#[derive(Clone, Copy, Debug)]
enum Cut {
    Reset,
    Power,
}

async fn prepare(client: &Client) {
    client.import().await;
    for (name, policy, _) in [(OLD, "always", true)].into_iter().chain(OTHERS) {
        let mut config = command(&["sh", "-c", COUNTER]);
        config.host = Some(HostConfig {
            restart_policy: Some(RestartPolicy {
                name: policy.to_owned(),
                maximum_retry_count: 0,
            }),
            binds: vec!["kept:/kept".to_owned()],
            ..Default::default()
        });
        client.run_detached(name, config).await;
    }
    client.stop("stopped", 0).await.expect("stop");
}

/// Waits until the guest has what it had.
async fn assert_returns(client: &Client, what: &str, before: &str) {
    let deadline = std::time::Instant::now() + LONG;
    loop {
        let now = as_root(client, COUNT).await.stdout;
        if now == before {
            return;
        }
        assert!(
            std::time::Instant::now() < deadline,
            "{what}: before:\n{before}\nnow:\n{now}"
        );
    }
}

/// What clients may expect of the containers that stay.
fn expectations() -> Arc<Journal> {
    let journal = Arc::new(Journal::default());
    for (name, _, _) in [(OLD, "", true)].into_iter().chain(OTHERS) {
        journal.creating(name, true);
        journal.note(name, |promise| promise.exists = Fact::Yes);
    }
    journal
}

async fn work_and_cut(
    guest: &mut Guest,
    cut: Cut,
    random: &mut Random,
    next: &Arc<AtomicU64>,
) -> Arc<Journal> {
    let client = guest.client().await;
    let journal = expectations();
    let mix = Mix::start(&client, &journal, next, "", OLD);
    let wanted = 3 + random.below(15);
    until("answers", async || {
        let answered: u64 = journal.notes().answered.values().sum();
        answered >= wanted || !journal.notes().faults.is_empty()
    })
    .await;
    mix.cut();
    tokio::task::block_in_place(|| match cut {
        Cut::Reset => guest.reset(),
        Cut::Power => guest.cut_power(),
    });
    // Nobody tells them that the machine is gone.
    mix.abandon().await;
    journal
}

#[expect(clippy::print_stderr, reason = "what a long run has done")]
fn tell(text: &str) {
    eprintln!("{text}");
}

async fn runs(client: &Client, name: &str) -> bool {
    let object = client.inspect(name).await.expect("inspect");
    object["State"]["Running"] == true
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "boots a machine several times"]
async fn a_machine_that_loses_its_power_keeps_what_it_promised() {
    let mut guest = Guest::new();
    let client = guest.client().await;
    prepare(&client).await;
    let mut random = Random::from_environment("BERTH_KILL_SEED");
    let next = Arc::new(AtomicU64::new(0));
    client.stop("plain", 0).await.expect("stop");
    let before = as_root(&client, COUNT).await.stdout;
    client.start("plain").await.expect("start");
    assert!(before.contains("interfaces "), "{before}");
    drop(client);
    for cut in [Cut::Reset, Cut::Power, Cut::Power, Cut::Reset] {
        let journal = work_and_cut(&mut guest, cut, &mut random, &next).await;
        let client = guest.client().await;
        for (name, _, runs_after) in [(OLD, "", true)].into_iter().chain(OTHERS) {
            until(name, async || runs(&client, name).await == runs_after).await;
        }
        let mut notes = journal.notes().clone();
        for promise in notes.containers.values_mut() {
            promise.runs = Fact::Open;
        }
        for exists in notes.images.values_mut() {
            // Making an image does not wait for the disk; what is there must be whole all the same.
            *exists = Fact::Open;
        }
        let faults = verify::faults(&client, &notes).await;
        assert!(faults.is_empty(), "{cut:?}: {faults:#?}");
        tell(&format!("{cut:?} after {:?}", notes.answered));
        let kept = [OLD, OTHERS[0].0, OTHERS[1].0, OTHERS[2].0, OTHERS[3].0];
        verify::clear(&client, &kept).await;
        assert_returns(&client, &format!("{cut:?}"), &before).await;
    }
}
