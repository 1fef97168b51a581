//! A link that can be made slow, narrow, lossy or dead, for TCP and UDP, and so for QUIC and
//! WebSocket as well. It listens on a free port of the loopback interface and passes on what comes.
//!
//! Delay is added each way. Rate and the queue before it are each way too, shared by all connections
//! of the link, as on a real one. A cut link is silent but nothing is closed: TCP stands still, as
//! if every segment were lost and sent again until the link heals, and UDP is lost. A reset closes
//! every TCP connection, and makes the UDP ports new ones.

use std::{
    collections::{HashMap, hash_map::Entry},
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket, tcp::OwnedReadHalf, tcp::OwnedWriteHalf},
    sync::{mpsc, watch},
    task::JoinHandle,
    time::{Instant, sleep_until},
};

/// Read at once: small, so that rate and delay are even.
const CHUNK_BYTES: usize = 4096;

/// Chunks under way on one TCP connection and direction; then the sender must wait.
const CHUNKS_MAX: usize = 64;

/// A UDP datagram that would have to wait longer than this for its turn is lost.
const UDP_QUEUE_MAX: Duration = Duration::from_millis(300);

/// Datagrams under way from one sender and direction; more are lost.
const DATAGRAMS_MAX: usize = 4096;

/// Above what any datagram has.
const DATAGRAM_BYTES_MAX: usize = 65_536;

/// How a link is. The default is perfect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Link {
    /// Added to each way.
    pub delay: Duration,
    /// Each way; none is unlimited.
    pub bytes_per_s: Option<u64>,
    /// Of a thousand UDP datagrams, so many are lost.
    pub loss_permille: u32,
}

#[derive(Debug, Clone, Copy, Default)]
struct State {
    link: Link,
    is_cut: bool,
    resets: u64,
}

/// One direction's share of the rate.
#[derive(Debug)]
struct Lane {
    free_at: Mutex<Instant>,
}

impl Lane {
    fn new() -> Arc<Self> {
        Arc::new(Self { free_at: Mutex::new(Instant::now()) })
    }

    fn free_at(&self) -> MutexGuard<'_, Instant> {
        self.free_at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When so many bytes have passed; none if they would have to wait too long.
    fn pass(&self, bytes: usize, link: Link, wait_max: Option<Duration>) -> Option<Instant> {
        let now = Instant::now();
        let mut free_at = self.free_at();
        let start = (*free_at).max(now);
        if wait_max.is_some_and(|most| start.saturating_duration_since(now) > most) {
            return None;
        }
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let micros = link.bytes_per_s.and_then(|rate| bytes.saturating_mul(1_000_000).checked_div(rate)).unwrap_or(0);
        let end = start.checked_add(Duration::from_micros(micros)).unwrap_or(start);
        *free_at = end;
        end.checked_add(link.delay)
    }
}

/// What the tasks of one proxy share.
#[derive(Clone)]
struct Shared {
    target: SocketAddr,
    state: watch::Receiver<State>,
    there: Arc<Lane>,
    back: Arc<Lane>,
    bytes: Arc<AtomicU64>,
}

impl Shared {
    fn now(&self) -> State {
        *self.state.borrow()
    }

    fn count(&self, bytes: usize) {
        self.bytes.fetch_add(u64::try_from(bytes).unwrap_or(0), Ordering::Relaxed);
    }

    /// Waits until the link is whole; false if it was reset meanwhile, or its proxy is gone.
    async fn whole(&self, resets: u64) -> bool {
        let mut state = self.state.clone();
        let found = state.wait_for(|state| !state.is_cut || state.resets != resets).await;
        found.is_ok_and(|state| state.resets == resets)
    }

    /// Waits until the link is reset, or its proxy is gone.
    async fn reset(&self, resets: u64) {
        let mut state = self.state.clone();
        // An error means that the proxy is gone.
        let _ = state.wait_for(|state| state.resets != resets).await;
    }
}

