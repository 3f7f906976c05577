// Where the daemon's program is found, and how that is told when it is not.

import Glibc

enum DaemonBinary {
    /// The first that is there: what the caller named, `AGENTKEEPER_BIN`, `PATH`, then what `swift build` made here.
    /// A place that was named must hold; the others are tried one after another.
    static func find(
        _ given: String?, environment: (String) -> String? = variable, isProgram: (String) -> Bool = isProgram
    ) throws(AgentKeeperError) -> String {
        if let given { return try check(given, "the given path", isProgram) }
        if let named = environment("AGENTKEEPER_BIN") { return try check(named, "AGENTKEEPER_BIN", isProgram) }
        let folders = (environment("PATH") ?? "").split(separator: ":", omittingEmptySubsequences: true).map(
            String.init)
        let tried = folders.map { $0 + "/agentkeeper" } + [".build/release/agentkeeper", ".build/debug/agentkeeper"]
        if let found = tried.first(where: isProgram) { return found }
        throw .daemon(
            "the program agentkeeper is not in PATH, .build/release or .build/debug; name it in AGENTKEEPER_BIN")
    }

    private static func check(
        _ path: String, _ source: String, _ isProgram: (String) -> Bool
    ) throws(AgentKeeperError) -> String {
        guard isProgram(path) else { throw .daemon("\(source) is no program that can be run: \(excerpt(path))") }
        return path
    }

    /// An empty variable counts as none.
    static func variable(_ name: String) -> String? {
        guard let value = getenv(name), value.pointee != 0 else { return nil }
        return String(cString: value)
    }

    static func isProgram(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFREG && access(path, X_OK) == 0
    }
}
