//! `start`: opens the store, joins the network, serves HTTP, until it is stopped.

use std::collections::BTreeMap;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::{Args, ValueEnum};
use sd_notify::NotifyState;
use stemma_chain_format::announcement::Announcement;
use stemma_chain_format::member::{MemberId, Role};
use stemma_net::{NetEvent, NetHandle};
use stemma_node_api::config::{LogConfig, LogFormat, SyncBegin};
use stemma_node_api::types::Status;
use tokio::runtime::Runtime;
use tokio::sync::{broadcast, mpsc, watch};
use tokio::task::JoinHandle;
use tracing_subscriber::EnvFilter;

use super::{CommandError, Exit, Place, of_config};
use crate::bank::{self, Desk};
use crate::config::Told;
use crate::http::{self, Shared};
use crate::lock::{HomeLock, LockError};
use crate::membership::Settings;
use crate::meters::Meters;
use crate::network;
use crate::node::{EVENTS_MAX, Event, Node, NodeEnd, NodeError, NodeParts, UNREACHED_S};
use crate::snapshot;
use crate::store::{Store, StoreError};
use crate::telemetry::Traces;

/// Changes of orders that wait for slow readers of events; whoever is slower looks again where things stand.
const CHANGES_MAX: usize = 1_024;
/// How often the node looks at what waits, in milliseconds.
const TICK_MS: u64 = 250;
/// How long the sockets of an earlier life are waited for, in seconds.
const SOCKETS_FREE_S: u64 = 10;
/// The pause between two looks at them, in milliseconds.
const SOCKETS_PAUSE_MS: u64 = 50;
/// The store's file in the data folder.
pub(super) const STORE_FILE: &str = "stemma.redb";
/// The variable that names the log's filter for one start.
const LOG_VARIABLE: &str = "STEMMA_LOG";

/// How a node is started.
#[derive(Clone, Debug, Args)]
pub struct StartArgs {
    #[command(flatten)]
    place: Place,
    /// How the log is written to standard error; else as `log.format` says
    #[arg(long, value_enum, value_name = "FORMAT")]
    log_format: Option<Format>,
    /// The log, and an error, as JSON: the same as --log-format json
    #[arg(long)]
    json: bool,
}

/// A log's format on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// Lines for people
    Text,
    /// One object a line
    Json,
}

/// Runs the node until it is stopped.
///
/// # Errors
/// It cannot start, or cannot go on.
pub fn run(args: &StartArgs) -> Result<Exit, CommandError> {
    let mut config = args.place.configuration()?;
    match args.log_format {
        Some(Format::Text) => config.log.format = LogFormat::Text,
        Some(Format::Json) => config.log.format = LogFormat::Json,
        None if args.json => config.log.format = LogFormat::Json,
        None => {}
    }
    write_log(&config.log)?;
    let started = Told::of(config).map_err(|e| of_config(&e));
    let ended = started.and_then(|told| start(&told, &args.place.folder()?));
    match ended {
        Ok(()) => Ok(Exit::Yes),
        Err(e) => {
            tracing::error!("stopped: {}", e.line());
            Ok(e.exit())
        }
    }
}

fn write_log(log: &LogConfig) -> Result<(), CommandError> {
    let filter = match std::env::var(LOG_VARIABLE) {
        Ok(text) => EnvFilter::try_new(&text)
            .map_err(|e| CommandError::usage(format!("{LOG_VARIABLE}: {text:?} is no filter")).caused_by(&e))?,
        Err(_) => EnvFilter::try_new(&log.filter)
            .map_err(|e| CommandError::usage(format!("log.filter: {:?} is no filter", log.filter)).caused_by(&e))?,
    };
    let written = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false);
    match log.format {
        LogFormat::Text => written.init(),
        LogFormat::Json => written.json().flatten_event(true).init(),
    }
    Ok(())
}

