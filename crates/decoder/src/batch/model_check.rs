//! Model check of the queue's wake-ups.
//!
//! The queue runs on the threads and the time of a model checker (shuttle), which tries many interleavings of all
//! accesses to the lock, and reports a deadlock if a caller waits for its job, or an engine thread for its exit,
//! without a thread that could go on. A job that is dropped without an outcome fails its caller. The last tests
//! show that the check notices faults.

use std::{
    cell::Cell,
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, LazyLock,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use shuttle::{
    Config, FailurePersistence, Runner,
    rand::{Rng as _, thread_rng},
    scheduler::{PctScheduler, RandomScheduler},
    sync::{Condvar, Mutex, MutexGuard, mpsc},
    thread,
};

use super::{
    discard_reason::DiscardReason,
    monitor::Monitor,
    policy::BatchPolicy,
    queue::JobQueue,
    queue_state::{QueueState, QueueTypes},
    steps::Batch,
    test_job::{Outcome, POLICY, TestJob},
    turn::Turn,
};

/// Interleavings per scenario and scheduler.
const SCHEDULES: usize = 4000;
/// Upper bound on the time for them.
const MAX_TIME: Duration = Duration::from_secs(2);
/// Number of changes of priority that the second scheduler tries per interleaving.
const PRIORITY_CHANGES: usize = 3;
const SEED: u64 = 10;

/// A policy that waits for a second job.
const DELAYING: BatchPolicy = BatchPolicy { max_delay: Duration::from_millis(1), ..POLICY };

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

thread_local! {
    /// Time since the start, in nanoseconds. All threads of the model run on one thread of the system.
    static NANOS: Cell<u64> = const { Cell::new(0) };
}

/// A monitor of the model checker's threads. Time passes only if a thread waits for it.
struct CheckedMonitor<T> {
    value: Mutex<T>,
    change: Condvar,
    /// Number of threads that wait with a time limit.
    timed: AtomicUsize,
}

impl<T> Monitor<T> for CheckedMonitor<T> {
    type Guard<'a>
        = MutexGuard<'a, T>
    where
        Self: 'a;

    fn new(value: T) -> Self {
        Self { value: Mutex::new(value), change: Condvar::new(), timed: AtomicUsize::new(0) }
    }

    fn lock(&self) -> MutexGuard<'_, T> {
        self.value.lock().unwrap()
    }

    fn wait<'a>(&'a self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        self.change.wait(guard).unwrap()
    }

    fn wait_until<'a>(&'a self, guard: MutexGuard<'a, T>, time: Instant) -> MutexGuard<'a, T> {
        self.timed.fetch_add(1, Relaxed);
        drop(guard);
        thread::yield_now();
        let guard = self.lock();
        self.timed.fetch_sub(1, Relaxed);
        let nanos = time.saturating_duration_since(*START).as_nanos() as u64;
        NANOS.set(NANOS.get().max(nanos));
        guard
    }

    fn notify_one(&self) {
        // A thread that waits with a time limit may receive the notification. It returns in any case.
        let is_absorbed = self.timed.load(Relaxed) > 0 && thread_rng().gen_bool(0.5);
        if !is_absorbed {
            self.change.notify_one();
        }
    }

    fn notify_all(&self) {
        self.change.notify_all();
    }

    fn now(&self) -> Instant {
        now()
    }
}

enum ModelTypes {}

impl QueueTypes for ModelTypes {
    type Job = TestJob;
    type Session = ();
    type Monitor = CheckedMonitor<QueueState<Self>>;
}

type ModelQueue = JobQueue<ModelTypes>;

/// A thread that enqueues a job and waits for its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Caller {
    /// An engine thread looks after the job.
    Long,
    /// A turn looks after the job.
    Short,
    /// The turn is dropped before it runs.
    ShortWithoutRun,
    /// The caller stops waiting for the job of a turn.
    ShortAndAbandoned,
    /// The faulty push that notified an engine thread only for the first job in the queue.
    LongIfFirst,
    /// A fault: the turn disappears before it runs.
    ShortAndForgotten,
}

fn now() -> Instant {
    *START + Duration::from_nanos(NANOS.get())
}

fn run_batch(_session: &mut (), batch: Batch<TestJob>) {
    thread::yield_now();
    batch.jobs.into_iter().for_each(TestJob::finish);
}

/// Returns a batch limit of a turn, which may also have used up its time.
fn any_limit() -> usize {
    thread_rng().gen_range(0..=POLICY.max_items)
}

fn new_job() -> (TestJob, mpsc::Receiver<Outcome>) {
    let (sender, receiver) = mpsc::sync_channel(1);
    let items = thread_rng().gen_range(1..=2);
    let mut job = TestJob::new(items, now(), move |outcome| sender.send(outcome).unwrap());
    // As if further jobs were expected, for which a batch may wait.
    job.items_in_flight = POLICY.max_items;
    (job, receiver)
}

