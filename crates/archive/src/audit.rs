//! The audit log: who changed what, in a table whose rows form a chain of hashes.
//!
//! Rows are numbered from 1 on, without gaps. Each has the hash
//!
//! ```text
//! hash(n) = SHA-256(hash(n - 1) ‖ canonical bytes of row n)        hash(0) = 32 zero bytes
//! canonical bytes = "lopside audit 1" ‖ number ‖ time in microseconds ‖ actor ‖ certificate ‖ peer ‖ request id
//!                   ‖ action ‖ subject ‖ outcome
//! ```
//! with numbers as 8 bytes, big-endian, and each text as the byte 0 if there is none, or else as the byte 1, its
//! length in bytes as a number, and its bytes. The number and the hash of the last row are stored as the head of the
//! chain.
//!
//! A row that was changed, deleted, inserted or moved does not fit the row before it, and the end of the chain does not
//! fit its head. Someone who may write the whole database could compute a new chain. To notice that as well, keep the
//! log of the server elsewhere: it has the number and the hash of every row.

use std::{cmp::Ordering, fmt, str::FromStr};

use sha2::{Digest as _, Sha256};

use crate::ArchiveError;

/// Maximum number of audit entries per page.
pub const MAX_PAGE_AUDIT_ENTRIES: u32 = 1000;

/// The version of the canonical bytes.
const DOMAIN: &[u8] = b"lopside audit 1";
/// Maximum length of a text in bytes; longer ones are cut off.
const MAX_TEXT_BYTES: usize = 1024;

/// The hash of a row of the audit log.
pub type AuditHash = [u8; 32];

/// A change of something that the server serves or stores, and who made it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditEvent {
    /// The name of the API key, or another name for the cause of the change.
    pub actor: String,
    /// The subject of the client's certificate.
    pub certificate: Option<String>,
    /// The address of the client.
    pub peer: Option<String>,
    /// The id of the client's request.
    pub request_id: Option<String>,
    /// The kind of change, such as `bundle.load`.
    pub action: String,
    /// The thing that was changed.
    pub subject: String,
    /// `done`, or the reason why the change was not made.
    pub outcome: String,
}

/// A row of the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// The number of the row, from 1 on.
    pub number: u64,
    /// Time of the change by the server's clock, in microseconds since 1970.
    pub time_us: i64,
    /// The change.
    pub event: AuditEvent,
    /// The hash of the row and of all rows before it.
    pub hash: AuditHash,
}

/// A page of the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditPage {
    /// The entries, newest first.
    pub entries: Vec<AuditEntry>,
    /// The start of the next page; `None` if this is the last page.
    pub next: Option<AuditCursor>,
}

/// A position in the audit log. Its text is opaque to clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditCursor(u64);

/// The result of a check of the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditReport {
    /// Number of rows whose chain is unbroken.
    pub rows: u64,
    /// The hash of the last of these rows.
    pub hash: AuditHash,
    /// The first row that does not fit; `None` if the chain is unbroken.
    pub fault: Option<AuditFault>,
}

/// The first row that does not fit into the chain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuditFault {
    /// A row was deleted.
    #[error("row {number} is missing: it was deleted")]
    Missing {
        /// The number of the row.
        number: u64,
    },
    /// A row does not have the hash that follows from its contents and from the row before it.
    #[error("row {number} does not fit the row before it: it was changed, inserted or moved")]
    Altered {
        /// The number of the row.
        number: u64,
    },
    /// A row comes after the one that was stored last.
    #[error("row {number} was added without the server: the log ends with the row before it")]
    Appended {
        /// The number of the row.
        number: u64,
    },
}

/// The number and the hash of the last row; both are 0 in an empty log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct AuditHead {
    pub(crate) number: u64,
    pub(crate) hash: AuditHash,
}

/// A check of rows one after the other.
#[derive(Debug, Default)]
pub(crate) struct ChainCheck {
    last: AuditHead,
    fault: Option<AuditFault>,
}

impl AuditEvent {
    /// Returns the event with texts that both backends can store.
    fn to_storable(&self) -> Self {
        Self {
            actor: storable_text(&self.actor),
            certificate: self.certificate.as_deref().map(storable_text),
            peer: self.peer.as_deref().map(storable_text),
            request_id: self.request_id.as_deref().map(storable_text),
            action: storable_text(&self.action),
            subject: storable_text(&self.subject),
            outcome: storable_text(&self.outcome),
        }
    }

    /// Returns the texts in the order of the canonical bytes.
    fn texts(&self) -> [Option<&str>; 7] {
        [
            Some(&self.actor),
            self.certificate.as_deref(),
            self.peer.as_deref(),
            self.request_id.as_deref(),
            Some(&self.action),
            Some(&self.subject),
            Some(&self.outcome),
        ]
    }
}

