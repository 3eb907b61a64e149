//! Many clients at once, as runners of jobs are.

use super::Docker;
use crate::client::IMAGE;
use crate::host::Host;

/// Clients.
const CLIENTS: usize = 16;
/// Containers of each.
const ROUNDS: usize = 3;

#[test]
fn each_of_many_clients_gets_its_own_answers() {
    let host = Host::new();
    Docker::with_image(&host);
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let host = &host;
            scope.spawn(move || {
                let docker = Docker::new(host);
                for round in 0..ROUNDS {
                    let name = format!("c{client}-{round}");
                    let text = format!("client {client} round {round}\n");
                    docker.ok(&[
                        "create",
                        "-i",
                        "--name",
                        &name,
                        IMAGE,
                        "sh",
                        "-c",
                        "cat; exit 7",
                    ]);
                    let said = docker.run_with(&["start", "-ai", &name], &text);
                    assert_eq!(
                        (said.out.as_str(), said.code),
                        (text.as_str(), 7),
                        "{said:?}"
                    );
                    assert_eq!(docker.ok(&["wait", &name]), "7");
                    assert_eq!(docker.ok(&["logs", &name]), text.trim_end());
                    docker.ok(&["rm", &name]);
                }
            });
        }
    });
    assert_eq!(Docker::new(&host).ok(&["ps", "-aq"]), "");
}
