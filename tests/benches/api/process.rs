//! What a process costs, as Linux tells.

/// Clock ticks a second in `/proc/PID/stat` (`sysconf(_SC_CLK_TCK)` on Linux).
const TICKS: f64 = 100.0;

/// User and system time of a process, in seconds.
pub(crate) fn cpu_seconds(id: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).expect("a process");
    // The name may hold blanks; it ends with the last parenthesis. utime and stime are the 14th and 15th field.
    let (_, fields) = stat.rsplit_once(')').expect("a name");
    let ticks = fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<f64>().expect("ticks"));
    ticks.sum::<f64>() / TICKS
}

/// The most that a process has held in memory since [`forget_peak`], in megabytes.
pub(crate) fn peak_megabytes(id: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("its peak");
    line.trim().trim_end_matches(" kB").parse::<f64>().expect("kilobytes") / 1024.0
}

/// Has the peak of a process count from now on (proc(5), `clear_refs`).
pub(crate) fn forget_peak(id: u32) {
    std::fs::write(format!("/proc/{id}/clear_refs"), "5").expect("a process of our own");
}
