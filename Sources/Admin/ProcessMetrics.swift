// What the operating system knows of this process, under the names that Prometheus' own client
// libraries use (https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics).
//
// Everything comes from /proc, but for the processor time, which the clock tells to the nanosecond and
// /proc in hundredths of a second. What can't be read is left out: in a chroot there may be no /proc.

import Glibc

/// The metrics of this process.
package func processMetrics(_ writer: inout MetricsWriter) {
    var cpu = timespec()
    if clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu) == 0 {
        writer.counter(
            "process_cpu_seconds_total", "Total user and system CPU time spent in seconds.",
            Double(cpu.tv_sec) + Double(cpu.tv_nsec) / 1e9)
    }
    if let text = contents(of: "/proc/self/stat"), let process = ProcessStat(text) {
        writer.gauge(
            "process_resident_memory_bytes", "Resident memory size in bytes.",
            process.residentPages * UInt64(getpagesize()))
        writer.gauge("process_virtual_memory_bytes", "Virtual memory size in bytes.", process.virtualBytes)
        writer.gauge("process_threads", "Number of operating system threads in the process.", process.threads)
        if let bootedAt = contents(of: "/proc/stat").flatMap(bootTimeSeconds(inStat:)) {
            writer.gauge(
                "process_start_time_seconds", "Start time of the process since unix epoch in seconds.",
                Double(bootedAt) + Double(process.startedAtTicks) / Double(sysconf(Int32(_SC_CLK_TCK))))
        }
    }
    if let count = entryCount(ofDirectory: "/proc/self/fd") {
        // One is the descriptor that is reading the directory.
        writer.gauge("process_open_fds", "Number of open file descriptors.", count - 1)
    }
    var limit = rlimit()
    if getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 {
        let isUnlimited = limit.rlim_cur == rlim_t.max
        writer.gauge(
            "process_max_fds", "Maximum number of open file descriptors.",
            isUnlimited ? Double.infinity : Double(limit.rlim_cur))
    }
}

/// A line of /proc/PID/stat (proc_pid_stat(5)).
struct ProcessStat: Equatable {
    var threads: UInt64
    var startedAtTicks: UInt64
    var virtualBytes: UInt64
    var residentPages: UInt64

    init?(_ text: String) {
        // The second field is the program's name in parentheses, and may have blanks and parentheses
        // in it; the last parenthesis ends it.
        guard let nameEnd = text.lastIndex(of: ")") else { return nil }
        let fields = text[nameEnd...].split(whereSeparator: \.isWhitespace)
        /// By its number in the manual page: `fields` begins with the end of the second.
        func field(_ number: Int) -> UInt64? {
            number - 2 < fields.count ? UInt64(fields[number - 2]) : nil
        }
        guard let threads = field(20), let start = field(22), let bytes = field(23), let pages = field(24) else {
            return nil
        }
        self.threads = threads
        startedAtTicks = start
        virtualBytes = bytes
        residentPages = pages
    }
}

/// When the system was started, in seconds since 1970, out of /proc/stat.
func bootTimeSeconds(inStat text: String) -> UInt64? {
    let line = text.split(separator: "\n").first { $0.hasPrefix("btime ") }
    return line.flatMap { UInt64($0.dropFirst("btime ".count)) }
}

/// The text of a file, or nil where it can't be read.
func contents(of path: String) -> String? {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return nil }
    defer { close(file) }
    var bytes: [UInt8] = []
    // /proc/stat has a line for each processor and a long one of interrupts.
    let chunkBytes = 16_384
    while true {
        let count = withUnsafeTemporaryAllocation(byteCount: chunkBytes, alignment: 1) { chunk in
            let count = read(file, chunk.baseAddress, chunkBytes)
            if count > 0 { bytes.append(contentsOf: chunk.prefix(count)) }
            return count
        }
        if count < 0, errno == EINTR { continue }
        if count < 0 { return nil }
        if count == 0 { return String(decoding: bytes, as: UTF8.self) }
    }
}

/// How many entries a directory has, or nil where it can't be read.
func entryCount(ofDirectory path: String) -> Int? {
    guard let directory = opendir(path) else { return nil }
    defer { closedir(directory) }
    var count = 0
    while readdir(directory) != nil { count += 1 }
    // Not `.` and `..`.
    return count - 2
}
