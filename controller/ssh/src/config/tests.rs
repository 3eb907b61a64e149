//! The reader against OpenSSH's own (`ssh -G`), and what only it does.

use std::collections::HashMap;
use std::fs;
use std::process::Command;

use super::*;

/// What OpenSSH makes of the same file: keyword to values.
fn openssh(file: &Path, words: &[&str]) -> HashMap<String, Vec<String>> {
    let output = Command::new("ssh")
        .arg("-F")
        .arg(file)
        .arg("-G")
        .args(words)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let mut values: HashMap<String, Vec<String>> = HashMap::new();
    for line in text.lines() {
        let (keyword, value) = line.split_once(' ').unwrap_or((line, ""));
        let entry = values.entry(keyword.to_owned()).or_default();
        entry.push(value.to_owned());
    }
    values
}

const FILE: &str = r#"
# A comment
Include conf.d/*.conf
Host bastion jump?
    HostName = 192.0.2.1
    User gate
    Port 2201
    IdentityFile ~/.ssh/gate_key
    IdentitiesOnly yes

Host web-* !web-9
    ProxyJump bastion,second:2022
    ServerAliveInterval 2m
    ConnectTimeout 7

Host web-9
    ProxyCommand nc -X connect %h %p "%r"
    ServerAliveCountMax 9

Match host 192.0.2.1 user gate
    AddressFamily inet6
    CertificateFile /etc/gate-cert.pub

Match originalhost deep !user root
    HostName %h.example.org
    User deepuser

Match exec "test %n = execd"
    Port 7777
    HostKeyAlias "known as"

Match final host *.example.org
    Port 4444

Host *
    User fallback
    IdentityFile /keys/%r@%n
    UserKnownHostsFile /tmp/kh1 /tmp/kh2
    StrictHostKeyChecking accept-new
    ForwardAgent yes
    IdentityAgent none
"#;

fn written() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let included = folder.path().join("conf.d");
    fs::create_dir(&included).unwrap();
    fs::write(
        included.join("b.conf"),
        "Host included\n  Port 6001\nHost late\n  Port 6002\n",
    )
    .unwrap();
    fs::write(included.join("a.conf"), "Host included\n  User first\n").unwrap();
    let path = folder.path().join("config");
    let text = FILE.replace("conf.d", included.to_str().unwrap());
    fs::write(&path, text).unwrap();
    (folder, path)
}

#[test]
fn values_are_those_that_openssh_finds() {
    let (_folder, path) = written();
    let config = Config::of_file(&path);
    let names = [
        "bastion", "jump1", "web-1", "web-9", "deep", "execd", "included", "late", "other", "::1",
    ];
    for (name, user) in names
        .iter()
        .flat_map(|name| [(*name, None), (*name, Some("root"))])
    {
        let target = match user {
            Some(user) => vec!["-l", user, name],
            None => vec![name],
        };
        let theirs = openssh(&path, &target);
        let ours = config.host(name, user).unwrap();
        let one = |keyword: &str| theirs.get(keyword).map(|values| values[0].clone());
        let context = format!("{name} {user:?}");
        let host = ours.host_name.clone().unwrap_or_else(|| (*name).to_owned());
        assert_eq!(Some(host), one("hostname"), "{context}");
        let login = user.map(ToOwned::to_owned).or_else(|| ours.user.clone());
        assert_eq!(login, one("user"), "{context}");
        let port = ours.port.unwrap_or(22).to_string();
        assert_eq!(Some(port), one("port"), "{context}");
        let yes = |value: bool| Some(if value { "yes" } else { "no" }.to_owned());
        assert_eq!(
            yes(ours.identities_only),
            one("identitiesonly"),
            "{context}"
        );
        assert_eq!(yes(ours.forward_agent), one("forwardagent"), "{context}");
        assert_eq!(ours.jump, one("proxyjump"), "{context}");
        assert_eq!(ours.key_alias, one("hostkeyalias"), "{context}");
        let alive = ours.alive_interval.map_or(0, |d| d.as_secs()).to_string();
        assert_eq!(Some(alive), one("serveraliveinterval"), "{context}");
        let most = ours.alive_max.unwrap_or(3).to_string();
        assert_eq!(Some(most), one("serveralivecountmax"), "{context}");
        let connect = ours.connect_timeout.map(|d| d.as_secs().to_string());
        let connect = connect.unwrap_or_else(|| "none".to_owned());
        assert_eq!(Some(connect), one("connecttimeout"), "{context}");
        let family = match ours.family {
            Family::Any => "any",
            Family::V4 => "inet",
            Family::V6 => "inet6",
        };
        assert_eq!(Some(family.to_owned()), one("addressfamily"), "{context}");
        assert_eq!(one("stricthostkeychecking").unwrap(), "accept-new");
        assert_eq!(ours.strict, Strict::AcceptNew);
        assert_eq!(one("identityagent").unwrap(), "none");
        assert_eq!(ours.agent, AgentChoice::None);
        // It prints files as they were written; ours are expanded.
        let n_theirs = theirs.get("identityfile").map_or(0, Vec::len);
        assert_eq!(ours.identity_files.len(), n_theirs, "{context}");
        let n_theirs = theirs.get("certificatefile").map_or(0, Vec::len);
        assert_eq!(ours.certificate_files.len(), n_theirs, "{context}");
        assert_eq!(
            ours.proxy_command.is_some(),
            theirs.contains_key("proxycommand"),
            "{context}"
        );
    }
}

#[test]
fn tokens_and_homes_are_replaced() {
    let (_folder, path) = written();
    let config = Config::of_file(&path);
    let web = config.host("web-9", Some("me")).unwrap();
    assert_eq!(
        web.proxy_command.as_deref(),
        Some("nc -X connect web-9 22 \"me\"")
    );
    assert_eq!(web.identity_files, [PathBuf::from("/keys/me@web-9")]);
    let bastion = config.host("bastion", None).unwrap();
    assert_eq!(
        bastion.identity_files[0],
        home().unwrap().join(".ssh/gate_key")
    );
}

#[test]
fn jump_hosts_become_a_chain_and_circles_are_refused() {
    let (_folder, path) = written();
    let config = Config::of_file(&path);
    let known = Endpoint {
        host: "10.0.0.9".to_owned(),
        port: 22,
        user: "root".to_owned(),
        ..Endpoint::default()
    };
    let target = config.complete("web-1", known).unwrap();
    assert_eq!(target.host, "10.0.0.9");
    let Via::Jump(second) = target.via else {
        panic!("{:?}", target.via);
    };
    assert_eq!((second.host.as_str(), second.port), ("second", 2022));
    let Via::Jump(first) = second.via else {
        panic!("{:?}", second.via);
    };
    assert_eq!(
        (first.host.as_str(), first.port, first.user.as_str()),
        ("192.0.2.1", 2201, "gate")
    );
    assert_eq!(first.via, Via::Direct);

    let circle = path.with_file_name("circle");
    fs::write(&circle, "Host a\n ProxyJump b\nHost b\n ProxyJump a\n").unwrap();
    let error = Config::of_file(&circle).resolve("a").unwrap_err();
    assert!(matches!(error, ConfigError::Circle(_)), "{error}");
    fs::write(&circle, "Host *\n ProxyJump b\n").unwrap();
    let through = Config::of_file(&circle).resolve("a").unwrap();
    assert!(matches!(through.via, Via::Jump(_)));
}

#[test]
fn words_of_a_command_line_come_first() {
    let (_folder, path) = written();
    let config = Config::of_file(&path).with("Port", "99").with("User", "x");
    let bastion = config.host("bastion", None).unwrap();
    assert_eq!(
        (bastion.port, bastion.user.as_deref()),
        (Some(99), Some("x"))
    );
}

#[test]
fn mistakes_are_told_with_file_and_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config");
    for (text, line) in [
        ("Port many\n", 1),
        ("Host *\n\nIdentityFile \"open\n", 3),
        ("Match host\n", 1),
        ("Match moon full\n Port 1\n", 1),
        ("Port\n", 1),
    ] {
        fs::write(&path, text).unwrap();
        let error = Config::of_file(&path)
            .host("h", None)
            .unwrap_err()
            .to_string();
        assert!(error.contains(&format!("line {line}")), "{text:?}: {error}");
        assert!(error.contains(path.to_str().unwrap()), "{error}");
    }
    fs::write(&path, format!("Include {}\n", path.display())).unwrap();
    Config::of_file(&path).host("h", None).unwrap_err();
}

#[test]
fn places_are_split_as_they_are_written() {
    let text = |spec| split(spec).map(|(user, name, port)| (user.unwrap_or_default(), name, port));
    let place = |user: &str, name: &str, port| Some((user.to_owned(), name.to_owned(), port));
    assert_eq!(text("host"), place("", "host", None));
    assert_eq!(text("me@host:2"), place("me", "host", Some(2)));
    assert_eq!(text("me@x@host"), place("me@x", "host", None));
    assert_eq!(text("[::1]:2"), place("", "::1", Some(2)));
    assert_eq!(text("fe80::1%eth0"), place("", "fe80::1%eth0", None));
    assert_eq!(text("host:many"), None);
    assert_eq!(text("@host"), None);
    assert_eq!(text(""), None);
}

#[test]
fn names_that_a_shell_would_follow_are_refused_before_any_command() {
    let folder = tempfile::tempdir().unwrap();
    let (path, mark) = (folder.path().join("config"), folder.path().join("mark"));
    let text = "Match exec \"test %h = x -o %r = y\"\n  Port 1\nHost *\n  ProxyCommand nc %h %p\n";
    fs::write(&path, text).unwrap();
    let config = Config::of_file(&path);
    let complete = |name: &str, host: &str, user: &str| {
        let known = Endpoint {
            host: host.to_owned(),
            port: 22,
            user: user.to_owned(),
            ..Endpoint::default()
        };
        config.complete(name, known)
    };
    let command = format!("$(touch${{IFS}}{})", mark.display());
    let option = format!("-oProxyCommand=touch {};#", mark.display());
    for bad in [&command, &option] {
        for refused in [
            complete(bad, bad, "root"),
            complete("web", bad, "root"),
            complete("web", "web", bad),
        ] {
            assert!(matches!(refused, Err(ConfigError::Name(_))), "{refused:?}");
        }
        config.host(bad, None).unwrap_err();
    }
    assert!(!mark.exists());
    let fine = complete("web", "web", "root").unwrap();
    assert_eq!(fine.via, Via::Command("nc web 22".to_owned()));
}
