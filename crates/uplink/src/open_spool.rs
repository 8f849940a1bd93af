use lopside_delivery::MAX_FRAME_BYTES;
use lopside_spool::{DeviceName, NameChange, Options, Spool, SpoolError, State, Storage};

use crate::StoreSettings;

/// The largest record in bytes: the largest frame that the cloud accepts, and its metadata.
const MAX_RECORD_BYTES: usize = MAX_FRAME_BYTES + 1024;

/// Opens the spool with a new epoch, and passes the records that were committed last to `visit`. `last_state`
/// is the state in memory of a spool that has failed.
pub(crate) fn open_spool<S: Storage>(
    storage: &impl Fn() -> Result<S, SpoolError>,
    settings: StoreSettings,
    last_state: Option<&State>,
    visit: &mut dyn FnMut(&[u8]),
) -> Result<Spool<S>, SpoolError> {
    let options = Options {
        keep_delivered_bytes: settings.keep_delivered_bytes,
        policies: settings.policies,
        max_record_bytes: MAX_RECORD_BYTES,
        machine: settings.machine,
        device: settings.device,
        last_state: last_state.copied(),
        ..Options::new(settings.budget_bytes, rand::random())
    };
    let spool = Spool::open_with_newest(storage()?, options, visit)?;
    if spool.stray_files() > 0 {
        tracing::warn!(
            files = spool.stray_files(),
            "files in the spool's folder have the names of segments and do not belong to it; they are kept as stray-…, \
             and can be moved away"
        );
    }
    if let Some(change) = spool.name_change() {
        warn_about_name(change, spool.name(), settings.device);
    }
    Ok(spool)
}

/// Logs why the spool has taken a new name when it was opened.
fn warn_about_name(change: NameChange, name: u32, device: Option<DeviceName>) {
    let NameChange { previous_name, is_other_machine, other_device } = change;
    if is_other_machine {
        tracing::warn!(
            previous_name,
            name,
            "the spool was last used on another machine; its frames are sent under a new name"
        );
    }
    if let (Some(previous_device), Some(device)) = (other_device, device) {
        tracing::warn!(
            %previous_device,
            %device,
            previous_name,
            name,
            "the device has another name than when the spool was last used; the frames that wait are sent under the new \
             name, and those that were delivered stay in the archive under the previous one"
        );
    }
}
