//! `create`: the order of what can be wrong, and what is left in the store.

use serde_json::Value;

use crate::support::Operator;

const TO_SEE: &str = "To see how to connect your Docker Client to the Docker Engine running on this virtual machine, run: docker-machine env";

#[test]
fn machine_without_a_driver_is_made() {
    let operator = Operator::new();
    let store = operator.store();
    let store = store.display();
    operator
        .types("create -d none --url tcp://192.0.2.7:2376 far")
        .is(
            0,
            &format!(
                "Creating CA: {store}/certs/ca.pem\n\
             Creating client certificate: {store}/certs/cert.pem\n\
             Running pre-create checks...\nCreating machine...\n{TO_SEE} far\n"
            ),
            "",
        );
    let config = operator.file("machines/far/config.json");
    let expected = format!(
        "{{\n    \"ConfigVersion\": 3,\n    \"Driver\": {{\n        \"IPAddress\": \"192.0.2.7:2376\",\n        \
         \"MachineName\": \"far\",\n        \"SSHUser\": \"\",\n        \"SSHPort\": 0,\n        \
         \"SSHKeyPath\": \"\",\n        \"StorePath\": \"{store}\",\n        \"SwarmMaster\": false,\n        \
         \"SwarmHost\": \"\",\n        \"SwarmDiscovery\": \"\",\n        \"URL\": \"tcp://192.0.2.7:2376\"\n    }},\n    \
         \"DriverName\": \"none\",\n"
    );
    assert!(config.starts_with(&expected), "{config}");
    // Words before the flags mean the same; the authority is there already.
    operator
        .types("create near -d none --url=tcp://192.0.2.8:2376")
        .is(
            0,
            &format!("Running pre-create checks...\nCreating machine...\n{TO_SEE} near\n"),
            "",
        );
    operator.types("ls -q").is(0, "far\nnear\n", "");
    operator.types("create -d none --url tcp://x:1 far").is(
        1,
        "",
        "Docker machine \"far\" already exists\n",
    );
}

#[test]
fn options_are_kept_for_the_tools_that_read_them() {
    let mut operator = Operator::new();
    operator.set("ENGINE_REGISTRY_MIRROR", "http://a, http://b");
    operator.set("FAKE_TAGS", "one");
    operator.set("MACHINE_DRIVER", "fake");
    let made = operator.gives(&[
        "create",
        "--engine-opt",
        "log-driver=journald",
        "--engine-env=HTTP_PROXY=http://p:3128",
        "--engine-insecure-registry",
        "reg:5000",
        "--engine-label",
        "a=b",
        "--engine-storage-driver",
        "overlay2",
        "--tls-san",
        "foo.bar",
        "--swarm",
        "--swarm-master",
        "--swarm-discovery",
        "token://1",
        "--swarm-opt",
        "x=y",
        "--fake-size=0x10",
        "--fake-tag",
        "two",
        "m",
    ]);
    assert_eq!((made.code, made.stderr.as_str()), (0, ""));
    assert!(
        made.stdout.contains("WARNING: Classic swarm is gone."),
        "{}",
        made.stdout
    );
    assert!(
        made.stdout.contains("\n(m) Waiting for an IP...\n"),
        "{}",
        made.stdout
    );
    let config: Value = serde_json::from_str(&operator.file("machines/m/config.json")).unwrap();
    assert_eq!(config["Driver"]["Size"], 16);
    assert_eq!(config["Driver"]["Tags"], serde_json::json!(["one", "two"]));
    let options = &config["HostOptions"];
    let engine = &options["EngineOptions"];
    assert_eq!(engine["ArbitraryFlags"][0], "log-driver=journald");
    assert_eq!(engine["Env"][0], "HTTP_PROXY=http://p:3128");
    assert_eq!(engine["InsecureRegistry"][0], "reg:5000");
    assert_eq!(engine["Labels"][0], "a=b");
    assert_eq!(
        engine["RegistryMirror"],
        serde_json::json!(["http://a", "http://b"])
    );
    assert_eq!(engine["StorageDriver"], "overlay2");
    assert_eq!(engine["InstallURL"], "https://get.docker.com");
    assert_eq!(options["AuthOptions"]["ServerCertSANs"][0], "foo.bar");
    let swarm = &options["SwarmOptions"];
    assert_eq!(swarm["IsSwarm"], true);
    assert_eq!(swarm["Master"], true);
    assert_eq!(swarm["Discovery"], "token://1");
    assert_eq!(swarm["ArbitraryFlags"][0], "x=y");
    assert_eq!(swarm["Host"], "tcp://0.0.0.0:3376");
}

