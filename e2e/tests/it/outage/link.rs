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
pub(crate) struct Weather {
    /// Whether bytes pass.
    pub(crate) open: bool,
    /// Delay from one end to the other.
    pub(crate) delay: Duration,
    /// Bytes per second in each direction of each connection.
    pub(crate) rate: f64,
    /// Number of cuts so far. An increment cuts all connections that were opened before it.
    pub(crate) cut: u64,
}

/// A TCP proxy that simulates a link.
pub(crate) struct Link {
    pub(crate) address: SocketAddr,
    pub(crate) weather: Arc<watch::Sender<Weather>>,
}

impl Weather {
    pub(crate) const FINE: Self = Self { open: true, delay: Duration::ZERO, rate: 1e8, cut: 0 };
}

impl Link {
    /// Starts a link to this port of the local host.
    pub(crate) async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let weather = Arc::new(watch::Sender::new(Weather::FINE));
        let shared = Arc::clone(&weather);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(carry(near, port, shared.subscribe()));
            }
        });
        Self { address, weather }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

async fn carry(near: TcpStream, port: u16, weather: watch::Receiver<Weather>) {
    let Ok(far) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    let (near, far) = (near.into_split(), far.into_split());
    let cut = weather.borrow().cut;
    let mut watched = weather.clone();
    tokio::select! {
        () = pass(near.0, far.1, weather.clone()) => {}
        () = pass(far.0, near.1, weather) => {}
        _ = watched.wait_for(|weather| weather.cut != cut) => {}
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut weather: watch::Receiver<Weather>) {
    let mut bytes = [0; 1400];
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        if weather.wait_for(|weather| weather.open).await.is_err() {
            return;
        }
        let Weather { delay, rate, .. } = *weather.borrow();
        // The delay simulates the link; the test does not wait for a result here.
        sleep(delay + Duration::from_secs_f64(read as f64 / rate)).await;
        if to.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
}
