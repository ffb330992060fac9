"""From evidence to one selected candidate: ranking, early stop, and the tables of the ablation."""
