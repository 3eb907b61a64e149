//! What the agent on a host was given, as root reads it there: nothing is changed.

use berth_controller_ssh::{ExitStatus, Session};

use crate::probe::enter;
use crate::root::{Passwords, Root};
use crate::run::{ProvisionError, Step};
use crate::services::is_assignment;

/// Prints the agent's files. Only one that does not exist counts as nothing: a failure to read one
/// ends the script before its last line.
const SCRIPT: &str = r#"
set -eu
LC_ALL=C
export LC_ALL
show() {
    if [ -e "$2" ]; then
        sed "s/^/berth:$1=/" "$2"
        echo
    fi
}
show authority /etc/berth/ca.pem
show certificate /etc/berth/server.pem
show configuration /etc/berth/berthd.json
show environment /etc/berth/environment
unit=/etc/systemd/system/berthd.service
if [ -e $unit ]; then sed -n 's/^Environment=/berth:environment=Environment=/p' $unit; fi
script=/etc/init.d/berthd
if [ -e $script ]; then sed -n 's/^export /berth:environment=export /p' $script; fi
echo berth:end=1
"#;

/// What the agent on a host was given; all of it is empty where there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Present {
    /// The authorities whose clients it lets in, PEM.
    pub authorities: String,
    /// Its certificate, PEM.
    pub certificate: String,
    /// The text of its configuration file.
    pub configuration: String,
    /// Variables of its environment, `NAME=VALUE`.
    pub environment: Vec<String>,
}

/// Reads what the agent on the host behind `session` was given; its key stays where it is.
///
/// # Errors
///
/// When the user cannot become root, a file is there and cannot be read, or the connection is lost.
pub async fn present(
    session: &Session,
    passwords: Passwords<'_>,
) -> Result<Present, ProvisionError> {
    let facts = enter(session, passwords).await?;
    let script = format!("main() {{\n{SCRIPT}\n}}\nmain </dev/null\n");
    let root = Root::new(session, &facts, passwords);
    let output = root.script(Step::Probe, script.as_bytes()).await?;
    let failed = || ProvisionError::from_output(Step::Probe, &output);
    if output.status != ExitStatus::Code(0) {
        return Err(failed());
    }
    Present::parse(&String::from_utf8_lossy(&output.stdout)).ok_or_else(failed)
}

impl Present {
    /// Reads what the script printed; `None` when it did not run to its end.
    fn parse(text: &str) -> Option<Self> {
        let mut present = Self::default();
        let mut environment = String::new();
        let mut complete = false;
        let lines = text.lines().filter_map(|line| line.strip_prefix("berth:"));
        for (key, value) in lines.filter_map(|line| line.split_once('=')) {
            let text = match key {
                "authority" => &mut present.authorities,
                "certificate" => &mut present.certificate,
                "configuration" => &mut present.configuration,
                "environment" => &mut environment,
                "end" => {
                    complete = true;
                    continue;
                }
                _ => continue,
            };
            text.push_str(value);
            text.push('\n');
        }
        present.environment = read_environment(&environment);
        complete.then_some(present)
    }
}

/// Reads variables as services of every kind have them: `NAME=VALUE` in quotes of either kind or
/// none, after `export` for a shell, or all of it in quotes after `Environment=` for systemd. Of a
/// variable that is there twice, the first counts.
#[must_use]
pub fn read_environment(text: &str) -> Vec<String> {
    let mut all: Vec<(String, String)> = Vec::new();
    for line in text.lines().map(str::trim) {
        let variable = match line.strip_prefix("Environment=") {
            // A per cent sign would start one of systemd's specifiers.
            Some(text) => unquote(text).replace("%%", "%"),
            None => {
                let line = line.strip_prefix("export ").unwrap_or(line).trim_start();
                match line.split_once('=') {
                    Some((name, value)) => format!("{name}={}", unquote(value)),
                    None => continue,
                }
            }
        };
        if let (true, Some((name, value))) = (is_assignment(&variable), variable.split_once('='))
            && all.iter().all(|(known, _)| known != name)
        {
            all.push((name.to_owned(), value.to_owned()));
        }
    }
    let all = all.into_iter();
    all.map(|(name, value)| format!("{name}={value}")).collect()
}

/// Takes the quotes off a value as a shell does.
fn unquote(text: &str) -> String {
    let mut plain = String::new();
    let mut within = None;
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match (letter, within) {
            ('\'', None) => within = Some('\''),
            ('"', None) => within = Some('"'),
            (quote, Some(begun)) if quote == begun => within = None,
            ('\\', None | Some('"')) => plain.extend(letters.next()),
            (letter, _) => plain.push(letter),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::environment_file;

    #[test]
    fn every_way_to_write_a_variable_is_read_back() {
        let wanted = ["HTTP_PROXY=http://u:p@h:1/a b%c\"d\\e", "A=b'c", "EMPTY="];
        let variables: Vec<String> = wanted.map(str::to_owned).to_vec();
        assert_eq!(read_environment(&environment_file(&variables)), wanted);
        let shell =
            "export HTTP_PROXY='http://u:p@h:1/a b%c\"d\\e'\nexport A='b'\\''c'\nexport EMPTY=''\n";
        assert_eq!(read_environment(shell), wanted);
        let unit = "Environment=\"HTTP_PROXY=http://u:p@h:1/a b%%c\\\"d\\\\e\"\n\
                    Environment=\"A=b'c\"\nEnvironment=\"EMPTY=\"\n";
        assert_eq!(read_environment(unit), wanted);
        assert_eq!(read_environment("A=\"b\"\nexport A='c'\n# B=1\n"), ["A=b"]);
    }

    #[test]
    fn script_that_was_cut_off_is_no_answer() {
        let text = "berth:authority=x\nberth:configuration={\nberth:configuration=}\n";
        assert!(Present::parse(text).is_none());
        let present = Present::parse(&format!("{text}berth:end=1\n")).expect("all of it");
        assert_eq!(
            (present.authorities.as_str(), present.configuration.as_str()),
            ("x\n", "{\n}\n")
        );
    }
}
