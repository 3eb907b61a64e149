//! New agents that are tried, kept, taken back, and cut off in the middle.

use std::time::Duration;

use berth_controller_provision::{AgentBinary, Change, Passwords, ProvisionError, go_back, probe};
use berth_controller_ssh::Session;

use crate::fixture::{Fixture, host};

/// Returns the process and the digest of the agent that runs.
async fn running(session: &Session) -> (String, String) {
    let pid = host(session, "cat /run/berth/watch.pid").await;
    let sum = host(session, "sha256sum </proc/$(cat /run/berth/watch.pid)/exe").await;
    (pid, sum[..64].to_owned())
}

/// Expects nothing of a change on the host any more.
async fn expect_settled(session: &Session) {
    let left = "ls -A /etc/berth/previous /etc/berth/.changed /usr/local/bin/.berthd-* 2>&1 \
                | grep -v 'No such file' || :";
    assert_eq!(host(session, left).await, "");
    assert!(!probe(session).await.unwrap().unsettled);
}

#[tokio::test]
async fn good_agent_is_kept() {
    let mut fixture = Fixture::start("");
    let session = fixture.session().await;
    fixture.settled(&session).await;
    fixture.rebuild("two");
    let report = fixture.settled(&session).await;
    assert_eq!(report.changes, [Change::Binary]);
    assert!(report.trying && report.restarted);
    assert_eq!(running(&session).await.1, fixture.agent.sha256());
    expect_settled(&session).await;
}

#[tokio::test]
async fn agents_that_exit_or_hang_are_taken_back() {
    let mut fixture = Fixture::start("");
    let session = fixture.session().await;
    fixture.settled(&session).await;
    let good = fixture.agent.clone();
    for word in ["exit", "hang"] {
        fixture.rebuild(word);
        fixture.config.labels = vec![format!("new={word}")];
        fixture.patience = Duration::from_secs(if word == "exit" { 20 } else { 1 });
        let error = fixture.run(&session).await.unwrap_err();
        let ProvisionError::WentBack { runs: true, said } = &error else {
            panic!("{error:?}");
        };
        assert_eq!(said.contains("is in use"), word == "exit", "{said}");
        assert_eq!(running(&session).await.1, good.sha256());
        // What was changed along with it is as it was, too.
        host(&session, "! grep -q new= /etc/berth/berthd.json").await;
        expect_settled(&session).await;
        let n_agents = "ps ax -o args= | grep -c '[b]erthd serve'";
        assert_eq!(host(&session, n_agents).await, "1\n");
    }
}

#[tokio::test]
async fn agent_that_cannot_run_here_never_takes_the_place() {
    let mut fixture = Fixture::start("");
    let session = fixture.session().await;
    fixture.settled(&session).await;
    let before = running(&session).await;
    fixture.agent = AgentBinary::open("/bin/false".as_ref()).unwrap();
    let error = fixture.run(&session).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("the agent does not run on this host"),
        "{error}"
    );
    assert_eq!(running(&session).await, before);
    expect_settled(&session).await;
}

#[tokio::test]
async fn agent_that_is_not_trusted_is_taken_back_by_the_controller() {
    let mut fixture = Fixture::start("");
    let session = fixture.session().await;
    fixture.settled(&session).await;
    let good = fixture.agent.clone();
    fixture.rebuild("two");
    let report = fixture.run(&session).await.unwrap();
    assert_eq!(running(&session).await.1, fixture.agent.sha256());
    let error = go_back(&session, &report.facts, &report.folder, Passwords::NONE).await;
    assert!(
        matches!(error, ProvisionError::WentBack { runs: true, .. }),
        "{error:?}"
    );
    assert_eq!(running(&session).await.1, good.sha256());
    expect_settled(&session).await;
}

