//! Tables as kubectl prints them: capitals above, three spaces between, nothing around.

use comfy_table::{ContentArrangement, Table as Grid, presets};

use crate::format::printable;
use crate::text_width;

/// Rows under a header.
#[derive(Debug, Clone)]
pub struct Table {
    header: Vec<String>,
    /// Each with the key it is sorted by.
    rows: Vec<(String, Vec<String>)>,
    gap: usize,
}

/// Returns a cell as it is shown, with the blanks at its ends: widths are counted of what is shown.
fn shown(cell: &str) -> String {
    printable(cell).replace('\n', "\\n").replace('\t', " ")
}

/// What an elastic column keeps at least.
const LEAST: usize = 10;
/// Spaces between columns, and where there is no room.
const GAPS: [usize; 2] = [3, 2];

impl Table {
    /// Returns a table without rows.
    #[must_use]
    pub fn new(header: Vec<String>) -> Self {
        Self {
            header: header.into_iter().map(|name| shown(&name)).collect(),
            rows: Vec::new(),
            gap: GAPS[0],
        }
    }

    /// Adds a row. An empty cell is shown as `-`, so that columns can be counted by programs.
    pub fn row(&mut self, key: &str, cells: Vec<String>) {
        let filled = cells.into_iter().map(|cell| {
            if cell.is_empty() {
                "-".to_owned()
            } else {
                shown(&cell)
            }
        });
        self.rows.push((key.to_owned(), filled.collect()));
    }

    /// Sorts the rows by their keys; those with the same key stay as they are.
    pub fn sort(&mut self) {
        self.rows.sort_by(|(one, _), (other, _)| one.cmp(other));
    }

    /// Shortens the cells of elastic columns, the widest first, so that lines take `width` columns if possible.
    pub fn fit(&mut self, width: usize, elastic: &[bool], widths: &mut Vec<usize>) {
        widths.resize(self.header.len(), 0);
        let all = std::iter::once(&self.header).chain(self.rows.iter().map(|(_, cells)| cells));
        for cells in all {
            for (width, cell) in widths.iter_mut().zip(cells) {
                *width = (*width).max(text_width::width(cell));
            }
        }
        let gaps = widths.len().saturating_sub(1);
        for gap in GAPS {
            self.gap = self.gap.min(gap);
            let room = width.saturating_sub(gaps * self.gap);
            while widths.iter().sum::<usize>() > room {
                let soft = widths
                    .iter_mut()
                    .zip(elastic)
                    .filter(|(w, soft)| **soft && **w > LEAST);
                let Some((widest, _)) = soft.max_by_key(|(w, _)| **w) else {
                    break;
                };
                *widest -= 1;
            }
            if widths.iter().sum::<usize>() <= room {
                break;
            }
        }
        for (_, cells) in &mut self.rows {
            for ((cell, width), soft) in cells.iter_mut().zip(widths.iter()).zip(elastic) {
                if *soft {
                    *cell = text_width::shortened(cell, *width);
                }
            }
        }
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
            wide.map(|(cell, width)| text_width::padded(cell, *width))
                .collect()
        };
        if with_header {
            grid.set_header(pad(&self.header));
        }
        for (_, row) in self.rows.drain(..) {
            grid.add_row(pad(&row));
        }
        let padding = u16::try_from(self.gap).unwrap_or(1);
        let last = grid.column_count().saturating_sub(1);
        for (index, column) in grid.column_iter_mut().enumerate() {
            column.set_padding((0, if index == last { 0 } else { padding }));
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
        table.row("", texts(&["a-long-name", "", "3d4h"]));
        table.row("", texts(&["ü", "Running", "5s"]));
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
    fn a_cell_is_one_line_that_no_terminal_obeys() {
        let mut table = Table::new(texts(&["A\u{7}", "B"]));
        table.row("", texts(&["x\ny\u{1b}[2J", "\u{202e}b"]));
        assert_eq!(
            table.lines(true, &mut Vec::new()),
            ["A�         B", "x\\ny�[2J   �b"]
        );
    }

    #[test]
    fn later_rows_keep_the_columns() {
        let mut widths = Vec::new();
        let mut table = Table::new(texts(&["NAME", "AGE"]));
        table.row("", texts(&["a-long-name", "1s"]));
        table.lines(true, &mut widths);
        table.row("", texts(&["b", "2s"]));
        assert_eq!(table.lines(false, &mut widths), ["b             2s"]);
    }

    #[test]
    fn wide_characters_keep_the_columns() {
        let mut widths = Vec::new();
        let mut table = Table::new(texts(&["BRANCH", "AGE"]));
        table.row("", texts(&["修复/登录错误-登录", "1s"]));
        table.row("", texts(&["main", "2s"]));
        table.fit(16, &[true, false], &mut widths);
        let expected = ["BRANCH       AGE", "修复/…登录   1s", "main         2s"];
        assert_eq!(table.lines(true, &mut widths), expected);
        table.row("", texts(&["登录", "3s"]));
        assert_eq!(table.lines(false, &mut widths), ["登录         3s"]);
    }

    #[test]
    fn lines_fit_a_terminal_where_they_can() {
        let mut table = Table::new(texts(&["NAME", "BRANCH", "AGE"]));
        let mut widths = Vec::new();
        table.row("2", texts(&["a", "feature/a-long-name-of-a-branch", "1s"]));
        table.row("1", texts(&["b", "main", "2m"]));
        table.sort();
        table.fit(31, &[false, true, false], &mut widths);
        let lines = table.lines(true, &mut widths);
        assert_eq!(
            lines,
            [
                "NAME   BRANCH               AGE",
                "b      main                 2m",
                "a      feature/a…a-branch   1s",
            ]
        );
        // A name that is longer than all before takes its room from the branch.
        table.row(
            "",
            texts(&["a-longer-name", "feature/a-long-name-of-a-branch", "1s"]),
        );
        table.fit(31, &[false, true, false], &mut widths);
        let lines = table.lines(false, &mut widths);
        assert_eq!(lines, ["a-longer-name  featu…anch  1s"]);
    }
}
