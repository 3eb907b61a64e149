//! `berth inspect`.

use std::collections::{BTreeMap, HashMap};

use berth_proto::v1::{
    InspectImageRequest, InspectNetworkRequest, InspectRequest, InspectVolumeRequest, Volume,
};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::engine::{Engine, Global};
use crate::failure::{Failure, NOT_SERVED, Outcome};
use crate::template::{self, Missing, Options, Template};
use crate::ui;

/// Show everything about containers, images, volumes and networks, as JSON
#[derive(Debug, clap::Args)]
#[command(mut_args(crate::switch::with_value))]
#[command(after_help = "Examples:
  berth inspect -f '{{.State.Status}}' web
  berth inspect -f '{{json .Config.Env}}' busybox
  berth inspect --type image web")]
pub(crate) struct Args {
    #[command(flatten)]
    what: What,

    /// Show the sizes of containers
    #[arg(long, short)]
    size: bool,

    /// container, image, volume or network; all are tried if not given
    #[arg(long = "type", value_name = "KIND")]
    kind: Option<Kind>,
}

/// Show everything about containers, as JSON
#[derive(Debug, clap::Args)]
#[command(mut_args(crate::switch::with_value))]
pub(crate) struct ContainerArgs {
    #[command(flatten)]
    what: What,

    /// Show their sizes
    #[arg(long, short)]
    size: bool,
}

/// Show everything about images, as JSON
#[derive(Debug, clap::Args)]
pub(crate) struct ImageArgs {
    #[command(flatten)]
    what: What,
}

/// Show everything about volumes, as JSON
#[derive(Debug, clap::Args)]
pub(crate) struct VolumeArgs {
    #[command(flatten)]
    what: What,
}

/// Show everything about networks, as JSON
#[derive(Debug, clap::Args)]
#[command(mut_args(crate::switch::with_value))]
pub(crate) struct NetworkArgs {
    #[command(flatten)]
    what: What,

    /// More of what a swarm knows, of which there is none
    #[arg(long, short, hide = true)]
    verbose: bool,
}

/// What is shown, and how.
#[derive(Debug, clap::Args)]
struct What {
    /// json, or a template for each object
    #[arg(long, short, value_name = "FORMAT")]
    format: Option<String>,

    /// Names or ids
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
}

impl From<ContainerArgs> for Args {
    fn from(ContainerArgs { what, size }: ContainerArgs) -> Self {
        Self {
            what,
            size,
            kind: None,
        }
    }
}

impl From<ImageArgs> for Args {
    fn from(ImageArgs { what }: ImageArgs) -> Self {
        Self {
            what,
            size: false,
            kind: None,
        }
    }
}

impl From<VolumeArgs> for Args {
    fn from(VolumeArgs { what }: VolumeArgs) -> Self {
        Self {
            what,
            size: false,
            kind: None,
        }
    }
}

impl From<NetworkArgs> for Args {
    fn from(NetworkArgs { what, verbose: _ }: NetworkArgs) -> Self {
        Self {
            what,
            size: false,
            kind: None,
        }
    }
}

/// Kinds of objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    Container,
    Image,
    Volume,
    Network,
}

/// Prints objects; what is missing is told at the end.
pub(super) async fn run(args: Args, kind: Option<Kind>, global: &Global) -> Outcome {
    let show = Show::new(args.what.format.as_deref().unwrap_or_default())?;
    let engine = global.engine().await?;
    let kind = args.kind.or(kind);
    let mut objects = Vec::new();
    let mut failures = Vec::new();
    for name in &args.what.names {
        match find(&engine, name, kind, args.size).await {
            Ok(object) => objects.push(object),
            Err(failure) => failures.push(failure),
        }
    }
    failures.extend(show.print(&objects)?);
    for failure in &failures {
        ui::tell(crate::PROGRAM, failure);
    }
    Ok(u8::from(!failures.is_empty()))
}

/// How objects are shown.
#[derive(Debug)]
enum Show<'a> {
    Indented,
    Json,
    Template(&'a str, Template),
}

