use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::net::{TcpListener, TcpStream};

use super::{FrontEvent, FrontStats};

const MIN_RETRY_DELAY: Duration = Duration::from_millis(10);
const MAX_RETRY_DELAY: Duration = Duration::from_secs(1);

/// Accepts connections and survives errors of the operating system.
#[derive(Debug)]
pub(crate) struct Acceptor {
    listener: TcpListener,
    stats: Arc<FrontStats>,
    failures: u32,
}

impl Acceptor {
    pub(crate) fn new(listener: TcpListener, stats: Arc<FrontStats>) -> Self {
        Self { listener, stats, failures: 0 }
    }

    /// Returns the next connection. If the system lacks resources, mostly file descriptors, waits before it
    /// tries again: an immediate retry would only take CPU time from open connections, which have to end first.
    pub(crate) async fn next_connection(&mut self) -> (TcpStream, SocketAddr) {
        loop {
            let error = match self.listener.accept().await {
                Ok(accepted) => {
                    self.failures = 0;
                    return accepted;
                }
                Err(error) => error,
            };
            if is_client_error(&error) {
                continue;
            }
            self.stats.count(FrontEvent::AcceptError);
            if self.failures == 0 {
                tracing::warn!(%error, "cannot accept connections at the moment; check the limit of open files");
            }
            let delay = retry_delay(self.failures);
            self.failures += 1;
            tokio::time::sleep(delay).await;
        }
    }
}

/// Returns whether the error concerns only a client that disconnected before its connection was accepted.
fn is_client_error(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

fn retry_delay(failures: u32) -> Duration {
    MIN_RETRY_DELAY.saturating_mul(1 << failures.min(16)).min(MAX_RETRY_DELAY)
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    #[test]
    fn a_lack_of_resources_is_not_a_client_error() {
        for errno in [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM] {
            assert!(!is_client_error(&errno.into()), "{errno:?}");
        }
        for errno in [Errno::CONNABORTED, Errno::CONNRESET, Errno::INTR] {
            assert!(is_client_error(&errno.into()), "{errno:?}");
        }
    }

    #[test]
    fn retry_delays_grow_to_a_second() {
        let delays: Vec<u128> = [0, 1, 2, 6, 7, 40].map(|failures| retry_delay(failures).as_millis()).into();
        assert_eq!(delays, [10, 20, 40, 640, 1000, 1000]);
    }
}
