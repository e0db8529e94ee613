"""What the service knows of studies and work, in SQL tables beside the durable engine's."""
