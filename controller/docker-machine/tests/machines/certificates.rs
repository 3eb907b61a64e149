//! `regenerate-certs`: its question.

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
