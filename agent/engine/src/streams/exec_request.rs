//! Checks and describes further commands.

use std::path::PathBuf;

use berth_agent_runtime::ExecRequest;
use berth_agent_sys::root_dir::RootDir;

use crate::container::Container;
use crate::container::record::ContainerRecord;
use crate::container::status::Phase;
use crate::create::env;
use crate::create::rootfs::{self, UserQuery};
use crate::spec::{self, ProcessInput, SecurityError, SecurityOptions, SpecError};
use crate::streams::exec::{ExecError, ExecOptions};

/// Checks whether a command could be started.
pub(super) fn check(container: &Container, options: &ExecOptions) -> Result<(), ExecError> {
    if options.command.is_empty() {
        return Err(ExecError::NoCommand);
    }
    if !options.working_dir.is_empty() && !options.working_dir.starts_with('/') {
        return Err(ExecError::RelativeWorkingDir(options.working_dir.clone()));
    }
    check_texts(options)?;
    let id = || container.id().clone();
    match container.phase() {
        Phase::Paused => Err(ExecError::Paused(id())),
        Phase::Restarting => Err(ExecError::Restarting(id())),
        _ if container.running().is_none() => Err(ExecError::NotRunning(id())),
        _ => Ok(()),
    }
}

/// Checks what the kernel or the process would read otherwise.
fn check_texts(options: &ExecOptions) -> Result<(), ExecError> {
    let has_nul = |text: &String| text.contains('\0');
    for (what, is_wrong) in [
        ("command", options.command.iter().any(has_nul)),
        ("environment variable", options.env.iter().any(has_nul)),
        ("working directory", has_nul(&options.working_dir)),
        ("user", has_nul(&options.user)),
    ] {
        if is_wrong {
            return Err(ExecError::Nul(what));
        }
    }
    let is_nameless = |word: &&String| word.is_empty() || word.starts_with('=');
    match options.env.iter().find(is_nameless) {
        Some(word) => Err(ExecError::Environment(word.clone())),
        None => Ok(()),
    }
}

/// Describes a command to the runtime. Blocks.
pub(super) fn exec_request(
    container: &Container,
    pid: i32,
    options: &ExecOptions,
) -> Result<ExecRequest, ExecError> {
    let record = container.record();
    let security = security(&record, options)?;
    let user = if options.user.is_empty() {
        &record.config.user
    } else {
        &options.user
    };
    // Links below this name are resolved inside the container's root, not ours.
    let root =
        RootDir::open(&PathBuf::from(format!("/proc/{pid}/root"))).map_err(ExecError::Root)?;
    let env = env::layer(record.config.env.clone(), &options.env);
    let working_dir = if options.working_dir.is_empty() {
        &record.config.working_dir
    } else {
        &options.working_dir
    };
    let query = UserQuery {
        user: user.clone(),
        groups: record.host.group_add.clone(),
    };
    let input = ProcessInput {
        argv: options.command.clone(),
        env: &env,
        linked_env: &[],
        working_dir,
        user: rootfs::in_root(&root, &query)?,
        hostname: &record.config.hostname,
        tty: options.tty,
    };
    Ok(ExecRequest {
        process: spec::process(&input, &security).map_err(SpecError::from)?,
        terminal_size: options.size.map(Into::into),
        attach: !options.detach,
        stdin: options.stdin && !options.detach,
        seccomp: security.seccomp,
    })
}

fn security(
    record: &ContainerRecord,
    options: &ExecOptions,
) -> Result<SecurityOptions, SecurityError> {
    let mut host = record.host.clone();
    if options.privileged {
        host.privileged = true;
    }
    SecurityOptions::new(&host)
}
