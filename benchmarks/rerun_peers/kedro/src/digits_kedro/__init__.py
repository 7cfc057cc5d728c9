"""The Kedro side."""