/// A link to one address. Dropped, it is closed.
pub struct Proxy {
    address: SocketAddr,
    state: watch::Sender<State>,
    bytes: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// A link for TCP to an address, whole and as told.
    ///
    /// # Errors
    /// No port is free.
    pub async fn tcp(target: SocketAddr, link: Link) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        Ok(Self::start(address, target, link, |shared| tokio::spawn(serve_tcp(listener, shared))))
    }

    /// A link for UDP to an address, whole and as told.
    ///
    /// # Errors
    /// No port is free.
    pub async fn udp(target: SocketAddr, link: Link) -> io::Result<Self> {
        let socket = Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?);
        let address = socket.local_addr()?;
        Ok(Self::start(address, target, link, |shared| tokio::spawn(serve_udp(socket, shared))))
    }

    fn start(
        address: SocketAddr,
        target: SocketAddr,
        link: Link,
        serve: impl FnOnce(Shared) -> JoinHandle<()>,
    ) -> Self {
        let (state, receiver) = watch::channel(State { link, ..State::default() });
        let bytes = Arc::new(AtomicU64::new(0));
        let shared =
            Shared { target, state: receiver, there: Lane::new(), back: Lane::new(), bytes: Arc::clone(&bytes) };
        Self { address, state, bytes, task: serve(shared) }
    }

    /// Where to connect to get to the target by this link.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Bytes passed on so far, both ways.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Changes delay, rate and loss for what comes from now on.
    pub fn set(&self, link: Link) {
        self.state.send_modify(|state| state.link = link);
    }

    /// Lets nothing through, silently.
    pub fn cut(&self) {
        self.state.send_modify(|state| state.is_cut = true);
    }

    /// Lets everything through again.
    pub fn heal(&self) {
        self.state.send_modify(|state| state.is_cut = false);
    }

    /// Closes every connection; new ones are taken.
    pub fn reset(&self) {
        self.state.send_modify(|state| state.resets = state.resets.wrapping_add(1));
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve_tcp(listener: TcpListener, shared: Shared) {
    while let Ok((near, _)) = listener.accept().await {
        let shared = shared.clone();
        tokio::spawn(async move {
            let resets = shared.now().resets;
            let relayed = async {
                // Nobody answers through a cut link, not even the other end's port.
                if shared.whole(resets).await
                    && let Ok(far) = TcpStream::connect(shared.target).await
                {
                    relay(near, far, &shared, resets).await;
                }
            };
            tokio::select! {
                () = relayed => {}
                () = shared.reset(resets) => {}
            }
        });
    }
}

async fn relay(near: TcpStream, far: TcpStream, shared: &Shared, resets: u64) {
    // Not ours to gather: the ends know what they want sent.
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let (near_in, near_out) = near.into_split();
    let (far_in, far_out) = far.into_split();
    tokio::join!(
        pass(near_in, far_out, shared, &shared.there, resets),
        pass(far_in, near_out, shared, &shared.back, resets),
    );
}

/// One direction of one connection: bytes are read at the link's rate and written after its delay.
async fn pass(from: OwnedReadHalf, to: OwnedWriteHalf, shared: &Shared, lane: &Lane, resets: u64) {
    let (queue, arrivals) = mpsc::channel(CHUNKS_MAX);
    tokio::join!(take(from, queue, shared, lane, resets), give(arrivals, to, shared, resets));
}

async fn take(
    mut from: OwnedReadHalf,
    queue: mpsc::Sender<(Instant, Vec<u8>)>,
    shared: &Shared,
    lane: &Lane,
    resets: u64,
) {
    let mut buffer = vec![0; CHUNK_BYTES];
    while shared.whole(resets).await {
        let Ok(count) = from.read(&mut buffer).await else { return };
        let Some(chunk) = buffer.get(..count).filter(|chunk| !chunk.is_empty()) else { return };
        let link = shared.now().link;
        let Some(due) = lane.pass(count, link, None) else { return };
        if queue.send((due, chunk.to_vec())).await.is_err() {
            return;
        }
        // What has not had its turn yet must wait outside, or a slow link would hold a lot.
        sleep_until(due.checked_sub(link.delay).unwrap_or(due)).await;
    }
}

async fn give(mut arrivals: mpsc::Receiver<(Instant, Vec<u8>)>, mut to: OwnedWriteHalf, shared: &Shared, resets: u64) {
    while let Some((due, chunk)) = arrivals.recv().await {
        sleep_until(due).await;
        if !shared.whole(resets).await || to.write_all(&chunk).await.is_err() {
            return;
        }
        shared.count(chunk.len());
    }
    // Says that no more comes, if the other end still listens.
    let _ = to.shutdown().await;
}

/// Each sender has a socket of its own towards the target, so that answers find their way back.
async fn serve_udp(near: Arc<UdpSocket>, shared: Shared) {
    let mut flows: HashMap<SocketAddr, mpsc::Sender<(Instant, Vec<u8>)>> = HashMap::new();
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    let mut resets = shared.now().resets;
    loop {
        // A port that was closed is reported as an error of the next call.
        let Ok((count, from)) = near.recv_from(&mut buffer).await else { continue };
        if shared.now().resets != resets {
            resets = shared.now().resets;
            flows.clear();
        }
        let queue = match flows.entry(from) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                let Ok(far) = connect_udp(shared.target).await else { continue };
                let (queue, arrivals) = mpsc::channel(DATAGRAMS_MAX);
                tokio::spawn(flow(Arc::clone(&near), from, far, arrivals, shared.clone(), resets));
                new.insert(queue)
            }
        };
        later(&shared, &shared.there, buffer.get(..count).unwrap_or_default(), queue);
    }
}

