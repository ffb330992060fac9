"""Runs jobs in Docker containers, and takes care of their images."""
