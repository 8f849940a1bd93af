//! `bench spool`: the edge's queue beside SQLite (WAL, `synchronous=FULL`) and redb: durable records per
//! second, and bytes written to the disk per byte of a record. Then a backlog of 1 GiB: the time that the
//! spool takes to recover and to read it, and the growth of its memory.
//!
//! The queues take turns, round after round; the figures are medians. Bytes are those that the kernel writes
//! to the device on behalf of this process (`/proc/self/io`), so the folder must be on a disk.

use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
    time::Instant,
};

use clap::Args;
use lopside_delivery::Class;
use lopside_spool::{Disk, Options, Spool};
use redb::{Database, TableDefinition, WriteTransaction};
use rusqlite::Connection;

use crate::{
    BenchError,
    error::{io_error, store_error},
    median::median_of,
    proc::read_field,
    scratch::scratch_folder,
    table::{Measurement, print_rows},
};

/// The command-line options of `bench spool`.
#[derive(Debug, Args)]
pub(crate) struct SpoolArgs {
    /// Folder on the disk to measure
    #[arg(long, default_value = "out/spool", value_name = "DIR")]
    folder: PathBuf,
    /// Number of repetitions of each measurement; the median is printed
    #[arg(long, default_value = "5", value_name = "N")]
    runs: NonZeroUsize,
    /// Size of the backlog in megabytes
    #[arg(long, default_value = "1074", value_name = "MB")]
    backlog: u64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Bytes per record, records per commit and records in total: the latent of a small image and that of a
/// photograph, committed one by one and in groups.
const LOADS: [(usize, usize, usize); 6] = [
    (25, 1, 400),
    (25, 64, 12_800),
    (1000, 1, 400),
    (1000, 64, 12_800),
    (10_000, 1, 400),
    (10_000, 16, 3200),
];
const SPOOL_BUDGET: u64 = 4 << 30;
const TABLE: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("records");

/// Records per second, and bytes written to the disk per byte of a record.
#[derive(Debug, Clone, Copy)]
struct QueueFigures {
    records_per_second: f64,
    amplification: f64,
}

/// A durable queue of records.
trait Queue {
    fn append(&mut self, record: &[u8]) -> Result<(), BenchError>;
    /// Returns when all appended records are on the disk.
    fn commit(&mut self) -> Result<(), BenchError>;
}

type OpenQueue = fn(&Path) -> Result<Box<dyn Queue>, BenchError>;

const QUEUES: [(&str, OpenQueue); 3] =
    [("spool", spool_queue), ("SQLite", sqlite_queue), ("redb", redb_queue)];

pub(crate) fn run(options: &SpoolArgs) -> Result<(), BenchError> {
    let mut rows = Vec::new();
    for load in LOADS {
        rows.extend(measure_queues(options, load)?);
    }
    rows.extend(measure_backlog(options)?);
    print_rows(&rows, options.json)
}

/// Measures all queues under one load.
fn measure_queues(options: &SpoolArgs, load: (usize, usize, usize)) -> Result<Vec<Measurement>, BenchError> {
    let mut figures = vec![Vec::new(); QUEUES.len()];
    for _ in 0..options.runs.get() {
        for ((_, open), figures) in QUEUES.iter().zip(&mut figures) {
            let folder = scratch_folder(&options.folder)?;
            figures.push(measure_queue(open(folder.path())?, load)?);
        }
    }
    let medians: Vec<QueueFigures> = figures.iter().map(|figures| median_figures(figures)).collect();
    let (len, records_per_commit, _) = load;
    let ours = medians[0];
    let mut rows = Vec::new();
    for ((name, _), figures) in QUEUES.iter().zip(&medians) {
        let name = format!("{name}: {len} bytes, {records_per_commit} per commit");
        let rate = Measurement::new(&name, figures.records_per_second, "1/s");
        let bytes = Measurement::new(&name, figures.amplification, "bytes/byte");
        rows.push(rate.with_ratio("spool", ours.records_per_second));
        rows.push(bytes.with_ratio("spool", ours.amplification));
    }
    Ok(rows)
}

fn measure_queue(
    mut queue: Box<dyn Queue>,
    (len, records_per_commit, count): (usize, usize, usize),
) -> Result<QueueFigures, BenchError> {
    let record: Vec<u8> = (0..len).map(|index| (index * 31 % 251) as u8).collect();
    let (bytes_before, start) = (disk_bytes_written()?, Instant::now());
    for number in 1..=count {
        queue.append(&record)?;
        if number % records_per_commit == 0 {
            queue.commit()?;
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    let amplification = (disk_bytes_written()? - bytes_before) / (len * count) as f64;
    Ok(QueueFigures { records_per_second: count as f64 / seconds, amplification })
}

/// Measures how a spool recovers a backlog after a stop.
fn measure_backlog(options: &SpoolArgs) -> Result<Vec<Measurement>, BenchError> {
    let scratch = scratch_folder(&options.folder)?;
    let folder = scratch.path();
    let record = vec![7; 10_000];
    let mut queue = spool_queue(folder)?;
    let count = options.backlog * 1_000_000 / record.len() as u64;
    for number in 1..=count {
        queue.append(&record)?;
        if number % 64 == 0 || number == count {
            queue.commit()?;
        }
    }
    drop(queue);
    let (resident_before, start) = (resident_bytes()?, Instant::now());
    let mut spool = open_spool(folder)?;
    let recovery = start.elapsed().as_secs_f64();
    let (pending, start) = (spool.pending_records(Class::Normal), Instant::now());
    while let Some(last) = spool.read(Class::Normal).map_err(store_error("spool"))?.last() {
        spool.acknowledge(Class::Normal, last.number).map_err(store_error("spool"))?;
    }
    let seconds = start.elapsed().as_secs_f64();
    let backlog = format!("backlog of {} MB", options.backlog);
    Ok(vec![
        Measurement::new(format!("{backlog}: recovery"), 1e3 * recovery, "ms"),
        Measurement::new(format!("{backlog}: records found"), pending as f64, ""),
        Measurement::new(format!("{backlog}: read and acknowledged"), pending as f64 / seconds, "1/s"),
        Measurement::new(
            format!("{backlog}: additional memory"),
            (resident_bytes()? - resident_before) / 1e6,
            "MB",
        ),
    ])
}

fn median_figures(figures: &[QueueFigures]) -> QueueFigures {
    QueueFigures {
        records_per_second: median_of(figures, |sample| sample.records_per_second),
        amplification: median_of(figures, |sample| sample.amplification),
    }
}

/// Returns the number of bytes that this process has written to the disk.
fn disk_bytes_written() -> Result<f64, BenchError> {
    read_field("/proc/self/io", "write_bytes:")
}

/// Returns the resident memory in bytes.
fn resident_bytes() -> Result<f64, BenchError> {
    read_field("/proc/self/status", "VmRSS:").map(|kib| 1024.0 * kib)
}

fn open_spool(folder: &Path) -> Result<Spool<Disk>, BenchError> {
    let disk = Disk::open(folder).map_err(io_error(folder))?;
    Spool::open(disk, Options::new(SPOOL_BUDGET, rand::random())).map_err(store_error("spool"))
}

fn spool_queue(folder: &Path) -> Result<Box<dyn Queue>, BenchError> {
    Ok(Box::new(open_spool(folder)?))
}

impl Queue for Spool<Disk> {
    fn append(&mut self, record: &[u8]) -> Result<(), BenchError> {
        Self::append(self, Class::Normal, record).map(drop).map_err(store_error("spool"))
    }

    fn commit(&mut self) -> Result<(), BenchError> {
        Self::commit(self).map_err(store_error("spool"))
    }
}

/// SQLite with an open transaction.
struct Sqlite(Connection);

fn sqlite_queue(folder: &Path) -> Result<Box<dyn Queue>, BenchError> {
    let connection = Connection::open(folder.join("records.db")).map_err(store_error("SQLite"))?;
    let begin = "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;
        CREATE TABLE records(number INTEGER PRIMARY KEY, record BLOB); BEGIN";
    connection.execute_batch(begin).map_err(store_error("SQLite"))?;
    Ok(Box::new(Sqlite(connection)))
}

impl Queue for Sqlite {
    fn append(&mut self, record: &[u8]) -> Result<(), BenchError> {
        let insert = self.0.prepare_cached("INSERT INTO records(record) VALUES (?)");
        insert.and_then(|mut insert| insert.execute([record])).map(drop).map_err(store_error("SQLite"))
    }

    fn commit(&mut self) -> Result<(), BenchError> {
        self.0.execute_batch("COMMIT; BEGIN").map_err(store_error("SQLite"))
    }
}

/// redb with an open transaction.
struct Redb {
    database: Database,
    transaction: Option<WriteTransaction>,
    number: u64,
}

fn redb_queue(folder: &Path) -> Result<Box<dyn Queue>, BenchError> {
    let database = Database::create(folder.join("records.redb")).map_err(store_error("redb"))?;
    let transaction = Some(database.begin_write().map_err(store_error("redb"))?);
    Ok(Box::new(Redb { database, transaction, number: 0 }))
}

impl Queue for Redb {
    fn append(&mut self, record: &[u8]) -> Result<(), BenchError> {
        let transaction =
            self.transaction.as_ref().ok_or_else(|| store_error("redb")("no transaction is open"))?;
        let mut table = transaction.open_table(TABLE).map_err(store_error("redb"))?;
        table.insert(self.number, record).map_err(store_error("redb"))?;
        self.number += 1;
        Ok(())
    }

    fn commit(&mut self) -> Result<(), BenchError> {
        if let Some(transaction) = self.transaction.take() {
            transaction.commit().map_err(store_error("redb"))?;
        }
        self.transaction = Some(self.database.begin_write().map_err(store_error("redb"))?);
        Ok(())
    }
}
