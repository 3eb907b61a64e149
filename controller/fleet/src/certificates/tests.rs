//! The authority and the files of machines, however they were found.

use std::fs;
use std::path::Path;
use std::thread;

use berth_controller_pki::{Authority, CertificateFacts, ServerIdentity, Validity, key_belongs};
use berth_controller_store::{
    Engine, EngineOptions, HostConfig, MachineName, MachineRecord, SideRecord, Store, write_private,
};
use serde_json::json;
use time::{Duration, OffsetDateTime};

use super::due::{Book, Due, ServerDue};
use super::machine::OnHost;
use super::register::Register;
use super::{CredentialsError, authority, confirm, foreign_issuer, machine_files};

fn store() -> (tempfile::TempDir, Store) {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(root.path()).unwrap();
    (root, store)
}

fn facts(path: &Path) -> CertificateFacts {
    CertificateFacts::parse(&fs::read_to_string(path).unwrap()).unwrap()
}

fn record(store: &Store, name: &str) -> MachineRecord {
    let name: MachineName = name.parse().unwrap();
    let place = (&store.certs(), &store.machine(&name));
    let engine = EngineOptions::default();
    let mut config = HostConfig::new(&name, "generic", &engine, &[], place);
    config.set_driver(json!({"IPAddress": "10.0.0.1"}));
    let side = SideRecord {
        stable_name: Some("demo.0.berth".to_owned()),
        ..SideRecord::default()
    };
    let record = MachineRecord { name, config, side };
    store.save(&record).unwrap();
    record
}

fn identity(address: &str) -> ServerIdentity {
    ServerIdentity {
        stable_name: "demo.0.berth".to_owned(),
        names: vec![address.to_owned()],
    }
}

/// Makes a machine whose files are all as they should be.
fn settled(store: &Store) -> MachineRecord {
    let mut record = record(store, "demo");
    let authority = authority(store).unwrap();
    let host = OnHost::default();
    let identity = identity("10.0.0.1");
    let tls = machine_files(store, &mut record, &authority, &identity, &host).unwrap();
    confirm(store, &mut record, &tls, &identity).unwrap();
    store.save(&record).unwrap();
    record
}

fn due(store: &Store, record: &MachineRecord) -> Due {
    let paths = store.machine(&record.name);
    Book::load(store).unwrap().due(record, &paths)
}

#[test]
fn eight_first_creates_at_once_give_one_authority() {
    let (_root, store) = store();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| authority(&store).unwrap().certificate_pem().to_owned()))
            .collect();
        let seen: Vec<String> = workers.into_iter().map(|w| w.join().unwrap()).collect();
        assert!(seen.iter().all(|certificate| *certificate == seen[0]));
    });
    let paths = store.certs();
    assert!(facts(&paths.cert).is_signed_by(&facts(&paths.ca)));
}

#[test]
fn lost_authority_certificate_comes_back_from_a_machines_copy() {
    let (_root, store) = store();
    settled(&store);
    let paths = store.certs();
    let before = facts(&paths.ca);
    fs::remove_file(&paths.ca).unwrap();
    authority(&store).unwrap();
    assert_eq!(facts(&paths.ca), before);
}

#[test]
fn lost_authority_certificate_is_made_again_only_while_nobody_trusts_another() {
    let (_root, store) = store();
    authority(&store).unwrap();
    let paths = store.certs();
    let (before, client) = (facts(&paths.ca), fs::read(&paths.cert).unwrap());
    fs::remove_file(&paths.ca).unwrap();
    authority(&store).unwrap();
    assert_ne!(facts(&paths.ca), before);
    assert_eq!(
        fs::read(&paths.cert).unwrap(),
        client,
        "the key is the same"
    );

    let record = record(&store, "demo");
    let other = Authority::create("other", OffsetDateTime::now_utc()).unwrap();
    let copy = store.machine(&record.name).ca;
    write_private(&copy, other.certificate_pem().as_bytes()).unwrap();
    fs::remove_file(&paths.ca).unwrap();
    let error = authority(&store).unwrap_err();
    assert!(
        matches!(&error, CredentialsError::Lost { machine, .. } if machine == "demo"),
        "{error}"
    );
    fs::remove_file(&paths.ca_key).unwrap();
    let error = authority(&store).unwrap_err();
    assert!(matches!(error, CredentialsError::Lost { .. }), "{error}");
    assert!(error.hint().unwrap().contains("rotate-ca"));
    assert!(!paths.ca.exists() && !paths.ca_key.exists());
}

