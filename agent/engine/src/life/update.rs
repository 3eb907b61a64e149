//! Changes limits and the restart policy of a container that exists, of a running one at once.
//!
//! All that is asked for happens, or nothing: the kernel is asked first, the record follows, and when one
//! of them refuses the kernel gets the former limits back.

use std::sync::Arc;

use berth_agent_runtime::{ControlError, Running};
use berth_agent_state::StateError;

use crate::Engine;
use crate::class::{Classified, ErrorClass};
use crate::container::Container;
use crate::container::containers::LookupError;
use crate::container::restart::{Policy, RestartPolicyError};
use crate::container::status::Phase;
use crate::create::limits::{self, LimitError};
use crate::id::ContainerId;
use crate::life::undo;
use crate::options::{HostOptions, ResourceOptions, RestartPolicy};
use crate::spec::{self, SpecError};

/// What to change; zero, empty and nothing leave things as they are.
#[derive(Clone, Debug, Default)]
pub struct UpdateOptions {
    /// Memory limit.
    pub memory_bytes: i64,
    /// Billionths of a CPU.
    pub nano_cpus: i64,
    /// Limit of processes; 0 or less: none.
    pub pids_limit: Option<i64>,
    /// Relative CPU weight.
    pub cpu_shares: i64,
    /// Further limits.
    pub resources: ResourceOptions,
    /// Nothing or an empty name: as it is.
    pub restart_policy: Option<RestartPolicy>,
}

/// Changes that contradict what the container has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpdateConflict {
    /// It is being removed.
    #[error("container is marked for removal and cannot be \"update\"")]
    BeingRemoved,
    /// Processors are limited in another way.
    #[error("Conflicting options: Nano CPUs cannot be updated as CPU Period has already been set")]
    NanoCpusAndPeriod,
    /// Processors are limited in another way.
    #[error("Conflicting options: Nano CPUs cannot be updated as CPU Quota has already been set")]
    NanoCpusAndQuota,
    /// Processors are limited in another way.
    #[error("Conflicting options: CPU Period cannot be updated as NanoCPUs has already been set")]
    PeriodAndNanoCpus,
    /// Processors are limited in another way.
    #[error("Conflicting options: CPU Quota cannot be updated as NanoCPUs has already been set")]
    QuotaAndNanoCpus,
    /// More memory than memory and swap together.
    #[error(
        "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time"
    )]
    MemoryAboveSwap,
    /// What vanishes is not started again.
    #[error("Restart policy cannot be updated because AutoRemove is enabled for the container")]
    AutoRemove,
}

/// A container stays as it is.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    /// There is no such container.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// A limit makes no sense.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// The policy makes no sense.
    #[error(transparent)]
    Restart(#[from] RestartPolicyError),
    /// It contradicts what the container has.
    #[error("Cannot update container {id}: {conflict}")]
    Conflict {
        /// The container.
        id: ContainerId,
        /// What is wrong.
        conflict: UpdateConflict,
    },
    /// The limits cannot be described.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The kernel refused.
    #[error("Cannot update container {id}")]
    Kernel {
        /// The container.
        id: ContainerId,
        /// Why.
        #[source]
        source: ControlError,
    },
    /// The change cannot be written.
    #[error("Cannot update container {id}")]
    State {
        /// The container.
        id: ContainerId,
        /// Why.
        #[source]
        source: StateError,
    },
}

impl Engine {
    /// Changes limits and the restart policy of a container; returns what had no effect.
    ///
    /// # Errors
    /// When something asked for is wrong or refused; nothing is changed then.
    ///
    /// # Cancel safety
    /// Goes on when the future is dropped.
    pub async fn update(
        self: &Arc<Self>,
        name: &str,
        options: UpdateOptions,
    ) -> Result<Vec<String>, UpdateError> {
        let container = self.containers.find(name)?;
        let engine = Arc::clone(self);
        let work = tokio::spawn(async move {
            let guard = container.lifecycle.lock().await;
            let result = engine.update_locked(&container, options).await;
            drop(guard);
            result
        });
        crate::task::outcome(work).await
    }

    async fn update_locked(
        self: &Arc<Self>,
        container: &Arc<Container>,
        options: UpdateOptions,
    ) -> Result<Vec<String>, UpdateError> {
        let (asked, mut warnings) = self.checked(options)?;
        let id = container.id().clone();
        let conflict = |conflict| UpdateError::Conflict {
            id: id.clone(),
            conflict,
        };
        if matches!(container.phase(), Phase::Removing | Phase::Dead) {
            return Err(conflict(UpdateConflict::BeingRemoved));
        }
        let before = container.with_record(|record| record.host.clone());
        let after = merged(&before, &asked).map_err(conflict)?;
        let running = container.running();
        if let Some(running) = &running {
            warnings.extend(self.apply(running, &after, &before).await?);
        }
        let (engine, target) = (Arc::clone(self), Arc::clone(container));
        let new = after.clone();
        let work = tokio::task::spawn_blocking(move || {
            engine.change_durably(&target, |record| record.host = new)
        });
        if let Err(source) = crate::task::outcome(work).await {
            if let Some(running) = &running {
                self.restore(running, &before, &after).await;
            }
            return Err(UpdateError::State { id, source });
        }
        if Policy::of(&after.restart_policy) == Policy::No && self.give_up_restart(container) {
            self.store_behind(container);
        }
        self.container_event(container, "update");
        Ok(warnings)
    }

