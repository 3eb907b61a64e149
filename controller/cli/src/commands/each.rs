//! The same call for several things: each that works is printed, each that does not is told, and
//! the exit code is 1 when one failed, whatever the reason.

use futures::StreamExt as _;
use futures::stream;

use crate::failure::{Failure, Outcome};
use crate::ui;

/// Calls that are under way at once, at most.
const AT_ONCE: usize = 50;

/// Makes `call` for every name, one after the other.
pub(super) async fn print<F>(names: &[String], mut call: impl FnMut(String) -> F) -> Outcome
where
    F: Future<Output = Result<Option<String>, Failure>>,
{
    let mut code = 0;
    for name in names {
        code = code.max(report(call(name.clone()).await)?);
    }
    Ok(code)
}

/// Makes `call` for all names together, for what takes its time; reports in the names' order.
pub(super) async fn print_together<F>(names: &[String], call: impl FnMut(String) -> F) -> Outcome
where
    F: Future<Output = Result<Option<String>, Failure>>,
{
    let calls = stream::iter(names.iter().cloned().map(call));
    let mut outcomes = calls.buffered(AT_ONCE);
    let mut code = 0;
    while let Some(outcome) = outcomes.next().await {
        code = code.max(report(outcome)?);
    }
    Ok(code)
}

fn report(outcome: Result<Option<String>, Failure>) -> Outcome {
    match outcome {
        Ok(Some(text)) => ui::line(&text)?,
        Ok(None) => {}
        Err(failure) => {
            ui::tell(crate::PROGRAM, &failure);
            return Ok(1);
        }
    }
    Ok(0)
}
