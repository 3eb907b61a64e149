//! Whole numbers of flags, with the words of Go's parser for what is none.

use crate::ui::quote::quoted;

/// Reads a signed number of 64 bits.
pub(crate) fn int(text: &str) -> Result<i64, String> {
    text.parse()
        .map_err(|_error| refused("ParseInt", text, text.trim_start_matches(['+', '-'])))
}

/// Reads a signed number of 32 bits.
pub(crate) fn int32(text: &str) -> Result<i32, String> {
    text.parse()
        .map_err(|_error| refused("ParseInt", text, text.trim_start_matches(['+', '-'])))
}

/// Reads an unsigned number of 16 bits.
pub(crate) fn uint16(text: &str) -> Result<u16, String> {
    text.parse()
        .map_err(|_error| refused("ParseUint", text, text))
}

/// Reads a truth value as Go does.
pub(crate) fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!(
            "strconv.ParseBool: parsing {}: invalid syntax",
            quoted(text)
        )),
    }
}

fn refused(function: &str, text: &str, digits: &str) -> String {
    let number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let why = if number {
        "value out of range"
    } else {
        "invalid syntax"
    };
    format!("strconv.{function}: parsing {}: {why}", quoted(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_number_is_told_apart_from_what_is_too_large() {
        assert_eq!(int("-12"), Ok(-12));
        assert_eq!(uint16("1000"), Ok(1000));
        assert_eq!(
            int("x").unwrap_err(),
            "strconv.ParseInt: parsing \"x\": invalid syntax"
        );
        assert_eq!(
            uint16("70000").unwrap_err(),
            "strconv.ParseUint: parsing \"70000\": value out of range"
        );
        assert_eq!(
            int32("4000000000").unwrap_err(),
            "strconv.ParseInt: parsing \"4000000000\": value out of range"
        );
        uint16("-1").unwrap_err();
    }
}
