//! The directories of a TIFF file, in which EXIF stores its values as well (TIFF 6.0, section 2), and those of `BigTIFF`,
//! whose counts and offsets have 64 bits. Only what is asked for is read, and nothing is allocated.

use std::ops::Range;

/// Maximum number of entries among which a tag is looked for.
const MAX_ENTRIES: usize = 1024;

/// A reader of directories.
#[derive(Debug, Clone, Copy)]
pub(super) struct TiffTags<'a> {
    bytes: &'a [u8],
    is_big_endian: bool,
    /// Whether counts and offsets have 64 bits.
    is_big: bool,
}

/// An entry of a directory, whose value was not read.
#[derive(Debug, Clone, Copy)]
pub(super) struct TiffEntry {
    /// The meaning of the value.
    pub(super) tag: u16,
    /// The offset behind the tag.
    offset: u64,
}

/// One value, or several of the same kind.
#[derive(Debug, Clone, Copy)]
pub(super) struct TagValue<'a> {
    /// The kind of the values, such as 3 for numbers of 16 bits.
    kind: u16,
    bytes: &'a [u8],
    is_big_endian: bool,
}

impl<'a> TiffTags<'a> {
    /// Reads the header. Returns the reader and the offset of the first directory; `None` if it is no TIFF header.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<(Self, u64)> {
        let (is_big_endian, is_big) = match bytes.first_chunk()? {
            b"II*\0" => (false, false),
            b"MM\0*" => (true, false),
            b"II+\0" => (false, true),
            b"MM\0+" => (true, true),
            _ => return None,
        };
        let tags = Self { bytes, is_big_endian, is_big };
        Some((tags, tags.offset_at(if is_big { 8 } else { 4 })?))
    }

    /// Returns whether the directory has a tag, even if its value is damaged.
    pub(super) fn has(&self, directory: u64, tag: u16) -> bool {
        self.entry(directory, tag).is_some()
    }

    /// Returns the value of a tag; `None` if the directory does not have it or is damaged.
    pub(super) fn value(&self, directory: u64, tag: u16) -> Option<TagValue<'a>> {
        self.value_of(self.entry(directory, tag)?)
    }

    /// Returns all entries of a directory up to the end of the file. Their number is bounded by the length of the file
    /// alone.
    pub(super) fn entries(self, directory: u64) -> impl Iterator<Item = TiffEntry> {
        let (first, count) = self.entry_range(directory).unwrap_or_default();
        (0..count).map_while(move |index| {
            let offset = first.checked_add(index.checked_mul(self.entry_bytes())?)?;
            Some(TiffEntry { tag: self.u16_at(offset)?, offset: offset.checked_add(2)? })
        })
    }

    /// Returns the entry of a tag that counts for the decoder of images: the last one whose kind is known.
    pub(super) fn last_entry(self, directory: u64, tag: u16) -> Option<TiffEntry> {
        let entries = self.entries(directory).filter(|entry| entry.tag == tag);
        entries.filter(|&entry| self.length(entry).is_some()).last()
    }

    /// Returns the length that an entry declares, in bytes; `None` if its kind is unknown or it is cut off.
    pub(super) fn length(&self, entry: TiffEntry) -> Option<u64> {
        Some(
            kind_bytes(self.u16_at(entry.offset)?)?
                .saturating_mul(self.offset_at(entry.offset.checked_add(2)?)?),
        )
    }

    /// Returns the value of an entry; `None` if it is damaged.
    pub(super) fn value_of(&self, entry: TiffEntry) -> Option<TagValue<'a>> {
        let length = self.length(entry)?;
        let field = entry.offset.checked_add(2 + self.offset_bytes())?;
        let start = if length <= self.offset_bytes() { field } else { self.offset_at(field)? };
        let end = usize::try_from(start.checked_add(length)?).ok()?;
        let bytes = self.bytes.get(usize::try_from(start).ok()?..end)?;
        Some(TagValue { kind: self.u16_at(entry.offset)?, bytes, is_big_endian: self.is_big_endian })
    }

    /// Returns where an entry has its value in the file, if that is one number of 16 bits.
    pub(super) fn short_field(&self, entry: TiffEntry) -> Option<Range<usize>> {
        let is_short = self.u16_at(entry.offset)? == 3 && self.length(entry)? == 2;
        let start = usize::try_from(entry.offset.checked_add(2 + self.offset_bytes())?).ok()?;
        is_short.then_some(start..start.checked_add(2)?)
    }

    /// Returns a number of 16 bits in the byte order of the file.
    pub(super) fn short_bytes(&self, number: u16) -> [u8; 2] {
        if self.is_big_endian { number.to_be_bytes() } else { number.to_le_bytes() }
    }

    /// Returns whether a directory is complete.
    pub(super) fn has_directory(&self, directory: u64) -> bool {
        self.next_directory(directory).is_some()
    }

    /// Returns the offset of the directory behind this one, 0 at the end; `None` if this one is damaged.
    pub(super) fn next_directory(&self, directory: u64) -> Option<u64> {
        let (first, count) = self.entry_range(directory)?;
        self.offset_at(first.checked_add(count.checked_mul(self.entry_bytes())?)?)
    }

    fn entry(self, directory: u64, tag: u16) -> Option<TiffEntry> {
        self.entries(directory).take(MAX_ENTRIES).find(|entry| entry.tag == tag)
    }

    /// Returns the offset of the first entry of a directory, and the number of entries.
    fn entry_range(&self, directory: u64) -> Option<(u64, u64)> {
        if self.is_big {
            Some((directory.checked_add(8)?, self.offset_at(directory)?))
        } else {
            Some((directory.checked_add(2)?, self.u16_at(directory)?.into()))
        }
    }

    /// Returns the number of bytes of an entry: tag, kind, count, and the value or its offset.
    fn entry_bytes(&self) -> u64 {
        4 + 2 * self.offset_bytes()
    }

    /// Returns the number of bytes of a count or an offset.
    fn offset_bytes(&self) -> u64 {
        if self.is_big { 8 } else { 4 }
    }

    fn u16_at(&self, offset: u64) -> Option<u16> {
        number(self.behind(offset)?, self.is_big_endian)
    }

    /// Reads a count or an offset.
    fn offset_at(&self, offset: u64) -> Option<u64> {
        let bytes = self.behind(offset)?;
        if self.is_big {
            long8_number(bytes, self.is_big_endian)
        } else {
            long_number(bytes, self.is_big_endian).map(u64::from)
        }
    }

    fn behind(&self, offset: u64) -> Option<&'a [u8]> {
        self.bytes.get(usize::try_from(offset).ok()?..)
    }
}

