//! Tests of what the cloud is told of the sources of a device.

use lopside_delivery::{Class, SourceCondition};
use lopside_proto::v1;
use lopside_uplink::SourceStatus;

use crate::support::{Cloud, Disk, Edge, Link, settings, store_settings, until};

fn camera(condition: SourceCondition, restarts: u64) -> Vec<SourceStatus> {
    let problem = (restarts > 0).then(|| "no input for 30 s".to_owned());
    vec![SourceStatus { name: "camera".into(), condition, restarts, last_input_at: None, problem }]
}

/// Returns the condition and the restarts of the only source in a report.
fn read_report(report: &v1::SourceReports) -> (v1::SourceCondition, u64) {
    assert_eq!((report.sources.len(), &report.sources[0].name[..]), (1, "camera"));
    (report.sources[0].condition(), report.sources[0].restarts)
}

#[tokio::test]
async fn the_cloud_is_told_of_the_sources_at_each_connection_and_of_changes() {
    let cloud = Cloud::start();
    cloud.accept_reports();
    let link = Link::to(cloud.address()).await;
    let mut edge = Edge::open(&Disk::default(), store_settings());
    edge.sources.send_replace(camera(SourceCondition::Working, 0));
    edge.connect(link.address, settings());
    let mut seen = cloud.seen();
    until(&mut seen, |seen| seen.reports.len() == 1).await;
    edge.store(Class::Normal, 1, 50).await;
    edge.sources.send_replace(camera(SourceCondition::Silent, 1));
    let reports = until(&mut seen, |seen| seen.reports.len() == 2).await.reports;
    assert_eq!(
        reports.iter().map(read_report).collect::<Vec<_>>(),
        [(v1::SourceCondition::Working, 0), (v1::SourceCondition::Silent, 1)]
    );
    assert_eq!(reports[1].sources[0].problem, "no input for 30 s");
    until(&mut cloud.archive.applied(), |applied| *applied == 50).await;
    link.reset();
    let last = until(&mut seen, |seen| seen.reports.len() == 3).await;
    assert_eq!(read_report(&last.reports[2]), (v1::SourceCondition::Silent, 1));
    assert!(last.hellos >= 2, "{last:?}");
    edge.store(Class::Normal, 51, 50).await;
    until(&mut cloud.archive.applied(), |applied| *applied == 100).await;
}

#[tokio::test]
async fn a_cloud_that_does_not_know_reports_gets_none() {
    let cloud = Cloud::start();
    let mut edge = Edge::open(&Disk::default(), store_settings());
    edge.sources.send_replace(camera(SourceCondition::Ended, 0));
    edge.connect(cloud.address(), settings());
    until(&mut edge.link(), |link| link.connected_at.is_some()).await;
    edge.sources.send_replace(camera(SourceCondition::Ended, 1));
    edge.store(Class::Normal, 1, 10).await;
    until(&mut cloud.archive.applied(), |applied| *applied == 10).await;
    // It would have refused a report and closed the connection.
    assert_eq!(cloud.seen().borrow().hellos, 1);
}

#[tokio::test]
async fn frames_and_reports_share_a_connection_under_load() {
    let cloud = Cloud::start();
    cloud.accept_reports();
    let mut edge = Edge::open(&Disk::default(), store_settings());
    edge.connect(cloud.address(), settings());
    for round in 0..10 {
        edge.sources.send_replace(camera(SourceCondition::Working, round));
        // Urgent frames are not gathered, so that many messages are in flight.
        edge.store(Class::High, 1 + 300 * round, 300).await;
    }
    until(&mut cloud.archive.applied(), |applied| *applied == 3000).await;
    let seen = cloud.seen().borrow().clone();
    assert_eq!((seen.hellos, seen.frames), (1, 3000), "the connection has never ended");
    assert!((1..=10).contains(&seen.reports.len()), "{} reports", seen.reports.len());
}
