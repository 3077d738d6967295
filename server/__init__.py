"""HTTP and GraphQL, nothing else: it reads the database and issues commands."""
