//! Table of rows in order of precedence. The first row that matches applies.

pub(crate) struct FirstMatch<Row: 'static>(pub(crate) &'static [Row]);

impl<Row> FirstMatch<Row> {
    pub(crate) fn find(&self, matches: impl Fn(&Row) -> bool) -> Option<&'static Row> {
        self.0.iter().find(|row| matches(row))
    }
}

#[cfg(test)]
impl<Row: std::fmt::Debug> FirstMatch<Row> {
    /// Asserts that no row is redundant. Each row must be the first match of its own example, and without the row the
    /// reaction to the example must differ.
    ///
    /// `matches(row, other)` returns whether `row` matches the example of `other`.
    pub(crate) fn assert_every_row_is_needed<Reaction: PartialEq + std::fmt::Debug>(
        &self,
        matches: impl Fn(&Row, &Row) -> bool,
        reaction: impl Fn(Option<&Row>) -> Reaction,
    ) {
        for (index, row) in self.0.iter().enumerate() {
            let expected = reaction(Some(row));
            let others = self.0.iter().enumerate().filter(|(other, _)| *other != index).map(|(_, other)| other);
            assert_eq!(reaction(self.find(|other| matches(other, row))), expected, "another row precedes {row:?}");
            let without = others.into_iter().find(|other| matches(other, row));
            assert_ne!(reaction(without), expected, "nothing changes without {row:?}");
        }
    }
}
