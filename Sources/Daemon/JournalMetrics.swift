// What `/metrics` tells of the journal.

import Admin
import Journal

func journalMetrics(_ runner: JournalRunner) -> MetricsSource {
    { writer in
        let snapshot = runner.statistics.snapshot
        let numbers = runner.numbers
        writer.histogram(
            "agentkeeper_journal_commit_duration_seconds",
            "Time that a commit took, its sync included; answers wait for it.", labels: [],
            upperBounds: JournalStatistics.latencyBounds.map { Double($0) / 1e9 }
        ) { histogram in
            histogram.add([], counts: snapshot.commitLatency.counts, sum: Double(snapshot.commitLatency.sum) / 1e9)
        }
        writer.histogram(
            "agentkeeper_journal_commit_changes", "Changes that one commit gathered.", labels: [],
            upperBounds: JournalStatistics.batchBounds.map(Double.init)
        ) { histogram in
            histogram.add([], counts: snapshot.batchSize.counts, sum: Double(snapshot.batchSize.sum))
        }
        writer.counter(
            "agentkeeper_journal_committed_bytes_total", "Bytes that commits wrote to the log.",
            snapshot.committedBytes)
        writer.gauge(
            "agentkeeper_journal_waiting_bytes", "Changes that wait for the next commit, in bytes.",
            numbers.waitingBytes)
        writer.gauge(
            "agentkeeper_journal_log_bytes", "How far the present segment of the log is used, in bytes.",
            numbers.logBytes)
        writer.gauge("agentkeeper_journal_segment_bytes", "The present segment's size.", numbers.segmentBytes)
        writer.gauge("agentkeeper_journal_database_bytes", "The database file's size.", numbers.databaseBytes)
        writer.counter(
            "agentkeeper_journal_checkpoints_total", "How often the log was put into the database.",
            snapshot.checkpoints)
        writer.counter(
            "agentkeeper_journal_checkpoint_seconds_total", "Time spent with that.",
            Double(snapshot.checkpointNanoseconds) / 1e9)
        writer.counter(
            "agentkeeper_journal_checkpoints_failed_total", "How often that failed, and was tried again.",
            snapshot.failedCheckpoints)
        writer.gauge(
            "agentkeeper_journal_disk_full", "1 while changes that need room are refused.", numbers.isOutOfRoom ? 1 : 0)
    }
}
