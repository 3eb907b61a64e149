//! The same call for several things: each that works is printed, each that does not is told, and
//! the exit code says whether one failed.

use crate::failure::{Failure, Outcome};
use crate::ui;

/// Makes `call` for every name, one after the other.
pub(super) async fn print<F>(names: &[String], mut call: impl FnMut(String) -> F) -> Outcome
where
    F: Future<Output = Result<Option<String>, Failure>>,
{
    let mut code = 0;
    for name in names {
        match call(name.clone()).await {
            Ok(Some(text)) => ui::line(&text)?,
            Ok(None) => {}
            Err(failure) => {
                ui::tell(crate::PROGRAM, &failure);
                code = failure.code();
            }
        }
    }
    Ok(code)
}
