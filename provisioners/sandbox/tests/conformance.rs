//! Sandbox machines pass the suite of all drivers.

use std::sync::Arc;

use anyhow::Result;
use berth_provisioners_api::{Driver as _, FlagValues};
use berth_provisioners_conformance::{
    Bench, cut_off_create_is_removed_or_resumed, life_cycle, repeated_calls_are_harmless,
    two_at_once,
};
use berth_provisioners_sandbox::SandboxDriver;

fn bench() -> Result<Bench> {
    let driver = SandboxDriver::with_executable(env!("CARGO_BIN_EXE_berth-sandbox-helper"));
    let flags = FlagValues::defaults(&driver.flags().expect("flags"));
    Bench::new(Arc::new(driver), flags)
}

#[tokio::test]
async fn life_cycle_of_a_machine() -> Result<()> {
    life_cycle(&bench()?).await
}

#[tokio::test]
async fn calls_can_be_repeated() -> Result<()> {
    repeated_calls_are_harmless(&bench()?).await
}

#[tokio::test]
async fn machines_are_made_side_by_side() -> Result<()> {
    two_at_once(&bench()?).await
}

#[tokio::test]
async fn a_create_that_was_cut_off_leaves_nothing_that_stays() -> Result<()> {
    cut_off_create_is_removed_or_resumed(&bench()?).await
}
