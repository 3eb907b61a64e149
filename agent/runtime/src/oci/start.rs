//! `start`: letting the container's process go on to its command.

use super::error::OciError;
use super::log::Log;
use super::record::Store;
use super::words::Words;
use crate::hooks;
use crate::init::gate;

pub(super) fn run(store: &Store, words: &mut Words, log: &Log) -> Result<(), OciError> {
    let id = words.only("a container")?;
    let lock = store.lock(&id)?;
    let record = store.read(&id)?;
    match record.status(store) {
        "created" => {}
        "stopped" => {
            let text = "cannot start a container that has stopped";
            return Err(OciError::WrongState(text.to_owned()));
        }
        _ => {
            let text = "cannot start an already running container";
            return Err(OciError::WrongState(text.to_owned()));
        }
    }
    let directory = store.directory(&id)?;
    let outcome = gate::open(&directory);
    gate::remove(&directory);
    if let Some(failure) = outcome? {
        return Err(failure.into());
    }
    drop(lock);
    let after = record
        .hooks
        .as_ref()
        .and_then(|hooks| hooks.poststart().as_ref());
    let state = super::json(&record.state_as("running"))?;
    // The container runs whatever they do.
    if let Err(failure) = hooks::run(after, state.as_bytes()) {
        log.warn(&format!("{}: {}", failure.step, failure.message));
    }
    Ok(())
}
