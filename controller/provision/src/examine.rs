//! Looking closely at a host whose agent may be ill: nothing is changed.

use std::collections::BTreeMap;

use berth_controller_ssh::Session;

use crate::facts::{HostFacts, Init, Privilege};
use crate::probe::look;
use crate::root::{Passwords, Root};
use crate::run::{ProvisionError, Step};

/// Prints what a doctor wants to know, one line each; `$1` is the agent's port.
const SCRIPT: &str = r#"
put() { echo "berth:$1=$2"; }
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
LC_ALL=C
export PATH LC_ALL
hex=$(printf ':%04X' "$1")
if grep -q " [0-9A-F]*$hex [0-9A-F]*:0000 0A " /proc/net/tcp /proc/net/tcp6 2>/dev/null; then
    put listens 1
fi
# What is not loaded may be loaded when it is needed.
known=$(grep -oE ' (ovl_fill_super|br_dev_setup|veth_setup|nft_do_chain|nf_nat_setup_info)([[:space:]]|$)' /proc/kallsyms 2>/dev/null | sort -u)
modules=/lib/modules/$(uname -r)
feature() {
    case $known in *" $3"*) put "feature $1" yes; return ;; esac
    if [ -d "/sys/module/$2" ] || grep -qw "$2" /proc/filesystems; then put "feature $1" yes; return; fi
    if [ -f "$modules/modules.dep" ]; then
        if grep -q "/$2\.ko" "$modules/modules.dep" "$modules/modules.builtin" 2>/dev/null; then
            put "feature $1" yes
        else
            put "feature $1" no
        fi
    elif [ -n "$known" ]; then
        put "feature $1" no
    fi
}
feature overlay overlay ovl_fill_super
feature bridge bridge br_dev_setup
feature veth veth veth_setup
feature nf_tables nf_tables nft_do_chain
feature nat nf_nat nf_nat_setup_info
for kind in mnt pid net ipc uts user cgroup; do
    if [ -e "/proc/self/ns/$kind" ]; then put "feature $kind-namespace" yes; else put "feature $kind-namespace" no; fi
done
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    put controllers "$(cat /sys/fs/cgroup/cgroup.controllers)"
else
    put controllers "$(while read -r name hierarchy groups enabled; do
        if [ "$enabled" = 1 ]; then printf '%s ' "$name"; fi
    done </proc/cgroups 2>/dev/null)"
fi
if [ -r /etc/berth/server.pem ]; then sed 's/^/berth:certificate=/' /etc/berth/server.pem; fi
if [ -r /etc/berth/ca.pem ]; then sed 's/^/berth:authority=/' /etc/berth/ca.pem; fi
"#;

/// Tells of the service by systemd.
const SYSTEMD: &str = r#"
put service "$(systemctl is-active berthd 2>/dev/null || :)"
journalctl -u berthd -n 8 --no-pager -o cat 2>/dev/null | sed 's/^/berth:log=/'
"#;

/// Tells of the service by OpenRC.
const OPENRC: &str = r#"
if rc-service -q berthd status; then put service active; else put service stopped; fi
tail -n 8 /var/log/berthd.log 2>/dev/null | sed 's/^/berth:log=/'
"#;

/// Tells of the service where the agent supervises itself.
const OWN: &str = r#"
pid=$(cat /run/berth/watch.pid 2>/dev/null || :)
case $(readlink "/proc/${pid:-none}/exe" 2>/dev/null || :) in
    */berthd*|*/.berthd-*) put service active ;;
    *) put service stopped ;;
esac
tail -n 8 /var/log/berthd.log 2>/dev/null | sed 's/^/berth:log=/'
"#;

/// What was found on a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Examination {
    /// What the host is.
    pub facts: HostFacts,
    /// What only root can see; nothing when the user cannot become root.
    pub inside: Option<Inside>,
}

/// What only root can see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inside {
    /// `active`, or what else the service is.
    pub service: String,
    /// The last lines that the agent wrote.
    pub log: Vec<String>,
    /// Whether something listens on the agent's port.
    pub listens: bool,
    /// Features of the kernel and whether it has them; those that it does not tell are missing.
    pub features: BTreeMap<String, bool>,
    /// Controllers of control groups.
    pub controllers: Vec<String>,
    /// The agent's certificate, PEM.
    pub certificate: String,
    /// The authority whose clients it lets in, PEM.
    pub authority: String,
}

/// Looks closely at the host behind `session`, whose agent should listen on `port`.
///
/// # Errors
///
/// When the host does not run shell commands, or the connection is lost.
pub async fn examine(
    session: &Session,
    port: u16,
    passwords: Passwords<'_>,
) -> Result<Examination, ProvisionError> {
    let facts = look(session, passwords).await?;
    let may = matches!(
        facts.privilege,
        Privilege::Root | Privilege::Sudo | Privilege::SudoWithPassword | Privilege::Doas
    );
    if !may {
        return Ok(Examination {
            facts,
            inside: None,
        });
    }
    let service = match facts.init {
        Init::Systemd => SYSTEMD,
        Init::OpenRc => OPENRC,
        Init::Own => OWN,
    };
    let script = format!("main() {{\n{SCRIPT}{service}put end 1\n}}\nmain {port} </dev/null\n");
    let root = Root::new(session, &facts, passwords);
    let output = root.script(Step::Probe, script.as_bytes()).await?;
    let inside = Inside::parse(&String::from_utf8_lossy(&output.stdout))
        .ok_or_else(|| ProvisionError::from_output(Step::Probe, &output))?;
    Ok(Examination {
        facts,
        inside: Some(inside),
    })
}

impl Inside {
    /// Reads what the script printed; `None` when it did not run to its end.
    fn parse(text: &str) -> Option<Self> {
        let mut inside = Self::default();
        let mut complete = false;
        let lines = text.lines().filter_map(|line| line.strip_prefix("berth:"));
        for (key, value) in lines.filter_map(|line| line.split_once('=')) {
            match key {
                "service" => value.clone_into(&mut inside.service),
                "log" => inside.log.push(value.to_owned()),
                "listens" => inside.listens = true,
                "controllers" => {
                    inside.controllers = value.split_whitespace().map(str::to_owned).collect();
                }
                "certificate" => push_line(&mut inside.certificate, value),
                "authority" => push_line(&mut inside.authority, value),
                "end" => complete = true,
                key => {
                    if let Some(feature) = key.strip_prefix("feature ") {
                        inside.features.insert(feature.to_owned(), value == "yes");
                    }
                }
            }
        }
        complete.then_some(inside)
    }
}

fn push_line(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_is_read_and_a_cut_off_script_is_no_answer() {
        let text = "hello\nberth:service=failed\nberth:log=berthd: a=b\nberth:listens=1\n\
                    berth:feature overlay=yes\nberth:feature veth=no\nberth:controllers=cpu pids \n\
                    berth:certificate=-----BEGIN\nberth:certificate=x=\n";
        assert_eq!(Inside::parse(text), None);
        let inside = Inside::parse(&format!("{text}berth:end=1\n")).unwrap();
        assert_eq!(inside.service, "failed");
        assert_eq!(inside.log, ["berthd: a=b"]);
        assert!(inside.listens);
        assert_eq!(inside.features.get("overlay"), Some(&true));
        assert_eq!(inside.features.get("veth"), Some(&false));
        assert_eq!(inside.controllers, ["cpu", "pids"]);
        assert_eq!(inside.certificate, "-----BEGIN\nx=\n");
    }
}
