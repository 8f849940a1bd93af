//! Finds out whether the data of a JPEG file is whole.

use super::{
    bits::ScanDamage,
    frame::Frame,
    huffman::HuffmanTables,
    layout::{DEFINE_HUFFMAN_TABLES, DEFINE_RESTART_INTERVAL, JpegLayout, START_OF_SCAN, Segment},
    scan::{NonZero, ScanHeader, check_scan, no_coefficients},
};

/// Maximum number of scans. A scan without content has a few bytes, but takes the time of all blocks.
const MAX_SCANS: usize = 256;

/// Returns whether a file leaves out its Huffman tables, as cameras do in streams. Progressive images have tables of
/// their own.
pub(super) fn lacks_huffman_tables(layout: &JpegLayout<'_>, frame: &Frame) -> bool {
    let mut headers = layout.segments.iter().take_while(|segment| segment.marker != START_OF_SCAN);
    !frame.is_progressive && headers.all(|segment| segment.marker != DEFINE_HUFFMAN_TABLES)
}

/// Returns the reason why pixels of the image are missing or wrong; `None` if the data is whole. A missing end of image
/// is no damage, because cameras leave it out.
pub(super) fn find_damage(layout: &JpegLayout<'_>, frame: &Frame) -> Option<ScanDamage> {
    let mut check = FileCheck::new(frame);
    if lacks_huffman_tables(layout, frame) {
        check.tables = HuffmanTables::standard();
    }
    let scans = layout.segments.iter().filter(|segment| segment.marker == START_OF_SCAN).count();
    if scans > MAX_SCANS {
        return Some("it has more than 256 scans");
    }
    let found = layout.segments.iter().find_map(|segment| check.segment(segment).err());
    found.or(layout.damage).or_else(|| check.missing_coefficients(layout.has_end))
}

struct FileCheck<'a> {
    frame: &'a Frame,
    tables: HuffmanTables,
    restart_interval: u32,
    non_zero: Vec<NonZero>,
    /// For each component, the coefficients that are complete, one bit for each.
    complete: Vec<u64>,
    /// For each component, whether its first coefficients were found.
    has_dc: Vec<bool>,
}

impl<'a> FileCheck<'a> {
    fn new(frame: &'a Frame) -> Self {
        let components = frame.components.len();
        Self {
            frame,
            tables: HuffmanTables::default(),
            restart_interval: 0,
            non_zero: if frame.is_progressive {
                no_coefficients(frame)
            } else {
                vec![Vec::new(); components]
            },
            complete: vec![0; components],
            has_dc: vec![false; components],
        }
    }

    fn segment(&mut self, segment: &Segment<'_>) -> Result<(), ScanDamage> {
        match segment.marker {
            DEFINE_HUFFMAN_TABLES => {
                self.tables.define(segment.payload).ok_or("a Huffman table is invalid")?;
            }
            DEFINE_RESTART_INTERVAL => {
                let interval = segment.payload.first_chunk().ok_or("the restart interval is invalid")?;
                self.restart_interval = u32::from(u16::from_be_bytes(*interval));
            }
            START_OF_SCAN => self.scan(segment)?,
            _ => {}
        }
        Ok(())
    }

    fn scan(&mut self, segment: &Segment<'_>) -> Result<(), ScanDamage> {
        let header = ScanHeader::parse(segment.payload, self.frame)?;
        let (tables, interval) = (&self.tables, self.restart_interval);
        check_scan(self.frame, &header, tables, interval, segment.data, &mut self.non_zero)?;
        for component in &header.components {
            self.has_dc[component.index] |= !self.frame.is_progressive || header.first == 0;
            self.complete[component.index] |= match (self.frame.is_progressive, header.low_bit) {
                (false, _) => u64::MAX,
                (true, 0) => (header.first..=header.last).fold(0, |bits, index| bits | 1 << index),
                (true, _) => 0,
            };
        }
        Ok(())
    }

    /// Returns the damage of a file that ends between two scans. An encoder may leave out the fine details of a
    /// progressive image, but then it writes an end.
    fn missing_coefficients(&self, has_end: bool) -> Option<ScanDamage> {
        let is_whole = self.has_dc.iter().all(|&has_dc| has_dc)
            && (has_end || self.complete.iter().all(|&complete| complete == u64::MAX));
        (!is_whole).then_some("the data ends before the last scan")
    }
}
