//! Writing the agent's files on the host, starting it, and waiting until it says that it is ready.

use std::time::Duration;

use berth_controller_ssh::Output;

use crate::facts::{HostFacts, Init};
use crate::root::Root;
use crate::run::{Change, Plan, ProvisionError, Step};
use crate::services::{environment_file, openrc_script, systemd_unit};
use crate::shell::{CHANGE, GO_BACK, guard, tools};

/// Ends each text in the script; certificates and configurations have no such line.
const END: &str = "berth-end-of-file";

/// Makes folders, and finds out whether something new has not been started yet: that outlives the
/// script, which may be cut off. All of the script is read before any of it runs, so that one which
/// was cut off on the way does nothing.
const HEAD: &str = r#"
changed=$1
patience=$2
say step=files
mkdir -p $etc /var/lib/berth /run/berth
chmod 0700 $etc /run/berth
chmod 0710 /var/lib/berth
if [ "$changed" = 1 ]; then : >$etc/.changed; fi
if [ -f $etc/.changed ]; then changed=1; fi
"#;

/// Starts the agent when something has changed or it does not run. `trying` tells the controller to
/// settle the change.
const TAIL: &str = r#"
say step=service
if [ "$changed" = 1 ]; then register; fi
if [ "$changed" = 1 ] || ! is_up; then
    say step=start
    tried=0
    if [ -e $saved/trying ]; then tried=1; fi
    good=0
    if start_agent "$patience"; then good=1; fi
    if [ "$tried" = 1 ] && ! [ -e $saved/trying ]; then
        echo "the new agent was started over and over, and the host has taken the former one back" >&2 || :
        say went-back=1
        exit 70
    fi
    if [ "$good" = 0 ]; then
        last_words >&2
        if [ "$tried" = 1 ]; then go_back; fi
        exit 70
    fi
fi
if [ -e $saved/trying ]; then
    say trying=1
else
    rm -f $etc/.changed
    : >$etc/good
fi
"#;

/// What the installation did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Installation {
    /// What was replaced.
    pub(crate) changes: Vec<Change>,
    /// Whether the agent was started.
    pub(crate) restarted: bool,
    /// Whether there is something to go back to, until the change is settled.
    pub(crate) trying: bool,
}

/// Writes files, starts the agent and waits for it.
pub(crate) async fn install(
    root: &Root<'_>,
    plan: &Plan<'_>,
    facts: &HostFacts,
    (folder, uploaded): (&str, bool),
) -> Result<Installation, ProvisionError> {
    let script = script(plan, facts, folder, uploaded);
    let output = root.script(Step::Install, script.as_bytes()).await?;
    let said = String::from_utf8_lossy(&output.stdout);
    let has = |wanted: &str| said.lines().any(|line| line == wanted);
    if has("berth:end=1") && output.status.success() {
        let mut changes: Vec<Change> = said.lines().filter_map(Change::parse).collect();
        changes.sort_unstable();
        changes.dedup();
        return Ok(Installation {
            changes,
            restarted: has("berth:step=start"),
            trying: has("berth:trying=1"),
        });
    }
    let step = if has("berth:step=start") {
        Step::Start
    } else if has("berth:step=service") {
        Step::Service
    } else {
        Step::Install
    };
    Err(failure(step, &output))
}

/// Returns why the agent was not installed or started, and what the host did about it.
pub(crate) fn failure(step: Step, output: &Output) -> ProvisionError {
    let said = String::from_utf8_lossy(&output.stdout);
    let answer = said
        .lines()
        .find_map(|line| line.strip_prefix("berth:went-back="));
    let error = ProvisionError::from_output(step, output);
    match (answer, error) {
        (Some(answer), ProvisionError::Failed { said, .. }) => ProvisionError::WentBack {
            runs: answer == "1",
            said,
        },
        (_, error) => error,
    }
}

fn script(plan: &Plan<'_>, facts: &HostFacts, folder: &str, uploaded: bool) -> String {
    let mut body = [&tools(facts.init, folder), CHANGE, GO_BACK, HEAD].concat();
    let tls = plan.tls;
    let mut file = |name: &str, path: &str, mode: &str, what: Change, text: &str| {
        put(&mut body, (name, path, mode, what), text);
    };
    let certificates = Change::Certificates;
    file(
        "ca.pem",
        "/etc/berth/ca.pem",
        "0600",
        certificates,
        &tls.ca_pem,
    );
    // An agent that has made its key itself keeps both.
    if !tls.key_pem.is_empty() {
        file(
            "server.pem",
            "/etc/berth/server.pem",
            "0600",
            certificates,
            &tls.cert_pem,
        );
        file(
            "server-key.pem",
            "/etc/berth/server-key.pem",
            "0600",
            certificates,
            &tls.key_pem,
        );
    }
    let config = plan.config.to_json();
    file(
        "berthd.json",
        "/etc/berth/berthd.json",
        "0600",
        Change::Configuration,
        &config,
    );
    // Others than root may not read it: it may hold the password of a proxy.
    let text = environment_file(&plan.config.environment);
    file(
        "environment",
        "/etc/berth/environment",
        "0600",
        Change::Configuration,
        &text,
    );
    match facts.init {
        Init::Systemd => {
            let unit = systemd_unit(folder);
            let path = "/etc/systemd/system/berthd.service";
            let guard = guard(facts.init);
            file("guard", "/etc/berth/guard", "0700", Change::Unit, &guard);
            file("unit", path, "0644", Change::Unit, &unit);
        }
        Init::OpenRc => {
            let unit = openrc_script(folder);
            let guard = guard(facts.init);
            file("guard", "/etc/berth/guard", "0700", Change::Unit, &guard);
            file("unit", "/etc/init.d/berthd", "0755", Change::Unit, &unit);
        }
        Init::Own => {}
    }
    let changed = u8::from(plan.restart);
    // One that an upload left which nobody wants any more must not be put in place.
    let switch = if uploaded {
        "switch"
    } else {
        "rm -f \"$folder/.berthd-next\""
    };
    let patience = plan.patience.max(Duration::from_secs(1)).as_secs();
    format!(
        "main() {{\n{body}\n{switch}\n{TAIL}\nsay end=1\n}}\nmain {changed} {patience} </dev/null\n"
    )
}

fn put(script: &mut String, (name, path, mode, what): (&str, &str, &str, Change), text: &str) {
    let text = text.trim_end_matches('\n');
    script.push_str(&format!(
        "put {name} {path} {mode} {what} <<'{END}'\n{text}\n{END}\n"
    ));
}
