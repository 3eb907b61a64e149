//! `env` and `config`: only for an engine that answers and can be trusted.

use crate::server::{engine, moved, stranger};
use crate::support::{Operator, Said};

/// An operator with a machine whose engine answers.
fn connected() -> (Operator, String) {
    let mut operator = Operator::new();
    operator.set("SHELL", "/bin/bash");
    operator.machine("first", "tcp://192.0.2.7:2376");
    let port = engine(&operator, &["127.0.0.1"]);
    let url = format!("tcp://127.0.0.1:{port}");
    operator.machine("tls1", &url);
    (operator, url)
}

#[test]
fn shell_is_pointed_at_the_machine() {
    let (operator, url) = connected();
    let directory = operator.store().join("machines/tls1");
    let directory = directory.display();
    operator.types("env tls1").is(
        0,
        &format!(
            "export DOCKER_TLS_VERIFY=\"1\"\nexport DOCKER_HOST=\"{url}\"\n\
             export DOCKER_CERT_PATH=\"{directory}\"\nexport DOCKER_MACHINE_NAME=\"tls1\"\n\
             # Run this command to configure your shell: \n# eval $(docker-machine env tls1)\n"
        ),
        "",
    );
    operator
        .types("--bugsnag-api-token=x env tls1 --shell fish")
        .is(
            0,
            &format!(
                "set -gx DOCKER_TLS_VERIFY \"1\";\nset -gx DOCKER_HOST \"{url}\";\n\
             set -gx DOCKER_CERT_PATH \"{directory}\";\nset -gx DOCKER_MACHINE_NAME \"tls1\";\n\
             # Run this command to configure your shell: \n\
             # eval (docker-machine --bugsnag-api-token=x env tls1 --shell fish)\n"
            ),
            "",
        );
    operator.types("config tls1").is(
        0,
        &format!(
            "--tlsverify\n--tlscacert=\"{directory}/ca.pem\"\n--tlscert=\"{directory}/cert.pem\"\n\
             --tlskey=\"{directory}/key.pem\"\n-H={url}\n"
        ),
        "",
    );
    operator.types("version tls1").is(0, "24.0.7\n", "");
}

#[test]
fn address_is_kept_off_the_proxy() {
    let (mut operator, url) = connected();
    let address = url.trim_start_matches("tcp://");
    let line = |said: &Said| said.stdout.lines().nth(4).unwrap_or_default().to_owned();
    let said = operator.types("env --no-proxy tls1");
    assert_eq!(line(&said), format!("export NO_PROXY=\"{address}\""));
    operator.set("NO_PROXY", "a");
    let said = operator.types("env --no-proxy tls1");
    assert_eq!(line(&said), format!("export NO_PROXY=\"a,{address}\""));
    operator.set("no_proxy", &format!("b,{address}"));
    let said = operator.types("env --no-proxy tls1");
    assert_eq!(line(&said), format!("export no_proxy=\"b,{address}\""));
    let said = operator.types("env -u --no-proxy");
    assert_eq!(line(&said), "unset no_proxy");
}

#[test]
fn variables_are_taken_back() {
    let mut operator = Operator::new();
    operator.set("SHELL", "/usr/bin/zsh");
    operator.types("env -u").is(
        0,
        "unset DOCKER_TLS_VERIFY\nunset DOCKER_HOST\nunset DOCKER_CERT_PATH\nunset DOCKER_MACHINE_NAME\n\
         # Run this command to configure your shell: \n# eval $(docker-machine env -u)\n",
        "",
    );
    operator.types("env --unset x").is(
        1,
        "",
        "Error: Expected no machine name when the -u flag is present\n",
    );
}

#[test]
fn shell_that_is_not_known_is_an_error() {
    let operator = Operator::new();
    operator.types("env -u").is(
        1,
        "The default lines below are for a sh/bash shell, you can specify the shell you're using, with the --shell flag.\n\n",
        "Error: Unknown shell\n",
    );
}

/// What is said when an engine cannot be trusted or does not answer.
fn told(address: &str, why: &str) -> String {
    format!(
        "Error checking and/or regenerating the certs: There was an error validating certificates for host \"{address}\": {why}\n\
         You can attempt to regenerate them using 'docker-machine regenerate-certs [name]'.\n\
         Be advised that this will trigger a Docker daemon restart which might stop running containers.\n\n"
    )
}

#[test]
fn engine_that_cannot_be_trusted_is_refused_in_gos_words() {
    let (operator, _) = connected();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = listener.local_addr().unwrap().port();
    drop(listener);
    let addresses = [
        (
            format!("127.0.0.1:{}", stranger(&operator, &["127.0.0.1"])),
            "x509: certificate signed by unknown authority".to_owned(),
        ),
        (
            format!("127.0.0.9:{}", moved(&operator, "127.0.0.9")),
            "x509: certificate is valid for ".to_owned(),
        ),
        (
            format!("127.0.0.1:{nobody}"),
            format!("dial tcp 127.0.0.1:{nobody}: connect: connection refused"),
        ),
    ];
    for (at, (address, why)) in addresses.iter().enumerate() {
        let name = format!("m{at}");
        operator.machine(&name, &format!("tcp://{address}"));
        for (command, prefix) in [
            ("env", "Error checking TLS connection: "),
            ("config", "Error running connection boilerplate: "),
        ] {
            let said = operator.types(&format!("{command} {name}"));
            assert_eq!((said.code, said.stdout.as_str()), (1, ""));
            let whole = format!("{prefix}{}", told(address, why));
            let (start, end) = whole.split_once(why).unwrap();
            assert!(
                said.stderr.starts_with(&format!("{start}{why}")) && said.stderr.ends_with(end),
                "{}",
                said.stderr
            );
        }
    }
}

#[test]
fn active_machine_is_the_one_that_docker_host_means() {
    let (mut operator, url) = connected();
    assert_eq!(operator.types("rm -f first").code, 0);
    operator.types("active").is(1, "", "No active host found\n");
    operator.set("DOCKER_HOST", &url);
    operator.types("active").is(0, "tls1\n", "");
    operator.set("DOCKER_HOST", "tcp://192.0.2.99:2376");
    operator.types("active").is(1, "", "No active host found\n");
    let made = operator.types("create -d fake --fake-slow slow");
    assert_eq!(made.code, 0, "{}", made.stderr);
    operator
        .types("active -t 1")
        .is(1, "", "Error getting active host: timeout\n");
}