#[tokio::test]
async fn former_agent_of_another_folder_is_taken_back_from_there() {
    let mut fixture = Fixture::start("");
    let session = fixture.session().await;
    fixture.settled(&session).await;
    let good = fixture.agent.clone();
    host(
        &session,
        "mount --bind /usr/local/bin /usr/local/bin && \
         mount -o remount,bind,ro /usr/local/bin",
    )
    .await;
    fixture.rebuild("two");
    let report = fixture.run(&session).await.unwrap();
    assert_eq!(report.folder, "/opt/berth/bin");
    assert_eq!(running(&session).await.1, fixture.agent.sha256());
    let error = go_back(&session, &report.facts, &report.folder, Passwords::NONE).await;
    assert!(
        matches!(error, ProvisionError::WentBack { runs: true, .. }),
        "{error:?}"
    );
    assert_eq!(running(&session).await.1, good.sha256());
    expect_settled(&session).await;
    host(&session, "! test -e /opt/berth/bin/berthd").await;
}

#[tokio::test]
async fn change_that_nobody_settled_is_settled_by_the_next() {
    let mut fixture = Fixture::start("");
    let session = fixture.session().await;
    fixture.settled(&session).await;
    fixture.rebuild("two");
    let first = fixture.run(&session).await.unwrap();
    assert!(first.trying);
    assert!(probe(&session).await.unwrap().unsettled);
    let again = fixture.settled(&session).await;
    assert_eq!((again.changes, again.trying), (vec![], true));
    expect_settled(&session).await;
    // It is also still possible to go back to the very first after two that nobody settled.
    let kept = fixture.agent.clone();
    for word in ["three", "four"] {
        fixture.rebuild(word);
        fixture.run(&session).await.unwrap();
    }
    let facts = probe(&session).await.unwrap();
    go_back(&session, &facts, "/usr/local/bin", Passwords::NONE).await;
    assert_eq!(running(&session).await.1, kept.sha256());
    expect_settled(&session).await;
}

/// Programs that change files, each of which kills the shell that calls it when its turn has come.
const FATAL: &str = r#"
for tool in mv ln; do
    cat >/usr/local/sbin/$tool <<end
#!/bin/sh
n=\$(cat /run/turn 2>/dev/null || echo 0)
if [ \$n -gt 0 ]; then
    echo \$((n - 1)) >/run/turn
    if [ \$n = 1 ]; then kill -KILL \$PPID; exit 1; fi
fi
exec /bin/$tool "\$@"
end
    chmod 755 /usr/local/sbin/$tool
done
"#;

#[tokio::test]
async fn killed_at_any_step_a_host_has_one_of_both_agents_and_the_next_run_repairs_it() {
    let mut fixture = Fixture::start(FATAL);
    let session = fixture.session().await;
    fixture.settled(&session).await;
    let mut words = ["a", "b"].into_iter().cycle();
    let mut n_killed = 0;
    for turn in 1.. {
        let before = fixture.agent.sha256().to_owned();
        let word = words.next().unwrap();
        fixture.rebuild(word);
        fixture.config.labels = vec![format!("build={word}")];
        host(&session, &format!("echo {turn} >/run/turn")).await;
        let result = fixture.run(&session).await;
        let finished = host(&session, "cat /run/turn; echo 0 >/run/turn").await != "0\n";
        let sum = host(&session, "sha256sum </usr/local/bin/berthd").await;
        let either = [&before, fixture.agent.sha256()];
        assert!(either.contains(&&sum[..64]), "turn {turn}: {sum}");
        // Nothing was stopped before the files were in place.
        host(&session, "kill -0 $(cat /run/berth/watch.pid)").await;
        n_killed += u32::from(result.is_err());
        let report = fixture.settled(&session).await;
        assert_eq!(
            running(&session).await.1,
            fixture.agent.sha256(),
            "{report:?}"
        );
        expect_settled(&session).await;
        if finished {
            break;
        }
    }
    assert!(n_killed > 3, "only {n_killed} steps were killed");
}
