"""Other models behind the benchmark's protocol, from local snapshots of safetensors; no code of a snapshot is run."""
