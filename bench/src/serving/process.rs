//! CPU time and memory of a process and its descendants, read from `/proc`.

use std::{collections::HashMap, fs, time::Duration};

use rustix::{
    param::{clock_ticks_per_second, page_size},
    process::{Pid, Signal, kill_process},
};

/// A process and its descendants.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ProcessTree {
    root: u32,
}

/// The fields of `/proc/PID/stat` that are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ProcessStat {
    parent: u32,
    /// User and system time of the process and of its children that have ended and been waited for, in clock
    /// ticks.
    ticks: u64,
    /// Resident pages.
    pages: u64,
}

impl ProcessTree {
    pub(crate) const fn new(root: u32) -> Self {
        Self { root }
    }

    /// Returns the user and system time of all processes so far, with a resolution of one clock tick (10 ms
    /// on Linux). The time of a process that ended without being waited for is lost.
    pub(crate) fn cpu(self) -> Duration {
        let ticks: u64 = self.stats().values().map(|stat| stat.ticks).sum();
        Duration::from_secs_f64(ticks as f64 / clock_ticks_per_second() as f64)
    }

    /// Returns the resident memory of all processes in bytes; a shared page counts once per process.
    pub(crate) fn resident_bytes(self) -> u64 {
        self.stats().values().map(|stat| stat.pages).sum::<u64>() * page_size() as u64
    }

    /// Returns the ids of all processes.
    pub(crate) fn ids(self) -> Vec<u32> {
        self.stats().into_keys().collect()
    }

    fn stats(self) -> HashMap<u32, ProcessStat> {
        let mut stats: HashMap<u32, ProcessStat> = all_processes().collect();
        let parents: HashMap<u32, u32> = stats.iter().map(|(&id, stat)| (id, stat.parent)).collect();
        stats.retain(|&id, _| is_descendant(id, self.root, &parents));
        stats
    }
}

/// Sends a signal to each of these processes; processes that have ended are ignored.
pub(crate) fn send_signal(ids: &[u32], signal: Signal) {
    for pid in ids.iter().filter_map(|&id| Pid::from_raw(id.cast_signed())) {
        let _ = kill_process(pid, signal);
    }
}

fn is_descendant(id: u32, root: u32, parents: &HashMap<u32, u32>) -> bool {
    let ancestors = std::iter::successors(Some(id), |id| parents.get(id).copied().filter(|&id| id > 1));
    // Processes start and end while they are read, so a parent's id may belong to another process by now. The
    // limit prevents an endless loop.
    ancestors.take(parents.len() + 1).any(|id| id == root)
}

fn all_processes() -> impl Iterator<Item = (u32, ProcessStat)> {
    fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|entry| {
        let id = entry.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        Some((id, parse(&stat)?))
    })
}

/// Parses `/proc/PID/stat`. The name is in parentheses and may contain any character, so the fields are
/// counted after the last parenthesis: state, parent, …
fn parse(stat: &str) -> Option<ProcessStat> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = (11..15).map(|index| parse_field(&fields, index)).sum::<Option<u64>>()?;
    let parent = parse_field(&fields, 1)?.try_into().ok()?;
    Some(ProcessStat { parent, ticks, pages: parse_field(&fields, 21)? })
}

fn parse_field(fields: &[&str], index: usize) -> Option<u64> {
    fields.get(index)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn a_name_with_parentheses_and_spaces_is_skipped() {
        let stat =
            "7 (a) (b c) S 5 7 7 0 -1 4194560 1 2 3 4 100 20 3 1 20 0 1 0 99 8192 250 18446744073709551615";
        assert_eq!(parse(stat), Some(ProcessStat { parent: 5, ticks: 124, pages: 250 }));
        assert_eq!(parse("7 (a) S 5"), None);
    }

    #[test]
    fn a_child_and_a_grandchild_are_in_the_tree() {
        // The open pipe keeps the inner shell waiting, and the outer shell waits for the inner one.
        let mut shell = Command::new("sh");
        let mut child = shell.args(["-c", "sh -c 'read x; :'; :"]).stdin(Stdio::piped()).spawn().unwrap();
        let tree = ProcessTree::new(child.id());
        while tree.ids().len() < 2 {
            std::thread::yield_now();
        }
        assert!(tree.resident_bytes() > 0);
        assert!(ProcessTree::new(std::process::id()).ids().len() >= 3);
        let ids = tree.ids();
        send_signal(&ids, Signal::KILL);
        child.wait().unwrap();
    }
}
