//! Machines that go from one operator to another, and machines of docker-machine.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed, and should say where"
)]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;

use berth_controller_fleet::{
    DockerMachineError, ExportOptions, Fleet, ImportError, ImportOptions, Progress, SealError,
    Silent, SshError,
};
use berth_controller_pki::{CertificateFacts, key_belongs};
use berth_controller_store::{EngineOptions, HostConfig, MachineRecord, SideRecord, Store};
use berth_provisioners_api::Registry;
use berth_provisioners_generic::GenericDriver;
use serde_json::json;

fn fleet(root: &Path) -> Fleet {
    Fleet::open(root, Registry::new().with(GenericDriver)).unwrap()
}

async fn export(fleet: &Fleet, passphrase: &str) -> Vec<u8> {
    let exported = fleet
        .export("demo", passphrase, &ExportOptions::default(), &Silent)
        .await;
    exported.unwrap().bundle
}

/// Makes a machine as `create` leaves it.
fn machine(store: &Store, name: &str) {
    let name = name.parse().unwrap();
    let (certs, paths) = (store.certs(), store.machine(&name));
    let mut config = HostConfig::new(
        &name,
        "generic",
        &EngineOptions::default(),
        &["extra.example.org".to_owned()],
        (&certs, &paths),
    );
    config.set_driver(json!({
        "IPAddress": "192.0.2.7", "MachineName": name.as_str(), "SSHUser": "root", "SSHPort": 2222,
        "SSHKeyPath": paths.directory.join("id_ed25519"), "StorePath": store.root(),
        "EnginePort": 2377, "SSHKey": "/home/me/id_ed25519", "Later": [1],
    }));
    let side = SideRecord {
        stable_name: Some("demo.1234.berth".to_owned()),
        host_key: Some("ssh-ed25519 AAAA".to_owned()),
        ..SideRecord::default()
    };
    let record = MachineRecord { name, config, side };
    store.save(&record).unwrap();
    for file in ["ca.pem", "cert.pem", "key.pem", "server.pem", "id_ed25519"] {
        fs::write(paths.directory.join(file), format!("content of {file}")).unwrap();
    }
    fs::create_dir(paths.directory.join("disks")).unwrap();
    fs::write(paths.directory.join("disk.img"), vec![0; 300 * 1024]).unwrap();
}

#[tokio::test]
async fn imported_machine_is_the_exported_one_in_its_new_place() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let from = fleet(one.path());
    machine(from.store(), "demo");
    let sealed = export(&from, "open sesame").await;
    assert!(!String::from_utf8_lossy(&sealed).contains("content of"));
    let to = fleet(two.path());
    let import = |passphrase: &str, name: Option<&str>| {
        let options = ImportOptions {
            name: name.map(ToOwned::to_owned),
            ..ImportOptions::default()
        };
        to.import(&sealed, passphrase, &options, &Silent)
    };
    assert!(matches!(
        import("wrong", None),
        Err(ImportError::Seal(SealError::Passphrase))
    ));
    assert_eq!(
        import("open sesame", Some("theirs")).unwrap().name,
        "theirs"
    );
    assert!(matches!(
        import("open sesame", Some("theirs")),
        Err(ImportError::Exists(_))
    ));
    let folder = two.path().join("machines/theirs");
    let record = to.store().load(&"theirs".parse().unwrap()).unwrap();
    let driver = record.config.driver();
    assert_eq!(
        driver["SSHKeyPath"],
        folder.join("id_ed25519").to_str().unwrap()
    );
    assert_eq!(driver["MachineName"], "theirs");
    assert_eq!(driver["Later"][0], 1);
    assert_eq!(record.config.certificate_names(), ["extra.example.org"]);
    assert_eq!(record.side.stable_name.as_deref(), Some("demo.1234.berth"));
    assert_eq!(record.side.trusted, ["content of ca.pem"]);
    assert_eq!(to.url("theirs").await.unwrap(), "tcp://192.0.2.7:2377");
    let text = fs::read_to_string(folder.join("config.json")).unwrap();
    assert!(!text.contains(one.path().to_str().unwrap()), "{text}");
    assert_eq!(
        fs::read_to_string(folder.join("key.pem")).unwrap(),
        "content of key.pem"
    );
    assert!(!folder.join("disk.img").exists() && !folder.join("disks").exists());
}