impl AuditEntry {
    /// Creates the row that follows the head of the chain.
    pub(crate) fn after(head: &AuditHead, event: &AuditEvent, time_us: i64) -> Self {
        let event = event.to_storable();
        let mut entry = Self { number: head.number + 1, time_us, event, hash: AuditHash::default() };
        entry.hash = entry.compute_hash(&head.hash);
        entry
    }

    fn compute_hash(&self, previous: &AuditHash) -> AuditHash {
        let mut digest = Sha256::new();
        digest.update(previous);
        digest.update(DOMAIN);
        digest.update(self.number.to_be_bytes());
        digest.update(self.time_us.to_be_bytes());
        for text in self.event.texts() {
            digest.update([u8::from(text.is_some())]);
            if let Some(text) = text {
                digest.update((text.len() as u64).to_be_bytes());
                digest.update(text.as_bytes());
            }
        }
        digest.finalize().into()
    }
}

impl AuditPage {
    /// Builds a page from entries that were queried with one more than the page size.
    pub(crate) fn from_entries(mut entries: Vec<AuditEntry>, page_size: usize) -> Self {
        let has_more = entries.len() > page_size;
        entries.truncate(page_size);
        let next = entries.last().filter(|_| has_more).map(|last| AuditCursor(last.number));
        Self { entries, next }
    }
}

impl AuditCursor {
    /// Returns the number before which all entries of the page lie.
    pub(crate) fn before(self) -> u64 {
        self.0
    }
}

impl fmt::Display for AuditCursor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016x}", self.0)
    }
}

impl FromStr for AuditCursor {
    type Err = ArchiveError;

    fn from_str(text: &str) -> Result<Self, ArchiveError> {
        let is_valid = text.len() == 16 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let number = u64::from_str_radix(text, 16).ok().filter(|_| is_valid);
        number.map(Self).ok_or_else(|| ArchiveError::InvalidCursor { found: text.chars().take(40).collect() })
    }
}

impl AuditFault {
    /// Returns the number of the first row that does not fit.
    #[must_use]
    pub fn number(&self) -> u64 {
        match *self {
            Self::Missing { number } | Self::Altered { number } | Self::Appended { number } => number,
        }
    }
}

impl ChainCheck {
    /// Checks the row with the next number, and returns whether it fits.
    pub(crate) fn check(&mut self, entry: &AuditEntry) -> bool {
        let number = self.last.number + 1;
        if entry.number == number && entry.hash == entry.compute_hash(&self.last.hash) {
            self.last = AuditHead { number, hash: entry.hash };
            return true;
        }
        let is_missing = entry.number > number;
        self.fault =
            Some(if is_missing { AuditFault::Missing { number } } else { AuditFault::Altered { number } });
        false
    }

    /// Compares the last row with the stored head, unless a row before it does not fit.
    pub(crate) fn finish(self, head: &AuditHead) -> AuditReport {
        let Self { last, fault } = self;
        let end_fault = match last.number.cmp(&head.number) {
            Ordering::Less => Some(AuditFault::Missing { number: last.number + 1 }),
            Ordering::Greater => Some(AuditFault::Appended { number: head.number + 1 }),
            Ordering::Equal => {
                (last.hash != head.hash).then_some(AuditFault::Altered { number: last.number })
            }
        };
        AuditReport { rows: last.number, hash: last.hash, fault: fault.or(end_fault) }
    }
}

