//! What each connection is for, and behaviours that see only the connections that are theirs.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use either::Either;
use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::ListenerId, transport::PortUse},
    multiaddr::Protocol as Part,
    swarm::{
        ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent, THandlerOutEvent,
        ToSwarm, dummy,
    },
};

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Role {
    /// Gossip, consensus, sync, and trades too.
    Main,
    /// Trades only. Accepted on a path listener, it may also carry circuits.
    Path,
    /// Dialled to a relay, to carry circuits only.
    Carrier,
}

/// The roles of all connections. The dialler decides and the listener knows by the address.
#[derive(Debug, Clone, Default)]
pub(crate) struct Roles {
    table: Arc<Mutex<Table>>,
}

#[derive(Debug, Default)]
struct Table {
    connections: HashMap<ConnectionId, Role>,
    listeners: HashMap<ListenerId, Vec<Multiaddr>>,
}

impl Roles {
    /// Notes what a connection about to be dialled is for.
    pub(crate) fn dialled(&self, connection: ConnectionId, role: Role) {
        self.lock().connections.insert(connection, role);
    }

    /// Notes that connections to this listener are paths.
    pub(crate) fn path_listener(&self, listener: ListenerId) {
        self.lock().listeners.entry(listener).or_default();
    }

    /// Notes an address; returns whether it is a path listener's.
    pub(crate) fn listening(&self, listener: ListenerId, address: &Multiaddr) -> bool {
        match self.lock().listeners.get_mut(&listener) {
            Some(addresses) => {
                addresses.push(address.clone());
                true
            }
            None => false,
        }
    }

    pub(crate) fn is_path_listener(&self, listener: ListenerId) -> bool {
        self.lock().listeners.contains_key(&listener)
    }

    /// Returns whether it was a path listener.
    pub(crate) fn listener_closed(&self, listener: ListenerId) -> bool {
        self.lock().listeners.remove(&listener).is_some()
    }

    /// What a connection is for; those never heard of are main ones.
    pub(crate) fn of(&self, connection: ConnectionId) -> Role {
        self.lock().connections.get(&connection).copied().unwrap_or(Role::Main)
    }

    pub(crate) fn forget(&self, connection: ConnectionId) {
        self.lock().connections.remove(&connection);
    }

    /// Decides what an accepted connection is for.
    pub(crate) fn accepted(&self, connection: ConnectionId, local: &Multiaddr) -> Role {
        let mut table = self.lock();
        if let Some(role) = table.connections.get(&connection) {
            return *role;
        }
        let is_path = is_circuit(local) || table.listeners.values().flatten().any(|listening| is_at(local, listening));
        let role = if is_path { Role::Path } else { Role::Main };
        table.connections.insert(connection, role);
        role
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        // Nothing panics while it holds the lock.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) fn is_circuit(address: &Multiaddr) -> bool {
    address.iter().any(|part| matches!(part, Part::P2pCircuit))
}

/// Whether a connection's own end is this listener's. QUIC does not say to which of the host's
/// addresses it came if it listens on all.
fn is_at(local: &Multiaddr, listening: &Multiaddr) -> bool {
    let is_any = match local.iter().next() {
        Some(Part::Ip4(ip)) => ip.is_unspecified(),
        Some(Part::Ip6(ip)) => ip.is_unspecified(),
        _ => false,
    };
    let parts = |address: &Multiaddr| {
        let skipped = usize::from(is_any);
        address.iter().skip(skipped).filter(|part| !matches!(part, Part::P2p(_))).collect::<Multiaddr>()
    };
    parts(local) == parts(listening)
}

/// A behaviour that sees the connections of some roles only: on others it has no handler, and
/// neither their coming nor their going is told.
pub(crate) struct Scoped<B> {
    inner: B,
    roles: Roles,
    scope: &'static [Role],
    seen: HashMap<PeerId, HashSet<ConnectionId>>,
}

impl<B> Scoped<B> {
    pub(crate) fn new(inner: B, roles: &Roles, scope: &'static [Role]) -> Self {
        Self { inner, roles: roles.clone(), scope, seen: HashMap::new() }
    }

    pub(crate) fn inner_mut(&mut self) -> &mut B {
        &mut self.inner
    }

