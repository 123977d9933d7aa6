"""Image autoencoders behind one interface: loading, training, evaluation."""
