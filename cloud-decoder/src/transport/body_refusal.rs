use std::{error::Error, time::Duration};

/// The recommended delay before a retry: most requests that hold memory are answered within this time.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The reason why the rest of a request's body was not received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyRefusal {
    /// The requests of all clients use up the memory for requests.
    #[error("the server's memory for requests is in use: try again later")]
    MemoryInUse,
    /// The requests of one peer use up their half of this memory.
    #[error(
        "requests from this address hold half of the server's memory for requests: send fewer or smaller ones at once"
    )]
    PeerMemoryInUse,
    /// The requests with one API key use up their half of this memory.
    #[error(
        "requests with this API key hold half of the server's memory for requests: send fewer or smaller ones at once"
    )]
    KeyMemoryInUse,
    /// The body, or a message of it, did not arrive in time.
    #[error("the request did not arrive in time: too little of it came within {} s", .0.as_secs_f64())]
    TooSlow(Duration),
}

impl BodyRefusal {
    /// Finds the refusal among an error and its sources: libraries wrap the errors of bodies.
    #[must_use]
    pub fn find_in(error: &(dyn Error + 'static)) -> Option<Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(refusal) = error.downcast_ref::<Self>() {
                return Some(*refusal);
            }
            next = error.source();
        }
        None
    }

    /// Returns the delay before a retry; `None` if a retry would not help.
    #[must_use]
    pub fn retry_after(self) -> Option<Duration> {
        match self {
            Self::MemoryInUse | Self::PeerMemoryInUse | Self::KeyMemoryInUse => Some(RETRY_AFTER),
            Self::TooSlow(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_found_behind_the_errors_of_libraries() {
        let refusal = BodyRefusal::TooSlow(Duration::from_secs(30));
        let wrapped = axum::Error::new(axum::Error::new(refusal));
        assert_eq!(BodyRefusal::find_in(&wrapped), Some(refusal));
        assert_eq!(BodyRefusal::find_in(&refusal), Some(refusal));
        assert_eq!(BodyRefusal::find_in(&axum::Error::new("another error")), None);
        assert!(refusal.to_string().contains("within 30 s"), "{refusal}");
    }
}
