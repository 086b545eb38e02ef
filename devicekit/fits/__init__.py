"""From the statistics of states to a fitted, saved and plotted device."""
