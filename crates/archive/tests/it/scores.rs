//! Frames are scored, and are scored again by a newer version of the head.

use lopside_archive::{Archive, ArchiveError, HeadKey, LatentSpaceKey, NewScore, Score};

use crate::{batch, frames, open};

const SPACE: LatentSpaceKey = *b"space-01";
const OTHER_SPACE: LatentSpaceKey = [0xff; 8];

fn head(version: u32) -> HeadKey {
    HeadKey { bundle: "fashion".into(), head: "anomaly".into(), version }
}

fn score(id: i64, score: f64) -> NewScore {
    NewScore { id, score: Some(score), quantile: Some(0.5), label: Some("boot".into()) }
}

async fn unscored(archive: &Archive, version: u32, spaces: &[LatentSpaceKey], limit: u32) -> Vec<i64> {
    let found = archive.unscored_frames(&head(version), spaces, limit).await.unwrap();
    assert!(found.iter().all(|frame| frame.frame.len() == 10 && spaces.contains(&frame.latent_space)));
    found.into_iter().map(|frame| frame.id).collect()
}

pub(crate) async fn frames_are_unscored_until_this_version_has_scored_them(url: &str) {
    let archive = open(url).await;
    archive.apply(batch("gate", 1, 4)).await.unwrap();
    let mut other = batch("door", 1, 1);
    other.records[0].latent_space = OTHER_SPACE;
    archive.apply(other).await.unwrap();
    let ids = unscored(&archive, 1, &[SPACE], 10).await;
    assert_eq!(ids.len(), 4);
    assert!(ids.is_sorted(), "oldest first");
    assert_eq!(unscored(&archive, 1, &[SPACE], 3).await, ids[..3]);
    assert_eq!(unscored(&archive, 1, &[OTHER_SPACE, SPACE], 10).await.len(), 5);
    assert_eq!(unscored(&archive, 1, &[], 10).await, [0; 0]);

    assert_eq!(archive.put_scores(&head(1), &[score(ids[0], 1.0), score(ids[1], 2.0)]).await.unwrap(), 2);
    assert_eq!(unscored(&archive, 1, &[SPACE], 10).await, ids[2..]);
    let scored_last = [ids[2], ids[3], ids[0], ids[1]];
    assert_eq!(unscored(&archive, 2, &[SPACE], 10).await, scored_last, "a newer version gets all frames");
    archive.put_scores(&head(2), &[score(ids[0], 3.0)]).await.unwrap();
    assert_eq!(unscored(&archive, 2, &[SPACE], 10).await, [ids[2], ids[3], ids[1]]);
    assert_eq!(
        unscored(&archive, 1, &[SPACE], 10).await,
        [ids[2], ids[3]],
        "frames scored by a newer version are skipped"
    );
    let late = archive.put_scores(&head(1), &[score(ids[0], 9.0), score(ids[2], 9.0)]).await.unwrap();
    assert_eq!(late, 1, "an older version does not replace the score of a newer one");
    let stored = archive.read_frame(ids[0]).await.unwrap().unwrap().meta.score.unwrap();
    assert_eq!((stored.score, stored.head), (3.0, head(2)));
}

pub(crate) async fn the_newest_score_is_kept(url: &str) {
    let archive = open(url).await;
    archive.apply(batch("gate", 1, 2)).await.unwrap();
    let listed = frames(&archive).await;
    let (second, first) = (listed[0].id, listed[1].id);
    archive.put_scores(&head(1), &[score(first, 0.1 + 0.2), score(second, 7.0)]).await.unwrap();
    let unreadable = NewScore { id: second, score: None, quantile: None, label: None };
    let deleted = score(second + 1, 1.0);
    assert_eq!(archive.put_scores(&head(2), &[unreadable, deleted]).await.unwrap(), 1);
    let stored = archive.read_frame(first).await.unwrap().unwrap().meta.score;
    let expected = Score { head: head(1), score: 0.1 + 0.2, quantile: Some(0.5), label: Some("boot".into()) };
    assert_eq!(stored, Some(expected));
    assert_eq!(archive.read_frame(second).await.unwrap().unwrap().meta.score, None);
    assert_eq!(
        unscored(&archive, 2, &[SPACE], 10).await,
        [first],
        "a frame that the head cannot read is not scored again"
    );
}

pub(crate) async fn a_score_without_an_order_is_refused(url: &str) {
    let archive = open(url).await;
    archive.apply(batch("gate", 1, 2)).await.unwrap();
    let ids: Vec<i64> = frames(&archive).await.iter().map(|frame| frame.id).collect();
    for bad in [f64::NAN, f64::INFINITY] {
        let error =
            archive.put_scores(&head(1), &[score(ids[0], 1.0), score(ids[1], bad)]).await.unwrap_err();
        assert!(matches!(error, ArchiveError::InvalidScore { id } if id == ids[1]), "{error}");
    }
    assert_eq!(unscored(&archive, 1, &[SPACE], 10).await.len(), 2, "none of the scores is stored");
}
