"""What a running server tells its operators: metrics, request logs, traces."""
