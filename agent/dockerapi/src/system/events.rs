//! What happens, as it happens.

use std::sync::Arc;

use berth_agent_engine::{Event, EventKind, Subscription};
use futures::stream;
use http::Response;
use serde_json::{Map, Value, json};

use crate::api::Api;
use crate::body::Body;
use crate::call::Call;
use crate::error::ApiError;
use crate::moment;
use crate::streams::lines;

/// Listens until the client has enough, or `until`.
pub(super) fn events(api: &Api, call: &Call) -> Result<Response<Body>, ApiError> {
    let since = moment::parse(call.query.text("since"))?;
    let until = moment::parse(call.query.text("until"))?;
    let filters = call.query.filter_texts()?;
    let subscription = api.engine().subscribe(since, until, &filters)?;
    let events = stream::unfold(subscription, |mut subscription: Subscription| async move {
        let event = subscription.next().await?;
        Some((object(&event), subscription))
    });
    Ok(lines::answer(events))
}

fn object(event: &Arc<Event>) -> Value {
    let mut object = Map::new();
    let mut put = |key: &str, value: Value| object.insert(key.to_owned(), value);
    // What clients of before 1.22 read, and docker-compose 1 still does.
    if matches!(event.kind, EventKind::Container | EventKind::Image) {
        put("status", json!(event.action));
        put("id", json!(event.actor_id));
    }
    if let (EventKind::Container, Some(image)) = (event.kind, event.attributes.get("image")) {
        put("from", json!(image));
    }
    let time = moment::since_epoch(event.time);
    put("Type", json!(event.kind.word()));
    put("Action", json!(event.action));
    put(
        "Actor",
        json!({ "ID": event.actor_id, "Attributes": event.attributes }),
    );
    put("scope", json!("local"));
    put("time", json!(time.as_secs()));
    let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    put("timeNano", json!(nanos));
    Value::Object(object)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::{Duration, SystemTime};

    use super::*;

    #[test]
    fn containers_have_the_old_fields_and_volumes_have_not() {
        let event = |kind| {
            object(&Arc::new(Event {
                kind,
                action: "die".to_owned(),
                actor_id: "abc".to_owned(),
                attributes: BTreeMap::from([("image".to_owned(), "box".to_owned())]),
                time: SystemTime::UNIX_EPOCH + Duration::from_millis(1500),
            }))
        };
        let container = event(EventKind::Container);
        assert_eq!(
            (&container["status"], &container["from"]),
            (&json!("die"), &json!("box"))
        );
        assert_eq!(container["timeNano"], 1_500_000_000_u64);
        let volume = event(EventKind::Volume);
        assert!(volume.get("status").is_none() && volume.get("from").is_none());
        assert_eq!(volume["Actor"]["ID"], "abc");
    }
}
