"""Reports on a run: its own report, swebench's run report, and the table of exporters.

To add an exporter, add a file to `exports/` and a line to the table.
"""

EXPORTERS = {
    "swebench": "swerl_eval.reports.exports.swebench:SwebenchExporter",
    "leaderboard": "swerl_eval.reports.exports.leaderboard:LeaderboardExporter",
    "experiments": "swerl_eval.reports.exports.experiments:ExperimentsExporter",
    "inspect": "swerl_eval.reports.exports.inspect_log:InspectExporter",
}
"""Name to `module:Class`, imported on first use."""
