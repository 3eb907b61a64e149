//! Provisioning over a real SSH server: what is installed, what is left alone.

use std::fs;
use std::path::Path;
use std::time::Duration;

use berth_controller_provision::{
    AgentBinary, Change, Init, Privilege, ProvisionError, Step, probe,
};

use crate::fixture::{Fixture, host};

#[tokio::test]
async fn agent_is_installed_started_and_then_left_alone() {
    let fixture = Fixture::start("");
    let session = fixture.session().await;
    let first = fixture.run(&session).await.unwrap();
    let all = [Change::Binary, Change::Configuration, Change::Certificates];
    assert_eq!(
        (first.changes.as_slice(), first.restarted),
        (&all[..], true)
    );
    assert!(!first.trying, "there is nothing to go back to");
    assert_eq!(first.facts.init, Init::Own);
    assert_eq!(first.facts.privilege, Privilege::Root);
    let modes = host(
        &session,
        "stat -c '%a %n' /etc/berth /etc/berth/* /usr/local/bin/berthd /var/lib/berth; \
         ls -A /usr/local/bin /etc/berth | grep -c '^[.]' || :",
    )
    .await;
    let expected = "700 /etc/berth\n600 /etc/berth/berthd.json\n600 /etc/berth/ca.pem\n\
                    600 /etc/berth/environment\n600 /etc/berth/good\n\
                    600 /etc/berth/server-key.pem\n600 /etc/berth/server.pem\n\
                    755 /usr/local/bin/berthd\n710 /var/lib/berth\n0\n";
    assert_eq!(modes, expected);
    let pid = host(&session, "cat /run/berth/watch.pid").await;
    let environment = format!(
        "tr '\\0' '\\n' </proc/{}/environ | grep HTTP_PROXY",
        pid.trim()
    );
    assert_eq!(
        host(&session, &environment).await,
        "HTTP_PROXY=http://p 1:3128\n"
    );
    let second = fixture.run(&session).await.unwrap();
    assert_eq!((second.changes, second.restarted), (vec![], false));
    assert_eq!(host(&session, "cat /run/berth/watch.pid").await, pid);
}

#[tokio::test]
async fn agent_outlives_the_session() {
    let fixture = Fixture::start("");
    let session = fixture.session().await;
    fixture.run(&session).await.unwrap();
    session.close().await;
    let again = fixture.session().await;
    host(&again, "kill -0 $(cat /run/berth/watch.pid)").await;
}

#[tokio::test]
async fn changed_certificate_restarts_the_agent() {
    let mut fixture = Fixture::start("");
    let session = fixture.session().await;
    fixture.run(&session).await.unwrap();
    let pid = host(&session, "cat /run/berth/watch.pid").await;
    fixture.tls.cert_pem.push_str("more\n");
    let report = fixture.run(&session).await.unwrap();
    assert_eq!(report.changes, [Change::Certificates]);
    assert!(report.restarted);
    assert_ne!(host(&session, "cat /run/berth/watch.pid").await, pid);
}

#[tokio::test]
async fn provisioning_takes_well_under_a_second_without_the_upload() {
    let fixture = Fixture::start("");
    let session = fixture.session().await;
    fixture.run(&session).await.unwrap();
    host(
        &session,
        "kill $(cat /run/berth/watch.pid); rm /run/berth/watch.pid",
    )
    .await;
    let begin = std::time::Instant::now();
    let report = fixture.run(&session).await.unwrap();
    eprintln!("probe, install and start: {:?}", begin.elapsed());
    assert_eq!((report.changes, report.restarted), (vec![], true));
    // On a machine that compiles at the same time; alone it takes a tenth of that.
    assert!(
        begin.elapsed() < Duration::from_secs(4),
        "{:?}",
        begin.elapsed()
    );
}

#[tokio::test]
async fn agent_that_dies_at_once_is_shown_with_what_it_said() {
    let mut fixture = Fixture::start("");
    fixture.config.labels.push("fail".to_owned());
    let session = fixture.session().await;
    let error = fixture.run(&session).await.unwrap_err();
    let text = error.to_string();
    assert!(
        matches!(
            error,
            ProvisionError::Failed {
                step: Step::Start,
                ..
            }
        ),
        "{error:?}"
    );
    assert!(text.contains("address 0.0.0.0:2376 is in use"), "{text}");
    assert!(error.hint().unwrap().contains("port"), "{:?}", error.hint());
    // Once the cause is gone, it goes on without another upload.
    fixture.config.labels.clear();
    let report = fixture.run(&session).await.unwrap();
    assert_eq!(report.changes, [Change::Configuration]);
    assert!(report.restarted);
}

#[tokio::test]
async fn agent_that_was_damaged_on_the_host_is_sent_again() {
    let fixture = Fixture::start("");
    let session = fixture.session().await;
    fixture.run(&session).await.unwrap();
    host(
        &session,
        "rm /usr/local/bin/berthd; echo broken >/usr/local/bin/berthd",
    )
    .await;
    let report = fixture.run(&session).await.unwrap();
    assert_eq!(report.changes, [Change::Binary]);
    assert!(report.restarted);
}

#[tokio::test]
async fn damaged_upload_does_not_replace_the_agent() {
    let fixture = Fixture::start("");
    let session = fixture.session().await;
    // The cache holds something else under the right name.
    let wrong = Fixture::start("")
        .agent
        .compressed(fixture.cache.path())
        .unwrap();
    let other = AgentBinary::open(Path::new("/bin/true")).unwrap();
    fs::copy(
        other
            .compressed(tempfile::tempdir().unwrap().path())
            .unwrap(),
        &wrong,
    )
    .unwrap();
    let error = fixture.run(&session).await.unwrap_err();
    assert!(error.to_string().contains("arrived damaged"), "{error}");
    assert_eq!(
        host(&session, "ls -A /usr/local/bin | grep -c berthd || :").await,
        "0\n"
    );
}

#[tokio::test]
async fn host_without_os_release_and_gzip_is_provisioned() {
    let fixture =
        Fixture::start("rm -f /etc/os-release /usr/lib/os-release; rm -f /bin/gzip /usr/bin/gzip");
    let session = fixture.session().await;
    let report = fixture.run(&session).await.unwrap();
    assert_eq!(report.facts.os.id, "linux");
    assert!(!report.facts.has_gzip);
    assert!(report.changes.contains(&Change::Binary));
}

#[tokio::test]
async fn hosts_with_openrc_and_with_another_processor_are_recognised() {
    let fixture = Fixture::start(
        "mkdir /run/openrc; touch /run/openrc/softlevel
         printf '#!/bin/sh\\n' >/usr/local/bin/rc-service
         printf '#!/bin/sh\\ncase $1 in -m) echo aarch64;; -s) echo Linux;; *) echo 6;; esac\\n' \
            >/usr/local/bin/uname
         chmod 755 /usr/local/bin/rc-service /usr/local/bin/uname",
    );
    let session = fixture.session().await;
    let facts = probe(&session).await.unwrap();
    assert_eq!(facts.init, Init::OpenRc);
    assert_eq!(facts.architecture, "aarch64");
    let error = fixture.run(&session).await.unwrap_err();
    assert!(
        matches!(error, ProvisionError::Architecture { .. }),
        "{error:?}"
    );
}