impl<'a> TagValue<'a> {
    /// Returns the first value as a whole number.
    pub(super) fn number(&self) -> Option<u64> {
        self.numbers().next()
    }

    /// Returns the values as whole numbers; none if they are of another kind.
    pub(super) fn numbers(&self) -> impl Iterator<Item = u64> + use<'a> {
        let Self { kind, is_big_endian, bytes } = *self;
        let size = kind_bytes(kind).map_or(1, |bytes| bytes as usize);
        bytes.chunks_exact(size).map_while(move |bytes| match kind {
            1 => Some(u64::from(bytes[0])),
            3 => number(bytes, is_big_endian).map(u64::from),
            4 | 13 => long_number(bytes, is_big_endian).map(u64::from),
            16 | 18 => long8_number(bytes, is_big_endian),
            _ => None,
        })
    }

    /// Returns the number of values.
    pub(super) fn count(&self) -> u64 {
        self.bytes.len() as u64 / kind_bytes(self.kind).unwrap_or(1)
    }

    /// Returns values that are bytes, or bytes of another structure.
    pub(super) fn raw(&self) -> Option<&'a [u8]> {
        matches!(self.kind, 1 | 7).then_some(self.bytes)
    }

    /// Returns a text without its end and the blanks around it.
    pub(super) fn text(&self) -> Option<&'a str> {
        let text = self.bytes.split(|&byte| byte == 0).next()?;
        (self.kind == 2).then(|| str::from_utf8(text).ok().map(str::trim))?
    }

    /// Returns a fraction; `None` if its denominator is zero.
    pub(super) fn fraction(&self, index: usize) -> Option<f64> {
        let bytes = self.bytes.get(index * 8..index * 8 + 8)?;
        let (above, below) =
            (long_number(bytes, self.is_big_endian)?, long_number(&bytes[4..], self.is_big_endian)?);
        (self.kind == 5 && below != 0).then(|| f64::from(above) / f64::from(below))
    }
}

fn kind_bytes(kind: u16) -> Option<u64> {
    match kind {
        1 | 2 | 6 | 7 => Some(1),
        3 | 8 => Some(2),
        4 | 9 | 11 | 13 => Some(4),
        5 | 10 | 12 | 16 | 17 | 18 => Some(8),
        _ => None,
    }
}

fn number(bytes: &[u8], is_big_endian: bool) -> Option<u16> {
    let bytes = *bytes.first_chunk()?;
    Some(if is_big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
}

fn long_number(bytes: &[u8], is_big_endian: bool) -> Option<u32> {
    let bytes = *bytes.first_chunk()?;
    Some(if is_big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
}

fn long8_number(bytes: &[u8], is_big_endian: bool) -> Option<u64> {
    let bytes = *bytes.first_chunk()?;
    Some(if is_big_endian { u64::from_be_bytes(bytes) } else { u64::from_le_bytes(bytes) })
}
