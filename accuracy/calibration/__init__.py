"""Measurements on calibration data: ranges, activity, corrections of columns."""
