//! Asking an external runtime for no more than it can give: it fails where ours warns.

use berth_agent_sys::capability;
use nix::sys::resource::getrlimit;
use oci_spec::runtime::{Capabilities, PosixRlimitBuilder, Process};

use crate::capabilities::{bits, names_of_bits};
use crate::init::resource;

/// The number of `CAP_SYS_RESOURCE`.
const SYS_RESOURCE: u64 = 24;

/// Takes from a process what this one cannot give it; returns what that is, for people.
pub(super) fn fit(process: &mut Process) -> Vec<String> {
    let mut warnings = Vec::new();
    fit_capabilities(process, &mut warnings);
    let own = capability::sets().unwrap_or_default();
    if own.effective >> SYS_RESOURCE & 1 == 0 {
        fit_limits(process, &mut warnings);
        fit_score(process, &mut warnings);
    }
    warnings
}

fn fit_capabilities(process: &mut Process, warnings: &mut Vec<String>) {
    let possible = capability::bounding();
    let Some(mut sets) = process.capabilities().clone() else {
        return;
    };
    let missing = bits(sets.bounding().as_ref()) & !possible;
    if missing != 0 {
        let names = names_of_bits(missing).join(", ");
        warnings.push(format!("the agent itself lacks {names}"));
    }
    let reduce = |set: &Option<Capabilities>| {
        let kept = set.iter().flatten().copied().filter(|one| {
            let single: Capabilities = [*one].into_iter().collect();
            bits(Some(&single)) & possible != 0
        });
        set.as_ref().map(|_| kept.collect::<Capabilities>())
    };
    sets.set_bounding(reduce(sets.bounding()));
    sets.set_permitted(reduce(sets.permitted()));
    sets.set_effective(reduce(sets.effective()));
    sets.set_inheritable(reduce(sets.inheritable()));
    sets.set_ambient(reduce(sets.ambient()));
    process.set_capabilities(Some(sets));
}

fn fit_limits(process: &mut Process, warnings: &mut Vec<String>) {
    let mut fitting = Vec::new();
    for limit in process.rlimits().iter().flatten() {
        let (kind, hard) = (limit.typ(), limit.hard());
        let most = getrlimit(resource(kind)).map_or(hard, |(_, most)| most);
        if hard > most {
            warnings.push(format!(
                "{kind}: {hard} is more than the {most} that the agent may give"
            ));
        }
        let hard = hard.min(most);
        let fit = PosixRlimitBuilder::default()
            .typ(kind)
            .hard(hard)
            .soft(limit.soft().min(hard))
            .build();
        // All that can be missing is there.
        fitting.extend(fit.ok());
    }
    if process.rlimits().is_some() {
        process.set_rlimits(Some(fitting));
    }
}

fn fit_score(process: &mut Process, warnings: &mut Vec<String>) {
    let own = std::fs::read_to_string("/proc/self/oom_score_adj").unwrap_or_default();
    let own: i32 = own.trim().parse().unwrap_or(0);
    if let Some(score) = process.oom_score_adj().filter(|score| *score < own) {
        warnings.push(format!(
            "oom_score_adj {score} is less than the agent may give"
        ));
        process.set_oom_score_adj(Some(own));
    }
}
