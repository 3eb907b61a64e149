//! `--ulimit`.

use berth_proto::v1::UlimitSetting;

use super::number;

/// Limits that the kernel keeps for each process.
const NAMES: [&str; 15] = [
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// Reads `NAME=SOFT[:HARD]`; -1 is no limit, and without a hard limit it is the soft one.
pub(crate) fn parse(text: &str) -> Result<UlimitSetting, String> {
    let (name, values) = text
        .split_once('=')
        .ok_or_else(|| format!("invalid ulimit argument: {text}"))?;
    if !NAMES.contains(&name) {
        return Err(format!("invalid ulimit type: {name}"));
    }
    let parts: Vec<&str> = values.split(':').collect();
    let (soft, hard) = match parts.as_slice() {
        [both] => {
            let both = number::int(both)?;
            (both, both)
        }
        [soft, hard] => {
            let hard = number::int(hard)?;
            (number::int(soft)?, hard)
        }
        _ => {
            return Err(format!(
                "too many limit value arguments - {values}, can only have up to two, `soft[:hard]`"
            ));
        }
    };
    let order = "ulimit soft limit must be less than or equal to hard limit";
    if hard != -1 && soft == -1 {
        return Err(format!("{order}: soft: -1 (unlimited), hard: {hard}"));
    }
    if hard != -1 && soft > hard {
        return Err(format!("{order}: {soft} > {hard}"));
    }
    Ok(UlimitSetting {
        name: name.to_owned(),
        soft,
        hard,
    })
}

/// Leaves the last limit of each name, sorted by name.
pub(crate) fn last_of_each(limits: &[UlimitSetting]) -> Vec<UlimitSetting> {
    let named = limits.iter().map(|limit| (limit.name.as_str(), limit));
    let last: std::collections::BTreeMap<_, _> = named.collect();
    last.into_values().cloned().collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::units::vectors;

    #[test]
    fn limits_agree_with_go_units() {
        for vector in vectors("units.json").unwrap_or_default() {
            let input = vector["input"].as_str().unwrap();
            match parse(input) {
                Ok(found) => {
                    let found = json!({"name": found.name, "soft": found.soft, "hard": found.hard});
                    assert_eq!(vector["ulimit"], found, "{input:?}");
                }
                Err(error) => assert_eq!(vector["ulimit_error"], error, "{input:?}"),
            }
        }
    }

    #[test]
    fn a_soft_limit_is_not_over_the_hard_one() {
        let order = "ulimit soft limit must be less than or equal to hard limit";
        assert_eq!(parse("nofile=3:1").unwrap_err(), format!("{order}: 3 > 1"));
        assert_eq!(
            parse("nofile=-1:5").unwrap_err(),
            format!("{order}: soft: -1 (unlimited), hard: 5")
        );
    }

    #[test]
    fn the_last_of_each_name_counts() {
        let limits = ["nproc=1", "nofile=2", "nproc=3"].map(|text| parse(text).unwrap());
        let shown: Vec<String> = last_of_each(&limits)
            .iter()
            .map(|limit| format!("{}={}", limit.name, limit.soft))
            .collect();
        assert_eq!(shown, ["nofile=2", "nproc=3"]);
    }
}
