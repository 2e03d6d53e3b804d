//! Templates that try to abort, stall or flood the process, and random ones: each ends with a text or an error.

#![expect(clippy::unwrap_used, reason = "a broken template ends the test")]

use std::time::{Duration, Instant};

use go_template::{Limits, MAX_TEXT, MissingKey, Stage, Template, TemplateError, Value};
use proptest::prelude::*;

fn data() -> Value {
    Value::map([
        ("s", Value::from("hello")),
        ("n", Value::Int(7)),
        ("f", Value::Float(1.5)),
        ("t", Value::Bool(true)),
        ("nil", Value::Nil),
        ("long", Value::from("é<\"".repeat(100_000).as_str())),
        ("list", Value::list((0..100).map(Value::Int))),
        ("lines", Value::strings(["a", "b"])),
        (
            "m",
            Value::map([
                ("k", Value::from("v")),
                ("z", Value::map([("deep", Value::Bool(false))])),
            ]),
        ),
        ("words", Value::string_map([("a", "b")])),
        (
            "item",
            Value::structure([("ID", Value::from("7")), ("Number", Value::Int(7))]),
        ),
    ])
}

fn render(text: &str) -> Result<String, TemplateError> {
    Template::parse("t", text)?.render(&data(), Limits::default())
}

/// Renders on a stack of the size that Rust's and tokio's threads have.
fn render_on_small_stack(text: String) -> Result<String, TemplateError> {
    std::thread::Builder::new()
        .stack_size(1024 * 1024)
        .spawn(move || render(&text))
        .unwrap()
        .join()
        .unwrap()
}