#[test]
fn machines_that_others_have_shared_do_not_keep_the_first_authority_from_being_made() {
    let (_root, store) = store();
    let mut record = record(&store, "shared");
    let other = Authority::create("other", OffsetDateTime::now_utc()).unwrap();
    let pem = other.certificate_pem();
    write_private(&store.machine(&record.name).ca, pem.as_bytes()).unwrap();
    record.side.trusted = vec![pem.to_owned()];
    store.save(&record).unwrap();
    authority(&store).unwrap();
    assert!(
        due(&store, &record).is_nothing(),
        "it is theirs to look after"
    );
}

#[test]
fn missing_key_is_said() {
    let (_root, store) = store();
    authority(&store).unwrap();
    fs::remove_file(store.certs().ca_key).unwrap();
    let error = authority(&store).unwrap_err();
    assert!(
        matches!(error, CredentialsError::KeyMissing { .. }),
        "{error}"
    );
}

#[test]
fn ending_authority_is_renewed_with_its_key_and_machines_hear_of_it() {
    let (_root, store) = store();
    let old = Authority::create("me", OffsetDateTime::now_utc() - Duration::days(3700)).unwrap();
    let paths = store.certs();
    write_private(&paths.ca, old.certificate_pem().as_bytes()).unwrap();
    write_private(&paths.ca_key, old.key_pem().as_bytes()).unwrap();
    let expired = facts(&paths.ca);
    assert!(expired.validity().is_over(OffsetDateTime::now_utc()));
    let mut record = record(&store, "demo");
    let files = store.machine(&record.name);
    write_private(&files.ca, old.certificate_pem().as_bytes()).unwrap();
    record.side.authorities = vec![expired.fingerprint()];
    authority(&store).unwrap();
    let renewed = facts(&paths.ca);
    assert!(!renewed.validity().is_over(OffsetDateTime::now_utc()));
    assert!(facts(&paths.cert).is_signed_by(&expired));
    let due = due(&store, &record);
    assert!(due.introduce && due.bundle, "{due:?}");
    assert_eq!(due.remove, [expired.fingerprint()]);
}

#[test]
fn change_of_the_authority_that_was_cut_off_is_finished() {
    let (_root, store) = store();
    let old = authority(&store).unwrap();
    let paths = store.certs();
    let new = Authority::create("me", OffsetDateTime::now_utc()).unwrap();
    let next = authority::next_key(&paths);
    write_private(&next, new.key_pem().as_bytes()).unwrap();
    // Before the certificate is in its place, nothing has changed.
    assert_eq!(
        authority(&store).unwrap().certificate_pem(),
        old.certificate_pem()
    );
    let both = format!("{}{}", new.certificate_pem(), old.certificate_pem());
    write_private(&paths.ca, both.as_bytes()).unwrap();
    assert_eq!(
        authority(&store).unwrap().certificate_pem(),
        new.certificate_pem()
    );
    assert!(!next.exists());
    assert!(facts(&paths.cert).is_signed_by(&facts(&paths.ca)));
}

