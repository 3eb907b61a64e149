//! What docker 28.2's `inspect --format` prints for one answer of an engine, word for word.

use serde_json::{Value, json};

use super::{Missing, render};

/// An answer, with fields left out that Go's own types have.
fn answer() -> Value {
    json!({
        "Id": "abcd",
        "Created": "2024-01-01T00:00:00Z",
        "Path": "sh",
        "Args": [
            "-c",
            "x"
        ],
        "State": {
            "Status": "running",
            "Running": true,
            "Paused": false,
            "Restarting": false,
            "OOMKilled": false,
            "Dead": false,
            "Pid": 42,
            "ExitCode": 0,
            "Error": "",
            "StartedAt": "2024-01-01T00:00:00Z",
            "FinishedAt": "0001-01-01T00:00:00Z"
        },
        "Image": "sha256:ab",
        "Name": "/web",
        "RestartCount": 0,
        "Driver": "overlay2",
        "HostConfig": {
            "Binds": null,
            "LogConfig": {
                "Type": "json-file",
                "Config": {}
            },
            "NetworkMode": "bridge",
            "PortBindings": {
                "80/tcp": [
                    {
                        "HostIp": "",
                        "HostPort": "8080"
                    }
                ]
            },
            "RestartPolicy": {
                "Name": "no",
                "MaximumRetryCount": 0
            },
            "Memory": 67108864,
            "NanoCpus": 1500000000,
            "OomKillDisable": null,
            "PidsLimit": null,
            "Ulimits": [],
            "CapAdd": null
        },
        "Mounts": [
            {
                "Type": "bind",
                "Source": "/a",
                "Destination": "/b",
                "Mode": "",
                "RW": true,
                "Propagation": "rprivate"
            }
        ],
        "Config": {
            "Hostname": "abcd",
            "Env": [
                "A=1",
                "B=2"
            ],
            "Cmd": [
                "sh"
            ],
            "Image": "busybox",
            "Volumes": null,
            "Entrypoint": null,
            "Labels": {
                "a": "1",
                "z": "<x>"
            },
            "ExposedPorts": {
                "80/tcp": {}
            }
        },
        "NetworkSettings": {
            "Ports": {
                "80/tcp": [
                    {
                        "HostIp": "0.0.0.0",
                        "HostPort": "8080"
                    }
                ]
            },
            "Networks": {
                "bridge": {
                    "IPAddress": "172.17.0.2",
                    "Gateway": "172.17.0.1",
                    "Aliases": null
                }
            }
        }
    })
}

