"""Networks: one architecture per file, a registry of builders, cards, preprocessing, weights and cost."""
