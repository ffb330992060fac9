"""What comes out: the run's own report, the official run report, and the table of exporters.

Add an exporter by adding a file here and a line to the table.
"""

EXPORTERS = {
    "swebench": "swerl_eval.reports.exports.swebench:SwebenchExporter",
    "leaderboard": "swerl_eval.reports.exports.leaderboard:LeaderboardExporter",
    "experiments": "swerl_eval.reports.exports.experiments:ExperimentsExporter",
}
"""Name to `module:Class`, imported on first use."""
