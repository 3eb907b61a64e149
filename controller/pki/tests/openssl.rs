//! What OpenSSL, the library under most of docker's tools, makes of our certificates, and we of its.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed, and should say where"
)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use berth_controller_pki::{Authority, ServerIdentity, stable_name};
use time::OffsetDateTime;

fn openssl(directory: &Path, arguments: &[&str]) -> Output {
    Command::new("openssl")
        .args(arguments)
        .current_dir(directory)
        .output()
        .unwrap()
}

fn says(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

fn check_both_roles(authority: &Authority, directory: &Path) {
    let now = OffsetDateTime::now_utc();
    let identity = ServerIdentity {
        stable_name: stable_name("demo"),
        names: vec!["10.0.0.7".to_owned()],
    };
    let server = authority.issue_server(&identity, now).unwrap();
    let client = authority.issue_client("me", now).unwrap();
    fs::write(directory.join("ca.pem"), authority.certificate_pem()).unwrap();
    fs::write(directory.join("server.pem"), &server.certificate_pem).unwrap();
    fs::write(directory.join("cert.pem"), &client.certificate_pem).unwrap();
    let verify = ["verify", "-x509_strict", "-CAfile", "ca.pem"];
    for (purpose, name) in [("sslserver", "server.pem"), ("sslclient", "cert.pem")] {
        let arguments = [&verify[..], &["-purpose", purpose, name]].concat();
        let output = openssl(directory, &arguments);
        assert!(output.status.success(), "{}", says(&output));
    }
    let by_address = [&verify[..], &["-verify_ip", "10.0.0.7", "server.pem"]].concat();
    assert!(openssl(directory, &by_address).status.success());
    let wrong_role = [&verify[..], &["-purpose", "sslserver", "cert.pem"]].concat();
    assert!(!openssl(directory, &wrong_role).status.success());
}

#[test]
fn openssl_accepts_our_certificates_in_their_roles_only() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::create("me", OffsetDateTime::now_utc()).unwrap();
    check_both_roles(&authority, directory.path());
}

#[test]
fn rsa_authority_in_docker_machines_form_signs() {
    let directory = tempfile::tempdir().unwrap();
    let key = openssl(
        directory.path(),
        &["genrsa", "-traditional", "-out", "ca-key.pem", "2048"],
    );
    assert!(key.status.success(), "{}", says(&key));
    let certificate = openssl(
        directory.path(),
        &[
            "req",
            "-x509",
            "-new",
            "-key",
            "ca-key.pem",
            "-out",
            "old-ca.pem",
            "-days",
            "9",
            "-subj",
            "/O=me",
            "-addext",
            "keyUsage=critical,digitalSignature,keyEncipherment,keyCertSign",
        ],
    );
    assert!(certificate.status.success(), "{}", says(&certificate));
    let read = |name: &str| fs::read_to_string(directory.path().join(name)).unwrap();
    assert!(read("ca-key.pem").contains("BEGIN RSA PRIVATE KEY"));
    let authority = Authority::load(&read("old-ca.pem"), &read("ca-key.pem")).unwrap();
    check_both_roles(&authority, directory.path());

    // Renewed, it vouches for what it has signed before, also to a library that looks at dates.
    let renewed = authority.renewed(OffsetDateTime::now_utc()).unwrap();
    fs::write(
        directory.path().join("new-ca.pem"),
        renewed.certificate_pem(),
    )
    .unwrap();
    let verify = ["verify", "-CAfile", "new-ca.pem", "server.pem"];
    let output = openssl(directory.path(), &verify);
    assert!(output.status.success(), "{}", says(&output));
    check_both_roles(&renewed, directory.path());
}
