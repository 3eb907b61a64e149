//! The agent as a service of each kind of host.

/// The unit for systemd.
///
/// Containers outlive the agent, so only its main process is killed and its control group is its
/// own to divide; limits are what containers may inherit. The environment has a file of its own,
/// since everybody on the host may read a unit. A guard that has taken the former agent back fails,
/// so that systemd begins again with the former unit.
const UNIT: &str = "\
[Unit]
Description=berth engine agent
Wants=network-online.target
After=network-online.target local-fs.target
StartLimitIntervalSec=0

[Service]
Type=notify
EnvironmentFile=-/etc/berth/environment
ExecStartPre=/bin/sh -c \"[ ! -e /etc/berth/guard ] || exec /bin/sh /etc/berth/guard\"
ExecStart=FOLDER/berthd serve --config /etc/berth/berthd.json
Restart=always
RestartSec=1
TimeoutStartSec=60
Delegate=yes
KillMode=process
OOMScoreAdjust=-500
LimitNOFILE=1048576
LimitNPROC=infinity
LimitCORE=infinity
TasksMax=infinity

[Install]
WantedBy=multi-user.target
";

/// Returns the unit for systemd.
pub(crate) fn systemd_unit(folder: &str) -> String {
    UNIT.replace("FOLDER", folder)
}

/// Returns the service script for OpenRC.
///
/// Readiness comes through a named pipe that the installation listens on; without a listener, as
/// when the host boots, what is written there is lost, which is fine. What a supervisor starts again
/// is what it was told first, so after a guard that has taken the former agent back the agent is not
/// started: the guard has the service itself restarted.
pub(crate) fn openrc_script(folder: &str) -> String {
    format!(
        "#!/sbin/openrc-run\n\
         description=\"berth engine agent\"\n\
         supervisor=supervise-daemon\n\
         command=/bin/sh\n\
         command_args=\"-c '[ ! -e /etc/berth/guard ] || sh /etc/berth/guard || exit; \
         set -a; [ ! -e /etc/berth/environment ] || . /etc/berth/environment; set +a; \
         exec 3<>/run/berth/ready; \
         exec {folder}/berthd serve --config /etc/berth/berthd.json --ready-fd 3'\"\n\
         output_log=/var/log/berthd.log\n\
         error_log=/var/log/berthd.log\n\
         respawn_delay=1\n\
         respawn_max=0\n\
         \n\
         depend() {{\n\tafter localmount net firewall\n}}\n\n\
         start_pre() {{\n\t\
         ulimit -n 1048576 2>/dev/null || ulimit -n \"$(ulimit -H -n)\"\n\t\
         checkpath -d -m 0700 /run/berth\n\t\
         [ -p /run/berth/ready ] || mkfifo -m 0600 /run/berth/ready\n}}\n"
    )
}

/// Returns the file of the agent's environment. Its lines mean the same to a shell and to systemd.
pub(crate) fn environment_file(environment: &[String]) -> String {
    let assignments = environment
        .iter()
        .filter(|variable| is_assignment(variable));
    assignments
        .filter_map(|variable| variable.split_once('='))
        .map(|(name, value)| {
            let mut quoted = String::with_capacity(value.len());
            for letter in value.chars() {
                if matches!(letter, '"' | '\\' | '`' | '$') {
                    quoted.push('\\');
                }
                quoted.push(letter);
            }
            format!("{name}=\"{quoted}\"\n")
        })
        .collect()
}

/// Lets through only what is a variable in every shell and fits on one line.
pub(crate) fn is_assignment(text: &str) -> bool {
    let Some((name, value)) = text.split_once('=') else {
        return false;
    };
    let mut letters = name.bytes();
    letters
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == b'_')
        && !value.contains(['\n', '\r', '\0'])
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::Command;

    use super::*;

    fn environment() -> Vec<String> {
        [
            "HTTP_PROXY=http://p:3128/a b%c\"d\\e$HOME`id`",
            "not an assignment",
            "A=b'c",
            "B=1\nEvil=2",
        ]
        .map(str::to_owned)
        .to_vec()
    }

    #[test]
    fn unit_is_one_that_systemd_understands() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("berthd.service");
        let unit = systemd_unit("/usr/local/bin");
        // The check wants the executable to be there.
        let unit = unit.replace("/usr/local/bin/berthd", "/bin/true");
        fs::write(&path, &unit).unwrap();
        let output = Command::new("systemd-analyze")
            .arg("verify")
            .arg(&path)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!said.contains("berthd.service:"), "{said}\n{unit}");
    }

    #[test]
    fn shells_read_back_the_environment_that_was_meant() {
        let file = environment_file(&environment());
        assert!(!file.contains("Evil"), "{file}");
        // What a child of the shell gets, as the agent is one.
        let script = format!("set -a\n{file}set +a\nexec printenv A HTTP_PROXY");
        let output = Command::new("sh").arg("-c").arg(&script).output().unwrap();
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            "b'c\nhttp://p:3128/a b%c\"d\\e$HOME`id`\n"
        );
    }

    #[test]
    fn systemd_gets_the_same_lines() {
        assert_eq!(
            environment_file(&environment()),
            "HTTP_PROXY=\"http://p:3128/a b%c\\\"d\\\\e\\$HOME\\`id\\`\"\nA=\"b'c\"\n"
        );
    }

    #[test]
    fn openrc_script_is_shell() {
        let script = openrc_script("/usr/local/bin");
        let status = Command::new("sh")
            .args(["-n", "-c", &script])
            .status()
            .unwrap();
        assert!(status.success(), "{script}");
        let args = "description=; supervisor=; command_args=";
        let line = script
            .lines()
            .find(|line| line.starts_with("command_args="))
            .unwrap();
        // What OpenRC hands to the shell is shell, too.
        let check = format!("{args}; {line}; eval \"set -- $command_args\"; sh -n -c \"$2\"");
        let status = Command::new("sh").args(["-c", &check]).status().unwrap();
        assert!(status.success(), "{line}");
    }
}