#[test]
fn certificate_is_made_again_only_for_new_names() {
    let (_root, store) = store();
    let authority = authority(&store).unwrap();
    let mut record = record(&store, "demo");
    let host = OnHost::default();
    let mut files = |address: &str, host: &OnHost| {
        machine_files(&store, &mut record, &authority, &identity(address), host).unwrap()
    };
    let first = files("10.0.0.1", &host);
    assert_eq!(files("10.0.0.1", &host), first);
    let second = files("10.0.0.2", &host);
    assert_ne!(second, first);
    // A crash between the two files leaves a key that is not the certificate's.
    let name: MachineName = "demo".parse().unwrap();
    let paths = store.machine(&name);
    let next = paths.directory.join("next-server-key.pem");
    fs::write(&next, &first.key_pem).unwrap();
    let third = files("10.0.0.2", &host);
    assert!(key_belongs(&third.key_pem, &third.cert_pem));
    // The agent has made a key since, which nobody else knows.
    fs::remove_file(&next).unwrap();
    let on_host = OnHost {
        ca: String::new(),
        cert: third.cert_pem.clone(),
    };
    let fourth = files("10.0.0.2", &on_host);
    assert_eq!(
        (fourth.cert_pem, fourth.key_pem.as_str()),
        (third.cert_pem, "")
    );
}

#[test]
fn whoever_else_the_agent_trusts_stays_trusted_and_who_is_retired_does_not() {
    let (_root, store) = store();
    let mut record = settled(&store);
    let now = OffsetDateTime::now_utc();
    let (friend, gone) = (
        Authority::create("friend", now).unwrap(),
        Authority::create("me", now).unwrap(),
    );
    let retired = CertificateFacts::parse(gone.certificate_pem()).unwrap();
    let mut register = Register::load(&store).unwrap();
    register.retired.push(retired.fingerprint());
    register.save(&store).unwrap();
    let own = authority(&store).unwrap();
    let host = OnHost {
        ca: format!("{}{}", friend.certificate_pem(), gone.certificate_pem()),
        cert: String::new(),
    };
    let tls = machine_files(&store, &mut record, &own, &identity("10.0.0.1"), &host).unwrap();
    let trusted = CertificateFacts::parse_all(&tls.ca_pem).unwrap();
    let friend = CertificateFacts::parse(friend.certificate_pem()).unwrap();
    assert!(trusted.contains(&friend) && !trusted.contains(&retired));
    assert!(trusted.contains(&facts(&store.certs().ca)));
}

#[test]
fn certificate_that_the_host_has_not_kept_is_not_on_record() {
    let (_root, store) = store();
    let mut record = settled(&store);
    let own = authority(&store).unwrap();
    let paths = store.machine(&record.name);
    let before = fs::read_to_string(&paths.server).unwrap();
    let on_host = OnHost {
        ca: fs::read_to_string(&paths.ca).unwrap(),
        cert: before.clone(),
    };
    let moved = identity("10.0.0.2");
    let offered = machine_files(&store, &mut record, &own, &moved, &on_host).unwrap();
    assert_ne!(offered.cert_pem, before);
    // The host has taken the former agent back, so nothing is confirmed.
    assert_eq!(fs::read_to_string(&paths.server).unwrap(), before);
    // The host has kept it, and nobody has heard: its key is still there to be sent again.
    let on_host = OnHost {
        cert: offered.cert_pem.clone(),
        ..on_host
    };
    let again = machine_files(&store, &mut record, &own, &moved, &on_host).unwrap();
    assert_eq!(again, offered);
    confirm(&store, &mut record, &again, &moved).unwrap();
    let kept = fs::read_to_string(&paths.server).unwrap();
    assert_eq!(kept, offered.cert_pem);
    let key = fs::read_to_string(&paths.server_key).unwrap();
    assert!(key_belongs(&key, &kept));
    assert!(!paths.directory.join("next-server-key.pem").exists());
    assert_eq!(record.side.certificate_names, ["10.0.0.2"]);
}

#[test]
fn authority_of_the_former_certificate_is_trusted_until_the_host_has_kept_the_new_one() {
    let (_root, store) = store();
    let mut record = settled(&store);
    let paths = store.machine(&record.name);
    let former = facts(&paths.ca);
    let now = OffsetDateTime::now_utc();
    let own = Authority::create("me", now).unwrap();
    let mut register = Register::load(&store).unwrap();
    register.retired.push(former.fingerprint());
    register.save(&store).unwrap();
    write_private(&store.certs().ca_key, own.key_pem().as_bytes()).unwrap();
    write_private(&store.certs().ca, own.certificate_pem().as_bytes()).unwrap();
    let (host, identity) = (OnHost::default(), identity("10.0.0.1"));
    let tls = machine_files(&store, &mut record, &own, &identity, &host).unwrap();
    let bundle = || CertificateFacts::parse_all(&fs::read_to_string(&paths.ca).unwrap()).unwrap();
    assert!(bundle().contains(&former));
    confirm(&store, &mut record, &tls, &identity).unwrap();
    assert!(!bundle().contains(&former));
}

