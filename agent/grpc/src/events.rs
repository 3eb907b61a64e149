//! What happens on the machine, as a stream.

use std::sync::Arc;

use berth_agent_engine::{Engine, Event, Subscription};
use berth_proto::v1;
use futures::{Stream, stream};
use tonic::Status;

use crate::convert;
use crate::status;

/// Listens to events. The stream asks for one when the client has taken the one before: a slow client
/// holds nobody up.
pub(crate) fn events(
    engine: &Arc<Engine>,
    request: v1::EventsRequest,
) -> Result<impl Stream<Item = Result<v1::Event, Status>> + Send + use<>, Status> {
    let since = request.since.map(convert::time).transpose()?;
    let until = request.until.map(convert::time).transpose()?;
    let subscription = engine
        .subscribe(since, until, &request.filters)
        .map_err(|e| status::of(&e))?;
    let next = async |mut subscription: Subscription| {
        let event = subscription.next().await?;
        Some((Ok(message(&event)), subscription))
    };
    Ok(stream::unfold(subscription, next))
}

fn message(event: &Event) -> v1::Event {
    v1::Event {
        r#type: event.kind.word().to_owned(),
        action: event.action.clone(),
        actor_id: event.actor_id.clone(),
        attributes: event.attributes.clone().into_iter().collect(),
        time: Some(event.time.into()),
    }
}
