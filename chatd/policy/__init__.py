"""Pure rules: who may do what, how much, and which words are refused."""
