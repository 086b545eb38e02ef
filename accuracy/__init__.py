"""What a network loses: quantise, map, analog arrays, calibrate, evaluate."""

from accuracy import data_sets, networks
from accuracy.data_sets import DataSet, DataSetError
from accuracy.networks import NetworkError

__all__ = ["DataSet", "DataSetError", "NetworkError", "data_sets", "networks"]
