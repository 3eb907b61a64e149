//! What containers use, once or again and again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use berth_agent_runtime::counters::{Counters, MachineTime, Meter, Metered};

use crate::Engine;
use crate::class::{Classified, ErrorClass};
use crate::container::Container;
use crate::container::containers::{Containers, LookupError};

/// Between rounds.
const INTERVAL: Duration = Duration::from_secs(1);

/// Between the two samples that the first share of processor time is made of.
const FIRST_INTERVAL: Duration = Duration::from_millis(250);

/// Whose counters are wanted, and how often.
#[derive(Clone, Debug, Default)]
pub struct StatsOptions {
    /// Names or ids; empty: all that run, also those that are started later.
    pub containers: Vec<String>,
    /// One round only.
    pub no_stream: bool,
    /// With no `containers`: those too that do not run.
    pub all: bool,
    /// The first round has no sample before it, and comes at once.
    pub one_shot: bool,
}

/// Counters of one container at one moment.
#[derive(Clone, Debug)]
pub struct ContainerStats {
    /// Its id.
    pub id: String,
    /// Its name, without slash.
    pub name: String,
    /// Whether it runs; the counters of one that does not are 0.
    pub running: bool,
    /// The latest sample.
    pub sample: Sample,
    /// The one before, if there is one of the same run.
    pub previous: Option<Sample>,
}

/// Counters at a moment.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The moment.
    pub read: SystemTime,
    /// Processor time of the whole machine until then.
    pub machine: MachineTime,
    /// What the container has used until then.
    pub counters: Counters,
}

/// Rounds over containers.
#[derive(Debug)]
pub struct Stats {
    containers: Arc<Containers>,
    /// Those that were named; empty: all.
    named: Vec<Arc<Container>>,
    options: StatsOptions,
    /// How many rounds were returned.
    n_rounds: u64,
    state: Option<Rounds>,
}

/// Counters are not read.
#[derive(Debug, thiserror::Error)]
pub enum StatsError {
    /// There is no such container.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// The machine does not tell where it counts.
    #[error("finding the machine's control groups")]
    Meter(#[source] std::io::Error),
}

/// What is kept from round to round.
#[derive(Debug)]
struct Rounds {
    meter: Meter,
    /// By container: its run, and the last sample of it.
    known: HashMap<String, Known>,
}

#[derive(Debug)]
struct Known {
    started_at: SystemTime,
    metered: Metered,
    last: Option<Sample>,
}

impl Engine {
    /// Begins to read what containers use.
    ///
    /// # Errors
    /// When one that is named does not exist.
    pub fn stats(&self, options: StatsOptions) -> Result<Stats, StatsError> {
        let find = |name: &String| self.containers.find(name);
        let named = options.containers.iter().map(find);
        Ok(Stats {
            named: named.collect::<Result<_, _>>()?,
            containers: Arc::clone(&self.containers),
            options,
            n_rounds: 0,
            state: Some(Rounds {
                meter: Meter::new().map_err(StatsError::Meter)?,
                known: HashMap::new(),
            }),
        })
    }
}

impl Stats {
    /// Waits for the next round; nothing after the last. Rounds are a second apart.
    pub async fn next(&mut self) -> Option<Vec<ContainerStats>> {
        match self.n_rounds {
            0 if self.options.one_shot => {}
            0 => {
                self.round().await?;
                tokio::time::sleep(FIRST_INTERVAL).await;
            }
            _ if self.options.no_stream => return None,
            _ => tokio::time::sleep(INTERVAL).await,
        }
        self.n_rounds += 1;
        self.round().await
    }

    async fn round(&mut self) -> Option<Vec<ContainerStats>> {
        let containers = self.wanted();
        if containers.is_empty() && !self.options.containers.is_empty() {
            return None;
        }
        let mut state = self.state.take()?;
        let work = tokio::task::spawn_blocking(move || {
            let round = state.round(&containers);
            (state, round)
        });
        let (state, round) = crate::task::outcome(work).await;
        self.state = Some(state);
        Some(round)
    }

    /// Returns the containers of this round; those that were removed do not count any more.
    fn wanted(&self) -> Vec<Arc<Container>> {
        let is_there = |container: &&Arc<Container>| !container.observe().borrow().removed;
        if !self.options.containers.is_empty() {
            return self.named.iter().filter(is_there).cloned().collect();
        }
        let mut all = self.containers.all();
        all.retain(|container| self.options.all || container.running().is_some());
        // The newest first, as in other lists.
        all.sort_by_key(|c| std::cmp::Reverse(c.with_record(|record| record.created)));
        all
    }
}

impl Rounds {
    fn round(&mut self, containers: &[Arc<Container>]) -> Vec<ContainerStats> {
        self.known
            .retain(|id, _| containers.iter().any(|c| c.id().as_str() == id));
        containers.iter().map(|c| self.sample(c)).collect()
    }

    fn sample(&mut self, container: &Container) -> ContainerStats {
        let id = container.id().as_str();
        let mut sample = Sample {
            read: SystemTime::now(),
            machine: self.meter.machine_time(),
            counters: Counters::default(),
        };
        let mut stats = ContainerStats {
            id: id.to_owned(),
            name: container.name(),
            running: false,
            sample: sample.clone(),
            previous: None,
        };
        let Some(running) = container.running() else {
            self.known.remove(id);
            return stats;
        };
        let is_same = |known: &Known| known.started_at == running.started_at();
        if !self.known.get(id).is_some_and(is_same) {
            // One that ends right now has no counters any more.
            let Ok(metered) = self.meter.find(&running) else {
                return stats;
            };
            let known = Known {
                started_at: running.started_at(),
                metered,
                last: None,
            };
            self.known.insert(id.to_owned(), known);
        }
        if let Some(known) = self.known.get_mut(id) {
            sample.counters = self.meter.read(&known.metered);
            stats.running = true;
            stats.sample = sample.clone();
            stats.previous = known.last.replace(sample);
        }
        stats
    }
}

impl Classified for StatsError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Lookup(error) => error.class(),
            Self::Meter(_) => ErrorClass::Internal,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Lookup(error) => error.reason(),
            Self::Meter(_) => "stats-failed",
        }
    }
}
