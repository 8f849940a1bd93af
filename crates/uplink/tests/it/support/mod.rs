//! The device, the cloud and the link between them, all in this process.

mod archive;
mod cloud;
mod disk;
mod edge;
mod link;

use std::time::Duration;

use tokio::{sync::watch, time::timeout};

pub(crate) use self::{
    cloud::{Cloud, Pace},
    disk::{Disk, End},
    edge::{Edge, record, settings, small_frame, store_settings},
    link::Link,
};

/// Time limit for events that should occur immediately.
const PATIENCE: Duration = Duration::from_mins(1);

/// Waits until the watched value meets a condition, and returns it.
pub(crate) async fn until<T: Clone + std::fmt::Debug>(
    watched: &mut watch::Receiver<T>,
    is_so: impl FnMut(&T) -> bool,
) -> T {
    let seen = timeout(PATIENCE, watched.wait_for(is_so)).await.map(|seen| seen.unwrap().clone());
    seen.unwrap_or_else(|_| panic!("timed out; the last value is {:?}", watched.borrow()))
}
