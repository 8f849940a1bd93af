use tokio::sync::watch;

use super::{
    component::Component,
    fault::{Fault, FaultKind},
    state::HealthState,
};
use crate::auth::KeyFileState;

/// Follows the state of the key file, until it is not watched any more.
pub(crate) async fn follow_key_file(mut state: watch::Receiver<KeyFileState>, health: HealthState) {
    loop {
        let fault = key_fault(&state.borrow_and_update());
        health.set_fault(Component::Keys, fault);
        if state.changed().await.is_err() {
            return;
        }
    }
}

fn key_fault(state: &KeyFileState) -> Option<Fault> {
    let kind = if state.accepts_keys { FaultKind::InvalidFile } else { FaultKind::NoKeys };
    state.fault.as_ref().map(|fault| Fault::new(kind, fault.to_string()))
}
