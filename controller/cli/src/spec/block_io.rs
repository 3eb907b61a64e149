//! Limits of a device's input and output: `PATH:WEIGHT` and `PATH:RATE`.

use berth_proto::v1::{ThrottleDevice, WeightDevice};

use crate::units::size;

/// Reads `PATH:WEIGHT`.
pub(crate) fn weight(text: &str) -> Result<WeightDevice, String> {
    let (path, number) = device(text)?;
    let refused = || format!("invalid weight for device: {text}");
    let weight: u32 = number.parse().map_err(|_error| refused())?;
    if weight != 0 && !(10..=1000).contains(&weight) {
        return Err(refused());
    }
    Ok(WeightDevice {
        path: path.to_owned(),
        weight,
    })
}

/// Reads `PATH:RATE` in bytes a second, with units.
pub(crate) fn bytes(text: &str) -> Result<ThrottleDevice, String> {
    let (path, number) = device(text)?;
    let rate = size::parse(number)
        .ok()
        .and_then(|rate| u64::try_from(rate).ok());
    let rate = rate.ok_or_else(|| {
        format!(
            "invalid rate for device: {text}. The correct format is \
             <device-path>:<number>[<unit>]. Number must be a positive integer. Unit is \
             optional and can be kb, mb, or gb"
        )
    })?;
    Ok(ThrottleDevice {
        path: path.to_owned(),
        rate,
    })
}

/// Reads `PATH:NUMBER` in operations a second.
pub(crate) fn operations(text: &str) -> Result<ThrottleDevice, String> {
    let (path, number) = device(text)?;
    let rate = number.parse().map_err(|_error| {
        format!(
            "invalid rate for device: {text}. The correct format is <device-path>:<number>. \
             Number must be a positive integer"
        )
    })?;
    Ok(ThrottleDevice {
        path: path.to_owned(),
        rate,
    })
}

fn device(text: &str) -> Result<(&str, &str), String> {
    match text.split_once(':') {
        Some((path, _)) if !path.starts_with("/dev/") => {
            Err(format!("bad format for device path: {text}"))
        }
        Some((path, number)) if !number.is_empty() => Ok((path, number)),
        _ => Err(format!("bad format: {text}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_have_weights_and_rates() {
        assert_eq!(weight("/dev/sda:500").unwrap().weight, 500);
        assert_eq!(bytes("/dev/sda:1mb").unwrap().rate, 1 << 20);
        assert_eq!(operations("/dev/sda:100").unwrap().rate, 100);
    }

    #[test]
    fn other_texts_are_refused_in_dockers_words() {
        let said = |outcome: Result<WeightDevice, String>| outcome.unwrap_err();
        assert_eq!(said(weight("/dev/sda")), "bad format: /dev/sda");
        assert_eq!(said(weight("sda:5")), "bad format for device path: sda:5");
        assert_eq!(
            said(weight("/dev/sda:5")),
            "invalid weight for device: /dev/sda:5"
        );
        assert!(bytes("/dev/sda:x").unwrap_err().ends_with("kb, mb, or gb"));
        assert!(
            operations("/dev/sda:1m")
                .unwrap_err()
                .ends_with("a positive integer")
        );
    }
}
