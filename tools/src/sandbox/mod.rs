//! A whole network on this machine: two banks, two institutions and an auditor, each a process of its own, and a
//! replay of orders over real prices by customers that sign on their own side.
//!
//! The folder holds everything: `genesis.stemma`, `prices.csv`, `market.csv`, `customers.csv`, `orders.csv`, `nodes/<member>/`,
//! `customers/`, `bundles/`, and `sandbox.json`, which remembers what the ledger can't tell. Nothing is done twice when
//! a run is interrupted: each step of the set-up looks at the ledger first, and an order that is given again has the
//! same bytes, which the bank takes once.

mod checks;
pub mod customers;
mod inputs;
pub mod layout;
mod orders;
mod party;
pub mod plan;
mod ports;
mod positions;
pub mod prices;
pub mod processes;
mod products;
mod promotion;
mod replay;
mod report;
pub mod setup;
pub mod state;
mod table;
mod trader;

use std::path::PathBuf;
use std::process::ExitCode;

use stemma_chain_format::genesis::GenesisFile;

use self::inputs::Inputs;
use self::layout::Folder;
use self::processes::{Clients, Interrupt, Nodes};
use self::report::{AccountRow, Finality, NodeRow, Report};
use self::state::State;
use crate::error::{CliError, Exit};
use crate::node::read_genesis;
use crate::node_binary;
use crate::output::Output;
use crate::units::Units;

/// What to run, and where.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder.
    pub dir: PathBuf,
    /// The orders file; without it the folder's, else the one that comes with the tool.
    pub orders: Option<PathBuf>,
    /// The price file; likewise.
    pub prices: Option<PathBuf>,
    /// The customers file; likewise.
    pub customers: Option<PathBuf>,
    /// The node's binary.
    pub node_binary: Option<PathBuf>,
    /// Whether the network stays up.
    pub keep_running: bool,
}

/// Runs the sandbox to its end.
///
/// # Errors
/// A file is wrong, or the network fails; [`CliError`] says what to do.
pub async fn run(options: &Options, output: &Output) -> Result<ExitCode, CliError> {
    // Read first: a wrong file is told before anything is made or started.
    inputs::check_given(options)?;
    let folder = Folder::open(&options.dir)?;
    let inputs = Inputs::read(options, &folder)?;
    let mut state = open_state(&folder, &inputs, output)?;
    inputs.admit(&state)?;
    let genesis = read_genesis(&folder.genesis())?;
    let mut interrupt = Interrupt::new()?;
    let binary = tokio::select! {
        binary = node_binary::find(options.node_binary.as_deref(), output) => binary?,
        () = interrupt.wait() => return Err(interrupted()),
    };
    processes::stop_orphans(&folder, output).await?;
    if !ports::are_free(state.ports.values()) {
        output.note("A port is taken by another program: choosing new ones.");
        state.ports = ports::free(&plan::PARTS.map(|part| part.id))?;
        folder.write_configs(&state.ports)?;
        state.save(&folder.state())?;
    }
    output.note(&format!("Starting {} nodes in {}.", plan::PARTS.len(), options.dir.display()));
    let mut nodes = Nodes::start(&binary, &folder, &state.ports)?;
    let run = Run { options, folder: &folder, inputs: &inputs, genesis: &genesis, output };
    let result = tokio::select! {
        result = run.start_to_end(&mut nodes, &mut state) => result,
        () = interrupt.wait() => Err(interrupted()),
    };
    if result.is_ok() && options.keep_running {
        output.note(&run.how_to_reach(&nodes.clients(), &state));
        interrupt.wait().await;
    }
    output.note("Stopping the nodes.");
    nodes.stop(output).await;
    result.map(Into::into)
}

fn open_state(folder: &Folder, inputs: &Inputs, output: &Output) -> Result<State, CliError> {
    if folder.state().exists() {
        return State::load(&folder.state());
    }
    output.note("Making keys, the genesis and configurations.");
    let market = products::market(&inputs.prices_text);
    folder.make((&inputs.prices_text, &market), &inputs.customers, &inputs.customers_text)
}

fn interrupted() -> CliError {
    CliError::network("interrupted").help("the same command goes on from the committed state")
}

/// One run, once the nodes are processes.
struct Run<'r> {
    options: &'r Options,
    folder: &'r Folder,
    inputs: &'r Inputs,
    genesis: &'r GenesisFile,
    output: &'r Output,
}

