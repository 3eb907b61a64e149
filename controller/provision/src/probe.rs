//! Looking at a host: one command, nothing changed.

use berth_controller_ssh::Session;

use crate::facts::HostFacts;
use crate::run::{ProvisionError, Step, run_script};

/// Prints one fact per line. Only what every POSIX shell has; whatever is missing on the host
/// leaves its fact empty.
const SCRIPT: &str = r#"
main() {
    put() { echo "berth:$1=$2"; }
    put system "$(uname -s)"
    put kernel "$(uname -r)"
    put machine "$(uname -m)"
    put name "$(id -un)"
    put clock "$(date +%s)"
    if [ "$(id -u)" = 0 ]; then
        put root user
    elif said=$(sudo -n true 2>&1); then
        put root sudo
    elif command -v sudo >/dev/null 2>&1; then
        put root password
        put sudo "$(echo "$said" | head -n 1)"
    else
        put root none
    fi
    if [ -d /run/systemd/system ] && command -v systemctl >/dev/null 2>&1; then
        put init systemd
    elif [ -e /run/openrc/softlevel ] && command -v rc-service >/dev/null 2>&1; then
        put init openrc
    else
        put init own
    fi
    if command -v gzip >/dev/null 2>&1; then put gzip 1; fi
    if [ -f /usr/local/bin/berthd ]; then
        sum=$(sha256sum /usr/local/bin/berthd 2>/dev/null ||
            shasum -a 256 /usr/local/bin/berthd 2>/dev/null ||
            openssl dgst -sha256 -r /usr/local/bin/berthd 2>/dev/null)
        put agent "${sum%% *}"
    fi
    for file in /etc/os-release /usr/lib/os-release; do
        if [ -r "$file" ]; then
            sed 's/^/berth:os=/' "$file"
            echo
            break
        fi
    done
    put end 1
}
main </dev/null
"#;

/// Finds out what the host is.
///
/// # Errors
///
/// When the host does not run shell commands, or the connection is lost.
pub async fn probe(session: &Session) -> Result<HostFacts, ProvisionError> {
    let output = run_script(session, Step::Probe, "sh -s", SCRIPT.as_bytes()).await?;
    let text = String::from_utf8_lossy(&output.stdout);
    HostFacts::parse(&text).ok_or_else(|| ProvisionError::from_output(Step::Probe, &output))
}
