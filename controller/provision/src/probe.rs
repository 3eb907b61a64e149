//! Looking at a host: nothing is changed.

use berth_controller_ssh::Session;

use crate::facts::{HostFacts, Privilege};
use crate::root::{self, Passwords};
use crate::run::{ProvisionError, Step, check, quote, run_script};

/// Prints one fact per line. Only what every POSIX shell has; whatever is missing on the host
/// leaves its fact empty. What root alone can see is a script of its own, `$roots`.
const SCRIPT: &str = r#"
    put() { echo "berth:$1=$2"; }
    put system "$(uname -s)"
    put kernel "$(uname -r)"
    put machine "$(uname -m)"
    put name "$(id -un)"
    put clock "$(date +%s)"
    LC_ALL=C
    export LC_ALL
    if [ "$(id -u)" = 0 ]; then
        put root user
        eval "$roots"
    elif said=$(sudo -n true 2>&1); then
        put root sudo
        sudo -n sh -c "$roots"
    elif doas -n true >/dev/null 2>&1; then
        put root doas
        doas -n sh -c "$roots"
    elif command -v sudo >/dev/null 2>&1; then
        put root password
        put sudo "$(echo "$said" | tail -n 1)"
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
    for file in /etc/os-release /usr/lib/os-release; do
        if [ -r "$file" ]; then
            sed 's/^/berth:os=/' "$file"
            echo
            break
        fi
    done
    put end 1
"#;

/// What only root can see.
const ROOTS: &str = r#"
put() { echo "berth:$1=$2"; }
sum() {
    s=$(sha256sum "$1" 2>/dev/null || shasum -a 256 "$1" 2>/dev/null ||
        openssl dgst -sha256 -r "$1" 2>/dev/null)
    echo "${s%% *}"
}
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
folders='/usr/local/bin /opt/berth/bin /var/lib/berth/bin /etc/berth /var/lib/berth'
nears=
for folder in $folders; do
    near=$folder
    while [ -n "$near" ] && [ ! -d "$near" ]; do near=${near%/*}; done
    nears="$nears ${near:-/}"
done
df -Pk $nears 2>/dev/null | {
    read -r header
    for folder in $folders; do
        near=${nears# }
        near=${near%% *}
        nears=${nears#" $near"}
        writable=0
        if [ -w "$near" ]; then writable=1; fi
        read -r line || line=
        put place "$folder $writable $line"
    done
}
sed -n '\, /\(proc\|sys\|dev\)[/ ],d
    s,^[^ ]* \([^ ]*\) [^ ]* \([^ ]*\) .*,berth:mount=\1 \2,p' /proc/mounts
for folder in /usr/local/bin /opt/berth/bin /var/lib/berth/bin; do
    if [ -f "$folder/berthd" ]; then put agent "$folder $(sum "$folder/berthd")"; fi
    if [ -f "$folder/.berthd-next" ]; then put waiting "$folder $(sum "$folder/.berthd-next")"; fi
done
if [ -e /etc/berth/previous/trying ] || [ -e /etc/berth/.changed ]; then put unsettled 1; fi
if command -v getenforce >/dev/null 2>&1; then
    put selinux "$(getenforce)"
elif [ -r /sys/fs/selinux/enforce ]; then
    put selinux "$(cat /sys/fs/selinux/enforce)"
fi
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    put cgroups 2
elif [ -e /sys/fs/cgroup/unified/cgroup.controllers ]; then
    put cgroups hybrid
elif [ -d /sys/fs/cgroup/memory ] || [ -d /sys/fs/cgroup/cpu ]; then
    put cgroups 1
fi
put root-end 1
"#;

/// Finds out what the host is, asking nobody for a password.
///
/// # Errors
///
/// When the host does not run shell commands, or the connection is lost.
pub async fn probe(session: &Session) -> Result<HostFacts, ProvisionError> {
    look(session, Passwords::NONE).await
}

/// Finds out what the host is, and that the agent can be put there by this user: it runs Linux, and
/// there is a way to be root on it.
///
/// # Errors
///
/// When there is none, the host does not run shell commands, or the connection is lost.
pub async fn enter(
    session: &Session,
    passwords: Passwords<'_>,
) -> Result<HostFacts, ProvisionError> {
    let facts = look(session, passwords).await?;
    check(&facts)?;
    Ok(facts)
}

/// Finds out what the host is, with a password for `sudo` where it wants one.
pub(crate) async fn look(
    session: &Session,
    passwords: Passwords<'_>,
) -> Result<HostFacts, ProvisionError> {
    let roots = quote(ROOTS);
    let script = format!("main() {{\nroots={roots}\n{SCRIPT}\n}}\nmain </dev/null\n");
    let output = run_script(session, Step::Probe, "sh -s", script.as_bytes()).await?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut facts =
        HostFacts::parse(&text).ok_or_else(|| ProvisionError::from_output(Step::Probe, &output))?;
    if matches!(facts.privilege, Privilege::SudoPassword { .. })
        && root::find_password(session, &facts.user, passwords).await?
    {
        facts.privilege = Privilege::SudoWithPassword;
        let script = format!("main() {{\n{ROOTS}\n}}\nmain </dev/null\n");
        let root = root::Root::new(session, &facts, passwords);
        let output = root.script(Step::Probe, script.as_bytes()).await?;
        if !facts.add_roots_part(&String::from_utf8_lossy(&output.stdout)) {
            return Err(ProvisionError::from_output(Step::Probe, &output));
        }
    }
    Ok(facts)
}
