//! `ls`: tables, formats, filters, and machines in trouble.

use std::fs;

use crate::server::engine;
use crate::support::Operator;

const HEADER: &str = "NAME   ACTIVE   DRIVER";

/// An operator with an engine that answers, and machines of all kinds.
fn operator() -> (Operator, String) {
    let mut operator = Operator::new();
    operator.machine("web10", "tcp://192.0.2.7:2376");
    let port = engine(&operator, &["127.0.0.1"]);
    let url = format!("tcp://127.0.0.1:{port}");
    assert_eq!(operator.types("rm -f web10").code, 0);
    for line in [
        format!("create -d fake --fake-url {url} --engine-label role=Web web10"),
        format!("create -d fake --fake-url {url} --engine-label plain=x Web2"),
        format!("create -d none --url {url} api"),
    ] {
        let made = operator.types(&line);
        assert_eq!(made.code, 0, "{line}: {}", made.stderr);
    }
    // docker-machine takes labels without a value, and crashes when it lists them.
    let path = operator.store().join("machines/Web2/config.json");
    let config = fs::read_to_string(&path).unwrap();
    fs::write(&path, config.replace("plain=x", "plain")).unwrap();
    assert_eq!(operator.types("kill Web2").code, 0);
    operator.set("DOCKER_HOST", &url);
    (operator, url)
}

#[test]
fn table_is_set_as_the_original_sets_it() {
    let (operator, url) = operator();
    let wide = url.len() + 3;
    let row = |name: &str, active: &str, driver: &str, state: &str, url: &str, version: &str| {
        format!(
            "{name:<8}{active:<9}{driver:<9}{state:<10}{url:<wide$}{:<8}{version:<10}\n",
            ""
        )
    };
    let expected = [
        row("NAME", "ACTIVE", "DRIVER", "STATE", "URL", "")
            .replace(&" ".repeat(18), "SWARM   DOCKER    "),
        row("api", "*", "none", "Running", &url, "v24.0.7"),
        row("Web2", "-", "fake", "Stopped", "", "Unknown"),
        row("web10", "*", "fake", "Running", &url, "v24.0.7"),
    ];
    let shown = operator.types("ls");
    assert_eq!((shown.code, shown.stderr.as_str()), (0, ""));
    let mut lines = shown.stdout.lines();
    let header = lines.next().unwrap();
    assert!(
        header.starts_with("NAME    ACTIVE   DRIVER   STATE     URL"),
        "{header}"
    );
    assert!(header.ends_with("   SWARM   DOCKER    ERRORS"), "{header}");
    assert_eq!(
        lines.map(|line| format!("{line}\n")).collect::<Vec<_>>(),
        expected[1..]
    );
}

#[test]
fn names_alone_are_in_the_order_of_bytes() {
    let (operator, _) = operator();
    operator.types("ls -q").is(0, "Web2\napi\nweb10\n", "");
    fs::create_dir(operator.store().join("machines/empty")).unwrap();
    operator.types("ls -q").is(0, "Web2\napi\nweb10\n", "");
    operator
        .types("ls -q --filter state=stopped")
        .is(0, "Web2\n", "");
    operator
        .types("ls -q --filter driver=FAKE")
        .is(0, "Web2\nweb10\n", "");
}

#[test]
fn filters_choose() {
    let (operator, _) = operator();
    for (filters, names) in [
        ("--filter name=web", "web10\n"),
        ("--filter name=(?i)web", "Web2\nweb10\n"),
        (
            "--filter driver=none --filter DRIVER=fake",
            "api\nWeb2\nweb10\n",
        ),
        ("--filter state=running --filter driver=fake", "web10\n"),
        ("--filter label=role=web", "web10\n"),
        ("--filter label=plain", "Web2\n"),
        ("--filter swarm=lead", ""),
    ] {
        operator
            .types(&format!("ls -f {{{{.Name}}}} {filters}"))
            .is(0, names, "");
    }
    operator
        .types("ls --filter bad")
        .is(1, "", "Unsupported filter syntax\n");
    operator
        .types("ls --filter foo=1")
        .is(1, "", "Unsupported filter key 'foo'\n");
    let said = operator.types("ls -q --filter name=(");
    assert_eq!((said.code, said.stdout.as_str()), (1, ""));
}

