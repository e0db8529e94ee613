"""The application as a process: one warm worker for each device."""
