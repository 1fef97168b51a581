//! What the swarm reports, and what the task does about it.

use std::sync::Arc;

use libp2p::{
    Multiaddr, PeerId,
    allow_block_list::NotAllowed,
    gossipsub, ping,
    request_response::{Event as ExchangeEvent, Message},
    swarm::{ConnectionError, ConnectionId, DialError, ListenError, SwarmEvent},
};
use tokio::time::Instant;

use super::{
    behaviour::WireEvent,
    event::{NetEvent, count},
    exchange::{Lane, Protocol},
    gossip::GOSSIP_BYTES_MAX,
    inbox::{Held, WayBack},
    outbox::explain,
    paths::{PathEvent, Role, is_circuit},
    swarm::{Task, random},
};

impl Task {
    pub(super) fn on_swarm_event(&mut self, event: SwarmEvent<WireEvent>) {
        match event {
            SwarmEvent::Behaviour(event) => self.on_behaviour_event(event),
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                let address = endpoint.get_remote_address().clone();
                let role = self.swarm.behaviour().paths().roles().of(connection_id);
                tracing::debug!(peer = %peer_id, %address, ?role, "a connection is up");
                self.dialling.remove(&connection_id);
                if role == Role::Main {
                    self.mains.entry(peer_id).or_default().insert(connection_id);
                    self.peers.on_established(&peer_id, address, Instant::now());
                }
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, cause, .. } => {
                self.on_closed(peer_id, connection_id, cause.as_ref());
            }
            SwarmEvent::OutgoingConnectionError { connection_id, error, .. } => {
                let Some(peer) = self.dialling.remove(&connection_id) else {
                    tracing::debug!(%error, "dialling a path failed");
                    return;
                };
                if let DialError::WrongPeerId { obtained, address } = &error {
                    tracing::warn!(%peer, %obtained, ?address, "another node answers at its address");
                } else {
                    tracing::debug!(%peer, %error, "dialling failed");
                }
                self.peers.on_dial_failed(&peer, Instant::now(), random());
            }
            SwarmEvent::IncomingConnectionError { peer_id, send_back_addr, error, .. } => {
                self.on_refused(peer_id, &send_back_addr, &error);
            }
            SwarmEvent::NewListenAddr { listener_id, address } => {
                let is_path = self.swarm.behaviour().paths().roles().is_path_listener(listener_id);
                tracing::info!(%address, is_path, "listening");
                self.controls.status.send_modify(|status| match is_path {
                    true => status.path_listening.push(address),
                    false => status.listening.push(address),
                });
            }
            SwarmEvent::ExpiredListenAddr { address, .. } => self.on_deaf(&[address]),
            SwarmEvent::ListenerClosed { addresses, reason, .. } => {
                // A relay that goes is not ours to answer for, and has a line of its own.
                if !addresses.iter().all(is_circuit) {
                    tracing::error!(?addresses, ?reason, "a listener has closed");
                }
                self.on_deaf(&addresses);
            }
            SwarmEvent::ListenerError { error, .. } => {
                tracing::warn!(%error, "a listener failed to accept");
            }
            _ => {}
        }
    }

    fn on_deaf(&mut self, addresses: &[Multiaddr]) {
        for address in addresses {
            tracing::warn!(%address, "no longer listening");
        }
        self.controls.status.send_modify(|status| {
            status.listening.retain(|known| !addresses.contains(known));
            status.path_listening.retain(|known| !addresses.contains(known));
        });
    }

    fn on_closed(&mut self, peer: PeerId, connection: ConnectionId, cause: Option<&ConnectionError>) {
        let Some(mains) = self.mains.get_mut(&peer) else { return };
        if mains.remove(&connection) && mains.is_empty() {
            self.mains.remove(&peer);
            tracing::debug!(%peer, ?cause, "the last main connection is gone");
            self.on_gone(peer);
        }
    }

    fn on_gone(&mut self, peer: PeerId) {
        if self.peers.on_gone(&peer, Instant::now(), random()) {
            tracing::info!(%peer, "disconnected");
            self.inbox.push_link(NetEvent::Disconnected { peer });
            self.show_connected();
        }
        self.drop_waiting(peer);
    }

    fn on_refused(&mut self, peer: Option<PeerId>, address: &Multiaddr, error: &ListenError) {
        match (peer, error) {
            (Some(peer), ListenError::Denied { cause }) if cause.downcast_ref::<NotAllowed>().is_some() => {
                count(&self.controls.counters.strangers_refused, 1);
                tracing::warn!(%peer, %address, "refused a connection from a peer that is not configured");
            }
            _ => {
                count(&self.controls.counters.handshakes_failed, 1);
                tracing::debug!(?peer, %address, %error, "an incoming connection failed");
            }
        }
    }

    fn on_behaviour_event(&mut self, event: WireEvent) {
        match event {
            WireEvent::Gossip(event) => self.on_gossip(event),
            WireEvent::Paths(event) => self.on_path_event(event),
            WireEvent::Sync(event) => self.on_exchange(Lane::Sync, event),
            WireEvent::Fetch(event) => self.on_exchange(Lane::Fetch, event),
            WireEvent::Consensus(event) => self.on_exchange(Lane::Consensus, event),
            WireEvent::Ping(ping::Event { peer, connection, result: Err(failure) }) => {
                if !matches!(failure, ping::Failure::Unsupported) {
                    tracing::info!(%peer, %failure, "closing a connection that does not answer");
                    self.swarm.close_connection(connection);
                }
            }
            WireEvent::Ping(_) => {}
            WireEvent::Circuits(event) => tracing::debug!(?event, "a circuit"),
            WireEvent::Relay(event) => tracing::debug!(?event, "relaying"),
            // These two have no events.
            WireEvent::Allowed(never) | WireEvent::Limits(never) => match never {},
        }
    }

    fn on_gossip(&mut self, event: gossipsub::Event) {
        match event {
            gossipsub::Event::Message { propagation_source: from, message, .. } => {
                let Some(topic) = self.topics.topic(&message.topic) else { return };
                if message.data.len() > GOSSIP_BYTES_MAX || !self.inbox.push_gossip(from, topic, message.data) {
                    count(&self.controls.counters.gossip_dropped_in, 1);
                }
            }
            gossipsub::Event::Subscribed { peer_id: peer, topic } => {
                let Some(topic) = self.topics.topic(&topic) else { return };
                if let Some(address) = self.peers.on_subscribed(&peer, topic) {
                    tracing::info!(%peer, %address, "connected");
                    self.inbox.push_link(NetEvent::Connected { peer, address });
                    self.show_connected();
                }
            }
            // A peer that has shown otherwise has a stray connection, for ping to judge.
            gossipsub::Event::GossipsubNotSupported { peer_id: peer } if self.peers.is_ready(&peer) => {}
            gossipsub::Event::GossipsubNotSupported { peer_id: peer } => {
                self.refuse_foreign(peer);
            }
            gossipsub::Event::SlowPeer { peer_id: peer, failed_messages } => {
                let dropped = failed_messages.non_priority;
                count(&self.controls.counters.gossip_dropped_out, dropped);
                tracing::debug!(%peer, dropped, "a slow peer misses gossip");
            }
            gossipsub::Event::Unsubscribed { .. } => {}
        }
    }

    fn on_path_event(&mut self, event: PathEvent) {
        match event {
            PathEvent::Request { peer, id, data } => {
                let held = Held { from: peer, data, way_back: WayBack::Paths(peer, id) };
                if !self.inbox.push_held(Some(Protocol::Trade), held) {
                    count(&self.controls.counters.refused_in, 1);
                    self.swarm.behaviour_mut().paths_mut().answer(peer, id, None);
                }
            }
            PathEvent::Announced { peer, data } => self.inbox.push_announced(peer, data),
        }
    }

    fn on_exchange(&mut self, lane: Lane, event: ExchangeEvent<Arc<Vec<u8>>, Vec<u8>>) {
        match event {
            ExchangeEvent::Message { peer, message, .. } => match message {
                Message::Request { request, channel, .. } => {
                    let data = Arc::unwrap_or_clone(request);
                    let held = Held { from: peer, data, way_back: WayBack::Lane(lane, channel) };
                    if !self.inbox.push_held(lane.protocol(), held) {
                        count(&self.controls.counters.refused_in, 1);
                    }
                }
                Message::Response { request_id, response } => {
                    self.outbox.finish(lane, request_id, Ok(response));
                    self.pump(peer, lane);
                }
            },
            ExchangeEvent::OutboundFailure { peer, request_id, error, .. } => {
                tracing::debug!(%peer, ?lane, %error, "a request failed");
                if lane == Lane::Consensus {
                    count(&self.controls.counters.consensus_lost_out, 1);
                }
                self.outbox.finish(lane, request_id, Err(explain(lane, error)));
                self.pump(peer, lane);
            }
            ExchangeEvent::InboundFailure { peer, error, .. } => {
                tracing::debug!(%peer, ?lane, %error, "a peer's request failed");
            }
            ExchangeEvent::ResponseSent { .. } => {}
        }
    }
}
