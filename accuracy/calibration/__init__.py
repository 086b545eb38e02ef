"""What is measured on calibration data: ranges, activity, corrections of columns."""
