//! The process of a container, or a further command in one.

use std::path::PathBuf;

use berth_agent_runtime::capabilities;
use oci_spec::OciSpecError;
use oci_spec::runtime::{Process, ProcessBuilder, UserBuilder};

use crate::create::env;
use crate::create::user::ResolvedUser;

use super::security::SecurityOptions;

/// What a process is made of.
#[derive(Debug)]
pub(crate) struct ProcessInput<'a> {
    pub(crate) argv: Vec<String>,
    /// `NAME=value`, without the defaults.
    pub(crate) env: &'a [String],
    /// Of links; what the container sets itself prevails.
    pub(crate) linked_env: &'a [String],
    /// Empty: `/`.
    pub(crate) working_dir: &'a str,
    pub(crate) user: ResolvedUser,
    pub(crate) hostname: &'a str,
    pub(crate) tty: bool,
}

/// Returns the process.
pub(crate) fn process(
    input: &ProcessInput<'_>,
    security: &SecurityOptions,
) -> Result<Process, OciSpecError> {
    let user = UserBuilder::default()
        .uid(input.user.uid)
        .gid(input.user.gid)
        .additional_gids(input.user.additional_gids.clone())
        .build()?;
    let cwd = if input.working_dir.is_empty() {
        "/"
    } else {
        input.working_dir
    };
    let mut process = ProcessBuilder::default()
        .terminal(input.tty)
        .user(user)
        .args(input.argv.clone())
        .env(environment(input))
        .cwd(PathBuf::from(cwd))
        .capabilities(capabilities::sets(
            &security.capabilities,
            input.user.uid == 0,
        ))
        .no_new_privileges(security.no_new_privileges)
        .oom_score_adj(0)
        .build()?;
    // The builder's defaults hold limits that Docker does not set.
    process.set_rlimits(None);
    process.set_apparmor_profile(security.apparmor.clone());
    Ok(process)
}

fn environment(input: &ProcessInput<'_>) -> Vec<String> {
    let mut defaults = vec![
        env::DEFAULT_PATH.to_owned(),
        format!("HOSTNAME={}", input.hostname),
    ];
    if input.tty {
        defaults.push("TERM=xterm".to_owned());
    }
    defaults.extend_from_slice(input.linked_env);
    let mut env = env::layer(defaults, input.env);
    if env::value(&env, "HOME").is_none_or(str::is_empty) {
        env.retain(|word| word != "HOME=");
        env.push(format!("HOME={}", input.user.home));
    }
    env
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(env: &[String]) -> ProcessInput<'_> {
        let user = ResolvedUser {
            uid: 0,
            gid: 0,
            additional_gids: vec![0],
            home: "/root".to_owned(),
        };
        ProcessInput {
            argv: vec![],
            env,
            linked_env: &[],
            working_dir: "",
            user,
            hostname: "h",
            tty: true,
        }
    }

    #[test]
    fn the_environment_has_dockers_defaults_in_dockers_order() {
        let own = ["A=1".to_owned(), "PATH=/x".to_owned()];
        assert_eq!(
            environment(&input(&own)),
            ["PATH=/x", "HOSTNAME=h", "TERM=xterm", "A=1", "HOME=/root"]
        );
    }

    #[test]
    fn a_home_that_is_set_stays() {
        let own = ["HOME=/h".to_owned()];
        assert!(environment(&input(&own)).contains(&"HOME=/h".to_owned()));
    }
}
