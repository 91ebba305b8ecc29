"""A simulated group of participants: regions whose geometry is known, scanned and written as BIDS."""