    fn is_ours(&self, connection: ConnectionId) -> bool {
        self.scope.contains(&self.roles.of(connection))
    }
}

impl<B: NetworkBehaviour> NetworkBehaviour for Scoped<B> {
    type ConnectionHandler = Either<THandler<B>, dummy::ConnectionHandler>;
    type ToSwarm = B::ToSwarm;

    fn handle_pending_inbound_connection(
        &mut self,
        connection: ConnectionId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        self.roles.accepted(connection, local);
        if self.is_ours(connection) {
            return self.inner.handle_pending_inbound_connection(connection, local, remote);
        }
        Ok(())
    }

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        if !self.is_ours(connection) {
            return Ok(Either::Right(dummy::ConnectionHandler));
        }
        self.inner.handle_established_inbound_connection(connection, peer, local, remote).map(Either::Left)
    }

    fn handle_pending_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: Option<PeerId>,
        addresses: &[Multiaddr],
        role: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        if !self.is_ours(connection) {
            return Ok(Vec::new());
        }
        self.inner.handle_pending_outbound_connection(connection, peer, addresses, role)
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        if !self.is_ours(connection) {
            return Ok(Either::Right(dummy::ConnectionHandler));
        }
        self.inner.handle_established_outbound_connection(connection, peer, address, role, port).map(Either::Left)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(mut event) => {
                if !self.is_ours(event.connection_id) {
                    return;
                }
                let seen = self.seen.entry(event.peer_id).or_default();
                event.other_established = seen.len();
                seen.insert(event.connection_id);
                self.inner.on_swarm_event(FromSwarm::ConnectionEstablished(event));
            }
            FromSwarm::ConnectionClosed(mut event) => {
                let Some(seen) = self.seen.get_mut(&event.peer_id) else { return };
                if !seen.remove(&event.connection_id) {
                    return;
                }
                event.remaining_established = seen.len();
                if seen.is_empty() {
                    self.seen.remove(&event.peer_id);
                }
                self.inner.on_swarm_event(FromSwarm::ConnectionClosed(event));
            }
            FromSwarm::AddressChange(event) if !self.is_ours(event.connection_id) => {}
            FromSwarm::DialFailure(event) if !self.is_ours(event.connection_id) => {}
            FromSwarm::ListenFailure(event) if !self.is_ours(event.connection_id) => {}
            other => self.inner.on_swarm_event(other),
        }
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, connection: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {
            Either::Left(event) => self.inner.on_connection_handler_event(peer, connection, event),
            Either::Right(never) => match never {},
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        self.inner.poll(context).map(|action| action.map_in(Either::Left))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests may panic")]
mod tests {
    use super::*;

    #[test]
    fn only_a_path_listener_makes_a_path() {
        let roles = Roles::default();
        let (main, path) = (ListenerId::next(), ListenerId::next());
        roles.path_listener(path);
        assert!(!roles.listening(main, &"/ip4/10.0.0.1/tcp/1".parse().unwrap()));
        for address in ["/ip4/10.0.0.1/tcp/2", "/ip4/10.0.0.1/udp/3/quic-v1", "/ip4/10.0.0.1/tcp/4/ws"] {
            assert!(roles.listening(path, &address.parse().unwrap()));
        }
        let cases = [
            ("/ip4/10.0.0.1/tcp/1", Role::Main),
            ("/ip4/10.0.0.1/tcp/2", Role::Path),
            ("/ip4/10.0.0.2/tcp/2", Role::Main),
            ("/ip4/0.0.0.0/udp/3/quic-v1", Role::Path),
            ("/ip4/0.0.0.0/udp/4/quic-v1", Role::Main),
            ("/ip4/10.0.0.1/tcp/4/ws", Role::Path),
            ("/ip4/10.0.0.1/tcp/4", Role::Main),
            ("/ip4/10.0.0.9/tcp/9/p2p-circuit", Role::Path),
        ];
        for (number, (local, expected)) in cases.into_iter().enumerate() {
            let connection = ConnectionId::new_unchecked(number);
            assert_eq!(roles.accepted(connection, &local.parse().unwrap()), expected, "{local}");
            assert_eq!(roles.of(connection), expected);
        }
    }
}
