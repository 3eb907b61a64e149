//! `regenerate-certs` and its question, and certificates in other places than the store.

use std::fs;

use serde_json::Value;

use crate::support::Operator;

const QUESTION: &str = "Regenerate TLS machine certs?  Warning: this is irreversible. (y/n): ";

#[test]
fn new_certificates_are_asked_for() {
    let mut operator = Operator::new();
    operator.machine("far", "tcp://192.0.2.7:2376");
    for (answer, code, said) in [
        ("", 1, "EOF\n"),
        ("\n", 1, "unexpected newline\n"),
        ("a b\n", 1, "expected newline\n"),
        ("no\n", 0, ""),
    ] {
        operator.answer(answer);
        operator
            .types("regenerate-certs far")
            .is(code, QUESTION, said);
    }
    operator.answer("y\n");
    let said = operator.types("regenerate-certs far");
    assert_eq!(
        said.stdout,
        format!("{QUESTION}Regenerating TLS certificates\n")
    );
    // There is nobody on that machine who could be given one.
    assert_eq!(said.code, 1);
    assert!(said.stderr.contains("\"far\""), "{}", said.stderr);
}

#[test]
fn client_certificate_is_made_anew_when_asked_for() {
    let operator = Operator::new();
    operator.machine("far", "tcp://192.0.2.7:2376");
    let before = operator.file("certs/cert.pem");
    let said = operator.types("regenerate-certs -f far");
    assert_eq!(said.stdout, "Regenerating TLS certificates\n");
    assert_eq!(operator.file("certs/cert.pem"), before);
    let said = operator.types("regenerate-certs --force --client-certs far");
    assert_eq!(
        said.stdout,
        "Regenerating TLS certificates\nRegenerating local certificates\n"
    );
    assert_ne!(operator.file("certs/cert.pem"), before);
}

#[test]
fn authority_and_client_are_taken_from_where_the_operator_has_them() {
    let mut operator = Operator::new();
    let folder = tempfile::tempdir().unwrap();
    let path = |file: &str| folder.path().join(file).to_str().unwrap().to_owned();
    let (ca, ca_key) = (path("our-ca.pem"), path("our-ca-key.pem"));
    operator.set("MACHINE_TLS_CLIENT_CERT", &path("me.pem"));
    operator.set("MACHINE_TLS_CLIENT_KEY", &path("me-key.pem"));
    let create = format!(
        "--tls-ca-cert {ca} --tls-ca-key={ca_key} create -d none --url tcp://192.0.2.7:2376 far"
    );
    let made = operator.types(&create);
    assert_eq!((made.code, made.stderr.as_str()), (0, ""));
    assert!(
        made.stdout.starts_with(&format!(
            "Creating CA: {ca}\nCreating client certificate: {}\n",
            path("me.pem")
        )),
        "{}",
        made.stdout
    );
    let named = ["our-ca.pem", "our-ca-key.pem", "me.pem", "me-key.pem"].map(path);
    let before = named.clone().map(|path| fs::read_to_string(path).unwrap());
    let usual = operator.store().join("certs");
    assert!(!usual.join("ca.pem").exists() && !usual.join("cert.pem").exists());
    let config: Value = serde_json::from_str(&operator.file("machines/far/config.json")).unwrap();
    let auth = &config["HostOptions"]["AuthOptions"];
    let keys = [
        "CaCertPath",
        "CaPrivateKeyPath",
        "ClientCertPath",
        "ClientKeyPath",
    ];
    assert_eq!(
        keys.map(|key| auth[key].as_str().unwrap_or_default().to_owned()),
        named
    );
    assert_eq!(auth["CertDir"], usual.to_str().unwrap());
    // Another machine gets the same, and the first keeps its own without being told of them again.
    let again = operator.types(&create.replace("far", "near"));
    assert_eq!((again.code, again.stderr.as_str()), (0, ""));
    assert!(!again.stdout.contains("Creating CA"), "{}", again.stdout);
    operator.set("MACHINE_TLS_CLIENT_CERT", "");
    operator.set("MACHINE_TLS_CLIENT_KEY", "");
    operator.types("regenerate-certs --force --client-certs far");
    let after = named.map(|path| fs::read_to_string(path).unwrap());
    assert_eq!(after[..2], before[..2]);
    assert_ne!(after[2], before[2]);
    assert!(!usual.join("ca.pem").exists());
}
