"""The lightweight network with spatial bias (LFNSB), its relatives and its loss."""
