"""Which identity networks keep expression: what people show in training is the manipulated factor."""
