//! Formatting of queue positions for output.

use freehold_api::schema::Queue;

/// Formats a queue position and the estimated time, to be printed after the words "queue position".
pub(crate) fn format_queue(queue: &Queue) -> String {
    let stopped_by = queue.stopped_by.as_deref();
    let reason = stopped_by.map(|code| format!("{}; see `freehold fleet show`", code.replace('_', " ")));
    let estimate =
        queue.estimated_ready_at.map(|at| format!("estimated ready at {} UTC", at.format("%Y-%m-%d %H:%M:%S")));
    let details: Vec<_> = reason.into_iter().chain(estimate).collect();
    let details = if details.is_empty() { "no estimate".to_owned() } else { details.join("; ") };
    format!("{} ({details})", queue.position)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_position_is_shown_with_its_estimate() {
        let ready_at = Some(chrono::DateTime::UNIX_EPOCH);
        let mut queue = Queue { position: 22, estimated_ready_at: ready_at, stopped_by: None };
        assert_eq!(format_queue(&queue), "22 (estimated ready at 1970-01-01 00:00:00 UTC)");
        queue = Queue { estimated_ready_at: None, stopped_by: Some("vending_paused".to_owned()), ..queue };
        assert_eq!(format_queue(&queue), "22 (vending paused; see `freehold fleet show`)");
    }
}
