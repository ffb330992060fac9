"""The last stage, and everything else that may see the answers: verdicts, rewards, validation, regrading."""
