"""The workload suite: shapes of public models, what bounds them, what they take, split and monolithic, and a search over arrays."""