#[test]
fn mistakes_come_in_the_originals_order() {
    let operator = Operator::new();
    operator.machine("here", "tcp://192.0.2.7:2376");
    for (line, said) in [
        (
            "create -d none --url u NAME --engine-label x",
            "Invalid command line. Found extra arguments [--engine-label x]\n",
        ),
        (
            "create -d none a b c",
            "Invalid command line. Found extra arguments [b c]\n",
        ),
        (
            "create -d none --swarm-discovery x a_b",
            "Error creating machine: Invalid hostname specified. Allowed hostname chars are: 0-9a-zA-Z . -\n",
        ),
        (
            "create -d none --swarm-discovery x here",
            "Error parsing swarm discovery: Swarm Discovery URL was in the wrong format: x\n",
        ),
        (
            "create -d none here",
            "Docker machine \"here\" already exists\n",
        ),
        (
            "create -d none m",
            "Error setting machine configuration from flags provided: --url option is required when no driver is selected\n",
        ),
        (
            "create -d frob m",
            "Driver \"frob\" not found. Do you have the plugin binary \"docker-machine-driver-frob\" accessible in your PATH?\n\
             Name one with --driver; part of this program are: fake, generic, none\n",
        ),
        (
            "create m",
            "Driver \"virtualbox\" not found. Do you have the plugin binary \"docker-machine-driver-virtualbox\" accessible in your PATH?\n\
             Name one with --driver; part of this program are: fake, generic, none\n",
        ),
    ] {
        let failed = operator.types(line);
        assert_eq!((failed.code, failed.stderr.as_str()), (1, said), "{line}");
    }
    // Nothing of all that has left anything.
    operator.types("ls -q").is(0, "here\n", "");
}

#[test]
fn words_of_create_that_make_no_sense_are_a_failure() {
    let operator = Operator::new();
    let page = operator.types("create -d none --help").stdout;
    operator.types("create -d none --frob m").is(
        1,
        &format!("Incorrect Usage.\n\n{page}"),
        "flag provided but not defined: -frob\n",
    );
    operator
        .types("create -d none")
        .is(1, &page, "Error: No machine name specified\n");
}

#[test]
fn usual_driver_that_is_not_there_is_told_last() {
    let mut operator = Operator::new();
    let page = operator.types("create --help");
    assert_eq!((page.code, page.stderr.as_str()), (0, ""));
    assert!(page.stdout.contains("--engine-opt"), "{}", page.stdout);
    let page = page.stdout;
    operator
        .types("create")
        .is(1, &page, "Error: No machine name specified\n");
    operator.types("create --frob m").is(
        1,
        &format!("Incorrect Usage.\n\n{page}"),
        "flag provided but not defined: -frob\n",
    );
    operator
        .types("create a b")
        .is(1, "", "Invalid command line. Found extra arguments [b]\n");
    operator.types("create a_b").is(
        1,
        "",
        "Error creating machine: Invalid hostname specified. Allowed hostname chars are: \
         0-9a-zA-Z . -\n",
    );
    // Whoever names a driver wants to know its flags.
    let failed = operator.types("create -d frob --help");
    assert_eq!((failed.code, failed.stdout.as_str()), (1, ""));
    assert!(failed.stderr.starts_with("Driver \"frob\" not found."));
    operator.set("MACHINE_DRIVER", "frob");
    assert_eq!(operator.types("create --help").code, 1);
}

#[test]
fn driver_that_fails_says_where() {
    let operator = Operator::new();
    operator.machine("other", "tcp://192.0.2.7:2376");
    let fail = |at: &str| operator.types(&format!("create -d fake --fake-fails {at} m"));
    fail("check").is(
        3,
        "Running pre-create checks...\n",
        "Error with pre-create check: \"cannot check: out of luck\"\n",
    );
    operator.types("ls -q").is(0, "other\n", "");
    let failed = fail("create");
    assert_eq!(
        (failed.code, failed.stderr.as_str()),
        (
            1,
            "Error creating machine: Error in driver during machine creation: cannot create: out of luck\n"
        )
    );
    // What was begun can be inspected, and removed.
    assert_eq!(
        operator.types("inspect m -f {{.DriverName}}").stdout,
        "fake\n"
    );
    assert_eq!(operator.types("rm -y m").code, 0);
    let failed = fail("flags");
    assert_eq!(
        failed.stderr,
        "Error setting machine configuration from flags provided: flag --fake-fails says so\n"
    );
}
