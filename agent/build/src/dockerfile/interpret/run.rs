//! `RUN`.

use super::command_line;
use crate::dockerfile::SyntaxProblem;
use crate::dockerfile::flags::{FlagKind, Flags};
use crate::dockerfile::instruction::Run;
use crate::dockerfile::node::Node;

pub(super) fn run(node: &Node) -> Result<Run, SyntaxProblem> {
    let known = [
        ("device", FlagKind::Many),
        ("mount", FlagKind::Many),
        ("network", FlagKind::Text),
    ];
    let flags = Flags::check(&node.flags, &known)?;
    let mounts = flags.all("mount").to_vec();
    for mount in &mounts {
        // Which stages a build needs must be known before anything is expanded.
        let from = mount.split(',').filter_map(|field| field.split_once('='));
        let mut from = from.filter(|(key, _)| key.eq_ignore_ascii_case("from"));
        if from.any(|(_, value)| value.find('$').is_some_and(|at| at + 1 < value.len())) {
            return Err(SyntaxProblem::MountFromVariable);
        }
    }
    Ok(Run {
        command: command_line(node, &node.arguments.values),
        heredocs: node.heredocs.clone(),
        mounts,
        network: flags.text("network"),
        flags: flags.used(),
    })
}
