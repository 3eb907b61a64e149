//! Paths in records: docker-machine writes absolute ones, and stores are copied and moved.

use std::path::Path;

use serde_json::{Map, Value};

/// Returns the root of the store that a document was written in, as far as it says.
pub(crate) fn root_on_record(document: &Map<String, Value>) -> Option<String> {
    let auth = document
        .get("HostOptions")
        .and_then(|options| options.get("AuthOptions"));
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(ToOwned::to_owned);
    let machine = text(auth.and_then(|auth| auth.get("StorePath")));
    let from_machine = machine.as_deref().and_then(root_above);
    from_machine
        .or_else(|| {
            text(
                document
                    .get("Driver")
                    .and_then(|driver| driver.get("StorePath")),
            )
        })
        .or_else(|| {
            let certs = text(auth.and_then(|auth| auth.get("CertDir")))?;
            let certs = Path::new(&certs);
            (certs.file_name()? == "certs")
                .then(|| certs.parent()?.to_str().map(ToOwned::to_owned))?
        })
        .filter(|root| is_root(root))
}

/// Changes every text below `value` that is a path at or under `from` into one under `to`.
pub(crate) fn relocate(value: &mut Value, from: &str, to: &str) {
    match value {
        Value::String(text) => {
            let rest = text.strip_prefix(from);
            if let Some(rest) = rest.filter(|rest| rest.is_empty() || rest.starts_with('/')) {
                *text = format!("{to}{rest}");
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|item| relocate(item, from, to)),
        Value::Object(map) => map.values_mut().for_each(|item| relocate(item, from, to)),
        _ => {}
    }
}

/// Returns the root above a machine's folder, `ROOT/machines/NAME`.
fn root_above(machine: &str) -> Option<String> {
    let machines = Path::new(machine).parent()?;
    if machines.file_name()? != "machines" {
        return None;
    }
    machines.parent()?.to_str().map(ToOwned::to_owned)
}

/// A relative path, or the root of everything, is nothing to look for in other texts.
fn is_root(path: &str) -> bool {
    path.starts_with('/') && path.len() > 1
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_whole_steps_of_a_path_are_replaced() {
        let mut value = json!(["/a/b", "/a/b/c", "/a/bc", "x /a/b", {"k": "/a/b/"}, 1, null]);
        relocate(&mut value, "/a/b", "/n");
        assert_eq!(
            value,
            json!(["/n", "/n/c", "/a/bc", "x /a/b", {"k": "/n/"}, 1, null])
        );
    }

    #[test]
    fn root_is_found_in_whatever_names_it() {
        let root = |document: Value| root_on_record(document.as_object().unwrap());
        let auth = |auth: Value| json!({"HostOptions": {"AuthOptions": auth}});
        assert_eq!(
            root(auth(json!({"StorePath": "/s/machines/a"}))).as_deref(),
            Some("/s")
        );
        assert_eq!(
            root(json!({"Driver": {"StorePath": "/d"}})).as_deref(),
            Some("/d")
        );
        assert_eq!(
            root(auth(json!({"CertDir": "/c/certs"}))).as_deref(),
            Some("/c")
        );
        assert_eq!(root(auth(json!({"StorePath": "/machines/a"}))), None);
        assert_eq!(root(json!({})), None);
    }
}
