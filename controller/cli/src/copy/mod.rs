//! Files between here and a container: what a copy means for the paths that it is given, and archives
//! of local files in both directions. The agent knows nothing of the rules; it packs and unpacks.

mod local;
mod pack;
mod path;
mod place;
mod stream;
mod unpack;

pub(crate) use local::{check_output, source, target};
pub(crate) use pack::pack;
pub(crate) use path::{base, resolve};
pub(crate) use place::{Place, Side, place};
pub(crate) use stream::{ArchiveWriter, CHUNK, incoming};
pub(crate) use unpack::{Members, unpack};
