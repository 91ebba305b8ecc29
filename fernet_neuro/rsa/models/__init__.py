"""Model RDMs, flexible models, and shares of variance."""
