/// The program's version, as `--version` and the metrics tell it.
let version = "0.1.0"
