"""Accuracy estimated without trials: measured sensitivities of a network times the error variances of a design."""
