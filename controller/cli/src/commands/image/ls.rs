//! `berth images`.

use berth_proto::v1::{Image, ListImagesRequest};
use serde_json::Value;

use crate::engine::Global;
use crate::failure::Outcome;
use crate::settings;
use crate::spec::image::split;
use crate::ui::rows::{self, Listing, short_id};
use crate::ui::{self, table};
use crate::units::{duration, moment, size};

/// List images
#[derive(Debug, clap::Args)]
#[command(mut_args(crate::switch::with_value))]
pub(crate) struct Args {
    /// Also intermediate images
    #[arg(long, short)]
    all: bool,

    /// Show digests
    #[arg(long)]
    digests: bool,

    /// Only those that fit, such as dangling=true, label=key, reference=pattern
    #[arg(long, short, value_name = "KEY=VALUE")]
    filter: Vec<String>,

    /// json, table, or a template for each image
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,

    /// Do not shorten anything
    #[arg(long)]
    no_trunc: bool,

    /// Only ids
    #[arg(long, short)]
    quiet: bool,

    /// Only this one
    #[arg(value_name = "REPOSITORY[:TAG]")]
    reference: Option<String>,
}

pub(in crate::commands) const LISTING: Listing<'_> = Listing {
    headings: &[
        ("ID", "IMAGE ID"),
        ("Repository", "REPOSITORY"),
        ("Tag", "TAG"),
        ("Digest", "DIGEST"),
        ("CreatedSince", "CREATED"),
        ("CreatedAt", "CREATED AT"),
        ("Size", "SIZE"),
        ("Containers", "CONTAINERS"),
        ("VirtualSize", "SIZE"),
        ("SharedSize", "SHARED SIZE"),
        ("UniqueSize", "UNIQUE SIZE"),
    ],
    default_columns: "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{if .CreatedSince}}{{.CreatedSince}}{{else}}N/A{{end}}\t{{.Size}}",
    layout: table::DOCKER,
};

const WITH_DIGESTS: &str = "table {{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}\t{{if .CreatedSince}}{{.CreatedSince}}{{else}}N/A{{end}}\t{{.Size}}";

/// What stands where there is nothing.
const NONE: &str = "<none>";

/// Lists images, a row for each of their names.
pub(in crate::commands) async fn run(args: Args, global: &Global) -> Outcome {
    let wanted = settings::format(args.format.as_deref(), "imagesFormat", args.quiet);
    let format = match wanted.as_str() {
        _ if args.quiet => "{{.ID}}",
        "" | "table" if args.digests => WITH_DIGESTS,
        format => format,
    };
    let request = ListImagesRequest {
        all: args.all,
        filters: args.filter.clone(),
        reference: args.reference.clone().unwrap_or_default(),
    };
    let engine = global.engine().await?;
    let mut images = engine.images().list(request).await?.into_inner().images;
    images.sort_by_key(|image| std::cmp::Reverse(image.created_unix_seconds));
    let digests = args.digests || format.contains("{{.Digest}}");
    let mut rows = Vec::new();
    for image in &images {
        for name in names(image, digests) {
            rows.push(row(image, name, !args.no_trunc));
        }
    }
    ui::print(&LISTING.format(format, &rows)?)?;
    Ok(0)
}

/// A repository, a tag and a digest of an image.
pub(in crate::commands) type Name<'a> = (&'a str, &'a str, &'a str);

/// The names under which an image is shown: its tags, each with the digests of its repository when
/// they are wanted, then repositories that are known by digest only.
pub(in crate::commands) fn names(image: &Image, digests: bool) -> Vec<Name<'_>> {
    let tags: Vec<(&str, &str)> = image
        .repo_tags
        .iter()
        .filter_map(|name| match split(name) {
            (repository, Some(tag), _) => Some((repository, tag)),
            _ => None,
        })
        .collect();
    let known: Vec<(&str, &str)> = image
        .repo_digests
        .iter()
        .filter_map(|name| match split(name) {
            (repository, _, Some(digest)) => Some((repository, digest)),
            _ => None,
        })
        .collect();
    let mut names = Vec::new();
    for (repository, tag) in &tags {
        let before = names.len();
        if digests {
            let of_repository = known.iter().filter(|(known, _)| known == repository);
            names.extend(of_repository.map(|(_, digest)| (*repository, *tag, *digest)));
        }
        if names.len() == before {
            names.push((repository, tag, NONE));
        }
    }
    for (repository, digest) in &known {
        let tagged = tags.iter().any(|(tagged, _)| tagged == repository);
        let shown = names.iter().any(|(shown, _, _)| shown == repository);
        if !tagged && (digests || !shown) {
            names.push((repository, NONE, if digests { digest } else { "" }));
        }
    }
    if names.is_empty() {
        names.push((NONE, NONE, NONE));
    }
    names
}

pub(in crate::commands) fn row(
    image: &Image,
    (repository, tag, digest): Name<'_>,
    short: bool,
) -> Value {
    let id = if short {
        short_id(&image.id)
    } else {
        &image.id
    };
    let created = image.created_unix_seconds;
    // An image without a date has the beginning of the calendar.
    let since = if created <= 0 {
        String::new()
    } else {
        duration::ago(created)
    };
    rows::row([
        ("ID", id.to_owned()),
        ("Repository", repository.to_owned()),
        ("Tag", tag.to_owned()),
        ("Digest", digest.to_owned()),
        ("CreatedSince", since),
        ("CreatedAt", moment::local(created)),
        ("Size", size::decimal(image.size_bytes, 3)),
        ("VirtualSize", size::decimal(image.size_bytes, 4)),
        ("Containers", image.containers.to_string()),
        ("SharedSize", "N/A".to_owned()),
        ("UniqueSize", "N/A".to_owned()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(tags: &[&str], digests: &[&str]) -> Image {
        Image {
            id: format!("sha256:{}", "ab".repeat(32)),
            repo_tags: tags.iter().map(|&tag| tag.to_owned()).collect(),
            repo_digests: digests.iter().map(|&digest| digest.to_owned()).collect(),
            size_bytes: 4_261_502,
            ..Image::default()
        }
    }

    #[test]
    fn every_name_has_a_row() {
        let both = image(&["a:1", "a:2", "r:5/b:1"], &["a@sha256:00", "c@sha256:11"]);
        assert_eq!(
            names(&both, false),
            [
                ("a", "1", NONE),
                ("a", "2", NONE),
                ("r:5/b", "1", NONE),
                ("c", NONE, "")
            ]
        );
        assert_eq!(
            names(&both, true),
            [
                ("a", "1", "sha256:00"),
                ("a", "2", "sha256:00"),
                ("r:5/b", "1", NONE),
                ("c", NONE, "sha256:11")
            ]
        );
        assert_eq!(names(&image(&[], &[]), false), [(NONE, NONE, NONE)]);
    }

    #[test]
    fn a_table_looks_like_dockers() {
        let image = image(&["busybox:latest"], &[]);
        let rows = [row(&image, ("busybox", "latest", NONE), true)];
        assert_eq!(
            LISTING.format("", &rows).unwrap(),
            "REPOSITORY   TAG       IMAGE ID       CREATED   SIZE\n\
             busybox      latest    abababababab   N/A       4.26MB\n"
        );
    }
}
