//! PEM, the text form of certificates.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Letters on a line.
const LINE: usize = 64;

/// Returns `der` between the lines that say what it is.
pub(crate) fn encode(what: &str, der: &[u8]) -> String {
    let base64 = STANDARD.encode(der);
    let mut text = format!("-----BEGIN {what}-----\n");
    let mut rest = base64.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(LINE));
        text.push_str(line);
        text.push('\n');
        rest = more;
    }
    text.push_str(&format!("-----END {what}-----\n"));
    text
}
