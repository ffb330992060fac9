"""The runs of a folder side by side: `leaderboard.json`."""
