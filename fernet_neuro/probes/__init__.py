"""Linear read-outs of labelled activations, with folds that respect groups, nulls and controls."""
