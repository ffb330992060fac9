"""Reports on a run: its own report, swebench's run report, and the table of exporters.

To add an exporter, add a file to `exports/` and a line to the table.
"""

EXPORTERS = {
    "swebench": "swerl_eval.reports.exports.swebench:SwebenchExporter",
    "leaderboard": "swerl_eval.reports.exports.leaderboard:LeaderboardExporter",
    "experiments": "swerl_eval.reports.exports.experiments:ExperimentsExporter",
    "inspect": "swerl_eval.reports.exports.inspect_log:InspectExporter",
    "submission": "swerl_eval.reports.exports.submission:SubmissionExporter",
    "csv": "swerl_eval.reports.exports.csv_table:CsvExporter",
    "parquet": "swerl_eval.reports.exports.parquet_table:ParquetExporter",
    "markdown": "swerl_eval.reports.exports.job_summary:MarkdownExporter",
    "junit": "swerl_eval.reports.exports.junit:JunitExporter",
    "hub": "swerl_eval.reports.exports.hub_results:HubExporter",
    "sb-cli": "swerl_eval.reports.exports.sb_cli:SbCliExporter",
}
"""Name to `module:Class`, imported on first use."""
