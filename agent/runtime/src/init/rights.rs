//! What a command may do: its user, its capabilities, and its filter of system calls.

use berth_agent_sys::capability::{self, CapabilitySets};
use berth_agent_sys::seccomp;
use nix::sys::prctl::{set_keepcaps, set_no_new_privs};
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
use oci_spec::runtime::Process;

use super::sync::ChildEnd;
use crate::capabilities::{bits, names_of_bits};
use crate::failure::{AtStep as _, Failure, step};

/// The sets that the command starts with.
#[derive(Clone, Copy)]
pub(super) struct Wanted {
    sets: CapabilitySets,
    ambient: u64,
}

/// Shrinks the bounding set, while that is still allowed, and returns the other sets, without what the agent itself
/// does not have.
pub(super) fn wanted_capabilities(process: &Process, sync: &ChildEnd) -> Result<Wanted, Failure> {
    let own = capability::sets().at(step::CAPABILITIES, || "reading capabilities")?;
    let Some(asked) = process.capabilities() else {
        return Ok(Wanted {
            sets: CapabilitySets {
                inheritable: 0,
                ..own
            },
            ambient: 0,
        });
    };
    let possible = capability::bounding();
    let bounding = bits(asked.bounding().as_ref());
    let missing = bounding & !possible;
    if missing != 0 {
        sync.warn(format!(
            "the agent itself lacks {}",
            names_of_bits(missing).join(", ")
        ));
    }
    for number in (0..64).filter(|number| (possible & !bounding) >> number & 1 == 1) {
        capability::drop_bounding(number).at(step::CAPABILITIES, || {
            format!("dropping capability {number}")
        })?;
    }
    let permitted = bits(asked.permitted().as_ref()) & own.permitted;
    let inheritable = bits(asked.inheritable().as_ref()) & permitted;
    let sets = CapabilitySets {
        permitted,
        inheritable,
        effective: bits(asked.effective().as_ref()) & permitted,
    };
    Ok(Wanted {
        sets,
        ambient: bits(asked.ambient().as_ref()) & inheritable,
    })
}

/// Becomes the command's user, with the capabilities of before, which the rest of the way needs.
pub(super) fn change_user(process: &Process) -> Result<(), Failure> {
    let user = process.user();
    let groups: Vec<Gid> = user
        .additional_gids()
        .iter()
        .flatten()
        .copied()
        .map(Gid::from_raw)
        .collect();
    let (uid, gid) = (Uid::from_raw(user.uid()), Gid::from_raw(user.gid()));
    let what = || format!("{uid}:{gid}");
    set_keepcaps(true).at(step::USER, what)?;
    setgroups(&groups).at(step::USER, what)?;
    setresgid(gid, gid, gid).at(step::USER, what)?;
    setresuid(uid, uid, uid).at(step::USER, what)?;
    set_keepcaps(false).at(step::USER, what)
}

/// Takes away what the command does not get: last, since from here on hardly anything is allowed.
pub(super) fn confine(process: &Process, program: &[u8], wanted: Wanted) -> Result<(), Failure> {
    let what = || "seccomp filter";
    if process.no_new_privileges() == Some(true) {
        set_no_new_privs().at(step::SECCOMP, || "no_new_privs")?;
    }
    let without_privilege = process.no_new_privileges() == Some(true);
    if !program.is_empty() && !without_privilege {
        // Installing a filter without no_new_privs takes CAP_SYS_ADMIN.
        let own = capability::sets().at(step::CAPABILITIES, what)?;
        let all = CapabilitySets {
            effective: own.permitted,
            ..own
        };
        capability::set(all).at(step::CAPABILITIES, what)?;
        seccomp::install_filter(program).at(step::SECCOMP, what)?;
    }
    capability::clear_ambient().at(step::CAPABILITIES, || "emptying the ambient set")?;
    capability::set(wanted.sets).at(step::CAPABILITIES, || "capability sets")?;
    for number in (0..64).filter(|number| wanted.ambient >> number & 1 == 1) {
        capability::raise_ambient(number).at(step::CAPABILITIES, || {
            format!("ambient capability {number}")
        })?;
    }
    if !program.is_empty() && without_privilege {
        seccomp::install_filter(program).at(step::SECCOMP, what)?;
    }
    Ok(())
}