    /// Checks what is asked for by itself, as at creation.
    fn checked(&self, options: UpdateOptions) -> Result<(UpdateOptions, Vec<String>), UpdateError> {
        let mut host = HostOptions {
            memory_bytes: options.memory_bytes,
            nano_cpus: options.nano_cpus,
            pids_limit: options.pids_limit.unwrap_or_default(),
            cpu_shares: options.cpu_shares,
            resources: options.resources,
            ..HostOptions::default()
        };
        let policy = options
            .restart_policy
            .filter(|policy| !policy.name.is_empty());
        if let Some(policy) = &policy {
            Policy::read(policy)?;
        }
        let warnings = limits::verify(&mut host, &self.kernel, true)?;
        let asked = UpdateOptions {
            memory_bytes: host.memory_bytes,
            nano_cpus: host.nano_cpus,
            pids_limit: options.pids_limit.map(|_asked| host.pids_limit),
            cpu_shares: host.cpu_shares,
            resources: host.resources,
            restart_policy: policy,
        };
        Ok((asked, warnings))
    }

    /// Changes a record; it is on the disk when this returns, or has not changed. Blocks.
    pub(crate) fn change_durably(
        &self,
        container: &Container,
        change: impl FnOnce(&mut crate::container::record::ContainerRecord),
    ) -> Result<(), StateError> {
        let _one_at_a_time = crate::start::lock(&container.storing);
        let mut record = container.record();
        change(&mut record);
        self.state.write(|w| w.put(record.id.as_str(), &record))?;
        // Only what such changes are about: the rest may have gone on meanwhile.
        container.change_record(|current| {
            current.name = record.name;
            current.host = record.host;
            current.config.networks = record.config.networks;
            current.links = record.links;
            current.config.networks_are_complete = record.config.networks_are_complete;
        });
        Ok(())
    }
}

impl Engine {
    /// Gives the kernel new limits, and the former ones again when it refuses one of them.
    async fn apply(
        &self,
        running: &Running,
        after: &HostOptions,
        before: &HostOptions,
    ) -> Result<Vec<String>, UpdateError> {
        let resources = spec::cgroup::resources(after)?;
        match running.update(resources).await {
            Ok(warnings) => Ok(warnings),
            // It has just ended; the limits count from the next start on.
            Err(ControlError::NotRunning { .. }) => Ok(Vec::new()),
            Err(source) => {
                self.restore(running, before, after).await;
                let id = running.id();
                let id = ContainerId::parse(id).unwrap_or_else(ContainerId::random);
                Err(UpdateError::Kernel { id, source })
            }
        }
    }