#[test]
fn hostile_templates_end_quickly() {
    let deep = 20_000;
    let hostile = [
        // Recursion.
        "{{define \"t\"}}x{{template \"t\"}}{{end}}".to_owned(),
        "{{define \"a\"}}{{template \"b\" .}}{{end}}{{define \"b\"}}{{template \"a\" .}}{{end}}{{template \"a\" .}}".to_owned(),
        "{{define \"a\"}}{{template \"a\"}}{{template \"a\"}}{{end}}{{template \"a\"}}".to_owned(),
        "{{define \"a\"}}{{range 9}}{{template \"a\"}}{{end}}{{end}}{{template \"a\"}}".to_owned(),
        format!("{{{{define \"a\"}}}}{}{{{{template \"a\"}}}}{}{{{{end}}}}{{{{template \"a\"}}}}", "{{if 1}}".repeat(deep / 2), "{{end}}".repeat(deep / 2)),
        // Nesting.
        format!("{{{{{}1{}}}}}", "(".repeat(deep), ")".repeat(deep)),
        format!("{{{{{}1}}}}", "(".repeat(deep)),
        format!("{{{{{}}}}}", "print (".repeat(deep)),
        format!("{}x{}", "{{if .t}}".repeat(deep / 2), "{{end}}".repeat(deep / 2)),
        "{{if .t}}".repeat(deep),
        format!("{}x{}", "{{range .lines}}".repeat(deep / 2), "{{end}}".repeat(deep / 2)),
        format!("{}x{}", "{{with .t}}".repeat(deep / 2), "{{end}}".repeat(deep / 2)),
        format!("{{{{if .nil}}}}{}{{{{end}}}}", "{{else if .nil}}x".repeat(deep / 2)),
        format!("{}x{}", "{{block \"a\" .}}".repeat(deep / 2), "{{end}}".repeat(deep / 2)),
        "{{define \"a\"}}".repeat(deep),
        format!("{{{{.{}}}}}", "x.".repeat(deep)),
        format!("{{{{.m{}}}}}", ".z".repeat(deep)),
        format!("{{{{.s{}}}}}", " | print".repeat(deep)),
        format!("{{{{print {}}}}}", ".long ".repeat(deep)),
        format!("{}{{{{$x}}}}", "{{$x := 1}}".repeat(deep)),
        format!("{}{}", "{{$x := 1}}".repeat(deep / 2), "{{range 1000}}{{$}}{{end}}".repeat(1000)),
        // Loops.
        "{{range 9223372036854775807}}{{end}}".to_owned(),
        "{{range 1000000}}{{range 1000000}}{{continue}}{{end}}{{end}}".to_owned(),
        "{{range $i, $e := .list}}{{range $.list}}{{range $.list}}{{range $.list}}{{eq $.long $.long}}{{end}}{{end}}{{end}}{{end}}".to_owned(),
        "{{range 1000000}}{{if lt $.long $.long}}{{end}}{{end}}".to_owned(),
        "{{range 1000000}}{{if html $.long}}{{end}}{{end}}".to_owned(),
        "{{range 1000000}}{{if printf \"%.0v\" $}}{{end}}{{end}}".to_owned(),
        "{{range 1000000}}{{if slice $.long 1}}{{end}}{{end}}".to_owned(),
        // Floods.
        "{{range 1000000}}{{$}}{{end}}".to_owned(),
        "{{$x := \"aaaaaaaa\"}}{{range 100}}{{$x = print $x $x}}{{end}}{{$x}}".to_owned(),
        "{{$x := .s}}{{range 100}}{{$x = printf \"%q\" $x}}{{end}}".to_owned(),
        "{{printf \"%1000000d\" 1 | printf \"%1000000s\" | len}}".to_owned(),
        "{{printf \"%9999999d\" 1}}{{printf \"%.9999999f\" 1.5}}".to_owned(),
        "{{printf \"%.1000000f\" 1.5 | len}} {{printf \"%.1000000e\" 1.5 | len}} {{printf \"%.1000000g\" 1.5 | len}}".to_owned(),
        "{{printf \"%*d\" 9223372036854775807 1}}{{printf \"%.*f\" -9223372036854775807 1.5}}".to_owned(),
        "{{printf \"%[9999999]d %[1]*[9223372036854775808]d\" 1000000}}".to_owned(),
        format!("{{{{printf \"{}\" .long}}}}", "%[1]s".repeat(deep)),
        format!("{{{{$f := \"{}\"}}}}{{{{$x := \"\"}}}}{{{{range 200000}}}}{{{{$x = printf $f \"\"}}}}{{{{end}}}}", "%[1]s".repeat(deep)),
        // Variables.
        format!("{{{{$z := 0}}}}{}{{{{range $z = 900000}}}}{{{{end}}}}", "{{$a := 1}}".repeat(deep)),
        format!("{{{{define \"{0}\"}}}}{{{{end}}}}{{{{range 900000}}}}{{{{template \"{0}\"}}}}{{{{end}}}}", "n".repeat(10 * deep)),
        format!("{{{{printf \"{}\" 1}}}}", "%[1]1000000d".repeat(deep / 2)),
        // Literals.
        format!("{{{{{}}}}}", "9".repeat(deep)),
        format!("{{{{0x{}p1}}}}", "f".repeat(deep)),
        format!("{{{{1e{}}}}}", "9".repeat(deep)),
        format!("{{{{0x1p{}}}}}", "9".repeat(deep)),
        "{{0x1p-2147483648}}".to_owned(),
        format!("{{{{\"{}\"}}}}", "\\".repeat(deep)),
        "{{slice .long 0 9223372036854775807}}{{index .list -9223372036854775808}}".to_owned(),
        format!("{{{{{}", " ".repeat(deep)),
        format!("a{}{{{{- 1 -}}}}{}b", " ".repeat(deep), "\n".repeat(deep)),
        "{{".repeat(deep),
        "{{/*".repeat(deep),
        "\"`'".repeat(deep),
        "x".repeat(MAX_TEXT + 1),
    ];
    for text in hostile {
        let begin: String = text.chars().take(80).collect();
        let start = Instant::now();
        let result = render_on_small_stack(text);
        let took = start.elapsed();
        if let Ok(output) = &result {
            assert!(output.len() <= Limits::default().output, "{begin}");
        }
        println!(
            "{took:9.1?} {:60} {begin}",
            result.map_or_else(
                |error| error.message.chars().take(60).collect(),
                |output| format!("{} bytes", output.len())
            )
        );
        // Generous: unoptimised, on a busy machine.
        assert!(took < Duration::from_secs(20), "{begin} took {took:?}");
    }
}

