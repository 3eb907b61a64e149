//! The two directions between a client and a process: of attach and of exec alike.

use std::io;

use berth_agent_runtime::log::{Reader, Record, Stream};
use berth_agent_runtime::{Attachment, ExecHandle, Output, Stdin};
use std::sync::Arc;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::{oneshot, watch};

use crate::container::status::Exit;
use crate::container::{Container, Observed};
use crate::events::Announcement;
use crate::options::TerminalSize;
use crate::streams::detach_keys::DetachKeys;

/// A client's connection to a process.
#[derive(Debug)]
pub struct Session {
    /// Whether the process has a terminal.
    pub tty: bool,
    /// What the process writes.
    pub output: SessionOutput,
    /// What the client types.
    pub input: SessionInput,
}

/// Something that the process did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionEvent {
    /// It wrote.
    Output {
        /// Which of its streams.
        stream: Stream,
        /// The bytes.
        data: Vec<u8>,
    },
    /// So many bytes of what it wrote are missing here: rotation has removed them before the client read them.
    Lost(u64),
    /// It ended; nothing follows.
    Exited(Exit),
}

/// Old output up to a place in the log.
#[derive(Debug)]
pub(crate) struct Replay {
    pub(crate) reader: Reader,
    pub(crate) end: u64,
}

/// Whether the client is still attached after some input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputFlow {
    /// It is.
    Attached,
    /// The detach keys were typed.
    Detached,
}

/// The process's side of a session.
#[derive(Debug)]
pub struct SessionOutput {
    /// Old output that is read before anything else.
    replay: Option<Replay>,
    /// A piece of output that comes after what is missing before it.
    held_back: Option<Record>,
    source: Source,
    /// Where the process's input goes once there is one.
    stdin: Option<oneshot::Sender<Stdin>>,
    end: End,
    streams: Streams,
}

/// Which streams a client wants.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Streams {
    pub(crate) stdout: bool,
    pub(crate) stderr: bool,
}

#[derive(Debug)]
enum Source {
    /// The container is not started yet.
    Waiting(oneshot::Receiver<Attachment>),
    Live(Output),
    Ended,
}

#[derive(Debug)]
enum End {
    Container(Seen),
    Exec(ExecHandle),
}

/// What is known of a container when a client comes, to tell the end that it waits for from earlier
/// ones.
#[derive(Debug)]
pub(crate) struct Seen {
    observed: watch::Receiver<Observed>,
    n_exits_before: u64,
}

/// The client's side of a session.
#[derive(Debug)]
pub struct SessionInput {
    stdin: StdinState,
    detach_keys: Option<DetachKeys>,
    /// Told when the keys are typed.
    detachment: Option<Announcement>,
    terminal: Terminal,
}

#[derive(Debug)]
enum StdinState {
    Pending(oneshot::Receiver<Stdin>),
    Open(Stdin),
    Closed,
}

#[derive(Debug)]
enum Terminal {
    Container(Arc<Container>),
    Exec(ExecHandle),
}

// === impl Seen ===

impl Seen {
    pub(crate) fn now(container: &Container) -> Self {
        let observed = container.observe();
        let n_exits_before = observed.borrow().n_exits;
        Self {
            observed,
            n_exits_before,
        }
    }
}

// === impl Session ===

impl Session {
    /// Makes the session of a client that waits for the container's start.
    pub(crate) fn waiting(
        container: (&Arc<Container>, Seen),
        attachment: oneshot::Receiver<Attachment>,
    ) -> Self {
        Self::of_container(container, Source::Waiting(attachment))
    }

    /// Makes the session of a client of a running container.
    pub(crate) fn live(container: (&Arc<Container>, Seen), attachment: Attachment) -> Self {
        let mut session = Self::of_container(container, Source::Live(attachment.output));
        session.input.stdin = attachment
            .stdin
            .map_or(StdinState::Closed, StdinState::Open);
        session
    }

    fn of_container((container, seen): (&Arc<Container>, Seen), source: Source) -> Self {
        let (to_input, from_output) = oneshot::channel();
        Self {
            tty: container.with_record(|record| record.config.tty),
            output: SessionOutput {
                replay: None,
                held_back: None,
                source,
                stdin: Some(to_input),
                end: End::Container(seen),
                streams: Streams {
                    stdout: true,
                    stderr: true,
                },
            },
            input: SessionInput {
                stdin: StdinState::Pending(from_output),
                detach_keys: None,
                detachment: None,
                terminal: Terminal::Container(Arc::clone(container)),
            },
        }
    }

    /// Makes the session of a further command.
    pub(crate) fn exec(attachment: Attachment, handle: ExecHandle, tty: bool) -> Self {
        Self {
            tty,
            output: SessionOutput {
                replay: None,
                held_back: None,
                source: Source::Live(attachment.output),
                stdin: None,
                end: End::Exec(handle.clone()),
                streams: Streams {
                    stdout: true,
                    stderr: true,
                },
            },
            input: SessionInput {
                stdin: attachment
                    .stdin
                    .map_or(StdinState::Closed, StdinState::Open),
                detach_keys: None,
                detachment: None,
                terminal: Terminal::Exec(handle),
            },
        }
    }

    /// Has old output come before anything else.
    pub(crate) fn with_replay(mut self, replay: Option<Replay>) -> Self {
        self.output.replay = replay;
        self
    }

