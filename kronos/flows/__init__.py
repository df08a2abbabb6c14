"""Ready-made durable trading workflows."""
