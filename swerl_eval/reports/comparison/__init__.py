"""Compares runs, run reports of swebench, and public submissions, instance by instance."""
