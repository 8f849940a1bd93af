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
const WAIT_TIMEOUT: Duration = Duration::from_mins(1);

/// Waits until the watched value meets a condition, and returns it.
pub(crate) async fn until<T: Clone + std::fmt::Debug>(
    receiver: &mut watch::Receiver<T>,
    condition: impl FnMut(&T) -> bool,
) -> T {
    let result =
        timeout(WAIT_TIMEOUT, receiver.wait_for(condition)).await.map(|result| result.unwrap().clone());
    result.unwrap_or_else(|_| panic!("timed out; the last value is {:?}", receiver.borrow()))
}
