use super::{Connection, apply, connections, devices::Devices, lanes::Lanes};
use crate::backend::{GroupOutcome, WriteGroup};

/// Writes a group in the open transaction: registers its connections, and applies its batches.
pub(super) async fn write_group(
    connection: &mut Connection,
    group: WriteGroup<'_>,
    now_us: i64,
) -> sqlx::Result<GroupOutcome> {
    let mut devices = Devices::load(connection, group, now_us).await?;
    let mut lanes = Lanes::load(connection, group, &devices).await?;
    let mut registered = Vec::with_capacity(group.connections.len());
    for new in group.connections {
        let outcome = connections::register_connection(connection, new, &mut devices, &mut lanes, now_us);
        registered.push(outcome.await?);
    }
    let batches = apply::apply_batches(connection, group.batches, &mut devices, &mut lanes, now_us).await?;
    devices.write(connection, now_us).await?;
    Ok(GroupOutcome { connections: registered, batches })
}
