//! How plugins are run.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The variable that sets how many seconds one call of a plugin may take.
pub const TIMEOUT_VARIABLE: &str = "BERTH_PLUGIN_TIMEOUT";

/// One line that a plugin printed.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// The driver's name.
    pub driver: &'a str,
    /// The machine that it is about; empty before the plugin knows one.
    pub machine: &'a str,
    /// The line, without its end.
    pub text: &'a str,
    /// Whether it is of interest only to whoever looks for a fault.
    pub debug: bool,
}

type Log = Arc<dyn Fn(&Line<'_>) + Send + Sync>;
type Filter = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// How long a plugin may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// To say its address after it was started.
    pub start: Duration,
    /// To answer a question about what it knows by itself.
    pub fact: Duration,
    /// To answer a question for which it may have to ask somebody else.
    pub question: Duration,
    /// To create, start, stop or remove a machine. Heartbeats show meanwhile that it lives.
    pub work: Duration,
    /// To answer a heartbeat.
    pub heartbeat: Duration,
    /// To say in which state a machine is whose creation was cut off, over and over if need be.
    pub settle: Duration,
    /// To end, after it was asked to.
    pub close: Duration,
}

/// How plugins are run.
#[derive(Clone, Default)]
pub struct PluginOptions {
    pub(crate) keeper: Option<PathBuf>,
    pub(crate) deadlines: Deadlines,
    path: Option<std::ffi::OsString>,
    log: Option<Log>,
    filter: Option<Filter>,
}

// === impl Deadlines ===

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            start: Duration::from_secs(10),
            fact: Duration::from_secs(20),
            question: Duration::from_secs(120),
            work: Duration::from_secs(3600),
            heartbeat: Duration::from_secs(20),
            settle: Duration::from_secs(60),
            close: Duration::from_secs(3),
        }
    }
}

// === impl PluginOptions ===

impl PluginOptions {
    /// Returns the options with which berth runs plugins, deadlines from
    /// [`TIMEOUT_VARIABLE`] where it is set.
    #[must_use]
    pub fn from_env() -> Self {
        let seconds = std::env::var(TIMEOUT_VARIABLE).ok();
        let seconds = seconds.and_then(|text| text.trim().parse().ok());
        let mut options = Self::default();
        if let Some(limit) = seconds.filter(|limit| *limit > 0).map(Duration::from_secs) {
            let deadlines = &mut options.deadlines;
            deadlines.fact = limit;
            deadlines.question = limit;
            deadlines.work = limit;
        }
        options
    }

    /// Starts plugins through `program`, which calls [`crate::run_if_internal`]: they end with
    /// this process then, even when it is killed.
    #[must_use]
    pub fn with_keeper(mut self, program: impl Into<PathBuf>) -> Self {
        self.keeper = Some(program.into());
        self
    }

    /// Sets how long plugins may take.
    #[must_use]
    pub fn with_deadlines(mut self, deadlines: Deadlines) -> Self {
        self.deadlines = deadlines;
        self
    }

    /// Looks for plugins in these folders, written as `PATH` is, instead of in `PATH`.
    #[must_use]
    pub fn with_path(mut self, path: impl Into<std::ffi::OsString>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// Hands the lines that plugins print to `log`; those of a creation go to its journal.
    #[must_use]
    pub fn with_log(mut self, log: impl Fn(&Line<'_>) + Send + Sync + 'static) -> Self {
        self.log = Some(Arc::new(log));
        self
    }

    /// Has every line that plugins print replaced by what `filter` makes of it, if it finds
    /// something that nobody shall see.
    #[must_use]
    pub fn with_filter(
        mut self,
        filter: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.filter = Some(Arc::new(filter));
        self
    }

    pub(crate) fn filter(&self, text: &str) -> Option<String> {
        self.filter.as_ref().and_then(|filter| filter(text))
    }

    pub(crate) fn path(&self) -> Option<std::ffi::OsString> {
        self.path.clone().or_else(|| std::env::var_os("PATH"))
    }

    pub(crate) fn log(&self, line: &Line<'_>) {
        match &self.log {
            Some(log) => log(line),
            None => tracing::debug!(
                driver = line.driver,
                machine = line.machine,
                "{}",
                line.text
            ),
        }
    }
}

impl fmt::Debug for PluginOptions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("PluginOptions")
            .field("keeper", &self.keeper)
            .field("deadlines", &self.deadlines)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}