// === impl Show ===

impl<'a> Show<'a> {
    /// Reads a format; one that is none is found before anybody is asked.
    fn new(format: &'a str) -> Result<Self, Failure> {
        match format {
            "" => Ok(Self::Indented),
            "json" => Ok(Self::Json),
            source => Ok(Self::Template(source, Template::parse(source)?)),
        }
    }

    /// Prints all objects; returns what the template could not do with some of them.
    fn print(&self, objects: &[Value]) -> Result<Vec<Failure>, Failure> {
        let mut failures = Vec::new();
        let mut text = String::new();
        match self {
            Self::Indented => text = ui::json::indented(&Value::from(objects)),
            Self::Json => text = template::json(&Value::from(objects)),
            Self::Template(source, template) => {
                let mut shown = Vec::new();
                for object in objects {
                    match template.render(source, object, OF_OBJECTS) {
                        Ok(line) => shown.push(line),
                        Err(error) => failures.push(Failure::from(error).exit(1)),
                    }
                }
                text.push_str(&shown.join("\n"));
            }
        }
        ui::line(&text)?;
        Ok(failures)
    }
}

/// Objects have the fields that they have.
const OF_OBJECTS: Options = Options {
    missing: Missing::Typed,
    heading: false,
    escape_html: false,
};

/// Words with which an agent says that it has no such thing, or, being older, no such things at all.
const ABSENT: [&str; 5] = [
    NOT_SERVED,
    "container-not-found",
    "image-not-found",
    "volume-not-found",
    "network-not-found",
];

/// Looks for an object, of whatever kind if none is given.
async fn find(
    engine: &Engine,
    name: &str,
    kind: Option<Kind>,
    size: bool,
) -> Result<Value, Failure> {
    let kinds = match kind {
        Some(kind) => vec![kind],
        None => vec![Kind::Container, Kind::Image, Kind::Network, Kind::Volume],
    };
    for each in kinds {
        match find_kind(engine, name, each, size).await {
            Err(failure) if kind.is_none() && ABSENT.contains(&failure.reason()) => {}
            result => return result,
        }
    }
    Err(Failure::new(format!("No such object: {name}"))
        .hint("`berth ps -a` lists containers, `berth images` images, `berth volume ls` volumes"))
}

async fn find_kind(engine: &Engine, name: &str, kind: Kind, size: bool) -> Result<Value, Failure> {
    let name = name.to_owned();
    let json = match kind {
        Kind::Container => {
            let request = InspectRequest {
                container: name,
                size,
            };
            engine
                .containers()
                .inspect(request)
                .await?
                .into_inner()
                .json
        }
        Kind::Image => {
            let request = InspectImageRequest { name };
            engine.images().inspect(request).await?.into_inner().json
        }
        Kind::Network => {
            let request = InspectNetworkRequest { network: name };
            engine.networks().inspect(request).await?.into_inner().json
        }
        Kind::Volume => {
            let request = InspectVolumeRequest { name };
            let found = engine.volumes().inspect(request).await?.into_inner();
            return Ok(volume(&found.volume.unwrap_or_default()));
        }
    };
    parse(&json)
}

/// The object that `docker volume inspect` prints.
pub(super) fn volume(volume: &Volume) -> Value {
    let map = |map: &HashMap<String, String>| match map.is_empty() {
        true => Value::Null,
        false => json!(map.iter().collect::<BTreeMap<_, _>>()),
    };
    let created = volume.created.unwrap_or_default();
    let created = Timestamp::new(created.seconds, 0).unwrap_or_default();
    json!({
        "CreatedAt": created.to_string(),
        "Driver": volume.driver,
        "Labels": map(&volume.labels),
        "Mountpoint": volume.mountpoint,
        "Name": volume.name,
        "Options": map(&volume.options),
        "Scope": volume.scope,
    })
}

fn parse(json: &str) -> Result<Value, Failure> {
    serde_json::from_str(json)
        .map_err(|error| Failure::during("the agent's answer is no JSON", &error))
}
