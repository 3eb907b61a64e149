//! `inspect`, `url`, `ip`, `status`, and which machine is meant.

use serde_json::Value;

use crate::support::Operator;

#[test]
fn record_is_shown_as_it_is() {
    let operator = Operator::new();
    operator.machine("far", "tcp://192.0.2.7:2376");
    let said = operator.types("inspect far");
    assert_eq!(
        said.stdout,
        operator.file("machines/far/config.json") + "\n"
    );
    let odd = operator.types("create -d none --url tcp://192.0.2.7:1 --engine-label a=<&> odd");
    assert_eq!(odd.code, 0);
    // Go writes these as numbers.
    let said = operator.types("inspect odd").stdout;
    assert!(said.contains("\"a=\\u003c\\u0026\\u003e\""), "{said}");
    serde_json::from_str::<Value>(&said).unwrap();
}

#[test]
fn templates_see_the_generic_map() {
    let operator = Operator::new();
    operator.machine("far", "tcp://192.0.2.7:2376");
    let store = operator.store();
    let show = |template: &str| operator.gives(&["inspect", "far", "-f", template]);
    show("{{.HostOptions.AuthOptions.StorePath}}").is(
        0,
        &format!("{}\n", store.join("machines/far").display()),
        "",
    );
    show("{{.Nope}} {{.Driver.Nope.Deeper}}").is(0, "<no value> <no value>\n", "");
    show("{{json .HostOptions.EngineOptions.Dns}}{{.ConfigVersion}}").is(0, "null3\n", "");
    let driver = show("{{json .Driver}}").stdout;
    assert!(
        driver.starts_with(
            "{\"IPAddress\":\"192.0.2.7:2376\",\"MachineName\":\"far\",\"SSHKeyPath\":"
        ),
        "{driver}"
    );
    let pretty = show("{{prettyjson .HostOptions.AuthOptions.ServerCertSANs}}");
    pretty.is(0, "[]\n", "");
    show("{{frob .}}").is(
        1,
        "",
        "template parsing error: template: :1: function \"frob\" not defined\n",
    );
    show("{{upper .Name}}").is(
        1,
        "",
        "template parsing error: template: :1: function \"upper\" not defined\n",
    );
}

#[test]
fn facts_are_one_line_each() {
    let operator = Operator::new();
    operator.machine("far", "tcp://192.0.2.7:2376");
    operator
        .types("url far")
        .is(0, "tcp://192.0.2.7:2376\n", "");
    operator.types("ip far").is(0, "192.0.2.7:2376\n", "");
    operator.types("status far").is(0, "Running\n", "");
    operator.types("ip far far").is(0, "192.0.2.7:2376\n", "");
}

#[test]
fn machine_called_default_is_meant_when_none_is_named() {
    let operator = Operator::new();
    let none = "Error: No machine name(s) specified and no \"default\" machine exists\n";
    for command in [
        "config",
        "env",
        "inspect",
        "ip",
        "kill",
        "provision",
        "restart",
        "ssh",
        "start",
        "status",
        "stop",
        "upgrade",
        "url",
    ] {
        operator.types(command).is(1, "", none);
    }
    operator.machine("default", "tcp://192.0.2.9:2376");
    operator.types("url").is(0, "tcp://192.0.2.9:2376\n", "");
    operator.types("ip").is(0, "192.0.2.9:2376\n", "");
}

#[test]
fn absent_machines_are_told_in_the_words_that_scripts_look_for() {
    let operator = Operator::new();
    let absent = |name: &str| {
        format!(
            "Docker machine \"{name}\" does not exist. Use \"docker-machine ls\" to list machines. \
             Use \"docker-machine create\" to add a new one.\n"
        )
    };
    for command in [
        "config",
        "env",
        "inspect",
        "ip",
        "kill",
        "provision",
        "restart",
        "ssh",
        "start",
        "status",
        "stop",
        "upgrade",
        "url",
        "version",
    ] {
        operator
            .types(&format!("{command} x"))
            .is(1, "", &absent("x"));
    }
    let both = format!("{}{}", absent("x"), absent("y"));
    operator.types("start x y").is(1, "", &both);
    // Nobody gets out of the store.
    operator
        .types("inspect ../certs")
        .is(1, "", &absent("../certs"));
}

#[test]
fn too_many_names_are_refused() {
    let operator = Operator::new();
    let one = "Error: Expected one machine name as an argument\n";
    for command in ["env", "status", "url", "version"] {
        operator.types(&format!("{command} a b")).is(1, "", one);
    }
    let page = operator.types("help inspect").stdout;
    operator.types("inspect a b").is(1, &page, one);
    operator
        .types("active a")
        .is(1, "", "Error: Too many arguments given\n");
}
