use super::*;

fn flags() -> Vec<Flag> {
    vec![
        Flag::switch("force, f", "Force"),
        Flag::text("format", "", "Format").with_env("FORMAT"),
        Flag::number("timeout, t", 10, "Timeout").with_env("TIMEOUT"),
        Flag::list("label", "Labels").with_env("LABELS"),
        Flag::switch("fast", "Fast").with_env("FAST"),
    ]
}

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(ToOwned::to_owned).collect()
}

fn read(line: &str) -> (Parsed, Result<(), String>) {
    parse(&flags(), &words(line), &|_| None)
}

#[test]
fn flags_are_read_as_go_reads_them() {
    let (parsed, result) = read("-force --format=a=b -t 0x10 --label x -label=y rest -f");
    assert_eq!(result, Ok(()));
    assert!(parsed.switch("force"));
    assert_eq!(parsed.text("format"), "a=b");
    assert_eq!(parsed.number("timeout"), 16);
    assert_eq!(parsed.list("label"), ["x", "y"]);
    assert_eq!(parsed.args, ["rest", "-f"]);
}

#[test]
fn first_word_that_is_no_flag_ends_them() {
    for (line, args) in [
        ("-f -- -t", vec!["-t"]),
        ("- -f", vec!["-", "-f"]),
        ("a -f", vec!["a", "-f"]),
        ("--", vec![]),
    ] {
        assert_eq!(read(line).0.args, args, "{line}");
    }
    assert!(!read("--force=false x").0.switch("force"));
    // A switch takes its value only behind an equals sign.
    assert_eq!(read("--force false").0.args, ["false"]);
}

#[test]
fn mistakes_are_worded_as_gos() {
    for (line, said) in [
        ("--frob", "flag provided but not defined: -frob"),
        ("-frob=1", "flag provided but not defined: -frob"),
        ("---f", "bad flag syntax: ---f"),
        ("--=x", "bad flag syntax: --=x"),
        ("--format", "flag needs an argument: -format"),
        (
            "-f=maybe",
            "invalid boolean value \"maybe\" for -f: strconv.ParseBool: parsing \"maybe\": invalid syntax",
        ),
        (
            "-t ten",
            "invalid value \"ten\" for flag -t: strconv.ParseInt: parsing \"ten\": invalid syntax",
        ),
        (
            "-t 99999999999999999999",
            "invalid value \"99999999999999999999\" for flag -t: strconv.ParseInt: parsing \"99999999999999999999\": value out of range",
        ),
    ] {
        assert_eq!(read(line).1, Err(said.to_owned()), "{line}");
    }
}

#[test]
fn both_names_of_a_flag_are_one_too_many() {
    let (parsed, _) = read("--force -f");
    assert_eq!(
        parsed.two_forms(&flags()),
        Err("Cannot use two forms of the same flag: f force".to_owned())
    );
    assert_eq!(read("-f -f").0.two_forms(&flags()), Ok(()));
}

#[test]
fn environment_stands_in_for_flags() {
    let env = |name: &str| {
        Some(match name {
            "FORMAT" => "fmt".to_owned(),
            "TIMEOUT" => "soon".to_owned(),
            "LABELS" => " a=b , c".to_owned(),
            "FAST" => "T".to_owned(),
            _ => return None,
        })
    };
    let (parsed, _) = parse(&flags(), &words("--label d"), &env);
    assert_eq!(parsed.text("format"), "fmt");
    assert_eq!(parsed.number("timeout"), 10);
    assert_eq!(parsed.list("label"), ["a=b", "c", "d"]);
    assert!(parsed.switch("fast"));
}

#[test]
fn words_before_the_flags_come_behind_them() {
    for (line, wanted) in [
        ("name -f", "-f name"),
        ("name -d none --url u", "-d none --url u name"),
        ("-d none name --label x", "-d none name --label x"),
        ("a b", "a b"),
        ("a -f -- -b", "-f -- a -b"),
        ("- -f", "-f -"),
        ("-- -f", "-- -f"),
    ] {
        assert_eq!(permuted(&words(line)), words(wanted), "{line}");
    }
}

#[test]
fn help_lines_say_what_to_write() {
    let line = |flag: Flag| flag.line();
    assert_eq!(
        line(Flag::switch("force, f", "Force")),
        "--force, -f\tForce"
    );
    assert_eq!(line(Flag::text("x", "", "X").with_env("E")), "-x \tX [$E]");
    assert_eq!(line(Flag::text("ab", "v", "X")), "--ab \"v\"\tX");
    assert_eq!(line(Flag::number("ab", 5, "X")), "--ab \"5\"\tX");
    assert_eq!(
        line(Flag::list("ab", "X")),
        "--ab [--ab option --ab option]\tX"
    );
}
