//! `--gpus`. No machine of berth's has a driver that could answer; what Docker's client refuses is
//! refused here, the rest by the agent.

use std::collections::HashSet;

use berth_proto::v1::DeviceRequest;

use super::{csv, map};

/// Reads `all`, a number, or `driver=…,count=…,device=…,capabilities=…,options=…`.
pub(crate) fn parse(text: &str) -> Result<DeviceRequest, String> {
    let mut request = DeviceRequest::default();
    let mut seen = HashSet::new();
    for field in csv::fields(text)? {
        let (name, value) = match field.split_once('=') {
            Some((name, value)) => (name.to_owned(), value.to_owned()),
            None => ("count".to_owned(), field.clone()),
        };
        if !seen.insert(name.clone()) {
            return Err(format!(
                "gpu request key '{name}' can be specified only once"
            ));
        }
        let list = || value.split(',').map(ToOwned::to_owned);
        match name.as_str() {
            "driver" => request.driver = value,
            "count" => request.count = count(&value)?,
            "device" => request.device_ids = list().collect(),
            "capabilities" => request.capabilities = list().collect(),
            "options" => {
                let options = csv::fields(&value)
                    .map_err(|error| format!("failed to read gpu options: {error}"))?;
                request.options = map::pairs(&options).collect();
            }
            _ => return Err(format!("unexpected key '{name}' in '{field}'")),
        }
    }
    if !seen.contains("count") && request.device_ids.is_empty() {
        request.count = 1;
    }
    request.capabilities.push("gpu".to_owned());
    Ok(request)
}

/// Reads a number of devices; -1 is all of them.
fn count(text: &str) -> Result<i64, String> {
    if text == "all" {
        return Ok(-1);
    }
    text.parse().map_err(|_error| {
        format!(
            "invalid count ({text}): value must be either \"all\" or an integer: invalid syntax"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_or_named() {
        assert_eq!(parse("all").unwrap().count, -1);
        let named = parse("\"device=0,1\",driver=x").unwrap();
        assert_eq!((named.count, named.device_ids.len()), (0, 2));
        assert_eq!(named.capabilities, ["gpu"]);
        assert_eq!(parse("driver=x").unwrap().count, 1);
    }

    #[test]
    fn other_texts_are_refused_in_dockers_words() {
        let said = |text| parse(text).unwrap_err();
        assert!(said("x").starts_with("invalid count (x): value must be either"));
        assert_eq!(said("all,foo=bar"), "unexpected key 'foo' in 'foo=bar'");
        assert_eq!(
            said("device=0,device=1"),
            "gpu request key 'device' can be specified only once"
        );
    }
}
