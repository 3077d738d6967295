"""The types of the schema: thin views of domain values."""
