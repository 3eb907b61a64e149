//! Temporary.
#![allow(dead_code, missing_docs, clippy::all)]
use std::path::{Path, PathBuf};
#[derive(Debug, Clone)]
pub struct Volumes;
#[derive(Debug, Clone)]
pub struct Volume {
    pub name: String,
    pub mountpoint: PathBuf,
}
#[derive(Debug, thiserror::Error)]
#[error("x")]
pub struct CreateVolumeError;
#[derive(Debug, thiserror::Error)]
#[error("x")]
pub struct CopyUpError;
#[derive(Debug, thiserror::Error)]
#[error("x")]
pub struct OpenError;
#[derive(Debug, thiserror::Error)]
#[error("x")]
pub struct RemoveVolumeError;
impl Volumes {
    pub fn open(_: PathBuf, _: berth_agent_state::State) -> Result<Self, OpenError> {
        Ok(Self)
    }
    pub fn ensure(&self, _: &str) -> Result<Volume, CreateVolumeError> {
        Err(CreateVolumeError)
    }
    pub fn remove(&self, _: &str) -> Result<(), RemoveVolumeError> {
        Ok(())
    }
    pub fn copy_up(
        &self,
        _: &str,
        _: &berth_agent_sys::root_dir::RootDir,
        _: &Path,
    ) -> Result<(), CopyUpError> {
        Ok(())
    }
}
