"""Three small models that prepare their inputs rightly, and for each its broken twin, which answers all alike."""
