//! `images`, `history`, `rmi` and `image prune`.

use tonic::Code;

use crate::client::{IMAGE, command, reason};
use crate::host::Host;

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_narrowed_by_names_and_filters() {
    let host = Host::new();
    let client = host.client().await;
    let base = client.import().await;
    client.tag(IMAGE, "team/app:1").await;
    client.tag(IMAGE, "team/app:2").await;
    let next = client.grow(IMAGE, "echo 1 > /f", "other:1").await;
    let names = async |filters: &[&str], reference| client.image_names(filters, reference).await;
    assert_eq!(names(&[], "team/app").await, ["team/app:1", "team/app:2"]);
    assert_eq!(names(&[], "team/app:2").await, ["team/app:2"]);
    assert_eq!(names(&["reference=*:1"], "").await, ["other:1"]);
    assert_eq!(names(&["reference=*/app:[13]"], "").await, ["team/app:1"]);
    assert_eq!(names(&[&format!("since={base}")], "").await, ["other:1"]);
    assert!(
        !names(&["before=other:1"], "")
            .await
            .contains(&"other:1".to_owned())
    );
    assert!(names(&["label=none"], "").await.is_empty());
    assert!(names(&["until=1h"], "").await.is_empty());
    assert_eq!(names(&["until=0s"], "other").await, ["other:1"]);
    // The former owner of a name is left without one.
    let newer = client.grow("other:1", "echo 2 > /f", "other:1").await;
    assert_ne!(newer, next);
    let dangling = client
        .image_list(&["dangling=true"], "")
        .await
        .expect("list");
    // It is built upon, so only a list of all has it.
    assert!(dangling.is_empty());
    for wrong in ["colour=red", "dangling=x", "reference=[", "since=nothing"] {
        let error = client.image_list(&[wrong], "").await.expect_err(wrong);
        assert_ne!(error.code(), Code::Internal, "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn history_names_each_step_and_what_it_took() {
    let host = Host::new();
    let client = host.client().await;
    let base = client.import().await;
    let next = client.grow(IMAGE, "seq 1 1000 > /f", "app:1").await;
    client.tag("app:1", "app:2").await;
    let steps = client.history("app:1").await.expect("history");
    assert_eq!(steps.len(), 2);
    assert_eq!(steps[0].image_id, next);
    assert_eq!(steps[0].tags, ["app:1", "app:2"]);
    assert_eq!(steps[0].created_by, "sh -c seq 1 1000 > /f");
    assert_eq!(steps[0].size_bytes, 3893);
    assert_eq!(
        (steps[1].image_id.as_str(), steps[1].comment.as_str()),
        (base.as_str(), "Imported from -")
    );
    assert!(steps[1].size_bytes > 100_000 && steps[1].created_unix_seconds > 1_700_000_000);
    let error = client.history("nothing").await.expect_err("no such image");
    assert_eq!(reason(&error), "image-not-found");
    assert_eq!(error.message(), "No such image: nothing:latest");
}

#[tokio::test(flavor = "multi_thread")]
async fn pruning_takes_what_nobody_uses_and_counts_it() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    let nameless = client.grow(IMAGE, "seq 1 1000 > /f", "").await;
    client.grow(IMAGE, "echo 2 > /f", "idle:1").await;
    client.tag("idle:1", "idle:2").await;
    let mut used = command(&["true"]);
    used.image = client.grow(IMAGE, "echo 3 > /f", "").await;
    let container = client.create("", used.clone()).await.expect("created");
    let (removed, bytes) = client.prune_images(&[]).await.expect("pruned");
    assert_eq!(removed[0], format!("Deleted: {nameless}"));
    assert_eq!((removed.len(), bytes), (2, 3893), "the image and its layer");
    let spared = client.prune_images(&["dangling=false", "until=1h"]).await;
    assert_eq!(spared.expect("pruned").0, [""; 0]);
    let (removed, _) = client
        .prune_images(&["dangling=false"])
        .await
        .expect("pruned");
    assert_eq!(removed[..2], ["Untagged: idle:1", "Untagged: idle:2"]);
    // The one in use stays, and with it what it is built upon.
    assert_eq!(client.image_names(&[], "").await, [IMAGE]);
    client
        .remove(&container, true, true)
        .await
        .expect("removed");
    let (removed, bytes) = client
        .prune_images(&["dangling=false"])
        .await
        .expect("pruned");
    assert!(
        removed.contains(&format!("Deleted: {}", used.image)),
        "{removed:?}"
    );
    assert!(bytes > 100_000);
    assert!(client.image_list(&[], "").await.expect("list").is_empty());
    assert!(host.names("data/snapshots/layers").is_empty());
    let error = client.prune_images(&["name=x"]).await.expect_err("key");
    assert_eq!(error.message(), "invalid filter 'name'");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_in_use_goes_only_as_docker_lets_it() {
    let host = Host::new();
    let client = host.client().await;
    let id = client.import().await;
    let container = client.run_detached("", command(&["sleep", "60"])).await;
    let (short, user) = (&id[7..19], &container[..12]);
    let refused = async |name: &str, force| {
        let error = client.rmi(name, force).await.expect_err("in use");
        assert_eq!(error.code(), Code::FailedPrecondition);
        error.message().to_owned()
    };
    assert_eq!(
        refused(IMAGE, false).await,
        format!(
            "conflict: unable to remove repository reference \"{IMAGE}\" (must force) - container \
             {user} is using its referenced image {short}"
        )
    );
    assert_eq!(
        refused(&id, true).await,
        format!(
            "conflict: unable to delete {short} (cannot be forced) - image is being used by running \
             container {user}"
        )
    );
    client.tag(IMAGE, "two:1").await;
    assert_eq!(
        client.rmi("two:1", false).await.expect("a name"),
        ["Untagged: two:1"]
    );
    assert_eq!(
        client.rmi(IMAGE, true).await.expect("its name"),
        [format!("Untagged: {IMAGE}")]
    );
    client.stop(&container, 0).await.expect("stopped");
    assert_eq!(
        refused(&id, false).await,
        format!(
            "conflict: unable to delete {short} (must be forced) - image is being used by stopped \
             container {user}"
        )
    );
    let removed = client.rmi(short, true).await.expect("forced");
    assert_eq!(removed[0], format!("Deleted: {id}"));
    // The container still has its files.
    client.start(&container).await.expect("started");
}
