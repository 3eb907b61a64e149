//! What there is on a host that is to be taken over.

use berth_controller_pki::CertificateFacts;
use serde::Deserialize;

use super::AdoptError;
use crate::host::{Host, marked};

/// Prints what the agent was installed with, and whether it runs. Changes nothing.
const LOOK: &str = r#"
    put() { echo "berth:$1=$2"; }
    put hostname "$(uname -n)"
    file=/etc/berth/berthd.json
    if [ ! -f "$file" ]; then
        put absent "there is no $file"
        return 0
    fi
    sed 's/^/berth:config=/' "$file"; echo
    for name in ca server; do
        if [ -f "/etc/berth/$name.pem" ]; then
            sed "s/^/berth:$name=/" "/etc/berth/$name.pem"; echo
        fi
    done
    pid=$(cat /run/berth/berthd.pid 2>/dev/null || :)
    case $(readlink "/proc/${pid:-none}/exe" 2>/dev/null || :) in
        */berthd*) ;;
        *) put absent "it is installed, but no process of it is running that says so in /run/berth/berthd.pid" ;;
    esac
    put end 1
"#;

/// What is found on the host.
pub(super) struct Found {
    pub(super) hostname: String,
    pub(super) file: AgentFile,
    /// The port that the agent listens on.
    pub(super) port: u16,
    /// The authorities that it trusts, PEM, one each.
    pub(super) authorities: Vec<CertificateFacts>,
    pub(super) certificate: CertificateFacts,
}

/// The agent's configuration, as far as it matters here.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct AgentFile {
    listen: Vec<String>,
    pub(super) labels: Vec<String>,
    pub(super) insecure_registries: Vec<String>,
    pub(super) registry_mirrors: Vec<String>,
}

/// Finds out what is on the host.
pub(super) async fn look(host: &Host<'_>, address: &str) -> Result<Found, AdoptError> {
    let said = host.run("looking for the agent", LOOK).await?;
    read(&said, address)
}

fn read(said: &str, address: &str) -> Result<Found, AdoptError> {
    let absent = |why: String| AdoptError::NoAgent {
        host: address.to_owned(),
        why,
    };
    let why = marked(said, "absent");
    if !why.is_empty() {
        return Err(absent(why.trim().to_owned()));
    }
    let file: AgentFile = serde_json::from_str(&marked(said, "config"))
        .map_err(|error| absent(format!("its berthd.json cannot be read ({error})")))?;
    let port = file
        .listen
        .iter()
        .find_map(|listen| listen.rsplit(':').next()?.parse().ok())
        .ok_or_else(|| absent("it listens on no port".to_owned()))?;
    let unusable = |what| AdoptError::Certificates {
        host: address.to_owned(),
        what,
    };
    let authorities = CertificateFacts::parse_all(&marked(said, "ca"))
        .map_err(|_error| unusable("authorities (/etc/berth/ca.pem)"))?;
    let certificate = CertificateFacts::parse(&marked(said, "server"))
        .map_err(|_error| unusable("a certificate (/etc/berth/server.pem)"))?;
    Ok(Found {
        hostname: marked(said, "hostname").trim().to_owned(),
        file,
        port,
        authorities,
        certificate,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_without_an_agent_is_told_as_such() {
        for said in [
            "berth:absent=there is no /etc/berth/berthd.json\n",
            "berth:config={\nberth:end=1\n",
            "berth:config={\"listen\":[]}\n",
            "",
        ] {
            assert!(
                matches!(read(said, "h"), Err(AdoptError::NoAgent { .. })),
                "{said}"
            );
        }
        assert!(matches!(
            read("berth:config={\"listen\":[\"[::]:2376\"]}\n", "h"),
            Err(AdoptError::Certificates { .. })
        ));
    }
}
