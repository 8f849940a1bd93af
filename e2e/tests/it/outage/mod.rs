//! Outages of the agent, the server and the link between them: no frame is lost, and none is archived twice.

mod agent;
mod archived;
mod link;
mod random_events;
mod rollout;
mod run;
