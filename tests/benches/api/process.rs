//! CPU time and memory of a process, read from /proc.

/// Clock ticks per second in `/proc/PID/stat` (`sysconf(_SC_CLK_TCK)` on Linux).
const TICKS_PER_SECOND: f64 = 100.0;

/// Returns the CPU time that a process has used in user and kernel mode, in seconds.
pub(crate) fn cpu_seconds(id: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).expect("a process");
    // The process name may contain blanks and ends with the last parenthesis. Fields 14 and 15 are utime and stime.
    let (_, fields) = stat.rsplit_once(')').expect("a name");
    let ticks = fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<f64>().expect("ticks"));
    ticks.sum::<f64>() / TICKS_PER_SECOND
}

/// Returns the peak memory of a process since [`reset_peak_memory`], in megabytes.
pub(crate) fn peak_memory_megabytes(id: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the peak memory");
    line.trim().trim_end_matches(" kB").parse::<f64>().expect("kilobytes") / 1024.0
}

/// Resets the peak memory of a process (proc(5), `clear_refs`).
pub(crate) fn reset_peak_memory(id: u32) {
    std::fs::write(format!("/proc/{id}/clear_refs"), "5").expect("a process of our own");
}
