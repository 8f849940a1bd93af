use tokio::sync::watch;

/// Waits until the server begins to stop: until `ready` turns false.
pub(crate) async fn wait_stopping(mut ready: watch::Receiver<bool>) {
    // An error means that the server has ended, which has the same effect.
    let _ = ready.wait_for(|ready| !ready).await;
}
