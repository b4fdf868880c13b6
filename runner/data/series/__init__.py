"""Data sets of time series: windows of input steps, and the following steps to forecast."""
