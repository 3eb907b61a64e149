//! The end of a change to the agent: it is found good, or taken back.

use berth_controller_ssh::Session;

use crate::facts::HostFacts;
use crate::install::failure;
use crate::root::{Passwords, Root};
use crate::run::{ProvisionError, Step};
use crate::shell::{GO_BACK, tools};

/// Forgets what was kept, and executables in folders that are not used any more.
const KEEP: &str = r#"
rm -f "$folder/.berthd-previous" $etc/.changed
: >$etc/good
rm -rf $saved
for other in /usr/local/bin /opt/berth/bin /var/lib/berth/bin; do
    if [ "$other" != "$folder" ]; then rm -f "$other/berthd" 2>/dev/null || :; fi
done
say end=1
"#;

/// Tells what the new agent said last, and goes back.
const BACK: &str = r#"
if [ -e $saved/trying ]; then
    last_words >&2
    go_back
else
    say went-back=0
fi
"#;

/// Says on the host that the new agent is good, so that the former one is forgotten.
///
/// # Errors
///
/// When the host cannot be reached; the change stays unsettled then, and the next
/// [`crate::provision`] settles it.
pub async fn keep(
    session: &Session,
    facts: &HostFacts,
    folder: &str,
    passwords: Passwords<'_>,
) -> Result<(), ProvisionError> {
    let script = script(&[&tools(facts.init, folder), KEEP]);
    let root = Root::new(session, facts, passwords);
    let output = root.script(Step::Settle, script.as_bytes()).await?;
    if output.status.success() {
        Ok(())
    } else {
        Err(ProvisionError::from_output(Step::Settle, &output))
    }
}

/// Takes the new agent back and starts the former one; returns what became of it, as the error
/// that it is.
pub async fn go_back(
    session: &Session,
    facts: &HostFacts,
    folder: &str,
    passwords: Passwords<'_>,
) -> ProvisionError {
    let script = script(&[&tools(facts.init, folder), GO_BACK, BACK]);
    let root = Root::new(session, facts, passwords);
    match root.script(Step::Settle, script.as_bytes()).await {
        Ok(output) => failure(Step::Settle, &output),
        Err(error) => error,
    }
}

fn script(parts: &[&str]) -> String {
    format!("main() {{\n{}\n}}\nmain </dev/null\n", parts.concat())
}
