//! Ends the run of a job whose caller has left.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use ort::session::RunOptions;

/// Cancels the run of one inference input. Clones refer to the same run.
///
/// A run that has not started is refused. A run that has started is ended between two operators of its graph; the
/// memory of the run is then free again. Only the run of a single inference input can be cancelled, because other
/// callers wait for the result of a batch.
#[derive(Clone, Default)]
pub(crate) struct RunHandle(Arc<Mutex<RunState>>);

/// Cancels a run when it is dropped: it belongs to the future that waits for the result.
#[derive(Debug)]
pub(crate) struct CancelOnDrop(RunHandle);

#[derive(Default)]
enum RunState {
    /// The run has not started or has ended.
    #[default]
    Idle,
    Running(Arc<RunOptions>),
    Cancelled,
}

impl RunHandle {
    /// Returns a guard that cancels the run when it is dropped.
    pub(crate) fn cancel_on_drop(&self) -> CancelOnDrop {
        CancelOnDrop(self.clone())
    }

    /// Cancels the run. Returns immediately; the run ends soon.
    pub(crate) fn cancel(&self) {
        let state = std::mem::replace(&mut *self.lock(), RunState::Cancelled);
        if let RunState::Running(options) = state
            && let Err(error) = options.terminate()
        {
            tracing::warn!(%error, "an abandoned run cannot be ended early: its result will be discarded");
        }
    }

    /// Returns whether the run was cancelled.
    pub(crate) fn is_cancelled(&self) -> bool {
        matches!(*self.lock(), RunState::Cancelled)
    }

    /// Marks the start of the run with these options; returns false if it was cancelled before.
    pub(super) fn start(&self, options: &Arc<RunOptions>) -> bool {
        let mut state = self.lock();
        let may_start = !matches!(*state, RunState::Cancelled);
        if may_start {
            *state = RunState::Running(Arc::clone(options));
        }
        may_start
    }

    /// Marks the end of the run.
    pub(super) fn end(&self) {
        let mut state = self.lock();
        if matches!(*state, RunState::Running(_)) {
            *state = RunState::Idle;
        }
    }

    fn lock(&self) -> MutexGuard<'_, RunState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for RunHandle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_cancelled = self.is_cancelled();
        formatter.debug_struct("RunHandle").field("is_cancelled", &is_cancelled).finish_non_exhaustive()
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

#[cfg(test)]
mod tests {
    use std::env;

    use lopside_onnx::{GraphBuilder, encode_model};

    use super::*;
    use crate::{
        Device, Runtime,
        model::{HeadModel, InferenceInput, ModelIo, ModelSource, NamedTensor},
        runtime::SessionMemory,
    };

    /// Number of multiplications, each of which takes about a millisecond for [`ROWS`] rows.
    const STEPS: usize = 500;
    const ROWS: usize = 512;
    const WIDTH: usize = 256;

    fn input(rows: usize, run_handle: Option<RunHandle>) -> InferenceInput {
        let values = Arc::new(vec![0.0; rows * WIDTH]);
        let tensor = NamedTensor { name: "x".into(), shape: vec![rows, WIDTH], values };
        InferenceInput { run_handle, ..InferenceInput::new(vec![tensor], vec![rows * WIDTH]) }
    }

    /// Loads a model whose run takes seconds.
    fn slow_model() -> HeadModel {
        let library =
            env::var_os("ORT_DYLIB_PATH").expect("ORT_DYLIB_PATH is not set: run `cargo xtask test`");
        let runtime = Runtime::load(library.as_ref(), Device::Cpu, 1).unwrap();
        let mut graph = GraphBuilder::new("slow");
        let weight = graph.add_initializer("w", &[WIDTH as i64; 2], &vec![0.5; WIDTH * WIDTH]).unwrap();
        let mut x = graph.add_input("x", &["n".into(), (WIDTH as i64).into()]);
        for step in 0..STEPS {
            x = graph.add_node("MatMul", &[&x, &weight], &format!("y{step}"), &[]);
        }
        graph.add_output(&x, &["n".into(), (WIDTH as i64).into()]);
        let io = ModelIo { inputs: vec!["x".into()], outputs: vec![x], latent_space: String::new() };
        let bytes = encode_model(&graph.build());
        let source = ModelSource { bytes: &bytes, io: &io, memory: SessionMemory::Returned };
        HeadModel::load(&runtime, source, (&input(1, None), 1)).unwrap()
    }

    #[test]
    fn a_cancelled_run_ends_between_two_operators_and_the_next_one_runs() {
        let mut model = slow_model();
        let whole = model.time_run(&input(ROWS, None)).unwrap();
        let handle = RunHandle::default();
        let guard = handle.cancel_on_drop();
        let started_at = std::time::Instant::now();
        let error = std::thread::scope(|scope| {
            let run = scope.spawn(|| model.run(&[input(ROWS, Some(handle.clone()))]).unwrap_err());
            while !matches!(*handle.lock(), RunState::Running(_)) {
                std::thread::yield_now();
            }
            drop(guard);
            run.join().unwrap()
        });
        assert!(error.contains("ended early") && started_at.elapsed() < whole / 2, "{error} {whole:?}");
        assert!(handle.is_cancelled());
        assert!(model.run(&[input(1, Some(RunHandle::default()))]).is_ok());
    }

    #[test]
    fn a_run_that_was_cancelled_before_its_start_is_refused() {
        let mut model = slow_model();
        let handle = RunHandle::default();
        drop(handle.cancel_on_drop());
        assert!(model.run(&[input(1, Some(handle))]).is_err());
    }
}
