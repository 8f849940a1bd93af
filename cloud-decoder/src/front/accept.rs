use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::net::{TcpListener, TcpStream};

use super::{Event, FrontStats};

const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

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
    pub(crate) async fn next(&mut self) -> (TcpStream, SocketAddr) {
        loop {
            let error = match self.listener.accept().await {
                Ok(accepted) => {
                    self.failures = 0;
                    return accepted;
                }
                Err(error) => error,
            };
            if is_of_one_connection(&error) {
                continue;
            }
            self.stats.count(Event::AcceptError);
            if self.failures == 0 {
                tracing::warn!(%error, "cannot accept connections at the moment; check the limit of open files");
            }
            let pause = pause_after(self.failures);
            self.failures += 1;
            tokio::time::sleep(pause).await;
        }
    }
}

/// Returns whether the error concerns only a client that disconnected before its connection was accepted.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

fn pause_after(failures: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(1 << failures.min(16)).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    #[test]
    fn want_of_descriptors_is_waited_for_and_a_client_that_left_is_not() {
        for errno in [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM] {
            assert!(!is_of_one_connection(&errno.into()), "{errno:?}");
        }
        for errno in [Errno::CONNABORTED, Errno::CONNRESET, Errno::INTR] {
            assert!(is_of_one_connection(&errno.into()), "{errno:?}");
        }
    }

    #[test]
    fn pauses_grow_to_a_second() {
        let pauses: Vec<u128> = [0, 1, 2, 6, 7, 40].map(|failures| pause_after(failures).as_millis()).into();
        assert_eq!(pauses, [10, 20, 40, 640, 1000, 1000]);
    }
}
