"""Trials over chips, metrics, intervals and reports by layer."""
