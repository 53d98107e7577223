"""Classical fusion methods; formulas and sources: docs/methods.md."""