    pub(crate) fn with_streams(mut self, streams: Streams) -> Self {
        self.output.streams = streams;
        self
    }

    pub(crate) fn with_detach_keys(mut self, keys: Option<DetachKeys>) -> Self {
        self.input.detach_keys = keys;
        self
    }

    pub(crate) fn with_detachment(mut self, announcement: Announcement) -> Self {
        self.input.detachment = Some(announcement);
        self
    }
}

// === impl SessionOutput ===

impl SessionOutput {
    /// Waits for the next event; nothing follows after [`SessionEvent::Exited`].
    ///
    /// # Errors
    /// When the log or the connection to the supervisor breaks.
    pub async fn next(&mut self) -> io::Result<SessionEvent> {
        loop {
            let record = match self.held_back.take() {
                Some(record) => record,
                None => match self.next_record().await? {
                    Some(record) => record,
                    None => return Ok(SessionEvent::Exited(self.exit().await)),
                },
            };
            if record.lost > 0 {
                let lost = record.lost;
                self.held_back = Some(Record { lost: 0, ..record });
                return Ok(SessionEvent::Lost(lost));
            }
            let Record { stream, data, .. } = record;
            let wanted = match stream {
                Stream::Stdout => self.streams.stdout,
                Stream::Stderr => self.streams.stderr,
            };
            if wanted {
                return Ok(SessionEvent::Output { stream, data });
            }
        }
    }

    async fn next_record(&mut self) -> io::Result<Option<Record>> {
        if let Some(Replay { reader, end }) = &mut self.replay {
            let record = if reader.offset() < *end {
                reader.next_record().map_err(io::Error::other)?
            } else {
                None
            };
            match record {
                Some(record) => return Ok(Some(record)),
                None => self.replay = None,
            }
        }
        loop {
            match &mut self.source {
                Source::Waiting(receiver) => match receiver.await {
                    Ok(attachment) => {
                        if let (Some(to), Some(stdin)) = (self.stdin.take(), attachment.stdin) {
                            // A client without an input side dropped the receiver.
                            drop(to.send(stdin));
                        }
                        self.source = Source::Live(attachment.output);
                    }
                    // Not started: the start failed or the container was removed.
                    Err(_dropped) => self.source = Source::Ended,
                },
                Source::Live(output) => match output.next_pieces().await? {
                    Some(record) => return Ok(Some(record)),
                    None => self.source = Source::Ended,
                },
                Source::Ended => return Ok(None),
            }
        }
    }

    async fn exit(&mut self) -> Exit {
        match &mut self.end {
            End::Container(seen) => {
                let before = seen.n_exits_before;
                let ended = |o: &Observed| o.removed || o.n_exits > before;
                // An error means that the container was dropped; its last state is what there is.
                drop(seen.observed.wait_for(ended).await);
                seen.observed.borrow().exit
            }
            End::Exec(handle) => {
                // A supervisor that was killed took the command with it.
                Exit {
                    code: handle.wait().await.unwrap_or(137),
                    oom_killed: false,
                }
            }
        }
    }
}

// === impl SessionInput ===

impl SessionInput {
    /// Passes on what the client typed. Waits while the process does not read, and before the start.
    /// Input for a process that has none, or has closed it, is dropped.
    pub async fn write(&mut self, bytes: &[u8]) -> InputFlow {
        let (bytes, flow) = match &mut self.detach_keys {
            Some(keys) => {
                let typed = keys.feed(bytes);
                let flow = if typed.detach {
                    InputFlow::Detached
                } else {
                    InputFlow::Attached
                };
                (typed.pass_on, flow)
            }
            None => (bytes.to_vec(), InputFlow::Attached),
        };
        if !bytes.is_empty()
            && let Some(stdin) = self.open().await
            && let Err(error) = stdin.write_all(&bytes).await
        {
            tracing::debug!(error = %error, "process does not take input any more");
            self.stdin = StdinState::Closed;
        }
        if flow == InputFlow::Detached
            && let Some(detachment) = self.detachment.take()
        {
            detachment.publish();
        }
        flow
    }

    /// Tells the process that no input follows.
    pub async fn close(&mut self) {
        if let Some(stdin) = self.open().await
            && let Err(error) = stdin.shutdown().await
        {
            tracing::debug!(error = %error, "input closed before");
        }
        self.stdin = StdinState::Closed;
    }

    /// Sets the size of the process's terminal; a process without one does not mind.
    pub async fn resize(&mut self, size: TerminalSize) {
        let result = match &self.terminal {
            Terminal::Container(container) => match container.running() {
                Some(running) => running.resize(size.into()).await,
                None => {
                    container.set_terminal_size(size.into());
                    Ok(())
                }
            },
            Terminal::Exec(handle) => handle.resize(size.into()).await,
        };
        if let Err(error) = result {
            tracing::debug!(error = %error, "terminal not resized");
        }
    }

    async fn open(&mut self) -> Option<&mut Stdin> {
        if let StdinState::Pending(receiver) = &mut self.stdin {
            self.stdin = match receiver.await {
                Ok(stdin) => StdinState::Open(stdin),
                Err(_no_input) => StdinState::Closed,
            };
        }
        match &mut self.stdin {
            StdinState::Open(stdin) => Some(stdin),
            StdinState::Pending(_) | StdinState::Closed => None,
        }
    }
}
