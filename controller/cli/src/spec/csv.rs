//! One record of comma-separated values, as `--mount`, `--network` and `--gpus` are written: a field
//! may stand in double quotes, in which a doubled quote is a quote and a comma a comma.

/// Cuts a record into its fields.
pub(super) fn fields(text: &str) -> Result<Vec<String>, String> {
    if text.is_empty() {
        return Err("EOF".to_owned());
    }
    let mut fields = Vec::new();
    let mut rest = text;
    loop {
        let (field, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_field(text, quoted)?,
            None => bare_field(text, rest)?,
        };
        fields.push(field);
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None => return Ok(fields),
        }
    }
}

fn bare_field<'a>(text: &str, rest: &'a str) -> Result<(String, &'a str), String> {
    let end = rest.find(',').unwrap_or(rest.len());
    let field = &rest[..end];
    match field.find('"') {
        Some(at) => Err(fault(text, &rest[at..], "bare \" in non-quoted-field")),
        None => Ok((field.to_owned(), &rest[end..])),
    }
}

fn quoted_field<'a>(text: &str, mut rest: &'a str) -> Result<(String, &'a str), String> {
    let mut field = String::new();
    loop {
        let Some(quote) = rest.find('"') else {
            return Err(fault(text, "", "extraneous or missing \" in quoted-field"));
        };
        field.push_str(&rest[..quote]);
        let after = &rest[quote + 1..];
        match after.chars().next() {
            Some('"') => {
                field.push('"');
                rest = &after[1..];
            }
            Some(',') | None => return Ok((field, after)),
            Some(_) => {
                let at = &rest[quote..];
                return Err(fault(text, at, "extraneous or missing \" in quoted-field"));
            }
        }
    }
}

/// Words a fault as Go does, with the column counted from one.
fn fault(text: &str, at: &str, problem: &str) -> String {
    let column = text.len() - at.len() + 1;
    format!("parse error on line 1, column {column}: {problem}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_cut_except_in_quotes() {
        assert_eq!(fields("a=1,b,c=").unwrap(), ["a=1", "b", "c="]);
        assert_eq!(
            fields("\"volume-opt=o=a,b\",x=\"\"").unwrap_err(),
            "parse error on line 1, column 22: bare \" in non-quoted-field"
        );
        assert_eq!(fields("\"a,\"\"b\",c").unwrap(), ["a,\"b", "c"]);
        assert_eq!(fields("a,").unwrap(), ["a", ""]);
    }

    #[test]
    fn what_is_no_record_is_refused() {
        assert_eq!(fields("").unwrap_err(), "EOF");
        fields("\"a").unwrap_err();
        fields("\"a\"b").unwrap_err();
    }
}
