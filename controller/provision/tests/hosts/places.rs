//! Hosts whose file systems, clocks or policies are in the way.

use berth_controller_provision::{ProvisionError, Selinux, Shortage, probe};

use crate::fixture::{Fixture, host};

const READ_ONLY: &str = "mount --bind /usr/local/bin /usr/local/bin
    mount -o remount,bind,ro /usr/local/bin";

#[tokio::test]
async fn read_only_usr_leads_to_opt() {
    let fixture = Fixture::start(READ_ONLY);
    let session = fixture.session().await;
    let report = fixture.settled(&session).await;
    assert_eq!(report.folder, "/opt/berth/bin");
    let warned = "/usr/local/bin on the host is read-only, so the agent is in /opt/berth/bin";
    assert!(report.warnings.iter().any(|w| w == warned), "{report:?}");
    let program = host(&session, "readlink /proc/$(cat /run/berth/watch.pid)/exe").await;
    assert_eq!(program, "/opt/berth/bin/berthd\n");
    let again = fixture.run(&session).await.unwrap();
    assert_eq!((again.changes, again.restarted), (vec![], false));
    assert_eq!(again.warnings, [""; 0]);
}

#[tokio::test]
async fn noexec_folders_are_passed_over() {
    // Below /tmp are the server's own files.
    let noexec = "mount -t tmpfs -o noexec tmpfs /opt; mount --rbind /tmp /tmp; \
                  mount -o remount,bind,noexec /tmp";
    let fixture = Fixture::start(&format!("{READ_ONLY}\n{noexec}"));
    let session = fixture.session().await;
    let report = fixture.settled(&session).await;
    assert_eq!(report.folder, "/var/lib/berth/bin");
    let tmp = "cp /bin/true /tmp/try; ! /tmp/try 2>/dev/null; rm /tmp/try; ls -A /opt";
    assert_eq!(host(&session, tmp).await, "");
}

#[tokio::test]
async fn host_without_a_folder_for_programs_says_why() {
    let all = "for f in /usr/local/bin /opt /var/lib; do mount --bind $f $f; \
               mount -o remount,bind,ro $f; done";
    let fixture = Fixture::start(all);
    let session = fixture.session().await;
    let error = fixture.run(&session).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "no folder on the host can hold the agent: /usr/local/bin is read-only, /opt/berth/bin is \
         read-only, /var/lib/berth/bin is read-only"
    );
}

#[tokio::test]
async fn full_disk_is_said_before_the_upload() {
    let fixture = Fixture::start("mount -t tmpfs -o size=512k tmpfs /usr/local/bin");
    let session = fixture.session().await;
    let error = fixture.run(&session).await.unwrap_err();
    let ProvisionError::Shortage(Shortage::Disk { free, needed, .. }) = &error else {
        panic!("{error:?}");
    };
    assert!(
        *free <= 512 * 1024 && *needed > fixture.agent.size(),
        "{error}"
    );
    let text = error.to_string();
    assert!(
        text.starts_with("/usr/local/bin on the host has 524.2 kB free, and"),
        "{text}"
    );
    assert!(error.hint().unwrap().contains("/usr/local/bin"));
    assert_eq!(host(&session, "ls -A /usr/local/bin").await, "");
}

#[tokio::test]
async fn read_only_etc_is_said() {
    let fixture = Fixture::start("mount --bind /etc /etc; mount -o remount,bind,ro /etc");
    let session = fixture.session().await;
    let error = fixture.run(&session).await.unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("/etc/berth on the host cannot be written"),
        "{error}"
    );
}

#[tokio::test]
async fn clock_that_is_behind_is_told_with_what_to_do() {
    let clock = "printf '#!/bin/sh\\nexec /bin/date -d @1600000000 \"$@\"\\n' >/usr/local/bin/date
                 chmod 755 /usr/local/bin/date";
    let fixture = Fixture::start(clock);
    let session = fixture.session().await;
    assert_eq!(probe(&session).await.unwrap().clock, 1_600_000_000);
    let report = fixture.run(&session).await.unwrap();
    let warned = |w: &String| w.contains("s behind this computer's; set it on the host");
    assert!(report.warnings.iter().any(warned), "{report:?}");
}

#[tokio::test]
async fn selinux_gets_the_label_that_services_need() {
    // This host has no SELinux: its programs are stood in for, and note what they are told.
    let tools = r#"printf '#!/bin/sh\necho Enforcing\n' >/usr/local/bin/getenforce
        for tool in chcon restorecon; do
            printf '#!/bin/sh\necho %s "$@" >>/run/labels\n' $tool >/usr/local/bin/$tool
        done
        chmod 755 /usr/local/bin/getenforce /usr/local/bin/chcon /usr/local/bin/restorecon"#;
    let fixture = Fixture::start(&format!("{tools}\nmount -t tmpfs tmpfs /opt"));
    let session = fixture.session().await;
    let report = fixture.run(&session).await.unwrap();
    assert_eq!(report.facts.selinux, Selinux::Enforcing);
    let labels = host(&session, "cat /run/labels").await;
    let new = format!(
        "/usr/local/bin/.berthd-{}.new",
        &fixture.agent.sha256()[..12]
    );
    assert_eq!(
        labels,
        format!("restorecon -F {new}\nchcon -t bin_t {new}\n")
    );
}
