"""Small INT8 networks on the engine, with their data: the handwritten digits that `cleave run` recognises."""
