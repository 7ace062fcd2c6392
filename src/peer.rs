//! What a session knows of a connection. The elements' handles of their connections are such peers.

use std::time::Duration;

use streamium_channel::consumer::Arrivals;
use streamium_channel::handshake::Certificates;
use streamium_channel::terms::Track;

use crate::origin::Origin;

/// A connection with the other side, as far as both elements have the same.
pub trait Peer: Send {
    /// Sends a message; the words say why it could not be.
    fn send(&self, message: &str) -> Result<(), String>;
    /// The certificates of the transport, once the data channel is open.
    fn certificates(&self) -> Result<Certificates, String>;
    /// Ends the connection.
    fn end(&self);
}

/// A consumer's connection, for the provider.
pub trait ProviderPeer: Peer {
    /// Opens or closes the gate; takes effect for the next buffer.
    fn set_gate(&self, open: bool);
    /// What was negotiated.
    fn tracks(&self) -> Vec<Track>;
    /// Asked from time to time where nobody is pinged: true once the consumer's machine has gone without a word.
    fn is_gone(&self) -> bool {
        false
    }

    /// Where it comes from, if that is known: those from one place share what one may have.
    fn origin(&self) -> Option<Origin> {
        None
    }

    /// Who it is and what it got, for statistics.
    fn figures(&self) -> ProviderPeerFigures {
        ProviderPeerFigures::default()
    }
}

/// What a connection is in a provider's statistics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProviderPeerFigures {
    /// The consumer's id at the signalling server.
    pub peer: String,
    /// Buffers that its gate has let through.
    pub passed: u64,
    /// Buffers that it has not.
    pub dropped: u64,
}

/// What has arrived of one track, in a consumer's statistics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackFigures {
    /// The pad's name.
    pub name: String,
    pub buffers: u64,
    /// When the last one came, on the driver's clock.
    pub last: Option<Duration>,
}

/// The connection to a provider, for the consumer.
pub trait ConsumerPeer: Peer {
    /// When media last arrived.
    fn arrivals(&self) -> Arrivals;
    /// The same of each track, for statistics.
    fn track_figures(&self) -> Vec<TrackFigures> {
        Vec::new()
    }
    /// This is the link's provider: what it sends may be shown.
    fn show(&self);
    /// This was not the link's provider: look for another of the same name.
    fn try_next(&self);
    /// The connection was lost, and the session is over without a word of the provider's: connect again, where that
    /// can be done.
    fn lost(&self) {
        self.end();
    }
}

/// What happens on a data channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerEvent {
    Open,
    Text(String),
    /// Something that is no text message.
    NotText,
    Closed,
}