    /// Gives the kernel the limits of `before` again, after some of those of `after` may have got there.
    async fn restore(&self, running: &Running, before: &HostOptions, after: &HostOptions) {
        let restored = match undo::resources(before, after, &self.kernel, self.unified_cgroups) {
            Ok(resources) => running
                .update(resources)
                .await
                .map(drop)
                .map_err(|e| e.to_string()),
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = restored {
            tracing::warn!(
                container = running.id(),
                error,
                "former limits not restored"
            );
        }
    }
}

/// Returns the options with what is asked for in them.
fn merged(before: &HostOptions, asked: &UpdateOptions) -> Result<HostOptions, UpdateConflict> {
    let (had, more) = (&before.resources, &asked.resources);
    let conflicts = [
        (
            asked.nano_cpus > 0 && had.cpu_period_micros > 0,
            UpdateConflict::NanoCpusAndPeriod,
        ),
        (
            asked.nano_cpus > 0 && had.cpu_quota_micros > 0,
            UpdateConflict::NanoCpusAndQuota,
        ),
        (
            more.cpu_period_micros > 0 && before.nano_cpus > 0,
            UpdateConflict::PeriodAndNanoCpus,
        ),
        (
            more.cpu_quota_micros > 0 && before.nano_cpus > 0,
            UpdateConflict::QuotaAndNanoCpus,
        ),
        (
            is_above_swap(before, asked),
            UpdateConflict::MemoryAboveSwap,
        ),
        (
            before.auto_remove
                && asked
                    .restart_policy
                    .as_ref()
                    .is_some_and(|policy| Policy::of(policy) != Policy::No),
            UpdateConflict::AutoRemove,
        ),
    ];
    if let Some((_is, conflict)) = conflicts.into_iter().find(|(is, _)| *is) {
        return Err(conflict);
    }
    let mut after = before.clone();
    set(&mut after.memory_bytes, asked.memory_bytes);
    set(&mut after.nano_cpus, asked.nano_cpus);
    set(&mut after.cpu_shares, asked.cpu_shares);
    if let Some(limit) = asked.pids_limit {
        // To a kernel that has a limit, 0 says nothing.
        after.pids_limit = if limit <= 0 && before.pids_limit > 0 {
            -1
        } else {
            limit
        };
    }
    let target = &mut after.resources;
    set(&mut target.memory_swap_bytes, more.memory_swap_bytes);
    set(
        &mut target.memory_reservation_bytes,
        more.memory_reservation_bytes,
    );
    set(&mut target.cpu_period_micros, more.cpu_period_micros);
    set(&mut target.cpu_quota_micros, more.cpu_quota_micros);
    set(
        &mut target.cpu_realtime_period_micros,
        more.cpu_realtime_period_micros,
    );
    set(
        &mut target.cpu_realtime_runtime_micros,
        more.cpu_realtime_runtime_micros,
    );
    set(&mut target.cpuset_cpus, more.cpuset_cpus.clone());
    set(&mut target.cpuset_mems, more.cpuset_mems.clone());
    set(&mut target.blkio_weight, more.blkio_weight);
    if let Some(policy) = &asked.restart_policy {
        after.restart_policy = policy.clone();
    }
    Ok(after)
}

/// Whether there would be more memory than memory and swap together, which without a word about it are
/// twice the memory.
fn is_above_swap(before: &HostOptions, asked: &UpdateOptions) -> bool {
    let both = match before.resources.memory_swap_bytes {
        0 => before.memory_bytes.saturating_mul(2),
        both => both,
    };
    // Without a limit before there is none to be above.
    both > 0 && asked.memory_bytes > both && asked.resources.memory_swap_bytes == 0
}

fn set<T: Default + PartialEq>(field: &mut T, asked: T) {
    if asked != T::default() {
        *field = asked;
    }
}

impl Classified for UpdateError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Lookup(error) => error.class(),
            Self::Limit(error) => error.class(),
            Self::Restart(_) => ErrorClass::InvalidArgument,
            Self::Conflict { .. } => ErrorClass::Conflict,
            Self::State { source, .. } if source.is_disk_full() => ErrorClass::Exhausted,
            Self::Spec(_) | Self::Kernel { .. } | Self::State { .. } => ErrorClass::Internal,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Lookup(error) => error.reason(),
            Self::Limit(error) => error.reason(),
            Self::Restart(_) => "invalid-argument",
            Self::Conflict { .. } => "update-conflict",
            Self::State { source, .. } if source.is_disk_full() => "disk-full",
            Self::Spec(_) | Self::Kernel { .. } | Self::State { .. } => "update-failed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(memory: i64, swap: i64) -> HostOptions {
        HostOptions {
            memory_bytes: memory,
            resources: ResourceOptions {
                memory_swap_bytes: swap,
                ..ResourceOptions::default()
            },
            ..HostOptions::default()
        }
    }

    #[test]
    fn what_is_not_asked_for_stays() {
        let mut before = host(100, 0);
        before.cpu_shares = 5;
        before.resources.cpuset_cpus = "0".to_owned();
        let asked = UpdateOptions {
            memory_bytes: 150,
            pids_limit: Some(-1),
            ..UpdateOptions::default()
        };
        let after = merged(&before, &asked).expect("no conflict");
        assert_eq!(
            (after.memory_bytes, after.cpu_shares, after.pids_limit),
            (150, 5, -1)
        );
        assert_eq!(after.resources, before.resources);
        let nothing = merged(&before, &UpdateOptions::default()).expect("no conflict");
        assert_eq!(nothing, before);
    }

    #[test]
    fn contradictions_are_told_apart() {
        let memory = |memory_bytes| UpdateOptions {
            memory_bytes,
            ..UpdateOptions::default()
        };
        assert_eq!(
            merged(&host(100, 0), &memory(201)),
            Err(UpdateConflict::MemoryAboveSwap)
        );
        merged(&host(0, 0), &memory(201)).expect("no limit to be above");
        merged(&host(100, -1), &memory(201)).expect("no limit of swap");
        let cpus = UpdateOptions {
            nano_cpus: 1,
            ..UpdateOptions::default()
        };
        let mut quota = HostOptions::default();
        quota.resources.cpu_quota_micros = 1;
        assert_eq!(merged(&quota, &cpus), Err(UpdateConflict::NanoCpusAndQuota));
        let vanishing = HostOptions {
            auto_remove: true,
            ..HostOptions::default()
        };
        let always = UpdateOptions {
            restart_policy: Some(RestartPolicy {
                name: "always".to_owned(),
                ..RestartPolicy::default()
            }),
            ..UpdateOptions::default()
        };
        assert_eq!(merged(&vanishing, &always), Err(UpdateConflict::AutoRemove));
    }
}
