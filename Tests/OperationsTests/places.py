"""Where things are."""

from keeper import ROOT

OPERATIONS = ROOT / "Sources/Operations"
TOOLS = ROOT / ".venv/bin"
PROMTOOL = TOOLS / "promtool"
PROMETHEUS = TOOLS / "prometheus"
RULES = OPERATIONS / "prometheus/agentkeeper.rules.yml"
BOARD = OPERATIONS / "grafana/agentkeeper.json"