#[test]
fn certificate_of_somebody_who_shares_the_machine_stays() {
    let (_root, store) = store();
    let mut record = settled(&store);
    let own = authority(&store).unwrap();
    let now = OffsetDateTime::now_utc();
    let friend = Authority::create("friend", now).unwrap();
    let theirs = |authority: &Authority| {
        let named = ServerIdentity {
            stable_name: "theirs.1.berth".to_owned(),
            names: vec!["172.16.0.1".to_owned()],
        };
        let issued = authority.issue_server(&named, now).unwrap();
        OnHost {
            ca: authority.certificate_pem().to_owned(),
            cert: issued.certificate_pem,
        }
    };
    let on_host = theirs(&friend);
    // Somebody whom this operator does not share the machine with has no say.
    assert!(foreign_issuer(&store, &record, &on_host).unwrap().is_none());
    record.side.trusted = vec![friend.certificate_pem().to_owned()];
    // Also when they have moved to another authority meanwhile.
    let later = Authority::create("friend", now).unwrap();
    for (authority, on_host) in [(&friend, on_host), (&later, theirs(&later))] {
        let identity = identity("10.0.0.1");
        let tls = machine_files(&store, &mut record, &own, &identity, &on_host).unwrap();
        assert_eq!((&tls.cert_pem, tls.key_pem.as_str()), (&on_host.cert, ""));
        let issuer = CertificateFacts::parse(authority.certificate_pem()).unwrap();
        let paths = store.machine(&record.name);
        let known = CertificateFacts::parse_all(&fs::read_to_string(&paths.ca).unwrap()).unwrap();
        assert!(known.contains(&issuer) && known.contains(&facts(&store.certs().ca)));
        let trusted = CertificateFacts::parse_all(&tls.ca_pem).unwrap();
        assert!(trusted.contains(&issuer) && trusted.contains(&facts(&store.certs().ca)));
        confirm(&store, &mut record, &tls, &identity).unwrap();
        assert!(
            record
                .side
                .certificate_names
                .contains(&"172.16.0.1".to_owned())
        );
        assert_eq!(due(&store, &record).server, None, "theirs to renew");
    }
}

#[test]
fn what_is_due_is_seen_from_the_files() {
    let (_root, store) = store();
    let mut record = settled(&store);
    assert!(
        due(&store, &record).is_nothing(),
        "{:?}",
        due(&store, &record)
    );
    let paths = store.machine(&record.name);
    let own = authority(&store).unwrap();
    let now = OffsetDateTime::now_utc();
    let put = |from: i64, days: i64, address: &str| {
        let validity = Validity {
            not_before: now - Duration::days(from),
            not_after: now + Duration::days(days),
        };
        let issued = own.issue_server(&identity(address), validity).unwrap();
        write_private(&paths.server, issued.certificate_pem.as_bytes()).unwrap();
    };
    for (from, days, address, expected) in [
        (1, 900, "10.0.0.1", None),
        (1000, 20, "10.0.0.1", Some(ServerDue::Ending)),
        (1000, -1, "10.0.0.1", Some(ServerDue::Over)),
        (1, 900, "10.0.0.2", Some(ServerDue::Names)),
    ] {
        put(from, days, address);
        assert_eq!(due(&store, &record).server, expected, "{days} {address}");
    }
    put(1, 900, "10.0.0.1");
    fs::write(&paths.cert, "another").unwrap();
    assert!(due(&store, &record).client_copy);
    record.side.engine = Engine::Docker;
    assert!(
        due(&store, &record).is_nothing(),
        "Docker's daemon is not ours"
    );
}
