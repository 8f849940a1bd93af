//! Two agents with the files of one: on one machine, and on two.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use edge_encoder::agent::{AgentReport, ClassReport};
use lopside_proto::v1::{
    Ack, UploadRequest, UploadResponse, Welcome,
    ingest_service_server::{IngestService, IngestServiceServer},
    upload_request, upload_response,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Request, Response, Status, Streaming,
    transport::{Server, server::TcpIncoming},
};

use super::update::{
    agent::Home,
    bundles::{Toy, bundle},
};

/// A cloud that acknowledges a number of frames, and then closes for ever.
#[derive(Debug, Clone)]
struct ClosingCloud {
    remaining_frames: Arc<AtomicU64>,
}

impl ClosingCloud {
    /// Starts a cloud, and returns its address.
    fn start(frames: u64) -> String {
        let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let url = format!("http://{}", incoming.local_addr().unwrap());
        let service = IngestServiceServer::new(Self { remaining_frames: Arc::new(frames.into()) });
        tokio::spawn(Server::builder().add_service(service).serve_with_incoming(incoming));
        url
    }

    /// Answers the messages of a connection until the cloud closes.
    async fn serve(
        self,
        mut messages: Streaming<UploadRequest>,
        responses: mpsc::Sender<Result<UploadResponse, Status>>,
    ) {
        while self.remaining_frames.load(Ordering::Relaxed) > 0 {
            let Ok(Some(UploadRequest { message: Some(message) })) = messages.message().await else { return };
            let answer = match message {
                upload_request::Message::Hello(_) => upload_response::Message::Welcome(Welcome::default()),
                upload_request::Message::SourceReports(_) => panic!("the welcome does not accept reports"),
                upload_request::Message::Frames(frames) => {
                    let count = frames.lengths.len() as u64;
                    self.remaining_frames.fetch_sub(count, Ordering::Relaxed);
                    let number = frames.first + count - 1;
                    upload_response::Message::Ack(Ack { class: frames.class, number })
                }
            };
            let _ = responses.send(Ok(UploadResponse { message: Some(answer) })).await;
        }
    }
}

#[tonic::async_trait]
impl IngestService for ClosingCloud {
    type UploadStream = ReceiverStream<Result<UploadResponse, Status>>;

    async fn upload(
        &self,
        request: Request<Streaming<UploadRequest>>,
    ) -> Result<Response<Self::UploadStream>, Status> {
        if self.remaining_frames.load(Ordering::Relaxed) == 0 {
            return Err(Status::unavailable("closed"));
        }
        let (responses, stream) = mpsc::channel(16);
        tokio::spawn(self.clone().serve(request.into_inner(), responses));
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}

/// Returns the sum of a count over all classes.
fn sum(report: &AgentReport, count: fn(&ClassReport) -> u64) -> u64 {
    report.spool.classes.iter().map(count).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_agent_is_refused_and_the_first_loses_nothing() {
    let root = tempfile::tempdir().unwrap();
    let toy = bundle(root.path(), "toy", Toy::Times(1.0));
    let mut home = Home::new(&ClosingCloud::start(5));
    let agent = home.start(&toy);
    (1..=5).for_each(|pixel| home.put([pixel; 4]));
    agent.until(|report| sum(report, |class| class.delivered) == 5).await;
    // Recovery would now cut off the segment that the agent is writing to.
    home.until_settled(5).await;
    let files = home.spool_files();
    let [socket, other_socket, other_spool] =
        ["edge.sock", "other.sock", "other"].map(|name| home.path(name).display().to_string());

    let error = home.refused(&toy, &[]);
    assert!(error.contains(&format!("another agent answers at {socket}")), "{error}");
    let error = home.refused(&toy, &["--socket", &other_socket]);
    let expected = format!("the spool is in use by process {}", agent.id());
    assert!(error.contains(&expected) && error.contains("fuser -v"), "{error}");
    let error = home.refused(&toy, &["--socket", &other_socket, "--spool", &other_spool]);
    assert!(error.contains("another agent has locked") && error.contains("updates/lock"), "{error}");
    assert_eq!(home.spool_files(), files);

    (6..=25).for_each(|pixel| home.put([pixel; 4]));
    let report = agent.until(|report| sum(report, |class| class.pending) == 20).await;
    assert_eq!((sum(&report, |class| class.produced), sum(&report, |class| class.delivered)), (25, 5));
    agent.stop();
    assert_eq!(home.frames().len(), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spool_from_another_machine_keeps_its_frames_under_a_new_name() {
    let root = tempfile::tempdir().unwrap();
    let toy = bundle(root.path(), "toy", Toy::Times(1.0));
    let mut home = Home::new("http://127.0.0.1:9");
    let log = home.path("log");
    for (machine, is_renamed) in [("a", false), ("a", false), ("b", true), ("b", false)] {
        home.set_machine(machine);
        let agent = home.start_logging(&toy, fs::File::create(&log).unwrap());
        home.put([9; 4]);
        agent.until_stored(&home).await;
        agent.stop();
        let log = fs::read_to_string(&log).unwrap();
        assert_eq!(log.contains("sent under a new name"), is_renamed, "{log}");
    }
    assert_eq!(home.frames().len(), 4);
}

#[test]
fn doctor_reports_a_machine_without_an_id() {
    let root = tempfile::tempdir().unwrap();
    let toy = bundle(root.path(), "toy", Toy::Times(1.0));
    let home = Home::new("http://127.0.0.1:9");
    assert_eq!(home.doctor(&toy, "machine").0, "good");
    fs::write(home.path("machine-id"), "uninitialized\n").unwrap();
    let (verdict, found) = home.doctor(&toy, "machine");
    assert!(verdict == "poor" && found.contains("machine-id"), "{verdict}: {found}");
}