#[test]
fn limits_are_exec_errors() {
    let limited = |text: &str, limits: Limits| {
        let error = Template::parse("t", text)
            .unwrap()
            .render(&data(), limits)
            .unwrap_err();
        assert_eq!(error.stage, Stage::Exec);
        error.to_string()
    };
    let limits = Limits::default();
    insta::assert_snapshot!(
        limited("ab{{.s}}", Limits { output: 6, ..limits }),
        @r#"template: t:1:4: executing "t" at <.s>: the output is longer than 6 bytes"#
    );
    insta::assert_snapshot!(
        limited("{{len (print .s .s)}}", Limits { scratch: 9, ..limits }),
        @r#"template: t:1:16: executing "t" at <.s>: the template makes too much text"#
    );
    insta::assert_snapshot!(
        limited("{{range .list}}{{.}}{{end}}", Limits { steps: 50, ..limits }),
        @r#"template: t:1:17: executing "t" at <.>: the template takes too many steps"#
    );
    insta::assert_snapshot!(
        limited("{{define \"a\"}}{{template \"a\"}}{{end}}\n{{template \"a\"}}", Limits { calls: 5, ..limits }),
        @r#"template: t:1:25: executing "a" at <{{template "a"}}>: exceeded maximum template depth (5)"#
    );
}

#[test]
fn parentheses_nest_to_the_limit() {
    let nested = |depth: usize| format!("{{{{{}1{}}}}}", "print (".repeat(depth), ")".repeat(depth));
    assert_eq!(render_on_small_stack(nested(100)).unwrap(), "1");
    let error = render_on_small_stack(nested(101)).unwrap_err();
    assert_eq!(error.stage, Stage::Parse);
    let nested = format!("{{{{{}.nope.x{}}}}}", "(".repeat(100), ").x".repeat(100));
    assert_eq!(render_on_small_stack(nested).unwrap(), "<no value>");
}

#[test]
fn output_up_to_the_limit_is_whole() {
    let limits = Limits {
        output: 7,
        ..Limits::default()
    };
    assert_eq!(
        Template::parse("t", "ab{{.s}}")
            .unwrap()
            .render(&data(), limits)
            .unwrap(),
        "abhello"
    );
}

/// Pieces that make up templates, most of them in places where they do not belong.
fn piece() -> impl Strategy<Value = String> {
    const PIECES: [&str; 64] = [
        "{{",
        "}}",
        "{{- ",
        " -}}",
        "{{/*",
        "*/}}",
        "{{if ",
        "{{else}}",
        "{{else if ",
        "{{end}}",
        "{{range ",
        "{{with ",
        "{{define \"a\"}}",
        "{{template \"a\" ",
        "{{block \"b\" ",
        "{{break}}",
        "{{continue}}",
        "(",
        ")",
        "|",
        " ",
        "\n",
        ".",
        "$",
        "$x",
        "$x := ",
        "$x = ",
        "$i, $e := ",
        ".s",
        ".n",
        ".list",
        ".m.k",
        ".nil",
        ".long",
        ".item.ID",
        ".nope",
        "nil",
        "true",
        "print ",
        "printf ",
        "\"%v %d %s %q\"",
        "\"%[1]*.[2]*[3]f\"",
        "\"%-+# 012.5x\"",
        "index ",
        "slice ",
        "len ",
        "eq ",
        "lt ",
        "and ",
        "or ",
        "not ",
        "html ",
        "js ",
        "urlquery ",
        "call ",
        "1",
        "-1",
        "1.5",
        "1e9",
        "0x1Fp3",
        "'a'",
        "\"\\xff\"",
        "`raw`",
        "é\u{200b}",
    ];
    prop_oneof![
        9 => proptest::sample::select(PIECES.as_slice()).prop_map(str::to_owned),
        1 => any::<String>(),
    ]
}

