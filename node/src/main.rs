//! The `stemma-node` binary: reads its configuration, opens its store, joins the network, serves HTTP.

use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use stemma_chain_format::member::Role;
use stemma_net::NetHandle;
use stemma_node::bank::{self, Desk};
use stemma_node::config::Told;
use stemma_node::http::{self, Shared};
use stemma_node::membership::Settings;
use stemma_node::network;
use stemma_node::node::{EVENTS_MAX, Event, Node, NodeEnd, NodeParts};
use stemma_node::store::Store;
use stemma_node_api::types::Status;
use tokio::sync::{broadcast, mpsc, watch};

/// A node of a Stemma consortium: a bank, an institution or an auditor.
#[derive(Parser)]
#[command(version, after_help = "Example:\n  stemma-node --config nodes/bank-a/config.toml")]
struct Arguments {
    /// The configuration file (TOML).
    #[arg(long, env = "STEMMA_CONFIG")]
    config: PathBuf,
}

/// Changes of orders that wait for slow readers of events; whoever is slower looks again where things stand.
const CHANGES_MAX: usize = 1_024;
/// How often the node looks at what waits, in milliseconds.
const TICK_MS: u64 = 250;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_env("STEMMA_LOG").unwrap_or_else(|_| {
        tracing_subscriber::EnvFilter::new("warn,stemma=info,stemma_node=info,stemma_consensus=info")
    });
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).init();
    match run(&arguments.config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            tracing::error!("stopped: {e:#}");
            ExitCode::from(3)
        }
    }
}

fn run(path: &std::path::Path) -> anyhow::Result<()> {
    let cannot_start = || format!("cannot start with {}", path.display());
    let told = Told::load(path).with_context(cannot_start)?;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&told.config.data)
        .with_context(|| format!("cannot make the data folder {}", told.config.data.display()))?;
    let file = told.config.data.join("stemma.redb");
    let store =
        Store::open(&file, told.genesis.network(), &told.member).context("is another node running on this folder?")?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .worker_threads(2)
        .build()
        .context("cannot start the runtime")?;
    let ended = loop {
        // What the network says of the member may be another after each life of the node.
        let taken_up = store.registry(&told.genesis).context("cannot read the registry");
        let taken_up = taken_up.and_then(|registry| told.take_up(registry).with_context(cannot_start));
        match taken_up.and_then(|settings| runtime.block_on(serve(settings, store.clone()))) {
            Ok(NodeEnd::Changed) => {}
            Ok(NodeEnd::Stopped) => break Ok(()),
            Err(e) => break Err(e),
        }
    };
    runtime.shutdown_timeout(Duration::from_secs(2));
    ended
}

async fn serve(settings: Settings, store: Store) -> anyhow::Result<NodeEnd> {
    let announced = network::stored_announcements(&store, &settings.registry)?;
    let (net, mut net_events) =
        stemma_net::start(network::net_config(&settings, &announced)?).await.context("cannot join the network")?;
    let (registry, known_registry) = watch::channel(Arc::new(settings.registry.clone()));
    let (events, waiting) = mpsc::channel(EVENTS_MAX);
    let status = first_status(&settings);
    let (status, shown) = watch::channel(status);
    let desk = desk(&settings, &store)?;
    let (changes, _) = broadcast::channel(CHANGES_MAX);
    let shared = Arc::new(Shared {
        store: store.clone(),
        events: events.clone(),
        status: shown,
        genesis: settings.genesis.bytes().to_vec(),
        registry: known_registry.clone(),
        operator_token: settings.operator_token.clone(),
        changes: changes.clone(),
        room: http::bulk::room(),
        reports: http::reports::turns(),
        paths: network::paths(net.clone(), known_registry, settings.member.id.clone()),
        desk: Arc::clone(&desk),
    });
    let listen = settings.config.http.listen;
    let listener = tokio::net::TcpListener::bind(listen)
        .await
        .with_context(|| format!("cannot listen on {listen} (http.listen): is the port taken?"))?;
    tracing::info!(member = %settings.member.id, role = %settings.member.role, http = %listen, "started");
    let runtime = tokio::runtime::Handle::current();
    let (net_of_node, events_of_node) = (net.clone(), events.clone());
    let parts = NodeParts {
        store,
        net: net_of_node,
        runtime,
        events: events_of_node,
        announced,
        registry,
        status,
        changes,
        desk,
    };
    let node = Node::new(settings, parts).context("cannot take up the ledger")?;
    let mut thread = tokio::task::spawn_blocking(move || node.run(waiting));
    let forward = events.clone();
    tokio::spawn(async move {
        while let Some(event) = net_events.recv().await {
            if forward.send(Event::Net(event)).await.is_err() {
                break;
            }
        }
    });
    tokio::spawn(tick(events.clone()));
    let server = tokio::spawn(async move {
        axum::serve(listener, http::router(shared).into_make_service_with_connect_info::<std::net::SocketAddr>()).await
    });
    let ended = tokio::select! {
        ended = &mut thread => ended.context("the node's thread failed")?.context("the node cannot go on"),
        signal = stop_signal() => {
            signal?;
            tracing::info!("stopping");
            events.send(Event::Stop).await.ok();
            thread.await.context("the node's thread failed")?.context("the node stopped with an error")
        }
    };
    server.abort();
    // The next life listens on the same port.
    let _aborted = server.await;
    stop(&net).await;
    ended
}

/// How a bank verifies identities, its stored verifiers sealed by the member's present key.
fn desk(settings: &Settings, store: &Store) -> anyhow::Result<Arc<Desk>> {
    if settings.member.role == Role::Bank {
        let resealed = bank::reseal(store, settings.genesis.network(), &settings.member_key, &settings.member_keys);
        let resealed = resealed.context("cannot take up the bank's verifiers")?;
        if resealed > 0 {
            tracing::info!(verifiers = resealed, "sealed anew, by the member's present key");
        }
    }
    let desk = Desk::of_bank(&settings.config.bank, &settings.member_key);
    Ok(Arc::new(desk.context("bank.identity: the rules cannot be used")?))
}

async fn stop(net: &NetHandle) {
    if tokio::time::timeout(Duration::from_secs(2), net.shutdown()).await.is_err() {
        tracing::warn!("connections did not close in time");
    }
}

async fn tick(events: mpsc::Sender<Event>) {
    let mut interval = tokio::time::interval(Duration::from_millis(TICK_MS));
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        if events.send(Event::Tick).await.is_err() {
            return;
        }
    }
}

async fn stop_signal() -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    tokio::select! {
        pressed = tokio::signal::ctrl_c() => pressed.context("cannot listen for Ctrl-C"),
        _ = terminate.recv() => Ok(()),
    }
}

fn first_status(settings: &Settings) -> Status {
    Status {
        member: settings.member.id.to_string(),
        role: settings.member.role.to_string(),
        network: settings.genesis.network().to_string(),
        height: 0,
        head: String::new(),
        account_root: String::new(),
        time_ms: 0,
        peers: Vec::new(),
        pool: 0,
        entries: 0,
        trades: 0,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        back_office: None,
    }
}
