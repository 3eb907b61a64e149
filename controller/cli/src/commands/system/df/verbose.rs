//! `berth system df -v`: each image, container and volume.

use berth_proto::v1::{ContainerSummary, DiskUsageResponse, Image, VolumeUsage};
use serde_json::{Value, json};

use crate::commands::{container, image};
use crate::failure::Failure;
use crate::template::{self, Missing};
use crate::ui::rows::{self, Listing};
use crate::ui::table;
use crate::units::size;

const IMAGES: &str = "table {{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{if .CreatedSince}}{{.CreatedSince}}{{else}}N/A{{end}}\t{{.Size}}\t{{.SharedSize}}\t{{.UniqueSize}}\t{{.Containers}}";

const CONTAINERS: &str = "table {{.ID}}\t{{.Image}}\t{{.Command}}\t{{.LocalVolumes}}\t{{.Size}}\t{{.RunningFor}}\t{{.Status}}\t{{.Names}}";

const VOLUMES: Listing<'_> = Listing {
    headings: &[
        ("Name", "VOLUME NAME"),
        ("Links", "LINKS"),
        ("Size", "SIZE"),
    ],
    default_columns: "{{.Name}}\t{{.Links}}\t{{.Size}}",
    layout: table::DOCKER,
};

const BUILD_CACHE: Listing<'_> = Listing {
    headings: &[
        ("ID", "CACHE ID"),
        ("CacheType", "CACHE TYPE"),
        ("Size", "SIZE"),
        ("CreatedSince", "CREATED"),
        ("LastUsedSince", "LAST USED"),
        ("UsageCount", "USAGE"),
        ("Shared", "SHARED"),
    ],
    default_columns: "{{.ID}}\t{{.CacheType}}\t{{.Size}}\t{{.CreatedSince}}\t{{.LastUsedSince}}\t{{.UsageCount}}\t{{.Shared}}",
    layout: table::DOCKER,
};

/// Shows everything: in tables, as one JSON object, or by a template over that object.
pub(super) fn show(usage: &DiskUsageResponse, format: &str) -> Result<String, Failure> {
    let images: Vec<Value> = usage.images.iter().map(image_row).collect();
    let containers: Vec<Value> = usage.containers.iter().map(container_row).collect();
    let volumes: Vec<Value> = usage.volumes.iter().map(volume_row).collect();
    let object = || json!({ "Images": images, "Containers": containers, "Volumes": volumes, "BuildCache": [] });
    match format {
        "" | "table" => Ok(format!(
            "Images space usage:\n\n{}\nContainers space usage:\n\n{}\nLocal Volumes space usage:\n\n{}\nBuild cache usage: 0B\n\n{}",
            image::ls::LISTING.format(IMAGES, &images)?,
            container::ps::LISTING.format(CONTAINERS, &containers)?,
            VOLUMES.format("", &volumes)?,
            BUILD_CACHE.format("", &[])?,
        )),
        "json" => Ok(template::json(&object()) + "\n"),
        format => Ok(template::render(format, &object(), Missing::Error)? + "\n"),
    }
}

/// An image has one line here, with its first name.
fn image_row(image: &Image) -> Value {
    let shared = image.shared_size_bytes.unwrap_or_default();
    let names = image::ls::names(image, false);
    let first = names.first().copied().unwrap_or_default();
    let mut row = image::ls::row(image, first, true);
    row["SharedSize"] = Value::from(size::decimal(shared, 4));
    row["UniqueSize"] = Value::from(size::decimal(image.size_bytes.saturating_sub(shared), 4));
    row
}

/// What the image takes is told of the image.
fn container_row(container: &ContainerSummary) -> Value {
    let own = ContainerSummary {
        size_root_fs_bytes: 0,
        ..container.clone()
    };
    container::ps::row(&own, true)
}

fn volume_row(usage: &VolumeUsage) -> Value {
    let volume = usage.volume.clone().unwrap_or_default();
    rows::row([
        ("Name", volume.name),
        ("Driver", volume.driver),
        ("Mountpoint", volume.mountpoint),
        ("Links", usage.containers.to_string()),
        ("Size", size::decimal(usage.size_bytes, 4)),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::system::df::example;

    #[test]
    fn everything_has_its_table() {
        let text = show(&example(), "").unwrap();
        for line in [
            "Images space usage:",
            "REPOSITORY   TAG       IMAGE ID       CREATED   SIZE      SHARED SIZE   UNIQUE SIZE   CONTAINERS",
            "one          1         abababababab   N/A       4MB       1MB           3MB           1",
            "VOLUME NAME   LINKS     SIZE",
            "data          1         1kB",
            "Build cache usage: 0B",
        ] {
            assert!(text.contains(line), "{line:?} is not in\n{text}");
        }
        assert!(text.contains("   500B   "), "{text}");
        let text = show(&example(), "{{range .Volumes}}{{.Name}}{{end}}").unwrap();
        assert_eq!(text, "data\n");
    }
}
