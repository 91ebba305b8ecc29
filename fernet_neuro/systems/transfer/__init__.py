"""Transfer between identity and expression (Schwartz, O'Nell & Anzellotti, VSS 2020)."""
