//! Waiting for work that was handed to another task.

use tokio::task::JoinError;

/// Returns what the task returned; its panic goes on here. Takes a handle or a reference to one.
pub(crate) async fn outcome<T>(task: impl Future<Output = Result<T, JoinError>>) -> T {
    match task.await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Tasks are cancelled only when the whole program ends, which ends this one too.
            Err(_cancelled) => std::future::pending().await,
        },
    }
}
