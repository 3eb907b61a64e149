//! Who calls the agent, what they may do, and the record of what they did: the same for all of its
//! faces.
//!
//! [`Identity`] is found out once a connection, from the certificate or from the unix socket.
//! [`AuditLog`] takes one line for each change, done or refused: an [`AuditNote`] from its beginning.
//!
//! Not here: who is let in at all (that is trust's), and which calls are changes (that is known to
//! each face).

mod audit;
mod identity;
mod note;

pub use audit::AuditLog;
pub use identity::{Identity, READ_ONLY_UNIT, Role};
pub use note::AuditNote;
