"""The network: operators with their shape rules and work, tensors, the graph, the YAML reader."""
