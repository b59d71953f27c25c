//! Ordered table in which the first matching row counts.

pub(crate) struct FirstMatch<Row: 'static>(pub(crate) &'static [Row]);

impl<Row> FirstMatch<Row> {
    pub(crate) fn find(&self, matches: impl Fn(&Row) -> bool) -> Option<&'static Row> {
        self.0.iter().find(|row| matches(row))
    }
}

#[cfg(test)]
impl<Row: std::fmt::Debug> FirstMatch<Row> {
    /// Panics unless each row decides its own example, and the reaction to the example differs without the row.
    ///
    /// `matches` says whether a row (first) matches the example of a row (second).
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
