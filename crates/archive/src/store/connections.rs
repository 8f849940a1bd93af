use super::{Connection, devices::Devices, lanes::Lanes, losses};
use crate::{LostNumbers, NewConnection, RegisteredConnection};

/// Registers a connection, and finds the numbers that were acknowledged to its spool and are not in the archive.
pub(super) async fn register_connection(
    connection: &mut Connection,
    new: &NewConnection,
    devices: &mut Devices,
    lanes: &mut Lanes,
    now_us: i64,
) -> sqlx::Result<RegisteredConnection> {
    let device = devices.get_mut(&new.device)?;
    let number = device.count_connection(new.displaced, new.clock);
    let (mut newly_lost, mut has_lost) = (Vec::new(), false);
    for &(class, acknowledged) in &new.acknowledged {
        let key = (device.id, new.spool, class);
        let lane = lanes.get_mut(key)?;
        if let Some(numbers) = lane.lose_up_to(acknowledged) {
            losses::insert_loss(connection, key, &numbers, now_us).await?;
            let lost = LostNumbers { class, numbers };
            device.count_lost(lost.count());
            newly_lost.push(lost);
        }
        has_lost |= lane.highest_lost > 0;
    }
    let lost =
        if has_lost { losses::read_losses(connection, device.id, new.spool).await? } else { Vec::new() };
    Ok(RegisteredConnection { number, lost, newly_lost })
}