#[test]
fn formats_show_fields() {
    let (operator, url) = operator();
    let show = |format: &str| operator.gives(&["ls", "--filter", "name=web10", "-f", format]);
    show("{{.Name}}\\t{{.ActiveHost}} {{.EngineOptions.Labels}} {{.SwarmOptions.Host}}").is(
        0,
        "web10\ttrue [role=Web] tcp://0.0.0.0:3376\n",
        "",
    );
    show("table {{.Name}}\\t{{.URL}}\\t{{.ActiveSwarm}}").is(
        0,
        &format!(
            "NAME    {:<wide$}ACTIVE_SWARM\nweb10   {url:<wide$}false\n",
            "URL",
            wide = url.len() + 3
        ),
        "",
    );
    let response = show("{{.ResponseTime}}").stdout;
    assert!(response.trim_end().ends_with('s'), "{response}");
    let said = show("{{.Nope}}");
    assert_eq!((said.code, said.stdout.as_str()), (1, ""));
    assert!(
        said.stderr
            .starts_with("template: :1:2: executing \"\" at <.Nope>: "),
        "{}",
        said.stderr
    );
    show("{{json .}}").is(1, "", "template: :1: function \"json\" not defined\n");
}

#[test]
fn machines_in_trouble_are_always_shown() {
    let operator = Operator::new();
    operator.machine("good", "tcp://127.0.0.1:1");
    let bad = operator.store().join("machines/bad");
    fs::create_dir(&bad).unwrap();
    fs::write(bad.join("config.json"), "{\"ConfigVersion\": 9}").unwrap();
    operator.machine("gone", "tcp://192.0.2.7:2376");
    let path = operator.store().join("machines/gone/config.json");
    let config = fs::read_to_string(&path).unwrap();
    fs::write(
        &path,
        config.replace("\"DriverName\": \"none\"", "\"DriverName\": \"frob\""),
    )
    .unwrap();
    let shown = operator.types("ls --filter name=^go");
    assert_eq!(shown.code, 0);
    let lines: Vec<&str> = shown.stdout.lines().collect();
    assert!(lines[0].starts_with(HEADER), "{}", shown.stdout);
    assert!(
        lines[1].starts_with("bad             not found   Error   "),
        "{}",
        shown.stdout
    );
    assert!(
        lines[1].contains("config version is from the future"),
        "{}",
        shown.stdout
    );
    let gone = lines[2];
    assert!(
        gone.starts_with("gone   -        not-found   Error   "),
        "{}",
        shown.stdout
    );
    assert!(gone.contains("Unknown"), "{gone}");
    assert!(
        gone.ends_with(
            "Driver \"frob\" not found. Do you have the plugin binary accessible in your PATH?"
        ),
        "{gone}"
    );
    let good = lines[3];
    assert!(
        good.contains("tcp://127.0.0.1:1") && good.contains("Unknown"),
        "{good}"
    );
    assert!(good.contains("Unable to query docker version: "), "{good}");
    operator
        .types("ls -q --filter name=^go")
        .is(0, "gone\ngood\n", "");
    operator
        .types("status gone")
        .is(1, "", "error getting state for host gone: Driver \"frob\" not found. Do you have the plugin binary accessible in your PATH?\n");
}

#[test]
fn machine_that_does_not_answer_in_time_is_told_so() {
    let operator = Operator::new();
    let made = operator.types("create -d fake --fake-slow slow");
    assert_eq!(made.code, 0, "{}", made.stderr);
    operator.types("ls -t 1").is(
        0,
        "NAME   ACTIVE   DRIVER   STATE     URL   SWARM   DOCKER   ERRORS\n\
         slow            fake     Timeout                          \n",
        "",
    );
}
