//! Both ends and what is between them, in this process.

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

/// How long a test waits for what should come at once.
const PATIENCE: Duration = Duration::from_mins(1);

/// Waits until what is watched is as it should be, and says how it is then.
pub(crate) async fn until<T: Clone + std::fmt::Debug>(
    watched: &mut watch::Receiver<T>,
    is_so: impl FnMut(&T) -> bool,
) -> T {
    let seen = timeout(PATIENCE, watched.wait_for(is_so)).await.map(|seen| seen.unwrap().clone());
    seen.unwrap_or_else(|_| panic!("it has not come: {:?}", watched.borrow()))
}
