//! Tests of the queue with its admission, its turns and the tasks that run them, on threads of the system.

use std::{
    sync::{
        Arc,
        atomic::Ordering::Relaxed,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use tokio::{
    runtime::{Builder, Handle, Runtime},
    sync::oneshot,
};
use tracing::Span;

use super::{
    admission::{Admission, QueueLimits},
    caller_run::spawn_turn,
    discard_reason::DiscardReason,
    head_name::HeadName,
    job::Job,
    monitor::SystemMonitor,
    permit::Reserved,
    policy::BatchPolicy,
    queue::JobQueue,
    queue_state::{QueueState, QueueTypes},
    steps::{Batch, EngineStep, Notify, TurnStep},
    test_job::{Outcome, POLICY, TestJob},
    turn::Turn,
};
use crate::{
    DecodeError, RequestOptions,
    model::{BatchSlice, InferenceInput, NamedTensor},
};

/// Jobs of a head, without its model.
enum HeadJobs {}

impl QueueTypes for HeadJobs {
    type Job = Job;
    type Session = ();
    type Monitor = SystemMonitor<QueueState<Self>>;
}

enum TestJobs {}

impl QueueTypes for TestJobs {
    type Job = TestJob;
    type Session = ();
    type Monitor = SystemMonitor<QueueState<Self>>;
}

/// Jobs whose sessions are numbers.
enum Numbers {}

impl QueueTypes for Numbers {
    type Job = TestJob;
    type Session = usize;
    type Monitor = SystemMonitor<QueueState<Self>>;
}

type JobResult = oneshot::Receiver<Result<BatchSlice, DecodeError>>;

fn admission(max_jobs: usize) -> Arc<Admission> {
    let name = HeadName { bundle: "b", head: "h", version: 1 };
    Arc::new(Admission::new(name, QueueLimits { max_jobs, max_bytes: 1000, instances: 1 }))
}

fn head_job(admission: &Admission, time_limit: Duration) -> (Job, JobResult) {
    let (reply, receiver) = oneshot::channel();
    let tensor = NamedTensor { name: "z".into(), shape: vec![1, 1], values: Arc::new(vec![0.0]) };
    let soon = RequestOptions::with_timeout(Duration::from_mins(1));
    let job = Job {
        input: InferenceInput::new(vec![tensor], vec![1]),
        options: RequestOptions::with_timeout(time_limit),
        enqueued_at: Instant::now(),
        request_span: Span::none(),
        queue_span: Span::none(),
        reply,
        permit: admission.admit(1, 8, soon, || false).unwrap(),
    };
    (job, receiver)
}

fn test_job(items: usize) -> (TestJob, Receiver<Outcome>) {
    let (sender, receiver) = sync_channel(1);
    (report_to(sender, items), receiver)
}

fn report_to(sender: SyncSender<Outcome>, items: usize) -> TestJob {
    TestJob::new(items, Instant::now(), move |outcome| sender.send(outcome).unwrap())
}

fn finish_batch(_session: &mut (), batch: Batch<TestJob>) {
    batch.jobs.into_iter().for_each(TestJob::finish);
}

/// Starts the engine thread of a queue.
fn start_engine(queue: &Arc<JobQueue<TestJobs>>) -> thread::JoinHandle<()> {
    let queue = Arc::clone(queue);
    thread::spawn(move || queue.run_batches(0, finish_batch))
}

fn single_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// Runs the tasks that are ready on the runtime of this thread.
async fn run_other_tasks() {
    for _ in 0..4 {
        tokio::task::yield_now().await;
    }
}

#[test]
fn expired_and_abandoned_jobs_never_run_and_are_counted() {
    let (queue, admission) = (JobQueue::<HeadJobs>::new(POLICY, vec![()]), admission(9));
    let minute = Duration::from_mins(1);
    let (abandoned, abandoned_result) = head_job(&admission, minute);
    let (expired, mut expired_result) = head_job(&admission, Duration::ZERO);
    let (live, _live_result) = head_job(&admission, minute);
    for job in [abandoned, expired, live] {
        queue.push(job);
    }
    drop(abandoned_result);
    queue.close();
    let mut batches = Vec::new();
    queue.run_batches(0, |(), batch| batches.push((batch, admission.reserved())));
    let [(batch, reserved)] = &batches[..] else { panic!("{} batches", batches.len()) };
    assert!(batch.jobs.len() == 1 && batch.jobs[0].options.deadline > batch.dequeued_at);
    let counts = admission.stats().counts();
    assert_eq!((counts.expired, counts.abandoned, counts.refused), (1, 1, 0));
    assert_eq!(expired_result.try_recv().unwrap().unwrap_err(), DecodeError::DeadlineExceeded);
    // Only the job in the batch still holds its permit.
    assert_eq!(*reserved, Reserved { jobs: 1, items: 1, bytes: 8 });
    drop(batches);
    assert_eq!(admission.reserved(), Reserved { jobs: 0, items: 0, bytes: 0 });
}

#[test]
fn abandoned_jobs_are_dropped_when_the_queue_is_full() {
    let (queue, admission) = (JobQueue::<HeadJobs>::new(POLICY, vec![()]), admission(2));
    let minute = Duration::from_mins(1);
    let ((first, first_result), (second, _second_result)) =
        (head_job(&admission, minute), head_job(&admission, minute));
    for job in [first, second] {
        queue.push(job);
    }
    let options = RequestOptions::with_timeout(minute);
    let make_room = || queue.discard_dead_jobs();
    assert!(admission.admit(1, 8, options, make_room).is_err());
    drop(first_result);
    assert!(admission.admit(1, 8, options, make_room).is_ok());
    assert_eq!(admission.stats().counts().abandoned, 1);
}

#[test]
fn a_closed_queue_is_finished_first() {
    let queue = JobQueue::<TestJobs>::new(POLICY, vec![()]);
    let outcomes: Vec<_> = (0..6)
        .map(|_| {
            let (job, outcome) = test_job(1);
            queue.push(job);
            outcome
        })
        .collect();
    queue.close();
    let mut sizes = Vec::new();
    queue.run_batches(0, |(), batch| sizes.push(batch.jobs.len()));
    assert_eq!(sizes, [4, 2]);
    // The jobs were dropped without a result.
    assert!(outcomes.into_iter().all(|outcome| outcome.recv().is_err()));
}

#[test]
fn many_threads_lose_no_job() {
    let queue = &JobQueue::<TestJobs>::new(POLICY, vec![(); 2]);
    let (sender, outcomes) = sync_channel(1000);
    thread::scope(|scope| {
        for number in 0..2 {
            scope.spawn(move || queue.run_batches(number, finish_batch));
        }
        let callers: Vec<_> = (0..4)
            .map(|caller| {
                let sender = sender.clone();
                scope.spawn(move || {
                    for _ in 0..200 {
                        let job = report_to(sender.clone(), 1);
                        if caller % 2 == 0 {
                            queue.push(job);
                        } else {
                            Turn::enqueue(queue, job).run(|| 4, finish_batch);
                        }
                    }
                })
            })
            .collect();
        for caller in callers {
            caller.join().unwrap();
        }
        queue.close();
    });
    drop(sender);
    assert_eq!(outcomes.iter().filter(|&outcome| outcome == Outcome::Ran).count(), 800);
}

/// The case of a job that waits behind the turn of a request whose thread is busy.
#[test]
fn a_job_for_an_engine_thread_notifies_one_whatever_turns_are_pending() {
    let start = Instant::now();
    let mut state = QueueState::<TestJobs>::new(POLICY, vec![()]);
    let job = |items| TestJob { items_in_flight: 64, enqueued_at: start, ..test_job(items).0 };
    assert!(matches!(state.engine_step(start, 0), EngineStep::Wait));
    state.push_for_turn(job(1));
    assert_eq!(state.push_for_engine(job(1)), Notify::One);
    // The thread was notified, and will find further jobs.
    assert_eq!(state.push_for_engine(job(1)), Notify::Nobody);
    let EngineStep::Run(assignment) = state.engine_step(start, 0) else { panic!("no batch") };
    assert_eq!((assignment.batch.jobs.len(), assignment.notify), (3, Notify::Nobody));
    // All sessions are in use: the thread of this one will look at the queue.
    state.push_for_turn(job(1));
    assert!(matches!(state.turn_step(start, 4), TurnStep::Done(Notify::Nobody)));
    state.return_session(Some(assignment.session));
    assert!(matches!(state.engine_step(start, 0), EngineStep::Run(_)));
}

#[test]
fn a_delayed_batch_is_notified_when_it_is_complete_or_due_earlier() {
    let start = Instant::now();
    let policy = BatchPolicy { max_delay: Duration::from_millis(4), ..POLICY };
    let job = |items, time_limit| TestJob {
        items_in_flight: 4,
        enqueued_at: start,
        time_limit,
        ..test_job(items).0
    };
    let minute = Duration::from_mins(1);
    let mut state = QueueState::<TestJobs>::new(policy, vec![()]);
    assert_eq!(state.push_for_engine(job(1, minute)), Notify::One);
    assert!(
        matches!(state.engine_step(start, 0), EngineStep::WaitUntil(time) if time == start + policy.max_delay)
    );
    assert_eq!(state.push_for_engine(job(1, minute)), Notify::Nobody);
    assert_eq!(state.push_for_engine(job(1, Duration::from_millis(2))), Notify::One);
    let due = start + Duration::from_millis(1);
    assert!(matches!(state.engine_step(start, 0), EngineStep::WaitUntil(time) if time == due));
    assert_eq!(state.push_for_engine(job(1, minute)), Notify::One);
    assert!(matches!(state.engine_step(start, 0), EngineStep::Run(_)));
}

#[test]
fn an_engine_thread_prefers_its_own_session() {
    let start = Instant::now();
    let mut state = QueueState::<Numbers>::new(POLICY, vec![0, 1]);
    let job = || TestJob { enqueued_at: start, ..test_job(4).0 };
    let mut run = |number| {
        let _ = state.push_for_engine(job());
        let EngineStep::Run(assignment) = state.engine_step(start, number) else { panic!("no batch") };
        let session = assignment.session.session;
        state.return_session(Some(assignment.session));
        session
    };
    assert_eq!([run(0), run(1), run(0), run(2)], [0, 1, 0, 0]);
}

/// Otherwise it would stall all connections of the thread.
#[test]
fn a_turn_leaves_a_long_batch_to_an_engine_thread() {
    let queue = JobQueue::<TestJobs>::new(POLICY, vec![()]);
    let (long, long_outcome) = test_job(9);
    let (short, short_outcome) = test_job(1);
    queue.push(long);
    Turn::enqueue(&queue, short).run(|| 8, |(), _| panic!("the turn ran a batch of 9 items"));
    let engine = start_engine(&queue);
    assert_eq!(long_outcome.recv().unwrap(), Outcome::Ran);
    assert_eq!(short_outcome.recv().unwrap(), Outcome::Ran);
    queue.close();
    engine.join().unwrap();
}

#[test]
fn a_run_that_panics_fails_its_own_jobs_and_returns_its_session() {
    let queue = JobQueue::<TestJobs>::new(POLICY, vec![()]);
    let panicking = |(): &mut (), batch: Batch<TestJob>| {
        assert!(batch.jobs[0].items != 3, "a batch of 3 items panics");
        batch.jobs.into_iter().for_each(TestJob::finish);
    };
    let (failing, failed) = test_job(3);
    Turn::enqueue(&queue, failing).run(|| 4, panicking);
    assert!(failed.recv().is_err());
    let (job, outcome) = test_job(1);
    Turn::enqueue(&queue, job).run(|| 4, panicking);
    assert_eq!(outcome.recv().unwrap(), Outcome::Ran);
    // The same on an engine thread.
    let ((failing, failed), (job, outcome)) = (test_job(3), test_job(2));
    for job in [failing, job] {
        queue.push(job);
    }
    queue.close();
    queue.run_batches(0, panicking);
    assert!(failed.recv().is_err());
    assert_eq!(outcome.recv().unwrap(), Outcome::Ran);
}

#[test]
fn a_short_job_runs_although_its_request_is_not_polled() {
    let queue = JobQueue::<TestJobs>::new(POLICY, vec![()]);
    let (job, outcome) = test_job(1);
    single_thread().block_on(async {
        let turn = Turn::enqueue(&queue, job);
        // The handle stands for the request.
        let _request = spawn_turn(&Handle::current(), turn, admission(1), finish_batch);
        assert_eq!(queue.waiting_jobs(), 1);
        run_other_tasks().await;
    });
    assert_eq!(outcome.try_recv(), Ok(Outcome::Ran));
}

#[test]
fn the_short_job_of_a_cancelled_request_is_discarded_and_others_run() {
    let queue = JobQueue::<TestJobs>::new(POLICY, vec![()]);
    let ((cancelled, cancelled_outcome), (other, outcome)) = (test_job(1), test_job(1));
    single_thread().block_on(async {
        let is_abandoned = Arc::clone(&cancelled.is_abandoned);
        let turn = Turn::enqueue(&queue, cancelled);
        let request = spawn_turn(&Handle::current(), turn, admission(1), finish_batch);
        queue.push(other);
        is_abandoned.store(true, Relaxed);
        drop(request);
        run_other_tasks().await;
    });
    assert_eq!(cancelled_outcome.try_recv(), Ok(Outcome::Discarded(DiscardReason::Abandoned)));
    assert_eq!(outcome.try_recv(), Ok(Outcome::Ran));
}

#[test]
fn an_engine_thread_takes_over_when_a_runtime_ends_before_the_run() {
    let queue = JobQueue::<TestJobs>::new(POLICY, vec![()]);
    let engine = start_engine(&queue);
    let (job, outcome) = test_job(1);
    let runtime = single_thread();
    let turn = Turn::enqueue(&queue, job);
    let _request = spawn_turn(runtime.handle(), turn, admission(1), finish_batch);
    drop(runtime);
    assert_eq!(outcome.recv().unwrap(), Outcome::Ran);
    queue.close();
    engine.join().unwrap();
}

#[test]
fn a_head_that_is_unloaded_before_a_run_finishes_its_jobs() {
    let queue = JobQueue::<TestJobs>::new(POLICY, vec![()]);
    let engine = start_engine(&queue);
    let (job, outcome) = test_job(1);
    let runtime = single_thread();
    let turn = Turn::enqueue(&queue, job);
    let request = spawn_turn(runtime.handle(), turn, admission(1), finish_batch);
    queue.close();
    engine.join().unwrap();
    assert_eq!(outcome.recv().unwrap(), Outcome::Ran);
    runtime.block_on(request).unwrap();
}
