//! `kill -9` of the agent, of supervisors, and of both, at any step of a mix of commands.
//!
//! `BERTH_KILL_ROUNDS` makes it many rounds, `BERTH_KILL_SEED` repeats those of a failure.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use berth_proto::v1::HostConfig;
use berth_tests_support::{
    Fault, FaultyRegistry, Image, Inventory, Progress, Random, busybox_layer,
};

use crate::client::{Client, command};
use crate::host::{Host, PATIENCE, until};
use crate::robust::ground::{inventory, kill_supervisor, quiet_inventory};
use crate::robust::journal::{Fact, Journal};
use crate::robust::mix::{COUNTER, Mix};
use crate::robust::verify;

/// What is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Agent,
    Supervisors,
    Both,
}

/// Steps within which a kill comes: about what the mix does in a second.
const STEPS: u64 = 800;
/// Containers that run through all kills.
const ANCHORS: [&str; 2] = ["anchor-0", "anchor-1"];

/// A host on which things are killed.
struct Range {
    host: Host,
    random: Random,
    next: Arc<AtomicU64>,
    registry: FaultyRegistry,
    progress: Progress,
    before: Inventory,
    n_answered: std::collections::BTreeMap<&'static str, u64>,
}

impl Range {
    async fn new() -> Self {
        let host = Host::new();
        let client = host.client().await;
        client.import().await;
        let image = Image::new(&[busybox_layer()]);
        let registry = FaultyRegistry::start(host.holder_pid(), &[("small", &image)], Fault::None);
        let progress = Progress::watch(&[host.path("data"), host.path("run")]);
        for name in ANCHORS {
            let mut config = command(&["sh", "-c", COUNTER]);
            config.host = Some(HostConfig {
                binds: vec!["kept:/kept".to_owned()],
                ..Default::default()
            });
            client.run_detached(name, config).await;
        }
        let before = quiet_inventory(&host, &progress.names());
        Self {
            host,
            random: Random::from_environment("BERTH_KILL_SEED"),
            next: Arc::default(),
            registry,
            progress,
            before,
            n_answered: std::collections::BTreeMap::new(),
        }
    }

    fn journal() -> Arc<Journal> {
        let journal = Arc::new(Journal::default());
        for name in ANCHORS {
            journal.creating(name, true);
            journal.note(name, |promise| {
                promise.exists = Fact::Yes;
                promise.runs = Fact::Yes;
            });
        }
        journal
    }

    /// Works, kills after some step, starts again, and holds what is there against what was promised.
    async fn round(&mut self, number: u64, victim: Victim) {
        let client = self.host.client().await;
        let journal = Self::journal();
        let registry = self.registry.reference("small");
        let at = self.progress.steps() + 1 + self.random.below(STEPS);
        let mix = Mix::start(&client, &journal, &self.next, &registry, ANCHORS[0]);
        let came = tokio::task::block_in_place(|| self.progress.wait_for(at, PATIENCE));
        mix.cut();
        if victim != Victim::Agent {
            self.kill_supervisors(&client, &journal).await;
        }
        if victim != Victim::Supervisors {
            tokio::task::block_in_place(|| self.host.kill_agent());
        }
        mix.join().await;
        let faults = journal.notes().faults.clone();
        assert!(came, "round {number}: no step {at} came; {faults:#?}");
        if victim != Victim::Supervisors {
            tokio::task::block_in_place(|| self.host.start());
        }
        drop(client);
        let client = self.host.client().await;
        let notes = journal.notes().clone();
        let faults = verify::faults(&client, &notes).await;
        assert!(faults.is_empty(), "round {number}, step {at}: {faults:#?}");
        verify::clear(&client, &ANCHORS).await;
        let seen = self.progress.names();
        tokio::task::block_in_place(|| {
            let what = format!("round {number}, step {at}");
            let take = || inventory(&self.host, &seen);
            self.before.assert_returns(&what, PATIENCE, take);
        });
        for (word, count) in notes.answered {
            *self.n_answered.entry(word).or_default() += count;
        }
    }

    /// Kills up to two supervisors that are not the anchors'; their containers end.
    async fn kill_supervisors(&mut self, client: &Client, journal: &Journal) {
        let listed = client.list(&["status=running"]).await.unwrap_or_default();
        let mut others: Vec<_> = listed
            .iter()
            .filter(|c| !c.names.iter().any(|name| ANCHORS.contains(&name.as_str())))
            .collect();
        for _ in 0..2 {
            let Some(last) = u64::try_from(others.len()).ok().filter(|n| *n > 0) else {
                return;
            };
            let chosen = usize::try_from(self.random.below(last)).expect("small");
            let container = others.swap_remove(chosen);
            if !kill_supervisor(client, &container.id).await {
                continue;
            }
            for name in &container.names {
                journal.note(name, |promise| promise.is_doomed = true);
            }
            until(
                "the end of a container without its supervisor",
                async || {
                    let listed = client.list(&["status=running"]).await.unwrap_or_default();
                    !listed.iter().any(|c| c.id == container.id)
                },
            )
            .await;
        }
    }
}

#[expect(clippy::print_stderr, reason = "what a long run has done")]
async fn rounds(victim: Victim, usual: u64) {
    let count = std::env::var("BERTH_KILL_ROUNDS");
    let count = count.map_or(usual, |text| text.parse().expect("a number of rounds"));
    let mut range = Range::new().await;
    for number in 0..count {
        range.round(number, victim).await;
    }
    let anchors: BTreeSet<String> = ANCHORS.iter().map(|name| (*name).to_owned()).collect();
    let left = range.host.client().await.list(&[]).await.expect("list");
    let left: BTreeSet<String> = left.into_iter().flat_map(|c| c.names).collect();
    assert_eq!(left, anchors);
    eprintln!(
        "{count} kills of {victim:?}; answered: {:?}",
        range.n_answered
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_killed_at_any_step_keeps_what_it_promised() {
    rounds(Victim::Agent, 12).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_supervisor_killed_at_any_step_costs_its_container_only() {
    rounds(Victim::Supervisors, 8).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn agent_and_supervisors_killed_together_leave_nothing_behind() {
    rounds(Victim::Both, 8).await;
}
