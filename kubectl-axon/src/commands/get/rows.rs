//! Rows on their way to stdout.

use jiff::Timestamp;
use serde_json::Value;

use super::View;
use crate::error::Result;
use crate::kinds::{Column, Kind};
use crate::term::output::Format;
use crate::term::shown::Shown;
use crate::term::table::Table;

pub(super) struct Rows<'a> {
    view: &'a View<'a>,
    columns: Vec<Column>,
    table: Table,
    widths: Vec<usize>,
    header: bool,
    any: bool,
}

impl<'a> Rows<'a> {
    pub(super) fn new(view: &'a View<'a>) -> Self {
        let columns = view.columns();
        let header = columns.iter().map(|c| c.header.to_owned()).collect();
        // Rows that come later must fit below the first ones.
        let least = |column: &Column| if view.args.watch { column.least() } else { 0 };
        Self {
            view,
            widths: columns.iter().map(least).collect(),
            columns,
            table: Table::new(header),
            header: !view.args.no_headers && view.output != Some(Format::Name),
            any: false,
        }
    }

    /// Returns true as long as there was no row.
    pub(super) fn is_empty(&self) -> bool {
        !self.any
    }

    pub(super) fn add(&mut self, object: &Value, now: Timestamp) {
        self.any = true;
        let text = |pointer: &str| {
            object
                .pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let cells = if self.view.output == Some(Format::Name) {
            let (kind, name) = (self.view.kind.singular(), text("/metadata/name"));
            vec![format!("{kind}.axon.io/{name}")]
        } else {
            self.columns.iter().map(|c| c.cell(object, now)).collect()
        };
        // Names of tasks are made up: only their age says which is which.
        let key = match (&self.view.sort_by, self.view.kind) {
            (Some(path), _) => path.key(object),
            (None, Kind::Task | Kind::TaskRecord) => text("/metadata/creationTimestamp").to_owned(),
            (None, _) => String::new(),
        };
        self.table.row(&key, cells);
    }

    /// Writes the rows in the order they came in.
    pub(super) fn flush(&mut self) -> Result<()> {
        if self.table.is_empty() {
            return Ok(());
        }
        if self.view.output.is_none()
            && let Some(width) = self.view.ui.width()
        {
            let elastic: Vec<bool> = self.columns.iter().map(Column::is_elastic).collect();
            self.table.fit(width, &elastic, &mut self.widths);
        }
        let lines = self.table.lines(self.header, &mut self.widths);
        self.header = false;
        self.view.ui.block(&Shown::block(&(lines.join("\n") + "\n")))
    }

    /// Writes the rows of a list, ordered.
    pub(super) fn flush_sorted(&mut self) -> Result<()> {
        self.table.sort();
        self.flush()
    }
}
