"""Time series: windows of steps to read, and the steps behind them to forecast."""
