//! A change under way, from its call to its line in the record.

use std::sync::Arc;

use crate::audit::AuditLog;
use crate::identity::Identity;

/// How a change ended whose caller did not wait for its end, or which was given up within. It may have
/// been done all the same.
const CUT_OFF: &str = "cut off";

/// A change that has begun. Its line is written when this is dropped: whoever hangs up in the middle of
/// a call is on record as well.
#[derive(Debug)]
pub struct AuditNote {
    log: Arc<AuditLog>,
    pub(crate) identity: Arc<Identity>,
    pub(crate) call: String,
    pub(crate) object: String,
    pub(crate) result: String,
}

impl AuditNote {
    pub(crate) fn new(
        log: Arc<AuditLog>,
        identity: Arc<Identity>,
        call: String,
        object: String,
    ) -> Self {
        Self {
            log,
            identity,
            call,
            object,
            result: CUT_OFF.to_owned(),
        }
    }

    /// Adds what came out during the call about its object.
    pub fn is_about(&mut self, object: &str) {
        if !self.object.is_empty() {
            self.object.push(' ');
        }
        self.object.push_str(object);
    }

    /// Records the change with how it ended: a status of the face that it came by.
    pub fn end(mut self, result: &str) {
        result.clone_into(&mut self.result);
    }
}

impl Drop for AuditNote {
    fn drop(&mut self) {
        self.log.append_line(self);
    }
}
