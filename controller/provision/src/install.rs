//! Writing the agent's files on the host, starting it, and waiting until it says that it is ready.

use berth_controller_ssh::Session;

use crate::facts::{HostFacts, Init, Privilege};
use crate::run::{Plan, ProvisionError, Step, run_script};
use crate::services::{openrc_script, own_environment, systemd_unit};

/// Ends each text in the script; certificates and configurations have no such line.
const END: &str = "berth-end-of-file";

/// What all scripts begin with. `put` replaces a file only when it differs, and notes that it did;
/// `say` tells the controller how far it is. That there is something new outlives this script, which
/// may be cut off before the agent has seen it. All of the script is read before any of it runs, so
/// that one which was cut off on the way does nothing.
const HEAD: &str = r#"
set -eu
umask 077
changed=$1
say() { echo "berth:step=$1"; }
put() {
    cat >"$1.new"
    chmod "$2" "$1.new"
    if [ -f "$1" ] && [ "$(cat "$1")" = "$(cat "$1.new")" ]; then
        rm -f "$1.new"
        chmod "$2" "$1"
    else
        changed=1
        : >/etc/berth/.changed
        mv -f "$1.new" "$1"
    fi
}
say files
mkdir -p /etc/berth /var/lib/berth /run/berth
chmod 0700 /etc/berth /run/berth
chmod 0710 /var/lib/berth
if [ "$changed" = 1 ]; then : >/etc/berth/.changed; fi
if [ -f /etc/berth/.changed ]; then changed=1; fi
"#;

/// `systemctl` returns when the agent has notified systemd, or has failed.
const SYSTEMD: &str = r#"
say service
if [ "$changed" = 1 ] || ! systemctl is-active -q berthd; then
    systemctl daemon-reload
    systemctl enable -q berthd
    say start
    if ! systemctl restart berthd; then
        journalctl -u berthd -n 20 --no-pager -o cat >&2 || :
        exit 70
    fi
fi
"#;

/// The pipe is opened before the service is started, so that its word cannot be missed. An agent that
/// cannot start is started over and over, and says nothing.
const OPENRC: &str = r#"
say service
hear() {
    if command -v timeout >/dev/null; then timeout 60 head -n 1; else head -n 1; fi
}
rc-update -q add berthd default
if [ "$changed" = 1 ] || ! rc-service -q berthd status; then
    [ -p /run/berth/ready ] || mkfifo -m 0600 /run/berth/ready
    exec 4<>/run/berth/ready
    say start
    : >/var/log/berthd.log
    word=
    if ! rc-service berthd restart >&2 || ! word=$(hear <&4) || [ "$word" != ready ]; then
        tail -n 20 /var/log/berthd.log >&2 || :
        exit 70
    fi
    exec 4<&-
fi
"#;

/// The agent's own supervisor leaves this session; what holds the pipe open is only the first
/// agent, so that the end of the pipe without a word means that it has died.
const OWN: &str = r#"
say service
old=$(cat /run/berth/watch.pid 2>/dev/null || :)
case $(readlink "/proc/${old:-none}/exe" 2>/dev/null || :) in
    */berthd*) ;;
    *) old= ;;
esac
if [ "$changed" = 1 ] || [ -z "$old" ]; then
    say start
    if [ -n "$old" ]; then
        kill -TERM "$old" 2>/dev/null || :
        tries=0
        while kill -0 "$old" 2>/dev/null; do
            tries=$((tries + 1))
            if [ "$tries" = 200 ]; then
                echo "the former agent (process $old) does not end" >&2
                exit 70
            fi
            sleep 0.1 2>/dev/null || sleep 1
        done
    fi
    log=/var/log/berthd.log
    umask 022
    ready=$(/usr/local/bin/berthd watch --config /etc/berth/berthd.json --ready-fd 3 \
        3>&1 >>"$log" 2>&1 </dev/null) || :
    if [ "$ready" != ready ]; then
        echo "berthd ended before it was ready:" >&2
        tail -n 20 "$log" >&2 || :
        exit 70
    fi
fi
"#;

/// Writes files, starts the agent and waits for it; returns whether it was (re)started.
pub(crate) async fn install(
    session: &Session,
    plan: &Plan<'_>,
    facts: &HostFacts,
    changed: bool,
) -> Result<bool, ProvisionError> {
    let script = script(plan, facts, changed);
    let sudo = if facts.privilege == Privilege::Root {
        ""
    } else {
        "sudo -n "
    };
    let output = run_script(
        session,
        Step::Install,
        &format!("{sudo}sh -s"),
        script.as_bytes(),
    )
    .await?;
    let said = String::from_utf8_lossy(&output.stdout);
    if said.lines().any(|line| line == "berth:end=1") && output.status.success() {
        return Ok(said.lines().any(|line| line == "berth:step=start"));
    }
    let step = if said.contains("berth:step=start") {
        Step::Start
    } else if said.contains("berth:step=service") {
        Step::Service
    } else {
        Step::Install
    };
    Err(ProvisionError::from_output(step, &output))
}

fn script(plan: &Plan<'_>, facts: &HostFacts, changed: bool) -> String {
    let environment = &plan.config.environment;
    let mut body = HEAD.to_owned();
    let tls = plan.tls;
    put(&mut body, "/etc/berth/ca.pem", "0600", &tls.ca_pem);
    put(&mut body, "/etc/berth/server.pem", "0600", &tls.cert_pem);
    put(&mut body, "/etc/berth/server-key.pem", "0600", &tls.key_pem);
    put(
        &mut body,
        "/etc/berth/berthd.json",
        "0600",
        &plan.config.to_json(),
    );
    match facts.init {
        Init::Systemd => {
            let unit = systemd_unit(environment);
            put(
                &mut body,
                "/etc/systemd/system/berthd.service",
                "0644",
                &unit,
            );
            body.push_str(SYSTEMD);
        }
        Init::OpenRc => {
            put(
                &mut body,
                "/etc/init.d/berthd",
                "0755",
                &openrc_script(environment),
            );
            body.push_str(OPENRC);
        }
        Init::Own => {
            body.push_str(&own_environment(environment));
            body.push_str(OWN);
        }
    }
    let changed = u8::from(changed);
    format!(
        "main() {{\n{body}\nrm -f /etc/berth/.changed\necho berth:end=1\n}}\nmain {changed} </dev/null\n"
    )
}

fn put(script: &mut String, path: &str, mode: &str, text: &str) {
    let text = text.trim_end_matches('\n');
    script.push_str(&format!("put {path} {mode} <<'{END}'\n{text}\n{END}\n"));
}
