use lopside_bundle::TableSpec;

use super::{
    cell::{NumberReader, is_text},
    error::CsvError,
    layout::{Layout, TableRow, WantedColumns, filled_cells},
    record::Record,
};

/// Maximum number of lines of text before the header or the first row.
const MAX_PREAMBLE_LINES: usize = 64;
/// Maximum number of lines between a header and the first row: units, and how values were computed.
const MAX_UNIT_LINES: u32 = 3;

/// The columns of a table, which its first lines decide by the rules of the module's page.
#[derive(Debug)]
pub(super) struct Columns {
    wanted: WantedColumns,
    numbers: NumberReader,
    state: ColumnsState,
}

#[derive(Debug)]
enum ColumnsState {
    /// Before the header or the first row, after these lines of text.
    Start(Vec<UnknownHeader>),
    /// The columns are known.
    Found { layout: Layout, unit_lines_left: u32 },
    /// After a header that does not name all columns.
    Lost { header_line: u64 },
}

/// A line of text that may be a header.
#[derive(Debug, Clone, Copy)]
struct UnknownHeader {
    line: u64,
    cell_count: usize,
}

impl Columns {
    pub(super) fn new(channels: Vec<String>, spec: &TableSpec) -> Self {
        let missing = spec.missing.as_deref().unwrap_or_default();
        Self {
            wanted: WantedColumns::new(channels, spec),
            numbers: NumberReader::new(spec.decimal, missing),
            state: ColumnsState::Start(Vec::new()),
        }
    }

    /// Returns whether the columns are known.
    pub(super) fn are_found(&self) -> bool {
        matches!(self.state, ColumnsState::Found { .. })
    }

    /// Reads a record; returns `None` for a header and for other lines that are no rows.
    pub(super) fn read(
        &mut self,
        record: Record<'_>,
        has_comma_separator: bool,
    ) -> Result<Option<TableRow>, CsvError> {
        match &mut self.state {
            ColumnsState::Start(_) => self.read_first(record, has_comma_separator),
            ColumnsState::Found { layout, unit_lines_left } => {
                match layout.read(record, &self.wanted, &self.numbers, has_comma_separator) {
                    Ok(row) => {
                        layout.keep_cell_count(record);
                        *unit_lines_left = 0;
                        self.learn(record, has_comma_separator, row).map(Some)
                    }
                    Err(error) => self.read_other(record, error),
                }
            }
            ColumnsState::Lost { header_line } => {
                let error = CsvError::LostColumns { line: record.line, header_line: *header_line };
                if self.try_header(record) { Ok(None) } else { Err(error) }
            }
        }
    }

    /// Returns the error of a table that ends with a line of text that may be a header; `None` if it has a header or a row.
    pub(super) fn unread_header(&self) -> Option<CsvError> {
        let ColumnsState::Start(headers) = &self.state else { return None };
        // The widest line is most likely the header.
        let header = headers.iter().max_by_key(|header| header.cell_count)?;
        Some(self.unknown_header(*header))
    }

    /// Reads the first record as a header and returns its names, which become the channels. A record that has
    /// the name `marker` is a header even if other names are numbers.
    pub(super) fn read_header(&mut self, record: Record<'_>, marker: &str) -> Result<Vec<String>, CsvError> {
        let layout = Layout::in_order(record.cell_count());
        if !is_header(record) && !record.cells().any(|cell| cell == marker) {
            layout.read(record, &self.wanted, &self.numbers, true)?;
            return Err(CsvError::NoHeader { line: record.line });
        }
        let names: Vec<String> = record.cells().map(Into::into).collect();
        self.set_names(names.clone());
        self.state = ColumnsState::Found { layout, unit_lines_left: 0 };
        Ok(names)
    }

    /// Replaces the channels by those in these columns, after the header with these names was read.
    pub(super) fn select(&mut self, names: &[String], columns: Vec<usize>) {
        let channels = columns.iter().map(|&column| names.get(column).cloned().unwrap_or_default());
        self.set_names(channels.collect());
        if let ColumnsState::Found { layout, .. } = &mut self.state {
            layout.set_columns(columns);
        }
    }

    fn set_names(&mut self, names: Vec<String>) {
        self.wanted = WantedColumns::new(names, &TableSpec::default());
    }

