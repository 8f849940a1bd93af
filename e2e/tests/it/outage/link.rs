//! A network link between agent and server, which can stall or be cut.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    time::sleep,
};

/// The state of the link.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct LinkState {
    /// Whether bytes pass.
    pub(crate) is_open: bool,
    /// Delay from one end to the other.
    pub(crate) delay: Duration,
    /// Bytes per second in each direction of each connection.
    pub(crate) rate: f64,
    /// Number of cuts so far. An increment cuts all connections that were opened before it.
    pub(crate) cut_count: u64,
}

/// A TCP proxy that simulates a link.
pub(crate) struct Link {
    pub(crate) address: SocketAddr,
    pub(crate) state: Arc<watch::Sender<LinkState>>,
}

impl LinkState {
    pub(crate) const IDEAL: Self = Self { is_open: true, delay: Duration::ZERO, rate: 1e8, cut_count: 0 };
}

impl Link {
    /// Starts a link to this port of the local host.
    pub(crate) async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(watch::Sender::new(LinkState::IDEAL));
        let sender = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, port, sender.subscribe()));
            }
        });
        Self { address, state }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

async fn carry(client: TcpStream, port: u16, state: watch::Receiver<LinkState>) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    let (client, server) = (client.into_split(), server.into_split());
    let cut_count = state.borrow().cut_count;
    let mut cut_receiver = state.clone();
    tokio::select! {
        () = pass(client.0, server.1, state.clone()) => {}
        () = pass(server.0, client.1, state) => {}
        _ = cut_receiver.wait_for(|state| state.cut_count != cut_count) => {}
    }
}

async fn pass(mut reader: OwnedReadHalf, mut writer: OwnedWriteHalf, mut state: watch::Receiver<LinkState>) {
    let mut bytes = [0; 1400];
    while let Ok(len @ 1..) = reader.read(&mut bytes).await {
        if state.wait_for(|state| state.is_open).await.is_err() {
            return;
        }
        let LinkState { delay, rate, .. } = *state.borrow();
        // The delay simulates the link; the test does not wait for a result here.
        sleep(delay + Duration::from_secs_f64(len as f64 / rate)).await;
        if writer.write_all(&bytes[..len]).await.is_err() {
            return;
        }
    }
}
