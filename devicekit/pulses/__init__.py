"""Update curves: conductance against pulse number, fitted to models of the update and written for other simulators."""
