//! A place in line, in plain words.

use freehold_api::schema::Queue;

/// Where somebody stands and what is to be expected.
pub(crate) fn told(queue: &Queue) -> String {
    let place = match queue.position {
        1 => "next in line".to_owned(),
        position => format!("{} in line", ordinal(position)),
    };
    format!("{place}, expected to be ready at {} UTC", queue.estimated_ready_at.format("%Y-%m-%d %H:%M:%S"))
}

/// 1st, 2nd, 3rd, 4th, 11th, 21st, …
fn ordinal(number: u32) -> String {
    let ending = match (number % 10, number % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_in_line_reads_like_a_sentence() {
        let queue = |position| Queue { position, estimated_ready_at: chrono::DateTime::UNIX_EPOCH };
        assert_eq!(told(&queue(1)), "next in line, expected to be ready at 1970-01-01 00:00:00 UTC");
        assert!(told(&queue(22)).starts_with("22nd in line"));
        assert_eq!([2, 3, 11, 13, 101, 112].map(ordinal), ["2nd", "3rd", "11th", "13th", "101st", "112th"]);
    }
}
