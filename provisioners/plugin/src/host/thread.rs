//! The thread that looks after plugins, for as long as the program runs.

use std::io;
use std::sync::OnceLock;
use std::sync::mpsc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// How long the plugins have together when the program wants to end.
const LAST_WORDS: Duration = Duration::from_secs(15);

/// The thread and what it looks after.
#[derive(Debug)]
pub(crate) struct Keeping {
    handle: Handle,
    /// Ends every plugin.
    pub(crate) stop: CancellationToken,
    /// How many plugins run.
    pub(crate) alive: watch::Sender<usize>,
}

static KEEPING: OnceLock<Keeping> = OnceLock::new();

/// Returns the thread, started when it is first needed.
pub(crate) fn keeping() -> io::Result<&'static Keeping> {
    if let Some(keeping) = KEEPING.get() {
        return Ok(keeping);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let keeping = KEEPING.get_or_init(|| Keeping {
        handle: runtime.handle().clone(),
        stop: CancellationToken::new(),
        alive: watch::channel(0).0,
    });
    // Two threads may have come here at once: only one runtime is the one that was kept.
    if keeping.handle.id() == runtime.handle().id() {
        std::thread::Builder::new()
            .name("plugins".to_owned())
            .spawn(move || runtime.block_on(std::future::pending::<()>()))?;
    }
    Ok(keeping)
}

/// Runs `work` on the thread; when the caller gives up, so does the thread.
pub(crate) async fn run<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> io::Result<T> {
    let task = keeping()?.handle.spawn(work);
    AbortOnDropHandle::new(task).await.map_err(io::Error::other)
}

/// Runs `work` on the thread and waits for it, inside a runtime or not.
pub(crate) fn block_on<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> io::Result<T> {
    let (done, result) = mpsc::channel();
    keeping()?.handle.spawn(async move {
        let _ = done.send(work.await);
    });
    result.recv().map_err(io::Error::other)
}

/// Closes all plugins and waits until their processes have ended.
///
/// Programs call this before they end; without it the kernel ends the plugins, who then cannot
/// finish in order.
pub fn finish() {
    let Some(keeping) = KEEPING.get() else { return };
    keeping.stop.cancel();
    let mut alive = keeping.alive.subscribe();
    // What is not gone by then goes with this process.
    let _ = block_on(async move {
        let all_gone = async {
            let _ = alive.wait_for(|count| *count == 0).await;
        };
        let _ = tokio::time::timeout(LAST_WORDS, all_gone).await;
    });
}