/// Keeps what an operator is told.
#[derive(Debug, Default)]
struct Told(Mutex<String>);

impl Progress for Told {
    fn step(&self, _machine: &str, _text: &str) {}

    fn notice(&self, _machine: &str, text: &str) {
        self.0.lock().unwrap().push_str(text);
    }
}

#[tokio::test]
async fn bundle_has_a_certificate_of_its_own_and_no_key_of_others() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let from = fleet(one.path());
    machine(from.store(), "demo");
    from.ensure_authority().unwrap();
    let folder = one.path().join("machines/demo");
    for file in ["ca.pem", "cert.pem", "key.pem"] {
        fs::copy(one.path().join("certs").join(file), folder.join(file)).unwrap();
    }
    for file in [
        "server-key.pem",
        "next-server-key.pem",
        "config.json.bak",
        "config.json.tmp123",
        "ssh_host_ed25519_key",
    ] {
        fs::write(folder.join(file), "stays at home").unwrap();
    }
    let mut record = from.store().load(&"demo".parse().unwrap()).unwrap();
    let mut driver = record.config.driver().clone();
    driver["AccessToken"] = json!("t0ken");
    record.config.set_driver(driver);
    from.store().save(&record).unwrap();

    let told = Told::default();
    let options = ExportOptions {
        client: Some("for-ann.berth".to_owned()),
        ..ExportOptions::default()
    };
    let first = from.export("demo", "p", &options, &told).await.unwrap();
    assert_eq!(first.client.as_deref(), Some("for-ann.berth"));
    let second = from.export("demo", "p", &options, &told).await.unwrap();
    assert_eq!(second.client.as_deref(), Some("for-ann.berth-2"));
    let told = told.0.into_inner().unwrap();
    for said in [
        "revoke-client for-ann.berth",
        "AccessToken",
        "/home/me/id_ed25519",
    ] {
        assert!(told.contains(said), "{said}: {told}");
    }
    assert!(!told.contains("t0ken"), "{told}");

    let to = fleet(two.path());
    let imported = two.path().join("machines/demo");
    to.import(&first.bundle, "p", &ImportOptions::default(), &Silent)
        .unwrap();
    let files: Vec<String> = fs::read_dir(&imported)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    for file in &files {
        let text = fs::read_to_string(imported.join(file)).unwrap();
        assert!(!text.contains("stays at home"), "{file}");
    }
    assert!(!files.contains(&"server-key.pem".to_owned()), "{files:?}");
    let read = |folder: &Path, file: &str| fs::read_to_string(folder.join(file)).unwrap();
    assert_ne!(read(&imported, "key.pem"), read(&folder, "key.pem"));
    let pem = read(&imported, "cert.pem");
    let certificate = CertificateFacts::parse(&pem).unwrap();
    let authority = CertificateFacts::parse(&read(&one.path().join("certs"), "ca.pem")).unwrap();
    assert!(certificate.is_signed_by(&authority));
    assert!(key_belongs(&read(&imported, "key.pem"), &pem));

    let report = from.revoke_client("for-ann.berth", &Silent).await.unwrap();
    assert_eq!(
        report.revoked,
        [(certificate.fingerprint(), "for-ann.berth".to_owned())]
    );
    assert!(!report.own_replaced, "the operator's own stays good");

    // Whoever was given the machine gives on what they have, and is told so.
    let told = Told::default();
    let again = to.export("demo", "p", &options, &told).await.unwrap();
    assert_eq!(again.client, None);
    let told = told.0.into_inner().unwrap();
    assert!(told.contains("only whoever gave it to you"), "{told}");
}

