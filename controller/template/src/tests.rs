use serde_json::{Value, json};

use super::{Dialect, Missing, Options, Template, render};

fn data() -> Value {
    json!({
        "ID": "abcdef",
        "Names": ["b", "a"],
        "State": {"Running": true, "Pid": 42, "Error": ""},
        "Labels": {"z": "1", "a": "2"},
        "Nothing": null,
        super::HIDDEN_LABELS: {"z": "1"},
    })
}

#[track_caller]
fn shows(template: &str, expected: &str) {
    assert_eq!(render(template, &data(), Missing::Error).unwrap(), expected);
}

#[track_caller]
fn fails(template: &str, expected: &str) {
    let error = render(template, &data(), Missing::Error).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("template parsing error: template: {expected}")
    );
}

#[test]
fn fields_literals_and_variables_are_filled_in() {
    shows("{{.ID}} is {{ .State.Pid }}", "abcdef is 42");
    shows(
        "{{.State}}|{{.Names}}|{{.Nothing}}",
        "map[Error: Pid:42 Running:true]|[b a]|<no value>",
    );
    shows(
        "{{$x := .State}}{{$x.Pid}}{{$x = 7}}{{$x}}{{$.ID}}",
        "427abcdef",
    );
    shows("{{\"a\\tb\"}}{{`raw\\t`}}", "a\tbraw\\t");
    shows("{{(index .Labels \"z\")}}{{(.State).Pid}}", "142");
}

#[test]
fn trim_markers_and_comments_vanish() {
    shows("a  {{- .ID -}}  b", "aabcdefb");
    shows("a{{/* note */}}b {{- /* c */ -}} c", "abc");
}

#[test]
fn control_structures_choose_and_repeat() {
    shows("{{if .State.Running}}up{{else}}down{{end}}", "up");
    shows(
        "{{if .State.Error}}e{{else if eq .State.Pid 42}}42{{else}}no{{end}}",
        "42",
    );
    shows("{{range .Names}}<{{.}}>{{end}}", "<b><a>");
    shows(
        "{{range $k, $v := .Labels}}{{$k}}={{$v}};{{end}}",
        "a=2;z=1;",
    );
    shows("{{range .Nothing}}x{{else}}none{{end}}", "none");
    shows(
        "{{with .State}}{{.Pid}}{{end}}{{with .State.Error}}x{{else}}{{.ID}}{{end}}",
        "42abcdef",
    );
}

#[test]
fn functions_of_docker_and_go_work() {
    shows(
        "{{json .Names}} {{.Names | json}}",
        "[\"b\",\"a\"] [\"b\",\"a\"]",
    );
    shows(
        "{{join .Names \", \"}} {{upper .ID}} {{title \"ab cd\"}}",
        "b, a ABCDEF Ab Cd",
    );
    shows(
        "{{truncate .ID 3}}{{pad .ID 1 2}}|{{slice .ID 1 3}}",
        "abc abcdef  |bc",
    );
    shows(
        "{{len .Names}} {{index .Names 1}} {{index (split \"x:y\" \":\") 1}}",
        "2 a y",
    );
    shows(
        "{{printf \"%5d|%-4s|%q|%.1f|%v\" 7 \"ab\" \"c\" 1.25 true}}",
        "    7|ab  |\"c\"|1.2|true",
    );
    shows(
        "{{and true .ID}}{{or \"\" \"b\"}}{{not .Nothing}}{{lt 1 2}}",
        "abcdefbtruetrue",
    );
    shows("{{.Label \"z\"}}[{{.Label \"none\"}}]", "1[]");
    shows("{{println 1 \"a\"}}{{print 1 2 \"a\" \"b\"}}", "1 a\n1 2ab");
}

#[test]
fn faults_are_located_and_worded_as_gos() {
    fails(
        "x\n {{.Nope}}",
        ":2:3: executing \"\" at <.Nope>: map has no entry for key \"Nope\"",
    );
    fails("{{.ID", ":1: unclosed action");
    fails("{{frob .ID}}", ":1: function \"frob\" not defined");
    fails("{{if .ID}}", ":1: unexpected EOF");
    fails(
        "{{.ID.Sub}}",
        ":1:5: executing \"\" at <.ID.Sub>: can't evaluate field Sub in type string",
    );
    fails("{{}}{{end}}", ":1: unexpected {{end}}");
}

#[test]
fn missing_fields_can_print_as_no_value() {
    let shown = render("{{.Nope}} {{.Nope.Deeper}}", &data(), Missing::NoValue).unwrap();
    assert_eq!(shown, "<no value> <no value>");
}

#[test]
fn headings_pass_through_functions() {
    let source = "{{upper .ID}} {{json .Names}} {{.Label \"com.my-x\"}}";
    let headings = json!({"ID": "Id", "Names": "NAMES"});
    let options = Options {
        missing: Missing::NoValue,
        heading: true,
        escape_html: false,
    };
    let shown = Template::parse(source)
        .unwrap()
        .render(source, &headings, options)
        .unwrap();
    assert_eq!(shown, "Id NAMES my x");
}

#[test]
fn each_tool_has_its_own_functions() {
    let said = |dialect, source| {
        let parsed = Template::parse_as(dialect, source);
        parsed.map(drop).map_err(|error| error.in_go())
    };
    let undefined = |name: &str| Err(format!("template: :1: function {name:?} not defined"));
    assert_eq!(said(Dialect::Go, "{{json .}}"), undefined("json"));
    assert_eq!(said(Dialect::Inspect, "{{json .}}"), Ok(()));
    assert_eq!(said(Dialect::Inspect, "{{upper .}}"), undefined("upper"));
    assert_eq!(said(Dialect::Go, "{{printf \"%v\" (len .)}}"), Ok(()));
}

#[test]
fn json_can_be_made_fit_for_web_pages() {
    let options = Options {
        missing: Missing::NoValue,
        heading: false,
        escape_html: true,
    };
    let source = "{{json .}} {{.a}}";
    let data = json!({"a": "<&>"});
    let shown = Template::parse(source)
        .unwrap()
        .render(source, &data, options);
    assert_eq!(shown.unwrap(), r#"{"a":"\u003c\u0026\u003e"} <&>"#);
}
