"""Measuring on this computer: networks in ONNX Runtime, and what the computer itself can do."""
