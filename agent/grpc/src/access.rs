//! Which calls are changes: known by their names, so that a new one counts as a change until somebody
//! says otherwise.

/// Beginnings of the names of calls that only look.
const LOOKS: [&str; 14] = [
    "Changes",
    "Describe",
    "DiskUsage",
    "Events",
    "Export",
    "Get",
    "History",
    "Info",
    "Inspect",
    "List",
    "Logs",
    "Stat",
    "Top",
    "Version",
];

/// Whether a call of a path `/package.Service/Name` may change something. Waiting for a container does
/// not, nor does saving an image.
#[must_use]
pub fn is_change(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    let only_looks = LOOKS.iter().any(|look| name.starts_with(look));
    !only_looks && !matches!(name, "Wait" | "Save")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_what_a_call_does() {
        for look in [
            "List",
            "Inspect",
            "Stats",
            "Logs",
            "Wait",
            "DescribeTrust",
            "Stat",
        ] {
            assert!(!is_change(&format!("/berth.v1.X/{look}")), "{look}");
        }
        for change in [
            "Create", "Exec", "Attach", "Put", "Remove", "Revoke", "Prune", "Load", "",
        ] {
            assert!(is_change(&format!("/berth.v1.X/{change}")), "{change}");
        }
    }
}