async fn connect_udp(target: SocketAddr) -> io::Result<UdpSocket> {
    let far = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    far.connect(target).await?;
    Ok(far)
}

/// Both directions of one sender's datagrams, until the link is reset.
async fn flow(
    near: Arc<UdpSocket>,
    from: SocketAddr,
    far: UdpSocket,
    mut there: mpsc::Receiver<(Instant, Vec<u8>)>,
    shared: Shared,
    resets: u64,
) {
    let (queue, mut back) = mpsc::channel::<(Instant, Vec<u8>)>(DATAGRAMS_MAX);
    let answers = async {
        let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
        loop {
            match far.recv(&mut buffer).await {
                Ok(count) => later(&shared, &shared.back, buffer.get(..count).unwrap_or_default(), &queue),
                // The target's port is closed for now.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    };
    let give_there = async {
        while let Some((due, data)) = there.recv().await {
            sleep_until(due).await;
            if !shared.now().is_cut && far.send(&data).await.is_ok() {
                shared.count(data.len());
            }
        }
    };
    let give_back = async {
        while let Some((due, data)) = back.recv().await {
            sleep_until(due).await;
            if !shared.now().is_cut && near.send_to(&data, from).await.is_ok() {
                shared.count(data.len());
            }
        }
    };
    tokio::select! {
        () = answers => {}
        () = give_there => {}
        () = give_back => {}
        () = shared.reset(resets) => {}
    }
}

/// Queues a datagram for when its delay is over, unless the link is cut or loses it.
fn later(shared: &Shared, lane: &Lane, data: &[u8], queue: &mpsc::Sender<(Instant, Vec<u8>)>) {
    let state = shared.now();
    if state.is_cut || is_lost(state.link.loss_permille) {
        return;
    }
    if let Some(due) = lane.pass(data.len(), state.link, Some(UDP_QUEUE_MAX)) {
        // A full queue loses, as it does on a real link.
        let _ = queue.try_send((due, data.to_vec()));
    }
}

/// Chance by a fixed sequence of numbers, so that a run can be repeated.
fn is_lost(permille: u32) -> bool {
    static DRAWS: AtomicU64 = AtomicU64::new(1);
    let next = |draw: u64| draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    let draw = DRAWS.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |draw| Some(next(draw))).unwrap_or(0);
    permille > 0 && (draw >> 33) % 1000 < u64::from(permille)
}
