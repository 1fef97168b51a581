//! One connection's part: opens the stream, or takes the one that the dialler opens.

use std::task::{Context, Poll};

use libp2p::{
    Stream, StreamProtocol,
    core::upgrade::ReadyUpgrade,
    swarm::{
        ConnectionHandler, ConnectionHandlerEvent, StreamUpgradeError, SubstreamProtocol,
        handler::{ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound},
    },
};

use super::{
    frame::Hello,
    link::{Failure, Link, Said, Say},
};

/// What a connection does about the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// We dialled: open it.
    Open,
    /// Asked for, or there already.
    Opened,
    /// The peer dialled: wait for it.
    Accept,
    /// There is none on this connection.
    None,
}

pub(crate) struct Handler {
    name: StreamProtocol,
    part: Part,
    hello: Hello,
    link: Option<Link<Stream>>,
    /// Not reported yet.
    failure: Option<Failure>,
}

impl Handler {
    pub(super) fn new(name: StreamProtocol, part: Part, hello: Hello) -> Self {
        Self { name, part, hello, link: None, failure: None }
    }

    fn fail(&mut self, failure: Failure) {
        self.link = None;
        self.failure = Some(failure);
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Say;
    type ToBehaviour = Said;
    type InboundProtocol = ReadyUpgrade<StreamProtocol>;
    type OutboundProtocol = ReadyUpgrade<StreamProtocol>;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = ();

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol> {
        SubstreamProtocol::new(ReadyUpgrade::new(self.name.clone()), ())
    }

    fn poll(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, (), Self::ToBehaviour>> {
        if let Some(failure) = self.failure.take() {
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(Said::Failed(failure)));
        }
        if self.part == Part::Open {
            self.part = Part::Opened;
            let protocol = SubstreamProtocol::new(ReadyUpgrade::new(self.name.clone()), ());
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
        }
        let Some(link) = &mut self.link else { return Poll::Pending };
        match link.poll(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(said)) => Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(said)),
            Poll::Ready(Err(failure)) => {
                self.link = None;
                Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(Said::Failed(failure)))
            }
        }
    }

    fn on_behaviour_event(&mut self, say: Say) {
        if let Say::Hello(hello) = &say {
            self.hello = hello.clone();
        }
        if let Some(link) = &mut self.link {
            link.say(say);
        }
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<'_, Self::InboundProtocol, Self::OutboundProtocol>) {
        match event {
            // A second stream is none of ours: it is dropped, which closes it.
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound { protocol: stream, .. })
                if self.part == Part::Accept =>
            {
                self.part = Part::Opened;
                self.link = Some(Link::new(stream, self.hello.clone()));
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound { protocol: stream, .. }) => {
                self.link = Some(Link::new(stream, self.hello.clone()));
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError { error, .. }) => self.fail(match error {
                StreamUpgradeError::NegotiationFailed => Failure::Unsupported,
                StreamUpgradeError::Timeout => Failure::Io(std::io::ErrorKind::TimedOut.into()),
                StreamUpgradeError::Io(error) => Failure::Io(error),
                StreamUpgradeError::Apply(never) => match never {},
            }),
            _ => {}
        }
    }
}
