//! Why an operation is not accepted.

/// Why an operation was not accepted; the caller has to act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refused {
    /// The queue is full and its policy is to wait or reject.
    QueueFull,
    /// Larger than the queue, the transmit buffer or the broker can ever take.
    TooLarge,
    /// No room for a further subscription.
    TooManySubscriptions,
    /// The protocol version or the broker does not offer it.
    Unsupported,
    /// No packet may say it: a property that is not for this packet or there twice, a value out of
    /// its range, No Local on a Shared Subscription.
    Invalid,
    /// The client is closed.
    Closed,
    /// The store failed.
    Store,
    /// The acknowledgement is for a message of an earlier connection, or was already given.
    Stale,
}

impl core::fmt::Display for Refused {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::QueueFull => "the queue is full",
            Self::TooLarge => "the packet is too large",
            Self::TooManySubscriptions => "no room for a further subscription",
            Self::Unsupported => "not offered by this protocol version or broker",
            Self::Invalid => "no packet may say this",
            Self::Closed => "the client is closed",
            Self::Store => "the store cannot take the message",
            Self::Stale => "nothing to acknowledge: the message belongs to an earlier connection",
        })
    }
}

impl core::error::Error for Refused {}
