//! Reading CSV files so that every mistake is told with its line, before anything starts.

use crate::error::CliError;

/// A column that a file has or may have.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its name in the first line.
    pub name: &'static str,
    /// Whether the file must have it.
    pub is_required: bool,
}

/// One line of a file, its fields in the order of the columns asked for; empty where the file has no such column.
#[derive(Clone, Debug)]
pub struct Row {
    source: String,
    line: u64,
    fields: Vec<String>,
}

/// A column that the file must have.
pub const fn required(name: &'static str) -> Column {
    Column { name, is_required: true }
}

/// A column that the file may have.
pub const fn optional(name: &'static str) -> Column {
    Column { name, is_required: false }
}

/// Reads a file's text. Lines that begin with `#` are comments.
///
/// # Errors
/// A column is unknown, repeated or missing; a line has too few or too many fields; there is no line.
pub fn read(source: &str, text: &str, columns: &[Column]) -> Result<Vec<Row>, CliError> {
    // Line by line, since a CSV reader that skips comments no longer tells where a line stands.
    let text = text.trim_start_matches('\u{feff}');
    let lines = (1_u64..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
    let mut lines = lines.map(|(number, line)| Ok::<_, CliError>((number, fields(source, number, line)?)));
    let (number, header) = lines.next().unwrap_or_else(|| Ok((1, csv::StringRecord::new())))?;
    let places = places(&format!("{source}, line {number}"), &header, columns)?;
    let mut rows = Vec::new();
    for line in lines {
        let (line, record) = line?;
        if record.len() != header.len() {
            let message = format!("{source}, line {line}: {} fields, but {} columns", record.len(), header.len());
            return Err(CliError::usage(message));
        }
        let field = |place: &Option<usize>| place.and_then(|at| record.get(at)).unwrap_or_default().to_owned();
        rows.push(Row { source: source.to_owned(), line, fields: places.iter().map(field).collect() });
    }
    if rows.is_empty() {
        return Err(CliError::usage(format!("{source} holds no line after its header")));
    }
    Ok(rows)
}

/// The fields of one line.
fn fields(source: &str, number: u64, line: &str) -> Result<csv::StringRecord, CliError> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).trim(csv::Trim::All).from_reader(line.as_bytes());
    let mut record = csv::StringRecord::new();
    reader
        .read_record(&mut record)
        .map_err(|error| CliError::usage(format!("{source}, line {number}: not CSV")).caused_by(&error))?;
    Ok(record)
}

/// Where each column stands in the file.
fn places(place: &str, header: &csv::StringRecord, columns: &[Column]) -> Result<Vec<Option<usize>>, CliError> {
    let known: Vec<&str> = columns.iter().map(|column| column.name).collect();
    let help = format!("the first line names the columns: {}", known.join(","));
    for (at, name) in header.iter().enumerate() {
        if !known.contains(&name) {
            return Err(CliError::usage(format!("{place}: unknown column {name:?}")).help(help));
        }
        if header.iter().take(at).any(|before| before == name) {
            return Err(CliError::usage(format!("{place}: the column {name:?} is there twice")).help(help));
        }
    }
    let find = |column: &Column| {
        let found = header.iter().position(|name| name == column.name);
        if found.is_none() && column.is_required {
            let message = format!("{place}: the column {:?} is missing", column.name);
            return Err(CliError::usage(message).help(help.clone()));
        }
        Ok(found)
    };
    columns.iter().map(find).collect()
}

impl Row {
    /// The line in the file, from 1.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// The field of the n-th column asked for.
    pub fn field(&self, column: usize) -> &str {
        self.fields.get(column).map_or("", String::as_str)
    }

    /// A mistake in this line.
    pub fn mistake(&self, what: impl std::fmt::Display) -> CliError {
        CliError::usage(format!("{}, line {}: {what}", self.source, self.line))
    }

    /// The field of a column as a day, written 2010-03-01.
    ///
    /// # Errors
    /// It is none.
    pub fn day(&self, column: usize) -> Result<String, CliError> {
        let text = self.field(column);
        let numbers: Vec<Option<u32>> = text.split('-').map(|part| part.parse().ok()).collect();
        let is_shaped = text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
        match numbers.as_slice() {
            [Some(_), Some(1..=12), Some(1..=31)] if is_shaped => Ok(text.to_owned()),
            _ => Err(self.mistake(format!("{text:?} is no date; write it as 2010-03-01"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 3] = [required("date"), required("symbol"), optional("fault")];

    fn mistake(text: &str) -> String {
        read("orders.csv", text, &COLUMNS).unwrap_err().message().to_owned()
    }

    #[test]
    fn fields_come_in_the_order_asked_for() {
        let text = "symbol,date\n# a comment\n AAPL , 2010-03-01\n";
        let rows = read("x", text, &COLUMNS).unwrap();
        assert_eq!(rows.len(), 1);
        assert_eq!((rows[0].line(), rows[0].field(1), rows[0].field(2)), (3, "AAPL", ""));
        assert_eq!(rows[0].day(0).unwrap(), "2010-03-01");
    }

    #[test]
    fn mistakes_are_told_with_their_line() {
        assert_eq!(mistake("date,symbol,colour\n"), "orders.csv, line 1: unknown column \"colour\"");
        assert_eq!(mistake("date\n"), "orders.csv, line 1: the column \"symbol\" is missing");
        assert_eq!(mistake("date,date,symbol\n"), "orders.csv, line 1: the column \"date\" is there twice");
        assert_eq!(mistake("date,symbol\n2010-03-01\n"), "orders.csv, line 2: 1 fields, but 2 columns");
        assert_eq!(mistake("date,symbol\n"), "orders.csv holds no line after its header");
        for bad in ["2010-13-01", "2010-3-1", "20100301", "", "2010-03-0a"] {
            let rows = read("x", &format!("date,symbol\n\"{bad}\",A\n"), &COLUMNS).unwrap();
            assert!(rows[0].day(0).is_err(), "{bad}");
        }
    }
}