#[tokio::test]
async fn torn_bundles_leave_nothing_behind() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let from = fleet(one.path());
    machine(from.store(), "demo");
    let sealed = export(&from, "p").await;
    let to = fleet(two.path());
    for length in [0, 20, 200, sealed.len() / 2, sealed.len() - 1] {
        to.import(&sealed[..length], "p", &ImportOptions::default(), &Silent)
            .unwrap_err();
    }
    let bad_name = ImportOptions {
        name: Some("../x".to_owned()),
        ..ImportOptions::default()
    };
    to.import(&sealed, "p", &bad_name, &Silent).unwrap_err();
    assert_eq!(to.names().unwrap(), Vec::<String>::new());
    let left = |folder: &str| fs::read_dir(two.path().join(folder)).unwrap().count();
    assert_eq!(left("machines"), 0);
}

#[tokio::test]
async fn bundle_whose_host_or_user_is_an_option_is_refused() {
    for (key, value) in [
        ("SSHUser", "-oProxyCommand=touch /tmp/x;#"),
        ("IPAddress", "$(touch${IFS}/tmp/x)"),
        ("IPAddress", "-oProxyCommand=id"),
    ] {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let from = fleet(one.path());
        machine(from.store(), "demo");
        let mut record = from.store().load(&"demo".parse().unwrap()).unwrap();
        let mut driver = record.config.driver().clone();
        driver[key] = json!(value);
        record.config.set_driver(driver);
        record.side.host_key = None;
        from.store().save(&record).unwrap();
        let sealed = export(&from, "p").await;
        let to = fleet(two.path());
        let refused = to.import(&sealed, "p", &ImportOptions::default(), &Silent);
        assert!(matches!(refused, Err(ImportError::Names(_))), "{refused:?}");
        assert_eq!(to.names().unwrap(), Vec::<String>::new());
        // Nor does a machine that is there already with such a name lead anywhere.
        let refused = from.ssh("demo").await.unwrap_err();
        assert!(matches!(refused, SshError::Config { .. }), "{refused:?}");
    }
}

#[tokio::test]
async fn references_to_secrets_are_not_followed_for_strangers() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let from = fleet(one.path());
    machine(from.store(), "demo");
    let mut record = from.store().load(&"demo".parse().unwrap()).unwrap();
    let secret = one.path().join("secret");
    fs::write(&secret, "s3cret-value").unwrap();
    let reference = format!("file:{}", secret.display());
    record
        .side
        .secrets
        .insert("x-token".to_owned(), reference.clone());
    from.store().save(&record).unwrap();
    let sealed = export(&from, "p").await;
    let to = fleet(two.path());
    let mut options = ImportOptions::default();
    to.import(&sealed, "p", &options, &Silent).unwrap();
    let imported = |name: &str| {
        to.store()
            .load(&name.parse().unwrap())
            .unwrap()
            .side
            .secrets
    };
    assert!(imported("demo").is_empty());
    options.keep_secret_references = true;
    options.name = Some("trusted".to_owned());
    to.import(&sealed, "p", &options, &Silent).unwrap();
    assert_eq!(imported("trusted")["x-token"], reference);
}

