//! A container that may trace processes looks into everything that is started in its process id namespace.

use std::fs;

use berth_agent_runtime::{AttachFrom, Running, StartRequest};
use serde_json::{Value, json};

use crate::support::{Container, attach, edit, end, exec_request, process, read_until, within};

/// Starts that an intruder gets to see. The moment in which it can is short, so it gets many.
const STARTS: usize = 15;

pub(crate) fn may_trace(process: &mut Value) {
    for set in ["bounding", "effective", "permitted"] {
        let list = process["capabilities"][set].as_array_mut().expect("a list");
        list.push(json!("CAP_SYS_PTRACE"));
    }
}

/// A container whose first process looks into every other.
async fn intrude(container: &Container, arguments: &[&str]) -> (Running, StartRequest) {
    let program = container.layer().join("intruder");
    fs::copy(env!("CARGO_BIN_EXE_berth-test-intruder"), program).expect("the program");
    let secret = container.layer().display().to_string();
    let command: Vec<&str> = ["/intruder", &secret]
        .iter()
        .chain(arguments)
        .copied()
        .collect();
    let mut request = container.request(&command);
    edit(&mut request, |spec| may_trace(&mut spec["process"]));
    let running = container.start(request.clone()).await;
    let mut attachment = attach(&running, AttachFrom::Start, false).await;
    read_until(&mut attachment.output, "ready").await;
    (running, request)
}

async fn judge(container: &Container, intruder: &Running) {
    intruder.signal(libc::SIGKILL).await.expect("it runs");
    end(intruder).await;
    let seen = container.output();
    assert!(!seen.contains("finding"), "{seen}");
    // Otherwise it has found nothing because it saw nothing.
    assert!(
        seen.contains("early") && seen.contains("memory"),
        "it was never quick enough: {seen}"
    );
}

/// CVE-2016-9962: a command is visible in the container before it has given up its rights.
#[tokio::test]
async fn a_command_shows_nothing_but_the_containers_own_before_it_runs() {
    let container = Container::new();
    let (running, _) = intrude(&container, &[]).await;
    for _ in 0..STARTS {
        let mut request = exec_request(&["true"]);
        let mut allowed = process(&["true"]);
        may_trace(&mut allowed);
        request.process = serde_json::from_value(allowed).unwrap();
        let command = within(running.exec(request)).await.unwrap();
        within(command.handle.wait()).await.unwrap();
    }
    judge(&container, &running).await;
}

/// The same for the first process of a container that shares the processes of another.
#[tokio::test]
async fn a_neighbour_shows_nothing_of_the_machine_before_it_runs() {
    let container = Container::new();
    let (running, _) = intrude(&container, &["neighbour"]).await;
    let namespace = format!("/proc/{}/ns/pid", running.pid());
    for _ in 0..STARTS {
        let neighbour = Container::new();
        let mut request = neighbour.request(&["cat", "/proc/1/comm"]);
        edit(&mut request, |spec| {
            let list = spec["linux"]["namespaces"].as_array_mut().unwrap();
            list.retain(|entry| entry["type"] != "pid");
            list.push(json!({"type": "pid", "path": namespace}));
        });
        let (record, output) = neighbour.run(request).await;
        assert_eq!((record.code, output.as_str()), (0, "intruder\n"));
    }
    judge(&container, &running).await;
}
