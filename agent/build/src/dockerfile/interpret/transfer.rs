//! `COPY` and `ADD`.

use crate::dockerfile::SyntaxProblem;
use crate::dockerfile::flags::{FlagKind, Flags};
use crate::dockerfile::heredoc::parse_heredoc;
use crate::dockerfile::instruction::Transfer;
use crate::dockerfile::node::Node;

pub(super) fn add(node: &Node) -> Result<Transfer, SyntaxProblem> {
    let known = [
        ("chown", FlagKind::Text),
        ("chmod", FlagKind::Text),
        ("link", FlagKind::Switch),
        ("keep-git-dir", FlagKind::Switch),
        ("checksum", FlagKind::Text),
        ("unpack", FlagKind::Switch),
    ];
    transfer(node, "ADD", &known)
}

pub(super) fn copy(node: &Node) -> Result<Transfer, SyntaxProblem> {
    let known = [
        ("chown", FlagKind::Text),
        ("from", FlagKind::Text),
        ("chmod", FlagKind::Text),
        ("link", FlagKind::Switch),
    ];
    transfer(node, "COPY", &known)
}

fn transfer(
    node: &Node,
    keyword: &'static str,
    known: &[(&'static str, FlagKind)],
) -> Result<Transfer, SyntaxProblem> {
    let [sources @ .., destination] = node.arguments.values.as_slice() else {
        return Err(SyntaxProblem::NoDestination(keyword));
    };
    if sources.is_empty() {
        return Err(SyntaxProblem::NoDestination(keyword));
    }
    let flags = Flags::check(&node.flags, known)?;
    if parse_heredoc(destination).is_some() {
        return Err(SyntaxProblem::HeredocDestination(keyword));
    }
    let mut transfer = Transfer {
        destination: destination.clone(),
        from: flags.text("from"),
        chown: flags.text("chown"),
        chmod: flags.text("chmod"),
        link: flags.switch("link").unwrap_or_default(),
        checksum: flags.text("checksum"),
        keep_git_dir: flags.switch("keep-git-dir"),
        unpack: flags.switch("unpack"),
        ..Transfer::default()
    };
    for source in sources {
        match parse_heredoc(source) {
            None => transfer.sources.push(source.clone()),
            Some(opening) => {
                let heredoc = node
                    .heredocs
                    .iter()
                    .find(|heredoc| heredoc.name == opening.name);
                transfer.contents.push(heredoc.cloned().unwrap_or(opening));
            }
        }
    }
    Ok(transfer)
}
