"""Any module against the properties that it has, or should have."""
