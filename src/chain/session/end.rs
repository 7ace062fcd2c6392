//! How a connection ends.

use std::io::ErrorKind;

use electrum_client::Error;

use crate::chain::UnreachableReason;
use crate::chain::broadcast::words_of;

/// How a connection ended.
pub(in crate::chain) enum End {
    Stopped,
    Failed(UnreachableReason),
    /// The library could not read what came. With `blockchain.scripthash.subscribe` that happens with an
    /// honest server: a script whose last transaction vanished has the status null.
    Unreadable {
        words: String,
    },
}

pub(in crate::chain) fn end_by(error: Error) -> End {
    End::Failed(match error {
        Error::JSON(error) => {
            return End::Unreadable {
                words: error.to_string(),
            };
        }
        Error::NotSubscribed(_) => {
            return End::Unreadable {
                words: error.to_string(),
            };
        }
        Error::IOError(ref io) if is_timeout(io) => UnreachableReason::TimedOut,
        Error::SharedIOError(ref io) if is_timeout(io) => UnreachableReason::TimedOut,
        Error::Protocol(words) => UnreachableReason::WrongAnswer {
            words: words_of(&words),
        },
        Error::AllAttemptsErrored(errors) => match errors.into_iter().next_back() {
            Some(last) => return end_by(last),
            None => UnreachableReason::Connection {
                words: "the name has no address".to_owned(),
            },
        },
        Error::Hex(_) | Error::Bitcoin(_) | Error::InvalidResponse(_) | Error::Message(_) => {
            UnreachableReason::WrongAnswer {
                words: error.to_string(),
            }
        }
        other => UnreachableReason::Connection {
            words: other.to_string(),
        },
    })
}

fn is_timeout(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// The server said what can't be true.
pub(super) fn wrong(words: impl ToString) -> End {
    End::Failed(UnreachableReason::WrongAnswer {
        words: words.to_string(),
    })
}