fn action() -> impl Strategy<Value = String> {
    let operand = prop_oneof![
        Just(".s"),
        Just(".n"),
        Just(".f"),
        Just(".list"),
        Just(".m"),
        Just(".words"),
        Just(".nil"),
        Just(".nope"),
        Just("."),
        Just("$"),
        Just(".item"),
        Just(".item.ID"),
        Just("1"),
        Just("0"),
        Just("-5"),
        Just("1.5"),
        Just("1i"),
        Just("'x'"),
        Just("\"k\""),
        Just("\"%v|%5d|%-8.3q|%+v|%#v|%T|%x\""),
        Just("nil"),
        Just("true"),
        Just("(len .s)"),
        Just("(index .s 0)"),
    ];
    let function = prop_oneof![
        Just("print"),
        Just("printf"),
        Just("println"),
        Just("index"),
        Just("slice"),
        Just("len"),
        Just("eq"),
        Just("ne"),
        Just("lt"),
        Just("ge"),
        Just("and"),
        Just("or"),
        Just("not"),
        Just("html"),
        Just("js"),
        Just("urlquery"),
        Just("call"),
    ];
    let command = (function, prop::collection::vec(operand, 0..4))
        .prop_map(|(function, operands)| format!("{function} {}", operands.join(" ")));
    prop::collection::vec(command, 1..4).prop_map(|commands| commands.join(" | "))
}

fn body() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        action().prop_map(|action| format!("{{{{{action}}}}}")),
        Just("text \n".to_owned())
    ];
    leaf.prop_recursive(5, 40, 4, |inner| {
        let inner = prop::collection::vec(inner, 0..4).prop_map(|parts| parts.concat());
        (0..6, action(), inner.clone(), inner).prop_map(|(form, action, first, second)| match form {
            0 => format!("{{{{if {action}}}}}{first}{{{{else}}}}{second}{{{{end}}}}"),
            1 => format!("{{{{with $x := {action}}}}}{first}{{{{$x}}}}{{{{end}}}}{second}"),
            2 => format!("{{{{range $i, $e := {action}}}}}{first}{{{{$e}}}}{{{{else}}}}{second}{{{{end}}}}"),
            3 => format!("{{{{range .list}}}}{first}{{{{break}}}}{{{{end}}}}{second}"),
            4 => format!("{{{{- /* c */ -}}}}{first}{{{{block \"b\" {action}}}}}{second}{{{{end}}}}"),
            _ => format!("{{{{$y := {action}}}}}{first}{{{{$y}}}}{second}"),
        })
    })
}

fn check(text: &str) {
    for missing_key in [MissingKey::Default, MissingKey::Zero, MissingKey::Error] {
        let Ok(template) = Template::parse("t", text) else {
            return;
        };
        let limits = Limits {
            steps: 20_000,
            scratch: 1 << 20,
            output: 1 << 16,
            ..Limits::default()
        };
        if let Ok(output) = template.missing_key(missing_key).render(&data(), limits) {
            // Bytes that are no UTF-8 grow threefold.
            assert!(output.len() <= 3 * limits.output);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_ends(text in any::<String>()) {
        check(&text);
    }

    #[test]
    fn any_bytes_end(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        check(&String::from_utf8_lossy(&bytes));
        check(&format!("{{{{{}}}}}", String::from_utf8_lossy(&bytes)));
    }

    #[test]
    fn any_pieces_end(pieces in prop::collection::vec(piece(), 0..40)) {
        check(&pieces.concat());
        check(&format!("{{{{{}}}}}", pieces.concat()));
    }

    #[test]
    fn sensible_templates_end(text in body()) {
        prop_assert!(Template::parse("t", &text).is_ok() || text.contains("block"), "{text}");
        check(&text);
    }

    #[test]
    fn any_format_ends(format in "[%#+ 0-9.*\\[\\]vTdsqxXeEfFgGbcUtp!é]{0,12}") {
        let quoted = serde_json::to_string(&format).unwrap();
        check(&format!("{{{{printf {quoted} .n .f .s .list .nil .item 'x' 1i}}}}"));
        check(&format!("{{{{printf {quoted} 3 5 .m}}}}"));
    }

    #[test]
    fn numbers_read_as_written(number in any::<i64>(), float in any::<f64>()) {
        prop_assert_eq!(render(&format!("{{{{{number}}}}}")).unwrap(), number.to_string());
        if float.is_finite() {
            let text = render(&format!("{{{{{float:e}}}}}")).unwrap();
            prop_assert_eq!(text.parse::<f64>().unwrap(), float);
        }
    }
}
