"""Kedro wants this module; its defaults do."""
