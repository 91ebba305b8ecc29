"""Model RDMs against the RDM around every voxel."""
