//! Our runtime's commands beside Debian's runc: the same bundles through both, and what comes of them compared.

mod errors;
mod hooks;
mod life;
mod same;
#[expect(
    clippy::unwrap_used,
    reason = "a test that cannot be prepared has failed"
)]
mod support;
