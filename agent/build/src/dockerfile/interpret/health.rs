//! `HEALTHCHECK`.

use std::time::Duration;

use super::{at_least_one, command_line};
use crate::dockerfile::SyntaxProblem;
use crate::dockerfile::duration::parse_duration;
use crate::dockerfile::flags::{FlagKind, Flags};
use crate::dockerfile::instruction::{CommandLine, Healthcheck};
use crate::dockerfile::node::Node;

pub(super) fn healthcheck(node: &Node) -> Result<Healthcheck, SyntaxProblem> {
    let values = at_least_one(node, "HEALTHCHECK")?;
    let (kind, arguments) = (values[0].to_uppercase(), &values[1..]);
    match kind.as_str() {
        "NONE" if arguments.is_empty() => {
            return Ok(Healthcheck {
                test: vec![kind],
                ..Healthcheck::default()
            });
        }
        "NONE" => return Err(SyntaxProblem::HealthcheckNone),
        _ => {}
    }
    let known = [
        ("interval", FlagKind::Text),
        ("timeout", FlagKind::Text),
        ("start-period", FlagKind::Text),
        ("start-interval", FlagKind::Text),
        ("retries", FlagKind::Text),
    ];
    let flags = Flags::check(&node.flags, &known)?;
    if kind != "CMD" {
        return Err(SyntaxProblem::HealthcheckType(kind));
    }
    let test = match command_line(node, arguments) {
        CommandLine::Exec(words) => [vec![kind], words].concat(),
        CommandLine::Shell(text) => ["CMD-SHELL".to_owned()].into_iter().chain(text).collect(),
    };
    if test.len() == 1 {
        return Err(SyntaxProblem::HealthcheckCommand);
    }
    Ok(Healthcheck {
        test,
        interval: interval(&flags, "interval")?,
        timeout: interval(&flags, "timeout")?,
        start_period: interval(&flags, "start-period")?,
        start_interval: interval(&flags, "start-interval")?,
        retries: retries(&flags)?,
    })
}

fn interval(flags: &Flags, flag: &'static str) -> Result<Duration, SyntaxProblem> {
    let value = flags.text(flag);
    if value.is_empty() {
        return Ok(Duration::ZERO);
    }
    let duration = parse_duration(&value).ok_or(SyntaxProblem::Duration { flag, value })?;
    if !duration.is_zero() && duration < Duration::from_millis(1) {
        return Err(SyntaxProblem::ShortInterval(flag));
    }
    Ok(duration)
}

fn retries(flags: &Flags) -> Result<u32, SyntaxProblem> {
    let value = flags.text("retries");
    if value.is_empty() {
        return Ok(0);
    }
    value.parse::<u32>().or(Err(SyntaxProblem::Retries(value)))
}
