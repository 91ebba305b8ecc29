"""Files and objects of others that hold RDMs."""
