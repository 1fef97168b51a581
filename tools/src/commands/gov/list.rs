//! `stemma gov list`.

use serde::Serialize;
use stemma_node_api::governance::GovernanceView;

use crate::error::CliError;
use crate::node::NodeArgs;
use crate::output::Output;

/// Arguments of `stemma gov list`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  stemma gov list --node http://127.0.0.1:8101")]
pub(super) struct Args {
    #[command(flatten)]
    node: NodeArgs,
}

#[derive(Serialize)]
struct Report {
    records: Vec<GovernanceView>,
}

/// Lists the committed records.
pub(super) async fn run(args: &Args, output: &Output) -> Result<(), CliError> {
    let report = Report { records: args.node.client()?.governance().await? };
    let mut text = String::new();
    for view in &report.records {
        let record = &view.record;
        let note = if record.note.is_empty() { String::new() } else { format!(": {}", record.note) };
        text.push_str(&format!(
            "{}: {}, committed at height {}, effective from height {} on{note}\n",
            record.number, view.state, view.height, record.effective
        ));
        record.changes.iter().for_each(|change| text.push_str(&format!("   {change}\n")));
    }
    if report.records.is_empty() {
        text.push_str("Nothing was resolved yet: all is as in the genesis.\n");
    }
    output.data(&report, &text)
}
