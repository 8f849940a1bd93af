//! Both ends, the link between them, and everything that may happen to them: nothing is lost, nothing comes twice.

// A test fails by panicking, and what surrounds it is set up by the same means.

mod agent;
mod archived;
mod link;
mod oracle;
mod rollout;
mod run;
