"""Classical fusion methods; formulas and sources: docs/classical.md."""
