//! Limits of single processes, as Docker and the kernel name them.

use oci_spec::OciSpecError;
use oci_spec::runtime::{PosixRlimit, PosixRlimitBuilder, PosixRlimitType};

use crate::options::UlimitOption;

/// A limit of a process makes no sense.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum UlimitError {
    /// The kernel has no such limit.
    #[error("invalid ulimit type: {0}")]
    Kind(String),
    /// The soft limit is above the hard one.
    #[error("ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}")]
    Order {
        /// The soft limit.
        soft: i64,
        /// The hard limit.
        hard: i64,
    },
    /// No soft limit below a hard one.
    #[error(
        "ulimit soft limit must be less than or equal to hard limit: soft: -1 (unlimited), hard: {0}"
    )]
    Unlimited(i64),
    /// Not `name=soft[:hard]`.
    #[error("invalid ulimit argument: {0}")]
    Malformed(String),
    /// Three numbers or more.
    #[error("too many limit value arguments - {0}, can only have up to two, `soft[:hard]`")]
    TooMany(String),
    /// Not a number.
    #[error("strconv.ParseInt: parsing \"{0}\": invalid syntax")]
    Number(String),
}

/// Reads `name=soft[:hard]`; -1 is no limit.
pub(crate) fn parse(text: &str) -> Result<UlimitOption, UlimitError> {
    let (name, values) = text
        .split_once('=')
        .ok_or_else(|| UlimitError::Malformed(text.to_owned()))?;
    kind(name).ok_or_else(|| UlimitError::Kind(name.to_owned()))?;
    let number = |text: &str| {
        text.parse::<i64>()
            .map_err(|_not_one| UlimitError::Number(text.to_owned()))
    };
    let parts: Vec<&str> = values.split(':').collect();
    let (soft, hard) = match parts[..] {
        [both] => (number(both)?, number(both)?),
        [soft, hard] => (number(soft)?, number(hard)?),
        _ => return Err(UlimitError::TooMany(values.to_owned())),
    };
    let limit = UlimitOption {
        name: name.to_owned(),
        soft,
        hard,
    };
    check(&limit)?;
    Ok(limit)
}

/// Checks that the kernel knows the limit and would take it.
pub(crate) fn check(limit: &UlimitOption) -> Result<(), UlimitError> {
    kind(&limit.name).ok_or_else(|| UlimitError::Kind(limit.name.clone()))?;
    match (limit.soft, limit.hard) {
        (_, -1) => Ok(()),
        (-1, hard) => Err(UlimitError::Unlimited(hard)),
        (soft, hard) if soft > hard => Err(UlimitError::Order { soft, hard }),
        _ => Ok(()),
    }
}

/// Returns the limit for the specification; nothing for one that does not exist.
pub(crate) fn to_oci(limit: &UlimitOption) -> Result<Option<PosixRlimit>, OciSpecError> {
    let Some(kind) = kind(&limit.name) else {
        return Ok(None);
    };
    // -1 is how the kernel says it, too.
    let bits = |value: i64| u64::from_ne_bytes(value.to_ne_bytes());
    PosixRlimitBuilder::default()
        .typ(kind)
        .soft(bits(limit.soft))
        .hard(bits(limit.hard))
        .build()
        .map(Some)
}

fn kind(name: &str) -> Option<PosixRlimitType> {
    Some(match name {
        "core" => PosixRlimitType::RlimitCore,
        "cpu" => PosixRlimitType::RlimitCpu,
        "data" => PosixRlimitType::RlimitData,
        "fsize" => PosixRlimitType::RlimitFsize,
        "locks" => PosixRlimitType::RlimitLocks,
        "memlock" => PosixRlimitType::RlimitMemlock,
        "msgqueue" => PosixRlimitType::RlimitMsgqueue,
        "nice" => PosixRlimitType::RlimitNice,
        "nofile" => PosixRlimitType::RlimitNofile,
        "nproc" => PosixRlimitType::RlimitNproc,
        "rss" => PosixRlimitType::RlimitRss,
        "rtprio" => PosixRlimitType::RlimitRtprio,
        "rttime" => PosixRlimitType::RlimitRttime,
        "sigpending" => PosixRlimitType::RlimitSigpending,
        "stack" => PosixRlimitType::RlimitStack,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn limits_are_read_as_docker_reads_them() {
        for vector in crate::vectors::vectors("units.json") {
            let input = vector["input"].as_str().expect("text");
            match parse(input) {
                Ok(limit) => {
                    let limit =
                        json!({ "name": limit.name, "soft": limit.soft, "hard": limit.hard });
                    assert_eq!(vector["ulimit"], limit, "{input:?}");
                }
                Err(error) => assert_eq!(vector["ulimit_error"], error.to_string(), "{input:?}"),
            }
        }
    }

    #[test]
    fn a_soft_limit_is_never_above_the_hard_one() {
        let error = parse("nofile=2:1").expect_err("wrong").to_string();
        assert_eq!(
            error,
            "ulimit soft limit must be less than or equal to hard limit: 2 > 1"
        );
        parse("nofile=-1:5").expect_err("unlimited below five");
        parse("nofile=5:-1").expect("unlimited above five");
    }
}
