"""What an ablation found, to read: in the terminal, in a paper, on one page."""
