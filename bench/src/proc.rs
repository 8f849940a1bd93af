//! Figures from `/proc`.

use std::{fs, path::Path};

use crate::{
    BenchError,
    error::{ProgramError, io_error},
};

/// Units of CPU time in `/proc/PID/stat` per second (`USER_HZ`), which are the same on every Linux of these processors.
const TICKS_PER_SECOND: f64 = 100.0;

/// Returns the CPU time of a running process since its start, in seconds.
pub(crate) fn cpu_seconds(process: u32) -> Result<f64, BenchError> {
    let path = format!("/proc/{process}/stat");
    let text = fs::read_to_string(&path).map_err(io_error(Path::new(&path)))?;
    let ticks = cpu_ticks(&text);
    let seconds = ticks.map(|ticks| ticks / TICKS_PER_SECOND);
    Ok(seconds.ok_or(ProgramError::MissingFigure { path, name: "utime and stime".to_owned() })?)
}

/// Returns the sum of user and system time, fields 14 and 15. The name in field 2 may contain anything.
fn cpu_ticks(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut times = fields.split(' ').skip(11);
    let (user, system): (f64, f64) = (times.next()?.parse().ok()?, times.next()?.parse().ok()?);
    Some(user + system)
}

/// Returns the number after `name` in a `/proc` file with one name and value per line.
pub(crate) fn read_field(path: &str, name: &str) -> Result<f64, BenchError> {
    let text = fs::read_to_string(path).map_err(io_error(Path::new(path)))?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    Ok(number.ok_or_else(|| ProgramError::MissingFigure { path: path.to_owned(), name: name.to_owned() })?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_time_is_found_behind_any_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 9 9 20 0 4 0 123";
        assert_eq!(cpu_ticks(stat).map(f64::to_bits), Some(300.0_f64.to_bits()));
        assert_eq!(cpu_ticks("7 (a) S 1").map(f64::to_bits), None);
    }
}