impl Run<'_> {
    async fn start_to_end(&self, nodes: &mut Nodes, state: &mut State) -> Result<Exit, CliError> {
        let waiting = self.output.progress("Waiting for the nodes", None);
        nodes.ready().await?;
        waiting.finish();
        let clients = nodes.clients();
        // A node that dies ends the run at once: its log says more than the calls that fail then.
        let result = tokio::select! {
            result = self.work(&clients, state) => result,
            died = nodes.watch() => Err(died),
        };
        if result.is_err() {
            nodes.none_ended()?;
        }
        result
    }

    async fn work(&self, clients: &Clients, state: &mut State) -> Result<Exit, CliError> {
        let output = self.output;
        if !state.is_set_up {
            let mut progress =
                output.progress("Listing, opening, funding", Some(setup::steps(state, &self.inputs.prices)));
            setup::run(clients, self.folder, state, &self.inputs.prices, &mut progress).await?;
            progress.finish();
        }
        self.replay(clients, state).await?;
        promotion::run(clients, self.folder, state, &self.inputs.prices, self.genesis).await?;
        products::run(clients, self.folder, state, &self.inputs.prices, self.genesis).await?;
        let (report, units) = self.report(clients, state).await?;
        output.data(&report, &report.text(&units))?;
        Ok(if report.failures.is_empty() { Exit::Yes } else { Exit::No })
    }

    async fn replay(&self, clients: &Clients, state: &mut State) -> Result<(), CliError> {
        let Inputs { prices, orders, .. } = self.inputs;
        if state.replay.orders != self.inputs.orders_digest() {
            self.inputs.keep_orders(self.folder)?;
            replay::begin(clients, state, &self.inputs.orders_digest()).await?;
            state.save(&self.folder.state())?;
        }
        if let Some(day) = &state.replay.day {
            // For who trades by hand, and for institutions that do not remember their day.
            replay::move_day(clients, day).await?;
        }
        if state.replay.is_finished {
            self.output.note("All orders were replayed before: showing what the ledger holds.");
            return Ok(());
        }
        if state.replay.next > 0 {
            self.output.note(&format!("Going on after {} of {} orders.", state.replay.next, orders.count()));
        }
        let mut progress = self.output.progress("Replaying orders", Some(orders.count()));
        replay::run(clients, self.folder, state, (prices, orders), self.genesis, &mut progress).await?;
        progress.finish();
        Ok(())
    }

    async fn report(&self, clients: &Clients, state: &State) -> Result<(Report, Units), CliError> {
        let mut failures = state.replay.tally.unexpected.clone();
        let (statuses, is_agreed) = checks::agreed(clients).await?;
        if !is_agreed {
            failures.push("the nodes do not hold the same head block and account root".to_owned());
        }
        let accounts = checks::accounts(clients, state).await?;
        let mut auditing = self.output.progress("Auditing", u64::try_from(accounts.len()).ok());
        let mut bundles = Vec::new();
        for (name, account) in &accounts {
            let bundle = checks::audit(clients, self.folder, (name, account)).await?;
            if bundle.verdict != "verified" || bundle.problem.is_some() {
                let problem = bundle.problem.as_deref().unwrap_or_default();
                failures.push(format!("the bundle of {name} is {}: {problem}", bundle.verdict));
            }
            bundles.push(bundle);
            auditing.advance(1);
        }
        auditing.finish();
        let units = Units::of_node(&setup::client(clients, plan::STRANGERS_BANK)?.instruments().await?);
        let url = |member: &str| clients.get(member).map_or("", |client| client.url()).to_owned();
        let nodes = statuses.into_iter().map(|status| (url(&status.member), status));
        let report = Report {
            trades_committed: state.replay.tally.committed,
            orders: self.inputs.orders.count(),
            refusals: state.replay.tally.refusals.clone(),
            finality_ms: Finality::of(&state.replay.tally),
            nodes: nodes.map(|(url, status)| NodeRow::of(status, &url)).collect(),
            accounts: accounts.into_iter().map(|(name, view)| AccountRow::of(name, view)).collect(),
            bundles,
            promotion: state.promotion.clone(),
            products: state.products.clone().unwrap_or_default(),
            genesis: self.folder.genesis().display().to_string(),
            dir: self.options.dir.display().to_string(),
            failures,
        };
        Ok((report, units))
    }

    fn how_to_reach(&self, clients: &Clients, state: &State) -> String {
        let mut text = "The network stays up until Ctrl-C.\n\n".to_owned();
        for (member, client) in clients {
            let token = self.folder.token(member);
            text.push_str(&format!("  {member:<9} {}  operator's token: {}\n", client.url(), token.display()));
        }
        let example = state.customers.iter().find(|(_, customer)| customer.account.is_some());
        let instrument = self.inputs.prices.instruments().next();
        if let (Some((name, customer)), Some(instrument)) = (example, instrument) {
            let account = customer.account.as_deref().unwrap_or_default();
            let node = clients.get(&customer.bank).map_or("", |client| client.url());
            let (key, passphrase) = (self.folder.customer_key(name), self.folder.customers_passphrase());
            let (key, passphrase) = (key.display(), passphrase.display());
            text.push_str(&format!(
                "\nTry, as {name}:\n\
                 \n  stemma account show {account} --node {node}\n\
                 \n  stemma trade buy --node {node} --account {account} --instrument {instrument} --quantity 1 \
                 --key {key} --passphrase-file {passphrase}\n\
                 \n  stemma audit export --node {node} --account {account} --out {name}.bundle\
                 \n  stemma audit verify {name}.bundle --genesis {}\n",
                self.folder.genesis().display()
            ));
        }
        text
    }
}
