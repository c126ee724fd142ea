"""Parts of a net exchanged, with the weights that can be kept."""