fn start(told: &Told, home: &Path) -> Result<(), CommandError> {
    let _lock = HomeLock::take(home).map_err(|e| of_lock(&e))?;
    let store = open_store(told)?;
    if let Some(moved_ms) = store.moved_ms().map_err(|e| of_store(&e))? {
        return Err(moved(home, moved_ms));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .worker_threads(2)
        .build()
        .map_err(|e| CommandError::failure("cannot start the runtime").caused_by(&e))?;
    let mut life = Life::default();
    let ended = loop {
        match live(told, &store, &runtime, life) {
            // A governance record changed the member: what it has become is taken up from the store.
            Ok(NodeEnd::Changed) => life = Life { is_again: true, by_other_identity: false },
            Ok(NodeEnd::Unreached) => {
                tracing::warn!("no peer lets this node in: it tries the other network key that is configured");
                life = Life { is_again: true, by_other_identity: !life.by_other_identity };
            }
            Ok(NodeEnd::Stopped) => break Ok(()),
            Err(e) => break Err(e),
        }
    };
    runtime.shutdown_timeout(Duration::from_secs(2));
    ended
}

/// What is different from the first life of a process.
#[derive(Debug, Clone, Copy, Default)]
struct Life {
    is_again: bool,
    by_other_identity: bool,
}

/// One life of the node, as what the registry makes of its member now.
fn live(told: &Told, store: &Store, runtime: &Runtime, life: Life) -> Result<NodeEnd, CommandError> {
    let registry = store.registry(&told.genesis).map_err(|e| of_store(&e))?;
    let settings = told.take_up(registry, life.by_other_identity).map_err(|e| of_config(&e))?;
    // Made and ended outside of the runtime: it blocks.
    let traces = traces_of(&settings)?;
    let ended = runtime.block_on(serve(settings, store.clone(), traces.clone(), life.is_again));
    if let Some(traces) = traces {
        traces.end();
    }
    Ok(ended?)
}

fn traces_of(settings: &Settings) -> Result<Option<Traces>, CommandError> {
    let Some(collector) = &settings.config.telemetry.otlp else { return Ok(None) };
    let (member, role) = (settings.member.id.to_string(), settings.member.role.to_string());
    let traces = Traces::to(collector, &member, &role);
    traces.map(Some).map_err(|e| CommandError::failure("telemetry.otlp: traces cannot be sent").caused_by(&e))
}

pub(super) fn of_lock(error: &LockError) -> CommandError {
    let failed = CommandError::of(error);
    match error {
        LockError::Taken { .. } => failed.help("one node runs on one home: stop that process, or start another home"),
        LockError::File { .. } => failed.help("the node's user must be able to write in the home"),
    }
}

/// A home of which a final backup was made.
pub(super) fn moved(home: &Path, moved_ms: u64) -> CommandError {
    let when = jiff::Timestamp::from_millisecond(i64::try_from(moved_ms).unwrap_or(i64::MAX));
    let when = when.map_or_else(|_| moved_ms.to_string(), |when| when.to_string());
    let message = format!("the home {} was moved by `backup --final` at {when} and never starts again", home.display());
    CommandError::failure(message)
        .help("start the home that was restored from that backup: it signs in this one's place")
}

/// Opens the store in the data folder, which is made where it is missing.
pub(super) fn open_store(told: &Told) -> Result<Store, CommandError> {
    let data = &told.config.data;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(data)
        .map_err(|e| CommandError::failure(format!("cannot make the data folder {}", data.display())).caused_by(&e))?;
    let opened = Store::open(&data.join(STORE_FILE), told.genesis.network(), &told.member);
    opened.map_err(|e| of_store(&e))
}

pub(super) fn of_store(error: &StoreError) -> CommandError {
    let failed = CommandError::of(error);
    match error {
        StoreError::Open { .. } => {
            failed.help("is another node running on this data folder? `stemma-node doctor` looks")
        }
        StoreError::Foreign { .. } => failed.help(
            "the store was made for another network, member or version: check `genesis`, `member` and `data` in the \
             configuration, or begin with an empty data folder",
        ),
        _ => failed,
    }
}

async fn serve(settings: Settings, store: Store, traces: Option<Traces>, is_again: bool) -> anyhow::Result<NodeEnd> {
    let announced = network::stored_announcements(&store, &settings.registry)?;
    let (net, net_events) = join(&settings, &announced, is_again).await?;
    if settings.config.sync.begin == SyncBegin::Snapshot
        && store.last_block()?.is_none()
        && let Some(ended) = begin_with_snapshot(&net, &settings, &store).await?
    {
        return Ok(ended);
    }
    let (registry, known_registry) = watch::channel(Arc::new(settings.registry.clone()));
    let (events, waiting) = mpsc::channel(EVENTS_MAX);
    let status = first_status(&settings);
    let (status, shown) = watch::channel(status);
    let desk = desk(&settings, &store)?;
    let (changes, _) = broadcast::channel(CHANGES_MAX);
    let meters = Arc::new(Meters::default());
    let shared = Arc::new(Shared {
        store: store.clone(),
        events: events.clone(),
        status: shown,
        genesis: settings.genesis.clone(),
        registry: known_registry.clone(),
        operator_token: settings.operator_token.clone(),
        changes: changes.clone(),
        room: http::bulk::room(),
        reports: http::reports::turns(),
        paths: network::paths(net.clone(), known_registry, settings.member.id.clone()),
        desk: Arc::clone(&desk),
        meters: Arc::clone(&meters),
        backups: http::backup::turn(),
        replays: http::bundles::turn(),
        data: settings.config.data.clone(),
        store_file: settings.config.data.join(STORE_FILE),
    });
    let listen = settings.config.http.listen;
    let listener = tokio::net::TcpListener::bind(listen)
        .await
        .with_context(|| format!("cannot listen on {listen} (http.listen): is the port taken?"))?;
    tracing::info!(member = %settings.member.id, role = %settings.member.role, http = %listen, "started");
    let runtime = tokio::runtime::Handle::current();
    let parts = NodeParts {
        store,
        net: net.clone(),
        runtime,
        events: events.clone(),
        announced,
        registry,
        status,
        changes,
        desk,
        meters,
        traces,
    };
    let node = Node::new(settings, parts).context("cannot take up the ledger")?;
    let thread = tokio::task::spawn_blocking(move || node.run(waiting));
    tokio::spawn(forward(net_events, events.clone()));
    tokio::spawn(tick(events.clone()));
    let server = tokio::spawn(async move {
        axum::serve(listener, http::router(shared).into_make_service_with_connect_info::<std::net::SocketAddr>()).await
    });
    tell_systemd(NotifyState::Ready);
    let ended = until_stopped(thread, &events).await;
    server.abort();
    // The next life listens on the same port.
    let _aborted = server.await;
    stop(&net).await;
    ended
}

/// Until the node's thread ends, by itself or because a signal asks for it.
async fn until_stopped(
    mut thread: JoinHandle<Result<NodeEnd, NodeError>>,
    events: &mpsc::Sender<Event>,
) -> anyhow::Result<NodeEnd> {
    tokio::select! {
        ended = &mut thread => ended.context("the node's thread failed")?.context("the node cannot go on"),
        signal = stop_signal() => {
            signal?;
            tracing::info!("stopping");
            tell_systemd(NotifyState::Stopping);
            events.send(Event::Stop).await.ok();
            thread.await.context("the node's thread failed")?.context("the node stopped with an error")
        }
    }
}

/// Says how the service is, where systemd started it (`Type=notify`).
fn tell_systemd(state: NotifyState<'_>) {
    if let Err(e) = sd_notify::notify(&[state]) {
        tracing::warn!(error = %e, "systemd was not told");
    }
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

/// Joins the network. After an earlier life of this process its sockets may take a moment to be free.
async fn join(
    settings: &Settings,
    announced: &BTreeMap<MemberId, Announcement>,
    is_again: bool,
) -> anyhow::Result<(NetHandle, mpsc::Receiver<NetEvent>)> {
    let config = network::net_config(settings, announced)?;
    let patience = if is_again { Duration::from_secs(SOCKETS_FREE_S) } else { Duration::ZERO };
    let begun = Instant::now();
    loop {
        match stemma_net::start(config.clone()).await {
            Ok(joined) => return Ok(joined),
            Err(e) if begun.elapsed() < patience => {
                tracing::debug!(error = %crate::error::chain(&e), "the network cannot be joined yet");
                tokio::time::sleep(Duration::from_millis(SOCKETS_PAUSE_MS)).await;
            }
            Err(e) => return Err(e).context("cannot join the network"),
        }
    }
}

/// Fetches a snapshot; then the node begins anew on it, as what the registry says of the member by now. Nothing where no peer has one.
async fn begin_with_snapshot(net: &NetHandle, settings: &Settings, store: &Store) -> anyhow::Result<Option<NodeEnd>> {
    let ended = tokio::select! {
        begun = snapshot::fetch(net, &settings.genesis, store) => {
            begun.context("cannot begin with a snapshot")?.map(|_| NodeEnd::Changed)
        }
        () = unreached(net), if settings.has_other_identity => Some(NodeEnd::Unreached),
        signal = stop_signal() => {
            signal?;
            Some(NodeEnd::Stopped)
        }
    };
    if ended.is_some() {
        stop(net).await;
    }
    Ok(ended)
}

/// Ends where nobody is connected after a while.
async fn unreached(net: &NetHandle) {
    tokio::time::sleep(Duration::from_secs(UNREACHED_S)).await;
    if !net.connected().is_empty() {
        std::future::pending::<()>().await;
    }
}

/// Hands what the network brings to the node's thread.
async fn forward(mut from: mpsc::Receiver<NetEvent>, events: mpsc::Sender<Event>) {
    while let Some(event) = from.recv().await {
        if events.send(Event::Net(event)).await.is_err() {
            return;
        }
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
        history_from: 1,
        pool: 0,
        entries: 0,
        trades: 0,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        back_office: None,
        vote: None,
        not_ready: vec!["the node is starting".to_owned()],
        clock_offsets_ms: BTreeMap::new(),
    }
}
