//! Gossip: two topics over gossipsub, unsigned because every payload carries its own signatures.

use std::{collections::HashSet, time::Duration};

use libp2p::gossipsub::{
    Behaviour, ConfigBuilder, IdentTopic, IdentityTransform, Message, MessageAuthenticity, MessageId, TopicHash,
    ValidationMode, WhitelistSubscriptionFilter,
};

use super::{config::NetLimits, error::NetError};

/// Longest gossip message in bytes.
pub(super) const GOSSIP_BYTES_MAX: usize = 1 << 20;

/// What gossipsub may hold of one frame. It measures its read buffer rather than the frame (0.50), and
/// the buffer may hold a chunk of 8 KiB of the next frame: with a tighter limit the second of two
/// long messages in a row ends the stream. The rest is room for the encoding.
const FRAME_BYTES_MAX: usize = GOSSIP_BYTES_MAX + (32 << 10);

/// gossipsub, hearing of no topics but ours.
pub(super) type Gossip = Behaviour<IdentityTransform, WhitelistSubscriptionFilter>;

/// What a gossip message is about. Every node hears both topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Topic {
    /// New entries for the ledger, in batches.
    Entries,
    /// How far a node has got.
    Heads,
}

impl Topic {
    /// Both topics.
    pub const ALL: [Self; 2] = [Self::Entries, Self::Heads];

    fn name(self) -> &'static str {
        match self {
            Self::Entries => "entries",
            Self::Heads => "heads",
        }
    }
}

/// The topics of one network, both ways between their meaning and their name on the wire.
#[derive(Debug, Clone)]
pub(super) struct Topics {
    entries: TopicHash,
    heads: TopicHash,
}

impl Topics {
    pub(super) fn new(network_tag: &str) -> Self {
        let hash = |topic: Topic| ident(network_tag, topic).hash();
        Self { entries: hash(Topic::Entries), heads: hash(Topic::Heads) }
    }

    pub(super) fn hash(&self, topic: Topic) -> TopicHash {
        match topic {
            Topic::Entries => self.entries.clone(),
            Topic::Heads => self.heads.clone(),
        }
    }

    pub(super) fn topic(&self, hash: &TopicHash) -> Option<Topic> {
        Topic::ALL.into_iter().find(|topic| self.hash(*topic) == *hash)
    }
}

fn ident(network_tag: &str, topic: Topic) -> IdentTopic {
    IdentTopic::new(format!("stemma/{network_tag}/{}", topic.name()))
}

/// Builds the behaviour, subscribed to both topics.
///
/// The publisher sends to every peer it is connected to (flood publishing), so in a full mesh one
/// hop suffices and forwarding only repairs missing links: hence the small mesh of four. With up
/// to four peers it is everybody; with more, what the mesh misses is offered again by `IHAVE`.
pub(super) fn build(network_tag: &str, limits: &NetLimits) -> Result<Gossip, NetError> {
    let config = ConfigBuilder::default()
        .protocol_id_prefix(format!("/stemma/{network_tag}/gossip"))
        .validation_mode(ValidationMode::Anonymous)
        .message_id_fn(message_id)
        .flood_publish(true)
        .max_transmit_size(FRAME_BYTES_MAX)
        .mesh_outbound_min(1)
        .mesh_n_low(3)
        .mesh_n(4)
        .mesh_n_high(8)
        .gossip_lazy(6)
        .heartbeat_initial_delay(Duration::from_millis(200))
        .heartbeat_interval(Duration::from_secs(1))
        .history_length(4)
        .history_gossip(2)
        .connection_handler_queue_len(limits.gossip_outbox_messages_max)
        .publish_queue_duration(Duration::from_secs(5))
        .forward_queue_duration(Duration::from_secs(2))
        .build()
        .map_err(|error| NetError::Build(error.to_string()))?;
    let hashes: HashSet<TopicHash> = Topic::ALL.iter().map(|topic| ident(network_tag, *topic).hash()).collect();
    let mut gossip = Behaviour::new_with_subscription_filter(
        MessageAuthenticity::Anonymous,
        config,
        WhitelistSubscriptionFilter(hashes),
    )
    .map_err(|error| NetError::Build(error.to_string()))?;
    for topic in Topic::ALL {
        gossip.subscribe(&ident(network_tag, topic)).map_err(|error| NetError::Build(error.to_string()))?;
    }
    Ok(gossip)
}

/// BLAKE3 of the topic's name, a zero byte and the data: the same bytes under two topics are two
/// messages.
fn message_id(message: &Message) -> MessageId {
    let mut hasher = blake3::Hasher::new();
    hasher.update(message.topic.as_str().as_bytes());
    hasher.update(&[0]);
    hasher.update(&message.data);
    MessageId::new(hasher.finalize().as_bytes())
}
