"""Programs that run inside a container, by whatever Python is there (3.5 and later). Read as data, never imported."""
