//! Which stages a build needs, and what the names in it refer to. Nothing here touches anything.

use crate::dockerfile::{Dockerfile, Instruction};
use crate::expand::ExpandError;
use crate::scope::Globals;

/// What a name after `FROM` or `--from=` refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Nothing: an empty root.
    Scratch,
    /// An earlier stage, by number.
    Stage(usize),
    /// An image.
    Image(String),
}

/// A name that refers to nothing that can be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    /// `--target` of a stage that is not there.
    #[error("target stage {0:?} could not be found")]
    NoSuchTarget(String),
    /// `FROM` with a variable that has no value.
    #[error("base name ({0}) should not be blank")]
    BlankBase(String),
    /// `--from=N` of a stage that does not come before.
    #[error("invalid from flag value {0}: it is no earlier stage")]
    NotEarlier(String),
    /// A name that cannot be expanded.
    #[error(transparent)]
    Expand(#[from] ExpandError),
}

/// The stages of a build.
#[derive(Debug)]
pub(crate) struct Stages {
    /// What each is based on.
    pub(crate) bases: Vec<Origin>,
    /// The one to build.
    pub(crate) target: usize,
    /// Those that must be built, in order, the target included.
    pub(crate) needed: Vec<usize>,
}

/// Works out the stages of a Dockerfile.
pub(crate) fn stages(
    dockerfile: &Dockerfile,
    target: &str,
    globals: &Globals,
) -> Result<Stages, (Option<u32>, OriginError)> {
    let target = find_target(dockerfile, target).map_err(|error| (None, error))?;
    let mut bases = Vec::new();
    for (index, stage) in dockerfile.stages.iter().enumerate().take(target + 1) {
        let base =
            base(dockerfile, index, globals).map_err(|error| (Some(stage.source.line), error))?;
        bases.push(base);
    }
    let mut is_needed = vec![false; target + 1];
    is_needed[target] = true;
    for index in (0..=target).rev() {
        if !is_needed[index] {
            continue;
        }
        if let Origin::Stage(base) = bases[index] {
            is_needed[base] = true;
        }
        for statement in &dockerfile.stages[index].statements {
            if let Instruction::Copy(copy) = &statement.instruction
                && let Ok(Origin::Stage(source)) = origin_of_copy(dockerfile, index, &copy.from)
            {
                is_needed[source] = true;
            }
        }
    }
    let needed = (0..=target).filter(|index| is_needed[*index]).collect();
    Ok(Stages {
        bases,
        target,
        needed,
    })
}

fn find_target(dockerfile: &Dockerfile, target: &str) -> Result<usize, OriginError> {
    let n_stages = dockerfile.stages.len();
    if target.is_empty() {
        return n_stages
            .checked_sub(1)
            .ok_or_else(|| OriginError::NoSuchTarget("0".to_owned()));
    }
    stage_by_name(dockerfile, n_stages, target)
        .or_else(|| target.parse().ok().filter(|index| *index < n_stages))
        .ok_or_else(|| OriginError::NoSuchTarget(target.to_owned()))
}

/// The last stage of that name before stage `before`.
fn stage_by_name(dockerfile: &Dockerfile, before: usize, name: &str) -> Option<usize> {
    dockerfile.stages[..before].iter().rposition(|stage| {
        stage
            .name
            .as_ref()
            .is_some_and(|stage_name| stage_name.eq_ignore_ascii_case(name))
    })
}

fn base(dockerfile: &Dockerfile, index: usize, globals: &Globals) -> Result<Origin, OriginError> {
    let written = &dockerfile.stages[index].base;
    let name = globals.expand(written)?;
    if name.is_empty() {
        return Err(OriginError::BlankBase(written.clone()));
    }
    Ok(match stage_by_name(dockerfile, index, &name) {
        Some(stage) => Origin::Stage(stage),
        None if name == "scratch" => Origin::Scratch,
        None => Origin::Image(name),
    })
}

/// What `COPY --from=name` of stage `index` refers to.
pub(crate) fn origin_of_copy(
    dockerfile: &Dockerfile,
    index: usize,
    name: &str,
) -> Result<Origin, OriginError> {
    if let Some(stage) = stage_by_name(dockerfile, index, name) {
        return Ok(Origin::Stage(stage));
    }
    match name.parse::<usize>() {
        Ok(number) if number < index => Ok(Origin::Stage(number)),
        Ok(_) => Err(OriginError::NotEarlier(name.to_owned())),
        Err(_) if name == "scratch" => Ok(Origin::Scratch),
        Err(_) => Ok(Origin::Image(name.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use berth_agent_images::Platform;

    use super::{Origin, OriginError, Stages, stages};
    use crate::dockerfile::Dockerfile;
    use crate::scope::Globals;

    fn resolve(text: &str, target: &str) -> Result<Stages, OriginError> {
        let dockerfile = Dockerfile::parse(text).expect("fine");
        let host = Platform::host();
        let mut globals = Globals::new('\\', BTreeMap::new(), &host, &host);
        for (_, argument) in &dockerfile.global_arguments {
            globals.declare(argument).expect("fine");
        }
        stages(&dockerfile, target, &globals).map_err(|(_, error)| error)
    }

    const FILE: &str = "ARG BASE=one\nFROM a AS one\nFROM b AS unused\nFROM ${BASE} AS two\n\
                        FROM scratch\nCOPY --from=TWO /x /\nCOPY --from=busybox /y /\n";

    #[test]
    fn only_stages_that_the_target_needs_are_built() {
        let all = resolve(FILE, "").expect("fine");
        assert_eq!(
            (all.target, all.needed.as_slice()),
            (3, [0, 2, 3].as_slice())
        );
        assert_eq!(all.bases[2], Origin::Stage(0));
        assert_eq!(all.bases[3], Origin::Scratch);
        let one = resolve(FILE, "UNUSED").expect("fine");
        assert_eq!((one.target, one.needed.as_slice()), (1, [1].as_slice()));
        assert_eq!(resolve(FILE, "0").expect("fine").target, 0);
    }

    #[test]
    fn a_target_that_is_not_there_is_named() {
        let error = resolve(FILE, "nope").expect_err("no such stage");
        assert_eq!(error, OriginError::NoSuchTarget("nope".to_owned()));
    }

    #[test]
    fn a_stage_can_be_named_like_the_image_it_is_based_on() {
        let stages = resolve("FROM busybox AS busybox\nFROM busybox\n", "").expect("fine");
        assert_eq!(
            stages.bases,
            [Origin::Image("busybox".to_owned()), Origin::Stage(0)]
        );
    }

    #[test]
    fn a_base_without_a_value_is_refused() {
        let error = resolve("ARG V\nFROM $V\n", "").expect_err("blank");
        assert_eq!(error, OriginError::BlankBase("$V".to_owned()));
    }
}
