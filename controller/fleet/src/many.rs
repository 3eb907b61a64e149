//! The same for very many machines at once, on all processors.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use berth_controller_client::{Identity, IdentityError};
use berth_controller_store::{MachinePaths, Store};
use futures::future::join_all;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use crate::Fleet;
use crate::certificates::Book;

/// How many machines are asked at the same time before the first have answered: enough to keep the
/// processors busy, few enough that no answer waits long for its turn to be read.
const AT_ONCE: usize = 48;
/// A machine that takes longer than this waits on something else than our processors; the next one
/// begins beside it.
const PROMPT: Duration = Duration::from_millis(200);
/// How many machines a thread must have to be worth being started.
const WORTH_A_THREAD: usize = 32;
/// How many ways round through SSH are tried at the same time.
const DETOURS: usize = 8;
/// Connections that one machine may need at the same time, and some files for all.
const FILES_PER_MACHINE: u64 = 4;
const FILES: u64 = 256;

/// What all machines of one question share.
#[derive(Debug)]
pub(crate) struct Shared {
    identities: Mutex<HashMap<Vec<u8>, Identity>>,
    book: OnceLock<Option<Book>>,
    detours: Semaphore,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            identities: Mutex::default(),
            book: OnceLock::new(),
            detours: Semaphore::new(DETOURS),
        }
    }
}

impl Shared {
    /// Waits until it is one's turn to try a way that costs much.
    pub(crate) async fn detour(&self) -> Option<SemaphorePermit<'_>> {
        self.detours.acquire().await.ok()
    }

    /// Returns what certificates should be, read once.
    pub(crate) fn book(&self, store: &Store) -> Option<&Book> {
        self.book.get_or_init(|| Book::load(store)).as_ref()
    }

    /// Reads who the controller is for a machine. Most machines have copies of the same files, which
    /// are understood once.
    pub(crate) fn identity(
        &self,
        paths: &MachinePaths,
        server_name: &str,
    ) -> Result<Identity, IdentityError> {
        let mut key = Vec::with_capacity(4096);
        for path in [&paths.ca, &paths.cert, &paths.key] {
            let text = std::fs::read(path).map_err(|source| IdentityError::Unreadable {
                path: path.clone(),
                source,
            })?;
            key.extend(text);
            key.push(0);
        }
        let mut known = self
            .identities
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(identity) = known.get(&key) {
            return identity.for_server(server_name);
        }
        let identity = Identity::load(&paths.ca, &paths.cert, &paths.key, server_name)?;
        known.insert(key, identity.clone());
        Ok(identity)
    }
}

/// Does `work` for each name; results come in the order of the names.
pub(crate) async fn each<T, W>(fleet: &Fleet, names: Vec<String>, work: W) -> Vec<T>
where
    T: Send + 'static,
    W: AsyncFn(&Fleet, String, &Shared) -> T + Clone + Send + 'static,
{
    let shared = Arc::new(Shared::default());
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let n_threads = processors.min(names.len() / WORTH_A_THREAD).max(1);
    if n_threads == 1 {
        return in_turn(fleet, names, &work, &shared).await;
    }
    allow_files(names.len());
    // Each thread has a loop of its own: what machines answer needs no meeting of threads.
    let mut shares: Vec<Vec<String>> = (0..n_threads).map(|_| Vec::new()).collect();
    let n_names = names.len();
    for (index, name) in names.into_iter().enumerate() {
        shares[index % n_threads].push(name);
    }
    let threads = shares.into_iter().map(|share| {
        let (fleet, shared, work) = (fleet.clone(), Arc::clone(&shared), work.clone());
        tokio::task::spawn_blocking(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            match runtime {
                Ok(runtime) => Ok(runtime.block_on(in_turn(&fleet, share, &work, &shared))),
                Err(_no_resources) => Err(share),
            }
        })
    });
    let mut answers: Vec<std::vec::IntoIter<T>> = Vec::new();
    for answered in join_all(threads).await {
        let answered = match answered {
            Ok(Ok(answered)) => answered,
            // Then there is only the loop that we are on.
            Ok(Err(share)) => in_turn(fleet, share, &work, &shared).await,
            Err(ended) => std::panic::resume_unwind(ended.into_panic()),
        };
        answers.push(answered.into_iter());
    }
    (0..n_names)
        .filter_map(|index| answers[index % n_threads].next())
        .collect()
}

/// Begins with the next machine when one is done or keeps us waiting.
async fn in_turn<T>(
    fleet: &Fleet,
    names: Vec<String>,
    work: &impl AsyncFn(&Fleet, String, &Shared) -> T,
    shared: &Shared,
) -> Vec<T> {
    let turns = Semaphore::new(AT_ONCE);
    let one = async |name: String| {
        let turn = turns.acquire().await;
        let mut work = pin!(work(fleet, name, shared));
        match timeout(PROMPT, &mut work).await {
            Ok(answer) => answer,
            Err(_elapsed) => {
                drop(turn);
                work.await
            }
        }
    };
    join_all(names.into_iter().map(one)).await
}

/// Raises the limit of open files as far as this many machines need and the system allows.
fn allow_files(n_machines: usize) {
    let wanted = FILES + FILES_PER_MACHINE * u64::try_from(n_machines).unwrap_or(u64::MAX / 8);
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < wanted
    {
        // Where it stays too low, connections fail and say so.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, wanted.min(hard), hard);
    }
}
