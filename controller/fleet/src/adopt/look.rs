//! What there is on a host that is to be taken over.

use berth_controller_pki::CertificateFacts;
use berth_controller_provision::read_environment;
use berth_controller_store::EngineOptions;
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
    if [ -f /etc/berth/environment ]; then sed 's/^/berth:environment=/' /etc/berth/environment; echo; fi
    for file in /etc/systemd/system/berthd.service /etc/init.d/berthd; do
        if [ -f "$file" ]; then
            sed -n -e 's/^Environment=/berth:environment=&/p' -e 's/^export /berth:environment=&/p' "$file"
        fi
    done
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
    /// What its engine was asked to be.
    pub(super) engine: EngineOptions,
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
    labels: Vec<String>,
    insecure_registries: Vec<String>,
    registry_mirrors: Vec<String>,
    data_root: String,
    log_level: String,
    bridge: String,
    subnet: String,
    default_runtime: String,
    default_ulimits: Vec<String>,
    dns: Vec<String>,
    default_shm_size: u64,
    init: bool,
    no_new_privileges: bool,
}

impl AgentFile {
    /// Returns what the engine is, in the words of whoever makes one.
    fn engine(self, environment: Vec<String>) -> EngineOptions {
        let texts = [
            ("data-root", self.data_root),
            ("log-level", self.log_level),
            ("bridge", self.bridge),
            ("bip", self.subnet),
            ("default-runtime", self.default_runtime),
        ];
        let lists = [("default-ulimit", self.default_ulimits), ("dns", self.dns)];
        let size = (self.default_shm_size > 0).then(|| self.default_shm_size.to_string());
        let switches = [
            ("init", self.init),
            ("no-new-privileges", self.no_new_privileges),
        ];
        let all = texts
            .into_iter()
            .filter(|(_, text)| !text.is_empty())
            .chain(
                lists
                    .into_iter()
                    .flat_map(|(name, list)| list.into_iter().map(move |value| (name, value))),
            )
            .chain(size.map(|size| ("default-shm-size", size)))
            .map(|(name, value)| format!("{name}={value}"));
        let on = switches.into_iter().filter(|(_, on)| *on);
        EngineOptions {
            arbitrary_flags: all.chain(on.map(|(name, _)| name.to_owned())).collect(),
            env: environment,
            labels: self.labels,
            insecure_registries: self.insecure_registries,
            registry_mirrors: self.registry_mirrors,
            ..EngineOptions::default()
        }
    }
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
        engine: file.engine(read_environment(&marked(said, "environment"))),
        port,
        authorities,
        certificate,
    })
}

#[cfg(test)]
mod tests {
    use berth_controller_provision::AgentConfig;

    use super::*;

    #[test]
    fn everything_that_an_engine_was_asked_to_be_is_taken_over() {
        let file: AgentFile = serde_json::from_str(
            r#"{"listen":["[::]:1"],"data_root":"/srv/c","subnet":"10.9.0.1/24","bridge":"b1",
                "default_ulimits":["nofile=9"],"dns":["1.1.1.1","::1"],"default_shm_size":4096,
                "init":true,"no_new_privileges":true,"log_level":"warn","default_runtime":"r",
                "labels":["a=b"],"insecure_registries":["r:5"],"registry_mirrors":["http://m"]}"#,
        )
        .unwrap();
        let engine = file.engine(vec!["A=b".to_owned()]);
        let (read, warnings) = crate::provision::settings(engine).read().unwrap();
        assert_eq!(warnings, Vec::<String>::new());
        let wanted = AgentConfig {
            data_root: "/srv/c".to_owned(),
            subnet: "10.9.0.1/24".to_owned(),
            bridge: "b1".to_owned(),
            default_ulimits: vec!["nofile=9".to_owned()],
            dns: vec!["1.1.1.1".to_owned(), "::1".to_owned()],
            default_shm_size: 4096,
            init: true,
            no_new_privileges: true,
            log_level: "warn".to_owned(),
            default_runtime: "r".to_owned(),
            labels: vec!["a=b".to_owned()],
            insecure_registries: vec!["r:5".to_owned()],
            registry_mirrors: vec!["http://m".to_owned()],
            environment: vec!["A=b".to_owned()],
            ..AgentConfig::default()
        };
        assert_eq!(read, wanted);
    }

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
