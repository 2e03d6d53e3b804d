//! Tables as kubectl prints them: capitals above, three spaces between, nothing around.

use comfy_table::{ContentArrangement, Table as Grid, presets};

/// Rows under a header.
#[derive(Debug, Clone)]
pub struct Table {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Returns a table without rows.
    #[must_use]
    pub fn new(header: Vec<String>) -> Self {
        Self {
            header,
            rows: Vec::new(),
        }
    }

    /// Adds a row. An empty cell is shown as `-`, so that columns can be counted by programs.
    pub fn row(&mut self, cells: Vec<String>) {
        let filled = cells
            .into_iter()
            .map(|cell| if cell.is_empty() { "-".to_owned() } else { cell });
        self.rows.push(filled.collect());
    }

    /// Returns true when there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Takes the rows out and returns them as lines. Columns are at least as wide as `widths`, which grows: rows that
    /// come later stay below their header.
    pub fn lines(&mut self, with_header: bool, widths: &mut Vec<usize>) -> Vec<String> {
        let mut grid = Grid::new();
        grid.load_style(presets::NOTHING);
        // Wrapped cells would be no lines for programs any more.
        grid.set_content_arrangement(ContentArrangement::Disabled);
        widths.resize(self.header.len(), 0);
        let pad = |cells: &[String]| -> Vec<String> {
            let wide = cells.iter().zip(widths.iter());
            wide.map(|(cell, width)| format!("{cell:<width$}")).collect()
        };
        if with_header {
            grid.set_header(pad(&self.header));
        }
        for row in self.rows.drain(..) {
            grid.add_row(pad(&row));
        }
        let last = grid.column_count().saturating_sub(1);
        for (index, column) in grid.column_iter_mut().enumerate() {
            column.set_padding((0, if index == last { 0 } else { 3 }));
        }
        for (width, found) in widths.iter_mut().zip(grid.column_max_content_widths()) {
            *width = (*width).max(usize::from(found));
        }
        grid.lines().map(|line| line.trim_end().to_owned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(cells: &[&str]) -> Vec<String> {
        cells.iter().map(|c| (*c).to_owned()).collect()
    }

    #[test]
    fn columns_are_three_spaces_apart_and_lines_have_no_tail() {
        let mut table = Table::new(texts(&["NAME", "PHASE", "AGE"]));
        table.row(texts(&["a-long-name", "", "3d4h"]));
        table.row(texts(&["ü", "Running", "5s"]));
        let lines = table.lines(true, &mut Vec::new());
        assert_eq!(
            lines,
            [
                "NAME          PHASE     AGE",
                "a-long-name   -         3d4h",
                "ü             Running   5s",
            ]
        );
        assert!(table.is_empty());
    }

    #[test]
    fn later_rows_keep_the_columns() {
        let mut widths = Vec::new();
        let mut table = Table::new(texts(&["NAME", "AGE"]));
        table.row(texts(&["a-long-name", "1s"]));
        table.lines(true, &mut widths);
        table.row(texts(&["b", "2s"]));
        assert_eq!(table.lines(false, &mut widths), ["b             2s"]);
    }
}