    /// Reads a record before the columns are known.
    fn read_first(
        &mut self,
        record: Record<'_>,
        has_comma_separator: bool,
    ) -> Result<Option<TableRow>, CsvError> {
        if self.try_header(record) {
            return Ok(None);
        }
        let layout = self.wanted.numbered_layout().or_else(|| self.wanted.ordered_layout());
        let row = layout.as_ref().map(|layout| {
            layout.read(record, &self.wanted, &self.numbers, has_comma_separator).and_then(check_first_row)
        });
        if let (Some(Ok(row)), Some(layout)) = (row.as_ref(), layout) {
            let row = row.clone();
            return self.begin_rows(record, layout, has_comma_separator, row);
        }
        self.check_partial_header(record)?;
        if is_header(record) && self.remember_text(record) {
            return Ok(None);
        }
        let (line, columns) = (record.line, record.cell_count());
        match row {
            Some(Err(error)) if !matches!(error, CsvError::ColumnCount { .. }) => Err(error),
            _ => Err(CsvError::UnnamedColumns { line, columns, channels: self.wanted.show() }),
        }
    }

    /// Accepts the first row of a table without a header, unless a line of text with as many cells was the header.
    fn begin_rows(
        &mut self,
        record: Record<'_>,
        mut layout: Layout,
        has_comma_separator: bool,
        row: TableRow,
    ) -> Result<Option<TableRow>, CsvError> {
        let ColumnsState::Start(headers) = &self.state else { return Ok(None) };
        let cell_count = filled_cells(record).max(self.wanted.channel_count());
        let header = headers.iter().find(|header| header.cell_count == cell_count).copied();
        if let Some(header) = header.filter(|_| !layout.is_known()) {
            self.state = ColumnsState::Lost { header_line: header.line };
            return Err(self.unknown_header(header));
        }
        layout.keep_cell_count(record);
        self.state = ColumnsState::Found { layout, unit_lines_left: 0 };
        self.learn(record, has_comma_separator, row).map(Some)
    }

    /// Learns the decimal mark from a row. The first row that has one is read again, because all of its numbers must have
    /// the same.
    fn learn(
        &mut self,
        record: Record<'_>,
        has_comma_separator: bool,
        row: TableRow,
    ) -> Result<TableRow, CsvError> {
        let ColumnsState::Found { layout, .. } = &self.state else { return Ok(row) };
        let was_known = self.numbers.knows_decimal_mark();
        layout.learn(record, &mut self.numbers);
        if was_known || !self.numbers.knows_decimal_mark() {
            return Ok(row);
        }
        layout.read(record, &self.wanted, &self.numbers, has_comma_separator)
    }

    /// Reads a record that is no row of the known columns.
    fn read_other(&mut self, record: Record<'_>, error: CsvError) -> Result<Option<TableRow>, CsvError> {
        if self.try_header(record) {
            return Ok(None);
        }
        if !is_header(record) {
            return Err(error);
        }
        if let ColumnsState::Found { unit_lines_left, .. } = &mut self.state
            && *unit_lines_left > 0
        {
            *unit_lines_left -= 1;
            return Ok(None);
        }
        self.check_partial_header(record)?;
        Err(error)
    }

    /// Takes the columns of a record that names all of them; returns false for any other record.
    fn try_header(&mut self, record: Record<'_>) -> bool {
        let found = self.wanted.find(record).filter(|_| self.wanted.named_count() > 0);
        let Some(layout) = found else { return false };
        self.state = ColumnsState::Found { layout, unit_lines_left: MAX_UNIT_LINES };
        true
    }

    /// Refuses a header that names some of the columns and not the others: rows after it would be read from the wrong
    /// columns.
    fn check_partial_header(&mut self, record: Record<'_>) -> Result<(), CsvError> {
        let missing = self.wanted.missing_names(record);
        if missing.is_empty() || missing.len() >= self.wanted.named_count() {
            return Ok(());
        }
        self.state = ColumnsState::Lost { header_line: record.line };
        let (line, columns) = (record.line, record.cell_count());
        Err(CsvError::MissingChannels { line, columns, missing: missing.join(", ") })
    }

    /// Remembers a line of text before the first row; returns false if there are too many of them.
    fn remember_text(&mut self, record: Record<'_>) -> bool {
        let ColumnsState::Start(headers) = &mut self.state else { return false };
        let has_room = headers.len() < MAX_PREAMBLE_LINES;
        if has_room {
            headers.push(UnknownHeader { line: record.line, cell_count: filled_cells(record) });
        }
        has_room
    }

    fn unknown_header(&self, header: UnknownHeader) -> CsvError {
        let UnknownHeader { line, cell_count: columns } = header;
        CsvError::UnknownHeader { line, columns, missing: self.wanted.show() }
    }
}

/// Refuses a first row without a number: it may as well be a header without names.
fn check_first_row(row: TableRow) -> Result<TableRow, CsvError> {
    if row.values.iter().any(|value| value.is_finite()) {
        return Ok(row);
    }
    row.clone().into_complete_values().map(|_| row)
}

/// Returns whether no cell is a number, finite or not, and at least one is not empty.
fn is_header(record: Record<'_>) -> bool {
    record.cells().all(|cell| cell.is_empty() || is_text(cell)) && record.cells().any(|cell| !cell.is_empty())
}
