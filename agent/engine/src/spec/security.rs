//! `--security-opt`, `--privileged` and capabilities: what a process is allowed.

use std::borrow::Cow;
use std::sync::Arc;

use berth_agent_runtime::capabilities::{self, UnknownCapability};
use berth_agent_runtime::seccomp::{self, SeccompError};
use oci_spec::runtime::{Capabilities, Spec};

use crate::options::HostOptions;

/// What a container's processes are allowed.
#[derive(Clone, Debug)]
pub(crate) struct SecurityOptions {
    pub(crate) capabilities: Capabilities,
    pub(crate) no_new_privileges: bool,
    /// The filter, ready to be installed.
    pub(crate) seccomp: Option<Arc<[u8]>>,
    /// The container may make groups below its own.
    pub(crate) writable_cgroups: bool,
    /// Profile that the kernel confines it by, where the kernel can.
    pub(crate) apparmor: Option<String>,
    /// What it was made of.
    profile: Option<Cow<'static, str>>,
}

/// A security option is wrong.
#[derive(Debug, thiserror::Error)]
pub enum SecurityError {
    /// An option without a value.
    #[error("invalid --security-opt 1: \"{0}\"")]
    Malformed(String),
    /// An option or a value that does not exist.
    #[error("invalid --security-opt 2: \"{0}\"")]
    Option(String),
    /// A capability that does not exist.
    #[error("invalid capability: \"{}\"", .0.name)]
    Capability(#[source] UnknownCapability),
    /// The profile cannot be used.
    #[error("invalid seccomp profile")]
    Seccomp(#[source] SeccompError),
}

impl SecurityOptions {
    /// Reads the options; the filter is compiled at most once for each combination.
    pub(crate) fn new(host: &HostOptions) -> Result<Self, SecurityError> {
        let capabilities = super::capabilities(host).map_err(SecurityError::Capability)?;
        let mut read = Read::default();
        for option in &host.security_opt {
            read.add(option)?;
        }
        // Who has everything else is confined only when that was asked for.
        let profile = match read.seccomp {
            Some("unconfined") => None,
            Some("builtin") => Some(seccomp::DEFAULT_PROFILE),
            Some(json) => Some(json),
            None if host.privileged => None,
            None => Some(seccomp::DEFAULT_PROFILE),
        };
        let seccomp = profile
            .map(|profile| seccomp::compile(profile, &capabilities::names(&capabilities)))
            .transpose()
            .map_err(SecurityError::Seccomp)?;
        Ok(Self {
            capabilities,
            no_new_privileges: read.no_new_privileges,
            seccomp,
            writable_cgroups: read.writable_cgroups,
            apparmor: read.apparmor.filter(|_| has_apparmor()).map(str::to_owned),
            profile: profile.map(|profile| match profile {
                seccomp::DEFAULT_PROFILE => Cow::Borrowed(seccomp::DEFAULT_PROFILE),
                own => Cow::Owned(own.to_owned()),
            }),
        })
    }

    /// Puts the profile into a specification, for a runtime that is not berth's own and makes its filter itself.
    pub(crate) fn describe_filter(&self, spec: &mut Spec) -> Result<(), SecurityError> {
        let Some(profile) = &self.profile else {
            return Ok(());
        };
        let names = capabilities::names(&self.capabilities);
        let filter = seccomp::to_oci(profile, &names).map_err(SecurityError::Seccomp)?;
        let mut linux = spec.linux().clone().unwrap_or_default();
        linux.set_seccomp(Some(filter));
        spec.set_linux(Some(linux));
        Ok(())
    }
}

/// Options as they were given.
#[derive(Debug, Default)]
struct Read<'a> {
    no_new_privileges: bool,
    writable_cgroups: bool,
    seccomp: Option<&'a str>,
    apparmor: Option<&'a str>,
}

impl<'a> Read<'a> {
    fn add(&mut self, option: &'a str) -> Result<(), SecurityError> {
        let wrong = || SecurityError::Option(option.to_owned());
        match option {
            "no-new-privileges" => {
                self.no_new_privileges = true;
                return Ok(());
            }
            // An old way to say that SELinux has no part in it, which it never has here.
            "disable" => return Ok(()),
            _ => {}
        }
        // A colon is how it was written long ago.
        let (key, value) = option
            .split_once('=')
            .or_else(|| option.split_once(':'))
            .ok_or_else(|| SecurityError::Malformed(option.to_owned()))?;
        match key {
            "no-new-privileges" => self.no_new_privileges = boolean(value).ok_or_else(wrong)?,
            "writable-cgroups" => self.writable_cgroups = boolean(value).ok_or_else(wrong)?,
            "seccomp" if !value.is_empty() => self.seccomp = Some(value),
            "apparmor" => {
                self.apparmor = Some(value).filter(|name| !matches!(*name, "" | "unconfined"));
            }
            // Without SELinux labels are words that nobody reads.
            "label" => {}
            _ => return Err(wrong()),
        }
        Ok(())
    }
}

/// Reads what Go takes for a truth value.
fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

fn has_apparmor() -> bool {
    std::fs::read_to_string("/sys/module/apparmor/parameters/enabled")
        .is_ok_and(|text| text.starts_with('Y'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(list: &[&str]) -> Result<SecurityOptions, SecurityError> {
        SecurityOptions::new(&HostOptions {
            security_opt: list.iter().map(|o| (*o).to_owned()).collect(),
            ..HostOptions::default()
        })
    }

    #[test]
    fn options_are_read_in_all_their_forms() {
        assert!(
            options(&["no-new-privileges"])
                .expect("alone")
                .no_new_privileges
        );
        assert!(
            options(&["no-new-privileges:true"])
                .expect("colon")
                .no_new_privileges
        );
        assert!(
            !options(&["no-new-privileges=0"])
                .expect("off")
                .no_new_privileges
        );
        assert!(
            options(&["writable-cgroups=true"])
                .expect("cgroups")
                .writable_cgroups
        );
        assert!(
            options(&["seccomp=unconfined"])
                .expect("off")
                .seccomp
                .is_none()
        );
        assert!(options(&[]).expect("default").seccomp.is_some());
        options(&["label=disable", "label:user:x", "apparmor=unconfined"]).expect("nothing to do");
    }

    #[test]
    fn what_is_no_option_is_told_as_docker_tells_it() {
        let text = |list: &[&str]| options(list).expect_err("wrong").to_string();
        assert_eq!(text(&["x"]), "invalid --security-opt 1: \"x\"");
        assert_eq!(text(&["x=y"]), "invalid --security-opt 2: \"x=y\"");
        let value = "no-new-privileges=maybe";
        assert_eq!(
            text(&[value]),
            format!("invalid --security-opt 2: \"{value}\"")
        );
        assert!(matches!(
            options(&["seccomp={"]),
            Err(SecurityError::Seccomp(_))
        ));
    }
}
