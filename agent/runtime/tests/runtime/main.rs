//! Containers that really run: this needs root, busybox and the kernel.

mod connected;
mod escapes;
mod external;
mod init;
mod intruder;
mod isolation;
mod lifecycle;
mod limits;
mod live_limits;
mod process;
#[expect(
    clippy::unwrap_used,
    reason = "a test that cannot be prepared has failed"
)]
mod rotation;
#[expect(
    clippy::unwrap_used,
    reason = "a test that cannot be prepared has failed"
)]
mod support;
mod survival;
