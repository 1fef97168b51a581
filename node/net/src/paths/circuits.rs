//! Circuits through relays: the connections that carry them, and the reservations by which others
//! reach us.
//!
//! libp2p's relay client would use any connection to the relay, the main one too, whose votes must
//! not wait for others' trades. So it sees only carriers, which are dialled here.

use std::collections::BTreeMap;

use libp2p::{
    Multiaddr, PeerId,
    core::transport::ListenerId,
    multiaddr::Protocol as Part,
    swarm::{
        ConnectionId, ListenOpts,
        dial_opts::{DialOpts, PeerCondition},
    },
};
use tokio::time::Instant;

use super::{
    super::config::NetTimeouts,
    backoff::Backoff,
    role::{Role, Roles},
};

/// The connection to one relay.
#[derive(Debug, Default)]
struct Carrier {
    addresses: Vec<Multiaddr>,
    connection: Option<ConnectionId>,
    is_up: bool,
    backoff: Backoff,
}

/// An address at a relay that we want to be reached by.
#[derive(Debug)]
struct Reservation {
    address: Multiaddr,
    relay: PeerId,
    listener: Option<ListenerId>,
    backoff: Backoff,
}

#[derive(Debug, Default)]
pub(super) struct Circuits {
    carriers: BTreeMap<PeerId, Carrier>,
    reservations: Vec<Reservation>,
}

/// The relay of a circuit address, and where it is.
pub(crate) fn relay_of(address: &Multiaddr) -> Option<(PeerId, Multiaddr)> {
    let mut before = Multiaddr::empty();
    for part in address {
        match part {
            Part::P2pCircuit => {
                let Some(Part::P2p(relay)) = before.pop() else { return None };
                return Some((relay, before));
            }
            other => before.push(other),
        }
    }
    None
}

impl Circuits {
    /// Keeps a reservation from now on.
    pub(super) fn reserve(&mut self, address: Multiaddr) {
        let Some((relay, _)) = relay_of(&address) else { return };
        self.reservations.push(Reservation { address, relay, listener: None, backoff: Backoff::default() });
    }

    /// Keeps carriers to these relays and to those of the reservations. Returns those to be closed.
    pub(super) fn follow(&mut self, relays: Vec<(PeerId, Multiaddr)>) -> Vec<(PeerId, ConnectionId)> {
        let mut wanted: BTreeMap<PeerId, Vec<Multiaddr>> = BTreeMap::new();
        let reserved = self.reservations.iter().filter_map(|reservation| relay_of(&reservation.address));
        for (relay, at) in reserved.chain(relays) {
            let addresses = wanted.entry(relay).or_default();
            if !addresses.contains(&at) {
                addresses.push(at);
            }
        }
        let old = std::mem::take(&mut self.carriers);
        let mut gone = Vec::new();
        for (relay, carrier) in old {
            if wanted.contains_key(&relay) {
                self.carriers.insert(relay, carrier);
            } else {
                gone.extend(carrier.connection.map(|connection| (relay, connection)));
            }
        }
        for (relay, addresses) in wanted {
            self.carriers.entry(relay).or_default().addresses = addresses;
        }
        gone
    }

    pub(super) fn is_up(&self, relay: &PeerId) -> bool {
        self.carriers.get(relay).is_some_and(|carrier| carrier.is_up)
    }

    /// The carriers to dial and the reservations to ask for now.
    pub(super) fn due(&mut self, now: Instant, roles: &Roles) -> (Vec<DialOpts>, Vec<ListenOpts>) {
        let mut dials = Vec::new();
        for (relay, carrier) in &mut self.carriers {
            if carrier.connection.is_some() || !carrier.backoff.is_due(now) {
                continue;
            }
            let dial = dial(*relay, carrier.addresses.clone());
            roles.dialled(dial.connection_id(), Role::Carrier);
            carrier.connection = Some(dial.connection_id());
            dials.push(dial);
        }
        let mut listens = Vec::new();
        for reservation in &mut self.reservations {
            let is_up = self.carriers.get(&reservation.relay).is_some_and(|carrier| carrier.is_up);
            if !is_up || reservation.listener.is_some() || !reservation.backoff.is_due(now) {
                continue;
            }
            let listen = ListenOpts::new(reservation.address.clone());
            roles.path_listener(listen.listener_id());
            reservation.listener = Some(listen.listener_id());
            listens.push(listen);
        }
        (dials, listens)
    }

    pub(super) fn on_connected(&mut self, connection: ConnectionId, now: Instant) {
        let found = self.carriers.iter_mut().find(|(_, carrier)| carrier.connection == Some(connection));
        if let Some((relay, carrier)) = found {
            tracing::debug!(%relay, "connected to a relay");
            carrier.is_up = true;
            carrier.backoff.on_success(now);
        }
    }

    /// A carrier has gone or could not be dialled.
    pub(super) fn on_closed(&mut self, connection: ConnectionId, now: Instant, timeouts: &NetTimeouts, random: u32) {
        let found = self.carriers.iter_mut().find(|(_, carrier)| carrier.connection == Some(connection));
        if let Some((relay, carrier)) = found {
            // Once is worth a line, its repetition is not.
            if carrier.is_up || carrier.backoff.failures() == 0 {
                tracing::warn!(%relay, "a relay cannot be reached; trying again");
            }
            carrier.is_up = false;
            carrier.connection = None;
            carrier.backoff.on_failure(now, timeouts, random);
        }
    }

    pub(super) fn on_listening(&mut self, listener: ListenerId, now: Instant) {
        if let Some(reservation) = self.reservations.iter_mut().find(|known| known.listener == Some(listener)) {
            tracing::info!(address = %reservation.address, "a relay lets others reach us");
            reservation.backoff.on_success(now);
        }
    }

    pub(super) fn on_listener_closed(
        &mut self,
        listener: ListenerId,
        now: Instant,
        timeouts: &NetTimeouts,
        random: u32,
    ) {
        if let Some(reservation) = self.reservations.iter_mut().find(|known| known.listener == Some(listener)) {
            tracing::warn!(address = %reservation.address, "a relay lets nobody reach us; trying again");
            reservation.listener = None;
            reservation.backoff.on_failure(now, timeouts, random);
        }
    }
}

/// A dial besides whatever connections there are.
pub(super) fn dial(peer: PeerId, addresses: Vec<Multiaddr>) -> DialOpts {
    DialOpts::peer_id(peer).condition(PeerCondition::Always).addresses(addresses).allocate_new_port().build()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests may panic")]
mod tests {
    use super::*;

    #[test]
    fn the_relay_is_what_comes_before_the_circuit() {
        let relay = PeerId::random();
        let target = PeerId::random();
        for tail in [String::new(), format!("/p2p/{target}")] {
            let address = format!("/ip4/10.0.0.1/tcp/1/p2p/{relay}/p2p-circuit{tail}").parse().unwrap();
            assert_eq!(relay_of(&address), Some((relay, "/ip4/10.0.0.1/tcp/1".parse().unwrap())));
        }
        for none in ["/ip4/10.0.0.1/tcp/1", "/ip4/10.0.0.1/tcp/1/p2p-circuit"] {
            assert_eq!(relay_of(&none.parse().unwrap()), None);
        }
    }
}
