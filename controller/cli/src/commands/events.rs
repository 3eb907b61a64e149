//! `berth events`.

use berth_proto::v1::{Event, EventsRequest};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use serde_json::{Map, Value, json};

use crate::engine::Global;
use crate::failure::{Failure, Outcome};
use crate::template::{Missing, Options, Template};
use crate::ui::{self, visible};
use crate::units::moment;

/// Show what happens to containers, images, networks and volumes
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  berth events --filter container=web --filter event=die
  berth events --since 10m --until 0s --format json")]
pub(crate) struct Args {
    /// Only those that fit, such as container=web, event=die, type=image, label=key=value
    #[arg(long, short, value_name = "KEY=VALUE")]
    filter: Vec<String>,

    /// json, or a template for each event
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,

    /// From this moment on: 2026-01-02T13:23:37Z, or a span such as 42m
    #[arg(long, value_name = "TIME")]
    since: Option<String>,

    /// Up to this moment
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

/// How events are shown.
enum Shown {
    Lines,
    Json,
    Template { source: String, template: Template },
}

/// Shows events until there are no more, or for ever.
pub(super) async fn run(args: Args, global: &Global) -> Outcome {
    let now = Zoned::now();
    let request = EventsRequest {
        since: timestamp(args.since.as_deref(), &now)?,
        until: timestamp(args.until.as_deref(), &now)?,
        filters: args.filter,
    };
    let shown = Shown::new(args.format.as_deref().unwrap_or_default())?;
    let engine = global.engine().await?;
    let mut events = engine.system().events(request).await?.into_inner();
    while let Some(event) = events.message().await? {
        ui::line_on(&shown.show(&event)?).await?;
    }
    Ok(0)
}

fn timestamp(text: Option<&str>, now: &Zoned) -> Result<Option<prost_types::Timestamp>, Failure> {
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let moment = moment::parse(text, now).map_err(|error| Failure::because(&error))?;
    Ok(Some(prost_types::Timestamp {
        seconds: moment.as_second(),
        nanos: moment.subsec_nanosecond(),
    }))
}

// === impl Shown ===

impl Shown {
    fn new(format: &str) -> Result<Self, Failure> {
        Ok(match format {
            "" => Self::Lines,
            "json" | "{{json .}}" => Self::Json,
            source => Self::Template {
                template: Template::parse(source)?,
                source: source.to_owned(),
            },
        })
    }

    fn show(&self, event: &Event) -> Result<String, Failure> {
        match self {
            Self::Lines => Ok(visible::visible(&line(event)).into_owned()),
            Self::Json => Ok(as_json(event).to_string()),
            Self::Template { source, template } => {
                let options = Options {
                    missing: Missing::Error,
                    heading: false,
                    escape_html: false,
                };
                Ok(template.render(source, &as_fields(event), options)?)
            }
        }
    }
}

/// "2026-11-21T18:00:00.123456789Z container die 0123… (exitCode=0, image=busybox, name=web)".
fn line(event: &Event) -> String {
    let time = event.time.unwrap_or_default();
    let moment = Timestamp::new(time.seconds, time.nanos).unwrap_or_default();
    let zoned = moment.to_zoned(TimeZone::system());
    let zone = if zoned.offset().is_zero() { "Z" } else { "%:z" };
    let format = format!("%Y-%m-%dT%H:%M:%S.%9f{zone}");
    let Event {
        r#type,
        action,
        actor_id,
        ..
    } = event;
    let mut text = format!("{} {type} {action} {actor_id}", zoned.strftime(&format));
    let mut attributes: Vec<String> = event
        .attributes
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    if !attributes.is_empty() {
        attributes.sort();
        text.push_str(&format!(" ({})", attributes.join(", ")));
    }
    text
}

/// The object of Docker's API, its older fields first.
fn as_json(event: &Event) -> Value {
    let mut object = Map::new();
    for (name, value) in legacy(event) {
        if !value.is_empty() {
            object.insert(name.to_owned(), Value::from(value));
        }
    }
    let (seconds, nanos) = times(event);
    object.insert("Type".to_owned(), json!(event.r#type));
    object.insert("Action".to_owned(), json!(event.action));
    object.insert("Actor".to_owned(), actor(event));
    object.insert("scope".to_owned(), json!("local"));
    object.insert("time".to_owned(), json!(seconds));
    object.insert("timeNano".to_owned(), json!(nanos));
    Value::Object(object)
}

/// The fields as templates name them.
fn as_fields(event: &Event) -> Value {
    let [(_, status), (_, id), (_, from)] = legacy(event);
    let (seconds, nanos) = times(event);
    json!({
        "Status": status,
        "ID": id,
        "From": from,
        "Type": event.r#type,
        "Action": event.action,
        "Actor": actor(event),
        "Scope": "local",
        "Time": seconds,
        "TimeNano": nanos,
    })
}

/// What clients of old know containers and images by.
fn legacy(event: &Event) -> [(&'static str, &str); 3] {
    let image = event.attributes.get("image").map_or("", String::as_str);
    let (status, id, from) = match event.r#type.as_str() {
        "container" => (event.action.as_str(), event.actor_id.as_str(), image),
        "image" => (event.action.as_str(), event.actor_id.as_str(), ""),
        _ => ("", "", ""),
    };
    [("status", status), ("id", id), ("from", from)]
}

fn actor(event: &Event) -> Value {
    let attributes: std::collections::BTreeMap<_, _> = event.attributes.iter().collect();
    json!({ "ID": event.actor_id, "Attributes": attributes })
}

fn times(event: &Event) -> (i64, i64) {
    let time = event.time.unwrap_or_default();
    let nanos = time.seconds.saturating_mul(1_000_000_000);
    (time.seconds, nanos.saturating_add(time.nanos.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> Event {
        let attributes = [("name", "web"), ("image", "busybox"), ("exitCode", "0")];
        Event {
            r#type: "container".to_owned(),
            action: "die".to_owned(),
            actor_id: "0123".to_owned(),
            attributes: attributes.map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
            time: Some(prost_types::Timestamp {
                seconds: 1,
                nanos: 5,
            }),
        }
    }

    #[test]
    fn a_line_has_sorted_attributes() {
        let text = line(&event());
        let rest = text.split_once(' ').unwrap().1;
        assert_eq!(
            rest,
            "container die 0123 (exitCode=0, image=busybox, name=web)"
        );
        assert!(text.contains(":01.000000005"), "{text}");
    }

    #[test]
    fn json_is_dockers_object() {
        let expected = json!({
            "status": "die", "id": "0123", "from": "busybox", "Type": "container", "Action": "die",
            "Actor": { "ID": "0123", "Attributes": { "exitCode": "0", "image": "busybox", "name": "web" } },
            "scope": "local", "time": 1, "timeNano": 1_000_000_005,
        });
        assert_eq!(as_json(&event()), expected);
        let mut volume = event();
        volume.r#type = "volume".to_owned();
        assert!(as_json(&volume).get("status").is_none());
    }

    #[test]
    fn templates_see_go_names() {
        let shown =
            Shown::new("{{.Type}} {{.Actor.Attributes.name}} {{.TimeNano}} {{.ID}}").unwrap();
        assert_eq!(
            shown.show(&event()).unwrap(),
            "container web 1000000005 0123"
        );
    }
}