/// Makes a store as docker-machine leaves it, certificates of openssl and all.
fn docker_machine_store(root: &Path, name: &str) {
    let folder = root.join("machines").join(name);
    fs::create_dir_all(&folder).unwrap();
    fs::create_dir_all(root.join("certs")).unwrap();
    let script = r#"set -e; cd certs
openssl genrsa -traditional -out ca-key.pem 2048
openssl req -x509 -new -key ca-key.pem -days 1080 -subj /O=me -out ca.pem \
  -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,digitalSignature,keyEncipherment,keyAgreement,keyCertSign
openssl genrsa -traditional -out key.pem 2048
openssl req -new -key key.pem -subj '/O=me.<bootstrap>' -out cert.csr
printf 'extendedKeyUsage=clientAuth\nkeyUsage=critical,digitalSignature\n' >ext
openssl x509 -req -in cert.csr -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days 1080 -extfile ext -out cert.pem
rm -f ext cert.csr ca.srl"#;
    let output = Command::new("sh")
        .args(["-c", script])
        .current_dir(root)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    for file in ["ca.pem", "cert.pem", "key.pem"] {
        fs::copy(root.join("certs").join(file), folder.join(file)).unwrap();
    }
    fs::write(folder.join("id_rsa"), "a key").unwrap();
    let config = json!({
        "ConfigVersion": 3,
        "Driver": {
            "IPAddress": "192.0.2.9", "MachineName": name, "SSHUser": "root", "SSHPort": 22,
            "SSHKeyPath": folder.join("id_rsa"), "StorePath": root, "EnginePort": 2376,
        },
        "DriverName": "generic",
        "HostOptions": {
            "EngineOptions": {"Labels": ["a=b"], "TlsVerify": true},
            "AuthOptions": {
                "CertDir": root.join("certs"), "CaCertPath": root.join("certs/ca.pem"),
                "StorePath": folder, "ServerCertSANs": [],
            },
        },
        "Name": name,
    });
    fs::write(folder.join("config.json"), config.to_string()).unwrap();
}

#[tokio::test]
async fn machines_of_docker_machine_are_copied_with_their_authority() {
    let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    docker_machine_store(old.path(), "web");
    let before = listing(old.path());
    let fleet = fleet(new.path());
    assert_eq!(fleet.docker_machines(old.path()).unwrap(), ["web"]);
    let taken = fleet
        .take_docker_machine(old.path(), "web", &Silent)
        .unwrap();
    assert!(taken.has_driver && !taken.in_place);
    assert!(fleet.is_docker("web").unwrap());
    assert_eq!(fleet.url("web").await.unwrap(), "tcp://192.0.2.9:2376");
    let text = fs::read_to_string(new.path().join("machines/web/config.json")).unwrap();
    assert!(!text.contains(old.path().to_str().unwrap()), "{text}");
    assert!(text.contains("machines/web/id_rsa"), "{text}");
    // docker-machine's authority signs on: RSA, its key in the form of PKCS#1.
    fleet.ensure_authority().unwrap();
    let read = |root: &Path| fs::read_to_string(root.join("certs/ca.pem")).unwrap();
    assert_eq!(read(new.path()), read(old.path()));
    assert!(matches!(
        fleet.take_docker_machine(old.path(), "web", &Silent),
        Err(DockerMachineError::Exists(_))
    ));
    assert_eq!(listing(old.path()), before, "the other store is as it was");
}

#[test]
fn what_cannot_be_copied_is_said() {
    let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    docker_machine_store(old.path(), "vm");
    fs::write(old.path().join("machines/vm/disk.vmdk"), vec![0; 400_000]).unwrap();
    let fleet = fleet(new.path());
    let error = fleet
        .take_docker_machine(old.path(), "vm", &Silent)
        .unwrap_err();
    assert!(
        matches!(error, DockerMachineError::Disks { .. }),
        "{error:?}"
    );
    assert!(error.hint().unwrap().contains("--storage-path"));
    fleet
        .take_docker_machine(old.path(), "nobody", &Silent)
        .unwrap_err();
    assert!(matches!(
        fleet.docker_machines(&old.path().join("none")),
        Err(DockerMachineError::NoStore { .. })
    ));
    assert!(fleet.names().unwrap().is_empty());
    // In its own store it is used as it is.
    let own = self::fleet(old.path());
    assert!(own.is_docker("vm").unwrap());
    assert!(
        own.take_docker_machine(old.path(), "vm", &Silent)
            .unwrap()
            .in_place
    );
    assert!(own.is_docker("vm").unwrap());
}

fn listing(folder: &Path) -> String {
    let output = Command::new("sh")
        .args([
            "-c",
            "find . -type f | sort | xargs sha256sum; find . | sort",
        ])
        .current_dir(folder)
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}
