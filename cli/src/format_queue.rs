//! Formatting of queue positions for output.

use freehold_api::schema::Queue;

/// Formats a queue position and the estimated time, to be printed after the words "queue position".
pub(crate) fn format_queue(queue: &Queue) -> String {
    let ready_at = queue.estimated_ready_at.format("%Y-%m-%d %H:%M:%S");
    format!("{} (estimated ready at {ready_at} UTC)", queue.position)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_position_is_shown_with_its_estimate() {
        let queue = Queue { position: 22, estimated_ready_at: chrono::DateTime::UNIX_EPOCH };
        assert_eq!(format_queue(&queue), "22 (estimated ready at 1970-01-01 00:00:00 UTC)");
    }
}