/// Templates and what they print.
const SHOWN: &[(&str, &str)] = &[
    (
        r#"{{index .NetworkSettings.Ports "80/tcp"}}"#,
        "[map[HostIp:0.0.0.0 HostPort:8080]]",
    ),
    ("{{.Id}}", "abcd"),
    (
        "{{.State}}",
        "{running true false false false false 42 0  2024-01-01T00:00:00Z 0001-01-01T00:00:00Z <nil>}",
    ),
    ("{{.HostConfig.PortBindings}}", "map[80/tcp:[{ 8080}]]"),
    ("{{.NetworkSettings.Ports}}", "map[80/tcp:[{0.0.0.0 8080}]]"),
    ("{{.Mounts}}", "[{bind  /a /b   true rprivate}]"),
    ("{{.HostConfig.Binds}}", "[]"),
    (
        "{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}}",
        "67108864 1500000000",
    ),
    ("{{.Config.Labels}}", "map[a:1 z:<x>]"),
    ("{{.Config.Volumes}}", "map[]"),
    ("{{.Config.Entrypoint}}", "[]"),
    ("{{json .HostConfig.Binds}}", "null"),
    ("{{.State.Health}}", "<nil>"),
    ("{{with .State.Health}}x{{else}}none{{end}}", "none"),
    ("{{if .State.Health}}{{.State.Health.Status}}{{end}}", ""),
    (r#"{{index .Config.Labels "a"}}"#, "1"),
    (r#"{{index .Config.Labels "nope"}}"#, ""),
    ("{{.Config.Labels.a}}", "1"),
    ("{{.Config.Labels.nope}}", "<no value>"),
    (
        r#"{{(index (index .NetworkSettings.Ports "80/tcp") 0).HostPort}}"#,
        "8080",
    ),
    (
        "{{range $k,$v := .NetworkSettings.Networks}}{{$k}}={{$v.IPAddress}}{{end}}",
        "bridge=172.17.0.2",
    ),
    (
        "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}",
        "172.17.0.2",
    ),
    (
        "{{range $p, $conf := .NetworkSettings.Ports}}{{$p}} -> {{(index $conf 0).HostPort}}{{end}}",
        "80/tcp -> 8080",
    ),
    (r#"{{join .Args ","}}"#, "-c,x"),
    ("{{.Name | upper}}", "/WEB"),
    ("{{title .Name}}", "/Web"),
    (
        r#"{{printf "%d %s %v %q %x %5.1f|%-5s|%05d" .State.Pid .Name .Args .Name "ab" 1.25 "a" 42}}"#,
        r#"42 /web [-c x] "/web" 6162   1.2|a    |00042"#,
    ),
    (r#"{{printf "%d" "x"}}"#, "%!d(string=x)"),
    (r#"{{printf "%s" 5}}"#, "%!s(int=5)"),
    (r#"{{printf "%d"}}"#, "%!d(MISSING)"),
    (r#"{{printf "%d" 1 2}}"#, "1%!(EXTRA int=2)"),
    (
        r#"{{printf "%t %c %U %o %b %e %g %p" true 65 65 8 5 1.5 1.5 nil}}"#,
        "true A U+0041 10 101 1.500000e+00 1.5 %!p(<nil>)",
    ),
    ("{{len .Args}}{{len .Name}}", "24"),
    ("{{slice .Id 0 2}}", "ab"),
    (r#"{{eq .State.Status "running"}}"#, "true"),
    (r#"{{eq .State.Pid "x"}}"#, "false"),
    ("{{lt .State.Pid 50}}", "true"),
    (r#"{{and true 0}}{{or "" "x"}}{{not true}}"#, "0xfalse"),
    ("{{$x := .Id}}{{$x}}", "abcd"),
    (r#"{{split .Id "b"}}"#, "[a cd]"),
    (r#"{{index (split .Id "b") 1}}"#, "cd"),
    ("{{truncate .Id 2}}", "ab"),
    ("{{pad .Id 2 3}}|", "  abcd   |"),
    (
        r#"{{println "a" 1 2}}"#,
        r#"a 1 2
"#,
    ),
    (r#"{{print "a" 1 2 "b" "c"}}"#, "a1 2bc"),
    (
        r#"{{html "<a>"}}{{js "a'b"}}{{urlquery "a b"}}"#,
        r#"&lt;a&gt;a\'ba+b"#,
    ),
    ("{{json .Config.Labels}}", r#"{"a":"1","z":"<x>"}"#),
    (
        r#"{{"a\x41\u0042\n"}}{{'a'}}"#,
        r#"aAB
97"#,
    ),
    (
        "{{1_000}} {{0x1F}} {{1e3}} {{0b11}} {{0o17}}",
        "1000 31 1000 3 15",
    ),
    (r#"{{.Id | printf "%s-%s" "x"}}"#, "x-abcd"),
    (
        "{{range $i, $e := .Args}}{{if $i}},{{end}}{{$e}}{{end}}",
        "-c,x",
    ),
    (
        r#"{{range .Args}}{{if eq . "x"}}{{break}}{{end}}{{.}}{{end}}"#,
        "-c",
    ),
    (
        r#"{{range .Args}}{{if eq . "-c"}}{{continue}}{{end}}{{.}}{{end}}"#,
        "x",
    ),
    ("{{with $x := .Id}}{{$x}}{{end}}", "abcd"),
    (
        "{{with .Config.Volumes}}a{{else with .Id}}b{{.}}{{end}}",
        "babcd",
    ),
    ("{{- /* c */ -}} x", "x"),
    ("{{.HostConfig.RestartPolicy}}", "{no 0}"),
    ("{{.HostConfig.LogConfig}}", "{json-file map[]}"),
    ("{{.Config.ExposedPorts}}", "map[80/tcp:{}]"),
    ("{{json nil}}", "null"),
    ("{{true}}", "true"),
    (r#"{{index . "Id"}}"#, "abcd"),
    (
        "{{ge 2 1}}{{gt 1 2}}{{le 1 1}}{{ne 1 2}}",
        "truefalsetruetrue",
    ),
    ("{{eq .Config.Volumes nil}}", "true"),
    (r#"{{ .Id }} {{"x"|len}}"#, "abcd 1"),
    (r#"{{printf "%v" .Config.Labels}}"#, "map[a:1 z:<x>]"),
    (r#"{{printf "%T" .Id}}"#, "string"),
    (r#"{{printf "%6.2f%%" 12.345}}"#, " 12.35%"),
    ("{{range 3}}{{.}}{{end}}", "012"),
    ("{{.Config.Env}}", "[A=1 B=2]"),
];

/// Templates that are none or do not fit, and what is said.
const REFUSED: &[(&str, &str)] = &[
    (
        "{{.Nope}}",
        r#":1:2: executing "" at <.Nope>: map has no entry for key "Nope""#,
    ),
    (
        "{{.State.Nope}}",
        r#":1:8: executing "" at <.State.Nope>: map has no entry for key "Nope""#,
    ),
    (
        "{{.State.Health.Status}}",
        r#":1:8: executing "" at <.State.Health.Status>: map has no entry for key "Health""#,
    ),
    (
        "{{index .Args 5}}",
        r#":1:2: executing "" at <index .Args 5>: error calling index: index out of range: 5"#,
    ),
    (
        r#"{{(index (index .NetworkSettings.Ports "81/tcp") 0).HostPort}}"#,
        r#":1:3: executing "" at <index (index .NetworkSettings.Ports "81/tcp") 0>: error calling index: index of untyped nil"#,
    ),
    (
        "{{slice .Args 5}}",
        r#":1:2: executing "" at <slice .Args 5>: error calling slice: index out of range: 5"#,
    ),
    ("{{frob}}", r#":1: function "frob" not defined"#),
    ("{{", ":1: unclosed action"),
    ("{{.Id", ":1: unclosed action"),
    ("{{if}}x{{end}}", ":1: missing value for if"),
    ("{{if .Id}}x", ":1: unexpected EOF"),
    ("{{end}}", ":1: unexpected {{end}}"),
    (
        "{{range .Id}}x{{end}}",
        r#":1:8: executing "" at <.Id>: range can't iterate over abcd"#,
    ),
    (
        "{{.Id.X}}",
        r#":1:5: executing "" at <.Id.X>: can't evaluate field X in type interface {}"#,
    ),
    (
        "{{.Args.X}}",
        r#":1:7: executing "" at <.Args.X>: can't evaluate field X in type interface {}"#,
    ),
    ("{{$y}}", r#":1: undefined variable "$y""#),
    (
        "{{with .Nope}}{{end}}",
        r#":1:7: executing "" at <.Nope>: map has no entry for key "Nope""#,
    ),
    (
        "{{.Id}}{{.Nope}}",
        r#":1:9: executing "" at <.Nope>: map has no entry for key "Nope""#,
    ),
    (
        "{{nil}}",
        r#":1:2: executing "" at <nil>: nil is not a command"#,
    ),
    (
        "{{index .Config.Labels 1}}",
        r#":1:2: executing "" at <index .Config.Labels 1>: error calling index: value has type int; should be string"#,
    ),
    (
        "{{upper .State.Pid}}",
        r#":1:14: executing "" at <.State.Pid>: wrong type for value; expected string; got json.Number"#,
    ),
    (
        r#"{{join .Id ","}}"#,
        r#":1:7: executing "" at <.Id>: wrong type for value; expected []string; got string"#,
    ),
    (
        r#"{{join .Config.Labels ","}}"#,
        r#":1:14: executing "" at <.Config.Labels>: wrong type for value; expected []string; got map[string]interface {}"#,
    ),
    (
        "{{and}}",
        r#":1:2: executing "" at <and>: wrong number of args for and: want at least 1 got 0"#,
    ),
    (
        "{{len}}",
        r#":1:2: executing "" at <len>: wrong number of args for len: want 1 got 0"#,
    ),
];

#[test]
fn templates_print_what_docker_prints() {
    let answer = answer();
    let mut wrong = Vec::new();
    for (source, expected) in SHOWN {
        let shown = render(source, &answer, Missing::Typed);
        if shown.as_deref() != Ok(*expected) {
            wrong.push((source, expected, shown));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn templates_are_refused_in_dockers_words() {
    let answer = answer();
    let mut wrong = Vec::new();
    for (source, expected) in REFUSED {
        let shown = render(source, &answer, Missing::Typed);
        let said = shown.as_ref().map_err(super::TemplateError::in_go);
        if said != Err(format!("template: {expected}")) {
            wrong.push((source, expected, shown));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
