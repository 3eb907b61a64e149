//! Columns of text, aligned the way Go's `text/tabwriter` does it: a cell ends at a tab, and a
//! column is as wide as the widest of the neighbouring cells that end in one.

/// How columns are set.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// Smallest width of a column, padding included.
    pub min_width: usize,
    /// Blanks between a column's widest cell and the next column.
    pub padding: usize,
    /// Columns are filled up with tabs, to a multiple of this width, instead of blanks.
    pub tab_width: Option<usize>,
}

/// Tables of `docker`.
pub const DOCKER: Layout = Layout {
    min_width: 10,
    padding: 3,
    tab_width: None,
};

/// `docker top`.
pub const PROCESSES: Layout = Layout {
    min_width: 20,
    padding: 3,
    tab_width: None,
};

/// `docker version`.
pub const VERSION: Layout = Layout {
    min_width: 20,
    padding: 1,
    tab_width: None,
};

/// `docker-machine ls`.
pub const MACHINE: Layout = Layout {
    min_width: 5,
    padding: 3,
    tab_width: None,
};

/// Help pages of `docker-machine`.
pub const HELP: Layout = Layout {
    min_width: 0,
    padding: 1,
    tab_width: Some(8),
};

/// Aligns the tab-separated cells of `text`'s lines.
pub fn align(text: &str, layout: Layout) -> String {
    let lines: Vec<Vec<&str>> = text
        .lines()
        .map(|line| line.split('\t').collect())
        .collect();
    let mut aligner = Aligner {
        lines: &lines,
        layout,
        widths: Vec::new(),
        output: String::with_capacity(text.len() * 2),
    };
    aligner.block(0, lines.len());
    aligner.output
}

struct Aligner<'a> {
    lines: &'a [Vec<&'a str>],
    layout: Layout,
    /// Of the columns to the left, which are settled.
    widths: Vec<usize>,
    output: String,
}

// === impl Aligner ===

impl Aligner<'_> {
    /// Sets the lines from `start` to `end`, whose columns so far are settled.
    fn block(&mut self, start: usize, end: usize) {
        let column = self.widths.len();
        let mut unwritten = start;
        let mut at = start;
        while at < end {
            if !self.ends_in_tab(at, column) {
                at += 1;
                continue;
            }
            self.write(unwritten, at);
            unwritten = at;
            let mut width = self.layout.min_width;
            while at < end && self.ends_in_tab(at, column) {
                let cell = self.lines[at][column].chars().count();
                width = width.max(cell + self.layout.padding);
                at += 1;
            }
            self.widths.push(width);
            self.block(unwritten, at);
            self.widths.pop();
            unwritten = at;
        }
        self.write(unwritten, end);
    }

    fn ends_in_tab(&self, line: usize, column: usize) -> bool {
        column + 1 < self.lines[line].len()
    }

    fn write(&mut self, start: usize, end: usize) {
        for line in &self.lines[start..end] {
            for (at, cell) in line.iter().enumerate() {
                self.output.push_str(cell);
                if let Some(width) = self.widths.get(at) {
                    self.fill(*width, cell.chars().count());
                }
            }
            self.output.push('\n');
        }
    }

    /// Fills a cell of `used` characters up to its column's width.
    fn fill(&mut self, width: usize, used: usize) {
        let (filler, count) = match self.layout.tab_width {
            None => (' ', width.saturating_sub(used)),
            Some(tab) => {
                let missing = width.next_multiple_of(tab).saturating_sub(used);
                ('\t', missing.div_ceil(tab))
            }
        };
        self.output.extend(std::iter::repeat_n(filler, count));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_take_their_widest_cell_and_at_least_the_minimum() {
        let text = "ID\tNAMES\nabcdefghijkl\tx\n";
        assert_eq!(
            align(text, DOCKER),
            "ID             NAMES\nabcdefghijkl   x\n"
        );
        assert_eq!(
            align("A\tB\tC\n1\t2\t3\n", DOCKER),
            "A         B         C\n1         2         3\n"
        );
    }

    #[test]
    fn a_line_without_the_cell_ends_the_column() {
        let text = "Client:\n Version:\t1\n API version:\t22\n\nServer:\n Engine:\n  Version:\t3\n";
        let layout = Layout {
            min_width: 5,
            padding: 1,
            tab_width: None,
        };
        assert_eq!(
            align(text, layout),
            "Client:\n Version:     1\n API version: 22\n\nServer:\n Engine:\n  Version: 3\n"
        );
    }

    #[test]
    fn wide_cells_below_do_not_move_columns_above_a_gap() {
        let layout = Layout {
            min_width: 0,
            padding: 1,
            tab_width: None,
        };
        assert_eq!(
            align("a\tb\tc\nx\nlonger\ty\n", layout),
            "a b c\nx\nlonger y\n"
        );
    }

    #[test]
    fn help_pages_are_filled_up_with_tabs() {
        assert_eq!(
            align("   --swarm\tJoin\n   --swarm-addr \tAddress\n\nEnd\n", HELP),
            "   --swarm\t\tJoin\n   --swarm-addr \tAddress\n\nEnd\n"
        );
    }
}
