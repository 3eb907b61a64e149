//! `berth top`.

use berth_proto::v1::TopRequest;

use crate::engine::Global;
use crate::failure::Outcome;
use crate::ui::{self, table, visible::visible};

/// List the processes of a container
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name or id
    #[arg(value_name = "CONTAINER")]
    container: String,

    /// Words for ps [default: -ef]
    #[arg(
        value_name = "PS OPTIONS",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    ps_options: Vec<String>,
}

/// Shows processes as `ps` on the machine would.
pub(super) async fn run(args: Args, global: &Global) -> Outcome {
    let engine = global.engine().await?;
    let request = TopRequest {
        container: args.container,
        ps_arguments: args.ps_options,
    };
    let answer = engine.containers().top(request).await?.into_inner();
    let rows = answer.processes.into_iter().map(|process| process.fields);
    let mut text = String::new();
    for row in std::iter::once(answer.titles).chain(rows) {
        text.push_str(&row.join("\t"));
        text.push('\n');
    }
    ui::print(&table::align(&visible(&text), table::PROCESSES))?;
    Ok(0)
}