impl Caller {
    /// Enqueues a job and waits for its end.
    fn call(self, queue: &Arc<ModelQueue>) {
        let (job, outcome) = new_job();
        match self {
            Self::Long => queue.push(job),
            Self::Short => Turn::enqueue(queue, job).run(any_limit, run_batch),
            Self::ShortWithoutRun => drop(Turn::enqueue(queue, job)),
            Self::ShortAndAbandoned => {
                let is_abandoned = Arc::clone(&job.is_abandoned);
                let turn = Turn::enqueue(queue, job);
                is_abandoned.store(true, Relaxed);
                turn.run(any_limit, run_batch);
            }
            Self::LongIfFirst => {
                let turn = Turn::enqueue(queue, job);
                if queue.waiting_jobs() > 1 { mem::forget(turn) } else { drop(turn) }
            }
            Self::ShortAndForgotten => mem::forget(Turn::enqueue(queue, job)),
        }
        let outcome = outcome.recv().unwrap();
        let was_dropped = outcome == Outcome::Discarded(DiscardReason::Abandoned);
        assert!(outcome == Outcome::Ran || (was_dropped && self == Self::ShortAndAbandoned), "{outcome:?}");
    }
}

fn start(policy: BatchPolicy, sessions: usize) -> (Arc<ModelQueue>, Vec<thread::JoinHandle<()>>) {
    NANOS.set(0);
    let queue = ModelQueue::new(policy, vec![(); sessions]);
    let engine = |number| {
        let queue = Arc::clone(&queue);
        thread::spawn(move || queue.run_batches(number, run_batch))
    };
    let engines = (0..sessions).map(engine).collect();
    (queue, engines)
}

fn join_all(threads: Vec<thread::JoinHandle<()>>) {
    for thread in threads {
        thread.join().unwrap();
    }
}

/// Runs callers while the thread of another turn is busy: it does not run before all others have their results.
fn run_callers(callers: &[Caller], policy: BatchPolicy, sessions: usize) {
    let (queue, engines) = start(policy, sessions);
    let (job, outcome) = new_job();
    let busy = Turn::enqueue(&queue, job);
    let callers = callers.iter().map(|&caller| {
        let queue = Arc::clone(&queue);
        thread::spawn(move || caller.call(&queue))
    });
    join_all(callers.collect());
    busy.run(any_limit, run_batch);
    assert_eq!(outcome.recv().unwrap(), Outcome::Ran);
    queue.close();
    join_all(engines);
}

/// Closes the queue while a turn has not run.
fn close_during_a_turn(sessions: usize) {
    let (queue, engines) = start(POLICY, sessions);
    let (jobs, outcomes): (Vec<_>, Vec<_>) = (0..3).map(|_| new_job()).unzip();
    let mut turns = Vec::new();
    for job in jobs {
        if turns.len() < 2 { turns.push(Turn::enqueue(&queue, job)) } else { queue.push(job) }
    }
    let turns = turns.into_iter().map(|turn| thread::spawn(move || turn.run(any_limit, run_batch)));
    let turns = turns.collect();
    queue.close();
    join_all(turns);
    assert!(outcomes.into_iter().all(|outcome| outcome.recv().unwrap() == Outcome::Ran));
    join_all(engines);
}

/// Tries a scenario in random interleavings, and in interleavings by random priorities.
fn check(scenario: impl Fn() + Clone + Send + Sync + 'static) {
    let mut config = Config::new();
    config.max_time = Some(MAX_TIME);
    config.failure_persistence = FailurePersistence::None;
    Runner::new(RandomScheduler::new_from_seed(SEED, SCHEDULES), config.clone()).run(scenario.clone());
    Runner::new(PctScheduler::new_from_seed(SEED, PRIORITY_CHANGES, SCHEDULES), config).run(scenario);
}

/// Returns whether the check reports a deadlock.
fn finds_deadlock(scenario: impl Fn() + Clone + Send + Sync + 'static) -> bool {
    let Err(panic) = catch_unwind(AssertUnwindSafe(|| check(scenario))) else { return false };
    panic.downcast_ref::<String>().is_some_and(|message| message.contains("deadlock"))
}

#[test]
fn no_job_waits_for_a_turn_of_a_busy_thread() {
    check(|| run_callers(&[Caller::Long, Caller::Short, Caller::Long], POLICY, 1));
}

#[test]
fn several_sessions_and_ended_turns_leave_no_job_behind() {
    check(|| {
        let callers = [Caller::Long, Caller::ShortWithoutRun, Caller::ShortAndAbandoned, Caller::Short];
        run_callers(&callers, POLICY, 2);
    });
}

#[test]
fn a_delayed_batch_leaves_no_job_behind() {
    check(|| run_callers(&[Caller::Long, Caller::ShortAndAbandoned, Caller::Long], DELAYING, 2));
}

#[test]
fn a_queue_that_is_closed_during_turns_is_finished_and_its_threads_exit() {
    check(|| {
        let sessions = thread_rng().gen_range(1..=2);
        close_during_a_turn(sessions);
    });
}

#[test]
fn the_check_finds_a_push_that_relies_on_the_turn_of_another_request() {
    assert!(finds_deadlock(|| run_callers(&[Caller::LongIfFirst], POLICY, 1)));
}

#[test]
fn the_check_finds_a_turn_that_is_not_handed_over() {
    assert!(finds_deadlock(|| run_callers(&[Caller::ShortAndForgotten], POLICY, 1)));
}