/// Returns the beginning of a text, without NUL, which PostgreSQL cannot store.
fn storable_text(text: &str) -> String {
    text[..text.floor_char_boundary(MAX_TEXT_BYTES)].replace('\0', "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn event(text: &str, peer: Option<&str>) -> AuditEvent {
        AuditEvent {
            actor: text.to_owned(),
            peer: peer.map(str::to_owned),
            action: "bundle.load".to_owned(),
            subject: "fashion".to_owned(),
            outcome: "done".to_owned(),
            ..AuditEvent::default()
        }
    }

    /// Returns a chain of rows with these actors, and its head.
    fn chain(actors: &[String]) -> (Vec<AuditEntry>, AuditHead) {
        let mut head = AuditHead::default();
        let mut rows = Vec::new();
        for (actor, time_us) in actors.iter().zip(0..) {
            let row = AuditEntry::after(&head, &event(actor, None), time_us);
            head = AuditHead { number: row.number, hash: row.hash };
            rows.push(row);
        }
        (rows, head)
    }

    fn verify(rows: &[AuditEntry], head: &AuditHead) -> AuditReport {
        let mut check = ChainCheck::default();
        let _ = rows.iter().all(|row| check.check(row));
        check.finish(head)
    }

    /// A change of stored rows.
    #[derive(Debug, Clone)]
    enum Tampering {
        Edit(usize),
        EditTime(usize),
        EditHash(usize),
        Delete(usize),
        Insert(usize),
        Swap(usize, usize),
        Append,
    }

    impl Tampering {
        fn strategy(rows: usize) -> impl Strategy<Value = Self> {
            let row = 0..rows;
            prop_oneof![
                row.clone().prop_map(Self::Edit),
                row.clone().prop_map(Self::EditTime),
                row.clone().prop_map(Self::EditHash),
                row.clone().prop_map(Self::Delete),
                row.clone().prop_map(Self::Insert),
                (row.clone(), row).prop_map(|(one, other)| Self::Swap(one, other)),
                Just(Self::Append),
            ]
        }

        /// Changes the rows, and returns the index of the first one that differs.
        fn apply(&self, rows: &mut Vec<AuditEntry>) -> Option<usize> {
            match *self {
                Self::Edit(index) => {
                    rows[index].event.actor.push('x');
                    Some(index)
                }
                Self::EditTime(index) => {
                    rows[index].time_us += 1;
                    Some(index)
                }
                Self::EditHash(index) => {
                    rows[index].hash[31] ^= 1;
                    Some(index)
                }
                Self::Delete(index) => {
                    rows.remove(index);
                    Some(index)
                }
                Self::Insert(index) => {
                    let previous = index.checked_sub(1).map(|previous| &rows[previous]);
                    let head = previous.map_or_else(AuditHead::default, |row| AuditHead {
                        number: row.number,
                        hash: row.hash,
                    });
                    // The inserted row itself fits; the rows after it get the next numbers.
                    rows.insert(index, AuditEntry::after(&head, &event("forger", None), 7));
                    rows[index + 1..].iter_mut().for_each(|row| row.number += 1);
                    Some(index + 1)
                }
                Self::Swap(one, other) => {
                    // The numbers stay in order, because they are the key of the table.
                    rows.swap(one, other);
                    let number = rows[one].number;
                    rows[one].number = rows[other].number;
                    rows[other].number = number;
                    (one != other).then_some(one.min(other))
                }
                Self::Append => {
                    let last = rows.last().map(|row| AuditHead { number: row.number, hash: row.hash });
                    rows.push(AuditEntry::after(&last.unwrap_or_default(), &event("forger", None), 7));
                    Some(rows.len() - 1)
                }
            }
        }
    }

    fn tampered_chains() -> impl Strategy<Value = (Vec<String>, Tampering)> {
        prop::collection::vec(".{0,8}", 1..12).prop_flat_map(|actors| {
            let rows = actors.len();
            (Just(actors), Tampering::strategy(rows))
        })
    }

    proptest! {
        #[test]
        fn the_first_row_that_was_tampered_with_is_named((actors, tampering) in tampered_chains()) {
            let (mut rows, head) = chain(&actors);
            let intact = verify(&rows, &head);
            prop_assert_eq!((intact.rows, intact.hash, intact.fault), (head.number, head.hash, None));
            let first_changed = tampering.apply(&mut rows);
            let fault = verify(&rows, &head).fault;
            let expected = first_changed.map(|index| index as u64 + 1);
            prop_assert_eq!(fault.as_ref().map(AuditFault::number), expected, "{:?}", fault);
        }
    }

    #[test]
    fn rows_that_were_deleted_at_the_end_are_missing() {
        let (rows, head) = chain(&["a".into(), "b".into(), "c".into()]);
        let report = verify(&rows[..1], &head);
        assert_eq!((report.rows, report.fault), (1, Some(AuditFault::Missing { number: 2 })));
        assert_eq!(verify(&[], &head).fault, Some(AuditFault::Missing { number: 1 }));
        assert_eq!(verify(&[], &AuditHead::default()).fault, None);
    }

    #[test]
    fn the_boundaries_of_texts_are_part_of_the_hash() {
        let head = AuditHead::default();
        let hash = |event: &AuditEvent| AuditEntry::after(&head, event, 0).hash;
        let mut hashes = vec![
            hash(&event("ab", None)),
            hash(&event("ab", Some(""))),
            hash(&AuditEvent { certificate: Some(String::new()), ..event("ab", None) }),
            hash(&event("a", Some("b"))),
        ];
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), 4);
    }

    #[test]
    fn a_text_that_no_backend_can_store_is_changed_before_it_is_hashed() {
        let long = event(&format!("a\0{}", "é".repeat(MAX_TEXT_BYTES)), None);
        let entry = AuditEntry::after(&AuditHead::default(), &long, 0);
        assert!(entry.event.actor.starts_with("a\u{fffd}é") && entry.event.actor.len() <= MAX_TEXT_BYTES + 2);
        assert!(ChainCheck::default().check(&entry));
    }

    #[test]
    fn a_cursor_survives_its_text_form_and_other_text_is_refused() {
        for number in [0, 7, u64::MAX] {
            let cursor = AuditCursor(number);
            assert_eq!(cursor.to_string().parse::<AuditCursor>().unwrap(), cursor);
        }
        for text in ["", "7", "000000000000000G", "000000000000000F", "+00000000000000a", &"0".repeat(17)] {
            let error = text.parse::<AuditCursor>().unwrap_err();
            assert!(matches!(error, ArchiveError::InvalidCursor { .. }), "{text}: {error}");
        }
    }
}
