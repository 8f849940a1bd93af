//! A sweep: it deletes what the [policy](crate::quota) plans, and gives free space back.

use crate::{
    ArchiveError, DeletedFrames, Settings, SweepReport,
    backend::Backend,
    quota::{ArchiveUsage, Eviction},
};

/// Maximum number of times that a sweep measures the size and deletes what is too much. Pages of which only a part was
/// deleted are free only when the rest of their rows is deleted as well.
const MAX_SIZE_ROUNDS: usize = 8;

/// Deletes the frames over the limits: first those that are too old, then those over the quotas of devices, then those
/// over the size of the archive. It uses small transactions, between which batches are applied.
pub(crate) async fn sweep(
    backend: &dyn Backend,
    settings: &Settings,
    now_us: i64,
) -> Result<SweepReport, ArchiveError> {
    let mut report = SweepReport::default();
    let swept = sweep_all(backend, settings, now_us, &mut report).await;
    if let Err(error) = swept {
        let DeletedFrames { frames, bytes } = report.total();
        if frames > 0 {
            tracing::info!(frames, bytes, %error, "a sweep has failed after it deleted frames");
        }
        return Err(error);
    }
    Ok(report)
}

async fn sweep_all(
    backend: &dyn Backend,
    settings: &Settings,
    now_us: i64,
    report: &mut SweepReport,
) -> Result<(), ArchiveError> {
    let Settings { max_age, max_bytes, max_device_bytes, max_device_frames, .. } = *settings;
    if let Some(max_age) = max_age {
        let age_us = i64::try_from(max_age.as_micros()).unwrap_or(i64::MAX);
        let plan = backend.usage().await?.plan_expiry(now_us.saturating_sub(age_us));
        evict_all(backend, plan, &mut report.expired).await?;
    }
    if max_device_bytes.is_some() || max_device_frames.is_some() {
        let plan = backend.usage().await?.plan_quotas(max_device_frames, max_device_bytes);
        evict_all(backend, plan, &mut report.over_quota).await?;
    }
    if let Some(max_bytes) = max_bytes {
        shrink(backend, max_bytes, &mut report.over_size).await?;
    }
    while backend.release_space().await? {}
    Ok(())
}

/// Deletes frames until the archive is small enough, or no frame is left.
async fn shrink(
    backend: &dyn Backend,
    max_bytes: u64,
    deleted: &mut DeletedFrames,
) -> Result<(), ArchiveError> {
    for _ in 0..MAX_SIZE_ROUNDS {
        let usage: ArchiveUsage = backend.usage().await?;
        let plan = usage.plan_size(max_bytes);
        if plan.is_empty() {
            break;
        }
        evict_all(backend, plan, deleted).await?;
    }
    Ok(())
}

async fn evict_all(
    backend: &dyn Backend,
    plan: Vec<Eviction>,
    deleted: &mut DeletedFrames,
) -> Result<(), ArchiveError> {
    for eviction in plan {
        loop {
            let step = backend.delete_oldest(&eviction).await?;
            if step.frames == 0 {
                break;
            }
            deleted.frames += step.frames;
            deleted.bytes += step.bytes;
        }
    }
    Ok(())
}
