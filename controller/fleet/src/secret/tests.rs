//! Tests of `secret`.

use serde_json::json;

use super::*;

fn secrets(pairs: &[(&str, &str)]) -> Secrets {
    let known = pairs
        .iter()
        .map(|(reference, value)| ((*reference).to_owned(), Zeroizing::new((*value).to_owned())))
        .collect();
    Secrets { known }
}

#[test]
fn veil_hides_values_and_gives_them_back() {
    let secrets = secrets(&[("env:T", "s3cr3t-value"), ("env:SHORT", "abc")]);
    let open = json!({
        "Token": "s3cr3t-value", "Url": "https://me:s3cr3t-value@host/", "Short": "abc",
        "Other": "abcdef", "List": ["x", "s3cr3t-value"], "N": 1,
    });
    let mut veiled = open.clone();
    secrets.veil(&mut veiled);
    assert!(!veiled.to_string().contains("s3cr3t"), "{veiled}");
    assert_eq!(veiled["Short"], "env:SHORT");
    assert_eq!(veiled["Other"], "abcdef");
    secrets.reveal(&mut veiled);
    assert_eq!(veiled, open);
    assert!(!format!("{secrets:?}").contains("s3cr3t"));
}

#[tokio::test]
async fn references_are_looked_up_where_they_point() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    fs::write(&path, "from a file\n").unwrap();
    let specs = [
        FlagSpec::text("x-token", "", ""),
        FlagSpec::text("x-name", "", ""),
    ];
    let mut flags = FlagValues::defaults(&specs);
    flags.set(
        "x-token",
        FlagValue::Text(format!("file:{}", path.display())),
    );
    flags.set("x-name", FlagValue::Text("env:NOT_A_SECRET".to_owned()));
    let resolved = resolve_flags(&specs, &flags).await.unwrap();
    assert_eq!(resolved.flags.text("x-token"), "from a file");
    assert_eq!(resolved.flags.text("x-name"), "env:NOT_A_SECRET");
    assert_eq!(resolved.references.len(), 1);
    assert!(resolved.secrets.veiled("from a file").is_some());
    fs::remove_file(&path).unwrap();
    assert!(matches!(
        look_up(&resolved.references).await,
        Err(SecretError::File { .. })
    ));
}

#[test]
fn what_says_not_where_the_secret_is_is_refused() {
    for text in [
        "env:",
        "file:",
        "cred:",
        "cred:x",
        "cred:/key",
        "cred:../x/key",
        "env:A=B",
    ] {
        Reference::parse("x-token", text).unwrap_err();
    }
    assert_eq!(Reference::parse("x-token", "plain").unwrap(), None);
    let unset = Reference::Environment("NOBODY_SETS_THIS_ONE".to_owned());
    assert!(matches!(unset.value("x"), Err(SecretError::Unset { .. })));
    let absent = Reference::Helper {
        helper: "nobody-has-this-helper".to_owned(),
        key: "k".to_owned(),
    };
    let error = absent.value("x-token").unwrap_err();
    assert!(
        error.to_string().contains("docker-credential-nobody"),
        "{error}"
    );
}

/// Makes a helper of a few lines of shell.
fn helper(folder: &tempfile::TempDir, lines: &str) -> String {
    use std::os::unix::fs::PermissionsExt as _;
    let path = folder.path().join("helper");
    fs::write(&path, format!("#!/bin/sh\n{lines}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path.to_string_lossy().into_owned()
}

#[test]
fn process_that_a_helper_leaves_behind_holds_nobody_up() {
    let folder = tempfile::tempdir().unwrap();
    let answer = r#"{"ServerURL":"x","Username":"u","Secret":"the secret"}"#;
    // It waits for its end as long as this test runs, with the answer's pipe open.
    let pipe = folder.path().join("end");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let lines = format!("cat '{}' 2>&1 &\necho '{answer}'", pipe.display());
    let begin = Instant::now();
    let secret = ask(&helper(&folder, &lines), "k", Duration::from_secs(60)).unwrap();
    assert_eq!(*secret, "the secret");
    assert!(begin.elapsed() < Duration::from_secs(30));
    drop(fs::File::options().write(true).open(&pipe).unwrap());
}

#[test]
fn helper_that_never_answers_is_ended() {
    let folder = tempfile::tempdir().unwrap();
    let program = helper(&folder, "exec sleep 600");
    let error = ask(&program, "k", Duration::from_millis(200)).unwrap_err();
    assert!(error.contains("no answer"), "{error}");
}
